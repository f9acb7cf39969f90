"""`kimi_magic.map`: one question for each row of a table, as a job that outlives the kernel."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from kimi_magic import cluster, kernel, planning, settings
from kimi_magic.errors import CommandError, NotRecorded

if TYPE_CHECKING:
    from kimi_magic.jobs.entering import Entering
    from kimi_magic.jobs.job import Job
    from kimi_magic.jobs.keeping import Keeping
    from kimi_magic.jobs.kept import Counts, Kept
    from kimi_magic.jobs.question import Question
    from kimi_magic.jobs.rows import Rows
    from kimi_magic.jobs.runner import Runner
    from kimi_magic.jobs.spec import Spec
    from kimi_magic.jobs.work import Work
    from kimi_magic.messages import Message
    from kimi_magic.schema import Output
    from kimi_magic.settings import Settings

__all__ = ["begin", "map"]

_TITLE = 60
"""Characters of a job's title."""


def map(  # noqa: A001  # what it is: kimi_magic.map
    data: Any,
    question: str,
    *,
    out: Any = "",
    like: Any = None,
    model: str | None = None,
    system: str | None = None,
    effort: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    lane: str = "auto",
    executor: Executor | None = None,
    rate: float | None = None,
    concurrency: int | None = None,
    budget: str | float | None = None,
    pilot: int = 0,
    yes: bool | None = None,
    rerun: str | None = None,
    history: bool = False,
    folder: str | os.PathLike[str] | None = None,
) -> Job:
    """Ask a question about each row, and give the Job at once; `job.df()` gives the rows that are finished.

        job = kimi_magic.map(df, "Classify: {{ review }}", out=Sentiment, budget="$2", pilot=20)

    `data` is a dataframe of any library that narwhals knows, a series (its column is then called `value`, unless it has
    a name), dicts, or the path of a .parquet or .csv file. `{{ column }}` stands for the value of that column. Equal
    rows are asked once; a row without any value is not asked. `out` and `like` say what each reply has to be, as in
    `kimi_magic.ask`.

    `lane` is "queue" (the service's batches), "concurrent" (ordinary requests: at most `rate` a minute, `concurrency`
    at once, on an `executor` where one is given), or "auto": the queue where there is one. No item is sent that might
    pass the `budget` ("$2", or US dollars). With a `pilot` so many rows are asked first, and the job then waits for
    `job.answer(yes=…)`, unless `yes` says so beforehand. With `history` each row is asked after the conversation so
    far; otherwise the rows know nothing of it, nor of each other.

    Of a table of more than 10,000 rows the others are entered while the first ones are asked. What is wrong with them
    stops the job, and is raised by `wait` and `df`.

    The same map again is the same job: only rows that are missing are sent. `rerun="always"` makes a new one, "only"
    sends nothing and raises NotRecorded where a row is missing. Raises CommandError for what cannot be asked.

    Of a dask dataframe the result is one, too: each partition is asked by the worker that computes it, once the result
    is computed. What is done of it is kept below `folder` (of the worker: its KIMI_HOME, else its own scratch folder);
    one that all workers can reach lets another one go on with it. `budget` and `rate` are shared by the partitions.
    """
    given = {
        "model": model,
        "system": system,
        "effort": effort,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "rerun": rerun,
        "rate": rate,
        "concurrency": concurrency,
    }
    options = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        settings.parse(name, value, "option")
    from kimi_magic.jobs import job as jobs
    from kimi_magic.jobs.rows import rows_of

    if lane not in jobs.LANES:
        raise CommandError(f"There is no lane {lane!r}.", hint=f"It is one of {', '.join(jobs.LANES)}.")
    if not isinstance(pilot, int) or pilot < 0:  # type: ignore[redundant-expr]  # typed by hand
        raise CommandError(f"A pilot of {pilot!r} rows cannot be.", hint="pilot=20 asks twenty rows first.")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise CommandError(
            f"{executor!r} is no executor.", hint="One of concurrent.futures, or client.get_executor() of Dask."
        )
    limit = None if budget is None else jobs.dollars(budget)
    values = kernel.resolve(options)
    typed = _output(out, like)
    _learn(data)
    before = _before(values, history=history)
    if cluster.is_dask(data):
        if pilot or executor is not None:
            raise CommandError(
                "A dask dataframe is asked by its own workers, when it is computed.",
                hint="Leave out pilot= and executor=; data.head(20) can be mapped as a pilot.",
            )
        made: Any = cluster.mapped(data, begin, question, values, typed, before, lane=lane, budget=limit, folder=folder)
        return made  # type: ignore[no-any-return]  # a dask dataframe
    if folder is not None:
        raise CommandError("Only partitions of a dask dataframe have folders.", hint="KIMI_HOME is where all is kept.")
    return begin(
        rows_of(data), question, values, typed, before,
        out=out, lane=lane, budget=limit, pilot=pilot, executor=executor, yes=yes,
    )  # fmt: skip


def begin(
    rows: Rows,
    question: str,
    values: Settings,
    typed: Output | None,
    before: tuple[Message, ...],
    *,
    out: Any = "",
    lane: str = "auto",
    budget: float | None = None,
    pilot: int = 0,
    executor: Executor | None = None,
    yes: bool | None = None,
    runner: Runner | None = None,
) -> Job:
    """Begin a map of rows whose settings, type of replies and messages before them are decided; of `runner`'s store."""
    from kimi_magic.jobs.job import Job, Source
    from kimi_magic.jobs.question import Question

    wholly = values.rerun == "only" or runner is not None
    runner = runner or kernel.jobs()
    asked = Question(question, rows.columns, kernel.keeper(values))
    spec = _spec(values, asked, typed, out, before)
    plan = planning.plan(spec, values, out=typed, executor=executor, answer=yes, runner=runner)
    only = values.rerun == "only"
    with runner.beginning:
        kept, entering = _kept(runner, spec, rows, asked, only=only, wholly=wholly)
        rest = None if entering.whole else entering

        def start(work: Work) -> None:
            if rest is not None:
                runner.enter(spec.id, rest)
            work.open(lane=lane, budget=budget, pilot=pilot, yes=yes, entering=rest)

        if not only:
            runner.start(spec.id, plan, start)
    return Job(runner, kept, typed, Source(rows, entering.places, rest), planning.resume, planning.converse)


