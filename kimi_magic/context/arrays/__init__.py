"""Arrays of numpy and what is like them: tensors, sparse matrices, and the named arrays of xarray.

Shape, dtype and size in bytes; how many values are missing, the range and the mean, of a huge array of evenly spread
values; all values of a small one, of others the ends of each axis. What is lazy or on disk is never loaded whole.
"""

from __future__ import annotations

import warnings
from typing import Any

from kimi_magic.context import tables
from kimi_magic.context.arrays import corner, ndarrays, sparse, xarrays
from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.kinds import is_a
from kimi_magic.context.tables.cells import cell, count, quoted
from kimi_magic.context.tables.columns import attempt
from kimi_magic.context.tables.dataframes import Dataframe
from kimi_magic.context.tables.subject import WITHHELD, Subject

__all__ = ["brief", "describe"]

_BRIEF = 5


def describe(obj: object, look: Look) -> Description | None:
    """Describe an array; None for anything else. Raise CommandError for a field or variable that it has not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _describe(obj, look)


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what it is: type, shape, dtype and the first values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return attempt(lambda: _brief(obj, look))


def _describe(obj: Any, look: Look) -> Description | None:
    root = type(obj).__module__.partition(".")[0]
    if root == "xarray":
        return xarrays.describe(obj, look)
    if root == "scipy":
        return sparse.describe(obj, look)
    if is_a(obj, "numpy", "generic") and not is_a(obj, "numpy", "void"):
        return Description.of(type(obj).__name__, look.text(str(obj)))  # one number is no array to a person
    if records := _records(obj, look):
        return tables.described(records)
    array = attempt(lambda: ndarrays.find(obj))
    return None if array is None else of_array(array, look)


def of_array(array: ndarrays.Array, look: Look) -> Description:
    """Describe what was read as an array."""
    lines = [f"{array.title}: {', '.join([_shape(array), look.word(array.dtype), *array.facts])}"]
    if ndarrays.withheld(array, look):
        text = shortened("\n".join([*lines, WITHHELD]), look.room)
        return Description.of("array", text, shape=_shape(array), withheld=("values",))
    lines += attempt(lambda: ndarrays.said(array, look)) or []
    room = look.room - sum(map(len, lines)) - len(lines)
    if look.full and array.at is not None and array.shape:
        text, rows = corner.all_values(array, look, room)
        left = _rows(array) - rows
        shown, omitted = [text], f"{count(left)} rows" if left else ""
    else:
        shown, rows, omitted = corner.some_values(array, look, room)
    text = shortened("\n".join([*lines, *shown]), look.room, "characters left out")
    return Description.of("array", text, shape=_shape(array), rows=rows, omitted=omitted)


def _rows(array: ndarrays.Array) -> int:
    """Count vectors along the last axis, of a vector its values."""
    return array.size // max(1, array.shape[-1]) if len(array.shape) > 1 else array.size


def _shape(array: ndarrays.Array) -> str:
    if not array.shape:
        return "one value"
    return f"{count(array.shape[0])} values" if len(array.shape) == 1 else " × ".join(map(count, array.shape))


def _brief(obj: Any, look: Look) -> str | None:
    root = type(obj).__module__.partition(".")[0]
    if root == "xarray":
        return xarrays.brief(obj, look)
    if root == "scipy":
        return sparse.brief(obj, look)
    if records := _records(obj, look):
        return tables.summed_up(records)
    array = ndarrays.find(obj)
    if array is None:
        return None
    line = f"{type(obj).__name__} {' × '.join(map(count, array.shape))} {look.word(array.dtype, 24)}".replace("  ", " ")
    if ndarrays.withheld(array, look):
        return f"{line} ({WITHHELD})"
    if not array.shape:
        return f"{type(obj).__name__} {cell(array.at(()), look)}" if array.at else line
    values = [quoted(value, look, 20) for value in ndarrays.first(array, _BRIEF)]
    return f"{line} [{', '.join(values + ['…'] * (array.size > len(values)))}]"


def _records(obj: Any, look: Look) -> Subject | None:
    """Read a structured array of one axis as a table of its fields."""
    names = getattr(getattr(obj, "dtype", None), "names", None)
    if not names or getattr(obj, "ndim", 0) != 1 or type(obj).__module__.partition(".")[0] != "numpy":
        return None
    dtypes = [str(obj.dtype[name]) for name in names]
    frame = Dataframe(
        "table", f"numpy structured {type(obj).__name__}", len(obj), names, dtypes, lambda n: obj[names[n]]
    )
    return Subject(frame, look, type(obj).__name__, [])
