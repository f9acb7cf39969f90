"""What a request of a dialogue with tools holds, and what has to hold for it."""

from __future__ import annotations

import json
import re
from typing import Any

Request = dict[str, Any]


def messages_of(request: Request) -> list[dict[str, Any]]:
    """The messages of a recorded request."""
    found: list[dict[str, Any]] = json.loads(request["body"])["messages"]
    return found


def raw_messages_of(request: Request) -> str:
    """The same as they were sent, letter for letter."""
    body: str = request["body"]
    start = body.index('"messages":') + len('"messages":')
    return body[start : start + json.JSONDecoder().raw_decode(body[start:])[1]]


def requires_answers(messages: list[dict[str, Any]], calls: int) -> None:
    """Every call has an id of its own, and one answer, in order, before anything else is said; so many `calls`."""
    seen: list[str] = []
    waiting: list[str] = []
    for message in messages:
        assert isinstance(message["content"], str | list)
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert waiting == []
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        seen += waiting
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call["function"]["name"])
    assert waiting == []
    assert len(set(seen)) == len(seen) == calls
