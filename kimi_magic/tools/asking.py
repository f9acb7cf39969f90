"""Approval in a cell or a terminal: the call is shown, then `input()` asks. Make one for each reply."""

from __future__ import annotations

from kimi_magic.tools.approval import Unanswered
from kimi_magic.tools.functions import Tool

__all__ = ["Asking"]

_NOWHERE = "this front end takes no input, so the user cannot be asked here."


class Asking:
    """Asks y, n or a: `a` agrees to this tool for the rest of the reply, save where a tool always asks."""

    def __init__(self) -> None:
        self._always: set[str] = set()

    def __call__(self, tool: Tool, arguments: str) -> bool:
        """Ask; raises Unanswered where nobody can answer, and lets Ctrl-C through."""
        once = tool.approve == "always"
        if tool.name in self._always and not once:
            return True
        print(f"Kimi wants to call {tool.name}:\n{_indented(arguments)}", flush=True)  # noqa: T201  # the cell shows it
        choices = "[y]es, [n]o" if once else f"[y]es, [n]o, [a]lways {tool.name} in this reply"
        while True:
            answer = _input(f"Run it? {choices}: ").strip().lower()
            if answer in ("y", "yes", "n", "no", ""):
                return answer in ("y", "yes")
            if answer in ("a", "always") and not once:
                self._always.add(tool.name)
                return True


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def _input(prompt: str) -> str:
    try:
        return input(prompt)
    except (EOFError, NotImplementedError, OSError, RuntimeError):  # no terminal, or a front end without stdin
        raise Unanswered(_NOWHERE) from None
