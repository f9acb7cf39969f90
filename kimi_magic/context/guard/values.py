"""The values of a column of any library, sorted into texts, numbers and times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from itertools import islice
from numbers import Real
from typing import Any

from kimi_magic.errors import CommandError

__all__ = ["DAY", "Values", "columns_of", "distinct", "fingerprint", "lazy", "microseconds", "sample", "unknown"]

DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # times are compared as they are printed, whatever their zone
_SAMPLE = 5_000
_MARKS = 64


@dataclass(slots=True)
class Values:
    """Distinct values: texts, the magnitudes of numbers, and times in microseconds since 1970.

    Missing ones are left out. `more` is whether there were more values than these.
    """

    texts: set[str] = field(default_factory=set)
    numbers: set[float] = field(default_factory=set)
    moments: set[int] = field(default_factory=set)
    more: bool = False

    @classmethod
    def of(cls, values: Iterable[object]) -> Values:
        """Sort values of any kind; those inside of lists and dictionaries count one by one."""
        result = cls()
        for value in values:
            result._put(value)
        return result

    def _put(self, value: Any) -> None:
        match value:
            case None | bool():
                pass
            case _ if _missing(value):
                pass
            case str():
                self.texts.add(value)
            case date():
                self.moments.add(microseconds(value))
            case Real() | Decimal():
                self._put_number(value)
            case bytes() | bytearray():
                self.texts.add(bytes(value).decode("utf-8", "replace"))
            case Mapping():
                self._put_all(value.values())
            case list() | tuple() | set() | frozenset():
                self._put_all(value)
            case _ if callable(getattr(value, "tolist", None)):
                self._put(_in_microseconds(value).tolist())
            case _:
                self.texts.add(str(value))

    def _put_all(self, values: Iterable[object]) -> None:
        for value in values:
            self._put(value)

    def _put_number(self, value: Any) -> None:
        try:
            number = abs(float(value))
        except (OverflowError, ValueError):  # an integer of hundreds of digits; a signalling NaN
            self.texts.add(str(value))
            return
        if math.isfinite(number):
            self.numbers.add(number)


def _missing(value: object) -> bool:
    """Whether this is one of the values of pandas and numpy that stand for none: NaN, NaT, NA."""
    try:
        return bool(value != value)  # noqa: PLR0124  # that is how they are told
    except (TypeError, ValueError):  # NA says nothing about itself; an array says too much
        return type(value).__name__ == "NAType"


def _in_microseconds(values: Any) -> Any:
    """Give times of numpy in the unit in which they become Python's; any others as they are."""
    return values.astype("datetime64[us]") if getattr(getattr(values, "dtype", None), "kind", "") == "M" else values


