"""What was asked and answered, as a tree of turns, and so what the next request begins with.

What was sent is never rewritten: a turn is added below the one that it follows, and the messages of the next request
are those of the path down to it, and the new question. The service's prefix cache then finds all but the end. A cell
that runs again asks where its old turn stood: a new branch grows there, and the turns after the old one are kept,
stale, until they are restored.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Literal

from kimi_magic.messages import Message
from kimi_magic.reply import Reply
from kimi_magic.sent import Sent

__all__ = ["NOWHERE", "Conversation", "Origin", "Position", "Turn", "fresh_id"]

# The marks of `context.gathering`: what stands beside the question comes first.
_BESIDE = re.compile(r'\A(?:<context name="[^"]*">\n.*?\n</context>\s*)+', re.DOTALL)
_INSIDE = re.compile(r'\n?<context name="([^"]*)">\n.*?\n</context>\n?', re.DOTALL)

State = Literal["", "dropped", "summarised", "replaced", "stale"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a question was asked: the `cell` that the front end names, and which `run` of it; `count` is its prompt.

    An empty cell is one that nobody names: a terminal's, a script's, or that of a front end without cell ids. Where the
    user chose a turn to ask again, the question `replaces` it, whatever the cell; 0 for none.
    """

    cell: str = ""
    run: str = ""
    count: int = 0
    replaces: int = 0


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its reply. `opening` holds the question, after a system message where one came into force.

    `number` counts the turns of its conversation from 1; `parent` is that of the turn which it follows, 0 for none.
    A summary stands for the path down to turn `summarises`; of any other turn that is 0.
    """

    opening: tuple[Message, ...]
    reply: Reply
    number: int = 0
    parent: int = 0
    origin: Origin = NOWHERE
    summarises: int = 0

    @property
    def question(self) -> Message:
        """What the user asked."""
        return self.opening[-1]

    @property
    def words(self) -> str:
        """The question in words: what went along is left out, what stands inside of it is named."""
        return self._with_names("{}")

    @property
    def template(self) -> str:
        """The question as it may be typed again: what stands inside of it is an expression in braces."""
        return self._with_names("{{{{ {} }}}}")

    def _with_names(self, form: str) -> str:
        own = _BESIDE.sub("", self.question.text)
        return _INSIDE.sub(lambda found: form.format(unescape(found[1])), own)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text of it: what was asked, how its parts were named, what was thought, said, called and answered."""
        named = tuple(item.source for item in self.reply.sent.items) if self.reply.sent else ()
        rounds = (text for each in self.reply.rounds for text in (each.thinking, each.text, each.told))
        calls = (text for one in self.reply.calls for text in (one.call.arguments, one.text))
        asked = (message.text for message in self.opening)
        return (*asked, *named, *rounds, *calls, self.reply.thinking, self.reply.text)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What this turn adds to later requests: nothing, where no word of a reply came."""
        if not self.reply.text and not self.reply.rounds:
            return ()
        rounds = (message for each in self.reply.rounds for message in each.messages)
        last = (Message.of("assistant", self.reply.text),) if self.reply.text else ()
        return (*self.opening, *rounds, *last)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a new turn goes: below `parent`.

    `replaces` is the turn of this cell's last run, `elsewhere` its last turn where that is not in use; 0 for none.
    """

    parent: int = 0
    replaces: int = 0
    elsewhere: int = 0


def fresh_id() -> str:
    """Make the id under which a conversation is kept."""
    return uuid.uuid4().hex


