"""What `%kimi` tells and changes of the conversation: its turns, its branches, its names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from kimi_magic import cell, kernel, models, request
from kimi_magic.command import (
    Ask,
    Compact,
    Context,
    Drop,
    Export,
    Forget,
    Fork,
    History,
    Import,
    Restore,
    Resume,
    Switch,
    Turns,
)
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError
from kimi_magic.messages import Message, Usage
from kimi_magic.present import dollars
from kimi_magic.report import Report

__all__ = [
    "answer",
    "compact",
    "drop",
    "export",
    "forget",
    "fork",
    "history",
    "import_",
    "restore",
    "resume",
    "switch",
    "undo",
]

_WORDS = 48
_MOST_ROWS = 200
_SHORT = 400
"""Tokens that a summary and the question for it may well have."""
_RESULTS = (8_000, 4_000, 2_000, 1_000, 500)
"""Characters that the results of one round may have in the question for a summary, if more does not fit."""
_RECENT = 64
"""Earlier requests that are compared, as in `prefix`: services do not keep what they have read for ever."""


def answer(asked: Turns) -> Report:
    """Answer a word about turns."""
    return _ANSWERS[type(asked)](asked)


def history(asked: History) -> Report:
    """List the turns of the path in use, or of the whole tree."""
    conversation = kernel.current().conversation
    turns = sorted(conversation.tree.values(), key=lambda turn: turn.number) if asked.everything else conversation.turns
    states = conversation.states()
    rows = tuple(_row(turn, states[turn.number]) for turn in turns[-_MOST_ROWS:])
    columns = ("turn", "after", "cell", "question", "tokens", "cost", "state")
    others = len(conversation.tree) - len(conversation.turns)
    hidden = f"{others} more on other branches: %kimi history --all. " if others and not asked.everything else ""
    hidden = f"{len(turns) - _MOST_ROWS:,} earlier turns are not shown. {hidden}" if len(turns) > _MOST_ROWS else hidden
    names = [name for name in kernel.current().conversations if name != conversation.name]
    known = f"Other conversations: {', '.join(names)}." if names else ""
    if not rows:
        return Report(f"Conversation {conversation.name}", (), note=f"Nothing was said in it yet. {hidden}{known}")
    return Report(f"Conversation {conversation.name}", rows, columns, note=(hidden + known).strip())


def _row(turn: Turn, state: str) -> tuple[str, ...]:
    reply = turn.reply
    tokens = "–" if reply.usage == Usage() else f"{reply.usage.input:,} + {reply.usage.output:,}"
    return (
        str(turn.number),
        str(turn.parent or "–"),
        f"In [{turn.origin.count}]" if turn.origin.count else "–",
        _first_words(turn.words),
        tokens,
        "replayed" if reply.recorded else "–" if reply.cost is None else dollars(reply.cost),
        " · ".join(filter(None, (state, "cut" if reply.cut else ""))),
    )


def _first_words(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WORDS else f"{line[: _WORDS - 1]}…"


_SUMMARISE = (
    "Summarise our conversation up to here for yourself, so that you can go on without it: what is known of the data, "
    "what was asked, decided and left open, with the names and numbers that matter. No preamble."
)


def compact(asked: Compact) -> Report:
    """Put a summary that the model writes in the place of the oldest turns, on a new branch."""
    session = kernel.current()
    conversation = session.conversation
    turns = [turn for turn in conversation.turns if turn.number not in conversation.dropped]
    end = max(0, len(turns) - asked.keep)
    old, kept = turns[:end], turns[end:]
    if not old or (len(old) == 1 and _tokens(old) < _SHORT):  # a summary of one short turn is no shorter
        raise CommandError(
            f"There is nothing to compact: {len(turns)} turns, of which {asked.keep} are kept.",
            hint="%kimi history shows them; %kimi compact 0 keeps none.",
        )
    before, past = _tokens(old), _readable(conversation.at(old[-1].number))
    question = Ask(_SUMMARISE, options={"format": "markdown"}, history=False, context=Context(raw=True))
    if not asked.go:
        price = cell.preview(cell.current_shell(), question, past=past).price
        costs = f" It costs {price}." if price else ""
        few = " That is hardly more than a summary: it may save nothing." if before < _SHORT else ""
        note = (
            f"It asks the model once for a summary: about {before:,} tokens, most of them cached, and the reply."
            f"{costs} After that each request is about {before:,} tokens shorter, less the summary's own.{few} "
            f"%kimi compact {asked.keep} --go does it; the old turns stay on their branch."
        )
        which = f"Turn {old[0].number}" if len(old) == 1 else f"Turns {old[0].number} to {old[-1].number}"
        title = f"{which} would become a summary, {len(kept)} would be kept"
        return Report(title, (), note=note)
    reply = cell.run(cell.current_shell(), question, past=past)
    if not reply.text.strip() or reply.cut:
        raise CommandError("No summary came: the conversation is as it was.", hint="Try again.")
    head = conversation.head
    after = _tokens([conversation.compact(old[-1].number, Message.of("user", _SUMMARISE), reply, kept)])
    session.save(conversation)
    longer = ", no fewer than before" if after >= before else ""
    note = (
        f"About {before:,} tokens became {after:,}{longer}. %kimi restore {head} goes back to the turns as they were."
    )
    return Report(f"{'1 turn' if len(old) == 1 else f'{len(old)} turns'} became a summary", (), note=note)


def _readable(past: Conversation) -> Conversation:
    """Shorten what tools have told, in a copy of the conversation, until the model can read it and sum it up."""
    values = kernel.resolve({"format": "markdown"})
    chosen = kernel.model(values, kernel.place(values), dry=True)
    whole = dict(past.tree)
    for longest in _RESULTS:
        if request.left(past.messages(), values, chosen) > _SHORT:
            break
        past.tree = {number: _shortened(turn, longest) for number, turn in whole.items()}
    return past


def _shortened(turn: Turn, longest: int) -> Turn:
    rounds = tuple(replace(done, outcomes=request.fitted(done.outcomes, longest)) for done in turn.reply.rounds)
    return replace(turn, reply=replace(turn.reply, rounds=rounds))


def _tokens(turns: list[Turn]) -> int:
    return sum(models.tokens(part) for turn in turns for message in turn.messages for part in message.parts)


def undo() -> Report:
    """Take the last turn back: the next question goes where it was asked."""
    conversation = kernel.current().conversation
    if not conversation.head:
        raise CommandError("There is nothing to undo in this conversation.", hint="`%kimi history` shows it.")
    undone = conversation.tree[conversation.head]
    conversation.head = undone.parent
    kernel.current().save(conversation)
    note = f"%kimi restore {undone.number} brings it back. Nothing is billed again for it."
    return Report(f"Turn {undone.number} is taken back: “{_first_words(undone.words)}”", (), note=note)


def restore(asked: Restore) -> Report:
    """Go on from this turn, on whatever branch it is; one of the path that was dropped is shown again where it is."""
    conversation = kernel.current().conversation
    turn = _turn(conversation, asked.turn)
    words = f"turn {turn.number}: “{_first_words(turn.words)}”"
    if turn.number in conversation.dropped and turn in conversation.turns:
        title = f"The model sees again {words}"
    else:
        conversation.head = turn.number
        title = f"The conversation goes on from {words}"
    conversation.dropped -= {turn.number}
    kernel.current().save(conversation)
    return Report(title, (), note=_sent_anew(conversation))


def drop(asked: Drop) -> Report:
    """Hide a turn of the path from the model."""
    conversation = kernel.current().conversation
    turn = _turn(conversation, asked.turn)
    if turn not in conversation.turns:
        raise CommandError(f"Turn {turn.number} is not in use: the model does not see it anyway.")
    conversation.dropped |= {turn.number}
    kernel.current().save(conversation)
    title = f"The model sees turn {turn.number} no longer: “{_first_words(turn.words)}”"
    return Report(title, (), note=f"{_sent_anew(conversation)} %kimi restore {turn.number} shows it again.")


def _turn(conversation: Conversation, number: int) -> Turn:
    if number not in conversation.tree:
        raise CommandError(
            f"The conversation has no turn {number}.", hint="`%kimi history --all` lists every turn with its number."
        )
    return conversation.tree[number]


def _sent(conversation: Conversation) -> list[tuple[Message, ...]]:
    """What this kernel has sent of a conversation and its forks lately, the latest request first."""
    rounds = [each for each in kernel.current().requests if each.affinity == conversation.affinity]
    return [each.request.messages for each in reversed(rounds[-_RECENT:]) if not each.replayed]


def _sent_anew(conversation: Conversation) -> str:
    """Say how much of the next request no request before it began with: that much the service has to read anew."""
    now, known = conversation.messages(), 0
    for sent in _sent(conversation):
        if known < min(len(now), len(sent)) and now[known] == sent[known]:
            known = max(known, _in_common(now, sent))
    anew = sum(models.tokens(part) for message in now[known:] for part in message.parts)
    if not anew:
        return "Nothing is billed anew: an earlier request began like the next one." if now else ""
    last = kernel.current().last_sent
    price = models.known(last.model).price if last and last.charged else None
    cost = f", about ${anew * price.input / 1e6:.4f}" if price else ""
    whole = "" if known else ": all of what was said, which this kernel has not sent so far"
    return f"The next request sends about {anew:,} tokens anew{cost}{whole}."


def _in_common(now: Sequence[Message], sent: Sequence[Message]) -> int:
    """Count the messages with which both begin; a request's own reply is one that the service knows as well."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(now, sent, strict=False)))
    answered = same == len(sent) < len(now) and now[same].role == "assistant"
    return same + answered


