"""Fragments of tool calls → the calls that they belong to, whatever a service leaves out or repeats (wire.md §2.3, §3).

An index, an id and a name may each be missing, or come again with every fragment; calls may come by turns; arguments
may be an object. What is empty opens no call.
"""

from __future__ import annotations

import json
from typing import Any

from kimi_magic.events import ToolCallDelta

__all__ = ["Fragments"]


class Fragments:
    """The calls of one reply, numbered in the order in which they were opened."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, str]] = []  # id and name of each
        self._open: dict[object, int] = {}  # which of them an index stands for; None: a fragment without one

    def take(self, fragment: dict[str, Any]) -> list[ToolCallDelta]:
        """Read one fragment; raises AttributeError or TypeError for an unknown shape."""
        function = fragment.get("function") or fragment
        id_, name, arguments = str(fragment.get("id") or ""), str(function.get("name") or ""), function.get("arguments")
        if not isinstance(arguments, str):  # older models give an object
            arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
        index = fragment.get("index")
        number = self._open.get(index)
        if name and (number is None or self._is_another(number, index, id_, name)):
            return [self.opened(index, id_, name, arguments)]
        if number is None or not arguments:
            return []
        return [ToolCallDelta(number, "", "", arguments)]

    def _is_another(self, number: int, index: object, id_: str, name: str) -> bool:
        """Whether a name begins another call than the one that is open there, and does not just repeat it."""
        its_id, its_name = self._calls[number]
        if index is None:
            return not id_ or (id_, name) != (its_id, its_name)
        return name != its_name or bool(id_ and its_id and id_ != its_id)

    def opened(self, index: object, id_: str, name: str, arguments: str = "") -> ToolCallDelta:
        """Open a call, under anything that can be a key."""
        self._open[index] = self._open[None] = len(self._calls)
        self._calls.append((id_, name))
        return ToolCallDelta(self._open[index], id_, name, arguments)

    def more(self, index: object, arguments: str) -> ToolCallDelta:
        """Go on with the call that was opened under this index."""
        return ToolCallDelta(self._open[index], "", "", arguments)
