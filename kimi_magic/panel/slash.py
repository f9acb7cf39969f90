"""What may be typed after a slash: the words of `%kimi` that make sense in a panel, and a few of the panel's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kimi_magic import command, jobwords, status
from kimi_magic.command import Ask, Context
from kimi_magic.context.template import near_names
from kimi_magic.errors import CommandError
from kimi_magic.options import WORDS
from kimi_magic.report import Report
from kimi_magic.sent import Sent

__all__ = ["COMMANDS", "Slash", "answer", "ask_of", "changes", "in_words", "parse"]

_OWN = {
    "fix": ("[QUESTION]", "explain the last error and give the corrected code"),
    "explain": ("[NAME or CELL]", "explain the last cell, cell 3, or an object of the notebook"),
    "new": ("", "begin a new conversation; this one is kept"),
    "clear": ("", "the same: an empty panel, nothing is erased"),
    "tools": ("[NAMES or off]", "tools that the model may call in this panel: /tools kernel, load"),
}
_TAKEN = {
    "fork": "NAME",
    "switch": "[NAME]",
    "resume": "[NAME]",
    "export": "FILE",
    "import": "FILE",
    "undo": "",
    "restore": "TURN",
    "drop": "TURN",
    "history": "[--all]",
    "usage": "",
    "budget": "[AMOUNT]",
    "model": "[NAME]",
    "private": "[TABLE COLUMNS]",
    "egress": "",
    "jobs": "",
    "help": "",
}
_CHANGING = {"new", "clear", "fork", "switch", "resume", "import", "undo", "restore", "drop"}
_SLASH = re.compile(r"/([a-z]*)(?:\s+(.*))?", re.DOTALL)
_OF_CELLS = re.compile(r"%kimi ([a-z]+)")

_EXPLAIN = "Explain what this does and why, step by step, for somebody who did not write it."

COMMANDS = [{"name": name, "arguments": arguments, "help": help_} for name, (arguments, help_) in _OWN.items()] + [
    {"name": name, "arguments": arguments, "help": WORDS[name].partition(":")[0].partition(";")[0]}
    for name, arguments in _TAKEN.items()
    if name in WORDS
]
"""Every command: its name, what follows it, what it does."""


@dataclass(frozen=True, slots=True)
class Slash:
    """A command and what follows it."""

    name: str
    rest: str


def parse(text: str) -> Slash | None:
    """Read a slash command; None for a question, which may begin with a space.

    Raises CommandError for a word that there is not.
    """
    found = _SLASH.fullmatch(text.rstrip())
    if found is None:
        return None
    names = [one["name"] for one in COMMANDS]
    if found[1] not in names:
        near = near_names(found[1], names)
        hint = f"Did you mean /{near[0]}?" if near else "/help lists them. A question may begin with a space."
        raise CommandError(f"There is no command /{found[1]}.", hint=hint)
    return Slash(found[1], (found[2] or "").strip())


def in_words(text: str) -> str:
    """Say with a slash what a message says with `%kimi`, and plainly: nothing renders Markdown there."""
    names = {one["name"] for one in COMMANDS}
    found = _OF_CELLS.sub(lambda match: f"/{match[1]}" if match[1] in names else match[0], text)
    return re.sub(r"`([^`\n]+)`", r"\1", found)


def ask_of(slash: Slash, last_cell: str) -> Ask | None:
    """Give the question that a command stands for; None where it asks nothing. Raises CommandError.

    `last_cell` is the number of the last cell, empty for none.
    """
    if slash.name == "fix":
        found = command.parse_line(f"fix {slash.rest}")
        return Ask(found.question, context=Context(failure=True)) if isinstance(found, Ask) else None
    if slash.name != "explain":
        return None
    if slash.rest and not re.fullmatch(r"[\d:,\s-]+", slash.rest):
        return Ask(f"{_EXPLAIN}\n\n{{{{ {slash.rest} }}}}")
    if not slash.rest and not last_cell:
        raise CommandError("No cell has run yet.", hint="/explain NAME explains an object of the notebook.")
    return Ask(_EXPLAIN, context=Context(cells=slash.rest or last_cell))


def changes(slash: Slash) -> bool:
    """Whether it changes the conversation, so that it has to wait for what is asked before it."""
    return slash.name in _CHANGING


def answer(slash: Slash, namespace: dict[str, object]) -> Report | Sent:
    """Do what a command says, and tell of it. Raises CommandError."""
    if slash.name == "help":
        rows = tuple((f"/{one['name']} {one['arguments']}".strip(), one["help"]) for one in COMMANDS)
        note = "Enter sends, Shift+Enter begins a line. {{ name }} puts an object of the notebook into the question."
        return Report("Commands", rows, note=note)
    if slash.name == "jobs":
        return jobwords.table()
    line = "reset" if slash.name in ("new", "clear") else f"{slash.name} {slash.rest}"
    return status.answer(command.parse_line(line), namespace)
