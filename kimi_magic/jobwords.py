"""What `%kimi jobs` and `%kimi job ID` answer, and the cell that begins a job."""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel, later
from kimi_magic.command import JobDo, Jobs, Notify
from kimi_magic.errors import CommandError
from kimi_magic.jobs import page
from kimi_magic.jobs.keeping import Keeping, Kept
from kimi_magic.jobs.standing import Standing
from kimi_magic.present import dollars
from kimi_magic.report import Report

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.command import Ask
    from kimi_magic.command import Later as Options
    from kimi_magic.context.watching import Displays

__all__ = ["answer", "begin", "ids"]

_TITLE = 50
_BAR = 20
_FEW = 5


def begin(
    shell: InteractiveShell | None,
    asked: Ask,
    options: Options,
    *,
    failure: BaseException | None = None,
    displays: Displays | None = None,
) -> Any:
    """Begin the job of a cell, and show it there."""
    job = later.begin(shell, asked, options, failure=failure, displays=displays)
    if not asked.quiet:
        job.show()
    return job


def answer(shell: InteractiveShell, asked: Jobs | Notify | JobDo) -> object:
    """Do what a `%kimi` line says of jobs."""
    match asked:
        case Notify(queue):
            return _notify(queue)
        case Jobs(everything):
            return _list(shell, everything=everything)
        case JobDo(id_, action):
            return _do(_job(shell, id_), action)


def ids() -> list[str]:
    """Give the ids of all jobs of this notebook."""
    return [job.id for job in _kept()]


def _kept(*, everything: bool = False) -> list[Kept]:
    found = Keeping(kernel.ledger).all()
    return [job for job in found if everything or job.notebook == kernel.notebook()]


def _job(shell: InteractiveShell, typed: str) -> Any:
    """Give the job whose id begins so; the latest of this notebook where nothing was typed."""
    known = _kept(everything=bool(typed))
    if not known:
        raise CommandError("There are no jobs yet.", hint="%%kimi --later, or --map TABLE, begins one.")
    exact = [job for job in known if job.id == typed]
    fitting = exact or [job for job in known if job.id.startswith(typed)][0 if typed else -1 :]
    if len(fitting) > 1:
        few = ", ".join(job.id for job in fitting[:_FEW])
        raise CommandError(f"{len(fitting)} jobs begin with {typed!r}: {few}.", hint="Type more of the id.")
    if not fitting:
        near = difflib.get_close_matches(typed, [job.id for job in known], n=1, cutoff=0.4)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise CommandError(f"There is no job {typed!r}.", hint=f"{meant}%kimi jobs --all lists them.")
    return later.found(shell, fitting[0])


def _do(job: Any, action: str) -> object:
    match action:
        case "wait":
            job.wait()
        case "cancel":
            job.cancel()
        case "retry":
            job.retry()
        case "forget":
            job.forget()
            return Report("", (), note=f"Job {job.id} is erased; a reply stays in its conversation.")
    job.show()
    return None


def _notify(queue: str) -> Report:
    kernel.configure("notify_queue", queue or None)
    if not queue:
        return Report("", (), note="No queue is asked; jobs are polled.")
    return Report("", (), note=f"The queue {queue} tells when jobs end; they are polled as well, to be safe.")


def _list(shell: InteractiveShell, *, everything: bool) -> object:
    """List the jobs, and below them show what is taken up again from an earlier kernel."""
    taken = later.reattach(shell, _kept())
    kept = _kept(everything=everything)
    if not kept:
        which = "" if everything else " of this notebook; --all lists those of others"
        return Report("", (), note=f"There are no jobs{which}. %%kimi --later, or --map TABLE, begins one.")
    report = _report(shell, kept, everything=everything)
    if not taken:
        return report
    _display(shell, report)
    for job in taken:
        job.show()
    return None


def _report(shell: InteractiveShell, kept: list[Kept], *, everything: bool) -> Report:
    rows = tuple(_row(later.found(shell, job).standing, job, everything=everything) for job in reversed(kept))
    columns = ("job", "question", "", "state", "rows", "cost", "lane", "age", *(("notebook",) if everything else ()))
    note = "%kimi job ID shows one; wait, cancel, retry or forget after the ID."
    return Report("Jobs" if everything else "Jobs of this notebook", rows, columns, note=note)


def _row(standing: Standing, job: Kept, *, everything: bool) -> tuple[str, ...]:
    title = " ".join(standing.title.split())
    return (
        standing.id,
        title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…",
        page.bar(standing, _BAR),
        page.states(standing),
        f"{standing.done + standing.failed:,} of {standing.total:,}" if standing.kind == "map" else "–",
        "–" if standing.cost is None else dollars(standing.cost),
        standing.lane or "–",
        page.time_(time.time() - standing.began),
        *((job.notebook.rpartition("/")[2],) if everything else ()),
    )


def _display(shell: InteractiveShell, report: Report) -> None:
    if hasattr(shell, "kernel"):
        from IPython.display import display

        display(report)
    else:
        print(report)  # noqa: T201  # a terminal's cell
