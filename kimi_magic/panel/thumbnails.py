"""A picture, small enough to stand beside a question."""

from __future__ import annotations

import base64
from io import BytesIO

from kimi_magic.messages import Image

__all__ = ["thumbnail"]

_SIDE = 160
"""Pixels of the longer side: 80 on a screen with two for one."""


def thumbnail(image: Image) -> str:
    """Give a picture that is going to be sent as a small one, in HTML; empty where it cannot be read."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(BytesIO(image.data)) as opened:
            opened.thumbnail((_SIDE, _SIDE))
            file = BytesIO()
            opened.convert("RGB").save(file, "JPEG", quality=80)
    except (OSError, ValueError):
        return ""
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return f'<img alt="{image.width} × {image.height} pixels" src="{source}">'
