"""The values of private columns, so that they are recognised wherever they turn up.

In a text, a value is recognised where it is distinctive and stands as a whole, between characters that are neither
letters nor digits:

- text of at least 5 characters (3 where they are Chinese, Japanese or Korean), not a word such as "False" or
  "unknown"; as it is, and as repr, JSON, CSV and HTML spell it; where it was cut by "..." or "…", from 16 characters;
  in small and in capital letters, whatever white space (or underscores) and hyphens it is written with; from 8
  characters, one of them no letter, also inside of longer words;
- a number of at least 5 digits, two of them other than zero, in any decimal spelling (52000, 52,000.0, 5.2013e+04),
  and rounded; one with a fraction also made whole, where the column's values are not all around, and as a float32;
- a date (1980-02-29, 1980/02/29, 29.02.1980, 19800229), whatever time follows it, or a date and time.

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
from contextlib import suppress
from datetime import datetime, time

from kimi_magic.context.guard.spans import MASK, Span
from kimi_magic.context.guard.values import DAY, Values, microseconds

__all__ = ["MOST_VALUES", "Column", "Columns"]

MOST_VALUES = 1_000_000
_MOST_CHARACTERS = 64 * MOST_VALUES
_SHORTEST, _SHORTEST_CJK, _STUB, _HEAD = 5, 3, 16, 5
_SHORTEST_INSIDE, _GRAM = 8, 6

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

# What is written in several ways is compared in one, of the same length: "_" and white space as " ", hyphens as "-".
_BLANKS = "_\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_ALIKE = {**dict.fromkeys(map(ord, _BLANKS), " "), **dict.fromkeys(map(ord, _HYPHENS), "-"), 0x3C2: "\u03c3"}
_ALIKE_ASCII = "".join(map(chr, range(128))).lower().translate(_ALIKE)
_ESCAPED_BLANK = re.compile(r"\\[nrt]|\\xa0|\\u(?:00a0|202f)|%20|%09|%0a|&nbsp;")
_MORE_BLANKS = re.compile("(?<= ) +")
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

_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[abfnrtv])|(?<=%[0-9A-Fa-f]{2}))"
_GROUPS = ",_'\u00a0\u202f"
_NUMBER = re.compile(
    rf"{_START}(?=\d[\d.eE+{_GROUPS}]{{4}})(?<!\d\.)(\d{{1,3}}(?:[{_GROUPS}]\d{{3}})+(?!\d)|\d+)(?:\.(\d+))?"
    r"(?:[eE]([+-]?\d{1,3}))?(?![A-Za-z0-9]|\.\d)",
    re.ASCII,
)
_UNGROUPED = str.maketrans("", "", _GROUPS)
_FEWEST_DIGITS, _FEWEST_NOT_ZERO, _SHORTEST_DATE = 5, 2, 8
_FLOAT32 = 1e-7
_MOMENT = re.compile(
    rf"{_START}(?<![\d-])(?<!\d[./])(?=\d[\d./-]{{7}})"
    r"(?:(\d{4})([-/.]?)(\d\d)\2(\d\d)|(\d\d?)([-/.])(\d\d?)\6(\d{4}))"
    r"(?:[T _](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?:Z|[+-]\d\d:?\d\d)?)?(?![A-SU-Za-z0-9]|[-./]\d)",
    re.ASCII,
)

# When the values in a plot are taken for those of a column.
_COMMON, _DENSE, _FEWEST, _SHARE = 10_000, 0.1, 3, 0.9
_AROUND = 50


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
        self.grams: frozenset[str] = frozenset()

    @property
    def texts(self) -> int:
        """How many texts are kept."""
        return len(self._texts)

    @property
    def found(self) -> int:
        """How many distinct values it was given."""
        return len(self._hashes) + len(self._numbers) + len(self._moments)

    def add(self, values: Values, room: int = MOST_VALUES) -> bool:
        """Take in more values, and at most `room` texts; give whether any was new."""
        known, numbers, moments = set(self._hashes), set(self._numbers), set(self._moments)
        texts = sorted(text for text in values.texts if hash(text) not in known)
        more_numbers, more_moments = sorted(values.numbers - numbers), sorted(values.moments - moments)
        rooms = (room, MOST_VALUES - len(numbers), MOST_VALUES - len(moments))
        counts = (len(texts), len(more_numbers), len(more_moments))
        self.partial |= values.more or any(new > place for new, place in zip(counts, rooms, strict=True))
        if not any(counts):
            return False
        self._add_texts(texts[: rooms[0]], known)
        self._numbers = array("d", sorted(numbers.union(more_numbers[: rooms[1]])))
        self._moments = array("q", sorted(moments.union(more_moments[: rooms[2]])))
        self.guarded = len(self._texts) + sum(_telling(_digits(n)) for n in self._numbers) + len(self._moments)
        return True

    def _add_texts(self, fresh: list[str], known: set[int]) -> None:
        if not fresh:
            return
        texts, spellings, characters = set(self._texts), set(self._spellings), 0
        for text in fresh:
            core = _core(text)
            characters += len(core)
            if characters > _MOST_CHARACTERS:
                self.partial = True
                break
            if core:
                texts.add(core)
                spellings.update(_spellings(text))
        self._texts, self._spellings = sorted(texts), sorted(spellings - texts)
        looked_for = (*self._texts, *self._spellings)
        self.heads = frozenset(_head(text) for text in looked_for if not _anywhere(text))
        self.grams = frozenset(text[:_GRAM] for text in looked_for if _anywhere(text))
        self._hashes = array("q", sorted(known.union(map(hash, fresh))))

    # What a text says

    def text_at(self, text: str, at: int, *, begins: bool) -> int:
        """Give the length of the longest value that stands at this place of a text, where a word may begin; or 0."""
        return max(_longest(values, text, at, begins=begins) for values in (self._texts, self._spellings))

    def has_number(self, number: float, tolerance: float, *, whole: bool) -> bool:
        """Whether this is the magnitude of a value, give or take the tolerance.

        Or of one with a fraction, made whole or a float32, where the values are not so dense that any would be.
        """
        if not self._numbers:
            return False
        if _within(self._numbers, number - tolerance, number + tolerance):
            return True
        reach = max(float(whole), tolerance + _FLOAT32 * number)
        if self._between(number, _AROUND * reach) > _DENSE * 2 * _AROUND:
            return False
        first = bisect_left(self._numbers, number - reach)
        near = self._numbers[first : first + self._between(number, reach)]
        return any(abs(value - number) < reach and not value.is_integer() for value in near)

    def _between(self, number: float, reach: float) -> int:
        return bisect_right(self._numbers, number + reach) - bisect_left(self._numbers, number - reach)

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
        self._grams: frozenset[str] = frozenset()
        self._keys: dict[str, str] = {}
        self._all: dict[str, Column] = {}
        self._numbers = self._moments = False

    def known(self, name: str) -> str | None:
        """Give the private column of this name, whatever its case and the white space around it."""
        return self._keys.get(_key(name))

    def room(self) -> int:
        """How many more texts may be kept."""
        return max(0, MOST_VALUES - sum(column.texts for column in self.values()))

    def settle(self) -> None:
        """Take notice of a change in the columns. Other threads go on with what was, and then with what is."""
        self._all = dict(self)
        self._keys = {_key(name): name for name in self}
        self._numbers = any(column.has_numbers for column in self.values())
        self._moments = any(column.has_moments for column in self.values())
        self._heads = frozenset[str]().union(*(column.heads for column in self.values()))
        self._grams = frozenset[str]().union(*(column.grams for column in self.values()))

    def found_in(self, text: str) -> Iterator[str]:
        """Name each column of which a value stands in a text."""
        if self.find(text):
            for name, column in self._all.items():
                if self.find(text, {name: column}):
                    yield name

    def find(self, text: str, columns: dict[str, Column] | None = None) -> list[Span]:
        """Find the private values of a text: those of all columns, or of some."""
        columns = self._all if columns is None else columns
        found: list[Span] = []
        if self._heads or self._grams:
            folded = _folded(text)
            found += self._texts(columns, folded)
            if ("\\" in text or "%" in text or "&" in text) and _ESCAPED_BLANK.search(folded):
                found += self._texts(columns, _ESCAPED_BLANK.sub(lambda match: " " * len(match[0]), folded))
        if self._numbers and len(text) >= _FEWEST_DIGITS:
            found += _numbers(columns, text)
        if self._moments and len(text) >= _SHORTEST_DATE:
            found += _moments(columns, text)
        return found

    def _texts(self, columns: dict[str, Column], folded: str) -> Iterator[Span]:
        text, gaps, removed = _single_blanks(folded) if "  " in folded else (folded, [], [])
        words, inside = self._words(text), self._inside(text)
        end = 0
        for at in sorted({*words, *inside}) if words else inside:
            if at < end:
                continue
            length, name = max(
                ((column.text_at(text, at, begins=at in words), name) for name, column in columns.items()),
                key=lambda it: it[0],
            )
            if length:
                end = at + length
                start, last = (place + removed[bisect_right(gaps, place)] if gaps else place for place in (at, end - 1))
                yield Span(start, last + 1, f"private: {label(name)}")

    def _words(self, text: str) -> set[int]:
        """Give where words begin that values may begin with."""
        if not self._heads or self._heads.isdisjoint(_heads(text)):
            return set()
        starts = {match.start() for match in _WORD.finditer(text) if match[0][:_HEAD] in self._heads}
        if _has_escapes(text):
            starts.update(m.start(1) for m in _ESCAPED_WORD.finditer(text) if m[1][:_HEAD] in self._heads)
        return starts

    def _inside(self, text: str) -> list[int]:
        """Give where values may begin that are found inside of words too."""
        grams = self._grams
        if not grams:
            return []
        return [at for at in range(len(text) - _GRAM + 1) if text[at : at + _GRAM] in grams]


def _key(name: str) -> str:
    return name.strip().casefold()


def _folded(text: str) -> str:
    """Give a text of the same length, in which what is written in several ways is written in one."""
    if text.isascii():
        return text.translate(_ALIKE_ASCII)
    return text.replace("\u0130", "I").lower().translate(_ALIKE)  # the one letter that grows when lowered


def _single_blanks(text: str) -> tuple[str, list[int], list[int]]:
    """Give a text without its doubled blanks; where they were, and how many are left out up to each."""
    gaps, removed = [], [0]
    for match in _MORE_BLANKS.finditer(text):
        gaps.append(match.start() - removed[-1])
        removed.append(removed[-1] + match.end() - match.start())
    return _MORE_BLANKS.sub("", text), gaps, removed


def _anywhere(value: str) -> bool:
    """Whether a value is so distinctive that it is recognised inside of a longer word, too."""
    return len(value) >= _SHORTEST_INSIDE and not value.isalpha()


def label(name: str) -> str:
    """Give a column's name as it stands in a placeholder: one line, no brackets."""
    line = "".join(char if char.isprintable() else "\ufffd" for char in name)
    return line.replace("[", "(").replace("]", ")").replace(MASK, "\ufffd")[:80]


