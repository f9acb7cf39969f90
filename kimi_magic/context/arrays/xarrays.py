"""Named arrays of xarray: dimensions, coordinates with their ends, variables, attributes. What is lazy stays so."""

from __future__ import annotations

from typing import Any

from kimi_magic.context.arrays import corner, ndarrays
from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.tables.cells import cell, count, grid, name, quoted
from kimi_magic.context.tables.columns import attempt
from kimi_magic.context.tables.subject import WITHHELD, no_such

__all__ = ["brief", "describe"]

_ATTRIBUTES = 12
_LINES = 60


def describe(obj: Any, look: Look) -> Description | None:
    """Describe a DataArray or a Dataset; None for anything else. Raise CommandError for a variable that it has not."""
    if hasattr(obj, "data_vars") and hasattr(obj, "coords"):
        return _dataset(obj, look)
    if hasattr(obj, "coords") and hasattr(obj, "variable"):
        return _data_array(obj, look)
    return None


def brief(obj: Any, look: Look) -> str | None:
    """Say in one line what it is."""
    if hasattr(obj, "data_vars"):
        return f"Dataset {_sizes(obj, look)} [{', '.join(name(each, look) for each in list(obj.data_vars)[:8])}]"
    if hasattr(obj, "coords") and hasattr(obj, "variable"):
        label = "" if obj.name is None else f" {name(obj.name, look)}"
        return f"DataArray {_sizes(obj, look)} {look.word(obj.dtype, 24)}{label}"
    return None


def _dataset(obj: Any, look: Look) -> Description:
    for wanted in look.columns:
        if wanted not in map(str, obj.variables):
            raise no_such(wanted, list(obj.variables), "Dataset", look)
    chosen = [each for each in obj.data_vars if not look.columns or str(each) in look.columns]
    private = [each for each in obj.variables if _is_private(each, obj[each], look)]
    table = [_variable(each, obj[each], look, private=each in private) for each in chosen[:_LINES]]
    lines = [f"xarray Dataset: {_sizes(obj, look)}", *_coordinates(obj, private, look)]
    if table:
        lines += ["", *grid(["variable", "dimensions", "dtype", "values"], table)]
    omitted = f"{count(len(chosen) - _LINES)} variables" if len(chosen) > _LINES else ""
    lines += [f"[… {omitted} more …]"] * bool(omitted) + _attributes(obj, look)
    visible = [name(each, look) for each in chosen[:_LINES] if each not in private]
    return _description("dataset", obj, lines, look, visible, private, 0, omitted)


def _data_array(obj: Any, look: Look) -> Description:
    private = [each for each in obj.coords if _is_private(each, obj.coords[each], look)]
    array = _read(obj)
    facts = ", ".join([_sizes(obj, look), look.word(obj.dtype), *array.facts])
    label = "" if obj.name is None else f" {name(obj.name, look)}"
    lines = [f"xarray DataArray{label}: {facts}", *_coordinates(obj, private, look)]
    if _is_private(obj.name, obj, look):
        lines.append(WITHHELD)
        return _description("array", obj, lines, look, [], [obj.name, *private], 0, "")
    lines += attempt(lambda: ndarrays.said(array, look)) or []
    lines += _attributes(obj, look)
    room = look.room - sum(map(len, lines)) - len(lines)
    if look.full and array.at is not None and array.shape:
        text, rows = corner.all_values(array, look, room)
        shown, omitted = [text], "some rows" if "left out for lack of room" in text[-80:] else ""
    else:
        shown, rows, omitted = corner.some_values(array, look, room)
    return _description("array", obj, [*lines, *shown], look, [], private, rows, omitted)


def _description(
    kind: str, obj: Any, lines: list[str], look: Look, visible: list[str], private: list[Any], rows: int, omitted: str
) -> Description:
    return Description.of(
        kind,
        shortened("\n".join(lines), look.room, "characters left out"),
        shape=_sizes(obj, look),
        columns=tuple(visible),
        rows=rows,
        withheld=tuple(name(each, look) for each in private),
        omitted=omitted,
    )


def _sizes(obj: Any, look: Look) -> str:
    return " × ".join(f"{name(axis, look, 30)} {count(size)}" for axis, size in obj.sizes.items()) or "one value"


def _coordinates(obj: Any, private: list[Any], look: Look) -> list[str]:
    return [_coordinate(each, obj.coords[each], look, private=each in private) for each in list(obj.coords)[:_LINES]]


def _coordinate(label: object, values: Any, look: Look, *, private: bool) -> str:
    known = f"coordinate {name(label, look)}: {_sizes(values, look)}, {look.word(values.dtype)}"
    if private:
        return f"{known}, {WITHHELD}"
    read = _read(values)
    if read.at is None:
        return f"{known}, {', '.join(read.facts)}"
    if len(read.shape) == 1 and read.size:
        ends = [cell(read.at((n,)), look) for n in (0, read.size - 1)]
        return f"{known}, {' … '.join(ends)} (first … last)"
    return ", ".join([known, *(cell(read.at(()), look) for _ in range(not read.shape)), *_said(read, look)])


def _variable(label: object, values: Any, look: Look, *, private: bool) -> list[str]:
    known = [name(label, look), _sizes(values, look), look.word(values.dtype)]
    if private:
        return [*known, WITHHELD]
    read = _read(values)
    about = "; ".join([*_said(read, look)] if read.at else read.facts)
    if read.at is not None and not read.shape:
        about = quoted(read.at(()), look)
    return [*known, about]


def _said(array: ndarrays.Array, look: Look) -> list[str]:
    return attempt(lambda: ndarrays.said(array, look)) or [] if array.shape else []


def _read(obj: Any) -> ndarrays.Array:
    """Read what is in memory; of what is lazy, or still in its file, shape and dtype are known."""
    shape = tuple(map(int, obj.shape))
    if obj.chunks is not None:
        return ndarrays.Array("", str(obj.dtype), shape, ("not computed (lazy)",))
    if not getattr(obj.variable, "_in_memory", True):
        return ndarrays.Array("", str(obj.dtype), shape, ("not loaded from its file",))
    return ndarrays.of_numpy(obj.values, "")  # an array of numpy, not a column


def _attributes(obj: Any, look: Look) -> list[str]:
    known = [
        f"attribute {name(key, look)}: {WITHHELD if look.hides(key) else quoted(value, look, 80)}"
        for key, value in list(obj.attrs.items())[:_ATTRIBUTES]
    ]
    more = len(obj.attrs) - len(known)
    return [*known, *([f"… {count(more)} more attributes"] if more else [])]


def _is_private(label: object, values: Any, look: Look) -> bool:
    if label is not None and look.hides(label):
        return True
    read = attempt(lambda: _read(values))
    return read is not None and ndarrays.withheld(read, look)
