"""What `%kimi` tells and changes of the conversation: its turns, its branches, its names."""

from __future__ import annotations

import difflib

from kimi_magic import kernel, models
from kimi_magic.command import Drop, Fork, History, Restore, Switch, Turns
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError
from kimi_magic.messages import Usage
from kimi_magic.report import Report

__all__ = ["answer", "drop", "fork", "history", "restore", "switch", "undo"]

_WORDS = 48


def answer(asked: Turns) -> Report:
    """Answer a word about turns."""
    match asked:
        case History():
            return history(asked)
        case Restore():
            return restore(asked)
        case Drop():
            return drop(asked)
        case Fork():
            return fork(asked)
        case Switch():
            return switch(asked)


def history(asked: History) -> Report:
    """List the turns of the path in use, or of the whole tree."""
    conversation = kernel.current().conversation
    turns = sorted(conversation.tree.values(), key=lambda turn: turn.number) if asked.everything else conversation.turns
    rows = tuple(_row(conversation, turn) for turn in turns)
    columns = ("turn", "after", "cell", "question", "tokens", "cost", "state")
    others = len(conversation.tree) - len(conversation.turns)
    hidden = f"{others} more on other branches: %kimi history --all. " if others and not asked.everything else ""
    names = [name for name in kernel.current().conversations if name != conversation.name]
    known = f"Other conversations: {', '.join(names)}." if names else ""
    if not rows:
        return Report(f"Conversation {conversation.name}", (), note=f"Nothing was said in it yet. {hidden}{known}")
    return Report(f"Conversation {conversation.name}", rows, columns, note=(hidden + known).strip())


def _row(conversation: Conversation, turn: Turn) -> tuple[str, ...]:
    reply = turn.reply
    tokens = "–" if reply.usage == Usage() else f"{reply.usage.input:,} + {reply.usage.output:,}"
    return (
        str(turn.number),
        str(turn.parent or "–"),
        f"In [{turn.origin.count}]" if turn.origin.count else "–",
        _first_words(turn.question.text),
        tokens,
        "–" if reply.cost is None else f"${reply.cost:.4f}",
        " · ".join(filter(None, (conversation.state(turn), "cut" if reply.cut else ""))),
    )


def _first_words(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS else f"{line[: _WORDS - 1]}…"


def undo() -> Report:
    """Take the last turn back: the next question goes where it was asked."""
    conversation = kernel.current().conversation
    if not conversation.head:
        raise CommandError("There is nothing to undo in this conversation.", hint="`%kimi history` shows it.")
    undone = conversation.tree[conversation.head]
    conversation.head = undone.parent
    note = f"%kimi restore {undone.number} brings it back. Nothing is billed again for it."
    return Report(f"Turn {undone.number} is taken back: “{_first_words(undone.question.text)}”", (), note=note)


def restore(asked: Restore) -> Report:
    """Go on from this turn, on whatever branch it is; shown again if it was dropped."""
    conversation = kernel.current().conversation
    turn = _turn(conversation, asked.turn)
    before = conversation.messages()
    conversation.dropped -= {turn.number}
    conversation.head = turn.number
    title = f"The conversation goes on from turn {turn.number}: “{_first_words(turn.question.text)}”"
    return Report(title, (), note=_billed_again(before, conversation))


def drop(asked: Drop) -> Report:
    """Hide a turn of the path from the model."""
    conversation = kernel.current().conversation
    turn = _turn(conversation, asked.turn)
    if turn not in conversation.turns:
        raise CommandError(f"Turn {turn.number} is not in use: the model does not see it anyway.")
    before = conversation.messages()
    conversation.dropped |= {turn.number}
    title = f"The model sees turn {turn.number} no longer: “{_first_words(turn.question.text)}”"
    back = f" %kimi restore {turn.number} shows it again, and goes on from it."
    return Report(title, (), note=_billed_again(before, conversation) + back)


def _turn(conversation: Conversation, number: int) -> Turn:
    if number not in conversation.tree:
        raise CommandError(
            f"The conversation has no turn {number}.", hint="`%kimi history --all` lists every turn with its number."
        )
    return conversation.tree[number]


def _billed_again(before: tuple[object, ...], conversation: Conversation) -> str:
    """Say how much of the next request the service has not in its cache: all that stands after the first change."""
    now = conversation.messages()
    same = next((n for n, (one, other) in enumerate(zip(before, now, strict=False)) if one != other), None)
    if same is None:
        return "Nothing is billed again: the next request begins as the last one did."
    anew = sum(models.tokens(part) for message in now[same:] for part in message.parts)
    session = kernel.current()
    price = models.known(session.last_sent.model).price if session.last_sent and session.last_sent.charged else None
    cost = f", about ${anew * price.input / 1e6:.4f}" if price else ""
    return f"The next request sends about {anew:,} tokens anew that were cached{cost}."


def fork(asked: Fork) -> Report:
    """Go on under another name from here; the old one stays as it is."""
    session = kernel.current()
    if asked.name in session.conversations:
        raise CommandError(
            f"There is a conversation {asked.name!r} already.", hint=f"%kimi switch {asked.name} goes there."
        )
    old = session.conversation.name
    session.switch(session.conversation.forked(asked.name))
    note = f"%kimi switch {old} goes back. Both share what was said so far, and what the service has cached of it."
    return Report(f"Conversation {asked.name} goes on from here", (), note=note)


def switch(asked: Switch) -> Report:
    """Go on in another conversation; alone it lists them."""
    session = kernel.current()
    if not asked.name:
        rows = tuple(
            (name, str(len(one.turns)), "in use" if one is session.conversation else "")
            for name, one in session.conversations.items()
        )
        return Report("Conversations of this kernel", rows, ("name", "turns", ""))
    if asked.name not in session.conversations:
        near = difflib.get_close_matches(asked.name, session.conversations, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise CommandError(
            f"There is no conversation {asked.name!r}.", hint=f"{meant}%kimi fork {asked.name} begins one from here."
        )
    session.switch(session.conversations[asked.name])
    return history(History())