def fork(asked: Fork) -> Report:
    """Go on under another name from here; the old one stays as it is."""
    session = kernel.current()
    if asked.name in session.conversations:
        raise CommandError(
            f"There is a conversation {asked.name!r} already.", hint=f"%kimi switch {asked.name} goes there."
        )
    old = session.conversation.name
    session.switch(session.conversation.forked(asked.name))
    session.save(session.conversation)
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
        if any(kept.name == asked.name for kept in kernel.resumable()):
            meant = f"It is kept from before: %kimi resume {asked.name}. "
        raise CommandError(
            f"There is no conversation {asked.name!r}.", hint=f"{meant}%kimi fork {asked.name} begins one from here."
        )
    session.use(session.conversations[asked.name])
    return _here() if _sent(session.conversation) else history(History())


def _here() -> Report:
    """List the turns of the conversation that was just come to, and say what it costs to go on with it."""
    told = history(History())
    return replace(told, note=" ".join(filter(None, (told.note, _sent_anew(kernel.current().conversation)))))


def resume(asked: Resume) -> Report:
    """Go on with the conversation that this notebook used last, or with the one of this name."""
    conversation = kernel.resume(asked.name)
    names = ", ".join(dict.fromkeys(kept.name for kept in kernel.resumable()))
    if conversation is None and asked.name:
        hint = f"Kept are: {names}." if names else "%kimi switch lists those of this kernel."
        raise CommandError(
            f"No conversation {asked.name!r} of this notebook is kept, or it is here already.", hint=hint
        )
    if conversation is None:
        return Report("Nothing to resume", (), note="No other conversation of this notebook is kept.")
    kernel.current().use(conversation)
    told = _here()
    return replace(told, note=f"{told.note} Kept as well: {names}.") if names else told


