"""Pixels → a part within its budget of pixels and bytes."""

from __future__ import annotations

from io import BytesIO
from math import sqrt
from typing import TYPE_CHECKING, Any

from kimi_magic.context.description import Look
from kimi_magic.context.images.pixels import within
from kimi_magic.errors import CommandError
from kimi_magic.messages import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Pillow

__all__ = ["encoded", "longest_side"]

# The model's own limits are not documented. 1,568 pixels is where vision models stop to gain from more, 512 shows what
# a picture is about. A service may count base64 as text, at four characters per token: then 150,000 bytes are 50,000
# tokens, 40,000 are 13,000, and three pictures with all their details fill half a window of 262,144.
_SIDES = {"low": 512, "auto": 1568, "high": 3072}
_LOW_ROOM, _HIGH_FACTOR = 40_000, 3

_GAP = 1.2  # whole pixels are averaged first down to this many times the size: half the time, and no visible loss
_QUALITIES = (85, 75, 65, 50)
_SMALL = 1 << 18  # pixels that are packed as PNG without asking first whether that can fit


def longest_side(look: Look) -> int:
    """Give the most pixels that a side may have."""
    return _SIDES[look.detail]


def _room(look: Look) -> int:
    """Give the most bytes."""
    if look.detail == "low":
        return min(_LOW_ROOM, look.picture_room)
    return look.picture_room * (_HIGH_FACTOR if look.detail == "high" else 1)


def encoded(pixels: Pillow, look: Look, *, lossy: bool = False) -> Image:
    """Write pixels as PNG where that fits, otherwise as JPEG; what was JPEG before (lossy) has nothing left to lose."""
    room = _room(look)
    pixels = _shrunk(pixels, longest_side(look))
    data = None if lossy else _png(pixels, room)
    if data is not None:
        return Image(data, "image/png", pixels.width, pixels.height, look.detail)
    data, (width, height) = _jpeg(pixels, room)
    return Image(data, "image/jpeg", width, height, look.detail)


def _shrunk(pixels: Pillow, side: int) -> Pillow:
    from PIL.Image import Resampling

    if max(pixels.size) <= side:
        return pixels
    return pixels.resize(within(pixels.size, side), Resampling.LANCZOS, reducing_gap=_GAP)


def _png(pixels: Pillow, room: int) -> bytes | None:
    width, height = pixels.size
    if width * height > _SMALL:
        band = pixels.crop((0, height * 7 // 16, width, height * 9 // 16))
        if len(_written(band, "PNG", compress_level=1)) > room:
            return None  # an eighth is too large already: spares a photo the long way
    data = _written(_with_palette(pixels), "PNG", compress_level=9)
    return data if len(data) <= room else None


def _with_palette(pixels: Pillow) -> Pillow:
    """Give pixels of few colours one byte each, where that loses nothing."""
    from PIL.Image import Palette

    if pixels.mode != "RGB" or pixels.getcolors(256) is None:
        return pixels
    few = pixels.convert("P", palette=Palette.ADAPTIVE, colors=256)
    return few if few.convert("RGB").tobytes() == pixels.tobytes() else pixels


def _jpeg(pixels: Pillow, room: int) -> tuple[bytes, tuple[int, int]]:
    """Let the quality fall, then the size, until it fits."""
    smaller, side = pixels, max(pixels.size)
    while len(least := _jpeg_of(smaller, _QUALITIES[-1])) > room:
        side = int(side * min(0.85, sqrt(max(room, 0) / len(least))))
        if side < 1:
            raise CommandError(f"no picture fits in {room} bytes", hint="Allow a picture more room.")
        smaller = _shrunk(pixels, side)
    better = (_jpeg_of(smaller, quality) for quality in _QUALITIES[:-1])
    return next((data for data in better if len(data) <= room), least), smaller.size


def _jpeg_of(pixels: Pillow, quality: int) -> bytes:
    return _written(pixels, "JPEG", quality=quality, optimize=True)


def _written(pixels: Pillow, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    pixels.save(file, kind, **options)
    return file.getvalue()