def _output(out: Any, like: Any) -> Output | None:
    """Say what each reply has to be; None for any text."""
    if like is None and (out is None or (isinstance(out, str) and not out.strip())):
        return None
    from kimi_magic import schema

    wanted = None if isinstance(out, str) and not out.strip() else out
    return schema.output(wanted, like, _namespace(), private=kernel.guard().hides)


def _namespace() -> dict[str, Any]:
    """Give the variables of the notebook, or of the script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return dict(shell.user_ns if shell is not None else vars(sys.modules["__main__"]))


def _learn(data: Any) -> None:
    """Make the values of private columns known, in whatever table they stand by now."""
    from kimi_magic.context import kinds

    guard = kernel.guard()
    for value in (data, *_namespace().values()) if guard.names else ():
        if kinds.is_data(value):
            guard.learn(value)


def _spec(values: Settings, asked: Question, typed: Output | None, out: Any, before: tuple[Message, ...]) -> Spec:
    """Say what the job is: everything but its rows, and where it runs."""
    from kimi_magic import wire
    from kimi_magic.jobs.spec import Spec

    where = kernel.place(values)
    chosen = kernel.model(values, where, dry=values.rerun == "only")
    effort = values.effort
    if typed is not None and effort is None and chosen.thinking != "always":
        effort = "off"  # thinking and a schema do not go together (wire.md §6.2)
    form = f"{typed.instruction}\n\n" if typed is not None else ""
    return Spec(
        place=where.name,
        model=chosen.id,
        weights=values.local_model if where.name == "local" and not values.local_url else "",
        before=before,
        template=asked.text,
        shared=form + asked.shared,
        columns=tuple(str(label) for label in asked.columns),
        max_tokens=values.max_tokens,
        temperature=values.temperature,
        top_p=values.top_p,
        effort=effort,
        schema=wire.canonical(typed.schema).decode() if typed is not None else "",
        form=typed.name if typed is not None else "",
        out=out.strip() if isinstance(out, str) and typed is not None else "",
        salt=uuid.uuid4().hex if values.rerun == "always" else "",
    )


def _before(values: Settings, *, history: bool) -> tuple[Message, ...]:
    """Give what each row is asked after: the system message, or the conversation so far."""
    from kimi_magic.messages import Message

    system = kernel.guard().clean(values.system) if values.system else ""
    if not history:
        return (Message.of("system", system),) if system else ()
    conversation = kernel.current().conversation
    said = conversation.messages(conversation.head)
    if found := kernel.private_in(message.text for message in said):
        raise CommandError(
            f"The conversation holds values of {', '.join(found)}, private now, and would be sent again.",
            hint="Map without history=True; or, if that is meant, %kimi private --release NAME.",
        )
    return said


def _kept(
    runner: Runner, spec: Spec, rows: Rows, asked: Question, *, only: bool, wholly: bool
) -> tuple[Kept, Entering]:
    """Keep the job and its rows in the store, of many only the first, unless `wholly`; with `only` all are answered."""
    from kimi_magic.jobs.entering import Entering
    from kimi_magic.jobs.kept import PARTLY, Counts, Kept
    from kimi_magic.messages import Usage

    keeping = runner.keeping
    title = " ".join(spec.template.split())
    title = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
    new = Kept(
        0, spec.id, "map", title, kernel.notebook(), spec.text, "",
        0, "running", "", "auto", time.time(), None, None, 0, Counts(), Usage(), None, "", "", 0.0,
    )  # fmt: skip
    if only and keeping.find(spec.id) is None:
        raise NotRecorded(
            "rerun = only sends nothing, and this map is not recorded.", hint="Run it once with rerun=replay."
        )
    runner.wait_entered(spec.id)
    entering = Entering(spec.id, rows, asked)
    kept = keeping.create(new)
    here = runner.active(spec.id)
    entering.joins = here or not keeping.acquire(kept.number)
    try:
        round_ = kept.round if entering.joins else keeping.begin_round(kept.number)
        _enter(keeping, kept, round_, entering, wholly=wholly or (entering.joins and not here))
        if not (entering.joins and not here):
            keeping.enters(kept.number, "" if entering.whole else PARTLY)
        if only:
            _require_answered(keeping.count(kept.number, round_))
    except BaseException:
        if not entering.joins:
            keeping.release(kept.number)
        raise
    if only and not entering.joins:
        keeping.release(kept.number)
    return keeping.find(spec.id) or kept, entering


def _require_answered(counts: Counts) -> None:
    if missing := counts.items - counts.answered:
        raise NotRecorded(
            f"rerun = only sends nothing, and {missing:,} rows of this map are not recorded.",
            hint="Run it once with rerun=replay.",
        )


def _enter(keeping: Keeping, kept: Kept, round_: int, entering: Entering, *, wholly: bool) -> None:
    """Enter the first rows, or all."""

    def enter(rows: Sequence[tuple[str, str]]) -> list[int]:
        if not entering.joins:
            keeping.renew(kept.number)  # many rows take longer than a lease
        return keeping.add(kept.number, round_, rows, joins=entering.joins)

    entering.take(enter)
    while wholly and not entering.whole:
        entering.take(enter)
