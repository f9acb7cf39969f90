"""What became of the rows, as a frame like the input: its index, order and columns, and beside them the replies."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from kimi_magic.errors import CommandError
from kimi_magic.jobs.rows import Rows
from kimi_magic.schema import Invalid, Output
from kimi_magic.schema.frame import Cells, cell, table

__all__ = ["ERROR", "REPLY", "Outcome", "result"]

REPLY = "reply"
"""The column of replies that are text."""
ERROR = "kimi_error"
"""The column that says why a row has none."""


class Outcome(NamedTuple):
    """What became of one row: the `text` of its reply, the `value` that stands for, or the `error` in its place.

    Where a type is asked for and there is a text without a value, the text is checked here. A row that was not asked,
    because it holds nothing, has none of the three.
    """

    text: str | None = None
    value: Any = None
    error: str | None = None


def result(
    rows: Rows,
    outcomes: Iterable[Outcome | None],
    out: Output | None = None,
    *,
    everything: bool = False,
    nullable: bool = False,
) -> Any:
    """Make the frame of the rows that are finished: all their columns, those of the replies, and `kimi_error`.

    `outcomes` are in the order of the rows, None for one that is not finished; with `everything` such a row is kept,
    its replies missing. A column whose name is taken gets the prefix `kimi_`. With `nullable` the dtypes of pandas are
    the same whether a reply is missing or not. Raises CommandError where the rows are no longer what they were.
    """
    kinds = {REPLY: str} if out is None else dict(out.columns)
    cells: Cells = {name: [] for name in kinds}
    errors: list[str | None] = []
    positions = _filled(outcomes, out, cells, errors, everything=everything)
    told = len(positions) if everything else None
    base = rows.taken(None if everything or len(positions) == rows.total else positions)
    if told is not None and told < len(base):
        gap = [None] * (len(base) - told)
        for column in (*cells.values(), errors):
            column.extend(gap)
    if len(base) != len(errors):
        raise CommandError(f"There are {len(base):,} rows, and replies to {len(errors):,}.", hint="Map them anew.")
    made = table(cells, kinds, rows.like, nullable=nullable)
    return _beside(base, [*_columns(made), *_columns(table({ERROR: errors}, {ERROR: str}, rows.like))], rows.like)


def _filled(
    outcomes: Iterable[Outcome | None], out: Output | None, cells: Cells, errors: list[str | None], *, everything: bool
) -> list[int]:
    """Append each row's reply to the cells and its error to the errors; give the positions of the rows."""
    positions = []
    appends = [(name, column.append) for name, column in cells.items()]
    for n, outcome in enumerate(outcomes):
        if outcome is None and not everything:
            continue
        record, error = ({}, None) if outcome is None else _record(outcome, out)
        for name, append in appends:
            append(cell(record.get(name)))
        errors.append(error)
        positions.append(n)
    return positions


def _record(outcome: Outcome, out: Output | None) -> tuple[Any, str | None]:
    """Give what a row puts into the columns of replies, and its error."""
    text, value, error = outcome
    if error is not None:
        return {}, error
    if out is None:
        return {REPLY: text}, None
    if value is None:
        if text is None:
            return {}, None
        try:
            value = out.parse(text)
        except Invalid as invalid:
            return {}, "; ".join(invalid.reasons[:3])
    return out.record(value), None


def _columns(made: Any) -> Iterator[tuple[str, Any]]:
    """Give names and columns of a table."""
    names = made.column_names if hasattr(made, "column_names") else made.columns
    return ((name, made[name]) for name in names)


def _beside(base: Any, made: Sequence[tuple[str, Any]], like: str) -> Any:
    """Put columns beside those of a frame, in the same order of rows."""
    labels = base.column_names if like == "pyarrow" else base.columns
    taken = {name for label in labels for name in _names(label)}
    for name, column in made:
        free = name
        while free in taken:
            free = f"kimi_{free}"
        taken.add(free)
        if like == "pandas":
            levels = base.columns.nlevels
            label = free if levels == 1 else (free, *[""] * (levels - 1))
            base.insert(len(base.columns), label, column.array)  # by position: labels of the index may repeat
        elif like == "polars":
            base = base.with_columns(column.alias(free))
        else:
            base = base.append_column(free, column)
    return base


def _names(label: Hashable) -> tuple[str, ...]:
    """Name a column's label; in a MultiIndex its first level counts as well."""
    return (str(label), str(label[0])) if isinstance(label, tuple) and label else (str(label),)
