"""Texts, lists and arrays in which a private column stands and is none any more: `df.to_csv()`, `df.age.tolist()`.

The guard knows distinctive values wherever they stand. What is checked here, for tools that reach everything in the
kernel, is the rest: a text that names a private column, and values such as 31 and 42 that together are those of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice, zip_longest
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Look
from kimi_magic.context.guard.values import Values, columns_of, distinct, lazy

__all__ = ["Private"]

_MOST = 10_000
"""Distinct values of a column beyond which they are distinctive, and known to the guard."""
_ROWS = 100_000
_DEPTH = 4
_FEWEST, _COVERED, _SHARE = 2, 0.5, 0.9
_CELL = re.compile(r"[^\s,;|\[\](){}'\"]+")
_SUFFIX = r"(?:_(?:x|y|l|r|left|right|old|new|\d{1,3})|[:.]\d{1,3})*"


class Private:
    """The private columns of the tables of a namespace, as they are now."""

    def __init__(self, namespace: Mapping[str, Any], look: Look) -> None:
        self._guard = look.guard
        names = "|".join(re.escape(name.strip()) for name in self._guard.names)
        self._names = re.compile(rf"(?<![^\W_])(?:{names}){_SUFFIX}(?![^\W_])", re.IGNORECASE) if names else None
        self._columns = dict(self._read(namespace)) if names else {}

    def within(self, value: object) -> str:
        """Name the private column that a text, a list, a dictionary or an array holds; empty for none."""
        return self._within(value, 0) if self._names is not None else ""

    def _read(self, namespace: Mapping[str, Any]) -> Iterator[tuple[str, Values]]:
        for table in list(namespace.values()):
            if not kinds.is_data(table):
                continue
            with suppress(Exception):  # any library, in any state
                for name in columns_of(table) if not lazy(table) else ():
                    if self._guard.hides(name) and not (values := distinct(table, name, _MOST)).more:
                        yield name, values

    def _within(self, value: Any, depth: int) -> str:
        if isinstance(value, str):
            named = self._names.search(value) if self._names is not None else None
            return named[0] if named else next(filter(None, map(self._holder, _cells(value))), "")
        if isinstance(value, Mapping):
            value = [*value.values()]
        elif type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            value = value.tolist()
        if not isinstance(value, list | tuple | set | frozenset) or depth == _DEPTH:
            return ""
        items = list(islice(value, _ROWS))
        rows = [list(one.values()) if isinstance(one, Mapping) else one for one in items]
        tabular = [row for row in rows if isinstance(row, list | tuple)]
        columns = [items, *zip_longest(*tabular)]
        found = next(filter(None, map(self._holder, columns)), "")
        return found or next(filter(None, (self._within(one, depth + 1) for one in items if not _plain(one))), "")

    def _holder(self, values: Iterable[object]) -> str:
        """Name the private column of which these are the values, or most of them."""
        shown = [one for one in values if _plain(one)]
        if self._guard.names and (known := self._guard.holds(shown)):
            return known
        mine = Values.of(shown)
        for name, theirs in self._columns.items():
            for own, other in ((mine.texts, theirs.texts), (mine.numbers, theirs.numbers)):
                common = len(own & other)
                if common >= max(_FEWEST, _SHARE * len(own), _COVERED * len(other)):
                    return name
        return ""


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _cells(text: str) -> Iterator[list[object]]:
    """Give all cells of a text, and each column of what is printed or written as a table."""
    rows = [[_read(cell) for cell in _CELL.findall(line)] for line in text.splitlines()[:_ROWS]]
    yield [cell for row in rows for cell in row]
    for column in zip_longest(*rows):
        yield list(column)


def _read(cell: str) -> object:
    with suppress(ValueError):
        return float(cell)
    return cell
