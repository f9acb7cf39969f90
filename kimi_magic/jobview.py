"""Jobs in a cell: a live view that goes on while other cells run, waiting with a bar, and the pilot's question.

The cell's thread displays; after that the runner's thread only updates what is displayed, at most twice a second and
once at the end, so that what is saved is the last picture.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kimi_magic.errors import CommandError
from kimi_magic.jobs import page

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle

    from kimi_magic.jobs.job import Job
    from kimi_magic.jobs.standing import Standing

__all__ = ["Live", "painted", "settle", "show", "wait"]

_EVERY = 0.5
"""Seconds between two paintings of one view."""
_VIEWS = 4
"""Views of one job that are kept up to date; older ones stay as they are."""
_TICK = 0.2


class Live:
    """One display of a job. Make it on the cell's thread; it then follows the job by itself, until the job ends."""

    def __init__(self, job: Job) -> None:
        from IPython.display import display

        self._job_id = job.id
        self._lock = threading.Lock()
        self._due = 0.0
        self._last: tuple[str, str] = ("", "")
        standing = job.standing
        self._handle: DisplayHandle = display(page.bundle(standing), raw=True, display_id=True)
        self._leave: Callable[[], None] = lambda: None
        if not standing.over:
            self._leave = job.on_change(self._changed)
            self._changed(job.standing)  # it may have ended in between

    def _changed(self, standing: Standing) -> None:
        """Paint it where it is time to; a new state is told at once. On any thread."""
        with self._lock:
            now, told = time.monotonic(), (standing.state, standing.remark)
            if now < self._due and told == self._last:
                return
            self._due, self._last = now + _EVERY, told
            self._handle.update(page.bundle(standing), raw=True)

    def stop(self) -> None:
        """Follow the job no longer."""
        self._leave()


_painted: tuple[int, int] = (-1, 0)
_views: weakref.WeakKeyDictionary[Job, deque[Live]] = weakref.WeakKeyDictionary()


def show(shell: InteractiveShell | None, job: Job, *, quiet: bool = False) -> None:
    """Show a job: live in a notebook, as text anywhere else; `quiet` shows nothing in this cell."""
    global _painted  # noqa: PLW0603  # one cell runs at a time
    _painted = (shell.execution_count, id(job)) if shell is not None else _painted
    if quiet:
        return
    if not hasattr(shell, "kernel"):
        sys.stdout.write(page.plain(job.standing) + "\n")
        return
    views = _views.setdefault(job, deque())
    views.append(Live(job))
    while len(views) > _VIEWS:
        views.popleft().stop()


def painted(shell: InteractiveShell, job: Job) -> bool:
    """Whether this very cell shows this job already."""
    return _painted == (shell.execution_count, id(job))


def wait(shell: InteractiveShell | None, job: Job, timeout: float | None = None) -> Job:
    """Wait until a job ends, or asks something; Ctrl-C ends the waiting, not the job. A terminal gets a tqdm bar."""
    until = None if timeout is None else time.monotonic() + timeout
    if hasattr(shell, "kernel"):
        show(shell, job)
    with _bar(job) if not hasattr(shell, "kernel") else contextlib.nullcontext():
        while not (job.standing.over or job.standing.state in ("asking", "elsewhere")):
            if until is not None and time.monotonic() >= until:
                break
            job.wait(_TICK)
    return job


@contextlib.contextmanager
def _bar(job: Job) -> Iterator[None]:
    """Draw a bar on the terminal's line while something waits; the figures are those of the job."""
    from tqdm import tqdm

    standing = job.standing
    with tqdm(total=standing.total, desc=f"job {job.id}", unit="row", dynamic_ncols=True, leave=True) as drawn:
        drawn.update(standing.done + standing.failed)

        def changed(now: Standing) -> None:
            drawn.total = now.total
            drawn.set_postfix_str(", ".join(page.counts(now)[1:]), refresh=False)
            drawn.update(now.done + now.failed - drawn.n)

        leave = job.on_change(changed)
        try:
            yield
        finally:
            leave()
            changed(job.standing)
            drawn.refresh()


def settle(shell: InteractiveShell | None, job: Job) -> None:
    """Wait for the end of the pilot, put its question, and answer the job with what the user says.

    Raises CommandError where nobody can be asked: the job then waits for the answer.
    """
    with _bar(job) if not hasattr(shell, "kernel") and not job.standing.over else contextlib.nullcontext():
        while job.standing.state == "pilot":
            job.wait(_TICK)
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
