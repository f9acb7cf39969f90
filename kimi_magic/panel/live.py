"""A reply while it arrives: its events become changes of its entry, a few times a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kimi_magic import markdown, present
from kimi_magic.calls import Outcome
from kimi_magic.events import Event, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.messages import ToolCall
from kimi_magic.panel import delta
from kimi_magic.panel.entries import Piece, call_piece, chips, ended, outcome_fields, text_piece, thinking_piece
from kimi_magic.render import status_of

if TYPE_CHECKING:
    from kimi_magic.panel.transcript import Transcript
    from kimi_magic.reply import Draft, Reply

__all__ = ["LiveReply"]

_EVERY = 0.1
"""Seconds between two paintings."""
_COST_FACTOR = 5
"""A painting that took t seconds is followed by a pause of at least this times t."""


class LiveReply:
    """Paints one reply into its entry: a `render.View`. For the thread that iterates its events."""

    def __init__(self, id_: str, transcript: Transcript, draft: Draft) -> None:
        self._id = id_
        self._transcript = transcript
        self._draft = draft
        self._count = 0
        self._text: _Text | None = None
        self._thinking: _Thinking | None = None
        self._calls: dict[str, int] = {}
        self._wanted: tuple[int, str] | None = None
        self._changes: list[delta.PieceDelta] = []
        self._state, self._calls_for = "waiting", ""
        self._due = 0.0
        if draft.sent is not None:
            question = transcript.question(id_) | {"chips": chips(draft.sent.items)}
            transcript.change(id_, question=question, state="waiting")

    def take(self, event: Event | Outcome) -> None:
        """Take one event; paint where it is time."""
        match event:
            case Outcome():
                self._close()
                self._set(self._call(event.call), **outcome_fields(event))
                self._paint("waiting", "")
                return
            case TextDelta(text):
                if self._text is None:
                    self._close()
                    self._text = _Text(self._add(text_piece()), self._draft)
                    self._due = 0.0
                self._text.feed(text)
                self._state = "writing"
            case ThinkingDelta(text):
                if self._thinking is None:
                    self._close()
                    self._thinking = _Thinking(self._add(thinking_piece(label="Thinking…")))
                self._thinking.feed(text)
                self._state = "thinking"
            case ToolCallDelta(name=name) if name:
                self._state, self._calls_for = "calling", present.printable(name)
            case _:
                pass
        if (now := time.monotonic()) >= self._due:
            self._paint(self._state, self._line)
            self._due = now + max(_EVERY, _COST_FACTOR * (time.monotonic() - now))

    @property
    def _line(self) -> str:
        """What is waited for, in a few words."""
        if self._state == "calling":
            return f"Calling {self._calls_for} …"
        return "" if self._draft.has_text else status_of(self._draft)

    def asking(self, call: str, name: str, arguments: str, *, always: bool) -> None:
        """Show a call that wants approval, which is answered under the name `call`."""
        self._close()
        at = self._add(call_piece(ToolCall(call, name, ""), "asking"))
        self._set(at, arguments=arguments, always=always)
        self._wanted = (at, name)
        self._paint("asking", "")
        self._transcript.say(f"Kimi wants to call {present.printable(name)}. Allow it or refuse it.")

    def calling(self, call: ToolCall) -> None:
        """Show a call that runs now."""
        self._close()
        self._set(self._call(call), state="running")
        self._paint("calling", "")

    def _call(self, call: ToolCall) -> int:
        """Find the piece of a call: its own, the one that was asked about, or a new one."""
        if call.id not in self._calls:
            wanted, self._wanted = self._wanted, None
            if wanted is not None and wanted[1] == call.name:
                fields = {name: value for name, value in call_piece(call).items() if name != "arguments"}
                self._set(wanted[0], **fields)
                self._calls[call.id] = wanted[0]
            else:
                self._calls[call.id] = self._add(call_piece(call))
        return self._calls[call.id]

    def finish(self, reply: Reply) -> None:
        """Paint the end: the reply is whole, or cut."""
        if reply.value is not None and self._text is not None:
            self._changes.append(
                {"at": self._text.at, "new": {"kind": "value", "html": reply.body, "source": reply.plain}}
            )
            self._text = None
        self._close()
        self._transcript.change(self._id, self._changes, **ended(reply))

    def _add(self, piece: Piece) -> int:
        self._changes.append({"at": self._count, "new": piece})
        self._count += 1
        return self._count - 1

    def _set(self, at: int, **fields: object) -> None:
        self._changes.append({"at": at, "set": fields})

    def _close(self) -> None:
        """End the piece that grows, for another one begins."""
        if self._thinking is not None:
            self._changes.append(self._thinking.last(self._draft.round.timing.thinking))
        if self._text is not None:
            self._changes.append(self._text.last())
        self._thinking = self._text = None

    def _paint(self, state: str, line: str) -> None:
        for piece in (self._thinking, self._text):
            self._changes += piece.next() if piece is not None else ()
        changes, self._changes = self._changes, []
        self._transcript.change(self._id, changes, state=state, line=line)


class _Thinking:
    """The thinking, as it grows."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._fresh: list[str] = []

    def feed(self, text: str) -> None:
        self._fresh.append(text)

    def next(self) -> list[delta.PieceDelta]:
        more, self._fresh = "".join(self._fresh), []
        return [{"at": self._at, "more": more}] if more else []

    def last(self, took: float) -> delta.PieceDelta:
        label = f"Thought for {present.seconds(took)}"
        return {"at": self._at, "set": {"label": label}, "more": "".join(self._fresh)}


class _Text:
    """A text as it grows: its finished blocks once each, and its tail, as far as that has changed."""

    def __init__(self, at: int, draft: Draft) -> None:
        self.at = at
        self._document = markdown.Document()
        self._plain = None if draft.format in ("markdown", "code") and draft.partial is None else draft.format
        self._source: list[str] = []
        self._frozen = 0
        self._tail = {"html": "", "source": ""}
        self._fresh = False

    def feed(self, text: str) -> None:
        self._source.append(text)
        self._document.feed(text)
        self._fresh = True

    def next(self) -> list[delta.PieceDelta]:
        if not self._fresh:
            return []
        self._fresh = False
        if self._plain is not None:
            source = "".join(self._source)
            return [self._change([], present.body(source, "text"), source)]
        blocks = [{"html": block.html, "source": block.source} for block in self._document.advance()]
        self._frozen += sum(len(block["html"]) for block in blocks)
        tail = self._document.tail()
        return [self._change(blocks, tail.html, tail.source)]

    def last(self) -> delta.PieceDelta:
        """Freeze what is left; a text that a late definition has changed is given anew."""
        source = "".join(self._source)
        if self._plain is not None:
            html = present.body(source, self._plain if self._plain != "table" else "text")
            return {"at": self.at, "new": {"kind": "value", "html": html, "source": source}}
        if self._document.restated:
            return {"at": self.at, "new": text_piece(source)}
        blocks = [{"html": block.html, "source": block.source} for block in self._document.advance()]
        self._frozen += sum(len(block["html"]) for block in blocks)
        rest = self._document.html()[self._frozen :]
        if left := self._document.tail().source:
            blocks.append({"html": rest, "source": left})
        return self._change(blocks, "", "")

    def _change(self, blocks: list[dict[str, str]], html: str, source: str) -> delta.PieceDelta:
        tail = delta.tail_delta(self._tail, html, source)
        self._tail = {"html": html, "source": source}
        return {"at": self.at, "blocks": blocks, "tail": tail}
