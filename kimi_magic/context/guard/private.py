"""The values of private columns, so that they are recognised wherever they turn up.

In a text, a value is recognised where it is distinctive and stands as a whole, between characters that are neither
letters nor digits:

- text of at least 5 characters (3 where they are Chinese, Japanese or Korean), not a word such as "False" or
  "unknown"; as it is, and as repr, JSON, CSV and HTML spell it; where it was cut by "..." or "…", from 16 characters;
- a number of at least 5 digits, two of them other than zero, in any decimal spelling (52000, 52,000.0, 5.2013e+04),
  and rounded, where a fraction is printed;
- a date, or a date and time, in ISO form (1980-02-29, 1980-02-29T10:30:00.5).

At most 1,000,000 values of a column are kept, 8 bytes for each number and time, and at most 1,000,000 texts of all
columns together; what is beyond that is private by its column's name alone.
"""

from __future__ import annotations

import html
import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime

from kimi_magic.context.guard.spans import MASK, Span
from kimi_magic.context.guard.values import DAY, Values, microseconds

__all__ = ["MOST_VALUES", "Column", "Columns"]

MOST_VALUES = 1_000_000
_MOST_CHARACTERS = 64 * MOST_VALUES
_SHORTEST, _SHORTEST_CJK, _STUB, _HEAD = 5, 3, 16, 5

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_HAS_CJK = re.compile(f"[{_CJK}]")
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_ASCII_HEAD = re.compile(r"\b\w{1,5}", re.ASCII)
# Letters that stand before a word without being part of it: \n in a repr, %20 in a URL, a terminal's colour.
_ESCAPE = r"(?:\\[abfnrtv]|%[0-9A-Fa-f]{2}|(?:\x1b|\\x1b|\\033)\[[\d;]*m)"
_ESCAPED_WORD = re.compile(rf"{_ESCAPE}([^\W{_CJK}]+)")
_EDGES = re.compile(r"^\W+|\W+$")
_IN_ESCAPES = re.compile(r"[^\x20-\x7e]|[\\'\"&<>]")
_CUT = ("...", "…")
_ORDINARY = frozenset(
    [
        "false",
        "female",
        "unknown",
        "other",
        "others",
        "active",
        "inactive",
        "missing",
        "single",
        "married",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "august",
        "september",
        "october",
        "november",
        "december",
        "never",
        "always",
    ]
)

_START = r"(?:(?<!\w)|(?<=\\[abfnrtv])|(?<=%[0-9A-Fa-f]{2}))"
_GROUPS = ",_'\u00a0\u202f"
_NUMBER = re.compile(
    rf"{_START}(?=\d[\d.eE+{_GROUPS}]{{4}})(?<!\d\.)(\d{{1,3}}(?:[{_GROUPS}]\d{{3}})+(?!\d)|\d+)(?:\.(\d+))?"
    r"(?:[eE]([+-]?\d{1,3}))?(?!\w|\.\d)",
    re.ASCII,
)
_UNGROUPED = str.maketrans("", "", _GROUPS)
_FEWEST_DIGITS, _FEWEST_NOT_ZERO, _SHORTEST_DATE = 5, 2, 10
_MOMENT = re.compile(
    rf"{_START}(?<![\d-])(\d{{4}}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?:Z|[+-]\d\d:?\d\d)?)?(?!\w|-\d)",
    re.ASCII,
)

# When the values in a plot are taken for those of a column.
_COMMON, _DENSE, _FEWEST, _SHARE = 10_000, 0.1, 3, 0.9


