"""What stands in the panel: one list of entries, here and in every view, and how it changes.

First the turns of the conversation, with notes among them, then what is queued or running. Only the newest turns are
made into entries when a panel opens; earlier ones follow when the front end asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kimi_magic.conversation import Conversation
from kimi_magic.panel import delta
from kimi_magic.panel.entries import Entry, of_turn, siblings_of, standing
from kimi_magic.panel.widget import ChatWidget

__all__ = ["Transcript"]

_FIRST = 30
"""Turns that a panel opens with."""


class Transcript:
    """The entries of a widget. May be used from any thread."""

    def __init__(self, widget: ChatWidget) -> None:
        self._widget = widget
        self._lock = widget.lock
        self._conversation = ""
        self._path: tuple[int, ...] = ()
        self.held = False

    @property
    def entries(self) -> list[Entry]:
        """The entries that are loaded, the oldest first."""
        return self._widget.transcript

    def find(self, id_: str) -> Entry | None:
        """Give the entry of this id."""
        with self._lock:
            return next((entry for entry in reversed(self.entries) if entry["id"] == id_), None)

    def of(self, conversation: Conversation, turn: int) -> Entry | None:
        """Give the entry of a turn of this conversation, if it is loaded."""
        with self._lock:
            known = self.entries if conversation.id == self._conversation else ()
            return next((entry for entry in known if entry["turn"] == turn), None)

    def question(self, id_: str) -> dict[str, Any]:
        """Give the question of an entry; nothing, where it is gone."""
        with self._lock:
            entry = self.find(id_)
            return dict(entry["question"]) if entry is not None else {}

    def put(self, entry: Entry) -> None:
        """Add an entry: one that is settled before what is queued or running."""
        with self._lock:
            self._insert(len(self.entries) if entry["state"] in _PENDING else self._settled(), entry)

    def _insert(self, at: int, entry: Entry) -> None:
        before = {"before": self.entries[at]["id"]} if at < len(self.entries) else {}
        self.entries.insert(at, entry)
        self._widget.tell("entry", entry=entry, **before)

    def _settled(self) -> int:
        """Count the entries before those that are queued or running."""
        pending = (n for n, entry in enumerate(self.entries) if entry["state"] in _PENDING)
        return next(pending, len(self.entries))

    def remove(self, id_: str) -> None:
        """Take an entry away."""
        with self._lock:
            if (entry := self.find(id_)) is not None:
                self.entries.remove(entry)
                self._widget.tell("gone", id=id_)

    def change(self, id_: str, pieces: Sequence[delta.PieceDelta] = (), **fields: Any) -> None:
        """Change an entry; nothing, where it is gone."""
        with self._lock:
            entry = self.find(id_)
            if entry is not None and (pieces or any(entry[name] != value for name, value in fields.items())):
                change = delta.Delta(set=fields, pieces=list(pieces))
                delta.apply(entry, change)
                self._widget.tell("delta", id=id_, seq=entry["seq"], **change)

    def again(self) -> None:
        """Send once more, whole, what is queued or running."""
        with self._lock:
            for entry in self.entries[self._settled() :]:
                self._widget.tell("entry", entry=entry)

    def say(self, text: str) -> None:
        """Have a sentence read out to who cannot see the panel."""
        self._widget.tell("say", text=text)

    def refill(self, text: str, files: Sequence[str] = ()) -> None:
        """Give back words that were not asked, and the files beside them, to be changed."""
        self._widget.tell("refill", text=text, attachments=list(files))

    def hold(self, conversation: Conversation, turn: int = 0) -> None:
        """Show where a conversation stands, and follow no change until `release`: an entry is going to be its turn.

        Where it takes the place of a `turn`, that one and those after it are taken away.
        """
        with self._lock:
            self.follow(conversation)
            self.held = True
            at = next((n for n, entry in enumerate(self.entries) if turn and entry["turn"] == turn), self._settled())
            for entry in self.entries[at : self._settled()]:
                self.remove(entry["id"])

    def release(self) -> None:
        """Follow changes again, with the next `follow`."""
        with self._lock:
            self.held = False

    def follow(self, conversation: Conversation) -> None:
        """Show the turns that led to where a conversation stands now; nothing new while it is held."""
        turns = conversation.lived
        path = tuple(turn.number for turn in turns)
        siblings = siblings_of(conversation)
        with self._lock:
            if self.held:
                return
            hidden = self._widget.earlier
            if conversation.id != self._conversation or path[:hidden] != self._path[:hidden] or len(path) < hidden:
                self._begin(conversation, path)
                return
            self._path = path
            wanted = {0, *path[hidden:]}
            for entry in [entry for entry in self.entries if entry["turn"] not in wanted]:
                self.remove(entry["id"])
            place = self._settled()
            for turn in reversed(turns[hidden:]):
                found = next((n for n, entry in enumerate(self.entries) if entry["turn"] == turn.number), None)
                if found is None:
                    self._insert(place, of_turn(conversation, turn, siblings))
                else:
                    place = found
                    self.change(self.entries[found]["id"], **standing(conversation, turn, siblings))

    def _begin(self, conversation: Conversation, path: tuple[int, ...]) -> None:
        """Show another conversation: its newest turns, and what is queued or running."""
        pending = self.entries[self._settled() :]
        self._conversation, self._path = conversation.id, path
        made = _made(conversation, path[-_FIRST:])
        self._widget.restate([*made, *pending], max(0, len(path) - _FIRST))

    def load(self, conversation: Conversation, count: int) -> None:
        """Put so many earlier turns before those that are here."""
        with self._lock:
            end = self._widget.earlier
            if conversation.id != self._conversation or not end:
                return
            begin = max(0, end - count)
            numbers = self._path[begin:end]
        made = _made(conversation, numbers)
        with self._lock:
            if (
                conversation.id == self._conversation
                and self._widget.earlier == end
                and self._path[begin:end] == numbers
            ):
                self.entries[:0] = made
                self._widget.tell("earlier", entries=made, earlier=begin)
                self._widget.change(earlier=begin)


def _made(conversation: Conversation, numbers: Sequence[int]) -> list[Entry]:
    siblings = siblings_of(conversation)
    return [of_turn(conversation, conversation.tree[number], siblings) for number in numbers]


_PENDING = {"queued", "looking", "waiting", "thinking", "writing", "calling", "asking"}
