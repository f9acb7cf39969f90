"""A map in a cell: a live view that goes on while other cells run, and the pilot's question.

The cell's thread displays; after that the runner's thread only updates what is displayed, at most twice a second and
once at the end, so that what is saved is the last picture.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from kimi_magic.errors import CommandError
from kimi_magic.jobs import page

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle

    from kimi_magic.jobs.job import Job
    from kimi_magic.jobs.standing import Standing

__all__ = ["Live", "painted", "refresh", "settle", "show"]

_EVERY = 0.5
"""Seconds between two paintings of one view."""
_VIEWS = 4
"""Views of one job that are kept up to date; older ones stay as they are."""


class Live:
    """One display of a job. Make it on the cell's thread; it then follows the job by itself, after a retry as well.

    Who paints later has looked later: an old picture never follows a new one.
    """

    def __init__(self, job: Job) -> None:
        from IPython.display import display

        self._job = job
        self._lock = threading.Lock()
        self._due = 0.0
        self._last: tuple[str, str] = ("", "")
        self._handle: DisplayHandle = display(page.bundle(job.standing), raw=True, display_id=True)
        self.stop = job.on_change(self.paint)
        """Follow the job no longer."""
        self.paint()  # it may have ended in between

    def paint(self, _: Standing | None = None) -> None:
        """Paint it where it is time to; a new state is told at once. On any thread."""
        with self._lock:
            standing = self._job.standing
            now, told = time.monotonic(), (standing.state, standing.remark)
            if now < self._due and told == self._last and not standing.over:
                return
            self._due, self._last = now + _EVERY, told
            self._handle.update(page.bundle(standing), raw=True)


_painted: tuple[int, int] = (-1, 0)
_views: dict[str, deque[Live]] = {}


def show(shell: InteractiveShell | None, job: Job, *, quiet: bool = False) -> None:
    """Show a job: live in a notebook, as text anywhere else; `quiet` shows nothing in this cell."""
    global _painted  # noqa: PLW0603  # one cell runs at a time
    _painted = (shell.execution_count, id(job)) if shell is not None else _painted
    if quiet:
        return
    if not hasattr(shell, "kernel"):
        sys.stdout.write(page.plain(job.standing) + "\n")
        return
    views = _views.setdefault(job.id, deque())
    views.append(Live(job))
    while len(views) > _VIEWS:
        views.popleft().stop()


def refresh(job: Job) -> None:
    """Paint the views of a job anew: who has waited for its end sees it before the cell is over."""
    for view in tuple(_views.get(job.id, ())):
        view.paint()


def painted(shell: InteractiveShell, job: Job) -> bool:
    """Whether this very cell shows this job already."""
    return _painted == (shell.execution_count, id(job))


def settle(job: Job) -> None:
    """Wait for the end of the pilot, put its question, and answer the job with what the user says.

    Raises CommandError where nobody can be asked: the job then waits for the answer.
    """
    while job.standing.state == "pilot":
        job.wait()
    if job.standing.state != "asking":
        return
    estimate = job.standing.estimate
    told = page.estimated(estimate) if estimate is not None else "The pilot is over."
    try:
        said = input(f"{told}\nGo on? [y/N] ")
    except (EOFError, OSError, RuntimeError):  # the last is IPython's for a front end without input
        raise CommandError(
            f"The pilot is over, and nobody can be asked whether to go on. {told}",
            hint=f"Its rows are kept. Run it with --yes, or: %kimi job {job.id} retry",
        ) from None
    job.answer(yes=said.strip().lower().startswith("y"))
