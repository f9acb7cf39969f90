"""The kernel's interrupt, while no cell runs: it stops the reply that arrives in the panel.

A cell that runs has the interrupt for itself, and the panel's reply goes on.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Takes SIGINT where ipykernel ignores it, between two cells. `wanted` may be called on any thread."""

    def __init__(self, shell: Any, stop: Callable[[], None]) -> None:
        self._loop = getattr(getattr(shell, "kernel", None), "io_loop", None)
        self._stop = stop
        self._wanted = False

    def wanted(self, *, now: bool) -> None:
        """Say whether there is something to stop."""
        if now != self._wanted and self._loop is not None:
            self._wanted = now
            self._loop.add_callback(self._set)

    def _set(self) -> None:
        """Set the handler, on the main thread, where SIGINT is ignored: no cell runs; and take ours away again."""
        found = signal.getsignal(signal.SIGINT)
        if self._wanted and found is signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._heard)
        elif not self._wanted and found == self._heard:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _heard(self, *_: object) -> None:
        self._stop()
