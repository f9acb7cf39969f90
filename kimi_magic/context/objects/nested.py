"""Dicts, lists, sets and records of any depth → JSON that fits: their ends, the middle counted, private keys hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.objects.containers import Contents, Mark, contents, is_enum, scalar
from kimi_magic.context.objects.saying import canonical, type_name

__all__ = ["brief", "describe"]

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class _Limits:
    """How much of each container is shown: items, characters of a string, containers in containers."""

    items: int
    characters: int
    depth: int


_LEVELS = (
    _Limits(3_000, 8_000, 14),
    _Limits(1_000, 4_000, 10),
    _Limits(300, 2_000, 8),
    _Limits(100, 800, 7),
    _Limits(50, 400, 6),
    _Limits(24, 200, 5),
    _Limits(12, 120, 4),
    _Limits(8, 80, 3),
    _Limits(6, 60, 2),
    _Limits(4, 40, 1),
)
"""From the closest look to the farthest; the first that fits is taken."""
_SMALL, _CLOSE = 4_000, 3
"""Where not all is asked for, the first levels are for what is short: a long list says no more than its ends."""
_BRIEFEST = (_Limits(8, 60, 2), _Limits(5, 30, 2), _Limits(3, 20, 1))


def describe(obj: object, look: Look) -> Description | None:
    """Describe a container or a record; None for anything else."""
    inside = contents(obj)
    if inside is None:
        return None
    shelf = _Shelf(look)
    text = ""
    if not look.full:
        text = _fitted(obj, shelf, _LEVELS[:_CLOSE], min(_SMALL, look.room), width=_WIDTH)
    text = text or _fitted(obj, shelf, _LEVELS if look.full else _LEVELS[_CLOSE:], look.room, width=_WIDTH)
    text = text or _last(obj, shelf, look.room)
    return Description.of(
        look.word(type_name(obj)),
        look.text(text),
        shape=inside.shape,
        withheld=tuple(sorted(shelf.withheld)),
        omitted=shelf.omitted,
    )


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what a container or a record holds; None for anything else."""
    inside = contents(obj)
    if inside is None:
        return None
    head = f"{look.word(type_name(obj))}, {inside.shape}"
    room = min(look.room, 200) - len(head) - 2
    text = _fitted(obj, _Shelf(look), _BRIEFEST, room, width=0)
    return f"{head}: {text}" if text else head


class _TooLong(Exception):
    """What is being written has outgrown its room."""


