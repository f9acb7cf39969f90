"""Words for data: how many values there are, from where to where they go, and some of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kimi_magic.context.description import Look

__all__ = ["digest", "listed", "named", "quoted", "said", "span"]

_MOST_POINTS = 12  # of one thing that are written out
_MOST_WORDS = 20  # labels of one axis, annotations of one chart
_LONGEST = 30  # characters of one value

_TIME = re.compile(r"\d{4}-\d\d-\d\d(?=$|[T ]\d\d:)")
_ZEROS = re.compile(r"(?<=:\d\d)\.0+(?=$|\+)|[T ]00:00:00(?:\.0+)?(?=$|\+)")


def named(kind: str, label: object, look: Look) -> str:
    """Write what something is, with its label in quotes where it has one: `line "price"`."""
    text = "" if label is None else str(label)
    return kind if not text or text.startswith("_") else f'{kind} "{look.word(text)}"'


def quoted(name: str, texts: Sequence[str], look: Look) -> str:
    """Write a name and the first of these texts in quotes: `labels "a", "b" … and 3 more`."""
    more = f" … and {len(texts) - _MOST_WORDS} more" if len(texts) > _MOST_WORDS else ""
    return f"{name} " + ", ".join(f'"{look.word(text)}"' for text in texts[:_MOST_WORDS]) + more


def said(value: Any, look: Look) -> str:
    """Write one value: numbers with four digits, times without the parts that are zero."""
    if isinstance(value, str):
        return look.word(_ZEROS.sub("", value) if _TIME.match(value) else value, _LONGEST)
    if isinstance(value, bool) or value is None:
        return look.word(value, _LONGEST)
    try:
        return f"{float(value):.4g}"
    except (TypeError, ValueError, OverflowError):
        return look.word(_ZEROS.sub("", str(value)), _LONGEST)


def listed(values: Any) -> Sequence[Any]:
    """Give values as a sequence of one dimension: an array of numbers stays one, all else becomes a list."""
    if hasattr(values, "compressed"):
        values = values.compressed()  # what is masked is not drawn
    if hasattr(values, "ravel"):
        values = values.ravel()
        kind = getattr(getattr(values, "dtype", None), "kind", "")
        if kind in {"i", "u", "f"}:
            return values  # type: ignore[no-any-return]  # an array
        # Of nanoseconds, the list would be one of integers.
        values = (values.astype("datetime64[us]") if kind == "M" else values).tolist()
    rows = list(values)
    return [each for row in rows for each in row] if rows and isinstance(rows[0], list | tuple) else rows


def span(values: Any, look: Look, *, mean: bool = False) -> str:
    """Say from where to where values go; of words, which there are."""
    array = hasattr(values, "dtype")
    known: Any = values[_there(values)] if array else list(filter(_there, values))
    if len(known) == 0:
        return "no values"
    if not array and not _in_order(known):
        return _which(known, look)
    low, high = (known.min(), known.max()) if array else (min(known), max(known))
    text = f"{said(low, look)} to {said(high, look)}"
    if mean and (middle := _mean(known)) is not None:
        text += f", mean {said(middle, look)}"
    missing = len(values) - len(known)
    return text + (f", {missing} missing" if missing else "")


def _there(value: Any) -> Any:
    """Whether a value is there, neither None nor NaN; of an array, for each."""
    return value is not None and value == value  # noqa: PLR0124


def _in_order(values: list[Any]) -> bool:
    """Whether they go from a smallest to a largest: numbers, and times of one type."""
    others = [value for value in values if not isinstance(value, int | float)]
    return len(set(map(type, others))) <= 1 and all(_TIME.match(value) for value in others if isinstance(value, str))


def _mean(values: Any) -> float | None:
    if hasattr(values, "dtype"):
        return float(values.mean(dtype="float64"))
    return sum(values) / len(values) if all(isinstance(value, int | float) for value in values) else None


def _which(values: list[Any], look: Look) -> str:
    different = list(dict.fromkeys(map(str, values)))
    shown = ", ".join(f'"{look.word(value, _LONGEST)}"' for value in different[:_MOST_POINTS])
    return shown + (f" … ({len(different)} different)" if len(different) > _MOST_POINTS else "")


def digest(data: dict[str, Any], look: Look) -> str:
    """Say how many points there are, their ranges, and some of them, evenly spaced from the first to the last."""
    columns = {name: listed(values) for name, values in data.items()}
    count = max(map(len, columns.values()), default=0)
    if count == 1:
        return ", ".join(f"{name} {said(values[0], look)}" for name, values in columns.items() if len(values))
    told = [f"{count} {'values' if len(columns) == 1 else 'points'}"]
    told += [f"{name} {span(values, look, mean=name != 'x')}" for name, values in columns.items()]
    if len(columns) > 1 and all(len(values) == count for values in columns.values()):
        shown = min(count, _MOST_POINTS)
        chosen = [round(n * (count - 1) / (shown - 1)) for n in range(shown)]
        points = " ".join(f"({', '.join(said(values[n], look) for values in columns.values())})" for n in chosen)
        told.append(f"{'some of ' if shown < count else ''}({', '.join(columns)}): {points}")
    return "; ".join(told)
