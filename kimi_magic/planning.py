"""How this kernel works on a job of the store: its place, model and transport, by the settings in force."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel, models
from kimi_magic.errors import CommandError
from kimi_magic.jobs.job import Job
from kimi_magic.jobs.keeping import Kept
from kimi_magic.jobs.plan import Plan
from kimi_magic.jobs.spec import Requests, Spec
from kimi_magic.transport import Limits

if TYPE_CHECKING:
    from kimi_magic.jobs.runner import Runner
    from kimi_magic.messages import Message
    from kimi_magic.schema import Output
    from kimi_magic.settings import Settings

__all__ = ["converse", "job", "plan", "rate", "resume", "taken_up"]

_WORKERS_AI = 20.0
"""Requests a minute that Workers AI allows an account for its paid models (wire.md §8)."""


def plan(
    spec: Spec,
    values: Settings,
    *,
    out: Output | None = None,
    executor: Executor | None = None,
    answer: bool | None = None,
    runner: Runner | None = None,
) -> Plan:
    """Make a plan of how to work on a job with these settings. Raises what cannot be asked, and where."""
    where = kernel.place(values)
    transport = kernel.transport(values, where)
    runner, host = runner or kernel.jobs(), kernel.address(values, where)
    chosen = models.known(spec.model)
    return Plan(
        spec,
        Requests(spec),
        transport,
        lambda: kernel.io().submit(transport.reach()).result().endpoint,
        kernel.io(),
        kernel.current().books,
        Limits(values.connect_timeout, values.first_timeout, values.idle_timeout, values.timeout, values.retries),
        runner.pace(host, rate(values, where)),
        host,
        where.charged,
        values.budget,
        values.api == "run" and where.name in ("local", "cloudflare") and chosen.queue is not False,
        values.concurrency,
        executor,
        out,
        answer,
        values.notify_queue,
        kernel.current().schemaless,
    )


def rate(values: Settings, where: kernel.Place) -> float | None:
    """Give how many requests a minute may be sent one by one; None for no limit."""
    usual = _WORKERS_AI if where.name == "cloudflare" else None
    return usual if values.rate is None else values.rate or None


def resume(kept: Kept) -> Plan:
    """Make a plan for a job that an earlier kernel began, where it began it. Raises a KimiError."""
    spec = Spec.read(kept.spec)
    options: dict[str, object] = {"endpoint": spec.place}
    if spec.place == "local" and spec.weights:
        options["local_model"] = spec.weights
    return plan(spec, kernel.resolve(options), out=_output(spec))


def _output(spec: Spec) -> Output | None:
    """Give the type of replies where it was written as text; another one is checked when it is mapped again."""
    if not spec.out:
        return None
    from kimi_magic import schema

    try:
        return schema.output(spec.out)
    except CommandError:  # it names a type of the notebook
        return None


def converse(messages: Sequence[Message], name: str) -> Any:
    """Open a conversation in which this was said, and go on in it."""
    from kimi_magic.conversation import Conversation, Turn
    from kimi_magic.reply import Reply

    session = kernel.current()
    conversation = Conversation(name)
    *before, question, reply = messages
    opening: list[Message] = []
    for message in before:
        if message.role == "assistant":
            conversation.append(Turn(tuple(opening), Reply(message.text, finish="stop"), parent=conversation.head))
            opening = []
        else:
            opening.append(message)
    conversation.append(Turn((*opening, question), Reply(reply.text, finish="stop"), parent=conversation.head))
    session.add(conversation)
    session.use(conversation)
    return conversation


def taken_up(kept: Kept) -> Job:
    """Give a job of the store as this kernel has it, without its data."""
    return Job(kernel.jobs(), kept, _output(Spec.read(kept.spec)), None, resume, converse)


def job(id: str) -> Job:  # noqa: A002  # what it is
    """Give the job of this id, or of the only one that begins so, and go on with it where it has not ended.

    Its rows are then the questions, because the data is not here. Raises CommandError for an id that is not known.
    """
    found = [kept for kept in kernel.jobs().keeping.all() if kept.kind == "map" and kept.id.startswith(id)]
    if len(found) != 1 or not id:
        known = ", ".join(kept.id for kept in found) or "none"
        raise CommandError(f"{id!r} is not the id of one map (found: {known}).", hint="%kimi jobs lists all jobs.")
    one = taken_up(found[0])
    if not one.standing.over:
        kernel.jobs().start(one.id, resume(found[0]))
    return one
