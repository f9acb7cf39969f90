"""The only place that knows the shapes of the API. Values in, bytes out; frames in, events out; no I/O.

Requests have one canonical spelling, so that equal requests are equal bytes: a prefix cache and a journal need that.
Replies are read tolerantly exactly where the service is known to vary: bare or in Cloudflare's envelope, thinking in
`reasoning` or `reasoning_content` (the same text in both), `usage` as a running total on any frame or inside the
choice, frames of the older models, whole JSON where a stream was asked for, errors in any of five shapes.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kimi_magic.events import Event, Finish, Finished, Metered, TextDelta, ThinkingDelta
from kimi_magic.fragments import Fragments
from kimi_magic.leaks import Leaks, Opened, Piece
from kimi_magic.messages import Image, Message, Text, Usage

__all__ = [
    "NO_JSON",
    "Decoder",
    "Dialect",
    "Failed",
    "Failure",
    "Form",
    "Function",
    "Request",
    "canonical",
    "decode_body",
    "decode_failure",
    "decode_object",
    "decode_whole",
    "encode",
    "encode_message",
    "failure_in",
    "message_as_sent",
    "settings_as_sent",
]

NO_JSON = "The server answered without JSON"
"""How the message of a Failure begins where it was perhaps not the service at all that answered."""

Dialect = Literal["run", "chat", "openai"]
"""run: Workers AI `/ai/run/{model}`; chat: Workers AI `/ai/v1/chat/completions`; openai: any compatible URL."""


@dataclass(frozen=True, slots=True)
class Function:
    """A tool as a request declares it; `schema` is the canonical JSON of its arguments' schema."""

    name: str
    description: str
    schema: str


@dataclass(frozen=True, slots=True)
class Form:
    """What a reply has to be: JSON by this schema (canonical JSON), or any JSON object where `schema` is empty."""

    name: str = ""
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what is asked of which model. None means: not sent, the model's own default holds.

    `tools` are sorted by name; with `final` the model is asked to call none of them. `wanted` is the limit that a
    budget has made smaller to `max_tokens`, 0 where none has.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    effort: str | None = None
    tools: tuple[Function, ...] = ()
    final: bool = False
    form: Form | None = None
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """What a server said when it refused or failed. `code` is Workers AI's or the gateway's number, where given."""

    message: str
    code: int | None = None
    status: int | None = None
    request_id: str = ""


class Failed(Exception):  # it is the failure itself; the user meets one of errors.py
    """A failure found inside a reply."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def encode(request: Request, dialect: Dialect, *, stream: bool = True) -> bytes:
    """Give the canonical bytes of a request: keys sorted, no spaces, UTF-8.

    Without `stream` the reply is to come whole. Raises UnicodeEncodeError for text that holds half a surrogate pair: it
    has no UTF-8.
    """
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    messages = [message_as_sent(message, thinks=dialect != "openai") for message in request.messages]
    return canonical({"messages": messages, **streaming, **settings_as_sent(request, dialect)})


def settings_as_sent(request: Request, dialect: Dialect) -> dict[str, Any]:
    """Give all fields of a request but its messages, and but those that ask for a stream."""
    # Workers AI calls max_tokens deprecated; most servers behind other URLs know only that.
    body: dict[str, Any] = {("max_tokens" if dialect == "openai" else "max_completion_tokens"): request.max_tokens}
    if dialect != "run":
        body["model"] = request.model
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.effort is not None:
        body |= _effort(request.effort)
    if request.tools:
        body["tools"] = [_function(function) for function in request.tools]
    if request.final:
        body["tool_choice"] = "none"
    if request.form is not None:
        body["response_format"] = _form(request.form)
    return body


def encode_message(message: Message) -> bytes:
    """Give the canonical bytes of one message, as they stand in a request."""
    return canonical(message_as_sent(message))


def canonical(value: dict[str, Any]) -> bytes:
    """Write JSON in the one form that equal values have."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def _function(function: Function) -> dict[str, Any]:
    declared = {"name": function.name, "description": function.description, "parameters": json.loads(function.schema)}
    return {"type": "function", "function": declared}