def microseconds(moment: date) -> int:
    """Give the microseconds since 1970 that a date, or a time on the wall, is."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    since = moment.replace(tzinfo=None) - _EPOCH
    return since.days * DAY + since.seconds * 1_000_000 + since.microseconds


def sample(values: Any) -> Values:
    """Sort about 5,000 values out of many, evenly drawn."""
    if isinstance(values, str):
        return Values()
    if not (hasattr(values, "__len__") and hasattr(values, "__getitem__")) or isinstance(values, Mapping):
        values = list(islice(values, 100 * _SAMPLE))
    step = max(1, len(values) // _SAMPLE)
    part = values[::step]
    listed = getattr(part, "to_list", None) or getattr(_in_microseconds(part), "tolist", None)
    return Values.of(listed() if listed else part)


# Tables


def columns_of(table: Any) -> list[str]:
    """Name the columns of a table, those in its index as well; a series is a table of one."""
    if _like_pandas(table):
        labels = [*_own(table), *(name for name in _levels(table) if name is not None)]
        return [*dict.fromkeys(part for label in labels for part in _names(label))]
    frame = _narwhal(table)
    return [frame.name or ""] if _is_series(frame) else list(frame.collect_schema().names())


def distinct(table: Any, name: str, most: int) -> Values:
    """Give the distinct values of a column, `most` at most."""
    try:
        values = _pandas_values(table, name, most) if _like_pandas(table) else _narwhals_values(table, name, most)
    except Exception as exc:
        raise CommandError(
            f"The values of column {name!r} cannot be read: {type(exc).__name__}: {exc}",
            hint="It can be made private by its name alone, without the table.",
        ) from exc
    found = Values.of(values[:most])
    found.more = len(values) > most
    return found


def lazy(table: Any) -> bool:
    """Whether the values of a table would have to be computed first, or it is no table that is known."""
    if _like_pandas(table):
        return _lazy(table)
    import narwhals as nw

    return nw.from_native(table, eager_only=True, allow_series=True, pass_through=True) is table


def fingerprint(table: Any, names: list[str]) -> int:
    """Give a number that tells whether a table is as it was: from its length and some values of these columns."""
    part, length = _part(table, names)
    found = [(name, distinct(part, name, _MARKS + 1)) for name in names]
    marks = [(name, frozenset(it.texts), frozenset(it.numbers), frozenset(it.moments)) for name, it in found]
    return hash((length, *marks))


def _part(table: Any, names: list[str]) -> tuple[Any, int]:
    """Give some rows of a table that is not lazy, evenly drawn, and how many it has."""
    length = len(table)
    rows = sorted({*range(0, length, max(1, length // _MARKS)), *range(length)[-1:]})
    if _is_index(table):
        return table[rows], length
    if _like_pandas(table):
        places = [place for place, own in enumerate(_own(table)) if not {*_names(own)}.isdisjoint(names)]
        return (table.iloc[rows] if table.ndim == 1 else table.iloc[rows, places]), length
    frame = _narwhal(table)
    return (frame if _is_series(frame) else frame.select(names))[rows].to_native(), length


def unknown(name: str, names: Iterable[str]) -> CommandError:
    """Say that there is no such column, and which one may be meant."""
    names = [known for known in names if known]
    near = get_close_matches(name, names, n=3)
    words = ", ".join(map(repr, near or names[:8])) + (", …" if not near and names[8:] else "")
    hint = f"Did you mean {words}?" if near else f"There are {words}." if words else "There are none."
    return CommandError(f"There is no column {name!r}.", hint=hint)


def _like_pandas(table: Any) -> bool:
    """Whether this is a frame or a series of pandas, or of a library that does as pandas does (dask, modin, cudf)."""
    return (hasattr(table, "loc") and hasattr(table, "index") and hasattr(table, "ndim")) or _is_index(table)


def _is_index(table: Any) -> bool:
    return hasattr(table, "get_level_values") and hasattr(table, "names")


def _index(table: Any) -> Any:
    return table if _is_index(table) else table.index


def _lazy(table: Any) -> bool:
    return hasattr(table, "compute")


def _levels(table: Any) -> list[object]:
    return [_index(table).name] if _lazy(table) else list(_index(table).names)


def _own(table: Any) -> list[object]:
    if _is_index(table):
        return []
    return [table.name] if table.ndim == 1 else list(table.columns)


def _names(label: object) -> tuple[str, ...]:
    """Name a label: by itself and, in a MultiIndex, by each of its levels."""
    return (str(label), *(str(level) for level in label if level != "")) if isinstance(label, tuple) else (str(label),)


def _pandas_values(table: Any, name: str, most: int) -> list[object]:
    values: list[object] = []
    for place, label in enumerate(_own(table)):
        if name in _names(label):
            values += _unique(table if table.ndim == 1 else table.iloc[:, [place]], most)
    for level, label in enumerate(_levels(table)):
        if label is not None and name in _names(label):
            index = _index(table).compute() if _lazy(table) else _index(table).get_level_values(level)
            values += list(index.unique()[: most + 1])
    return values


def _unique(series: Any, most: int) -> list[object]:
    """Give the distinct values of a series, or of a frame of one column, one more than `most` at most."""
    series = series.compute() if _lazy(series) else series
    series = series.dropna() if series.ndim == 1 else series.iloc[:, 0].dropna()
    with suppress(TypeError):  # lists and dictionaries in the cells
        series = series.drop_duplicates()
    return list(series.iloc[: most + 1].tolist())


def _narwhal(table: Any) -> Any:
    import narwhals as nw

    try:
        return nw.from_native(table, allow_series=True)
    except TypeError as exc:
        raise CommandError(
            f"A {type(table).__name__} has no columns that can be made private.",
            hint="A dataframe, a series or a relation has; or give names alone, for all tables.",
        ) from exc


def _is_series(frame: Any) -> bool:
    return type(frame).__name__ == "Series"


def _narwhals_values(table: Any, name: str, most: int) -> list[object]:
    import narwhals as nw

    frame = _narwhal(table)
    if not _is_series(frame):
        lazy = frame.lazy() if hasattr(frame, "lazy") else frame
        frame = lazy.select(nw.col(name)).collect()[name]
    with suppress(Exception):  # nested columns: each library has its own error for them
        frame = frame.unique()
    return list(frame.drop_nulls().head(most + 1).to_list())
