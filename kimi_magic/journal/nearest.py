"""What a request that is not recorded differs in from the most similar one that is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

__all__ = ["Difference", "difference", "nearest"]

Request = dict[str, Any]
_LOOKED_AT = 4_000
"""Characters of a message that are compared for likeness."""
_SHOWN = 100
_BEFORE = 30
"""Characters of a line that are shown, and how many of them stand before the first that differs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference: `where` in words, and the line there as it was recorded and as it is wanted now."""

    where: str
    recorded: str
    wanted: str


def nearest(wanted: Request, recorded: Iterable[Request]) -> Request | None:
    """Give the most similar request: the same model and longest same beginning first; None where there is none."""
    return max(recorded, key=lambda other: _likeness(wanted, other), default=None)


def _likeness(one: Request, other: Request) -> tuple[bool, int, float, bool]:
    mine, theirs = list(map(_words, one["messages"])), list(map(_words, other["messages"]))
    same = next((n for n, (a, b) in enumerate(zip_longest(mine, theirs)) if a != b), len(mine))
    ratio = 0.0
    if same < min(len(mine), len(theirs)):
        texts = (mine[same][:_LOOKED_AT], theirs[same][:_LOOKED_AT])
        ratio = difflib.SequenceMatcher(None, *texts).quick_ratio()
    return one.get("model") == other.get("model"), same, ratio, len(mine) == len(theirs)


def difference(wanted: Request, recorded: Request) -> Difference:
    """Give the first difference of two requests that are not equal: in a message, else in a parameter."""
    for number, (mine, theirs) in enumerate(zip_longest(wanted["messages"], recorded["messages"]), 1):
        if mine != theirs:
            return _in_message(number, mine, theirs)
    for name in sorted(wanted.keys() | recorded.keys()):
        if wanted.get(name) != recorded.get(name):
            return Difference(name, _parameter(recorded, name), _parameter(wanted, name))
    raise ValueError("the two requests are equal")


def _parameter(request: Request, name: str) -> str:
    return str(request[name]) if name in request else "(not set)"


def _in_message(number: int, mine: Request | None, theirs: Request | None) -> Difference:
    message: Request = mine or theirs or {}
    for line, (new, old) in enumerate(zip_longest(_lines(mine), _lines(theirs)), 1):
        if new != old:
            return Difference(f"message {number} ({message['role']}), line {line}", *_around(old or "", new or ""))
    return Difference(f"message {number}", *_around(str(theirs or ""), str(mine or "")))


def _lines(message: Request | None) -> Iterator[str]:
    return iter(()) if message is None else iter(_words(message).split("\n"))


def _words(message: Request) -> str:
    content = message["content"]
    parts: list[Any] = [{"text": content}] if isinstance(content, str) else content
    calls = [call["function"] for call in message.get("tool_calls", ())]
    called = [f"{call['name']}({call['arguments']})" for call in calls]
    return "\n".join([*(part["text"] if "text" in part else part["image_url"]["url"] for part in parts), *called])


def _around(one: str, other: str) -> tuple[str, str]:
    """Cut two lines to what stands around the first place in which they differ."""
    place = next((n for n, (a, b) in enumerate(zip_longest(one, other)) if a != b), 0)
    start = max(0, place - _BEFORE) if max(len(one), len(other)) > _SHOWN else 0
    return _cut(one, start), _cut(other, start)


def _cut(line: str, start: int) -> str:
    if not line:
        return "(nothing)"
    end = start + _SHOWN
    return ("…" if start else "") + line[start:end] + ("…" if len(line) > end else "")
