"""Turns and replies as entries of the transcript: plain values, with HTML where only HTML will do.

Every key `html` was made by `markdown`, `present` or a report, which sanitise or escape; everything else is text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from kimi_magic import card, present
from kimi_magic.calls import Outcome, Round
from kimi_magic.conversation import Conversation, Origin, Turn
from kimi_magic.errors import KimiError
from kimi_magic.messages import Image, ToolCall
from kimi_magic.panel import slash
from kimi_magic.panel.thumbnails import thumbnail
from kimi_magic.reply import Reply
from kimi_magic.sent import Item

__all__ = [
    "Entry",
    "Piece",
    "Siblings",
    "asked",
    "call_piece",
    "chips",
    "ended",
    "failure",
    "note",
    "of_turn",
    "outcome_fields",
    "siblings_of",
    "standing",
    "text_piece",
    "thinking_piece",
]

Entry = dict[str, Any]
Piece = dict[str, Any]
Siblings = Mapping[int, Sequence[int]]
"""The turns that follow a turn, by its number."""

_NOTHING = {"html": "", "source": ""}
_LONGEST = 20_000
"""Characters of a call's arguments or result that are shown."""


def asked(id_: str, text: str, origin: str, state: str) -> Entry:
    """Make the entry of a question that has no reply yet."""
    return {
        "id": id_,
        "kind": "turn",
        "seq": 0,
        "turn": 0,
        "question": {"text": text, "edit": text, "origin": origin, "chips": []},
        "pieces": [],
        "state": state,
        "line": "",
        "notice": "",
        "remark": "",
        "badges": [],
        "facts": [],
        "html": "",
        "error": None,
        "branch": None,
        "dropped": False,
    }


def note(id_: str, title: str, text: str, html: str = "", *, error: bool = False) -> Entry:
    """Make the entry of what a command told."""
    told = {"id": id_, "kind": "note", "seq": 0, "turn": 0, "state": "done", "pieces": []}
    return told | {"title": title, "text": text, "html": html, "error": error}


def siblings_of(conversation: Conversation) -> Siblings:
    """Find what follows each turn of a conversation."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for number, turn in sorted(conversation.tree.items()):
        if not turn.summarises:
            found[turn.parent].append(number)
    return found


def of_turn(conversation: Conversation, turn: Turn, siblings: Siblings) -> Entry:
    """Make the entry of a turn that has ended."""
    entry = asked(f"turn-{turn.number}", turn.words, _where(turn.origin), "done")
    items = turn.reply.sent.items if turn.reply.sent else ()
    entry["question"] |= {"edit": turn.template, "chips": chips(items)}
    entry["pieces"] = _pieces(turn.reply)
    return entry | ended(turn.reply) | standing(conversation, turn, siblings) | {"turn": turn.number}


def _where(origin: Origin) -> str:
    return f"In [{origin.count}]" if origin.count else ""


def standing(conversation: Conversation, turn: Turn, siblings: Siblings) -> dict[str, Any]:
    """Say where a turn stands among its branches, and whether the model sees it."""
    beside = siblings.get(turn.parent, ())
    branch = None
    if len(beside) > 1 and turn.number in beside:
        branch = {"at": beside.index(turn.number) + 1, "of": len(beside), "turns": list(beside)}
    return {"branch": branch, "dropped": turn.number in conversation.dropped}


def chips(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Name what went along with a question."""
    return [
        {
            "name": item.source,
            "kind": item.kind,
            "detail": item.notes,
            "tokens": item.tokens,
            "html": "".join(thumbnail(part) for part in item.parts[:8] if isinstance(part, Image)),
        }
        for item in items
        if item.kind not in ("question", "tool", "schema")
    ]


def ended(reply: Reply) -> dict[str, Any]:
    """Give the fields of an entry that are known once its reply has ended."""
    return {
        "state": "cut" if reply.cut else "done",
        "line": "",
        "notice": reply.notice,
        "remark": reply.remark,
        "badges": list(reply.badges),
        "facts": list(reply.facts),
    }


def failure(error: BaseException) -> dict[str, str]:
    """Say what went wrong and what to do."""
    if isinstance(error, KimiError):
        return {"message": slash.in_words(error.message), "hint": slash.in_words(error.hint)}
    return {"message": f"{type(error).__name__}: {error}", "hint": "%kimi tells how everything is set up."}


def _pieces(reply: Reply) -> list[Piece]:
    found = [piece for done in reply.rounds for piece in _of_round(done)]
    if reply.thinking.strip():
        found.append(thinking_piece(reply.thinking, reply.timing.thinking))
    if reply.format in ("markdown", "code") and reply.value is None:
        return [*found, text_piece(reply.text)] if reply.text.strip() else found
    body = reply.body
    return [*found, {"kind": "value", "html": body, "source": reply.plain}] if body else found


def _of_round(done: Round) -> list[Piece]:
    if not done.outcomes:
        html = present.remark("The reply did not fit; it was asked for again.")
        return [{"kind": "value", "html": html, "source": ""}]
    thought = [thinking_piece(done.thinking)] if done.thinking.strip() else []
    said = [text_piece(done.text)] if done.text.strip() else []
    return [*thought, *said, *(call_piece(one.call) | outcome_fields(one) for one in done.outcomes)]


def thinking_piece(text: str = "", took: float | None = None, label: str = "Thoughts") -> Piece:
    """Make the piece of what was thought, in so many seconds."""
    return {
        "kind": "thinking",
        "text": text,
        "label": label if took is None else f"Thought for {present.seconds(took)}",
    }


def text_piece(source: str = "") -> Piece:
    """Make the piece of a text, block by block."""
    if not source:
        return {"kind": "text", "blocks": [], "tail": dict(_NOTHING)}
    from kimi_magic import markdown

    document = markdown.Document()
    document.feed(source)
    blocks = [{"html": block.html, "source": block.source} for block in document.advance()]
    rest = source[sum(len(block["source"]) for block in blocks) :]
    if document.restated:
        blocks, rest = [], source
    frozen = sum(len(block["html"]) for block in blocks)
    if rest:
        blocks.append({"html": document.html()[frozen:], "source": rest})
    return {"kind": "text", "blocks": blocks, "tail": dict(_NOTHING)}


def call_piece(call: ToolCall, state: str = "running") -> Piece:
    """Make the piece of a call that has no outcome yet."""
    return {
        "kind": "call",
        "call": call.id,
        "name": present.printable(call.name) or "?",
        "brief": card.brief(call.arguments),
        "arguments": _cut(present.printable(call.arguments)),
        "result": None,
        "html": "",
        "state": state,
        "facts": "",
        "always": False,
    }


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """Give the fields of a call's piece that its outcome tells."""
    took = present.seconds(outcome.seconds) if outcome.seconds else ""
    handle = f"kept as {outcome.handle}" if outcome.handle else ""
    return {
        "state": outcome.state,
        "result": _cut(present.printable(outcome.text)),
        "html": "".join(present.part(part) for part in outcome.parts if isinstance(part, Image)),
        "facts": " · ".join(filter(None, (outcome.state, took, handle))),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n[… {len(text) - _LONGEST:,} characters …]"
