"""What of a table is private: columns, levels of an index, row labels, and labels that are private values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.tables import dataframes

__all__ = ["hidden", "veiled", "without_private_rows"]

_MOST_LABELS = 20_000
"""A table turned on its side has as many rows as it had columns: more labels than this name no columns."""


def hidden(label: object, values: Sequence[object], look: Look) -> bool:
    """Whether a column of this label, of which these are some values, stays in the kernel."""
    return look.hides(label) or bool(values and look.guard.holds(values))


def veiled(frame: dataframes.Dataframe, look: Look) -> list[Any]:
    """Give a table's column labels; those made of private values, as a pivot makes them, become numbers."""
    private = [n for n, level in enumerate(frame.label_levels) if level is not None and look.hides(level)]
    if not private:
        return list(frame.labels)
    return [_veil(label, number, private) for number, label in enumerate(frame.labels, 1)]


def _veil(label: Any, number: int, private: list[int]) -> Any:
    veil = f"private value {number}"
    if not isinstance(label, tuple):
        return veil
    return tuple(veil if n in private else part for n, part in enumerate(label))


def without_private_rows(obj: Any, look: Look) -> tuple[Any, list[str]]:
    """Leave out the rows of a pandas object whose label names a private column: a row of a table, or one on its side.

    Gives what is left, and the labels that were taken out.
    """
    index = getattr(obj, "index", None)
    if not hasattr(obj, "iloc") or index is None or not hasattr(index, "dtype") or hasattr(obj, "npartitions"):
        return obj, []
    if len(index) > _MOST_LABELS or str(index.dtype) not in {"object", "str", "string", "category"}:
        return obj, []
    labels = index.tolist()
    private = [look.hides(label) for label in labels]
    if not any(private):
        return obj, []
    kept = [row for row, is_private in enumerate(private) if not is_private]
    return obj.iloc[kept], sorted({str(label) for label, is_private in zip(labels, private, strict=True) if is_private})
