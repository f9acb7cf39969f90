"""The rows of a dataframe as a type: one field a column, null where the column has nulls, few categories as choices.

Of the data only the names of columns and their categories are told; a private column is left out altogether.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Literal, Optional
from zoneinfo import ZoneInfo

from kimi_magic.errors import CommandError
from kimi_magic.schema.pydantic_ import described, pydantic, type_name, typed_dict

__all__ = ["columns", "is_pandas", "is_polars", "row"]

_FEW = 50
"""Categories that become choices; of more, each would be sent with every question."""
_HINT = "Give a dataframe of pandas, polars, pyarrow or another that narwhals knows."
_INFERRED: dict[str, Any] = dict(
    [
        *[("string", str), ("boolean", bool), ("integer", int), ("floating", float), ("mixed-integer-float", float)],
        *[("date", date), ("datetime", datetime), ("time", time), ("timedelta", timedelta), ("decimal", Decimal)],
        *[("mixed", Any), ("mixed-integer", Any)],
    ]
)
"""What pandas calls the values of a column of objects."""
_PLAIN: dict[str, Any] = dict(
    [
        *[("Boolean", bool), ("String", str), ("Float32", float), ("Float64", float), ("Decimal", Decimal)],
        *[("Date", date), ("Duration", timedelta)],
    ]
)


def is_pandas(like: object) -> bool:
    """Whether it is a pandas dataframe; pandas is not imported for it."""
    return (pandas := sys.modules.get("pandas")) is not None and isinstance(like, pandas.DataFrame)


def is_polars(like: object) -> bool:
    """Whether it is a dataframe of polars, lazy or not; polars is not imported for it."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(like, polars.DataFrame | polars.LazyFrame)


def _opened(like: Any) -> Any:
    import narwhals as nw

    try:
        return nw.from_native(like)
    except TypeError:
        raise CommandError(f"like= is a {type_name(type(like))}, which is not a dataframe.", hint=_HINT) from None
    except nw.exceptions.NarwhalsError as exc:
        raise CommandError(f"The dataframe cannot be read: {exc}", hint="Give each column a name of its own.") from None


def columns(like: Any, private: Callable[[object], bool]) -> dict[str, int]:
    """Give name and position of each column that a row has; raises CommandError where names clash or none is left."""
    labels = list(_opened(like).collect_schema())
    names = [str(label) for label in labels]
    if twice := next((name for n, name in enumerate(names) if name in names[:n]), None):
        raise CommandError(f"Two columns are named {twice!r}.", hint="Give each column a name of its own.")
    kept = {name: n for n, name in enumerate(names) if not private(labels[n])}
    if not kept:
        raise CommandError("The dataframe has no column that a row could have.", hint=_HINT)
    return kept


def row(like: Any, kept: Collection[int]) -> Any:
    """Make the type of a row, a TypedDict of the columns at these positions.

    Raises CommandError for a column whose values JSON cannot hold.
    """
    frame = _opened(like)
    fields = {}
    for n, (label, dtype) in enumerate(frame.collect_schema().items()):
        if n in kept:
            column = frame.get_column(label) if hasattr(frame, "shape") else None  # a lazy one has no shape
            fields[str(label)] = _field(str(label), dtype, column)
    return typed_dict("Row", fields)


def _field(name: str, dtype: Any, column: Any) -> Any:
    """Give the type of one column; `column` is None for a lazy frame, of which no value is read."""
    kind = _choices(dtype, column) or _annotation(dtype, column)
    if kind is None:
        written = getattr(column.to_native(), "dtype", dtype) if column is not None else dtype
        raise CommandError(
            f"The column {name!r} is {written}, which JSON cannot hold.",
            hint="Leave that column out.",
        )
    nullable = column is None or column.null_count() > 0
    return described(Optional[kind], default=None) if nullable else kind  # noqa: UP045  # also of what has no `|`


def _choices(dtype: Any, column: Any) -> Any:
    """Give the categories of a column as choices; of many only that they are checked, None for no such column."""
    native: Any = getattr(column.to_native(), "dtype", None) if column is not None else None
    if type(native).__name__ == "CategoricalDtype":
        values, fixed = native.categories.tolist(), True
    elif type(dtype).__name__ == "Enum":
        values, fixed = list(dtype.categories), True
    elif type(dtype).__name__ == "Categorical" and column is not None:
        values, fixed = sorted(column.drop_nulls().unique().to_list()), False
    else:
        return str if type(dtype).__name__ == "Categorical" else None
    kinds = {type(value) for value in values}
    if len(kinds) > 1 or not kinds <= {str, int, bool, float}:
        return None
    kind = kinds.pop() if kinds else str
    if 0 < len(values) <= _FEW and kind is not float:
        return Literal[tuple(values)]
    return _checked(kind, _one_of(values)) if fixed and values else kind


def _annotation(dtype: Any, column: Any = None) -> Any:
    """Give the Python type of a dtype, None for what JSON cannot hold."""
    match type(dtype).__name__:
        case name if name in _PLAIN:
            return _PLAIN[name]
        case _ if dtype.is_integer():
            return _whole(dtype)
        case "Datetime":
            return _checked(datetime, _in_zone(_zone(dtype.time_zone)))
        case "Time":
            return _checked(time, _without_zone)  # the format has one, the column has none
        case "List" | "Array":
            inner = _annotation(dtype.inner)
            many = list[Optional[inner]] if inner else None  # type: ignore[valid-type]  # noqa: UP045
            size = getattr(dtype, "size", None)
            return described(many, min_length=size, max_length=size) if many and size else many
        case "Struct":
            fields = {field.name: _annotation(field.dtype) for field in dtype.fields}
            return typed_dict("Struct", {k: Optional[v] for k, v in fields.items()}) if all(fields.values()) else None  # noqa: UP045
        case "Object" | "Unknown" if column is not None:
            return _of_objects(column)
    return None


def _of_objects(column: Any) -> Any:
    """Give the type of a column whose dtype says nothing, by its values."""
    if column.null_count() == len(column):
        return str
    native, pandas = column.to_native(), sys.modules.get("pandas")
    if pandas is None or not isinstance(native, pandas.Series) or native.dtype != object:
        return None
    kind = _INFERRED.get(pandas.api.types.infer_dtype(native, skipna=True))
    return _checked(time, _without_zone) if kind is time else kind


def _whole(dtype: Any) -> Any:
    """Check the range of a column of integers; the schema tells the sign only, because a grammar of a range is slow."""
    bits = int(re.sub(r"\D", "", type(dtype).__name__))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.is_signed_integer() else (0, 2**bits - 1)

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}")
        return value

    return _checked(int if low else described(int, ge=0), check)


def _one_of(values: Iterable[Any]) -> Callable[[Any], Any]:
    known = set(values)

    def check(value: Any) -> Any:
        if value not in known:
            raise ValueError("must be one of the column's categories")
        return value

    return check


def _without_zone(value: time) -> time:
    return value.replace(tzinfo=None)


def _in_zone(zone: tzinfo | None) -> Callable[[datetime], datetime]:
    """Have datetimes in the zone of their column; where it has none, the time on the clock is kept."""

    def moved(value: datetime) -> datetime:
        if zone is None:
            return value.replace(tzinfo=None)
        return value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)

    return moved


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    if offset := re.fullmatch(r"(?:UTC)?([+-])(\d\d):(\d\d)", name):
        shift = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-shift if offset[1] == "-" else shift)
    return ZoneInfo(name)


def _checked(kind: Any, check: Callable[[Any], Any]) -> Any:
    from typing import Annotated

    return Annotated[kind, pydantic().AfterValidator(check)]
