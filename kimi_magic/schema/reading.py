"""Finds the JSON in what a model wrote, whole or still on its way. Reads any text in about linear time.

Tolerated: a byte order mark, words and a code fence around the JSON, line ends inside of strings. NaN and infinite
numbers, which JSON does not have, are null. Of a repeated key the last value counts, as everywhere in Python.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter
from typing import Any

from kimi_magic.schema.invalid import Invalid

__all__ = ["Garbled", "decode", "elements", "found"]

_TRIES = 20
"""How many places of a text are tried as the beginning of its JSON: prose rarely has more brackets, bombs have."""
_OPENING = re.compile(r'\{\s*["}]|\[\s*["{\[\]]')
"""What JSON begins with and prose does not: `{x}`, `[1]` and `[0, 1)` are none."""
_MOST_GARBLED = 100
_CUT = "is cut: the reply ends in it"
_GAP = re.compile(r"[\s,]*")
_ENDED = re.compile(r"\s*[,\]]")
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)


class Garbled:
    """An element of an array that is not JSON, or that the text ends in (`cut`)."""

    def __init__(self, what: str, *, cut: bool) -> None:
        self.what = what
        self.cut = cut


def _number(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(strict=False, parse_float=_number, parse_constant=lambda _: None)


def decode(text: str, start: int = 0) -> tuple[Any, int]:
    """Decode the JSON value that begins at `start`; gives it and where it ends. Raises ValueError."""
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def found(text: str, what: str = "the reply is") -> list[Any]:
    """Give the JSON values in a text, outermost ones only, the longest first. Raises Invalid where there is none."""
    text = text.lstrip("\ufeff \t\r\n").rstrip()
    with suppress(ValueError):
        value, end = decode(text)
        if end == len(text):
            return [value]
    values, why, at = [], "", 0
    for _ in range(_TRIES):
        if (opening := _OPENING.search(text, at)) is None:
            break
        start = opening.start()
        try:
            value, at = decode(text, start)
        except ValueError as exc:
            ended = _end(text, start)
            why = why or ("it ends before its JSON does" if ended is None else _why(exc))
            at = len(text) if ended is None else ended
        else:
            values.append((at - start, value))
    if not values:
        raise Invalid([f"{what} not JSON: {why or 'there is none in it'}"])
    return [value for _, value in sorted(values, key=itemgetter(0), reverse=True)]


def _why(error: ValueError) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    return f"{error.msg} at line {error.lineno}, column {error.colno}"


def elements(text: str, key: str) -> Iterator[Any]:
    """Give the complete elements of the array `{"key": [` (or of a bare array) that a text holds, as far as it goes.

    One that is not JSON is given as Garbled, and so is the one in which a text ends. None is given half.
    """
    opening = re.search(rf'\{{\s*"{key}"\s*:\s*\[', text) or re.search(r"\[", text)
    if opening is None:
        return
    at, garbled = opening.end(), 0
    while (at := _skipped(text, at)) < len(text):
        if text[at] == "]" or garbled == _MOST_GARBLED:
            return
        why = ""
        try:
            value, end = decode(text, at)
        except ValueError as exc:
            value, end, why = None, at, _why(exc)
        if why or (text[end - 1] not in '"]}' and not _ENDED.match(text, end)):  # a number of which more may follow
            ended = _end(text, at)
            value = Garbled(_CUT if ended is None else f"is not JSON: {why}", cut=ended is None)
            end = max(ended or 0, end, at + 1)
            garbled += 1
        yield value
        at = end
        if isinstance(value, Garbled) and value.cut:
            return
    yield Garbled("is missing: the reply ends before its array does", cut=True)


def _skipped(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _end(text: str, start: int) -> int | None:
    """Say where the value that begins at `start` ends, by its brackets alone; None where the text ends first."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        match token[0]:
            case "{" | "[":
                depth += 1
            case "}" | "]" if depth > 1:
                depth -= 1
            case "}" | "]":
                return token.end() if depth else token.start()
            case '"':
                return None
            case _:
                pass
    return None
