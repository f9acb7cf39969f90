"""The llama engine: real answers by llama.cpp, in this process, reached through its own small HTTP server.

Requests are translated into what that server understands, its frames back into the service's shape. Closing the inner
stream stops the generation, so a client that goes away costs no further work.
"""

import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from .engine import (
    DONE,
    Answer,
    Ask,
    Completion,
    Json,
    ModelCard,
    Refusal,
    Stream,
    frame,
    no_such_model,
    refused,
    text_of,
    too_long,
    upstream_refused,
)

PASSED_ON = ("temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty", "tools", "tool_choice")
DEFAULTS: Json = {"temperature": 0, "repeat_penalty": 1.05, "dry_multiplier": 0.8, "max_tokens": 1024}
"""Greedy, so that a demo says the same thing twice; without the two penalties SmolLM2-135M falls into endless loops."""
PREFILL_BATCH = 128
"""Prompt tokens between two looks at whether the client still waits: as fast as 2,048 on a CPU, and ends in 1 s."""
PROMPT_CACHE_MIB = 512
"""Memory for the prefixes of earlier conversations; llama.cpp's own default is 8 GiB."""


class CannotLoad(Exception):  # says what happened
    """The file is not a model that llama.cpp can load."""


class Llama:
    """One model on this machine."""

    name = "llama"

    def __init__(self, path: Path | None, context: int, parallel: int) -> None:
        if path is None:
            raise CannotLoad("no model file")
        key = secrets.token_urlsafe(24)
        self.model = path.stem
        self.context = context
        self.server = load(path, context, parallel, key)
        self.client = httpx.AsyncClient(
            base_url=self.server.listening_address,
            headers={"authorization": f"Bearer {key}"},
            limits=httpx.Limits(keepalive_expiry=2),  # its server ends an idle connection after five seconds
            timeout=None,  # noqa: S113  # the model takes its time; our client's patience decides
            trust_env=False,
        )

    def catalogue(self) -> list[ModelCard]:
        """List the model, under both of its names."""
        return [
            ModelCard(name, f"{self.model} by llama.cpp", self.context, queue=True) for name in ("local", self.model)
        ]

    def admit(self, model: str) -> None:
        """Know `local` and the file's name."""
        if model not in ("local", self.model):
            raise no_such_model(model)

    async def answer(self, ask: Ask) -> Answer:
        """Send the translated request and translate what comes back."""
        request = self.client.build_request("POST", "/v1/chat/completions", json=translated(ask))
        response = await self.client.send(request, stream=True)
        if response.is_success and ask.stream:
            return Stream(self.frames(response))
        try:
            body = json.loads(await response.aread())
        finally:
            await response.aclose()
        if not response.is_success:
            raise refusal(body.get("error", {}), ask)
        return Completion(self.completion(body))

    def queue_faults(self, _asks: Sequence[Ask]) -> dict[str, Any]:
        """Know none: its questions are people's."""
        return {}

    async def frames(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Translate frame by frame. Frames are split at blank lines only: U+2028 in the text is no line end."""
        buffer = b""
        try:
            async for data in response.aiter_bytes():
                *whole, buffer = (buffer + data).split(b"\n\n")
                if out := b"".join(self.reframed(raw) for raw in whole):
                    yield out
        finally:
            await response.aclose()

    def reframed(self, raw: bytes) -> bytes:
        """Translate one frame; comments vanish."""
        if not raw.startswith(b"data: "):
            return b""
        if raw == DONE.strip():
            return DONE
        chunk = json.loads(raw.removeprefix(b"data: "))
        if "error" in chunk:
            return frame({"error": chunk["error"]})
        for choice in chunk.get("choices", []):
            choice.setdefault("logprobs", None)
            reshape(choice.get("delta", {}))
        return frame(self.renamed(chunk))

    def completion(self, body: Json) -> Json:
        """Translate a whole completion."""
        for choice in body["choices"]:
            choice.setdefault("logprobs", None)
            choice["message"] = {"refusal": None, "tool_calls": [], **reshape(choice["message"])}
        return self.renamed(body)

    def renamed(self, body: Json) -> Json:
        """Put the model's name in place of its path, and leave out what the service does not have."""
        kept = {key: value for key, value in body.items() if key not in ("timings", "system_fingerprint")}
        return {**kept, "model": self.model}


def load(path: Path, context: int, parallel: int, key: str) -> Any:
    """Load the model and start the inner server, on a port of its own and behind a key of its own."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads: 1 token/s, not 14, beside two busy programs
    import xllamacpp  # reads the environment as it loads

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context * parallel  # llama.cpp divides it among the slots
    params.n_parallel = parallel
    params.n_batch = PREFILL_BATCH
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.use_jinja = True
    params.verbosity = 0
    params.api_keys = [key]
    params.endpoint_slots = False
    params.ui = False
    try:
        return xllamacpp.Server(params)
    except Exception as exc:
        raise CannotLoad(f"{str(path)!r} is not a model that llama.cpp can load ({exc})") from exc


def translated(ask: Ask) -> Json:
    """Return the request in the words of llama.cpp; what it does not know is left out."""
    body = ask.body
    out = {**DEFAULTS, **{key: body[key] for key in PASSED_ON if body.get(key) is not None}}
    if ask.max_tokens is not None:
        out["max_tokens"] = ask.max_tokens
    if (wanted := body.get("response_format")) is not None:
        out["response_format"] = wrapped(wanted)
    if ask.stream:
        out |= {"stream": True, "stream_options": {"include_usage": True}}
    return {**out, "messages": [plain(message) for message in ask.messages], "cache_prompt": True}


def plain(message: Mapping[str, Any]) -> Json:
    """Return a message as chat templates know it: text parts joined, thinking and unknown keys left out."""
    content = message.get("content")
    if not has_picture(content):
        content = text_of(message)
    role = "system" if message["role"] == "developer" else message["role"]
    kept = {key: message[key] for key in ("tool_calls", "tool_call_id", "name") if message.get(key)}
    return {"role": role, "content": content, **kept}


def has_picture(content: object) -> bool:
    """Tell whether there is a part that is not text; the model has to see it, or to refuse it."""
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") != "text" for part in parts)


def wrapped(wanted: Any) -> Any:
    """Return the response format with its schema wrapped as OpenAI has it; the service takes a bare one too."""
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return wanted
    schema = wanted.get("json_schema")
    if isinstance(schema, dict) and "schema" not in schema:
        return {**wanted, "json_schema": {"name": "reply", "schema": schema}}
    return wanted


def reshape(message: Json) -> Json:
    """Name thinking in both ways that are in use, and say "" where llama.cpp says null."""
    if "reasoning_content" in message:
        message["reasoning"] = message["reasoning_content"]
    if message.get("content", "") is None:
        message["content"] = ""
    return message


def refusal(error: Mapping[str, Any], ask: Ask) -> Refusal:
    """Translate llama.cpp's error."""
    text = str(error.get("message", "unknown error"))
    if error.get("type") == "exceed_context_size_error":
        return too_long(int(error.get("n_prompt_tokens", 0)), int(error.get("n_ctx", 0)), ask.request_id)
    if error.get("code") == 503:  # noqa: PLR2004  # a status is its own name
        return refused(429, 3040, text, ask.request_id)
    return upstream_refused(text, ask.request_id)
