"""What is said: parts make a message, messages make a conversation. Frozen values, equal by content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

__all__ = ["Image", "Message", "Part", "Role", "Text", "ToolCall", "Usage"]

Role = Literal["system", "user", "assistant", "tool"]
Detail = Literal["auto", "low", "high"]
"""As the service names it."""
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Text:
    """A part that is text, exactly as it is sent."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A part that is a picture: `data` is the whole file, of the type `media_type`; width and height are in pixels."""

    data: bytes
    media_type: str
    width: int
    height: int
    detail: Detail = "auto"

    def __repr__(self) -> str:
        return f"Image({self.media_type}, {self.width} × {self.height}, {len(self.data):,} bytes)"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, bytes]:  # noqa: ARG002  # IPython's signature
        """Show the picture, exactly as it is sent."""
        return {self.media_type: self.data}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A part that calls a tool; all three are the model's words. `arguments` should be a JSON object."""

    id: str
    name: str
    arguments: str

    @property
    def text(self) -> str:
        """The call as a line of Python would write it, for people and for estimates of its size."""
        return f"{self.name}({self.arguments})"


Part = Text | Image | ToolCall


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, made of parts.

    `answers` is the id of the call whose result a tool message is; `thinking` what the model wrote before its calls,
    which some services want back with them.
    """

    role: Role
    parts: tuple[Part, ...]
    answers: str = ""
    thinking: str = ""

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """Make a message of one text part."""
        return cls(role, (Text(text),))

    @property
    def text(self) -> str:
        """All text of the message."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls that it makes."""
        return tuple(part for part in self.parts if isinstance(part, ToolCall))

    @property
    def images(self) -> tuple[Image, ...]:
        """Its pictures."""
        return tuple(part for part in self.parts if isinstance(part, Image))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more requests, as the service counted them.

    `input` counts every token of the request, `cached` those of them that the service found in its prefix cache,
    `output` every token of the reply, `thinking` those of them spent before the reply (None where not reported).
    `neurons` is Cloudflare's exact charge, in neurons (None where not reported).
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    thinking: int | None = None
    neurons: float | None = None

    def __add__(self, other: Usage) -> Usage:
        """Add up two requests."""
        return Usage(
            self.input + other.input,
            self.cached + other.cached,
            self.output + other.output,
            _sum(self.thinking, other.thinking),
            _sum(self.neurons, other.neurons),
        )


def _sum(one: Number | None, two: Number | None) -> Number | None:
    if one is None:
        return two
    return one if two is None else one + two
