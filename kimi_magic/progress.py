"""How far a long loop in a cell has come: one line with a bar, shown once it takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from kimi_magic import present

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

__all__ = ["Progress"]

_PATIENCE = 2.0
_EVERY = 0.5
"""Seconds before it is shown, and between two paintings."""
_WIDTH = 24
_BAR = "display:inline-block;width:12em;height:.6em;margin-right:.7em;border:1px solid;border-radius:.3em"
_FILLED = "display:block;height:100%;background-color:currentColor"


class Progress:
    """Counts to `total`. Belongs to the cell's thread, which alone may display."""

    def __init__(self, total: int, what: str) -> None:
        self.done = 0
        self._total = total
        self._what = what
        self._began = time.monotonic()
        self._due = self._began + _PATIENCE
        self._paint: Callable[[], None] | None = None
        self._handle: DisplayHandle | None = None

    def tick(self) -> None:
        """Paint, where it is time to."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        if self._paint is None:
            self._paint = _painter(self)
        self._paint()

    def finish(self) -> None:
        """Paint the end, where anything was painted."""
        if self._paint is not None:
            self._paint()
            if self._handle is None and sys.stderr.isatty():
                sys.stderr.write("\n")

    @property
    def text(self) -> str:
        """The line: how many are done, how long that took, and about how long the others will take."""
        took = time.monotonic() - self._began
        line = f"{self._what}: {self.done:,} of {self._total:,} · {present.seconds(took)}"
        if 0 < self.done < self._total:
            line += f", about {present.seconds(took / self.done * (self._total - self.done))} more"
        return line

    def _display(self) -> None:
        share = self.done / max(1, self._total)
        bar = f'<span style="{_BAR}" aria-hidden="true"><span style="{_FILLED};width:{share:.0%}"></span></span>'
        html = f'<div style="font-variant-numeric:tabular-nums">{bar}{escape(self.text)}</div>'
        bundle = {"text/html": present.page(html), "text/plain": self._plain}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def _write(self) -> None:
        sys.stderr.write(f"\r\x1b[K{self._plain}")
        sys.stderr.flush()

    @property
    def _plain(self) -> str:
        filled = self.done * _WIDTH // max(1, self._total)
        return f"{'█' * filled}{'░' * (_WIDTH - filled)} {self.text}"


def _painter(progress: Progress) -> Callable[[], None]:
    """Choose where it is shown: an output of the cell, a line of the terminal, or nowhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if hasattr(shell, "kernel"):
        return progress._display  # noqa: SLF001  # the two are one thing
    return progress._write if sys.stderr.isatty() else lambda: None  # noqa: SLF001  # see above
