"""How much of each request the service had read before, and what broke that: the profiler behind `%kimi prefix`.

A service keeps what it has read, and reads a request anew from the first token that differs. Each request is compared
with the earlier ones of the same model and affinity; the one that shares most is what the service could still have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, TypeVar

from kimi_magic import models
from kimi_magic.messages import Message, Text, Usage
from kimi_magic.sent import Item
from kimi_magic.wire import Request, encode_message

__all__ = ["Break", "Entry", "How", "Prefix", "profile"]

T = TypeVar("T")
How = Literal["changed", "inserted", "removed", "other affinity", "model changed", "evicted"]
_BLOCK = 256
"""Tokens below which nothing is said of what was not found: services cache whole blocks, of an unknown size."""
_RECENT = 64
"""Earlier requests that are compared: how long a service keeps what it has read is not documented."""
_SHORT = 0.1
"""Share of the possible that may be missing without a remark: tokens are estimates where nothing was reported."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of this kernel: what went, of what its question was made, and what the service counted.

    `time` is when its reply ended, in seconds since 1970; `affinity` is its conversation's, and `turns` are the numbers
    of the turns in it, its own the last, as `%kimi history` has them; empty outside of any. One that was `replayed` was
    not sent: it stands here as it was recorded.
    """

    request: Request
    affinity: str
    items: tuple[Item, ...] = ()
    usage: Usage = Usage()
    time: float = 0.0
    replayed: bool = False
    turns: tuple[int, ...] = ()

    def turn(self, at: int) -> int:
        """Give the number of the turn to which a message belongs; where that is not known, which question it is."""
        asked = [place for place, message in enumerate(self.request.messages) if message.role == "user"]
        position = max(1, sum(place <= at for place in asked))
        return self.turns[position - 1] if len(self.turns) == len(asked) else position


@dataclass(frozen=True, slots=True)
class Break:
    """What kept the service from finding more: which part, how, and about how many tokens were read again for it.

    `part` is "tool load", "system message", "turn 2", "turns 2 to 4", "turn 2's question", "turn 2's question, its part
    df", "turn 1's reply", "effort", or empty where it is no part of the request. `pause` is in seconds since the
    earlier request, where it was evicted.
    """

    how: How
    part: str = ""
    tokens: int = 0
    pause: float = 0.0

    def __str__(self) -> str:
        words = f"{self.part} {self.how}" if self.part else str(self.how)
        again = f", ≈ {self.tokens:,} tokens read again" if self.tokens else ""
        late = f", {_span(self.pause)} later" if self.how == "evicted" and self.pause else ""
        return words + late + again


@dataclass(frozen=True, slots=True)
class Prefix:
    """What one request had in common with the earlier one that shares most with it.

    `turn` is its number (see `Entry.turn`). `bytes` are canonical JSON; `tokens` is what could have been found cached:
    the earlier request's own count where that is a prefix as a whole, else an estimate; at least what was found, as a
    service may hold its replies, too, and what other kernels sent. `usage` is what the service reported. `earlier` is
    that request's place in the log, None for the first of its conversation.
    """

    turn: int
    bytes: int
    tokens: int
    usage: Usage
    earlier: int | None = None
    broke: Break | None = None

    @property
    def share(self) -> float | None:
        """The cached share of the possible; None where nothing was possible or nothing reported."""
        return self.usage.cached / self.tokens if self.tokens and self.usage.input else None


def profile(log: Sequence[Entry]) -> tuple[Prefix, ...]:
    """Profile each request of a kernel, in order: what was sent among what was sent, a replay among all before it."""
    known = _Known({each.request.messages[-1]: each.items for each in log}, {})
    return tuple(_profiled(log, n, known) for n in range(len(log)))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is looked up often: the parts of each question, and the bytes and tokens of each message, by its id."""

    items: dict[Message, tuple[Item, ...]]
    sizes: dict[int, tuple[int, int]]

    def size(self, message: Message) -> tuple[int, int]:
        if id(message) not in self.sizes:
            self.sizes[id(message)] = (len(encode_message(message)), sum(map(models.tokens, message.parts)))
        return self.sizes[id(message)]

    def tokens(self, messages: Sequence[Message]) -> int:
        return sum(self.size(message)[1] for message in messages)


