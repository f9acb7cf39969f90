"""`%%kimi --later`: ask, and go on; after a restart, take up again what was asked."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kimi_magic import cell, kernel
from kimi_magic.conversation import NOWHERE
from kimi_magic.errors import CommandError, KimiError, StoreError
from kimi_magic.jobs.asked import Asked, settings_of
from kimi_magic.jobs.keeping import Keeping
from kimi_magic.jobs.kept import Counts, Kept
from kimi_magic.jobs.standing import ENDED
from kimi_magic.lateragain import Question
from kimi_magic.laterjob import Later, here
from kimi_magic.messages import Usage

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.command import Ask
    from kimi_magic.command import Later as Options
    from kimi_magic.context.gathering import Gathered
    from kimi_magic.context.watching import Displays
    from kimi_magic.conversation import Origin
    from kimi_magic.schema import Output
    from kimi_magic.settings import Settings
    from kimi_magic.tools.toolbox import Toolbox

__all__ = ["Later", "Prepared", "begin", "found", "here", "reattach", "submit"]

_TITLE = 120
_RECENT = 24 * 3600.0
"""Seconds for which a reply that came in an earlier kernel is shown by `%kimi jobs`."""


def begin(
    shell: InteractiveShell | None,
    asked: Ask,
    options: Options,
    *,
    failure: BaseException | None = None,
    displays: Displays | None = None,
) -> Later:
    """Ask, and give the job at once; see `cell.run` for what it raises. A cell that runs again while it waits goes on.

    Raises CommandError where a tool wants approval: nobody may be there to give it.
    """
    values, gathered, out, tools = cell.prepared(shell, asked, failure=failure, displays=displays)
    origin = cell.origin_of(shell) if asked.history else NOWHERE
    return submit(shell, asked, Prepared(values, gathered, out, tools, origin), options.lane)


class Prepared(NamedTuple):
    """A question that was put together, with what it is asked with, and where it is asked."""

    values: Settings
    gathered: Gathered
    out: Output | None
    tools: Toolbox | None
    origin: Origin


def submit(shell: InteractiveShell | None, asked: Ask, prepared: Prepared, lane: str) -> Later:
    """Ask what was put together, and give the job at once; see `begin`. It is shown nowhere."""
    values, gathered, out, tools, origin = prepared
    _require_unattended(tools, values)
    question = Asked.of(
        gathered.message,
        gathered.items,
        origin,
        settings=_settings(values),
        dest=asked.dest,
        out=asked.out if isinstance(asked.out, str) else "",
        typed=asked.typed,
        tools=tuple(str(name) for name in asked.tools),
    )
    conversation, session = None, kernel.current()
    before = session.conversation
    if asked.history:
        conversation = session.begin(asked.session, new=asked.new)
        question = question.within(conversation)
    later = _job(shell, question, lane)
    if later.id in here:
        here[later.id].promise(anyway=True)
        return here[later.id]
    try:
        later.ask(Question(gathered, values, tools, out, conversation))
    except BaseException:
        later.let_go()
        session.switch(before)
        raise
    return later


def _require_unattended(tools: Toolbox | None, values: Settings) -> None:
    for name, tool in tools.tools.items() if tools is not None else ():
        if tool.approve and values.approve != "none" and (values.approve == "ask" or tool.approve == "always"):
            hint = "Leave it out of -t." if tool.approve == "always" else "--approve all agrees beforehand."
            raise CommandError(f"{name} wants your approval, and later nobody may be there to give it.", hint=hint)


def _settings(values: Settings) -> dict[str, object]:
    """Give the settings that another kernel has to ask with, the place among them."""
    where = kernel.place(values)
    named = where.name != "local" or values.source("model") == "option"
    return settings_of(values, kernel.model(values, where).id if named else "") | {"endpoint": where.name}


def _job(shell: InteractiveShell | None, question: Asked, lane: str) -> Later:
    """Give the job of this question: the one that is not answered yet, or a new one."""
    keeping = _keeping()
    for number in itertools.count(1):
        id_ = question.id if number == 1 else f"{question.id}-{number}"
        if id_ in here and here[id_].state not in ENDED:
            return here[id_]
        known = keeping.find(id_)
        if known is None:
            title = " ".join(question.turn.words.split())[:_TITLE]
            known = keeping.create(_new(id_, title, question.text, lane))
        elif known.state in ENDED:
            continue
        if not keeping.acquire(known.number):
            raise CommandError(f"Another kernel asks this already: job {id_}.", hint=f"%kimi job {id_} shows it.")
        if known.spec != question.text:  # an earlier kernel's: the conversation has another id here
            keeping.respell(known.number, question.text)
            known = replace(known, spec=question.text)
        return Later(shell, keeping, known)
    raise AssertionError("there is always another number")


def _new(id_: str, title: str, spec: str, lane: str) -> Kept:
    counts = Counts(rows=1, items=1, running=1)
    return Kept(
        0, id_, "cell", title, kernel.notebook(), spec, "", 1, "running", "", lane, time.time(), None, None, 0, counts,
        Usage(), None, "", "", 0.0,
    )  # fmt: skip


def _keeping() -> Keeping:
    store = kernel.ledger()  # a job keeps its store, and with it its name there, when the session is closed
    return Keeping(lambda: store)


def found(shell: InteractiveShell | None, job: Kept) -> Later:
    """Give a cell's job by what the store has of it."""
    if job.id in here:
        return here[job.id]
    later = Later(shell, _keeping(), job)
    later.restore()
    return later


def reattach(shell: InteractiveShell | None, jobs: list[Kept]) -> list[Later]:
    """Take up the cells' jobs of an earlier kernel; give those, and those that ended there lately, to be shown."""
    keeping, taken = _keeping(), []
    for job in jobs:
        if job.kind != "cell" or job.id in here:
            continue
        later = _readable(shell, keeping, job)
        if later is None:
            continue
        if job.state in ENDED:
            later.restore()
            if later.reply is not None and (job.ended or 0.0) > time.time() - _RECENT:
                later.deliver()
                here[later.id] = later
                taken.append(later)
        elif keeping.acquire(job.number):
            try:
                later.again()
            except KimiError as error:
                later.postpone(error)
            taken.append(later)
    return taken


def _readable(shell: InteractiveShell | None, keeping: Keeping, job: Kept) -> Later | None:
    """Give a job of the store; None where it cannot be read, which must not keep the others from going on."""
    try:
        return Later(shell, keeping, job)
    except StoreError:
        return None
