"""What a row of a job in the queue costs this machine: spelling, store, socket, reading, checking and dataframe.

A map of 100,000 distinct typed rows, and one of 1,000,000 for its memory, through the local server's queue. The time is
the CPU time of the mapping process from the call of `map` to the finished frame, over the rows; the server's is not in
it, the HTTP client's is. Memory is that process's peak, a pandas frame of all rows and all libraries in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.jobs_rows import mapped

ROWS = int(os.environ.get("KIMI_BENCH_ROWS", "100000"))
MANY = int(os.environ.get("KIMI_BENCH_MANY_ROWS", "1000000"))
MOST = 150
MEMORY = 1_000


def measure() -> Iterator[Figure]:
    """Give microseconds a row, and megabytes."""
    row = mapped(ROWS, "queue")["cpu"] / ROWS * 1e6
    yield Figure(f"Overhead of a row in the queue ({ROWS:,})", f"{row:.0f} µs", limit=f"{MOST} µs", ok=row <= MOST)
    many = mapped(MANY, "queue")
    name = f"A map of {MANY:,} rows through the queue: memory"
    yield Figure(name, f"{many['memory']:.0f} MB", limit=f"{MEMORY:,} MB", ok=many["memory"] <= MEMORY)
