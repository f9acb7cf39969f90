"""Rows of a file, read in pieces: its size does not matter until the result frame is wanted.

Parquet is read by pyarrow, batch by batch. Of CSV each field is taken as the text that stands in the file (UTF-8,
commas; an empty field is missing), so that a question does not depend on what a library guesses; the result frame has
the dtypes that the dataframe library in use reads from the file.
"""

from __future__ import annotations

import csv
import importlib
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kimi_magic.errors import CommandError
from kimi_magic.jobs.rows import PIECE, Piece, Rows, framed, records, values
from kimi_magic.schema.frame import library

__all__ = ["opened"]

_LONGEST_FIELD = 2**31 - 1
_INDEX = re.compile(r"__index_level_\d+__")


def opened(path: Path) -> Rows:
    """Open a .parquet or .csv file; raises CommandError for one that cannot be read."""
    readers: dict[str, Callable[[Path], Rows]] = {".parquet": _Parquet, ".pq": _Parquet, ".csv": _Csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise CommandError(f"{path.name!r} is neither .parquet nor .csv.", hint="Read it yourself, and map the frame.")
    if not path.is_file():
        raise CommandError(f"There is no file {str(path)!r}.", hint="Folders and addresses are not read.")
    return reader(path)


def _unreadable(path: Path, error: Exception) -> CommandError:
    return CommandError(
        f"{path.name!r} cannot be read: {type(error).__name__}: {error}", hint="Read it yourself, and map the frame."
    )


def _unchanged(path: Path, stamp: tuple[int, int]) -> None:
    if _stamp(path) != stamp:
        raise CommandError(f"{path.name!r} was changed while it was read.", hint="Map it anew.")


def _stamp(path: Path) -> tuple[int, int]:
    """Give what changes when a file is written."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return found.st_mtime_ns, found.st_size


def _same(path: Path, found: int, rows: int | None) -> None:
    if rows is not None and found != rows:
        raise CommandError(
            f"{path.name!r} has {found:,} rows now; it had {rows:,} when they were asked.",
            hint="Put the file back as it was, or map it anew.",
        )


class _Parquet:
    def __init__(self, path: Path) -> None:
        try:
            self._parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise CommandError("Parquet files are read by pyarrow.", hint="pip install pyarrow") from None
        self._path = path
        with self._open() as file:
            names = file.schema_arrow.names
            self.total: int | None = file.metadata.num_rows
        self.columns: tuple[Hashable, ...] = tuple(name for name in names if not _INDEX.fullmatch(name))

    @property
    def like(self) -> str:
        return library("pyarrow")

    def pieces(self, columns: Sequence[Hashable], size: int = PIECE) -> Iterator[Piece]:
        whole = importlib.import_module("pyarrow").chunked_array
        stamp = _stamp(self._path)
        with self._open() as file:
            for batch in file.iter_batches(batch_size=size, columns=list(columns)):
                piece = records(columns, [values(whole([batch.column(label)])) for label in columns])
                _unchanged(self._path, stamp)
                yield piece

    def taken(self, positions: Sequence[int] | None) -> Any:
        try:
            table = self._parquet.read_table(self._path)
        except (OSError, ValueError) as error:
            raise _unreadable(self._path, error) from error
        _same(self._path, len(table), self.total)
        if self.like == "pandas":  # which makes the index of all rows, and only of all
            whole = table.to_pandas()
            return whole if positions is None else whole.take(list(positions))
        table = table if positions is None else table.take(list(positions))
        return importlib.import_module("polars").from_arrow(table) if self.like == "polars" else table

    def _open(self) -> Any:
        try:
            return self._parquet.ParquetFile(self._path, pre_buffer=False)  # which would hold all row groups at once
        except (OSError, ValueError) as error:
            raise _unreadable(self._path, error) from error


class _Csv:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.total: int | None = None
        self.columns: tuple[Hashable, ...] = tuple(next(self._read(), []))
        if not self.columns:
            raise CommandError(f"{path.name!r} is empty.", hint="Its first line names the columns.")

    @property
    def like(self) -> str:
        return library()

    def pieces(self, columns: Sequence[Hashable], size: int = PIECE) -> Iterator[Piece]:
        places = [(label, self.columns.index(label)) for label in columns]
        read, total, stamp = self._read(), 0, _stamp(self._path)
        next(read, None)
        while part := list(islice(read, size)):
            _unchanged(self._path, stamp)
            total += len(part)
            yield [{label: row[n] or None if n < len(row) else None for label, n in places} for row in part]
        self.total = total

    def taken(self, positions: Sequence[int] | None) -> Any:
        """Give these rows with the dtypes that the library reads, or as text where it reads other rows than we do."""
        try:
            whole = importlib.import_module(self.like).read_csv(self._path)
        except Exception as error:
            raise _unreadable(self._path, error) from error
        total = sum(1 for _ in self._read()) - 1
        _same(self._path, total, self.total)
        if len(whole) != total:
            return self._texts(positions)
        if positions is None:
            return whole
        return whole.take(list(positions)) if self.like == "pandas" else whole[list(positions)]

    def _texts(self, positions: Sequence[int] | None) -> Any:
        wanted = None if positions is None else set(positions)
        rows = enumerate(row for piece in self.pieces(self.columns) for row in piece)
        kept = {n: row for n, row in rows if wanted is None or n in wanted}
        return framed(kept, self.columns, str)

    def _read(self) -> Iterator[list[str]]:
        """Give the fields of each line that has some."""
        csv.field_size_limit(_LONGEST_FIELD)
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                yield from filter(None, csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise _unreadable(self._path, error) from error