def _form(form: Form) -> dict[str, Any]:
    """Wrapped, as Kimi's own schema documents it (wire.md §6.2)."""
    if not form.schema:
        return {"type": "json_object"}
    schema = {"name": form.name, "schema": json.loads(form.schema), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def message_as_sent(message: Message, *, thinks: bool = True) -> dict[str, Any]:
    """Content beside calls is "" and never null, which the service refuses; thinking goes back with calls alone."""
    shape: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.answers:
        shape["tool_call_id"] = message.answers
    if message.calls:
        shape["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
    if message.thinking and thinks:
        shape["reasoning_content"] = message.thinking
    return shape


def _content(message: Message) -> str | list[dict[str, Any]]:
    """Plain text where there is nothing else: every server knows that."""
    if not message.images:
        return message.text
    return [_part(part) for part in message.parts if isinstance(part, Text | Image)]


def _part(part: Text | Image) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    url = f"data:{part.media_type};base64,{base64.b64encode(part.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url, "detail": part.detail}}


def _effort(effort: str) -> dict[str, Any]:
    """Say it both ways: sources disagree whether the toggle is `thinking` or `enable_thinking` (K2.5 and K2.6)."""
    if effort == "off":
        return {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
    return {"chat_template_kwargs": {"enable_thinking": True, "thinking": True}, "reasoning_effort": effort}


_REASONS: Mapping[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class Decoder:
    """Frames of one stream → events. `feed` each frame's data; `end` when the stream has ended.

    Where the request declared `tools`, calls are looked for in the text, too: Kimi's control tokens leak into it.
    """

    def __init__(self, *, tools: bool = False) -> None:
        self._usage: dict[str, Any] = {}
        self._reason: str | None = None
        self._model = ""
        self._legacy = False
        self._done = False
        self._leaks: dict[type[TextDelta | ThinkingDelta], Leaks] = (
            {TextDelta: Leaks(), ThinkingDelta: Leaks()} if tools else {}
        )
        self._fragments = Fragments()

    def feed(self, data: str, event: str = "") -> list[Event]:
        """Decode one frame; raise Failed for an error frame and for one that is not JSON."""
        if data == "[DONE]":
            self._done = True
            return self._rest()
        try:
            frame = _loads(data)
        except ValueError:
            raise Failed(Failure(f"A frame of the reply is not JSON: {data[:80]!r}")) from None
        if not isinstance(frame, dict):
            raise Failed(Failure(f"A frame of the reply is no object: {data[:80]!r}"))
        return self.take(frame, event)

    def take(self, frame: dict[str, Any], event: str = "") -> list[Event]:
        """Decode one frame that is an object already; raise Failed as `feed` does."""
        if event == "error" or frame.get("error") or frame.get("errors") or frame.get("success") is False:
            raise Failed(failure_in(frame))
        try:
            return self._read(_unwrap(frame))
        except (AttributeError, KeyError, TypeError):
            raise Failed(Failure(f"A frame of the reply has an unknown shape: {str(frame)[:80]}")) from None

    def _read(self, frame: dict[str, Any]) -> list[Event]:
        self._note(frame.get("usage"))
        if model := frame.get("model"):
            self._model = str(model)
        choices = frame.get("choices")
        if not choices:
            return self._read_legacy(frame)
        choice = choices[0]
        self._note(choice.get("usage"))
        self._reason = choice.get("finish_reason") or self._reason
        events = self._delta(choice.get("delta") or choice.get("message") or {})
        return [*events, *self._rest()] if self._reason else events

    def _read_legacy(self, frame: dict[str, Any]) -> list[Event]:
        """Frames of the older models: `{"response": "text"}`, ended by `[DONE]` alone."""
        if frame.get("response") is None and not frame.get("tool_calls"):
            return []
        self._legacy = True
        return self._delta(_from_legacy(frame))

    def _delta(self, delta: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        if thinking := delta.get("reasoning_content") or delta.get("reasoning"):
            events += self._written(ThinkingDelta, _text(thinking))
        if content := delta.get("content"):
            if not self._leaks and isinstance(content, str):  # nearly every frame of a long reply
                events.append(TextDelta(content))
            else:
                events += self._written(TextDelta, _text(content))
        for call in delta.get("tool_calls") or ():
            events += self._fragments.take(call)
        return events

    def _written(self, kind: type[TextDelta | ThinkingDelta], text: str) -> list[Event]:
        return self._sorted(kind, self._leaks[kind].take(text)) if self._leaks else [kind(text)]

    def _rest(self) -> list[Event]:
        """What was held back because it might have become a call."""
        return [event for kind, leaks in self._leaks.items() for event in self._sorted(kind, leaks.rest())]

    def _sorted(self, kind: type[TextDelta | ThinkingDelta], found: list[Piece | Opened]) -> list[Event]:
        events: list[Event] = []
        for one in found:
            if isinstance(one, Opened):
                events.append(self._fragments.opened(kind, one.id, one.name))
            elif one.call:
                events.append(self._fragments.more(kind, one.text))
            else:
                events.append(kind(one.text))
        return events

    def _note(self, usage: object) -> None:
        """Keep the last value of each count: every frame carries a running total, never to be summed."""
        if not isinstance(usage, dict):
            return
        if usage.keys() == self._usage.keys() and None not in usage.values():  # nearly every frame of a long reply
            self._usage = usage
        else:
            self._usage = self._usage | {key: value for key, value in usage.items() if value is not None}

    @property
    def meter(self) -> Metered:
        """The count so far, and who is counting."""
        return Metered(_usage_of(self._usage), self._model)

    def end(self) -> Finished:
        """Give the last event; raise Failed where the reply ended without a reason, which means that it was cut."""
        reason = self._reason or ("stop" if self._legacy and self._done else None)
        if reason is None:
            raise Failed(Failure("The reply ended in the middle: the service gave no reason to stop."))
        if reason == "error":
            raise Failed(Failure("The service ended the reply with an error."))
        return Finished(_REASONS.get(str(reason), "stop"), _usage_of(self._usage), self._model)


def decode_body(body: bytes, *, tools: bool = False) -> list[Event]:
    """Decode a whole reply given as JSON; raise Failed for an error body. `tools` as for a Decoder."""
    return decode_whole(decode_object(body), tools=tools)


def decode_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object; raise Failed for what is none."""
    frame = _object(body)
    if frame is None:
        raise Failed(Failure(_no_json(body)))
    return frame


def decode_whole(frame: dict[str, Any], *, tools: bool = False) -> list[Event]:
    """Decode a whole reply, in an envelope or bare; raise Failed for an error."""
    decoder = Decoder(tools=tools)
    inner = _unwrap(frame)
    legacy = inner.get("response") is not None or inner.get("tool_calls")
    if "choices" not in inner and legacy and frame.get("success") is not False:
        frame = {**inner, "choices": [{"message": _from_legacy(inner), "finish_reason": "stop"}]}
    events = decoder.take(frame)
    return [*events, decoder.end()]


def decode_failure(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Read what a server refused with: Cloudflare's envelope, the gateway's, OpenAI's, or no JSON at all."""
    request_id = headers.get("cf-ai-req-id") or headers.get("cf-ray") or headers.get("x-request-id") or ""
    frame = _object(body)
    if frame is None:
        return Failure(_no_json(body), None, status, request_id)
    found = failure_in(frame)
    return Failure(found.message, found.code, status, request_id or found.request_id)


def _no_json(body: bytes) -> str:
    return f"{NO_JSON}: {_words(body)}"


def _words(body: bytes) -> str:
    """The first words of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", body.decode("utf-8", "replace")).split())[:120] or "nothing"


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        frame = _loads(body.decode("utf-8-sig"))
    except ValueError:
        return None
    return frame if isinstance(frame, dict) else None


_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def _loads(text: str) -> Any:
    """Decode JSON; half a surrogate pair becomes U+FFFD: it has no UTF-8, and nothing could be sent after it."""
    value = json.loads(text)
    if _HALF.search(text) is None:
        return value
    return json.loads(
        json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _unwrap(frame: dict[str, Any]) -> dict[str, Any]:
    inner = frame.get("result")
    return inner if "choices" not in frame and isinstance(inner, dict) else frame


def _from_legacy(frame: dict[str, Any]) -> dict[str, Any]:
    """Give what an older model wrote as a message; JSON mode makes an object of its response."""
    said = frame.get("response")
    text = said if said is None or isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return {"content": text, "tool_calls": frame.get("tool_calls")}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content)


def _usage_of(usage: dict[str, Any]) -> Usage:
    prompt = _inner(usage, "prompt_tokens_details")
    completion = _inner(usage, "completion_tokens_details")
    neurons = usage.get("neurons")
    return Usage(
        input=_count(usage, "prompt_tokens") or 0,
        # Proxied models also give the count at the top level.
        cached=_count(prompt, "cached_tokens") or _count(usage, "cached_tokens") or 0,
        output=_count(usage, "completion_tokens") or 0,
        thinking=_count(completion, "reasoning_tokens"),
        neurons=float(neurons) if isinstance(neurons, int | float) else None,
    )


def _inner(usage: dict[str, Any], name: str) -> dict[str, Any]:
    found = usage.get(name)
    return found if isinstance(found, dict) else {}


def _count(usage: dict[str, Any], name: str) -> int | None:
    found = usage.get(name)
    return int(found) if isinstance(found, int | float) and math.isfinite(found) else None


_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8}"
_MESSAGE = re.compile(
    rf"^(?:(?:AiError|Ai): )*(?:(?P<code>\d{{4}}): )?(?P<text>.*?)(?: \((?P<id>{_UUID})\))?$", re.DOTALL
)


def failure_in(frame: dict[str, Any]) -> Failure:
    """Read what an object says of a failure, in any of the shapes that are in use."""
    found = frame.get("errors") or frame.get("error") or frame
    if isinstance(found, list):
        found = found[0] if found else {}
    if not isinstance(found, dict):
        found = {"message": found}
    match = _MESSAGE.match(str(found.get("message") or ""))
    text, id_ = (match["text"], match["id"] or "") if match else ("", "")
    code = found.get("code")
    if not isinstance(code, int):
        code = int(code) if isinstance(code, str) and code.isdecimal() else None
    if code is None and match and match["code"]:
        code = int(match["code"])
    return Failure(_upstream(text) or "The service gave no reason.", code, None, id_)


def _upstream(text: str) -> str:
    """Take the words out of an error of the model server that came as JSON inside the message."""
    if not text.startswith("{"):
        return text
    inner = _object(text.encode())
    return str(inner.get("message") or text) if inner else text
