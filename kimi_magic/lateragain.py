"""What was asked in an earlier kernel, or has failed, made ready to be asked again as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kimi_magic import cell, kernel
from kimi_magic.command import Ask, Later
from kimi_magic.context.gathering import Gathered
from kimi_magic.conversation import Conversation
from kimi_magic.errors import CommandError, KimiError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.jobs.asked import Asked
    from kimi_magic.reply import Reply
    from kimi_magic.schema import Output
    from kimi_magic.settings import Settings
    from kimi_magic.tools.toolbox import Toolbox

__all__ = ["Question", "again", "with_value"]


class Question(NamedTuple):
    """All that a question is asked with."""

    gathered: Gathered
    values: Settings
    tools: Toolbox | None
    out: Output | None
    conversation: Conversation | None


def again(shell: InteractiveShell | None, asked: Asked) -> Question:
    """Make it ready. Raises a KimiError where a tool, a type or the conversation is not there any more."""
    values = kernel.resolve(asked.settings)
    said = Ask("again", out=asked.out, tools=asked.tools, later=Later())
    out = cell.output(shell, said) if asked.typed else None
    gathered = Gathered(asked.turn.question, asked.items)
    return Question(gathered, values, cell.toolbox(shell, said, values), out, _conversation(asked))


def _conversation(asked: Asked) -> Conversation | None:
    """Give the conversation that a question belongs to: the one that is here, or that of the store, or a new one."""
    if not asked.conversation:
        return None
    session = kernel.current()
    for one in session.conversations.values():
        if one.id == asked.conversation:
            return one
    if session.archive is not None and any(one.id == asked.conversation for one in session.archive.kept()):
        return session.archive.load(asked.conversation)
    if asked.parent:
        raise CommandError("The conversation that it was asked in is gone.", hint="%kimi job ID forget")
    return Conversation(asked.name, asked.affinity, id=asked.conversation)


def with_value(shell: InteractiveShell | None, asked: Asked, reply: Reply) -> Reply:
    """Give a reply of the store with the value that it stands for, where its type is known in this kernel."""
    from kimi_magic.schema import Invalid

    try:
        out = cell.output(shell, Ask("again", out=asked.out)) if asked.typed else None
        if out is None:
            return reply
        value = out.parse(reply.text)
        return replace(reply, value=value, frame=out.frame(value) if out.rows else None)
    except (KimiError, Invalid):
        return reply