class _Shelf:
    """What was found once for one object, on every try to fit it; and what had to be left out."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.withheld: set[str] = set()
        self.omitted = ""
        self.known: dict[int, Contents | None] = {}
        self.cleaned: dict[int, str] = {}
        self.briefs: dict[int, str] = {}
        self.held: dict[int, str] = {}
        self.alive: list[object] = []  # so that no id is given twice

    def opened(self, value: object) -> Contents | None:
        """Look into a value."""
        if id(value) not in self.known:
            self.alive.append(value)
            self.known[id(value)] = contents(value)
        return self.known[id(value)]

    def text(self, value: str) -> str:
        """Guard a string; a long one only once."""
        if len(value) < _LEVELS[-1].characters:
            return self.look.guard.clean(str.__str__(value))
        if id(value) not in self.cleaned:
            self.alive.append(value)
            self.cleaned[id(value)] = self.look.guard.clean(str.__str__(value))
        return self.cleaned[id(value)]

    def brief(self, value: object) -> str:
        """Mention what is no JSON."""
        if id(value) not in self.briefs:
            self.alive.append(value)
            self.briefs[id(value)] = kinds.brief(value, self.look.deeper(200))
        return self.briefs[id(value)]

    def private(self, value: object, inside: Contents) -> str:
        """Name the private column whose values lie in a flat container, or are the keys of a dict; empty for none."""
        if id(value) not in self.held:
            values = (item[0] if inside.pairs else item for item in inside.first())
            begun = list(islice(values, 20))
            plain = bool(begun) and not inside.label and all(issubclass(type(v), str | int | float) for v in begun)
            self.held[id(value)] = self.look.guard.holds([*begun, *values]) if plain else ""
        return self.held[id(value)]


@dataclass(frozen=True, slots=True)
class _Group:
    """An array or an object, its entries written already; `flat` where none of them is a group."""

    ends: str
    entries: list[tuple[str, str | _Group]]


def _fitted(obj: object, shelf: _Shelf, levels: tuple[_Limits, ...], room: int, width: int) -> str:
    """Write a value as closely as there is room for; empty where there is not."""
    for limits in levels:
        writer = _Writer(shelf, limits, room)
        with suppress(_TooLong):
            text = "".join(_lines(writer.node(obj, 0), width))
            if len(text) <= room:
                shelf.omitted = writer.omitted
                return text
    return ""


def _last(obj: object, shelf: _Shelf, room: int) -> str:
    """Write what fits at no level: in one line, cut wherever that is."""
    writer = _Writer(shelf, _BRIEFEST[-1], 100_000)
    with suppress(_TooLong):
        text = "".join(_lines(writer.node(obj, 0), 0))
        shelf.omitted = "all but the beginning and the end"
        return shortened(text, room)
    return _quoted(type_name(obj))


class _Writer:
    """Writes values within limits, as a tree of JSON."""

    def __init__(self, shelf: _Shelf, limits: _Limits, room: int) -> None:
        self._shelf = shelf
        self._limits = limits
        self._left = room
        self._path: list[int] = []
        self.omitted = ""

    def node(self, value: object, depth: int) -> str | _Group:
        """Write one value."""
        written = self._atom(value)
        if written is not None:
            return self._spend(written)
        inside = self._shelf.opened(value)
        if inside is None:
            return self._spend(_quoted(self._shelf.brief(value)))
        if id(value) in self._path:
            return self._spend('"<cycle>"')
        if depth >= self._limits.depth and inside.size:
            self.omitted = self.omitted or "what lies deeper"
            return self._spend(_quoted(f"{type_name(value)}, {inside.shape}"))
        if private := self._shelf.private(value, inside):
            return self._withheld(private)
        self._path.append(id(value))
        group = self._group(inside, depth)
        self._path.pop()
        return group

    def _atom(self, value: object) -> str | None:
        if type(value) is Mark:
            return f'"<{value.words}>"'
        kind = type(value)
        if value is None or kind is bool:
            return {None: "null", True: "true", False: "false"}[value]  # type: ignore[index]
        if issubclass(kind, str) and not is_enum(value):
            text = self._shelf.text(value)  # type: ignore[arg-type]
            if len(text) > self._limits.characters:
                self.omitted = self.omitted or "the middle of long texts"
            return _quoted(_cut(text, self._limits.characters))
        word = scalar(value)
        if word is None:
            return None
        if issubclass(kind, int | float) and not is_enum(value):
            return _FLOATS.get(word) or (word if word[-1].isdigit() else _quoted(word))
        number = kinds.roots(value) == {"numpy"} and _is_number(word)
        return word if number else _quoted(_cut(self._shelf.look.guard.clean(word), self._limits.characters))

    def _group(self, inside: Contents, depth: int) -> _Group:
        entries: list[tuple[str, str | _Group]] = []
        if inside.label and depth:
            entries.append(("", self._spend(f'"<type>": {_quoted(inside.label)}')))
        most = self._limits.items
        cut = inside.size > most
        tail = most // 3 if cut else 0
        entries += [self._entry(item, inside, depth) for item in islice(inside.first(), most - tail)]
        if cut:
            words = f"… {inside.size - most:,} more {'keys' if inside.pairs else 'items'} …"
            entries.append(('"…": ' if inside.pairs else "", self._spend(_quoted(words))))
            last = list(islice(inside.last(), tail))
            entries += [self._entry(item, inside, depth) for item in reversed(last)]
            if not depth or not self.omitted:
                self.omitted = words.strip("… ").replace("more ", "") + ("" if not depth else " of nested values")
        return _Group("{}" if inside.pairs else "[]", entries)

    def _entry(self, item: Any, inside: Contents, depth: int) -> tuple[str, str | _Group]:
        if not inside.pairs:
            return "", self.node(item, depth + 1)
        key, value = item
        name = self._key(key)
        if self._shelf.look.hides(key):
            return name, self._withheld(str(key) if issubclass(type(key), str) else canonical(key))
        return name, self.node(value, depth + 1)

    def _key(self, key: object) -> str:
        if issubclass(type(key), str) and not is_enum(key):
            words = self._shelf.text(key)  # type: ignore[arg-type]
        else:
            words = self._shelf.look.guard.clean(scalar(key) or canonical(key))
        return self._spend(_quoted(_cut(words, self._limits.characters)) + ": ")

    def _withheld(self, name: str) -> str:
        self._shelf.withheld.add(self._shelf.look.word(name))
        return self._spend(_quoted(f"[private: {self._shelf.look.word(name)}]"))

    def _spend(self, text: str) -> str:
        self._left -= len(text) + 2
        if self._left < 0:
            raise _TooLong
        return text


_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return word[-1].isdigit()


def _quoted(text: str) -> str:
    """Write a JSON string in which nothing is invisible."""
    word = json.dumps(text, ensure_ascii=False)
    return word if word.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in word)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    if longest < 100:  # noqa: PLR2004  # no room to say how much
        return shortened(text, longest)
    head, tail = (longest - 30) * 2 // 3, (longest - 30) // 3
    return f"{text[:head]}[… {len(text) - head - tail:,} characters …]{text[-tail:]}"


def _lines(node: str | _Group, width: int, indent: int = 0, before: int = 0) -> Iterator[str]:
    """Lay out: in one line where that is short (or there is no width), else an entry a line, bare values filled up."""
    if isinstance(node, str):
        yield node
        return
    line = _compact(node, width - indent - before if width else None)
    if line is not None:
        yield line
        return
    pad = " " * (indent + 2)
    yield node.ends[0] + "\n"
    if all(isinstance(value, str) and not key for key, value in node.entries) and node.ends == "[]":
        yield _filled([str(value) for _, value in node.entries], pad, width)
    else:
        for n, (key, value) in enumerate(node.entries):
            yield pad + key
            yield from _lines(value, width, indent + 2, len(key))
            yield ",\n" if n < len(node.entries) - 1 else "\n"
    yield " " * indent + node.ends[1]


def _filled(words: list[str], pad: str, width: int) -> str:
    lines, line = [], ""
    for n, word in enumerate(words):
        piece = word + ("," if n < len(words) - 1 else "")
        if line and len(pad) + len(line) + len(piece) + 1 > width:
            lines.append(pad + line)
            line = piece
        else:
            line = f"{line} {piece}" if line else piece
    return "\n".join([*lines, pad + line]) + "\n"


def _compact(node: _Group, width: int | None) -> str | None:
    """Write a group in one line, None where that would be too long."""
    pieces: list[str] = []
    left = width
    for key, value in node.entries:
        piece = value if isinstance(value, str) else _compact(value, left)
        if piece is None:
            return None
        pieces.append(key + piece)
        if left is not None:
            left -= len(key) + len(piece) + 2
            if left < 0:
                return None
    return node.ends[0] + ", ".join(pieces) + node.ends[1]