@dataclass(slots=True, repr=False)
class Conversation:
    """A tree of turns; `head` is the last one of the path in use, 0 before the first.

    `affinity` stays the same for its whole life, and in its forks: the service keeps its prefix warm under it.
    """

    name: str = "main"
    affinity: str = field(default_factory=lambda: f"kimi-{uuid.uuid4().hex}")
    tree: dict[int, Turn] = field(default_factory=dict)
    head: int = 0
    dropped: frozenset[int] = frozenset()
    id: str = field(default_factory=fresh_id)

    def __repr__(self) -> str:
        count = len(self.turns)
        return f"Conversation({self.name!r}, {count} turn{'' if count == 1 else 's'})"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of the path in use, the first of them first."""
        return self.path(self.head)

    def path(self, number: int) -> tuple[Turn, ...]:
        """The turns down to this one."""
        found = []
        while number:
            found.append(self.tree[number])
            number = found[-1].parent
        return tuple(reversed(found))

    @property
    def lived(self) -> tuple[Turn, ...]:
        """The turns that led to the head: the path in use, before a summary on it the turns that it stands for."""
        found = []
        number = self.head
        while number:
            found.append(self.tree[number])
            number = found[-1].summarises or found[-1].parent
        return tuple(reversed(found))

    @property
    def replies(self) -> tuple[Reply, ...]:
        """Every reply of the tree, once: a turn that was kept beside a summary stands in it twice."""
        each = {
            (turn.opening, turn.origin, turn.reply.timing, turn.reply.text): turn.reply for turn in self.tree.values()
        }
        return tuple(each.values())

    def at(self, number: int) -> Conversation:
        """A copy that stands at this turn, nameless: what is asked in it changes nothing here."""
        return replace(self, name="", tree=dict(self.tree), head=number)

    def position(self, origin: Origin) -> Position:
        """Say where a question asked there goes: to the end, or where the earlier run of its cell has asked."""
        if origin.replaces in self.tree:
            return Position(self.tree[origin.replaces].parent, origin.replaces)
        if not origin.cell:
            return Position(self.head)
        lived = [turn for turn in self.lived if turn.origin.cell == origin.cell]
        for turn in lived:
            if turn.origin.run != origin.run:
                return Position(turn.parent, turn.number)
        others = (turn.number for turn in self.tree.values() if turn.origin.cell == origin.cell)
        return Position(self.head, elsewhere=0 if lived else max(others, default=0))

    def seen(self, number: int | None = None) -> tuple[Turn, ...]:
        """The turns that the model is sent below a turn (below the head): the path without what was dropped."""
        path = self.path(self.head if number is None else number)
        return tuple(turn for turn in path if turn.number not in self.dropped)

    def messages(self, number: int | None = None) -> tuple[Message, ...]:
        """The messages of the path down to a turn (to the head), without those that were dropped."""
        return tuple(message for turn in self.seen(number) for message in turn.messages)

    def sent(self, number: int) -> Sent | None:
        """What was sent for a turn. Of one that comes from the disk: what its path gives now, as it stood before it."""
        turn = self.tree[number]
        sent = turn.reply.sent
        if sent is None or sent.before:
            return sent
        before = self.seen(turn.parent)
        carried = tuple(item for each in before if each.reply.sent for item in each.reply.sent.items)
        return replace(sent, before=tuple(message for each in before for message in each.messages), carried=carried)

    def opening(self, question: Message, system: str, number: int | None = None) -> tuple[Message, ...]:
        """What a new turn begins with: the question, after the system message where that is not in force already."""
        if system and system != self.system(number):
            return (Message.of("system", system), question)
        return (question,)

    def system(self, number: int | None = None) -> str:
        """The system message that is in force below a turn (below the head); empty for none."""
        said = [message.text for message in self.messages(number) if message.role == "system"]
        return said[-1] if said else ""

    @property
    def next_number(self) -> int:
        """The number of the turn that comes next."""
        return max(self.tree, default=0) + 1

    def append(self, turn: Turn) -> Turn:
        """Add a finished turn, or one that was cut, below its parent, and make it the head."""
        placed = replace(turn, number=self.next_number)
        self.tree[placed.number] = placed
        self.head = placed.number
        return placed

    def after(self, number: int) -> tuple[Turn, ...]:
        """The turns that came after this one, of those that led to the head."""
        turns = self.lived
        return turns[[turn.number for turn in turns].index(number) + 1 :]

    def states(self) -> dict[int, State]:
        """Say of every turn how it stands: in use (empty), dropped, replaced by another run of its cell, or stale."""
        path = self.turns
        used = {turn.number for turn in path}
        lived = {turn.number for turn in self.lived}
        places = {(turn.parent, turn.origin.cell) for turn in path if turn.origin.cell}

        def state(turn: Turn) -> State:
            if turn.number in used:
                return "dropped" if turn.number in self.dropped else ""
            if turn.number in lived:
                return "summarised"
            return "replaced" if (turn.parent, turn.origin.cell) in places else "stale"

        return {number: state(turn) for number, turn in self.tree.items()}

    def compact(self, last: int, question: Message, summary: Reply, kept: Sequence[Turn]) -> Turn:
        """Begin a new branch with a summary of the path down to turn `last`; `kept` follow it again. The old one stays.

        It begins with the system message that is in force there. Gives the summary's turn.
        """
        opening = Conversation().opening(question, self.system(last))
        number = max(self.tree, default=0) + 1
        first = Turn(opening, summary, number, summarises=last)
        again = [replace(turn, number=number + n, parent=number + n - 1) for n, turn in enumerate(kept, 1)]
        self.tree |= {turn.number: turn for turn in (first, *again)}
        self.head = number + len(again)
        return first

    def forked(self, name: str) -> Conversation:
        """A conversation that goes on from here under another name."""
        return replace(self, name=name, tree=dict(self.tree), id=fresh_id())
