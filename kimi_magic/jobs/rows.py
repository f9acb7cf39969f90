"""The rows that a job is about, whatever holds them: read piece by piece for asking, taken by position for the result.

A dataframe stays what it is: only the columns that are asked about become Python objects, a piece at a time. What is
lazy is collected once, so that row 7 is the same row whenever it is looked at; an iterable is read once and kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from kimi_magic.context import kinds
from kimi_magic.context.tables import dataframes
from kimi_magic.errors import CommandError
from kimi_magic.schema.frame import frame, library

__all__ = ["PIECE", "VALUE", "Piece", "Rows", "framed", "records", "rows_of"]

PIECE = 10_000
"""Rows that are read at once."""
VALUE = "value"
"""What the column of a series without a name is called."""

Piece = list[dict[Hashable, Any]]

_HINT = 'Give a dataframe, a series, dicts, or the path of a .parquet or .csv file; of plain values, [{"value": x}, …].'


class Rows(Protocol):
    """Rows in their order, numbered from 0."""

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """Their labels, as their library has them."""
        ...

    @property
    def total(self) -> int | None:
        """How many rows there are; None where that is not known before they are read."""
        ...

    @property
    def like(self) -> str:
        """The library whose frames `taken` gives: pandas, polars or pyarrow."""
        ...

    def pieces(self, columns: Sequence[Hashable], size: int = PIECE) -> Iterator[Piece]:
        """Give the values of these columns, at most `size` rows at once; each row is a dict by label."""
        ...

    def taken(self, positions: Sequence[int] | None) -> Any:
        """Give a frame of these rows with all columns and, where there is one, their index; None for all rows."""
        ...


def rows_of(data: Any) -> Rows:
    """Give the rows of a frame (pandas, polars, pyarrow, lazy, whatever narwhals knows), series, dicts or file.

    Raises CommandError for anything else, and for what cannot be read.
    """
    if isinstance(data, str | os.PathLike):
        from kimi_magic.jobs import files

        return files.opened(Path(data).expanduser())
    if kinds.is_a(data, "pandas", "DataFrame"):
        return _Pandas(data)
    if kinds.is_a(data, "pandas", "Series"):
        return _Pandas(data.to_frame(VALUE if data.name is None else data.name))
    if isinstance(data, Mapping | bytes):
        raise CommandError(f"Rows are wanted, not {type(data).__name__}.", hint=_HINT)
    return _by_narwhals(data) or _Dicts(_dicts(data))


def _by_narwhals(data: Any) -> Rows | None:
    if kinds.roots(data) & {"dask", "dask_expr"}:
        raise CommandError("A dask dataframe is mapped on its workers.", hint="kimi_magic.map(ddf, …) does that.")
    import narwhals as nw

    wrapped: Any = nw.from_native(data, allow_series=True, pass_through=True)
    if isinstance(wrapped, nw.Series):
        return _frame(wrapped.alias(wrapped.name or VALUE).to_frame())
    if isinstance(wrapped, nw.DataFrame):
        return _frame(wrapped)
    if isinstance(wrapped, nw.LazyFrame):
        try:
            return _frame(wrapped.collect())
        except KeyboardInterrupt:
            raise
        except Exception as exc:
            raise CommandError(
                f"The rows cannot be read: {type(exc).__name__}: {exc}", hint="Collect them first, and map those."
            ) from exc
    return None


def _frame(wrapped: Any) -> Rows:
    if wrapped.implementation.is_polars() or wrapped.implementation.is_pyarrow():
        return _Columns(wrapped, str(wrapped.implementation.value))
    return _Pandas(wrapped.to_pandas())  # modin, cudf


def _dicts(data: Any) -> list[Mapping[Hashable, Any]]:
    if not isinstance(data, Iterable):
        raise CommandError(f"Rows are wanted, not {type(data).__name__}.", hint=_HINT)
    kept = list(data)
    for n, row in enumerate(kept):
        if not isinstance(row, Mapping):
            raise CommandError(f"Row {n} is no dict but {type(row).__name__}.", hint=_HINT)
    return kept


def records(labels: Sequence[Hashable], columns: Iterable[Iterable[Any]]) -> Piece:
    """Turn columns of equal length into rows."""
    return [dict(zip(labels, row, strict=True)) for row in zip(*columns, strict=True)]


def values(column: Any) -> list[Any]:
    """Read a column as Python objects; those of 32 bits as numpy's own, which write themselves as short as they are."""
    wrapped = dataframes.series(column)
    if wrapped is not None and str(wrapped.dtype) == "Float32" and "numpy" in sys.modules:
        return [None if value != value else value for value in wrapped.to_numpy()]  # noqa: PLR0124  # NaN
    return dataframes.values(column)