class Column:
    """The values of one private column.

    `found` counts the distinct values that it was given, `guarded` those of them that are recognised in a text,
    `partial` is whether there were more than could be kept.
    """

    def __init__(self) -> None:
        self.partial = False
        self.guarded = 0
        self._hashes: array[int] = array("q")
        self._numbers: array[float] = array("d")
        self._moments: array[int] = array("q")
        self._texts: list[str] = []
        self._spellings: list[str] = []
        self.heads: frozenset[str] = frozenset()

    @property
    def texts(self) -> int:
        """How many texts are kept."""
        return len(self._texts)

    @property
    def found(self) -> int:
        """How many distinct values it was given."""
        return len(self._hashes) + len(self._numbers) + len(self._moments)

    def add(self, values: Values, room: int = MOST_VALUES) -> None:
        """Take in more values, and at most `room` texts."""
        self.partial |= values.more or len(values.texts) > room
        texts, spellings, characters = set(self._texts), set(self._spellings), 0
        kept = sorted(values.texts)[:room]
        for text in kept:
            core = _core(text)
            characters += len(core)
            if characters > _MOST_CHARACTERS:
                self.partial = True
                break
            if core:
                texts.add(core)
                spellings.update(_spellings(text))
        self._texts, self._spellings = sorted(texts), sorted(spellings - texts)
        self.heads = frozenset(_head(text) for text in (*self._texts, *self._spellings))
        self._hashes = array("q", sorted({*self._hashes, *map(hash, kept)}))
        self._numbers = array("d", sorted({*self._numbers, *values.numbers}))
        self._moments = array("q", sorted({*self._moments, *values.moments}))
        self.guarded = len(self._texts) + sum(_telling(_digits(n)) for n in self._numbers) + len(self._moments)

    # What a text says

    def text_at(self, text: str, at: int) -> int:
        """Give the length of the longest value that stands at this place of a text, 0 for none."""
        return max(_longest(self._texts, text, at), _longest(self._spellings, text, at))

    def has_number(self, number: float, tolerance: float) -> bool:
        """Whether this is the magnitude of a value, give or take the tolerance."""
        return _within(self._numbers, number - tolerance, number + tolerance)

    def has_moment(self, moment: int) -> bool:
        """Whether this is one of the times, in microseconds since 1970."""
        return _within(self._moments, moment, moment)

    @property
    def has_numbers(self) -> bool:
        """Whether there are any."""
        return bool(self._numbers)

    @property
    def has_moments(self) -> bool:
        """Whether there are any."""
        return bool(self._moments)

    # What a plot shows

    def holds(self, values: Values) -> bool:
        """Whether nearly all of these values are values of this column."""
        distinct = len(values.texts) + len(values.numbers) + len(values.moments)
        if distinct < _FEWEST:
            return False
        hits = sum(_within(self._hashes, mark, mark) for mark in map(hash, values.texts))
        hits += sum(_within(self._moments, moment, moment) for moment in values.moments)
        if self._numbers and not self._common():
            hits += sum(_within(self._numbers, number, number) for number in values.numbers)
        elif self._moments:  # dates on an axis of matplotlib: days since 1970
            days = (round(number * DAY) for number in values.numbers if number < DAY)
            hits += sum(_within(self._moments, day, day) or _within(self._moments, -day, -day) for day in days)
        return hits >= _SHARE * distinct

    def _common(self) -> bool:
        """Whether the numbers are whole and so small, or so many in their range, that any others would be too."""
        low, high = self._numbers[0], self._numbers[-1]
        if not all(number.is_integer() for number in self._numbers):
            return False
        return high < _COMMON or len(self._numbers) > _DENSE * (high - low + 1)


class Columns(dict[str, Column]):
    """The private columns by name."""

    def __init__(self) -> None:
        super().__init__()
        self._heads: frozenset[str] = frozenset()
        self._all: dict[str, Column] = {}
        self._with_numbers: dict[str, Column] = {}
        self._with_moments: dict[str, Column] = {}

    def room(self) -> int:
        """How many more texts may be kept."""
        return max(0, MOST_VALUES - sum(column.texts for column in self.values()))

    def settle(self) -> None:
        """Take notice of a change in the columns. Other threads go on with what was, and then with what is."""
        self._all = dict(self)
        self._heads = frozenset[str]().union(*(column.heads for column in self.values()))
        self._with_numbers = {name: column for name, column in self.items() if column.has_numbers}
        self._with_moments = {name: column for name, column in self.items() if column.has_moments}

    def find(self, text: str) -> list[Span]:
        """Find the private values of a text."""
        found: list[Span] = []
        if self._heads and not self._heads.isdisjoint(_heads(text)):
            found += self._texts(text)
        if self._with_numbers and len(text) >= _FEWEST_DIGITS:
            found += _numbers(self._with_numbers, text)
        if self._with_moments and len(text) >= _SHORTEST_DATE:
            found += _moments(self._with_moments, text)
        return found

    def _texts(self, text: str) -> Iterator[Span]:
        end = 0
        for at in self._starts(text):
            if at < end:
                continue
            length, name = max(
                ((column.text_at(text, at), name) for name, column in self._all.items()), key=lambda it: it[0]
            )
            if length:
                end = at + length
                yield Span(at, end, f"private: {label(name)}")

    def _starts(self, text: str) -> list[int]:
        words = ((match.start(), match[0]) for match in _WORD.finditer(text))
        starts = [at for at, word in words if word[:_HEAD] in self._heads]
        if _has_escapes(text):
            escaped = ((match.start(1), match[1]) for match in _ESCAPED_WORD.finditer(text))
            starts = sorted({*starts, *(at for at, word in escaped if word[:_HEAD] in self._heads)})
        return starts


