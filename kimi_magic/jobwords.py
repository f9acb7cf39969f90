"""What `%kimi jobs` and `%kimi job ID` answer, and the cell that begins a job."""

from __future__ import annotations

import difflib
import time
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from kimi_magic import atprompt, cell, jobview, kernel, later, planning, rowwise
from kimi_magic.command import JobDo, Jobs, Notify
from kimi_magic.context import template
from kimi_magic.errors import CommandError, KimiError
from kimi_magic.jobs import page
from kimi_magic.jobs.asked import Asked
from kimi_magic.jobs.job import Job
from kimi_magic.jobs.keeping import Keeping
from kimi_magic.jobs.kept import Kept
from kimi_magic.jobs.standing import ENDED, Standing
from kimi_magic.present import dollars
from kimi_magic.report import Report, Whole

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.command import Ask
    from kimi_magic.command import Later as Options
    from kimi_magic.context.watching import Displays
    from kimi_magic.jobs.work import Work

__all__ = ["answer", "begin", "forget", "ids", "table"]

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
    if options.data:
        return _map(shell, asked, options)
    job = later.begin(shell, asked, options, failure=failure, displays=displays)
    job.show(quiet=asked.quiet)
    return job


def _map(shell: InteractiveShell | None, asked: Ask, options: Options) -> Any:
    """Ask for every row; with a pilot, wait for its end and ask whether to go on.

    A dask dataframe is asked when it is computed: there is no job here then, and nothing to show.
    """
    cell.require_free(shell, asked.dest)
    namespace = shell.user_ns if shell is not None else {}
    out, like = asked.out, None
    if isinstance(out, str) and out.replace(" ", "").startswith("like="):
        out, like = "", template.value_of(out.partition("=")[2].strip(), namespace)
    if options.data == asked.dest:
        raise CommandError(f"{asked.dest} is the table; the job would take the place of it.", hint="Name another DEST.")
    job: Any = rowwise.map(
        _data(options.data, namespace),
        asked.question,
        out=out,
        like=like,
        lane=options.lane,
        rate=options.rate,
        concurrency=options.concurrency,
        budget=options.budget or None,
        pilot=options.pilot,
        yes=True if options.yes else None,
        **{str(name): value for name, value in asked.options.items()},  # type: ignore[arg-type]  # settings, checked
    )
    cell.assign(shell, asked.dest, job)
    if not isinstance(job, Job):
        return job
    if not hasattr(shell, "kernel"):
        job.on_change(lambda now: atprompt.add(shell, _ended(now)) if now.over else None)
    jobview.show(shell, job, quiet=asked.quiet)
    if options.pilot and not options.yes:
        jobview.settle(job)
    return job


def _ended(now: Standing) -> str:
    return f"Job {now.id}: {page.states(now)}, {now.done:,} of {now.total:,} rows are there."


def _data(typed: str, namespace: dict[str, Any]) -> Any:
    """Give the table that was named: a variable, an expression, or a file."""
    if typed.endswith((".parquet", ".csv")) and typed.partition(".")[0] not in namespace:
        return typed
    return template.value_of(typed, namespace, "A file's name ends with .parquet or .csv")


def answer(shell: InteractiveShell, asked: Jobs | Notify | JobDo) -> object:
    """Do what a `%kimi` line says of jobs."""
    match asked:
        case Notify(queue):
            return _notify(queue)
        case Jobs(everything):
            return _list(shell, everything=everything)
        case JobDo(id_, action):
            return _do(shell, _job(shell, id_), action)


def ids() -> list[str]:
    """Give the ids of all jobs of this notebook."""
    return [job.id for job in _kept()]


def forget(conversations: Collection[str], *, everything: bool) -> None:
    """Erase the jobs that were asked in these conversations, or `everything` of this notebook."""
    gone = [job for job in _kept() if everything or (job.kind == "cell" and _conversation(job) in conversations)]
    for job in gone:
        _found(cell.current_shell(), job).forget()


def _conversation(job: Kept) -> str:
    return Asked.read(job.spec).conversation


def _kept(*, everything: bool = False) -> list[Kept]:
    found = Keeping(kernel.ledger).all()
    return [job for job in found if everything or job.notebook == kernel.notebook()]


def _job(shell: InteractiveShell | None, typed: str) -> Any:
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
    return _found(shell, fitting[0])


