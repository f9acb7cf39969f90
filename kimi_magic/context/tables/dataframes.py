"""What each dataframe library calls its things: any table, column or index as columns that can be read by position.

Narwhals does the reading; a pandas table is taken apart column by column first, because its names need be neither
unique nor texts, and its index belongs to it. What is lazy is never computed: its schema and first rows are read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kimi_magic.context.tables.cells import Unreadable

__all__ = ["Dataframe", "Level", "find", "levels", "series", "taken", "values"]


@dataclass(frozen=True, slots=True)
class Dataframe:
    """A table, a column or an index.

    `kind` is which of the three; `rows` is None where it is lazy and was not counted. `labels` and `dtypes` are one a
    column; `column` gives a column by position, as its library has it, or as a list. `index` is that of pandas, None
    for others, and `label_levels` are the names of the levels of its column labels. `first` opens a lazy one: so many
    first rows, as one that is not lazy.
    """

    kind: str
    title: str
    rows: int | None
    labels: Sequence[Any]
    dtypes: Sequence[str]
    column: Callable[[int], Any]
    index: Any = None
    first: Callable[[int], Dataframe] | None = None
    label_levels: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a pandas index; `distinct` is None where that is not known without counting."""

    label: Any
    dtype: str
    distinct: int | None
    take: Callable[[Sequence[int]], list[Any]]


def find(obj: Any) -> Dataframe | None:
    """Read an object as columns; None for what is neither table nor column nor index."""
    root, kind = type(obj).__module__.partition(".")[0], type(obj).__name__
    if kind == "Styler":
        return find(obj.data)
    if root == "narwhals":
        return find(obj.to_native()) if hasattr(obj, "to_native") else None
    if hasattr(obj, "_meta") and hasattr(obj, "npartitions"):
        return _dask(obj)
    if root in {"duckdb", "_duckdb"}:
        return _duckdb(obj) if kind == "DuckDBPyRelation" else None
    if root == "pyarrow":
        return _pyarrow(obj)
    if hasattr(obj, "iloc") and hasattr(obj, "index"):
        return _pandas_like(obj)
    if hasattr(obj, "nlevels") and hasattr(obj, "to_series"):
        return _index(obj)
    return _other(obj)


def series(column: Any) -> Any:
    """Wrap a column for narwhals; None for one that it does not take."""
    import narwhals

    try:
        return narwhals.from_native(column, series_only=True)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # refused, for whatever reason
        return None


def values(column: Any, positions: Sequence[int] | None = None) -> list[Any]:
    """Read a column as Python objects, whole or at these positions."""
    if isinstance(column, list):
        return column if positions is None else [column[position] for position in positions]
    if type(column).__module__.partition(".")[0] == "numpy":
        part = column if positions is None else taken(column, positions)
        return list(part) if part.dtype.kind in "mMV" else list(part.tolist())  # tolist makes integers of datetimes
    wrapped = series(column)
    for as_text in (False, True):
        try:
            return _read(wrapped, positions, as_text=as_text)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112  # a datetime after the year 9999, an odd extension type
            continue
    return [Unreadable()] * (len(column) if positions is None else len(positions))


def taken(wrapped: Any, positions: Sequence[int]) -> Any:
    """Take these rows of a wrapped column."""
    numpy = sys.modules.get("numpy")  # a list of positions is converted by most libraries anew, numpy's array by none
    return wrapped[list(positions) if numpy is None else numpy.asarray(positions, dtype="int64")]


def levels(index: Any) -> list[Level]:
    """Take an index apart; nothing where there is none, or where it only counts rows from 0."""
    if index is None or not hasattr(index, "nlevels"):
        return []
    if type(index).__name__ == "RangeIndex" and (index.start, index.step, index.name) == (0, 1, None):
        return []
    if index.nlevels == 1:
        return [Level(index.name, _dtype(index.dtype), None, lambda positions: list(index.take(positions)))]
    return [_level(index, n) for n in range(index.nlevels)]


def _level(index: Any, n: int) -> Level:
    level = index.levels[n]

    def take(positions: Sequence[int]) -> list[Any]:
        return list(index.take(positions).get_level_values(n))

    return Level(index.names[n], _dtype(level.dtype), len(level), take)


def _read(wrapped: Any, positions: Sequence[int] | None, *, as_text: bool) -> list[Any]:
    import narwhals

    part = wrapped if positions is None else taken(wrapped, positions)
    found: list[Any] = (part.cast(narwhals.String) if as_text else part).to_list()
    return found


def _title(obj: object) -> str:
    return f"{type(obj).__module__.partition('.')[0]} {type(obj).__name__}"


