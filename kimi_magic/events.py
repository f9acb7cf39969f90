"""What a reply is made of, in the order it happens. Frozen values; `reply.Draft` adds them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kimi_magic.messages import Usage

__all__ = [
    "Event",
    "Finish",
    "Finished",
    "Idle",
    "Metered",
    "Retrying",
    "Started",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
]

Finish = Literal["stop", "length", "tool_calls", "content_filter", "cut"]
"""Why a reply ended. `cut`: the user, the network or the service ended it before the model did."""


@dataclass(frozen=True, slots=True)
class Started:
    """The service has begun to answer. `request_id` is what to quote to Cloudflare.

    `exchange` is the key under which the journal keeps this exchange, or will once it is whole; empty without one.
    """

    request_id: str = ""
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More of the thinking that comes before the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of a tool call: its id and name come once, its JSON arguments in pieces."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Metered:
    """The service's count so far, a few times a second and at a cut: a reply that is cut is paid for as well."""

    usage: Usage
    model: str = ""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Nothing was answered yet; the request is sent again after `seconds`, as try `attempt` of at most `of`."""

    seconds: float
    reason: str
    attempt: int
    of: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing has happened for a tenth of a second: a view may move its clock."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The model has ended the reply. `model` is the name the service gave, empty where it gave none."""

    reason: Finish
    usage: Usage
    model: str = ""


Event = Started | TextDelta | ThinkingDelta | ToolCallDelta | Metered | Retrying | Idle | Finished
