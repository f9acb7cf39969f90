"""One value, one name, one number as text: short, in one line, the same wherever and whenever it is written.

Nothing here depends on display options, memory addresses or hash order. Private keys of nested values stay private.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from kimi_magic.context.description import Look

__all__ = ["Unreadable", "cell", "count", "grid", "is_missing", "name", "number", "percent", "quoted", "written"]

PRIVATE = "(private)"
_EXACT = (date, time, timedelta, Decimal, Fraction, UUID, PurePath, complex)
_PANDAS = {"Timestamp", "Timedelta", "Period", "Interval"}
_DEEPEST = 4
_WINDOW = 20_000
_WIDEST = 24


class Unreadable:
    """A value that its library cannot give as a Python object."""


def cell(value: object, look: Look, longest: int = 40) -> str:
    """Write a value in one line of at most `longest` characters; an empty or padded text is quoted."""
    text = written(value, look)
    if isinstance(value, str) and (text != text.strip() or text in {"", "null", "NaN", "NaT"}):
        text = f"'{text}'"
    return look.word(_window(text), longest)


def written(value: object, look: Look, items: int = 8) -> str:
    """Write a value whole, of a container the first `items`, neither guarded nor cut; whatever it is, never raise."""
    try:
        return _plain(value, look, items)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # whatever a foreign object raises, the rest is still described
        return f"<unreadable {type(value).__name__}>"


def quoted(value: object, look: Look, longest: int = 40) -> str:
    """Write a value as a member of a list: a text with a comma in it is quoted."""
    text = cell(value, look, longest)
    return f"'{text}'" if isinstance(value, str) and "," in text else text


def name(label: object, look: Look, longest: int = 60) -> str:
    """Write a column's label: a text bare, unless it could be taken for something else; anything else as in Python."""
    if isinstance(label, str):
        bare = label == label.strip() and label[:1] not in "('\"" and not _is_number(label) and label != "None"
        return look.word(label if bare else f"'{label}'", longest)
    if label is None:
        return "None"
    text = written((label,), look)
    return look.word(_window(text[1:-1]), longest)


def number(value: Any, digits: int = 6) -> str:
    """Write a number with so many significant digits; whole numbers are exact."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def count(value: int) -> str:
    """Write how many there are."""
    return f"{value:,}"


def percent(part: int, whole: int) -> str:
    """Write a share, never as 0 % or 100 % unless it is exactly that."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 1:
        return "< 1 %"
    return f"{min(share, 99.0) if part < whole else share:.0f} %"


def is_missing(value: object) -> bool:
    """Whether a value stands for none: None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124  # NaN
    return type(value).__name__ in {"NAType", "NaTType"}


def _plain(value: Any, look: Look, items: int, depth: int = 0) -> str:
    kind = type(value).__name__
    if value is None or kind == "NAType":
        return "null"
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Enum):
        return f"{kind}.{value.name}"
    if isinstance(value, (bool, int)):
        return _whole(value)
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _bytes(bytes(value))
    if isinstance(value, _EXACT) or kind in _PANDAS:
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, Unreadable):
        return "<unreadable>"
    return _foreign(value, look, items, depth)


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """Draw a Markdown table; columns are padded as far as that is not wasteful, pipes escaped."""
    table = [[text.replace("|", "\\|") for text in row] for row in [head, *rows]]
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*table, strict=True)]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in table]
    lines.insert(1, "|" + "|".join("-" * min(width + 2, 5) for width in widths))
    return [line.rstrip() + " |" if line[1] == " " else line + "|" for line in lines]


def _foreign(value: Any, look: Look, items: int, depth: int) -> str:
    root = type(value).__module__.partition(".")[0]
    if root == "numpy":
        return _numpy(value, look, items, depth)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        value = dict(zip(value._fields, value, strict=False))
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return _container(value, look, items, depth)
    from kimi_magic.context import kinds

    return kinds.brief(value, look.deeper(200))


def _numpy(value: Any, look: Look, items: int, depth: int) -> str:
    if getattr(value.dtype, "names", None) and value.ndim == 0:
        return _container({field: value[field] for field in value.dtype.names}, look, items, depth)
    if value.ndim == 1 and hasattr(value, "tolist") and value.dtype.kind in "biufcOSU":
        return _container(value[: items + 1].tolist(), look, items, depth, len(value))
    if value.ndim == 0 and value.dtype.kind in "biufcOSU" and value.dtype.itemsize <= 8:  # noqa: PLR2004  # bytes
        return _plain(value.item(), look, items, depth)
    if value.ndim == 0:
        return _moment(str(value)) if value.dtype.kind == "M" else str(value)
    from kimi_magic.context import kinds

    return kinds.brief(value, look.deeper(200))


def _container(value: Any, look: Look, items: int, depth: int, length: int | None = None) -> str:
    opening, closing = "()" if isinstance(value, tuple) else "[]" if isinstance(value, list) else "{}"
    if depth >= _DEEPEST:
        return f"{opening}…{closing}"
    length = len(value) if length is None else length
    if isinstance(value, Mapping):
        parts = [_entry(key, entry, look, items, depth) for key, entry in islice(value.items(), items)]
    elif isinstance(value, (set, frozenset)):
        parts = sorted(_inner(entry, look, items, depth + 1) for entry in value)[:items]
    else:
        parts = [_inner(entry, look, items, depth + 1) for entry in islice(value, items)]
    if length > items:
        parts.append(f"… {count(length - items)} more")
    return opening + ", ".join(parts) + closing


def _entry(key: object, value: object, look: Look, items: int, depth: int) -> str:
    text = PRIVATE if look.hides(key) else _inner(value, look, items, depth + 1)
    return f"{_inner(key, look, items, depth + 1)}: {text}"


def _inner(value: object, look: Look, items: int, depth: int) -> str:
    text = _plain(value, look, items, depth)
    return f"'{text}'" if isinstance(value, str) else text


def _whole(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # CPython does not write integers of more than 4,300 digits
        return f"<integer of {int.bit_length(value):,} bits>"


def _float(value: float) -> str:
    """Write eight significant digits, and of large numbers all before the point and two behind it."""
    if value != value:  # noqa: PLR0124
        return "NaN"
    return f"{value:.2f}".rstrip("0").rstrip(".") if 1e6 <= abs(value) < 1e15 else f"{value:.8g}"  # noqa: PLR2004


def _moment(text: str) -> str:
    """Write a datetime of numpy as Python would: without a T, without zeros that say nothing."""
    day, _, hour = text.partition("T")
    hour = hour.rstrip("0").rstrip(".") if "." in hour else hour
    return f"{day} {hour}".strip().removesuffix(" 00:00:00") if text != "NaT" else text


def _bytes(value: bytes) -> str:
    return repr(value) if len(value) <= _WINDOW else repr(value[:_WINDOW]) + f"… {count(len(value))} bytes"


def _window(text: str) -> str:
    """Keep of a huge text what is far more than is ever shown of it, so that guarding it costs little."""
    return text if len(text) <= _WINDOW else text[: _WINDOW // 2] + "…" + text[-_WINDOW // 2 :]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
