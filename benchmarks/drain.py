"""How long it takes to take in 20,000 deltas, as fast as they come, through session, wire and transport.

In one kernel, turn about, nine times: ours iterates `kernel.ask(...)` to its end, without a view; bare is a synchronous
`httpx` stream, `httpx_sse` and `json.loads` of each frame, of the same server. Both get the same frames and no
more is done with them. The server may be slower than either, so two rows: CPU time of the client's process (all its
threads), which the server has no part in, and the wall clock. Medians; ratios are the medians of the ratios pair by
pair.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from statistics import median

import httpx
import httpx_sse

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, call, kernel, server

LIMIT = 2.0
TURNS = 9
DELTAS = 20_000
QUESTION = f"<<tokens {DELTAS}>>"


def measure() -> list[Figure]:
    """Give the two figures."""
    with server() as place, kernel(place) as running:
        pairs: list[tuple[tuple[float, float], tuple[float, float]]] = call(running, turns, TURNS)
    cpu = [(ours[0], bare[0]) for ours, bare in pairs]
    wall = [(ours[1], bare[1]) for ours, bare in pairs]
    return [_figure("CPU", cpu), _figure("wall", wall)]


def _figure(clock: str, pairs: list[tuple[float, float]]) -> Figure:
    ours, bare = (median(times) for times in zip(*pairs, strict=True))
    ratio = median(our / their for our, their in pairs)
    return Figure(
        f"Draining {DELTAS:,} deltas, {clock}",
        f"{ours:.2f} s",
        f"{bare:.2f} s httpx + httpx-sse + json",
        ratio,
        f"ratio {LIMIT:.0f}",
        ratio <= LIMIT,
    )


def turns(count: int) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Run in the kernel: (CPU, wall) in seconds of ours and of bare, turn by turn after one that does not count."""
    return [(_timed(ours), _timed(bare)) for _ in range(count + 1)][1:]


def _timed(drain: Callable[[], int]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = drain()
    taken = time.process_time() - cpu, time.perf_counter() - wall
    assert found == DELTAS, found
    return taken


def ours() -> int:
    """Take in a reply; give the number of its deltas."""
    from kimi_magic import kernel as ours
    from kimi_magic.events import TextDelta

    values = ours.resolve({"model": MODEL, "max_tokens": DELTAS + 100})
    with ours.ask(QUESTION, values, history=False) as asking:
        return sum(isinstance(event, TextDelta) for event in asking)


def bare() -> int:
    """Do the same with nothing but the libraries."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True, "max_completion_tokens": DELTAS + 100}
    url = f"{os.environ['KIMI_LOCAL_URL']}/accounts/local/ai/run/@cf/moonshotai/{MODEL}"
    headers = {"authorization": f"Bearer {os.environ['KIMI_LOCAL_TOKEN']}"}
    found = 0
    with _client().stream("POST", url, json=body, headers=headers) as response:
        for frame in httpx_sse.EventSource(response).iter_sse():
            if frame.data != "[DONE]":
                choices = json.loads(frame.data)["choices"]
                found += bool(choices and choices[0]["delta"].get("content"))
    return found


_clients: list[httpx.Client] = []


def _client() -> httpx.Client:
    """Give the one client, whose making is no part of the drain."""
    if not _clients:
        _clients.append(httpx.Client())
    return _clients[0]