def framed(kept: Mapping[int, Mapping[Hashable, Any]], columns: Sequence[Hashable], kind: Any = None) -> Any:
    """Make a frame, of the library in use, of rows by position; `kind` is the type of all columns, None for any."""
    named = [{str(label): value for label, value in row.items()} for row in kept.values()]
    made = frame(named, {str(label): kind for label in columns})
    return made.set_axis(list(kept)) if library() == "pandas" else made


class _Pandas:
    """A dataframe of pandas: columns are found by position, because labels need be neither unique nor texts."""

    like = "pandas"

    def __init__(self, frame: Any) -> None:
        self._frame = frame.copy(deep=False)  # columns that the user adds or drops meanwhile are none of ours
        self.columns = tuple(frame.columns)
        self.total: int | None = len(frame)

    def pieces(self, columns: Sequence[Hashable], size: int = PIECE) -> Iterator[Piece]:
        asked = self._frame.iloc[:, [self.columns.index(label) for label in columns]]
        asked = asked.copy(deep=not _copies_on_write())  # values that the user changes meanwhile are none of ours
        for start in range(0, len(asked), size):
            part = asked.iloc[start : start + size]
            yield records(columns, [values(part.iloc[:, place]) for place in range(len(columns))])

    def taken(self, positions: Sequence[int] | None) -> Any:
        return self._frame.copy(deep=False) if positions is None else self._frame.take(list(positions))


def _copies_on_write() -> bool:
    """Whether a change of a frame of pandas leaves its shallow copies alone: from version 3 on always."""
    pandas = sys.modules["pandas"]
    return int(pandas.__version__.partition(".")[0]) >= 3 or pandas.options.mode.copy_on_write is True  # noqa: PLR2004


class _Columns:
    """A frame of polars or pyarrow."""

    def __init__(self, wrapped: Any, like: str) -> None:
        self._frame = wrapped.clone()  # polars can change a frame in place
        self.like = like
        self.columns: tuple[Hashable, ...] = tuple(wrapped.columns)
        self.total: int | None = len(wrapped)

    def pieces(self, columns: Sequence[Hashable], size: int = PIECE) -> Iterator[Piece]:
        for start in range(0, len(self._frame), size):
            part = self._frame[start : start + size]
            yield records(columns, [values(part.get_column(label).to_native()) for label in columns])

    def taken(self, positions: Sequence[int] | None) -> Any:
        return (self._frame if positions is None else self._frame[list(positions)]).to_native()


class _Dicts:
    """Dicts, whose keys may differ: the columns are all keys, in the order in which they turn up."""

    def __init__(self, kept: list[Mapping[Hashable, Any]]) -> None:
        self._kept = kept
        self.columns: tuple[Hashable, ...] = tuple(dict.fromkeys(key for row in kept for key in row))
        self.total: int | None = len(kept)

    @property
    def like(self) -> str:
        return library()

    def pieces(self, columns: Sequence[Hashable], size: int = PIECE) -> Iterator[Piece]:
        asked = [[row.get(label) for row in self._kept] for label in columns]  # now: the user may change the dicts
        for start in range(0, len(self._kept), size):
            yield records(columns, [column[start : start + size] for column in asked])

    def taken(self, positions: Sequence[int] | None) -> Any:
        wanted = range(len(self._kept)) if positions is None else positions
        return framed({n: self._kept[n] for n in wanted}, self.columns)
