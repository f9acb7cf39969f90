"""What each row of a job costs in our process when the queue answers it: encode, keep, decode, check, dataframe.

CPU time of the process that asks, all its threads, from before `map` to after `df`, for each row; replies are typed.
The server is a process of its own, whose time does not count. Then the same with 1,000,000 rows (`KIMI_BENCH_ROWS`),
for its memory: the peak of the process, the dataframe that is mapped and the result included.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.asking import MOOD, Asked, Wanted, asked
from benchmarks.figure import Figure
from benchmarks.stage import server

ROWS, MANY = 100_000, int(os.environ.get("KIMI_BENCH_ROWS", "1000000"))
CHEAP, LEAN = 150, 1000


def measure() -> Iterator[Figure]:
    """Give the time of a row, and the memory."""
    few = _asked(ROWS)
    each = few.cpu / ROWS * 1e6
    yield Figure(
        f"Our own time for a row of {ROWS:,}, queue lane, CPU", f"{each:.0f} µs", "", None, "150 µs", each <= CHEAP
    )
    many = _asked(MANY)
    yield Figure(
        f"A map of {MANY:,} rows, queue lane, memory",
        f"{many.megabytes:.0f} MB",
        f"{few.megabytes:.0f} MB of {ROWS:,}",
        many.megabytes / few.megabytes,
        "1,000 MB",
        many.megabytes < LEAN,
    )
    again = many.cpu / MANY * 1e6
    yield Figure(f"Our own time for a row of {MANY:,}, queue lane, CPU", f"{again:.0f} µs")


def _asked(rows: int) -> Asked:
    with server() as place:
        found = asked(place, Wanted(rows, MOOD, typed=True, options={"lane": "queue"}))
    assert found.good == rows
    return found
