"""Parts of an object: rows of a table or an array, items of a container, lines of a text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects.containers import contents
from kimi_magic.context.tables.subject import found

__all__ = ["part", "with_room"]

_MOST = 1_000


def with_room(look: Look, room: int, *, full: bool = False) -> Look:
    """Look with so many characters of room."""
    return replace(look, room=room, full=full)


def part(value: Any, look: Look, *, rows: int, columns: Sequence[str], start: int) -> Description:
    """Describe `rows` rows, items or lines from `start` on (below 0: counted from the end), at most 1,000.

    Raises CommandError for a column that there is not, and ValueError for numbers that make no sense.
    """
    if rows < 1:
        raise ValueError("rows must be at least 1")
    rows = min(rows, _MOST)
    wanted = replace(look, full=True, columns=tuple(columns))
    table = found(value, look)
    if table is not None:
        return _rows(value, table.lazy, table.frame.rows, wanted, rows, start)
    if columns:
        raise ValueError("this is no table, so it has no columns")
    look = replace(look, full=True)
    if isinstance(value, str):
        return _sliced(value.splitlines(), look, rows, start, "lines", "\n".join)
    inside = contents(value)
    if inside is not None:
        first, last = _bounds(inside.size, rows, start)
        items = list(itertools.islice(inside.first(), first, last))
        whole: object = dict(items) if inside.pairs else items
        return _titled(kinds.describe(whole, look), first, last, inside.size, "items")
    if hasattr(value, "__getitem__") and hasattr(value, "shape") and len(value.shape):
        first, last = _bounds(int(value.shape[0]), rows, start)
        return _titled(kinds.describe(value[first:last], look), first, last, int(value.shape[0]), "rows")
    return kinds.describe(value, look)


def _rows(value: Any, lazy: bool, size: int | None, look: Look, rows: int, start: int) -> Description:  # noqa: FBT001
    if lazy or size is None:
        if start:
            raise ValueError("this table is lazy: only its first rows can be read, so start must be 0")
        return kinds.describe(value, replace(look, rows=rows, full=False))
    first, last = _bounds(size, rows, start)
    return _titled(kinds.describe(_taken(value, first, last), look), first, last, size, "rows")


def _taken(value: Any, first: int, last: int) -> Any:
    """Take rows of a table or a column, in its own library."""
    if hasattr(value, "iloc"):
        return value.iloc[first:last]
    if hasattr(value, "slice") and not hasattr(value, "nlevels"):
        return value.slice(first, last - first)
    return value[first:last]


def _sliced(items: list[str], look: Look, rows: int, start: int, what: str, joined: Any) -> Description:
    first, last = _bounds(len(items), rows, start)
    return _titled(kinds.describe(joined(items[first:last]), look), first, last, len(items), what)


def _bounds(size: int, rows: int, start: int) -> tuple[int, int]:
    first = max(0, size + start) if start < 0 else min(start, size)
    return first, min(size, first + rows)


def _titled(found: Description, first: int, last: int, size: int, what: str) -> Description:
    """Say which part it is."""
    from kimi_magic.messages import Text

    where = f"{what} {first:,} to {last - 1:,} of {size:,}" if last > first else f"none of {size:,} {what}"
    return replace(found, parts=(Text(f"[{where}]"), *found.parts))
