"""Tables and columns of pandas, polars, pyarrow, duckdb, dask and whatever else narwhals knows.

What kind, how large, its index; each column with dtype, nulls, distinct values and their range or the commonest; then a
few rows that between them show most of what occurs. Or all rows as CSV. What is private is named and nothing more.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence

from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.tables import sheet
from kimi_magic.context.tables.cells import cell, count, grid, is_missing, quoted, written
from kimi_magic.context.tables.columns import summarise
from kimi_magic.context.tables.sampling import spread
from kimi_magic.context.tables.shown_rows import telling_rows
from kimi_magic.context.tables.subject import WITHHELD, Subject, found
from kimi_magic.errors import CommandError

__all__ = ["brief", "describe", "described", "summed_up"]

_ROWS = 6
_SMALL_TABLE, _SMALL_COLUMN = 10, 24
_MANY_CELLS = 500_000
_SAMPLED_CELLS = 200_000
_FEWEST_SAMPLED, _MOST_SAMPLED = 1_000, 100_000
_PICKED_FROM = 300
_NAMED = 8
_BATCH = 500
_SHORTEST_ROW = 8


def describe(obj: object, look: Look) -> Description | None:
    """Describe a table, a column or an index; None for anything else. Raise CommandError for a column it has not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = found(obj, look)
        return None if subject is None else described(subject)


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what it is: type, shape, the first names and dtypes, or the first values of a column."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subject = found(obj, look)
        return None if subject is None else summed_up(subject)


def described(subject: Subject) -> Description:
    """Describe what was read as a table; of one that its library cannot read, what is known without reading."""
    try:
        return _in_full(subject) if subject.look.full else _in_short(subject)
    except (KeyboardInterrupt, CommandError):
        raise
    except BaseException as error:  # noqa: BLE001  # Rust panics derive from it
        lines = [f"{subject.frame.title}: {_shape(subject)}", f"Its values could not be read: {type(error).__name__}."]
        return _description(subject, lines, [], 0, ("all values",))