@dataclass(frozen=True, slots=True)
class _Common:
    """What two requests begin with: so many whole messages; bytes and tokens with what the next one begins with."""

    messages: int = 0
    bytes: int = 0
    tokens: int = 0


def _profiled(log: Sequence[Entry], number: int, known: _Known) -> Prefix:
    one = log[number]
    warm: list[int] = []
    cold: list[int] = []
    for n in range(max(0, number - _RECENT), number):
        if log[n].replayed and not one.replayed:  # the service has never seen it
            continue
        (warm if _warm(log[n], one) else cold).append(n)
    best, common = _best(log, one, warm, known)
    place, other = _best(log, one, cold, known)
    better = place is not None and other.tokens > common.tokens + _BLOCK
    if better and one.usage.cached > common.tokens + _BLOCK:  # found all the same: K2.6 answers as K2.5, too
        best, common, better = place, other, False
    tokens = _possible(log[best], one, common, known) if best is not None else 0
    broke = None
    if better and place is not None:
        how, part = _elsewhere(log[place], one)
        broke = Break(how, part, _again(one, other.tokens - max(common.tokens, one.usage.cached)))
    elif best is not None:
        broke = _broken(log[best], one, common, tokens, known)
    turn = one.turn(len(one.request.messages))
    return Prefix(turn, common.bytes, max(tokens, one.usage.cached), one.usage, best, broke)


def _best(log: Sequence[Entry], one: Entry, among: Sequence[int], known: _Known) -> tuple[int | None, _Common]:
    """Find the request that begins most like this one: of equals one of the same model, and the latest."""
    commons = {n: _common(log[n].request, one.request, known) for n in among}
    if not commons:
        return None, _Common()
    best = max(commons, key=lambda n: (commons[n].tokens, log[n].request.model == one.request.model, n))
    return best, commons[best]


def _warm(earlier: Entry, one: Entry) -> bool:
    """Whether the service may find what they have in common: tools stand before all messages."""
    before, now = earlier.request, one.request
    return (before.model, earlier.affinity, before.tools) == (now.model, one.affinity, now.tools)


def _elsewhere(earlier: Entry, one: Entry) -> tuple[How, str]:
    """Say why a service does not find what two requests have in common."""
    if earlier.request.model != one.request.model:
        return "model changed", ""
    if earlier.affinity != one.affinity:
        return "other affinity", ""
    before = {tool.name: tool for tool in earlier.request.tools}
    now = {tool.name: tool for tool in one.request.tools}
    how: How = "inserted" if now.keys() > before.keys() else "removed" if now.keys() < before.keys() else "changed"
    names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    return how, f"tools {', '.join(names)}" if len(names) > 1 else f"tool {names[0]}"


def _common(one: Request, other: Request, known: _Known) -> _Common:
    pairs = zip(one.messages, other.messages, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1] or pair[0] == pair[1], pairs))
    size = sum(known.size(message)[0] for message in one.messages[:same])
    tokens = known.tokens(one.messages[:same])
    if same < min(len(one.messages), len(other.messages)):
        a, b = one.messages[same], other.messages[same]
        if a.role == b.role:
            size += _count_same(encode_message(a), encode_message(b))
            tokens += models.tokens(Text(a.text[: _count_same(a.text, b.text)]))
    return _Common(same, size, tokens)


