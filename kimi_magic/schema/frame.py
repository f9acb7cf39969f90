"""Checked rows as a dataframe with proper dtypes: those of the dataframe they are like, or those of their type."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from enum import Enum
from types import UnionType
from typing import Any

from kimi_magic.errors import CommandError
from kimi_magic.schema.like import is_pandas, is_polars

__all__ = ["Cells", "cell", "frame", "hints", "library", "table"]

Cells = dict[str, list[Any]]


def frame(records: Sequence[Mapping[str, Any]], kinds: Mapping[str, Any], like: Any = None) -> Any:
    """Make a dataframe of records that have the fields `kinds`: of the library of `like`, else the one in use.

    Without `like` that is pandas where it is loaded, else polars where it is, else what can be imported; raises
    CommandError where neither can.
    """
    names = list(kinds) or list(dict.fromkeys(name for record in records for name in record))
    cells = {name: [cell(record.get(name)) for record in records] for name in names}
    if is_pandas(like):
        return _pandas_like(cells, like)
    if is_polars(like):
        return _polars(cells, dict(like.collect_schema()))
    return table(cells, kinds, library())


def table(cells: Cells, kinds: Mapping[str, Any], of: str, *, nullable: bool = False) -> Any:
    """Make a dataframe of columns of the types `kinds`, of the library `of`: pandas, polars or pyarrow.

    With `nullable` the dtypes of pandas are those of columns with missing values, whether there are any or not.
    """
    if of == "polars":
        return _polars(cells, {name: _polars_dtype(kinds.get(name), values) for name, values in cells.items()})
    return _arrow(cells, kinds) if of == "pyarrow" else _pandas(cells, kinds, nullable=nullable)


def library(last: str = "") -> str:
    """Name the dataframe library in use; `last` is what is taken where there is neither pandas nor polars."""
    loaded = [name for name in ("pandas", "polars") if sys.modules.get(name) is not None]
    there = loaded or [name for name in ("pandas", "polars") if importlib.util.find_spec(name)]
    if not there and not last:
        raise CommandError("A table needs pandas or polars.", hint="pip install pandas")
    return [*there, last][0]


def cell(value: Any) -> Any:
    """Give what a dataframe holds of a value: that of an Enum, for one of its members."""
    return value.value if isinstance(value, Enum) else value


def hints(row: Any) -> dict[str, Any]:
    """Give names and types of the fields of a row, as far as they can be told."""
    if (fields := getattr(row, "model_fields", None)) is not None:
        return {name: field.annotation for name, field in fields.items()}
    with suppress(Exception):  # names that are not defined, a union: the library infers the dtypes
        return typing.get_type_hints(row)
    return {}


def _bare(kind: Any) -> tuple[Any, bool]:
    """Strip a type of what is said of it; and tell whether it may be null."""
    while typing.get_origin(kind) in (typing.Annotated, typing.Required, typing.NotRequired):
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, UnionType):
        some = [one for one in typing.get_args(kind) if one is not type(None)]
        if len(some) == 1:
            return _bare(some[0])[0], len(some) < len(typing.get_args(kind))
    return kind, False


def _categories(kind: Any) -> list[Any]:
    """Give the values of a Literal or an Enum where they are all text; empty for anything else."""
    values: list[Any] = []
    if typing.get_origin(kind) is typing.Literal:
        values = [cell(value) for value in typing.get_args(kind)]
    elif isinstance(kind, type) and issubclass(kind, Enum):
        values = [member.value for member in kind]
    return values if all(isinstance(value, str) for value in values) else []


def _pandas_like(cells: Cells, like: Any) -> Any:
    pandas = importlib.import_module("pandas")
    kept = [n for n, label in enumerate(like.columns) if str(label) in cells]
    made = {n: pandas.Series(cells[str(like.columns[n])], dtype=like.dtypes.iloc[n]) for n in kept}
    table = pandas.DataFrame(made)
    table.columns = like.columns[kept]
    return table


def _pandas(cells: Cells, kinds: Mapping[str, Any], *, nullable: bool) -> Any:
    pandas = importlib.import_module("pandas")
    made = {}
    for name, values in cells.items():
        try:
            made[name] = pandas.Series(values, dtype=_pandas_dtype(kinds.get(name), values, nullable=nullable))
        except (TypeError, ValueError, OverflowError):  # whole numbers beyond 64 bits, mixed time zones
            made[name] = pandas.Series(values, dtype=object)
    return pandas.DataFrame(made)


def _pandas_dtype(kind: Any, values: list[Any], *, nullable: bool) -> Any:
    pandas = importlib.import_module("pandas")
    bare, _ = _bare(kind)
    missing = nullable or None in values
    if choices := _categories(bare):
        return pandas.CategoricalDtype(choices)
    if bare in (date, datetime):
        zoned = [value.tzinfo for value in values if isinstance(value, datetime) and value.tzinfo]
        return pandas.DatetimeTZDtype("us", "UTC") if zoned else "datetime64[us]"
    plain = {int: "Int64" if missing else "int64", float: "float64", bool: "boolean" if missing else "bool"}
    if bare is str:
        return pandas.Series(["a"]).dtype  # object before pandas 3
    return {**plain, timedelta: "timedelta64[us]"}.get(bare, None if values else object)


def _polars(cells: Cells, schema: Mapping[str, Any]) -> Any:
    polars = importlib.import_module("polars")
    made = []
    for name, values in cells.items():
        try:
            made.append(polars.Series(name, values, dtype=schema[name]))
        except (TypeError, OverflowError, polars.exceptions.PolarsError):
            made.append(polars.Series(name, values, strict=False))
    return polars.DataFrame(made)


def _polars_dtype(kind: Any, values: list[Any]) -> Any:
    polars = importlib.import_module("polars")
    bare, _ = _bare(kind)
    if choices := _categories(bare):
        return polars.Enum(choices)
    if bare is datetime:
        zoned = any(value.tzinfo for value in values if value is not None)
        return polars.Datetime("us", "UTC" if zoned else None)
    if typing.get_origin(bare) is list:
        inner = _polars_dtype(typing.get_args(bare)[0], [])
        return polars.List(inner) if inner else None
    plain = {int: polars.Int64, float: polars.Float64, bool: polars.Boolean, str: polars.String}
    return {**plain, date: polars.Date, time: polars.Time, timedelta: polars.Duration("us")}.get(bare)


def _arrow(cells: Cells, kinds: Mapping[str, Any]) -> Any:
    arrow = importlib.import_module("pyarrow")
    plain = {int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_(), str: arrow.string(), date: arrow.date32()}
    made = {}
    for name, values in cells.items():
        bare, _ = _bare(kinds.get(name))
        words = bool(_categories(bare))
        try:
            made[name] = arrow.array(values, type=arrow.string() if words else plain.get(bare))
        except (arrow.ArrowException, OverflowError):  # whole numbers beyond 64 bits, values of several types
            made[name] = arrow.array([None if value is None else str(value) for value in values])
        made[name] = made[name].dictionary_encode() if words else made[name]
    return arrow.table(made)
