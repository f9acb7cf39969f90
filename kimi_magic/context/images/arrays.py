"""Arrays of numbers that look like a picture → pixels; what does not is described by its numbers."""

from __future__ import annotations

from typing import Any

from kimi_magic.context.images.pixels import Opened, Picture, number
from kimi_magic.context.kinds import is_a

__all__ = ["found"]

_SMALLEST_SIDE = 32  # of an array of one channel: below, it is numbers
_SMALLEST_COLOURED = 16
_LONGEST_RATIO = 16  # of an array's sides: beyond, it is a table of numbers
_CHANNELS = (3, 4)


def found(array: Any) -> Picture | None:
    """Take a numpy array for a picture: bytes, or floats from 0 to 1 in three or four channels."""
    if any(is_a(array, "numpy", name) for name in ("MaskedArray", "matrix", "recarray", "chararray")):
        return None
    numbers = array.view(next(cls for cls in type(array).__mro__ if cls.__name__ == "ndarray"))
    if not _like_a_picture(numbers):
        return None
    low, high = numbers.min().item(), numbers.max().item()
    if numbers.dtype.kind == "f" and not 0 <= low <= high <= 1:
        return None
    shape = " × ".join(map(str, numbers.shape))
    name = f"array {shape} {numbers.dtype}, values {number(low)} to {number(high)}"
    return Picture(name, lambda side: _painted(numbers, side))


def _like_a_picture(array: Any) -> bool:
    """Whether type, channels and sides are those of a picture."""
    floats, levels = array.dtype.kind == "f", array.dtype.name == "uint8"
    match array.shape:
        case (height, width):
            fits = levels and min(height, width) >= _SMALLEST_SIDE
        case (height, width, channels):
            fits = (levels or floats) and channels in _CHANNELS and min(height, width) >= _SMALLEST_COLOURED
        case _:
            return False
    return bool(fits and max(height, width) <= _LONGEST_RATIO * min(height, width))


def _painted(array: Any, side: int) -> Opened:
    """Turn numbers into pixels; of a very large array, only every so many rows and columns are taken."""
    from PIL import Image

    height, width = array.shape[:2]
    step = max(1, max(height, width) // (4 * side))
    taken = array[::step, ::step]
    if taken.dtype.kind == "f":
        taken = taken * 255 + 0.5
    return Opened(Image.fromarray(taken.astype("uint8")), (width, height))
