"""Where a reply goes that comes later: the outputs, displayed on a cell's thread and updated from any; the variable."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kimi_magic import cell
from kimi_magic.jobs.pending import Pending, awaits

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle

    from kimi_magic.reply import Reply

__all__ = ["Outputs", "Variable"]

_MOST = 4
"""Outputs of one job that are kept up to date; older ones stay as they are."""


class Outputs:
    """Shows what `bundle` gives. Who paints later has looked later: an old picture never follows a new one."""

    def __init__(self, shell: InteractiveShell | None, bundle: Callable[[], dict[str, Any]]) -> None:
        self._shell = shell
        self._bundle = bundle
        self._handles: deque[DisplayHandle] = deque(maxlen=_MOST)
        self._lock = threading.Lock()
        self._cell = -1

    @property
    def _count(self) -> int:
        return getattr(self._shell, "execution_count", -1)

    @property
    def shown_here(self) -> bool:
        """Whether the cell that runs has shown it already, or is to show nothing."""
        return self._cell == self._count

    def show(self, *, quiet: bool = False) -> None:
        """Display it in the cell that runs, or note that this is not wanted; a terminal gets its text."""
        self._cell = self._count
        if quiet:
            return
        if not hasattr(self._shell, "kernel"):
            sys.stdout.write(f"{self._bundle()['text/plain']}\n")
            return
        from IPython.display import display

        with self._lock:
            self._handles.append(display(self._bundle(), raw=True, display_id=True))

    def show_as_value(self) -> None:
        """Display it as the value of the cell that runs, once."""
        if not self.shown_here:
            self.show()
        elif not hasattr(self._shell, "kernel") and sys.stdout.isatty():
            sys.stdout.write("\r\x1b[K")  # a terminal has written "Out[n]: " already

    def update(self) -> None:
        """Paint every output anew, on any thread."""
        with self._lock:
            for handle in self._handles:
                handle.update(self._bundle(), raw=True)


class Variable:
    """The variable that receives the reply of a job, or where it is `typed` its value; without a name there is none."""

    def __init__(self, shell: InteractiveShell | None, name: str, job: str, *, typed: bool) -> None:
        self._shell = shell
        self._name = name
        self._job = job
        self._typed = typed

    @property
    def _held(self) -> object:
        return getattr(self._shell, "user_ns", {}).get(self._name)

    @property
    def _free(self) -> bool:
        """Whether it holds nothing of the user's."""
        return self._held is None or isinstance(self._held, Pending)

    def promise(self, told: str, *, anyway: bool) -> None:
        """Put something there that says that the reply is to come; only `anyway` in the place of what the user has."""
        if anyway or self._free:
            cell.assign(self._shell, self._name, Pending(self._job, told))

    def give_up(self, told: str, state: str) -> None:
        """Say there that no reply comes, where it waits for one."""
        if awaits(self._held, self._job):
            cell.assign(self._shell, self._name, Pending(self._job, told, over=state))

    def receive(self, reply: Reply, *, late: bool = False) -> None:
        """Give it the reply, where it waits for that; one that comes `late`, from another kernel, where it is free."""
        if awaits(self._held, self._job) or (late and self._free):
            cell.assign(self._shell, self._name, cell.delivered(reply, typed=self._typed))