def _in_short(subject: Subject) -> Description:
    """Columns in detail, then a few telling rows."""
    wanted = _wanted(subject)
    subject.open(min(wanted, subject.look.room // _SHORTEST_ROW))
    most = max(_PICKED_FROM, min(wanted, subject.look.room // _SHORTEST_ROW))
    subject.picks = list(range(min(subject.rows, most))) if subject.lazy else spread(subject.rows, most)
    heading = _heading(subject)
    if subject.lazy and not wanted:
        heading.insert(-1, "lazy: its rows are not read unasked; --rows 5 reads the first")
    room = subject.look.room - _length(heading)
    columns, detailed, missing = _columns(subject, room * 3 // 5 if wanted and subject.rows else room)
    visible = [n for n in detailed if not subject.is_private(n)]
    rows, shown, left_out = telling_rows(subject, visible, wanted, room - _length(columns))
    return _description(subject, [*heading, *columns, *rows], visible, shown, (missing, left_out))


def _in_full(subject: Subject) -> Description:
    """All rows as CSV, as many as fit."""
    chosen, room = subject.chosen(), subject.look.room
    most = sheet.most_rows(len(chosen), room)
    subject.open(most)
    readable = min(subject.rows, most)
    subject.picks = spread(readable, _PICKED_FROM)
    visible = [n for n in chosen if not subject.is_private(n)]
    heading = [*_heading(subject), *_private_line(subject, chosen)]
    head = [label for label, _ in subject.row_labels([])] + [subject.name(n) for n in visible]
    rows = _records(subject, visible, readable)
    text, shown = "", 0
    if head:
        text, shown = sheet.csv(head, rows, subject.frame.rows, subject.look, room - _length(heading))
    omitted = "" if shown == subject.frame.rows else f"{count(subject.rows - shown)} rows"
    if subject.lazy:
        omitted = "further rows, not counted"
    return _description(subject, [*heading, text], visible, shown, (omitted,))


def _records(subject: Subject, visible: list[int], readable: int) -> Iterator[list[str | None]]:
    """Read rows as fields of CSV, in batches, because texts may be long."""
    for start in range(0, readable, _BATCH):
        positions = list(range(start, min(start + _BATCH, readable)))
        columns = [values for _, values in subject.row_labels(positions)]
        columns += [subject.read(n, positions) for n in visible]
        for row in zip(*columns, strict=True):
            yield [_field(value, subject.look) for value in row]


def summed_up(subject: Subject) -> str:
    """Say in one line what was read as a table."""
    frame, look = subject.frame, subject.look
    rows = "?" if subject.lazy else count(subject.rows)
    if frame.kind == "table":
        known = [f"{subject.name(n, 30)} {subject.dtype(n, 24)}" for n in range(min(_NAMED, len(frame.labels)))]
        more = ["…"] * (len(frame.labels) > len(known))
        return f"{subject.type_name} {rows} × {count(len(frame.labels))} [{', '.join(known + more)}]"
    subject.picks = range(0 if subject.lazy else min(_PICKED_FROM, subject.rows))
    name = "" if frame.labels[0] in (None, "") else f" {subject.name(0)}"
    line = f"{subject.type_name} {rows} {subject.dtype(0, 24)}{name}"
    if subject.is_private(0):
        return f"{line} ({WITHHELD})"
    values = [quoted(value, look, 26) for value in subject.values(0)[:5]]
    return f"{line} [{', '.join(values + ['…'] * (subject.lazy or subject.rows > len(values)))}]"


def _wanted(subject: Subject) -> int:
    """Say how many rows to show: what is small is shown whole."""
    if subject.look.rows is not None:
        return max(0, subject.look.rows)
    if subject.lazy:
        return 0  # the first rows may cost as much as all of them
    small = _SMALL_TABLE if subject.frame.kind == "table" else _SMALL_COLUMN
    return _ROWS if subject.rows > small else subject.rows


def _heading(subject: Subject) -> list[str]:
    frame, look = subject.frame, subject.look
    lines = [f"{frame.title}: {_shape(subject)}"]
    for label, level, private in subject.levels():
        said = WITHHELD if private else f"{count(level.distinct)} different" if level.distinct is not None else ""
        ends = [] if private or not subject.rows else level.take([0, subject.rows - 1])
        span = " … ".join(cell(end, look) for end in ends) + " (first … last)" if ends else ""
        lines.append(
            f"index: {label}, {look.word(level.dtype, 40)}" + "".join(f", {part}" for part in (said, span) if part)
        )
    if any(level is not None for level in frame.label_levels):
        lines.append("column levels: " + ", ".join(look.word(level) for level in frame.label_levels))
    if subject.gone:
        lines.append(f"rows left out, {WITHHELD}: " + ", ".join(look.word(label) for label in subject.gone[:_NAMED]))
    return [*(line[:400] for line in lines[:12]), ""]


def _shape(subject: Subject) -> str:
    columns = len(subject.labels)
    rows = "rows not counted (lazy)" if subject.lazy else f"{count(subject.rows)} row{'s' * (subject.rows != 1)}"
    if subject.frame.kind == "table":
        return f"{rows} × {count(columns)} column{'s' * (columns != 1)}"
    return rows.replace("row", "value")


def _columns(subject: Subject, room: int) -> tuple[list[str], list[int], str]:
    """Describe columns while there is room; give lines, the columns described, and what was left out."""
    chosen = subject.chosen()
    if not chosen:
        return [], [], ""
    sample = None if subject.lazy else _sample(subject.rows, min(len(chosen), max(1, room // 40)))
    notes = [] if sample is None else [_sampled(len(sample))]
    head = ["column", "dtype"] + ([] if subject.lazy else ["nulls", "distinct", "values"])
    table: list[list[str]] = []
    used = 0
    while len(table) < len(chosen) and used < room:
        table.append(_column(subject, chosen[len(table)], sample))
        used += _width(table[-1])
    lines, rest = grid(head, table), chosen[len(table) :]
    while table and _length([*lines, *notes, *_others(subject, rest)]) > room:
        del table[-1 - len(table) // 20 :]
        lines, rest = grid(head, table) if table else [], chosen[len(table) :]
    omitted = f"{count(len(rest))} columns in detail" if rest else ""
    return [*lines, *_others(subject, rest), *notes, ""], chosen[: len(table)], omitted


def _column(subject: Subject, column: int, sample: Sequence[int] | None) -> list[str]:
    private = subject.is_private(column)
    known = [subject.name(column), subject.dtype(column)]
    if subject.lazy:
        return [known[0], f"{known[1]} ({WITHHELD})" if private else known[1]]
    if private:
        return [*known, "", "", WITHHELD]
    summary = summarise(subject.opened.column(column), subject.rows, sample, subject.look)
    return [*known, summary.nulls, summary.distinct, summary.values]


def _sample(rows: int, columns: int) -> list[int] | None:
    """Choose rows to look at where all would be too many; None for all."""
    wanted = min(max(_FEWEST_SAMPLED, _SAMPLED_CELLS // columns), _MOST_SAMPLED)
    return None if wanted >= rows or rows * columns <= _MANY_CELLS else spread(rows, wanted)


def _sampled(rows: int) -> str:
    return (
        f"Distinct (≥), shares in %, mean, median and whatever is marked ~: of {count(rows)} evenly spread rows. "
        "Other nulls and ranges: of all rows."
    )


def _others(subject: Subject, rest: list[int]) -> list[str]:
    """Summarise the columns that are not described, by dtype."""
    if not rest:
        return []
    by_dtype: dict[str, list[int]] = defaultdict(list)
    for n in rest:
        by_dtype[subject.dtype(n)].append(n)
    parts = [_group(subject, dtype, columns) for dtype, columns in list(by_dtype.items())[:_NAMED]]
    parts += ["…"] * (len(by_dtype) > len(parts))
    line = f"[… {count(len(rest))} more columns: {'; '.join(parts)}. Choose with --columns …]"
    return [line, *_private_line(subject, rest)]


def _group(subject: Subject, dtype: str, columns: list[int]) -> str:
    names = ", ".join(subject.name(n, 24) for n in columns[:3]) + ", …" * (len(columns) > 3)  # noqa: PLR2004  # names
    return f"{count(len(columns))} {dtype} ({names})"


def _private_line(subject: Subject, columns: Sequence[int] | None = None) -> list[str]:
    """List the private ones of these columns in a line; no line where there is none."""
    private = [n for n in subject.private() if columns is None or n in set(columns)]
    names = [f"{subject.name(n)} {subject.dtype(n)}" for n in private[:_NAMED]]
    names += [f"… {count(len(private) - _NAMED)} more"] * (len(private) > _NAMED)
    return [f"{WITHHELD}: {', '.join(names)}"] if private else []


def _field(value: object, look: Look) -> str | None:
    """Write a value for CSV, as exactly as it can be: None for a missing one."""
    if is_missing(value):
        return None
    if isinstance(value, float):
        return repr(float(value))
    return written(value, look, look.room)


def _description(
    subject: Subject, lines: list[str], visible: list[int], rows: int, omitted: Sequence[str]
) -> Description:
    look = subject.look
    return Description.of(
        subject.frame.kind,
        shortened("\n".join(lines).rstrip("\n"), look.room, "characters left out"),
        shape=_shape(subject),
        columns=tuple(subject.name(n) for n in visible) if subject.rows else (),
        rows=rows,
        withheld=subject.withheld(),
        omitted="; ".join(part for part in omitted if part),
    )


def _length(lines: Sequence[str]) -> int:
    return sum(map(len, lines)) + len(lines)


def _width(row: list[str]) -> int:
    return sum(map(len, row)) + 3 * len(row)
