"""Files that were dropped, pasted or chosen: kept until they are asked with, and checked for what they are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from kimi_magic import present
from kimi_magic.context.gathering import Source
from kimi_magic.errors import CommandError
from kimi_magic.messages import Image, Text
from kimi_magic.models import IMAGE_TOKENS, tokens
from kimi_magic.panel.thumbnails import thumbnail

__all__ = ["LIMITS", "Attachments", "checked"]

_BYTES = 8 * 1024 * 1024
"""What a front end's socket carries in one message (10 MiB in Jupyter's server), less what stands around it."""
_FILES = 8
LIMITS = {"bytes": _BYTES, "files": _FILES, "accept": "image/*,text/*,.csv,.json,.md,.py,.ipynb,.toml,.yaml,.log,.svg"}
_LONGEST_NAME = 80
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
"""Those that Pillow decodes itself; of others it may start a program."""
_PIXELS = 80_000_000


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that was found to be a picture (its bytes) or a text (decoded); `detail` says how large it is."""

    name: str
    kind: str
    value: Any
    detail: str
    tokens: int
    html: str = ""

    @property
    def source(self) -> Source:
        """It as something that goes along."""
        return Source(self.name, self.value)


def checked(name: str, data: bytes) -> Attachment:
    """Look at what a file is, whatever it is called. Raises CommandError for one that cannot go along."""
    name = _plain(name)
    if len(data) > _BYTES:
        raise CommandError(f"{name} has {len(data):,} bytes; {_BYTES:,} are allowed.", hint="Send a part of it.")
    return _picture(name, data) or _text(name, data)


def _plain(name: str) -> str:
    """Keep the last part of a name, in one line."""
    last = present.printable(name).replace("\n", " ").replace("\t", " ").replace("\\", "/").rpartition("/")[2].strip()
    return last[:_LONGEST_NAME] or "file"


def _picture(name: str, data: bytes) -> Attachment | None:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(BytesIO(data), formats=_FORMATS) as opened:
            size, kind = opened.size, Pillow.MIME.get(opened.format or "", "")
            if size[0] * size[1] > _PIXELS:
                raise CommandError(f"{name} has {size[0]:,} × {size[1]:,} pixels.", hint="Make it smaller.")
            opened.load()
    except UnidentifiedImageError:
        return None
    except (OSError, ValueError, SyntaxError) as error:
        raise CommandError(f"{name} is a picture that cannot be read: {error}.", hint="Save it as PNG.") from None
    small = thumbnail(Image(data, kind, *size))
    return Attachment(name, "image", data, f"{size[0]:,} × {size[1]:,}", IMAGE_TOKENS, small)


def _text(name: str, data: bytes) -> Attachment:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise CommandError(f"{name} is neither a picture nor text.", hint="Load it in a cell, and send the object.")
    lines = text.count("\n") + (not text.endswith("\n"))
    return Attachment(name, "text", text, f"{lines:,} line{'' if lines == 1 else 's'}", tokens(Text(text)))


class Attachments:
    """The files of a panel that no question has taken yet, by the front end's keys. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, Attachment] = {}

    def add(self, key: str, name: str, data: bytes) -> Attachment:
        """Keep a file. Raises CommandError for one that cannot go along."""
        file = checked(name, data)
        with self._lock:
            if len(self._files) >= _FILES:
                raise CommandError(f"{_FILES} files at a time.", hint="Ask with these first, or take one away.")
            self._files[key] = file
        return file

    def remove(self, key: str) -> None:
        """Let go of a file."""
        with self._lock:
            self._files.pop(key, None)

    def sources(self, keys: Sequence[str]) -> tuple[Source, ...]:
        """Give these files, as far as they are here, as what goes along."""
        with self._lock:
            return tuple(self._files[key].source for key in keys if key in self._files)
