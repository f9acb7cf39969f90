"""How long a reply of 2,000 tokens takes when it is replayed from the journal, beside the same reply from the server.

In one kernel, turn about, 21 times: the question is asked outside of any conversation, once to be replayed and once to
be sent, and its events are taken to their end, without a view. Replayed: from `kernel.ask` through settings, the
request's hash, the store on disk and the I/O thread. Sent: the same through the socket to the scripted server, which
sends as fast as it can, and the recording of it. Medians, after one turn that does not count. A real model needs
seconds for such a reply, whatever carries it.
"""

from __future__ import annotations

import time
from statistics import median

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, call, kernel, server

LIMIT = 20.0
TURNS = 21
TOKENS = 2_000
QUESTION = f"<<tokens {TOKENS}>>"


def measure() -> list[Figure]:
    """Give the figure."""
    with server() as place, kernel(place) as running:
        pairs: list[tuple[float, float]] = call(running, turns, TURNS)
    replayed, sent = ([seconds * 1e3 for seconds in taken] for taken in zip(*pairs, strict=True))
    return [
        Figure(
            f"Replay of a {TOKENS:,}-token reply",
            f"{median(replayed):.1f} ms (worst {max(replayed):.1f})",
            f"{median(sent):.0f} ms from the scripted server",
            median(replayed) / median(sent),
            f"{LIMIT:.0f} ms",
            median(replayed) <= LIMIT,
        )
    ]


def turns(count: int) -> list[tuple[float, float]]:
    """Run in the kernel: seconds of a replay and of the same sent, turn by turn after one that does not count."""
    _seconds("always")
    return [(_seconds("replay"), _seconds("always")) for _ in range(count + 1)][1:]


def _seconds(policy: str) -> float:
    from kimi_magic import kernel as ours

    start = time.perf_counter()
    values = ours.resolve({"model": MODEL, "max_tokens": TOKENS + 100, "rerun": policy})
    with ours.ask(QUESTION, values, history=False) as asking:
        for _ in asking:
            pass
    taken = time.perf_counter() - start
    reply = asking.reply
    assert (reply.usage.output, bool(reply.recorded)) == (TOKENS, policy == "replay")
    return taken
