"""What came of a tool call. Frozen values; `tools` makes them, a reply and its turn keep them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kimi_magic.messages import Message, Part, Text, ToolCall
from kimi_magic.sent import Item

__all__ = ["Outcome", "Round", "State", "calling", "interrupted", "plain_id", "plain_name"]

_LONGEST = 64
"""Characters of a name."""

State = Literal["done", "failed", "refused", "timed out", "unknown", "invalid", "interrupted"]
"""`unknown`: there is no such tool; `invalid`: the arguments do not fit; `refused`: the user did not agree to it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to.

    `text` is the tool message that goes back to the model. `parts` are the pictures of the result, each after a line
    that says whose it is, for a user message that follows, since a tool message holds text alone; empty for none.
    `seconds` is how long the function ran, 0.0 where it was not called. `value` is what it gave, None where it gave
    nothing or failed; `handle` the variable that keeps it, empty for none. `item` is what to enter in the ledger.
    """

    call: ToolCall
    text: str
    parts: tuple[Part, ...] = ()
    state: State = "done"
    seconds: float = 0.0
    value: Any = field(default=None, repr=False, compare=False)
    handle: str = ""
    item: Item = field(default=Item("", "", ()), repr=False)


def interrupted(call: ToolCall, seconds: float = 0.0) -> Outcome:
    """Answer a call that the user stopped, or that was never begun because of that."""
    text = "The user stopped this before it was done. Do not call it again unless asked to."
    return Outcome(call, text, (), "interrupted", seconds, item=Item(call.name, "interrupted", (Text(text),)))


@dataclass(frozen=True, slots=True)
class Round:
    """One round of an ask that was not the last: what the model wrote, and what it was told then.

    That is either the outcomes of its calls, in their order, or, for a reply that had to be mended, `told`.
    """

    text: str
    thinking: str = ""
    outcomes: tuple[Outcome, ...] = ()
    told: str = ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """What it adds to the conversation: a tool message holds text alone, so pictures go into the user's."""
        if not self.outcomes:
            return (Message.of("assistant", self.text or "(nothing)"), Message.of("user", self.told))
        called = calling(self.text, self.thinking, [outcome.call for outcome in self.outcomes])
        results = [Message("tool", (Text(one.text),), answers=one.call.id) for one in self.outcomes]
        pictures = tuple(part for outcome in self.outcomes for part in outcome.parts)
        shown = [Message("user", pictures)] if pictures else []
        return (called, *results, *shown)


def calling(text: str, thinking: str, calls: Iterable[ToolCall]) -> Message:
    """Give a reply that calls tools as the message that goes back."""
    said: tuple[Part, ...] = (Text(text),) if text else ()
    return Message("assistant", (*said, *map(_legible, calls)), thinking=thinking)


def plain_name(name: str) -> str:
    """Give a name as every service takes it back; that of a tool is one, but a model may call what there is not."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_LONGEST]


def plain_id(id_: str) -> bool:
    """Whether an id can go back as it is."""
    return re.fullmatch(r"[A-Za-z0-9_.:-]+", id_) is not None and len(id_) <= 2 * _LONGEST


def _legible(call: ToolCall) -> ToolCall:
    """Give a call as it goes back: a service refuses the whole conversation for what is no name and no JSON object."""
    try:
        fine = isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        fine = False
    return replace(call, name=plain_name(call.name), arguments=call.arguments if fine else "{}")