def export(asked: Export) -> Report:
    """Write the conversation to a file that does not exist yet."""
    from kimi_magic import exports

    conversation = kernel.current().conversation
    path = Path(asked.path).expanduser()
    form = path.suffix.lstrip(".")
    if form not in exports.FORMS:
        raise CommandError(
            f"A conversation cannot be written as {path.suffix or path.name!r}.",
            hint=f"The file's name ends in .{', .'.join(exports.FORMS)}.",
        )
    if not conversation.tree or (form != "jsonl" and not conversation.seen()):
        raise CommandError("There is nothing to export: nothing was said yet.", hint="%kimi history --all")
    turns = conversation.tree.values() if form == "jsonl" else conversation.seen()
    kernel.require_writable(text for turn in turns for text in turn.texts)
    text = exports.written(conversation, form)
    try:
        with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path} is there already.", hint="Choose another name, or delete it first.") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.", hint="Choose another place.") from None
    count = len(conversation.tree if form == "jsonl" else conversation.seen())
    note = f"{count:,} turn{'' if count == 1 else 's'}, {len(text.encode('utf-8', 'backslashreplace')):,} bytes."
    return Report(f"Written to {path}", (), note=note)


def import_(asked: Import) -> Report:
    """Read a conversation from a file, and go on in it."""
    from kimi_magic import exports

    path = Path(asked.path).expanduser()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise CommandError(f"{path} cannot be read: {why}.", hint="%kimi export FILE.jsonl writes one.") from None
    session = kernel.current()
    conversation = exports.read(text, str(path))
    session.add(conversation)
    session.switch(conversation)
    session.save(conversation)
    return _here()


def forget(asked: Forget) -> Report:
    """Erase the conversation in use for good, or all of this notebook."""
    from kimi_magic import jobwords

    session = kernel.current()
    gone = [session.conversation] if not asked.everything else list(session.conversations.values())
    ids = {conversation.id for conversation in gone}
    if session.archive is not None:
        elsewhere = {one.id for one in session.archive.kept()} - ids if asked.everything else set()
        gone += [session.archive.load(id_) for id_ in sorted(elsewhere)]
        ids |= elsewhere
        session.archive.forget(sorted(ids))
    jobwords.forget(ids, everything=asked.everything)
    session.leave(gone)
    stay = {turn.question for one in session.conversations.values() for turn in one.tree.values()}
    lost = {turn.question for one in gone for turn in one.tree.values()} - stay
    session.requests = [each for each in session.requests if lost.isdisjoint(each.request.messages)]
    kernel.journal().forget(
        [turn.reply for one in gone for turn in one.tree.values()],
        [turn.reply for one in session.conversations.values() for turn in one.tree.values()],
        everything=asked.everything,
    )
    note = (
        "What the service keeps, and what was exported, is not reached by this. The ledger (%kimi egress) still says "
        "what was sent, by the expressions that were typed."
    )
    return Report(f"{len(ids)} conversation{'' if len(ids) == 1 else 's'} erased", (), note=note)


_ANSWERS: Mapping[type, Callable[[Any], Report]] = {
    History: history,
    Compact: compact,
    Restore: restore,
    Drop: drop,
    Fork: fork,
    Switch: switch,
    Resume: resume,
    Export: export,
    Import: import_,
    Forget: forget,
}
