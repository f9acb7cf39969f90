"""A scripted reply as the bytes of a stream or as one completion: the true service's shapes, and odd ones on demand."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import calls
from .directives import Call, Script
from .engine import DONE, Ask, Json, frame

PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"
NEURONS = (86_364e-6, 14_545e-6, 363_636e-6)
"""Neurons per token of Kimi K2.6: input, cached input, output."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What will be said."""

    thinking: list[str]
    """Tokens."""
    content: list[str]
    """Tokens."""
    calls: tuple[Call, ...]
    finish: str


@dataclass(slots=True)
class Framer:
    """Turns one reply into frames and counts its tokens as they go by."""

    ask: Ask
    script: Script
    reply: Reply
    prompt: int
    """Tokens."""
    cached: int
    """Tokens of the prompt that an earlier request of the same affinity had."""
    created: int = field(default_factory=lambda: int(time.time()))
    sent: int = 0
    """Completion tokens so far."""

    def whole(self) -> Iterator[bytes]:
        """Yield all frames of an unbroken stream."""
        yield self.opening()
        yield from self.tokens()
        yield self.closing()

    def opening(self) -> bytes:
        """Return what comes before the first token."""
        if self.script.frames == "legacy":
            return b""
        return self.chunk({"role": "assistant", "content": ""})

    def tokens(self) -> Iterator[bytes]:
        """Yield one frame per token: thinking, then content, then the fragments of tool calls."""
        for text in self.reply.thinking:
            yield self.token(dict.fromkeys(self.reasoning_keys(), text))
        for text in self.reply.content:
            yield self.token({"content": text})
        if self.script.frames == "legacy":
            if self.reply.calls:
                yield self.token({"tool_calls": calls.old(self.reply.calls)})
            return
        for fragment in calls.fragments(self.reply.calls, self.script.shape):
            yield (self.token if calls.costs(fragment) else self.chunk)({"tool_calls": [fragment]})

    def closing(self) -> bytes:
        """Return what comes after the last token."""
        if self.script.frames == "legacy":
            return frame({"response": "", **self.shown_usage()}) + DONE
        finish = self.chunk({}, self.reply.finish)
        if self.script.usage != "chunks":
            return finish + DONE
        return finish + frame({**self.head(), "choices": [], "usage": self.usage()}) + DONE

    def token(self, delta: Json) -> bytes:
        """Return the frame of one token."""
        self.sent += 1
        if self.script.frames == "legacy":
            made = {"tool_calls": delta["tool_calls"]} if "tool_calls" in delta else {}
            return frame({"response": delta.get("content", ""), **made, "p": self.padding()})
        return self.chunk(delta)

    def chunk(self, delta: Json, finish: str | None = None) -> bytes:
        """Return one frame with one choice."""
        choice: Json = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "token_ids": None}
        if finish and self.script.usage == "in-choice":
            choice["usage"] = self.usage()
        body = {**self.head(), "choices": [choice], **self.running_usage(), "p": self.padding()}
        if self.script.frames == "both":
            body["response"] = delta.get("content", "")
        return frame(body)

    def completion(self) -> Json:
        """Return the whole reply as one object."""
        self.sent = self.total()
        content = "".join(self.reply.content)
        if self.script.frames == "legacy":
            made = {"tool_calls": calls.old(self.reply.calls)} if self.reply.calls else {}
            return {"response": content, **made, **self.shown_usage()}
        whole = "object-arguments" if self.script.shape == "object-arguments" else "one-piece"
        called = [
            calls.shaped(fragment, call, self.script.shape)
            for fragment, call in zip(calls.fragments(self.reply.calls, whole), self.reply.calls, strict=True)
        ]
        thought = "".join(self.reply.thinking) or None
        message: Json = {"role": "assistant", "content": content or None, "refusal": None, "tool_calls": called}
        message.update(dict.fromkeys(self.reasoning_keys(), thought))
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.reply.finish}
        return {**self.head("chat.completion"), "choices": [choice], **self.shown_usage()}

    def head(self, kind: str = "chat.completion.chunk") -> Json:
        """Return what all objects begin with."""
        name = f"chatcmpl-{self.ask.request_id}"
        return {"id": name, "object": kind, "created": self.created, "model": self.ask.model}

    def reasoning_keys(self) -> tuple[str, ...]:
        """Return the keys that carry thinking: both, unless the script wants one."""
        wanted = self.script.frames
        return (wanted,) if wanted.startswith("reasoning") else ("reasoning", "reasoning_content")

    def padding(self) -> str:
        """Return padding whose length changes from frame to frame, always in the same way."""
        return PADDING[: 1 + self.sent * 7 % len(PADDING)]

    def total(self) -> int:
        """Return all tokens of the reply."""
        called = sum(map(calls.costs, calls.fragments(self.reply.calls, self.script.shape)))
        return len(self.reply.thinking) + len(self.reply.content) + called

    def running_usage(self) -> dict[str, Any]:
        """Return the running total that every chunk carries."""
        if self.script.usage != "chunks":
            return {}
        prompt, sent = self.prompt, self.sent
        return {"usage": {"prompt_tokens": prompt, "total_tokens": prompt + sent, "completion_tokens": sent}}

    def shown_usage(self) -> dict[str, Any]:
        """Return the final usage, unless the script wants none."""
        return {} if self.script.usage == "none" else {"usage": self.usage()}

    def usage(self) -> Json:
        """Return the final usage, with what it cost."""
        fresh, cached, out = NEURONS
        neurons = (self.prompt - self.cached) * fresh + self.cached * cached + self.sent * out
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.sent,
            "total_tokens": self.prompt + self.sent,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "neurons": round(neurons, 4),
        }