def _core(text: str) -> str:
    """Give the part of a text that is looked for, empty for a text that says too little."""
    number = _NUMBER.fullmatch(text.strip())
    if number and not _telling(_printed(number)[0]):
        return ""
    core = _looked_for(text)
    if len(core) < _SHORTEST and not (len(core) >= _SHORTEST_CJK and _HAS_CJK.search(core)):
        return ""
    return "" if core in _ORDINARY or MASK in core else core


def _looked_for(text: str) -> str:
    core = _folded(text)
    if "  " in core:
        core = _MORE_BLANKS.sub("", core)
    return core if core[:1].isalnum() and core[-1:].isalnum() else _EDGES.sub("", core)


def _spellings(text: str) -> Iterator[str]:
    """Give the other spellings that printing gives a text."""
    if _IN_ESCAPES.search(text):
        plain = json.dumps(text, ensure_ascii=False)[1:-1]
        for form in (repr(text)[1:-1], plain, json.dumps(text)[1:-1], text.replace('"', '""'), html.escape(text)):
            core = _looked_for(form)
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


def _longest(values: list[str], text: str, at: int, *, begins: bool) -> int:
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
        if shared == len(value) and (_anywhere(value) or (begins and _ends(text, at + shared))):
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
    return not after.isalnum() or bool(_HAS_CJK.match(before) or _HAS_CJK.match(after))


