"""One message of the front end: what it holds, as far as it is what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Heard"]

_LONGEST = 4_000_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and the bytes that came with it. A field that is missing or of another type is empty."""

    content: dict[str, Any]
    buffers: Sequence[bytes] = ()

    @property
    def kind(self) -> str:
        """What it is about."""
        return self.text("type")

    def text(self, name: str) -> str:
        """Give a text."""
        value = self.content.get(name)
        return value[:_LONGEST] if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Give a whole number that is not below 0."""
        value = self.content.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    def yes(self, name: str) -> bool:
        """Whether it says true, and nothing that only looks like it."""
        return self.content.get(name) is True

    def names(self, name: str) -> tuple[str, ...]:
        """Give a list of texts."""
        value = self.content.get(name)
        return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()

    @property
    def data(self) -> bytes:
        """The first bytes that came with it."""
        return bytes(self.buffers[0]) if self.buffers else b""
