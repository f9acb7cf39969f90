"""What a reply stands for → the table that shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kimi_magic.report import Report

__all__ = ["plain_of", "table_of"]

_MOST = 200
_WIDEST = 300
"""Rows, and characters of one cell, that are shown."""


def table_of(value: object) -> Report | None:
    """Give the table of a list of objects, or of the fields of one; None for anything else."""
    if (one := _fields(value)) is not None:
        return Report("", tuple((str(name), _cell(each)) for name, each in one.items()))
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not value:
        return None
    rows = [_fields(row) for row in value[:_MOST]]
    if any(row is None for row in rows):
        return None
    found = [row for row in rows if row is not None]
    names = tuple(dict.fromkeys(str(name) for row in found for name in row))
    cells = tuple(tuple(_cell(row.get(name)) for name in names) for row in found)
    more = f"{len(value) - _MOST:,} more rows." if len(value) > _MOST else ""
    return Report("", cells, names, note=more)


def _fields(row: Any) -> Mapping[str, Any] | None:
    if isinstance(row, Mapping):
        return row
    if dataclasses.is_dataclass(row) and not isinstance(row, type):
        return {each.name: getattr(row, each.name) for each in dataclasses.fields(row)}
    if hasattr(row, "_asdict"):
        return dict(row._asdict())
    if isinstance(row, type):
        return None
    names = getattr(type(row), "model_fields", None)
    return {name: getattr(row, name) for name in names} if isinstance(names, Mapping) else None


def plain_of(value: object) -> str:
    """Write any other value: a choice by its own value, a list by its items."""
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return "\n".join(map(plain_of, value))
    return str(getattr(value, "value", value))


def _cell(value: object) -> str:
    text = "–" if value is None else str(getattr(value, "value", value))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
