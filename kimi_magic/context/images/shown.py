"""The picture that an object shows of itself in a notebook."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from kimi_magic.context.protocols import hook

__all__ = ["pictured"]

_SHOWING = {
    "_repr_png_": ("image/png",),
    "_repr_jpeg_": ("image/jpeg",),
    "_repr_mimebundle_": ("image/png", "image/jpeg"),
}


def pictured(obj: object) -> bytes | None:
    """Give the picture that an object shows of itself in a notebook (PNG or JPEG, as a file); None for none."""
    for name, types in _SHOWING.items():
        try:
            show = hook(obj, name)
            shown: Any = show() if show is not None else None
        except Exception:  # noqa: BLE001, S112  # then it does not show itself
            continue
        shown = shown[0] if isinstance(shown, tuple) and shown else shown
        for each in [shown.get(kind) for kind in types] if isinstance(shown, dict) else [shown]:
            if (data := _file(each)) is not None:
                return data
    return None


def _file(shown: object) -> bytes | None:
    """Give an image file that was shown, as bytes or as base64."""
    if isinstance(shown, str):
        try:
            shown = b64decode(shown, validate=False)
        except ValueError:
            return None
    return shown if isinstance(shown, bytes) and shown.startswith((b"\x89PNG", b"\xff\xd8\xff")) else None
