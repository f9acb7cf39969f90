"""A call as the model made it, and what came of it. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from kimi_magic.messages import Part, Text
from kimi_magic.sent import Item

__all__ = ["Call", "Outcome", "State", "interrupted"]

State = Literal["done", "failed", "refused", "timed out", "unknown", "invalid", "interrupted"]
"""`unknown`: there is no such tool; `invalid`: the arguments do not fit; `refused`: the user did not agree to it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as the model wrote it, all three its words. `arguments` should be a JSON object and may not be."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to.

    `text` is the tool message that goes back to the model. `parts` are the pictures of the result, each after a line
    that says whose it is, for a user message that follows, since a tool message holds text alone; empty for none.
    `seconds` is how long the function ran, 0.0 where it was not called. `value` is what it gave, None where it gave
    nothing or failed; `handle` the variable that keeps it, empty for none. `item` is what to enter in the ledger.
    """

    call: Call
    text: str
    parts: tuple[Part, ...] = ()
    state: State = "done"
    seconds: float = 0.0
    value: Any = field(default=None, repr=False)
    handle: str = ""
    item: Item = field(default=Item("", "", ()), repr=False)


def interrupted(call: Call, seconds: float = 0.0) -> Outcome:
    """Answer a call that the user stopped, or that was never begun because of that."""
    text = "The user stopped this before it was done. Do not call it again unless asked to."
    return Outcome(call, text, (), "interrupted", seconds, item=Item(call.name, "interrupted", (Text(text),)))
