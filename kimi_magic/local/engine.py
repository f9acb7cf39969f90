"""What passes between the routes and an engine.

An engine gets an `Ask` and gives back one of four answers: a `Completion`, a `Stream` of finished SSE bytes, a `Page`
(bytes as they are) or `Silence`; or it raises `Refusal`. The routes add the envelope, the headers and the watch on the
connection. Inside a stream, `Cut` ends the connection as a broken network would.
"""

import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]
"""A decoded JSON object."""

DONE = b"data: [DONE]\n\n"
"""The last frame of a stream."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a reply, already checked: `body["messages"]` is a list of objects that have a role."""

    model: str
    """The id as the client wrote it."""
    body: Mapping[str, Any]
    native: bool
    """True on `/ai/run/{model}`, whose JSON answers wear the envelope."""
    affinity: str = ""
    """The value of `x-session-affinity`, empty without the header."""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Goes out as `cf-ai-req-id` and in brackets at the end of an error's message."""

    @property
    def messages(self) -> list[Json]:
        """The conversation as sent."""
        messages: list[Json] = self.body["messages"]
        return messages

    @property
    def stream(self) -> bool:
        """Whether the client asked for server-sent events."""
        return self.body.get("stream") is True

    @property
    def max_tokens(self) -> int | None:
        """The most tokens the reply may have, thinking included; None when the client set no limit."""
        for key in ("max_completion_tokens", "max_tokens"):
            if isinstance(self.body.get(key), int):
                return int(self.body[key])
        return None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole chat.completion, sent as JSON."""

    body: Json
    fault: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """Server-sent events; each item is the bytes of one or more whole frames, written to the socket at once."""

    frames: AsyncIterator[bytes]
    fault: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that is sent exactly as it is."""

    status: int
    media_type: str
    content: bytes
    fault: bool = True


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer at all: the request was taken, and not a byte comes back."""

    fault: bool = True


Answer = Completion | Stream | Page | Silence


class Refusal(Exception):  # a word of this package: what is refused is not always an error of ours
    """An answer in Cloudflare's error envelope."""

    def __init__(
        self, status: int, code: int, message: str, *, headers: Mapping[str, str] | None = None, fault: bool = False
    ) -> None:
        super().__init__(f"{status}/{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.fault = fault


class Cut(Exception):  # an event, not an error of ours
    """Raised inside a stream: the connection ends here, in the middle of the body."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One line of the model catalogue."""

    name: str
    description: str
    context: int
    """Tokens, prompt and reply together."""
    reasoning: bool = False
    queue: bool = False
    """Whether it takes batches."""


class Engine(Protocol):
    """Answers questions. Made (and its model loaded) before the server takes its first request."""

    name: str
    model: str
    """What the ready line calls the model."""
    context: int
    """Tokens, prompt and reply together, of one request."""

    def catalogue(self) -> list[ModelCard]:
        """List the models that can be asked for by name."""

    def admit(self, model: str) -> None:
        """Raise `Refusal` when there is no such model."""

    async def answer(self, ask: Ask) -> Answer:
        """Answer one admitted request; cancelled when its client goes away."""

    def queue_faults(self, asks: Sequence[Ask]) -> dict[str, Any]:
        """Say which faults of `queue_faults` strike this batch."""


def no_such_model(model: str) -> Refusal:
    """Make the refusal of a model that nobody knows."""
    return Refusal(400, 5007, f"No such model {model} or task")


def refused(status: int, code: int, text: str, request_id: str, **more: Any) -> Refusal:
    """Make a refusal that came from the model's side, worded as wire facts have it: prefix, text, request id."""
    return Refusal(status, code, f"AiError: AiError: {text} ({request_id})", **more)


def too_long(tokens: int, context: int, request_id: str, *, fault: bool = False) -> Refusal:
    """Make the refusal of a conversation that does not fit the model."""
    text = (
        f"AiError: Ai: The estimated number of input and maximum output tokens ({tokens}) exceeded "
        f"this model context window limit ({context}). ({request_id})"
    )
    return Refusal(413, 5021, text, fault=fault)


def upstream_refused(text: str, request_id: str, *, fault: bool = False) -> Refusal:
    """Make the refusal that passes on an inner server's 400: its whole JSON body is the message's text."""
    inner = {"object": "error", "message": text, "type": "BadRequestError", "param": None, "code": 400}
    return refused(400, 8007, json.dumps(inner), request_id, fault=fault)


def frame(chunk: Mapping[str, Any]) -> bytes:
    """One SSE frame. Text stays as it is (U+2028 and emoji unescaped), as the service sends it."""
    return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def bad_input(text: str) -> Refusal:
    """Make the refusal of a body that is JSON, and of the wrong shape."""
    return Refusal(400, 5006, f"AiError: Bad input: Error: {text}")


def check_messages(body: Mapping[str, Any]) -> None:
    """Refuse a body without messages as an `Ask` needs them."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise bad_input("oneOf at '/' not met, 0 matches: required properties at '/' are 'messages'")
    if not all(isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages):
        raise bad_input("required properties at '/messages' are 'role,content'")


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message, whose content is a string, a list of parts, or null."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and "text" in part)