def label(name: str) -> str:
    """Give a column's name as it stands in a placeholder: one line, no brackets."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in name)
    return line.replace("[", "(").replace("]", ")").replace(MASK, "\ufffd")[:80]


def _core(text: str) -> str:
    """Give the part of a text that is looked for, empty for a text that says too little."""
    core = text if text[:1].isalnum() and text[-1:].isalnum() else _EDGES.sub("", text)
    if len(core) < _SHORTEST and not (len(core) >= _SHORTEST_CJK and _HAS_CJK.search(core)):
        return ""
    if core.lower() in _ORDINARY or MASK in core:
        return ""
    number = _NUMBER.fullmatch(core)
    return "" if number and not _telling(_printed(number)[0]) else core


def _spellings(text: str) -> Iterator[str]:
    """Give the other spellings that printing gives a text."""
    if _IN_ESCAPES.search(text):
        plain = json.dumps(text, ensure_ascii=False)[1:-1]
        for form in (repr(text)[1:-1], plain, json.dumps(text)[1:-1], text.replace('"', '""'), html.escape(text)):
            core = _EDGES.sub("", form)
            if len(core) >= _SHORTEST:
                yield core


def _head(text: str) -> str:
    word = _WORD.match(text)
    return word[0][:_HEAD] if word else ""


def _heads(text: str) -> Iterable[str]:
    ascii_alone = text.isascii()
    heads = _ASCII_HEAD.findall(text) if ascii_alone else [word[:_HEAD] for word in _WORD.findall(text)]
    if _has_escapes(text):
        heads += [word[:_HEAD] for word in _ESCAPED_WORD.findall(text)]
    return heads


def _has_escapes(text: str) -> bool:
    return "\\" in text or "%" in text or "\x1b" in text


def _longest(values: list[str], text: str, at: int) -> int:
    """Give the length of the longest of the sorted values that stands at a place of a text, 0 for none."""
    if not values:
        return 0
    index = bisect_right(values, text[at : at + _LONG])
    best = stub = 0
    for value in values[index : index + 1]:
        stub = _shared(value, text, at)
    while index:
        value = values[index - 1]
        shared = _shared(value, text, at)
        stub = max(stub, shared)
        if shared == len(value) and _ends(text, at + shared):
            best = shared
            break
        shared -= shared == len(value)
        index = bisect_right(values, value[:shared], 0, index - 1)
        if shared < _SHORTEST_CJK:
            break
    if not best and stub >= _STUB and text.startswith(_CUT, at + stub):
        return stub
    return best


_LONG = 400


def _shared(value: str, text: str, at: int) -> int:
    """Give how many characters a value has in common with a text from a place on."""
    if text.startswith(value, at):
        return len(value)
    low, high = 0, min(len(value), len(text) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(value[:middle], at):
            low = middle
        else:
            high = middle - 1
    return low


def _ends(text: str, at: int) -> bool:
    """Whether a word that ends before this place ends there."""
    before, after = text[at - 1 : at], text[at : at + 1]
    return not (after.isalnum() or after == "_") or bool(_HAS_CJK.match(before) or _HAS_CJK.match(after))


def _within(values: array[float] | array[int], low: float, high: float) -> bool:
    index = bisect_left(values, low)
    return index < len(values) and values[index] <= high


def _numbers(columns: dict[str, Column], text: str) -> Iterator[Span]:
    for match in _NUMBER.finditer(text):
        digits, number, tolerance = _printed(match)
        if _telling(digits):
            for name, column in columns.items():
                if column.has_number(number, tolerance):
                    yield Span(*match.span(), f"private: {label(name)}")
                    break


def _printed(match: re.Match[str]) -> tuple[str, float, float]:
    """Take a printed number apart: its digits, its value, and how far off a value may be that was rounded to it."""
    whole, fraction, power = match[1].translate(_UNGROUPED), match[2] or "", int(match[3] or 0)
    number = float(f"{whole}.{fraction or 0}e{power}")
    digits = (whole + fraction.rstrip("0")).lstrip("0")
    if not _telling(digits):  # 5.2e+04 stands for 52000 and for nothing that is rounded to it
        return digits + "0" * min(_FEWEST_DIGITS, max(0, power - len(fraction.rstrip("0")))), number, 0.0
    return digits, number, 0.5 * 10.0 ** (power - len(fraction)) * (1 + 1e-9) if fraction else 0.0


def _digits(number: float) -> str:
    return f"{number:.17g}".partition("e")[0].replace(".", "").lstrip("0")


def _telling(digits: str) -> bool:
    return len(digits) >= _FEWEST_DIGITS and len(digits) - digits.count("0") >= _FEWEST_NOT_ZERO


def _moments(columns: dict[str, Column], text: str) -> Iterator[Span]:
    for match in _MOMENT.finditer(text):
        try:
            moment = microseconds(datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}"))
        except ValueError:  # no such day
            continue
        for name, column in columns.items():
            if column.has_moment(moment):
                yield Span(*match.span(), f"private: {label(name)}")
                break
