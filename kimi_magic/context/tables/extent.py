"""How many values are missing, and which is the least and the greatest: over all rows, part by part.

No part is large enough that what is made for it would be noticed in memory; each is read once while it is in the cache.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Extent", "is_dense", "is_measured", "missing", "of_array", "of_series", "parts"]

_PART = 1 << 17
_SERIES_PART = 1 << 19
_FAR = 32
_NUMPY_KINDS = "biufmM"


@dataclass(frozen=True, slots=True)
class Extent:
    """What all rows were asked: `least` and `greatest` are None where every value is missing, or none has an order."""

    missing: int
    least: Any = None
    greatest: Any = None


def of_series(column: Any, wrapped: Any) -> Extent:
    """Measure a column, as its library has it and as narwhals wrapped it; raise where values have no order."""
    if (array := _array(column)) is not None:
        return of_array(array)
    gone, ends = 0, []
    for start in range(0, len(wrapped), _SERIES_PART):
        part = wrapped[start : start + _SERIES_PART]
        gaps = int(part.null_count())
        gone += gaps
        if gaps < len(part):
            ends += [part.min(), part.max()]
    ends = [end for end in ends if end == end]  # noqa: PLR0124  # a part of NaN alone has NaN at its ends
    return Extent(gone, min(ends, default=None), max(ends, default=None))


def missing(wrapped: Any) -> int:
    """Count the nulls of a column that narwhals wrapped."""
    starts = range(0, len(wrapped), _SERIES_PART)
    return sum(int(wrapped[start : start + _SERIES_PART].null_count()) for start in starts)


def of_array(array: Any) -> Extent:
    """Measure an array of numpy: numbers, booleans, datetimes or timedeltas, of any shape and stride."""
    import numpy as np

    gone, least, greatest = 0, None, None
    for part in parts(array):
        gaps = int(np.count_nonzero(part != part))  # noqa: PLR0124  # true of NaN and NaT alone
        gone += gaps
        if gaps < len(part):
            low, high = np.fmin.reduce(part), np.fmax.reduce(part)
            least = low if least is None or low < least else least
            greatest = high if greatest is None or high > greatest else greatest
    return Extent(gone, least, greatest)


def parts(array: Any) -> Iterator[Any]:
    """Give the values of an array in short vectors; of a masked one those that are not masked."""
    import numpy as np

    mask = np.ma.getmask(array)
    if array.ndim == 1 and mask is np.ma.nomask:
        yield from (array[start : start + _PART] for start in range(0, len(array), _PART))
    elif array.size:
        if mask is np.ma.nomask:
            yield from np.nditer(array, flags=["external_loop", "buffered"], buffersize=_PART)
        else:
            data = np.ma.getdata(array)
            yield from (
                part[~gone]
                for part, gone in np.nditer((data, mask), flags=["external_loop", "buffered"], buffersize=_PART)
            )


def is_measured(array: Any) -> bool:
    """Whether an array has a least and a greatest value that can be found part by part."""
    return array.dtype.kind in _NUMPY_KINDS


def is_dense(column: Any) -> bool:
    """Whether a column's values lie near each other, so that reading all of them is cheap.

    Those of one column of a table made of a matrix may lie a whole row apart: each read fetches a line of the cache.
    """
    array = _array(column)
    return array is None or len(array) <= _SERIES_PART or abs(array.strides[0]) <= _FAR


def _array(column: Any) -> Any:
    """Give the numpy vector that a pandas column lies in, without copying; None for any other column."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(column, "iloc") or not isinstance(column.dtype, numpy.dtype):
        return None
    return column.to_numpy() if column.dtype.kind in _NUMPY_KINDS else None