def _found(shell: InteractiveShell | None, job: Kept) -> Any:
    return later.found(shell, job) if job.kind == "cell" else planning.taken_up(job)


def _do(shell: InteractiveShell, job: Any, action: str) -> object:
    match action:
        case "wait" if isinstance(job, Job):
            if hasattr(shell, "kernel"):
                jobview.show(shell, job)
            job.wait()
            jobview.refresh(job)
            jobview.settle(job)
            if hasattr(shell, "kernel"):
                return None
        case "wait":
            job.wait()
        case "cancel":
            job.cancel()
        case "retry" if job.standing.state == "asking":
            job.answer(yes=True)
        case "retry":
            job.retry()
        case "forget":
            job.forget()
            kernel.ledger().overwrite_erased()
            return Report("", (), note=f"Job {job.id} is erased; a reply stays in its conversation.")
    _show(shell, job)
    return None


def _show(shell: InteractiveShell, job: Any) -> None:
    if isinstance(job, Job):
        jobview.show(shell, job)
    else:
        job.show()


def _notify(queue: str) -> Report:
    kernel.configure("notify_queue", queue or None)
    if not queue:
        return Report("", (), note="No queue is asked; jobs are polled.")
    return Report("", (), note=f"The queue {queue} tells when jobs end; they are polled as well, to be safe.")


def _list(shell: InteractiveShell, *, everything: bool) -> object:
    """List the jobs, and below them show what is taken up again from an earlier kernel."""
    taken = [*later.reattach(shell, _kept()), *_maps_taken_up()]
    report = table(everything=everything)
    if not taken:
        return report
    _display(shell, report)
    for job in taken:
        _show(shell, job)
    return None


def table(*, everything: bool = False) -> Report:
    """List the jobs of this notebook, or of every one."""
    kept = _kept(everything=everything)
    if not kept:
        which = "" if everything else " of this notebook; --all lists those of others"
        return Report("", (), note=f"There are no jobs{which}. %%kimi --later, or --map TABLE, begins one.")
    return _report(kept, everything=everything)


def _maps_taken_up() -> list[Job]:
    """Go on with the maps of this notebook that an earlier kernel left."""
    runner, taken = kernel.jobs(), []
    for kept in _kept():
        if kept.kind == "map" and kept.state not in ENDED and kept.id not in runner.works and kept.free:
            job = planning.taken_up(kept)
            try:
                runner.start(job.id, planning.resume(kept), _take_up)
            except KimiError as error:
                warnings.warn(f"Job {job.id} cannot go on. {error.message} {error.hint}", stacklevel=2)
            taken.append(job)
    return taken


def _take_up(work: Work) -> None:
    """Take it at once, where it is free, so that the list says so."""
    if not work.owned:
        work.take_up()


def _standing(job: Kept) -> Standing:
    """How a job stands: here, or as far as the store knows."""
    here = later.here.get(job.id) if job.kind == "cell" else kernel.jobs().works.get(job.id)
    return job.standing if here is None else here.standing


def _report(kept: list[Kept], *, everything: bool) -> Report:
    rows = tuple(_row(_standing(job), job, everything=everything) for job in reversed(kept))
    columns = ("job", "question", "", "state", "rows", "cost", "lane", "age", *(("notebook",) if everything else ()))
    note = "%kimi job ID shows one; wait, cancel, retry or forget after the ID."
    if any(job.kind == "map" for job in kept):
        note += ' kimi_magic.job("ID").df() gives the rows of a map.'
    return Report("Jobs" if everything else "Jobs of this notebook", rows, columns, note=note)


def _row(standing: Standing, job: Kept, *, everything: bool) -> tuple[str, ...]:
    title = " ".join(standing.title.split())
    return (
        standing.id,
        title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…",
        page.Bar(standing, _BAR, 8 * _BAR),
        page.states(standing),
        Whole(f"{standing.done + standing.failed:,} of {standing.total:,}" if standing.kind == "map" else "–"),
        "–" if standing.cost is None else dollars(standing.cost),
        standing.lane or "–",
        Whole(page.time_(time.time() - standing.began)),
        *((job.notebook.rpartition("/")[2],) if everything else ()),
    )


def _display(shell: InteractiveShell, report: Report) -> None:
    if hasattr(shell, "kernel"):
        from IPython.display import display

        display(report)
    else:
        print(report)  # noqa: T201  # a terminal's cell
