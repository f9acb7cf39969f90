"""What stands around the transcript: what was used, what can be chosen, and what to ask first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kimi_magic import completer, kernel, models, settings
from kimi_magic.errors import KimiError
from kimi_magic.messages import Usage
from kimi_magic.panel import completion, surroundings
from kimi_magic.present import dollars

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.models import Model
    from kimi_magic.reply import Reply
    from kimi_magic.session import Session

__all__ = ["choices", "place", "suggestions", "usage"]

_NEAR = 0.75
"""Share of the model's window from which on the panel warns."""
_MANY = 4


def place() -> dict[str, Any]:
    """Say where questions go, or why they can go nowhere."""
    try:
        where = kernel.place(kernel.resolve())
    except KimiError as error:
        return {"place": "", "badges": [], "trouble": f"{error.message} {error.hint}"}
    return {"place": where.name, "badges": list(where.badges), "trouble": ""}


def usage(session: Session) -> dict[str, Any]:
    """Say how much of the window is used, and what the last reply and this kernel have cost."""
    turns = session.conversation.turns
    last = turns[-1].reply if turns else None
    chosen = _model()
    used = 0 if last is None else last.usage.input + last.usage.output
    if last is not None and not used:
        used = models.estimate_messages(session.conversation.messages())[0]
    share = used / chosen.window if chosen is not None else 0.0
    of = chosen.window if chosen is not None else 0
    room = f"{used:,} of {of:,} tokens ({100 * share:.0f} %)" if used and of else ""
    words = [*([room] if room else []), *_last(last), *_money(session)]
    return {
        "window": {"used": used, "of": of, "share": round(share, 4), "text": room},
        "text": " · ".join(words),
        "warn": share > _NEAR,
    }


def _model() -> Model | None:
    try:
        values = kernel.resolve()
        return kernel.model(values, kernel.place(values))
    except KimiError:
        return None


def _last(reply: Reply | None) -> list[str]:
    if reply is None or reply.usage == Usage():
        return []
    if reply.recorded:
        return ["last reply replayed, for nothing"]
    used = reply.usage
    cost = "" if reply.cost is None else f", {dollars(reply.cost)}"
    return [f"last reply {used.input - used.cached:,} fresh + {used.cached:,} cached in, {used.output:,} out{cost}"]


def _money(session: Session) -> list[str]:
    books = session.books
    known = [f"{dollars(books.cost)} in this kernel"] if books.replies > books.unpriced else []
    try:
        limit = kernel.resolve().budget
        left = [] if limit is None else [f"budget {limit}: {dollars(books.spent(limit))} spent"]
    except KimiError as error:
        left = [error.message]
    return known + left


def choices(session: Session, tools: Sequence[str], shell: InteractiveShell | None) -> dict[str, Any]:
    """Give what can be chosen, and what is."""
    return {
        "model": _models(),
        "effort": _effort(),
        "conversation": _conversations(session),
        "tools": _tools(tools, shell),
        "approve": _approve(),
    }


def _option(value: str, label: str = "", detail: str = "") -> dict[str, str]:
    return {"value": value, "label": label or value, "detail": detail}


def _models() -> dict[str, Any]:
    where, chosen = place()["place"], _model()
    value = chosen.id if chosen is not None else ""
    ids = [id_ for id_ in models.MODELS if (id_ == models.LOCAL) == (where == "local")] if where else []
    if where not in ("", "local", "cloudflare"):
        ids = []
    found = [
        _option(id_, id_.rpartition("/")[2], models.known(id_).note) for id_ in dict.fromkeys([*ids, value]) if id_
    ]
    return {"value": value, "options": found}


def _effort() -> dict[str, Any]:
    try:
        value = kernel.resolve().effort or ""
    except KimiError:
        value = ""
    return {"value": value, "options": [_option("", "auto"), *map(_option, settings.EFFORTS)]}


def _approve() -> dict[str, Any]:
    try:
        value = kernel.resolve().approve
    except KimiError:
        value = "ask"
    labels = {"ask": "ask each time", "all": "agree to all", "none": "refuse all"}
    return {"value": value, "options": [_option(one, labels[one]) for one in settings.APPROVALS]}


def _conversations(session: Session) -> dict[str, Any]:
    here = [
        _option(name, name, f"{len(one.turns):,} turn{'' if len(one.turns) == 1 else 's'}")
        for name, one in session.conversations.items()
    ]
    try:
        kept = [
            _option(f"kept:{one.name}", one.name, f"{one.turns:,} turns, from before") for one in kernel.resumable()
        ]
    except KimiError:
        kept = []
    return {"value": session.conversation.name, "options": [*here, *kept]}


def _tools(tools: Sequence[str], shell: InteractiveShell | None) -> dict[str, Any]:
    names = kernel.tool_words()
    own = completer.functions(completion.own(shell)) if shell is not None else []
    found = [_option(name, name, "look into the notebook, run code" if name == "kernel" else "") for name in names]
    found += [_option(name, name, "function of the notebook") for name in own if name not in names]
    known = {one["value"] for one in found}
    return {"value": list(tools), "options": [*found, *(_option(name) for name in tools if name not in known)]}


def suggestions(shell: InteractiveShell | None) -> list[dict[str, str]]:
    """Give a few questions for an empty panel: of what failed last, and of the data that is there."""
    from kimi_magic.context import kinds

    found: list[dict[str, str]] = []
    if (failed := surroundings.last_failure()) is not None:
        found.append({"label": f"Fix the last {type(failed).__name__}", "text": "/fix"})
    data = [
        name for name, value in (completion.own(shell) if shell is not None else {}).items() if kinds.is_data(value)
    ]
    shown = [name for name in data if not name.startswith("_")]
    if shown:
        name = shown[-1]
        found.append({"label": f"What is in {name}?", "text": f"What is in {{{{ {name} }}}}, and what stands out?"})
        found.append(
            {"label": f"A first plot of {name}", "text": f"Write code for a first useful plot of {{{{ {name} }}}}."}
        )
    if surroundings.last_cell(shell):
        found.append({"label": "Explain the last cell", "text": "/explain"})
    return found[:_MANY]