def _count_same(one: Sequence[object], other: Sequence[object]) -> int:
    """Count the equal elements that two sequences begin with; by halves, as comparing slices is quick."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _possible(earlier: Entry, one: Entry, common: _Common, known: _Known) -> int:
    """Tokens that could have been found: counted where the service has counted them, else estimated and scaled."""
    if common.messages == len(earlier.request.messages) and earlier.usage.input:
        return min(earlier.usage.input, one.usage.input or earlier.usage.input)
    estimated = known.tokens(one.request.messages)
    return round(common.tokens * one.usage.input / estimated) if one.usage.input and estimated else common.tokens


def _broken(earlier: Entry, one: Entry, common: _Common, tokens: int, known: _Known) -> Break | None:
    before, now = earlier.request.messages, one.request.messages
    if common.messages < min(len(before), len(now)):
        place, how = _difference(before, now, common.messages)
        old, new = before[common.messages], now[common.messages]
        named = one if how == "inserted" or old.role != new.role else earlier
        part = _removed(earlier, place, before.index(new, place + 1)) if how == "removed" else _part(named, place)
        inner = _item(old, new, known.items) if how == "changed" and old.role == new.role == "user" else None
        if inner is not None:
            part, how = f"{part}, its part {inner[0]}", inner[1]
        again = _again(one, known.tokens(now[common.messages : -1]))
        return Break(how, part, again)
    found = one.usage.cached
    if not one.usage.input or tokens - found <= max(_BLOCK, _SHORT * tokens):
        return None
    if earlier.request.effort != one.request.effort:  # it goes into the model's template
        return Break("changed", "effort", tokens - found)
    return Break("evicted", "", tokens - found, max(0.0, one.time - earlier.time))


def _again(one: Entry, tokens: int) -> int:
    """Tokens that were read again, by estimate; never more than the service says that it read."""
    fresh = one.usage.input - one.usage.cached if one.usage.input else tokens
    return max(0, min(tokens, fresh))


def _difference(old: Sequence[T], new: Sequence[T], at: int) -> tuple[int, How]:
    """Tell how two sequences differ at their first difference, and at which place of `new` (of `old`, if removed)."""
    if old[at] in new[at + 1 :]:
        return at, "inserted"
    if new[at] in old[at + 1 :]:
        return at, "removed"
    return at, "changed"


def _part(one: Entry, at: int) -> str:
    message = one.request.messages[at]
    if message.role == "system":
        return "system message"
    return f"turn {one.turn(at)}'s {'question' if message.role == 'user' else 'reply'}"


def _removed(one: Entry, at: int, until: int) -> str:
    """Name what is gone: whole turns, where they end with their replies."""
    gone = one.request.messages[at:until]
    if not any(message.role == "user" for message in gone) or gone[0].role == "assistant":
        return _part(one, at)
    first = at + [message.role for message in gone].index("user")
    if gone[-1].role == "user":
        return _part(one, first)
    begin, end = one.turn(first), one.turn(until - 1)
    return f"turn {begin}" if begin == end else f"turns {begin} to {end}"


def _item(old: Message, new: Message, names: dict[Message, tuple[Item, ...]]) -> tuple[str, How] | None:
    """Name the part of a question in which two questions first differ, and how; None where that is its own text."""
    olds, news = _beside(names.get(old, ())), _beside(names.get(new, ()))
    at = _count_same(old.text, new.text)
    ours = _owner(new, news, at)
    theirs = _owner(old, olds, at)
    if old.text == new.text:  # then it is a picture
        ours = next((item for item in news if item not in olds), None)
    if ours is not None:
        if not _named(olds, ours):
            return ours.source, "inserted"
        if theirs is None or ours.source == theirs.source:
            return ours.source, "changed"
    if theirs is not None and not _named(news, theirs):
        return theirs.source, "removed"
    return (ours.source, "changed") if ours is not None else None


def _beside(items: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(item for item in items if item.kind not in ("question", "tool"))


def _named(items: tuple[Item, ...], wanted: Item) -> bool:
    return any(item.source == wanted.source for item in items)


def _owner(message: Message, items: tuple[Item, ...], at: int) -> Item | None:
    """Find the item in whose text a character stands: their texts stand in the message one after the other."""
    end = 0
    for item in items:
        begin = message.text.find(_text(item), end)
        if begin >= 0:
            end = begin + len(_text(item))
            if begin <= at < end:
                return item
    return None


def _text(item: Item) -> str:
    return "".join(part.text for part in item.parts if isinstance(part, Text))


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"  # noqa: PLR2004  # a minute
