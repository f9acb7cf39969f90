"""How long a photo of 4,000 × 3,000 pixels takes to become a part of a question: a file's bytes, and a Pillow image.

The photo has gradients, edges and the noise of a sensor, made from fixed numbers; its JPEG file is about 5 MB. The
baseline is what one writes without this package: `Image.open(...).convert("RGB").resize(..., LANCZOS)` to the same
side, saved as JPEG of quality 85, which keeps to no budget; for the Pillow image, without the opening. Each is done
nine times in turn with the other, after once for warming up; the medians are given.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.figure import Figure
from kimi_magic.context import images
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard

LIMIT = 0.5
ROUNDS = 9
SIZE = (4000, 3000)
_SMALLER = (1568, 1176)


def measure() -> list[Figure]:
    """Give one figure for the file and one for the Pillow image."""
    photo = _photo()
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    return [
        _compared("JPEG file", data, lambda: _opened(data)),
        _compared("Pillow image", photo, lambda: photo.convert("RGB")),
    ]


def _compared(name: str, photo: object, start: Callable[[], Any]) -> Figure:
    look = Look(Guard())

    def ours() -> int:
        description = images.describe(photo, look)
        assert description is not None
        (part,) = description.images
        assert len(part.data) <= look.picture_room
        return len(part.data)

    def plain() -> int:
        from PIL import Image

        file = BytesIO()
        start().resize(_SMALLER, Image.Resampling.LANCZOS).save(file, "JPEG", quality=85)
        return len(file.getvalue())

    sizes = ours(), plain()
    taken = [(_seconds(ours), _seconds(plain)) for _ in range(ROUNDS)]
    mine, theirs = (median(each) for each in zip(*taken, strict=True))
    return Figure(
        f"a 12-megapixel photo as a part, {name}",
        f"{mine * 1e3:.0f} ms ({sizes[0] / 1e3:.0f} kB)",
        f"{theirs * 1e3:.0f} ms ({sizes[1] / 1e3:.0f} kB) plain Pillow",
        mine / theirs,
        f"{LIMIT * 1e3:.0f} ms",
        mine <= LIMIT,
    )


def _opened(data: bytes) -> Any:
    from PIL import Image

    return Image.open(BytesIO(data)).convert("RGB")


def _seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def _photo() -> Any:
    import numpy as np
    from PIL import Image

    width, height = SIZE
    y, x = np.mgrid[0:height, 0:width].astype("float32")
    sky = np.stack([120 + 40 * y / height, 150 + 50 * y / height, 230 - 60 * y / height], -1)
    waves = 30 * np.sin(x / 37) * np.cos(y / 53) + 12 * np.sin((x + 2 * y) / 7)
    land = np.stack([90 + waves, 110 + waves, 60 + waves / 2], -1)
    scene = np.where((y > 0.55 * height + 200 * np.sin(x / 400))[..., None], land, sky)
    scene[(x - 3000) ** 2 + (y - 700) ** 2 < 250**2] = (255, 244, 214)
    noise = np.random.default_rng(12).normal(0, 7, scene.shape).astype("float32")
    return Image.fromarray((scene + noise).clip(0, 255).astype("uint8"))
