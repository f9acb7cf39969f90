"""What a round of tool calls costs beyond the tool and the model, and how many typed replies of a real model are valid.

The round: in one kernel, turn about, 21 times, the same dialogue of eight rounds, each one call of a function that does
nothing, with the scripted server, which answers at once. By hand: a bare synchronous `httpx` stream, `json`, the
function called, the messages put together and sent again. Ours: `kimi_magic.ask` with the tool, quiet (first row, the
one with the limit), and with a card for each call painted in the cell (second row); in both the arguments are checked,
and the egress ledger and the journal written. Of each the same question without a call is taken away; what is left,
divided by eight, is a round. Medians, after one turn that does not count.

The typed replies: fifty questions to the real local model, whose server holds it to the schema; one that has to be
mended counts as not valid.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import httpx

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, call, kernel, server

LIMIT = 2.0
TURNS = 21
ROUNDS = 8
REPLIES = 50
SCRIPT = "<<then>>".join(['<<tool nothing {"n": 1}>>'] * ROUNDS)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def measure() -> Iterator[Figure]:
    """Give the two figures."""
    with server() as place, kernel(place) as running:
        times: list[tuple[float, float, float]] = call(running, turns, TURNS)
    quiet, painted, hand = ([seconds * 1e3 for seconds in taken] for taken in zip(*times, strict=True))
    yield _figure("A round of tool calls", quiet, hand, LIMIT)
    yield _figure("A round of tool calls, its card painted", painted, hand, None)
    with server("llama") as place, kernel(place) as running:
        valid: list[str] = call(running, typed, REPLIES, timeout=600)
    good = sum(one == "" for one in valid)
    yield Figure(
        "Typed replies of the real local model that are valid at once",
        f"{good} of {REPLIES}",
        limit=f"{REPLIES}",
        ok=good == REPLIES,
    )


def _figure(name: str, ours: list[float], hand: list[float], limit: float | None) -> Figure:
    over = median(ours) - median(hand)
    return Figure(
        name,
        f"{median(ours):.1f} ms ({over:+.1f} ms)",
        f"{median(hand):.1f} ms by hand with httpx and json",
        median(ours) / median(hand),
        f"{limit:+.0f} ms" if limit else "",
        over <= limit if limit else None,
    )


def turns(count: int) -> list[tuple[float, float, float]]:
    """Run in the kernel: seconds of a round, quiet, painted and by hand, turn by turn."""
    headers = {"authorization": f"Bearer {os.environ['KIMI_LOCAL_TOKEN']}"}
    with httpx.Client(headers=headers) as client:
        ways = (
            lambda text: _ours(text, quiet=True),
            lambda text: _ours(text, quiet=False),
            lambda text: _by_hand(client, text),
        )
        taken = [tuple((way(SCRIPT) - way("<<say hi>>")) / ROUNDS for way in ways) for _ in range(count + 1)]
    return taken[1:]  # type: ignore[return-value]  # three ways


def nothing(n: int) -> int:
    """Do nothing."""
    return n


def _ours(question: str, *, quiet: bool) -> float:
    import kimi_magic

    start = time.perf_counter()
    reply = kimi_magic.ask(question, tools=[nothing], model=MODEL, history=False, rerun="always", quiet=quiet)
    taken = time.perf_counter() - start
    assert len(reply.calls) == (ROUNDS if question == SCRIPT else 0)
    return taken


def _by_hand(client: httpx.Client, question: str) -> float:
    start = time.perf_counter()
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    while calls := _asked(client, messages):
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        for one in calls:
            result = nothing(**json.loads(one["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": one["id"], "content": str(result)})
    return time.perf_counter() - start


def _asked(client: httpx.Client, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send messages; give the calls of the reply, put together from their fragments."""
    function = {"name": "nothing", "description": "Do nothing.", "parameters": SCHEMA}
    tools = [{"type": "function", "function": function}]
    body = {"messages": messages, "tools": tools, "stream": True, "max_completion_tokens": 100}
    url = f"{os.environ['KIMI_LOCAL_URL']}/accounts/local/ai/run/@cf/moonshotai/{MODEL}"
    calls: dict[int, dict[str, Any]] = {}
    with client.stream("POST", url, json=body) as response:
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                for piece in choice["delta"].get("tool_calls", ()):
                    given = piece["function"]
                    one = calls.setdefault(piece["index"], {"type": "function", "function": {"arguments": ""}})
                    one["id"] = piece.get("id") or one.get("id")
                    one["function"]["name"] = given.get("name") or one["function"].get("name")
                    one["function"]["arguments"] += given["arguments"]
    return list(calls.values())


def typed(count: int) -> list[str]:
    """Run in the kernel: ask for a type, again and again; give what was wrong with each reply, empty for nothing."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, Field

    import kimi_magic

    class Visit(BaseModel):
        city: Literal["Bern", "Oslo", "Quito"]
        nights: int = Field(ge=1, le=30)
        note: str = Field(max_length=30)

    # Bounded, all of them: a model this small may not find the end of a list by itself.
    types = (
        "name Ada|Bob|Eve, age int",
        "mood good|bad, certain bool, score float",
        Visit,
        Annotated[list[Visit], Field(min_length=1, max_length=3)],
        Annotated[list[int], Field(max_length=5)],
    )
    found = []
    for number in range(count):
        out = types[number % len(types)]
        try:
            reply = kimi_magic.ask(
                f"Example {number}, please.", out=out, history=False, quiet=True, temperature=0.8, max_tokens=300
            )
        except kimi_magic.InvalidReply as error:
            found.append(error.message)
        else:
            found.append("mended" if reply.rounds else "")
    return found
