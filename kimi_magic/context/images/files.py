"""Image files, as bytes, by their path or in IPython's `Image` and `SVG` → pixels; and the pixels of a Pillow image."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.images import svg
from kimi_magic.context.images.pixels import Opened, by, check, within
from kimi_magic.context.kinds import is_a
from kimi_magic.errors import CommandError

__all__ = ["File", "found", "loaded", "of"]

_SIGNATURES = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|II\*\0|MM\0\*|8BPS\0\x01|\0\0\0\x0cjP  \r\n\x87\n"
    rb"|\xff\x4f\xff\x51|....ftyp(?:avif|avis|heic|heix|hevc|mif1|msf1)|BM.{4}\0\0\0\0.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|P[1-6]\s+\d+\s+\d+\s",
    re.DOTALL,
)
_JPEG = b"\xff\xd8\xff"
_HEAD = 4096  # bytes that are looked at to tell what a file is


@dataclass(frozen=True, slots=True)
class File:
    """An image file: its bytes (or bytearray, or memoryview), or where they are."""

    data: Any = b""
    path: Path | None = None
    svg: bool = False

    def name(self, look: Look) -> str:
        """Name it in words: `image photo.jpg`."""
        return f"{'SVG image' if self.svg else 'image'}{self._own_name(look)}"

    def brief(self, look: Look) -> str:
        """Say in one line what it is, without decoding it."""
        from PIL import Image

        if self.svg:
            return self.name(look)
        with Image.open(self._readable()) as image:
            return f"{image.format} image{self._own_name(look)} {by(image.size)} {image.mode}"

    def open(self, side: int) -> Opened:
        """Decode it, to about `side` pixels, but not fewer."""
        if not self.svg:
            return _decoded(self._readable(), side)
        png, size = svg.drawn(self._whole(), side)
        return replace(_decoded(BytesIO(png), side), size=size)

    @property
    def words(self) -> tuple[str, ...]:
        """The words in an SVG; none where it cannot be read, and in any other file."""
        try:
            return svg.words(self._whole()) if self.svg else ()
        except Exception:  # noqa: BLE001  # drawing it says what is wrong
            return ()

    @property
    def lossy(self) -> bool:
        """Whether it is JPEG."""
        return self.head().startswith(_JPEG)

    def head(self) -> bytes:
        """Give its first bytes; none where it cannot be read, or is no file at all."""
        try:
            if self.path is None:
                return memoryview(self.data).cast("B")[:_HEAD].tobytes()
            if not self.path.is_file():
                return b""
            with self.path.open("rb") as file:
                return file.read(_HEAD)
        except (OSError, ValueError, TypeError):  # the last two: a name with \0, a memoryview released or with gaps
            return b""

    def _whole(self) -> bytes:
        return bytes(self.data) if self.path is None else self.path.read_bytes()

    def _readable(self) -> BytesIO | Path:
        return BytesIO(self.data) if self.path is None else self.path

    def _own_name(self, look: Look) -> str:
        return "" if self.path is None else f" {look.word(self.path.name)}"


def of(data: bytes) -> File:
    """Take bytes for an image file or an SVG, whatever they are."""
    file = File(data)
    return _checked(file) or file


def found(obj: object) -> File | None:
    """Find the file that an object is or names; None where it is not that of a picture."""
    if isinstance(obj, bytes | bytearray | memoryview):
        return _checked(File(obj))
    if isinstance(obj, Path):
        return _checked(File(path=obj))
    if is_a(obj, "IPython", "SVG"):
        return File(str(getattr(obj, "data", "")).encode(), svg=True)
    return _shown(obj) if is_a(obj, "IPython", "Image") else None


def _checked(file: File) -> File | None:
    """Give the file where its first bytes are those of a picture."""
    head = file.head()
    if _SIGNATURES.match(head):
        return file
    return replace(file, svg=True) if svg.BEGINNING.match(head) else None


def _shown(image: Any) -> File:
    """Find the file of an IPython.display.Image."""
    data, filename = getattr(image, "data", None), getattr(image, "filename", None)
    if isinstance(data, bytes):
        return of(data)
    if filename:
        return File(path=Path(filename))
    if getattr(image, "url", None):
        raise CommandError(
            "this Image is only an address, and nothing is fetched",
            hint="Image(url=..., embed=True) holds the picture.",
        )
    raise CommandError("this Image holds no picture", hint="Image(data=...) takes the bytes of an image file.")


def _decoded(file: BytesIO | Path, side: int) -> Opened:
    from PIL import Image

    with Image.open(file) as image:
        size = image.size
        check(size)
        if max(size) > side:
            image.draft(None, within(size, side))  # a JPEG is decoded to a half, a quarter or an eighth at once
        frames = int(getattr(image, "n_frames", 1))
        image.load()
        return Opened(image.copy(), size, f"frame 1 of {frames}" if frames > 1 else "")


def loaded(image: Any) -> Opened:
    """Take the pixels of a Pillow image as it stands, on the frame where it stands."""
    check(image.size)
    image.load()
    frames = _frames(image)
    return Opened(image, image.size, f"frame {image.tell() + 1} of {frames}" if frames > 1 else "")


def _frames(image: Any) -> int:
    """Count frames on a file of our own: to count, Pillow reads on, and would lose what was drawn into the picture."""
    from PIL import Image

    filename, file = getattr(image, "filename", ""), getattr(image, "fp", None) or getattr(image, "_fp", None)
    source = filename or (BytesIO(file.getvalue()) if isinstance(file, BytesIO) else None)
    if not source:
        return 1
    try:
        with Image.open(source) as again:
            return int(getattr(again, "n_frames", 1))
    except Exception:  # noqa: BLE001  # the file is gone; the pixels are there
        return 1
