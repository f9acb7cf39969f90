"""The calls of a reply in every shape that clients have met: fragments, old frames, leaked control tokens."""

import json
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Any

from .directives import Call
from .engine import Json
from .prose import cut_tokens


def fragments(calls: tuple[Call, ...], shape: str) -> Iterator[Json]:
    """Yield the fragments of all calls, in the order of the stream."""
    streams = [[shaped(piece, call, shape) for piece in pieces(n, call, shape)] for n, call in enumerate(calls)]
    if shape == "interleaved":
        yield from (piece for row in zip_longest(*streams) for piece in row if piece is not None)
    else:
        yield from chain.from_iterable(streams)
    if shape == "null-finaliser" and calls:
        yield from map(finaliser, range(len(calls) + 1))


def pieces(index: int, call: Call, shape: str) -> Iterator[Json]:
    """Yield the fragments of one call as Kimi writes them: name and id, the arguments bit by bit, an empty one."""
    if shape in ("one-piece", "object-arguments"):
        yield called(index, call, decoded(call.arguments) if shape == "object-arguments" else call.arguments)
        return
    yield called(index, call, "")
    for text in list(call.arguments) if shape == "every-character" else cut_tokens(call.arguments):
        yield {"index": index, "function": {"arguments": text}}
    yield finaliser(index)


def shaped(piece: Json, call: Call, shape: str) -> Json:
    """Return a fragment as this shape has it."""
    left_out = {"no-index": "index", "no-ids": "id"}.get(shape, "")
    piece = {key: value for key, value in piece.items() if key != left_out}
    if shape == "same-index":
        piece["index"] = 0
    if shape == "name-repeated":
        piece["function"] = {**piece["function"], "name": call.name}
    return piece


def called(index: int, call: Call, arguments: Any) -> Json:
    """Return a tool call with an id in Kimi's manner: it is the same again in the next reply."""
    function = {"name": call.name, "arguments": arguments}
    return {"index": index, "id": name_of(index, call), "type": "function", "function": function}


def name_of(index: int, call: Call) -> str:
    """Return the id of a call."""
    return f"functions.{call.name}:{index}"


def finaliser(index: int) -> Json:
    """Return the fragment that ends a call and says nothing."""
    return {"id": None, "type": None, "index": index, "function": {"name": None, "arguments": ""}}


def costs(fragment: Json) -> bool:
    """Tell whether a fragment is a token of the reply."""
    return fragment.get("type", "function") is not None


def decoded(arguments: str) -> Any:
    """Return the arguments as an object, or as they are where they are no JSON, or where it could not be sent."""
    try:
        made = json.loads(arguments)
        json.dumps(made, ensure_ascii=False).encode()  # half a surrogate pair has no UTF-8
    except ValueError:
        return arguments
    return made


def old(calls: tuple[Call, ...]) -> list[Json]:
    """Return the calls as older models have them: an object for the arguments, and no id."""
    return [{"name": call.name, "arguments": decoded(call.arguments)} for call in calls]


def leaked(calls: tuple[Call, ...]) -> str:
    """Return the text of calls that the service did not take out of the reply."""
    inner = "".join(
        f"<|tool_call_begin|>{name_of(n, call)}<|tool_call_argument_begin|>{call.arguments}<|tool_call_end|>"
        for n, call in enumerate(calls)
    )
    return f"<|tool_calls_section_begin|>{inner}<|tool_calls_section_end|>" if calls else ""
