"""What can stand at the cursor of the panel's input, and the notebook's objects for its picker."""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kimi_magic import completer, kernel
from kimi_magic.panel import slash

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["completions", "objects"]

_MOST = 60
_BRIEF = 160
_OF_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython", "open"}


def completions(text: str, cursor: int, shell: InteractiveShell | None) -> dict[str, Any]:
    """Give what the word before the cursor can become: `start` and `end` of what is replaced, and `items`.

    Positions are in UTF-16 units, as JavaScript counts them.
    """
    before = text.encode("utf-16-le", "surrogatepass")[: 2 * cursor].decode("utf-16-le", "replace")
    word, items = _found(before, shell)
    start = cursor - len(word.encode("utf-16-le", "surrogatepass")) // 2
    return {"start": start, "end": cursor, "items": items[:_MOST]}


def _found(before: str, shell: InteractiveShell | None) -> tuple[str, list[dict[str, str]]]:
    if re.fullmatch(r"/[a-z]*", before):
        return before, [
            _item(f"/{one['name']} ", f"/{one['name']}", f"{one['arguments']} {one['help']}".strip(), "command")
            for one in slash.COMMANDS
            if one["name"].startswith(before[1:])
        ]
    if (after := re.fullmatch(r"/([a-z]+)\s+(.*)", before, re.DOTALL)) and "{{" not in before:
        word = re.split(r"[\s,]", after[2])[-1]
        return word, [
            _item(one, one, "", "option") for one in _arguments(after[1], shell) if one.startswith(word) and one != word
        ]
    word = completer.expression(before)
    if word is None or shell is None:
        return "", []
    names = completer.live(word, own(shell), shell.Completer.attr_matches)
    return word, [_item(name, name, _detail(shell.user_ns.get(name)), "object") for name in names[:_MOST]]


def _item(text: str, label: str, detail: str, kind: str) -> dict[str, str]:
    return {"text": text, "label": label, "detail": detail, "kind": kind}


def _arguments(name: str, shell: InteractiveShell | None) -> list[str]:
    """Give what may follow a command."""
    session = kernel.current()
    if name in ("switch", "resume"):
        return sorted({*session.conversations, *(kept.name for kept in kernel.resumable())})
    if name == "tools":
        return ["off", *kernel.tool_words(), *completer.functions(own(shell))] if shell is not None else ["off"]
    if name == "explain" and shell is not None:
        return sorted(one for one in own(shell) if not one.startswith("_"))
    return [word for word in completer.candidates(f"%kimi {name} ")[1] if not word.startswith("-")]


def own(shell: InteractiveShell) -> dict[str, Any]:
    """Give the user's own variables: those that IPython put there are left out."""
    hidden = shell.user_ns_hidden
    return {
        name: value
        for name, value in list(shell.user_ns.items())
        if name not in hidden and name not in _OF_IPYTHON and not isinstance(value, ModuleType)
    }


def objects(shell: InteractiveShell | None) -> list[dict[str, str]]:
    """List the notebook's objects, data first: name, type, and what a person wants to know of each."""
    from kimi_magic.context import kinds

    if shell is None:
        return []
    found = [(name, value) for name, value in own(shell).items() if not name.startswith("_")]
    found.sort(key=lambda pair: (not kinds.is_data(pair[1]), callable(pair[1]), pair[0].lower()))
    return [
        {"name": name, "type": type(value).__name__, "detail": _detail(value, private=kernel.guard().hides(name))}
        for name, value in found[:500]
    ]


def _detail(value: object, *, private: bool = False) -> str:
    """Say in one line what an object is; the guard holds for what a user's screen shows, too."""
    from kimi_magic.context import kinds
    from kimi_magic.context.description import Look

    if private:
        return "private"
    try:
        return kinds.brief(value, Look(kernel.guard(), room=_BRIEF))[:_BRIEF]
    except Exception as error:  # noqa: BLE001  # the user's own objects
        return f"{type(error).__name__} when it was looked at"