def _within(values: array[float] | array[int], low: float, high: float) -> bool:
    index = bisect_left(values, low)
    return index < len(values) and values[index] <= high


def _numbers(columns: dict[str, Column], text: str) -> Iterator[Span]:
    for match in _NUMBER.finditer(text):
        digits, number, tolerance = _printed(match)
        if _telling(digits):
            whole = not ((match[2] or "").strip("0") or match[3])
            for name, column in columns.items():
                if column.has_number(number, tolerance, whole=whole):
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
        clock = _since_midnight(match[9]) if match[9] else 0
        moments = {moment for day in _days(match) for moment in (day, day + clock)}
        for name, column in columns.items():
            if any(map(column.has_moment, moments)):
                yield Span(*match.span(), f"private: {label(name)}")
                break


def _days(match: re.Match[str]) -> Iterator[int]:
    """Give the days that a printed date can mean: 03/10/1950 is in March or in October."""
    year, _, month, day, first, _, second, last = match.groups()[:8]
    for parts in {(year, month, day)} if year else {(last, second, first), (last, first, second)}:
        with suppress(ValueError):  # no such day
            yield microseconds(datetime(int(parts[0]), int(parts[1]), int(parts[2])))  # noqa: DTZ001  # times are compared as they are printed


def _since_midnight(clock: str) -> int:
    try:
        at = time.fromisoformat(clock)
    except ValueError:  # 24:00
        return 0
    return ((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000 + at.microsecond
