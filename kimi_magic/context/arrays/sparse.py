"""Sparse matrices and arrays of scipy: how many values are stored, their range, and the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from kimi_magic.context.arrays import corner, ndarrays
from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.tables import sheet
from kimi_magic.context.tables.cells import cell, count, number
from kimi_magic.context.tables.columns import attempt
from kimi_magic.context.tables.subject import WITHHELD

__all__ = ["brief", "describe"]

_SMALL = 100
_ENTRIES = 12
_CONVERTED = 1_000_000
_FEW_ROWS = 50


def describe(obj: Any, look: Look) -> Description | None:
    """Describe a sparse matrix or array; None for anything else."""
    if not _is_sparse(obj):
        return None
    stored = int(obj.nnz)
    share = stored / max(1, prod(obj.shape))
    shape = " × ".join(map(count, obj.shape))
    stored_share = f"{count(stored)} stored values, density {number(100 * share, 3)} %"
    lines = [f"scipy {type(obj).__name__}: {shape}, {obj.dtype}, format {obj.format}, {stored_share}"]
    values = _stored(obj)
    if values is not None and ndarrays.withheld(values, look):
        return Description.of("array", "\n".join([*lines, WITHHELD]), shape=shape, withheld=("values",))
    if values is not None:
        lines += [f"stored values: {line}" for line in attempt(lambda: ndarrays.said(values, look)) or []]
    room = look.room - sum(map(len, lines)) - len(lines)
    shown, rows, omitted = _shown(obj, look, room)
    text = shortened("\n".join([*lines, *shown]), look.room, "characters left out")
    return Description.of("array", text, shape=shape, rows=rows, omitted=omitted)


def brief(obj: Any, look: Look) -> str | None:
    """Say in one line what it is."""
    if not _is_sparse(obj):
        return None
    shape = " × ".join(map(count, obj.shape))
    return f"{type(obj).__name__} {shape} {look.word(obj.dtype)}, {obj.format}, {count(int(obj.nnz))} stored"


def _is_sparse(obj: Any) -> bool:
    return all(hasattr(obj, name) for name in ("nnz", "format", "shape", "dtype", "tocoo"))


def _stored(obj: Any) -> ndarrays.Array | None:
    data: Any = getattr(obj, "data", None)
    if type(data).__module__ != "numpy" or obj.dtype == object or data.dtype != obj.dtype:
        return None
    return ndarrays.of_numpy(data, "")


def _shown(obj: Any, look: Look, room: int) -> tuple[list[str], int, str]:
    if 0 < prod(obj.shape) <= _SMALL and not look.full:
        return corner.some_values(ndarrays.of_numpy(obj.toarray(), ""), look, room)
    wanted = sheet.most_rows(3, room) if look.full else max(0, look.rows) if look.rows is not None else _ENTRIES
    entries = attempt(lambda: _entries(obj, wanted)) or []
    if not entries:
        return [], 0, ""
    head = [*(f"axis {n}" for n in range(len(obj.shape))), "value"]
    rows: Iterator[list[str | None]] = ([*map(str, index), cell(value, look)] for *index, value in entries)
    total = int(obj.nnz) if look.full else len(entries)
    text, shown = sheet.csv(head, rows, total, look, room - 30)
    return [f"{'' if look.full else 'first '}stored values:", text], shown, _left(total - shown)


def _left(entries: int) -> str:
    return f"{count(entries)} stored values" if entries else ""


def _entries(obj: Any, wanted: int) -> list[tuple[Any, ...]]:
    """Read the first stored values with their indices; a large matrix is converted by rows or columns, not whole."""
    if obj.format != "coo" and obj.nnz > _CONVERTED:
        obj = obj[:, :_FEW_ROWS] if obj.format == "csc" else obj[:_FEW_ROWS]
    coo = obj.tocoo()
    axes = coo.coords if hasattr(coo, "coords") else (coo.row, coo.col)
    return list(zip(*(axis[:wanted].tolist() for axis in axes), coo.data[:wanted].tolist(), strict=True))
