"""Recordings as text that lies beside a notebook and reviews well: one exchange a line, JSON, keys sorted.

    {"after": 1, "ids": [], "tools": 1, "ask": {parameters}, "messages": [{"role", "content"}, …], "reply": [stretches]}

Texts are lists of lines. What an exchange shares with an earlier one is not repeated: `after` is the line of the
exchange that it goes on from, `ids` are those that the calls in that one's reply were given, and `tools` is the line
whose `ask` declares the same tools. Times are tenths of seconds since the service began to answer; nothing else of the
moment, the machine or the account is in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kimi_magic import wire
from kimi_magic.journal.packing import PAINT, Timed, pack, said_by, unpack

__all__ = ["dumps", "loads", "texts"]

Request = dict[str, Any]
Packed = list[dict[str, Any]]
_End = tuple[list[Request], Sequence[Timed]]
"""The messages of an exchange, and its reply."""
_KEYS = {"ask", "messages", "reply"}
_SHARED = {"after", "ids", "tools"}
_TEXTS = ("text", "thinking")


def dumps(exchanges: Iterable[tuple[Request, Packed]]) -> str:
    """Write exchanges, in order, each a request and its packed reply."""
    lines: list[str] = []
    ends: list[_End] = []
    declared: list[Any] = []
    for request, reply in exchanges:
        timed = unpack(reply)
        messages = request["messages"]
        line: dict[str, Any] = {
            "ask": {name: value for name, value in request.items() if name != "messages"},
            "reply": [_in_lines(stretch, _TEXTS) for stretch in pack(timed, PAINT)],
        }
        tools = line["ask"].get("tools")
        if tools is not None and tools in declared:
            line["tools"] = declared.index(tools) + 1
            del line["ask"]["tools"]
        after, shared = _goes_on_from(ends, messages)
        if after:
            line |= {"after": after} | ({"ids": ids} if (ids := _ids(messages[shared - 1])) else {})
        line["messages"] = [{**message, "content": _split(message["content"])} for message in messages[shared:]]
        lines.append(_spaced(line))
        ends.append((messages, timed))
        declared.append(tools)
    return "".join(f"{line}\n" for line in lines)


def _goes_on_from(ends: Sequence[_End], messages: list[Request]) -> tuple[int, int]:
    """Give the line of the exchange that these messages go on from, and how many they share; zeros for none."""
    shared = []
    for number, (before, reply) in enumerate(ends, 1):
        end = len(before)
        if messages[:end] == before and end < len(messages) and messages[end] == _said(reply, _ids(messages[end])):
            shared.append((end + 1, number))
    length, number = max(shared, default=(0, 0))
    return number, length


def _ids(message: Request) -> list[str]:
    return [call["id"] for call in message.get("tool_calls", ())]


def _said(reply: Sequence[Timed], ids: Sequence[str]) -> Request | None:
    """Give a reply as the message that later requests hold."""
    message = said_by(reply, ids)
    return None if message is None else wire.message_as_sent(message)


def _spaced(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    return text.encode("utf-8", "backslashreplace").decode()


def _split(content: Any) -> Any:
    return content.split("\n") if isinstance(content, str) else [_in_lines(part, ("text",)) for part in content]


def _in_lines(value: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return value | {name: value[name].split("\n") for name in names if name in value}


def texts(request: Request, reply: Packed) -> Iterator[str]:
    """Give every text of an exchange as it was said."""
    for message in request["messages"]:
        content = message["content"]
        yield from [content] if isinstance(content, str) else (part.get("text", "") for part in content)
        yield message.get("reasoning_content", "")
        yield from (call["function"]["arguments"] for call in message.get("tool_calls", ()))
    for stretch in reply:
        yield from (stretch[name] for name in _TEXTS if name in stretch)
        yield stretch.get("call", {}).get("arguments", "")


def loads(text: str) -> list[tuple[Request, Packed]]:
    """Read what `dumps` wrote; raise ValueError, which names the line, for anything else."""
    found: list[tuple[Request, Packed]] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):  # not splitlines: a text may hold U+2028
        try:
            found.append(_read(line, found))
        except (AttributeError, KeyError, TypeError):
            raise ValueError(f"line {number} has a shape that is not known") from None
        except ValueError as exc:
            raise ValueError(f"line {number}: {exc}") from None
    return found


def _read(line: str, before: Sequence[tuple[Request, Packed]]) -> tuple[Request, Packed]:
    try:
        value = json.loads(line)
    except ValueError:
        raise ValueError(f"this is no JSON: {line[:40]!r}") from None
    if not isinstance(value, dict) or not value.keys() >= _KEYS:
        raise ValueError("this is no exchange, which has ask, messages and reply")
    if unknown := value.keys() - _KEYS - _SHARED:
        raise ValueError(f"{', '.join(sorted(unknown))} is not known; a newer version may have written it")
    messages = [_message(message) for message in value["messages"]]
    request = {
        **_asked(value, before),
        "messages": [*_shared(value.get("after", 0), value.get("ids", []), before), *messages],
    }
    if not messages or not isinstance(request.get("model"), str):
        raise ValueError("a request has messages and a model")
    reply = [_joined(stretch, _TEXTS) for stretch in value["reply"]]
    unpack(reply)
    return request, reply


def _asked(value: dict[str, Any], before: Sequence[tuple[Request, Packed]]) -> Request:
    asked, number = value["ask"], value.get("tools", 0)
    if number == 0:
        return dict(asked)
    if not isinstance(number, int) or not 0 < number <= len(before) or "tools" not in before[number - 1][0]:
        raise ValueError(f"line {number!r} declares no tools, or does not stand above it")
    return {**asked, "tools": before[number - 1][0]["tools"]}


def _shared(after: object, ids: list[str], before: Sequence[tuple[Request, Packed]]) -> list[Request]:
    if after == 0:
        return []
    if not isinstance(after, int) or not 0 < after <= len(before):
        raise ValueError(f"it goes on from line {after!r}, which does not stand above it")
    request, reply = before[after - 1]
    said = _said(unpack(reply), ids)
    if said is None or not all(isinstance(id_, str) for id_ in ids):
        raise ValueError(f"the reply of line {after} does not call {len(ids)} tools")
    return [*request["messages"], said]


def _message(message: dict[str, Any]) -> Request:
    content = message["content"]
    if not isinstance(message["role"], str) or not content:
        raise TypeError
    if all(isinstance(piece, str) for piece in content):
        return {**message, "content": "\n".join(content)}
    parts = [_joined(part, ("text",)) for part in content]
    if not all("text" in part or isinstance(part["image_url"]["url"], str) for part in parts):
        raise TypeError
    return {**message, "content": parts}


def _joined(value: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return value | {name: "\n".join(value[name]) for name in names if name in value}
