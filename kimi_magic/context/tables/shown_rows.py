"""Which rows of a table are shown, and how many rows and columns of them fit."""

from __future__ import annotations

from collections.abc import Sequence

from kimi_magic.context.tables.cells import cell, count, grid
from kimi_magic.context.tables.sampling import representative
from kimi_magic.context.tables.subject import Subject

__all__ = ["telling_rows"]

_KEPT_COLUMNS = 12
"""Rows are left out before any of so many first columns are."""
_TRIED = 30


def telling_rows(subject: Subject, visible: list[int], wanted: int, room: int) -> tuple[list[str], int, str]:
    """Show telling rows while there is room; give lines, how many rows they are, and what was left out."""
    asked = min(wanted, subject.rows)
    if not asked or not visible:
        return [], 0, ""
    for fitting in _fewer(min(asked, len(subject.picks), _estimate(subject, visible, room))):
        head, columns, shown = _table(subject, visible, fitting, room)
        if shown >= min(len(visible), _KEPT_COLUMNS) or (fitting == 1 and shown):
            break
    else:
        return [f"[… no room for {count(asked)} rows …]"], 0, f"{count(asked)} rows"
    title = _title(subject, fitting) + f", {count(shown)} of {count(len(visible))} columns" * (shown < len(visible))
    left = f"{count(asked - fitting)} of {count(asked)} rows" if fitting < asked else ""
    notice = [f"[… {left} left out for lack of room …]"] if left else []
    missing = f"{count(len(visible) - shown)} columns of the rows" if shown < len(visible) else ""
    lines = grid(head, [list(row) for row in zip(*columns, strict=True)])
    return [title + ":", *lines, *notice], fitting, ", ".join(part for part in (left, missing) if part)


def _estimate(subject: Subject, visible: list[int], room: int) -> int:
    """Estimate from some of them how many rows fit, rather too many."""
    tried = min(_TRIED, len(subject.picks))
    columns = [subject.values(n)[:tried] for n in visible[:_KEPT_COLUMNS]]
    length = sum(len(cell(value, subject.look)) + 3 for column in columns for value in column)
    return max(1, 3 * room * tried // max(1, 2 * length))


def _fewer(rows: int) -> Sequence[int]:
    """Give numbers of rows to try, each about a fifth less than the one before."""
    tried = [rows]
    while tried[-1] > 1:
        tried.append(tried[-1] * 4 // 5)
    return tried


def _table(subject: Subject, visible: list[int], rows: int, room: int) -> tuple[list[str], list[list[str]], int]:
    """Lay out so many rows, and as many columns as fit; give names, columns of texts, and how many there are."""
    look, picks = subject.look, subject.picks
    if subject.lazy or rows >= len(picks):
        chosen = list(range(rows))
    else:
        chosen = representative([subject.values(n) for n in visible], len(picks), rows)
    positions = [picks[row] for row in chosen]
    head, columns = ["row"], [[str(position) for position in positions]]
    for label, values in subject.row_labels(positions):
        head.append(label)
        columns.append([cell(value, look) for value in values])
    left, fixed = room - 120 - sum(map(_cost, head, columns)), len(head)
    for n in visible:
        values = subject.values(n)
        head.append(subject.name(n, 40))
        columns.append([cell(values[row], look) for row in chosen])
        left -= _cost(head[-1], columns[-1])
        if left < 0:
            return head[:-1], columns[:-1], len(head) - 1 - fixed
    return head, columns, len(visible)


def _cost(head: str, column: list[str]) -> int:
    """Count the characters that a column of the grid takes at most, its padding and rule included."""
    texts = [head, *column]
    padded = min(max(map(len, texts)), 24)
    return sum(max(len(text) + text.count("|"), padded) + 3 for text in texts) + 6


def _title(subject: Subject, rows: int) -> str:
    many = f"{count(rows)} {'row' if subject.frame.kind == 'table' else 'value'}{'s' * (rows != 1)}"
    if subject.lazy:
        return f"first {many}"
    if rows == subject.rows:
        return f"the only {many.removeprefix('1 ')}" if rows == 1 else f"all {many}"
    return f"{many} that show{'s' * (rows == 1)} most of what occurs"
