"""Which values of an array are shown, and how: all of a small one, the ends of each axis, some rows, or all as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from kimi_magic.context.arrays.ndarrays import Array
from kimi_magic.context.description import Look
from kimi_magic.context.tables import sheet
from kimi_magic.context.tables.cells import cell, count, is_missing, written
from kimi_magic.context.tables.columns import attempt
from kimi_magic.context.tables.sampling import spread

__all__ = ["all_values", "some_values"]

_SMALL = 100
_VALUE = 24


def some_values(array: Array, look: Look, room: int) -> tuple[list[str], int, str]:
    """Show some values; give lines, how many rows they come from, and what was left out for lack of room."""
    if array.at is None or not array.size:
        return [], 0, ""
    if not array.shape:
        return [f"value: {_at(array, (), look, 400)}"], 1, ""
    whole = array.size <= _SMALL
    lines: list[str] = []
    rows, columns = _rows(array, look, whole=whole), _columns(array, look, room, whole=whole)
    for row in rows:
        line = _line(array, row, columns, look)
        if sum(map(len, lines)) + len(lines) + len(line) > room - 80:
            break
        lines.append(line)
    left = f"{count(len(rows) - len(lines))} of {count(len(rows))} rows" if len(lines) < len(rows) else ""
    title = "all values:" if whole else "some of the values:"
    notice = [f"[… {left} left out for lack of room …]"] if left else []
    return [title, *lines, *notice], len(lines) if rows != [()] else len(columns), left


def all_values(array: Array, look: Look, room: int) -> tuple[str, int]:
    """Write all values as CSV, as many rows as fit; of more than two axes each row begins with its index."""
    width = array.shape[-1] if len(array.shape) > 1 else 1
    leading = array.shape[:-1] if len(array.shape) > 1 else array.shape
    axes = len(leading) if len(leading) > 1 else 0
    head = [f"axis {n}" for n in range(axes)] + ([str(n) for n in range(width)] if len(array.shape) > 1 else ["value"])
    most = sheet.most_rows(width, room)

    def rows() -> Iterator[list[str | None]]:
        for row, index in zip(range(most), product(*map(range, leading)), strict=False):  # noqa: B007
            cells = [(*index, n) for n in range(width)] if len(array.shape) > 1 else [index]
            yield [*map(str, index[:axes]), *(_field(array, at, look) for at in cells)]

    return sheet.csv(head, rows(), prod(leading), look, room)


def _rows(array: Array, look: Look, *, whole: bool) -> list[tuple[int, ...]]:
    """Choose rows, which are vectors along the last axis; of a vector its values, if rows were asked for."""
    *leading, last = array.shape
    if not leading:
        return [(n,) for n in spread(last, max(0, look.rows))] if look.rows is not None else [()]
    if whole and look.rows is None:
        return list(product(*map(range, leading)))
    outer = (0,) * (len(leading) - 1)
    chosen = _ends(leading[-1], 3, 3) if look.rows is None else spread(leading[-1], max(0, look.rows))
    return [(*outer, n) for n in chosen]


def _columns(array: Array, look: Look, room: int, *, whole: bool) -> list[int]:
    if len(array.shape) == 1:
        return [] if look.rows is not None else _ends(array.shape[0], _SMALL if whole else 8, 4)
    if whole:
        return list(range(array.shape[-1]))
    if look.rows is None:
        return _ends(array.shape[-1], 6, 3)
    most = max(1, room // 200)
    return _ends(array.shape[-1], most - most // 3, most // 3)


def _ends(size: int, first: int, last: int) -> list[int]:
    """Give the positions at both ends of an axis."""
    return list(range(size)) if size <= first + last else [*range(first), *range(size - last, size)]


def _line(array: Array, row: tuple[int, ...], columns: list[int], look: Look) -> str:
    """Write one row: its index, then values with … where some are left out."""
    if len(row) == len(array.shape):
        return f"[{row[0]}] {_at(array, row, look)}"
    texts: list[str] = []
    for before, n in zip([-1, *columns], columns, strict=False):
        texts += ["…"] * (n > before + 1) + [_at(array, (*row, n), look)]
    index = ", ".join([*map(str, row), ":"])
    return f"[{index}] {', '.join(texts)}"


def _at(array: Array, index: tuple[int, ...], look: Look, longest: int = _VALUE) -> str:
    value = attempt(lambda: array.at(index))  # type: ignore[misc]  # some_values has asked
    return cell(value, look, longest)


def _field(array: Array, index: tuple[int, ...], look: Look) -> str | None:
    value = attempt(lambda: array.at(index))  # type: ignore[misc]  # all_values is asked only then
    if is_missing(value):
        return None
    return repr(float(value)) if isinstance(value, float) else written(value, look, look.room)
