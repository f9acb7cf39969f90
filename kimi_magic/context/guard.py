"""What must not leave the kernel: private columns and secrets."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Guard"]


class Guard:
    """Keeps private columns and secrets out of what is sent."""

    def hides(self, column: object) -> bool:
        """Whether a column of this name is private. A tuple (of a MultiIndex) is, where any of its levels is."""
        del column
        return False

    def holds(self, values: Iterable[object]) -> str:
        """Name the private column that these values come from, whatever they are called now; empty for none."""
        del values
        return ""

    def clean(self, text: str) -> str:
        """Replace each secret and each distinctive value of a private column by a visible placeholder."""
        return text
