"""The events of a reply ↔ what JSON can hold: each stretch of text whole, and beside it when how much of it came."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, get_args

from kimi_magic.events import Event, Finish, Finished, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.messages import Usage

__all__ = ["FRAME", "PAINT", "Timed", "pack", "text_of", "to_json", "unpack", "whole"]

Timed = tuple[float, Event]
"""Seconds since the service began to answer, and what came then."""
FRAME = 0.02
PAINT = 0.1
"""Seconds within which what comes counts as one piece: as an eye sees it, and as a view paints it."""
_DELTAS: dict[str, type[TextDelta | ThinkingDelta]] = {"text": TextDelta, "thinking": ThinkingDelta}
_CALL = ("index", "id", "name", "arguments")


def pack(timed: Iterable[Timed], step: float = FRAME) -> list[dict[str, Any]]:
    """Give a reply as a list of its stretches. Times are rounded down to whole steps (seconds); other events go.

    A stretch is `{"text" or "thinking": TEXT, "pace": [[seconds, characters], …]}`, a piece of a tool call, or at the
    end `{"finish": REASON, "model": NAME, "usage": {…}, "at": seconds}`.
    """
    packed: list[dict[str, Any]] = []
    for kind, group in itertools.groupby(timed, lambda one: type(one[1])):
        if kind is TextDelta or kind is ThinkingDelta:
            packed.append(_stretch("text" if kind is TextDelta else "thinking", group, step))
            continue
        for seconds, event in group:
            at = _rounded(_slot(seconds, step), step)
            match event:
                case ToolCallDelta(index, id_, name, arguments):
                    packed.append({"call": dict(zip(_CALL, (index, id_, name, arguments), strict=True)), "at": at})
                case Finished(reason, usage, model):
                    counts = {name: count for name, count in asdict(usage).items() if count is not None}
                    packed.append({"finish": reason, "model": model, "usage": counts, "at": at})
                case _:
                    pass
    return packed


def _stretch(name: str, deltas: Iterator[Timed], step: float) -> dict[str, Any]:
    texts: list[str] = []
    pace: list[list[float]] = []
    last = -1
    for seconds, delta in deltas:
        text: str = delta.text  # type: ignore[union-attr]  # grouped by their class
        texts.append(text)
        slot = _slot(seconds, step)
        if slot != last:
            pace.append([_rounded(slot, step), 0])
            last = slot
        pace[-1][1] += len(text)
    return {name: "".join(texts), "pace": pace}


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
        yield float(stretch["at"]), Finished(reason, Usage(**stretch["usage"]), _text(stretch["model"]))
    elif "call" in stretch:
        yield float(stretch["at"]), ToolCallDelta(**stretch["call"])
    else:
        name = "text" if "text" in stretch else "thinking"
        text, position = _text(stretch[name]), 0
        for seconds, length in stretch["pace"]:
            yield float(seconds), _DELTAS[name](text[position : position + length])
            position += length
        if position != len(text):
            raise ValueError(f"the pace tells of {position} characters, and the {name} has {len(text)}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def whole(timed: Iterable[Timed]) -> Iterator[Event]:
    """Give the same events, each stretch of text in one piece."""
    for kind, group in itertools.groupby((event for _, event in timed), type):
        if kind is TextDelta or kind is ThinkingDelta:
            yield kind("".join(delta.text for delta in group))  # type: ignore[union-attr]  # grouped by their class
        else:
            yield from group


def text_of(timed: Iterable[Timed]) -> str:
    """Give the text of the reply, without the thinking."""
    return "".join(event.text for _, event in timed if isinstance(event, TextDelta))


def to_json(value: Any) -> str:
    """Write JSON in its one canonical form: keys sorted, no spaces, all characters as they are.

    Half of a surrogate pair, which has no UTF-8, becomes an escape; read again, it is the same.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace").decode()
