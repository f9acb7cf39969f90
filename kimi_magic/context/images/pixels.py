"""Decoded pixels: turned upright, and made plain colours or levels of grey."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from PIL.Image import Image as Pillow

__all__ = ["Opened", "Picture", "by", "check", "number", "plain", "upright", "within"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture before it is decoded.

    Its name in words, how to decode it to about `side` pixels, but not fewer, and the words that can be read in it.
    """

    name: str
    open: Callable[[int], Opened]
    lossy: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """Decoded pixels, the size (width, height) that the picture itself has, and which of its frames this is."""

    pixels: Any
    size: tuple[int, int]
    frame: str = ""


# Words and sizes


def by(size: tuple[int, int]) -> str:
    """Write a size: `800 × 600`."""
    return f"{size[0]} × {size[1]}"


def number(value: Any) -> str:
    """Write a value of a pixel: whole, or with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(int(value))


def within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Scale a size down so that no side is longer than this."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def check(size: tuple[int, int]) -> None:
    """Raise a CommandError for a picture without pixels."""
    if min(size) < 1:
        raise CommandError(f"a picture of {by(size)} pixels has nothing to show")


# Upright

_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def upright(opened: Opened) -> Opened:
    """Turn a photo the way that its camera was held (EXIF orientation 1 to 8); a broken EXIF block turns nothing."""
    from PIL.Image import Transpose

    try:
        orientation = opened.pixels.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001  # many ways to be broken
        return opened
    if orientation not in _TURNS:
        return opened
    turned = opened.pixels.transpose(Transpose[_TURNS[orientation]])
    size = opened.size if orientation < 5 else opened.size[::-1]  # noqa: PLR2004  # 5 to 8 lie on their side
    return replace(opened, pixels=turned, size=size)


# Plain


def plain(image: Any) -> tuple[Pillow, str]:
    """Give a copy as RGB or as levels of grey (L), on white where transparent; and what was done to its values."""
    note = ""
    if image.mode == "F" or image.mode.startswith("I"):
        pixels, note = _stretched(image)
    elif image.has_transparency_data:
        pixels = _on_white(image)
    else:
        pixels = image.convert("L" if image.mode in {"1", "L"} else "RGB")
    pixels.info = {}  # comments, EXIF, profiles and resolutions would be written into the file
    return pixels, note


def _on_white(image: Any) -> Pillow:
    from PIL import Image

    coloured = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    sheet = Image.new("RGBA", image.size, "white")
    sheet.alpha_composite(coloured)
    return sheet.convert("RGB")


def _stretched(image: Any) -> tuple[Pillow, str]:
    """Show numbers wider than a byte: 0 to 255 (0 to 1 of floats) as they are, any other range from black to white."""
    numbers = image if image.mode in {"I", "F"} else image.convert("I")
    low, high = numbers.getextrema()
    if not (isfinite(low) and isfinite(high)):
        raise CommandError("the picture has values that are not finite", hint="numpy.nan_to_num replaces them.")
    dark, bright = (0, 1) if image.mode == "F" and low >= 0 and high <= 1 else (0, 255)
    note = ""
    if low < dark or high > bright:
        dark, bright, note = low, high, f"values {number(low)} to {number(high)} shown as black to white"
    scale = 255 / (bright - dark) if bright > dark else 0.0
    levels = numbers.convert("F").point(lambda value: value * scale + (0.5 - dark * scale))
    return levels.convert("L"), note