def _pandas_like(obj: Any) -> Dataframe | None:
    if hasattr(obj, "columns"):
        dtypes = [_dtype(dtype) for dtype in obj.dtypes]
        labels, names = list(obj.columns), list(getattr(obj.columns, "names", ()))
        return Dataframe(
            "table", _title(obj), len(obj), labels, dtypes, lambda n: obj.iloc[:, n], obj.index, None, names
        )
    if hasattr(obj, "dtype"):
        return Dataframe("column", _title(obj), len(obj), [obj.name], [_dtype(obj.dtype)], lambda _: obj, obj.index)
    return None


def _index(obj: Any) -> Dataframe:
    if obj.nlevels == 1:
        return Dataframe("index", _title(obj), len(obj), [obj.name], [_dtype(obj.dtype)], lambda _: obj.to_series())
    dtypes = [_dtype(level.dtype) for level in obj.levels]

    def column(n: int) -> Any:
        return obj.get_level_values(n).to_series()

    return Dataframe("table", _title(obj), len(obj), list(obj.names), dtypes, column)


def _pyarrow(obj: Any) -> Dataframe | None:
    arrow, title = sys.modules["pyarrow"], _title(obj)
    if isinstance(obj, arrow.RecordBatch):
        obj = arrow.Table.from_batches([obj])
    if isinstance(obj, arrow.Array):
        obj = arrow.chunked_array([obj])
    if isinstance(obj, arrow.Table):
        dtypes = [str(dtype) for dtype in obj.schema.types]
        return Dataframe("table", title, obj.num_rows, obj.column_names, dtypes, obj.column)
    if isinstance(obj, arrow.ChunkedArray):
        return Dataframe("column", title, len(obj), [""], [str(obj.type)], lambda _: obj)
    return None


def _dask(obj: Any) -> Dataframe | None:
    meta = find(obj._meta)  # noqa: SLF001  # the empty table that dask documents for just this
    if meta is None or not hasattr(obj, "head"):
        return None

    def first(rows: int) -> Dataframe:
        return find(obj.head(rows, npartitions=1)) or meta

    labels, dtypes = meta.labels, meta.dtypes
    return Dataframe(meta.kind, _title(obj), None, labels, dtypes, meta.column, meta.index, first, meta.label_levels)


def _duckdb(obj: Any) -> Dataframe:
    labels, dtypes = list(obj.columns), [str(dtype) for dtype in obj.types]

    def first(rows: int) -> Dataframe:
        read = obj.limit(rows).fetchall()
        columns = [[row[n] for row in read] for n in range(len(labels))]
        return Dataframe("table", "duckdb relation", len(read), labels, dtypes, columns.__getitem__)

    return Dataframe("table", "duckdb relation", None, labels, dtypes, lambda _: [], None, first)


def _other(obj: Any) -> Dataframe | None:
    """Read what narwhals knows: polars, and lazy tables of several kinds."""
    import narwhals

    try:
        frame: Any = narwhals.from_native(obj, allow_series=True)
    except TypeError:  # not a table after all
        return None
    native = frame.to_native()
    if isinstance(frame, narwhals.Series):
        dtype = str(getattr(native, "dtype", frame.dtype))
        return Dataframe("column", _title(native), len(frame), [frame.name], [dtype], lambda _: native)
    schema = frame.collect_schema()
    title, dtypes = _title(native), _dtypes(native, schema)
    if isinstance(frame, narwhals.DataFrame):
        return _eager(title, frame, dtypes)

    def first(rows: int) -> Dataframe:
        return _eager(title, frame.head(rows).collect(), dtypes)

    return Dataframe("table", title, None, list(schema), dtypes, lambda _: [], None, first)


def _eager(title: str, frame: Any, dtypes: list[str]) -> Dataframe:
    names = frame.columns
    return Dataframe("table", title, len(frame), names, dtypes, lambda n: frame.get_column(names[n]).to_native())


def _dtypes(native: Any, schema: Any) -> list[str]:
    """Name dtypes as the library itself does, where it lists them as polars does."""
    lazy = type(native).__name__ == "LazyFrame"
    own = native.collect_schema().dtypes() if lazy else getattr(native, "dtypes", None)
    found = own if isinstance(own, list) and len(own) == len(schema) else schema.values()
    return [str(dtype) for dtype in found]


def _dtype(dtype: Any) -> str:
    text = str(dtype)
    if text == "category" and hasattr(dtype, "categories"):
        ordered = ", ordered" if dtype.ordered else ""
        return f"category[{0 if dtype.categories is None else len(dtype.categories)}{ordered}]"
    return text
