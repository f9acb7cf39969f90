"""Approval in the panel: a call stands there with its buttons, and the thread that would run it waits for one."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kimi_magic.panel.live import LiveReply
    from kimi_magic.tools import Tool

__all__ = ["Buttons"]


class Buttons:
    """Asks for the calls of one reply, one at a time; `always` agrees to a tool for the rest of it.

    `view` shows them. `answer` and `stop` are for any other thread than the one that asks.
    """

    def __init__(self) -> None:
        self.view: LiveReply | None = None
        self._always: set[str] = set()
        self._answered = threading.Event()
        self._call = ""
        self._numbers = itertools.count()
        self._agreed = self._for_all = self._stopped = False

    def __call__(self, tool: Tool, arguments: str) -> bool:
        """Ask, and wait for the answer."""
        once = tool.approve == "always"
        if self._stopped or self.view is None:
            return False
        if tool.name in self._always and not once:
            return True
        self._answered.clear()
        self._agreed = self._for_all = False
        self._call = f"approval-{next(self._numbers)}"  # before it is shown: the answer may come at once
        self.view.asking(self._call, tool.name, arguments, always=not once)
        if not self._stopped:
            self._answered.wait()
        self._call = ""
        if self._agreed and self._for_all and not once:
            self._always.add(tool.name)
        return self._agreed

    def answer(self, call: str, *, agreed: bool, always: bool) -> None:
        """Answer for a call, if it is the one that is asked for."""
        if call and call == self._call:
            self._agreed, self._for_all = agreed, always
            self._answered.set()

    def stop(self) -> None:
        """Agree to nothing any more."""
        self._stopped = True
        self._agreed = False
        self._answered.set()
