"""How much later than the first byte the first words are on their way to the front end, on warm connections.

In one kernel, turn about, the same request goes to the same server 60 times by a bare synchronous `httpx` stream and
60 times by `kimi_magic.ask`, the server sending 200 tokens a second. Bare: from before the request is made until the
first bytes of the body are in hand. Ours: from before `ask` is called, through session, wire, I/O thread, Markdown and
a real `CellView`, until

- the first display with text is handed to the kernel's socket: a hook of the kernel's display publisher notes the
  time just before it is sent (first row, the one with the limit);
- that display has been received and decoded by a client of the kernel, in another process (second row).

One monotonic clock serves all processes of a machine. Given are medians, and the median of the differences pair by
pair. Three turns before the first that counts warm up connections, imports and caches.
"""

from __future__ import annotations

import json
import os
import time
from statistics import median
from typing import Any

import httpx

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, call, kernel, server
from tests.harness.kernel import Cell

LIMIT = 5.0
TURNS = 60
WARM_UP = 3
QUESTION = "<<tokens 8>> <<rate 200>>"


def measure() -> list[Figure]:
    """Give the two figures."""
    with server() as place, kernel(place) as running:
        call(running, turns, WARM_UP)
        cell = running.run(f"print({turns.__name__}({TURNS}))", timeout=120)
    if not cell.ok:
        raise RuntimeError(cell.text)
    times: list[tuple[float, float, float]] = json.loads(cell.text.strip().splitlines()[-1])
    bare = [byte for byte, _, _ in times]
    handed = [paint for _, _, paint in times]
    received = [at - start for (_, start, _), at in zip(times, _first_displays(cell), strict=True)]
    return [
        _figure("First paint, handed to the kernel's socket", handed, bare, LIMIT),
        _figure("First paint, received by a client", received, bare, None),
    ]


def _figure(name: str, ours: list[float], bare: list[float], limit: float | None) -> Figure:
    later = median(our - byte for our, byte in zip(ours, bare, strict=True)) * 1e3
    return Figure(
        name,
        f"{median(ours) * 1e3:.1f} ms ({later:+.1f} ms)",
        f"{median(bare) * 1e3:.1f} ms first byte of a bare httpx stream",
        median(ours) / median(bare),
        f"{limit:+.0f} ms" if limit else "",
        later <= limit if limit else None,
    )


def _first_displays(cell: Cell) -> list[float]:
    """Give when the first display of each reply was received; later ones are updates of it."""
    pairs = zip(cell.messages, cell.times, strict=True)
    return [at for message, at in pairs if message["msg_type"] == "display_data"]


def turns(count: int) -> str:
    """Run in the kernel: give [first byte, start of ours, first paint] of each turn as JSON, in seconds.

    The first and the last are durations, the second is a time of the clock.
    """
    headers = {"authorization": f"Bearer {os.environ['KIMI_LOCAL_TOKEN']}"}
    with httpx.Client(headers=headers) as client:
        first_byte(client)  # opens its connection
        return json.dumps([(first_byte(client), *first_paint()) for _ in range(count)])


def first_byte(client: httpx.Client) -> float:
    """Seconds from asking to the first bytes of the body."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True, "max_completion_tokens": 100}
    start = time.perf_counter()
    url = f"{os.environ['KIMI_LOCAL_URL']}/accounts/local/ai/run/@cf/moonshotai/{MODEL}"
    with client.stream("POST", url, json=body) as response:
        pieces = response.iter_raw()
        next(pieces)
        taken = time.perf_counter() - start
        for _ in pieces:  # to its end, so that the connection can be used again
            pass
    return taken


def first_paint() -> tuple[float, float]:
    """Give the time at which our question was asked, and the seconds from then to the first display with text."""
    import kimi_magic

    shell = _shell()
    seen: list[float] = []

    def note(message: dict[str, Any]) -> dict[str, Any]:
        if not seen and message["content"]["data"].get("text/plain"):
            seen.append(time.perf_counter())
        return message

    shell.display_pub.register_hook(note)
    try:
        start = time.perf_counter()
        kimi_magic.ask(QUESTION, model=MODEL, max_tokens=100, history=False)
    finally:
        shell.display_pub.unregister_hook(note)
    return start, seen[0] - start


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()
