"""100,000 rows through the concurrent lane, asked at the scripted server, from `map` to the finished dataframe.

The server is a process of its own on the same machine, and the time that it takes counts. Memory is the peak of the
whole process that asks, with pandas, the rows and the result. The peer is bespokelabs-curator with the same question,
of 5,000 rows only, at a fresh server of the same kind, with as many requests at a time as ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import curator_rows
from benchmarks.asking import Wanted, asked
from benchmarks.figure import Figure
from benchmarks.stage import server

ROWS, PEERS = 100_000, 5_000
FAST, LEAN = 500, 300


def measure() -> Iterator[Figure]:
    """Give rate and memory."""
    options = {"lane": "concurrent", "concurrency": curator_rows.AT_A_TIME}
    with server() as place:
        ours = asked(place, Wanted(ROWS, options=options))
    assert ours.good == ROWS
    with server() as place:
        url, token = place.environment["KIMI_LOCAL_URL"], place.environment["KIMI_LOCAL_TOKEN"]
        theirs = curator_rows.asked(f"{url}/accounts/local/ai/v1", token, "local", PEERS)
    rate, peers = ROWS / ours.seconds, PEERS / theirs["seconds"]
    name = f"A map of {ROWS:,} rows, concurrent lane"
    peer = f"curator, {PEERS:,} rows"
    yield Figure(
        f"{name}, end to end",
        f"{rate:,.0f} rows/s",
        f"{peers:,.0f} rows/s {peer}",
        rate / peers,
        "500 rows/s",
        rate >= FAST,
    )
    yield Figure(
        f"{name}, memory",
        f"{ours.megabytes:.0f} MB",
        f"{theirs['megabytes']:.0f} MB {peer}",
        ours.megabytes / theirs["megabytes"],
        f"{LEAN} MB",
        ours.megabytes <= LEAN,
    )
