"""The events of a reply ↔ what JSON can hold: each stretch of text whole, and beside it when how much of it came."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, get_args

from kimi_magic.calls import calling
from kimi_magic.events import Event, Finish, Finished, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.messages import Message, ToolCall, Usage

__all__ = ["FRAME", "PAINT", "Packer", "Timed", "pack", "said_by", "text_of", "to_json", "unpack", "whole"]

Timed = tuple[float, Event]
"""Seconds since the service began to answer, and what came then."""
FRAME = 0.02
PAINT = 0.1
"""Seconds within which what comes counts as one piece: as an eye sees it, and as a view paints it."""
_CALL = ("id", "name", "arguments")
_MOST = 1e12
"""What no count and no number of seconds reaches."""
_DELTAS: dict[str, type[TextDelta | ThinkingDelta]] = {"text": TextDelta, "thinking": ThinkingDelta}
_NAMES: dict[type[Event], str] = {kind: name for name, kind in _DELTAS.items()}


class Packer:
    """Packs a reply while it comes, so that no event of a long one has to be kept. Times are rounded down to `step`.

    `ended` is why it has ended, empty before.
    """

    def __init__(self, step: float = FRAME) -> None:
        self._step = step
        self._packed: list[dict[str, Any]] = []
        self._kind: type[Event] | None = None
        self._call: ToolCallDelta | None = None
        self._texts: list[str] = []
        self._at = 0.0
        self._pace: list[list[float]] = []
        self._last = -1
        self._text = self._calls = False
        self.ended = ""

    def add(self, seconds: float, event: Event) -> None:
        """Take one event, in order; what is no part of the reply itself is left out."""
        kind = type(event)
        if kind is TextDelta or kind is ThinkingDelta:
            if kind is not self._kind:
                self._close()
                self._kind = kind
            text: str = event.text  # type: ignore[union-attr]  # of one of the two classes
            self._texts.append(text)
            self._text = self._text or (kind is TextDelta and bool(text.strip()))
            slot = _slot(seconds, self._step)
            if slot != self._last:
                self._pace.append([_rounded(slot, self._step), 0])
                self._last = slot
            self._pace[-1][1] += len(text)
        elif isinstance(event, ToolCallDelta):
            if self._call is None or not _goes_on(self._call, event):
                self._close()
                self._call = event
            self._calls = True
            self._texts.append(event.arguments)
            self._at = _rounded(_slot(seconds, self._step), self._step)
        elif isinstance(event, Finished):
            self._close()
            counts = {name: count for name, count in asdict(event.usage).items() if count is not None}
            at = _rounded(_slot(seconds, self._step), self._step)
            self._packed.append({"finish": event.reason, "model": event.model, "usage": counts, "at": at})
            self.ended = event.reason

    @property
    def answered(self) -> bool:
        """Whether it has ended, by no filter, with text or whole calls: else who asks again wants another try."""
        said = self._text or (self._calls and self.ended != "length")
        return bool(self.ended) and self.ended != "content_filter" and said

    def _close(self) -> None:
        text = "".join(self._texts)
        if self._kind is not None:
            self._packed.append({_NAMES[self._kind]: text, "pace": self._pace})
        elif self._call is not None:
            self._packed.append({"call": asdict(replace(self._call, arguments=text)), "at": self._at})
        self._kind, self._call, self._texts, self._pace, self._last = None, None, [], [], -1

    def packed(self) -> list[dict[str, Any]]:
        """Give the reply as a list of its stretches.

        A stretch is `{"text" or "thinking": TEXT, "pace": [[seconds, characters], …]}`, a tool call (or as much of it
        as came without a break) `{"call": {"index", "id", "name", "arguments"}, "at": seconds}`, or at the end
        `{"finish": REASON, "model": NAME, "usage": {…}, "at": seconds}`.
        """
        self._close()
        return self._packed


def _goes_on(call: ToolCallDelta, event: ToolCallDelta) -> bool:
    return event.index == call.index and not event.id and not event.name


def pack(timed: Iterable[Timed], step: float = FRAME) -> list[dict[str, Any]]:
    """Pack a reply that is there already; see Packer."""
    packer = Packer(step)
    for seconds, event in timed:
        packer.add(seconds, event)
    return packer.packed()


def _slot(seconds: float, step: float) -> int:
    return int(seconds / step + 1e-6)  # 0.6 / 0.1 is less than 6, and what was rounded must stay as it is


def _rounded(slot: int, step: float) -> float:
    return round(slot * step, 3)


def unpack(packed: Any) -> list[Timed]:
    """Give the events back; raise ValueError, which says what is wrong, where this is no whole reply."""
    try:
        timed = list(itertools.chain.from_iterable(map(_events, packed)))
    except (AttributeError, KeyError, TypeError):
        raise ValueError("the reply has a shape that is not known") from None
    times = [seconds for seconds, _ in timed]
    if [isinstance(event, Finished) for _, event in timed] != [False] * (len(timed) - 1) + [True]:
        raise ValueError("the reply does not finish once, at its end")
    if times != sorted(times) or times[0] < 0:
        raise ValueError("the times of the reply do not grow")
    return timed


def _events(stretch: dict[str, Any]) -> Iterator[Timed]:
    if "finish" in stretch:
        reason = stretch["finish"]
        if reason not in get_args(Finish) or reason == "cut":
            raise ValueError(f"a reply does not finish with {reason!r}")
        yield _number(stretch["at"]), Finished(reason, _usage(stretch["usage"]), _text(stretch["model"]))
    elif "call" in stretch:
        call = stretch["call"]
        yield _number(stretch["at"]), ToolCallDelta(_count(call["index"]), *(_text(call[name]) for name in _CALL))
    else:
        name = "text" if "text" in stretch else "thinking"
        text, position = _text(stretch[name]), 0
        for seconds, length in stretch["pace"]:
            yield _number(seconds), _DELTAS[name](text[position : position + _count(length)])
            position += length
        if position != len(text):
            raise ValueError(f"the pace tells of {position} characters, and the {name} has {len(text)}")


def _usage(counts: dict[str, Any]) -> Usage:
    for name, count in counts.items():
        (_number if name == "neurons" else _count)(count)
    return Usage(**counts)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise TypeError
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise TypeError
    return float(value)


def whole(timed: Iterable[Timed]) -> Iterator[Event]:
    """Give the same events, each stretch of text and of a call in one piece."""
    for kind, group in itertools.groupby((event for _, event in timed), type):
        if kind is TextDelta or kind is ThinkingDelta:
            yield kind("".join(delta.text for delta in group))  # type: ignore[union-attr]  # grouped by their class
        elif kind is ToolCallDelta:
            yield from _calls(group)  # type: ignore[arg-type]  # see above
        else:
            yield from group


def _calls(deltas: Iterable[ToolCallDelta]) -> Iterator[ToolCallDelta]:
    pieces: list[ToolCallDelta] = []
    for delta in deltas:
        if pieces and not _goes_on(pieces[0], delta):
            yield replace(pieces[0], arguments="".join(piece.arguments for piece in pieces))
            pieces.clear()
        pieces.append(delta)
    yield replace(pieces[0], arguments="".join(piece.arguments for piece in pieces))


def said_by(timed: Iterable[Timed], ids: Sequence[str]) -> Message | None:
    """Give the message that a reply becomes in the conversation, its calls under these ids; None where they differ."""
    text, thinking = [], []
    calls: dict[int, ToolCall] = {}
    for _, event in timed:
        match event:
            case TextDelta(more):
                text.append(more)
            case ThinkingDelta(more):
                thinking.append(more)
            case ToolCallDelta(index, _, name, more):
                call = calls.get(index) or ToolCall("", name, "")
                calls[index] = replace(call, arguments=call.arguments + more)
    if not ids:
        return Message.of("assistant", "".join(text))
    if len(ids) != len(calls):
        return None
    called = [replace(call, id=id_) for id_, call in zip(ids, calls.values(), strict=True)]
    return calling("".join(text), "".join(thinking), called)


def text_of(timed: Iterable[Timed]) -> str:
    """Give the text of the reply, without the thinking."""
    return "".join(event.text for _, event in timed if isinstance(event, TextDelta))


def to_json(value: Any) -> str:
    """Write JSON in its one canonical form: keys sorted, no spaces, all characters as they are.

    Half of a surrogate pair, which has no UTF-8, becomes an escape; read again, it is the same.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()
