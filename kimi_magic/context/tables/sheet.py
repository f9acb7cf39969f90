"""All rows as CSV (RFC 4180, lines ending in LF), as many as fit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kimi_magic.context.description import Look
from kimi_magic.context.objects.saying import legible
from kimi_magic.context.tables.cells import count

__all__ = ["csv", "most_rows"]

_SPECIAL = re.compile(r'[,"\r\n]')
_NOTICE = 60


def most_rows(columns: int, room: int) -> int:
    """Say how many rows of so many columns could fit at the very most."""
    return room // max(1, columns) + 1


def csv(head: list[str], rows: Iterable[list[str | None]], total: int | None, look: Look, room: int) -> tuple[str, int]:
    """Write a header and rows into `room` characters; give the text with a notice, and how many rows are in it.

    `total` is how many rows there are, None where that is not known. A missing value (None) is an empty field, an
    empty text is "". What is written is guarded in one piece, then cut between rows.
    """
    lines, length, read, more = [_line(list(head))], 0, 0, False
    for row in rows:
        if length > 2 * room:  # guarding can make it shorter
            more = True
            break
        lines.append(_line(row))
        length += len(lines[-1])
        read += 1
    text = legible(look.guard.clean("".join(lines)))
    more = more or total is None or read < total
    if not more and len(text) <= room:
        return text.rstrip("\n"), read
    ends = _row_ends(text, room - _NOTICE)
    kept = max(0, min(len(ends) - 1, read))
    text = text[: ends[kept]] if ends else ""
    left = "more rows, not counted" if total is None else f"{count(total - kept)} rows left out for lack of room"
    return (text + (f"[… {left} …]" if total is None or kept < total else "")).rstrip("\n"), kept


def _line(row: list[str | None]) -> str:
    return ",".join("" if field is None else _field(field) for field in row) + "\n"


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if not text or _SPECIAL.search(text) else text


def _row_ends(text: str, room: int) -> list[int]:
    """Find where rows end, line ends inside of quotes not among them."""
    ends, quotes, start = [], 0, 0
    while (end := text.find("\n", start, max(room, 0)) + 1) > 0:
        quotes += text.count('"', start, end)
        if quotes % 2 == 0:
            ends.append(end)
        start = end
    return ends
