"""What a terminal is told before its next prompt: that something has ended. A notebook has outputs for that."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["add", "stop"]

_lines: list[str] = []
_watched: list[InteractiveShell] = []


def add(shell: InteractiveShell | None, line: str) -> None:
    """Say this before the next prompt of a terminal; on any thread."""
    if shell is None or hasattr(shell, "kernel"):
        return
    _lines.append(line)
    if shell not in _watched:
        _watched.append(shell)
        shell.events.register("post_run_cell", _tell)


def _tell(*_: object) -> None:
    while _lines:
        sys.stdout.write(f"{_lines.pop(0)}\n")


def stop() -> None:
    """Say nothing more."""
    while _watched:
        with suppress(ValueError):  # IPython's word for a callback that somebody has taken away already
            _watched.pop().events.unregister("post_run_cell", _tell)
    _lines.clear()
