"""Who agrees to a call, and how its arguments are shown before: in full, and so that nothing in them can hide."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from kimi_magic.context.objects.saying import said
from kimi_magic.tools.arguments import Named
from kimi_magic.tools.functions import Tool

__all__ = ["Approval", "Policy", "Unanswered", "agreed", "shown"]

Policy = Literal["ask", "all", "none"]
"""`ask` (the usual one) asks where a tool wants it; `all` agrees beforehand, save where a tool always asks; `none` to
nothing that would have to be asked for."""
Approval = Callable[[Tool, str], bool]
"""Asks the user about a tool and its arguments; raises Unanswered where it cannot ask."""

_MOST_SHOWN = 20_000
_WIDE = 110


class Unanswered(Exception):
    """The user could not be asked. The message says why, to the model."""


def agreed(tool: Tool, arguments: Mapping[str, Any], policy: Policy, approval: Approval | None) -> str:
    """Ask for a call where that is needed; give the reason why it is refused, empty where the user agrees."""
    if not tool.approve or (policy == "all" and tool.approve != "always"):
        return ""
    if policy == "none":
        return "The user has turned down everything that needs approval, and this does."
    if approval is None:
        return "This needs the user's approval, and there is nobody here who can be asked."
    text = shown(arguments)
    if len(text) > _MOST_SHOWN:
        return f"Its arguments are too long for the user to check: {len(text):,} characters. Split it up."
    try:
        return "" if approval(tool, text) else "The user did not agree to this call. Do not repeat it; go on without."
    except Unanswered as reason:
        return f"This needs the user's approval, and {reason}"
    except Exception as error:  # noqa: BLE001  # a surface that cannot ask has not been told yes
        return f"This needs the user's approval, and asking failed: {type(error).__name__}."


def shown(arguments: Mapping[str, Any]) -> str:
    """Write arguments as a person reads them: one a line, texts of several lines as a block, no character unseen."""
    return "\n".join(_line(str(name), value) for name, value in arguments.items()) or "(no arguments)"


def _line(name: str, value: Any) -> str:
    text = value if isinstance(value, Named) or (isinstance(value, str) and "\n" in value) else _written(value)
    lines = [piece for line in text.split("\n") for piece in _pieces(_seen(line))]
    if len(lines) == 1:
        return f"{_seen(name)} = {lines[0]}"
    return "\n".join([f"{_seen(name)} =", *(f"    {line}" for line in lines)])


def _written(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=said)
    except (TypeError, ValueError, RecursionError):  # keys that are no texts, a ring
        return said(value)


def _pieces(line: str) -> list[str]:
    """Fold a long line, so that nothing stands beyond the edge of the screen."""
    return [line[:_WIDE], *("↪ " + line[at : at + _WIDE] for at in range(_WIDE, len(line), _WIDE))]


def _seen(line: str) -> str:
    """Make visible what a terminal would obey and what cannot be seen."""
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in line)
