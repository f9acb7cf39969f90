"""Rows of a map a second, and the memory that takes: 100,000 distinct rows through the concurrent lane.

A process of its own maps a pandas frame, over sockets, against the scripted server in another process; both share the
machine. The clock runs from the call of `map` to the last row in the store; `df()` is timed beside it. Memory is the
peak of the mapping process, the frame and all libraries in it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.figure import Figure
from benchmarks.stage import ROOT, server

ROWS = int(os.environ.get("KIMI_BENCH_ROWS", "100000"))
AT_LEAST = 500
MOST = 300


def measure() -> Iterator[Figure]:
    """Give rows a second, and megabytes."""
    found = mapped(ROWS, "concurrent")
    rate = ROWS / found["seconds"]
    what = f"A map of {ROWS:,} rows, one by one"
    yield Figure(what, f"{rate:,.0f} rows/s", limit=f"at least {AT_LEAST}", ok=rate >= AT_LEAST)
    yield Figure(f"{what}: memory", f"{found['memory']:.0f} MB", limit=f"{MOST} MB", ok=found["memory"] <= MOST)


def mapped(rows: int, lane: str) -> dict[str, float]:
    """Map so many rows in a process of its own: seconds, CPU seconds of that process, seconds of df(), peak MB."""
    with server() as place, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **place.environment, "KIMI_HOME": folder, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "benchmarks.jobs_rows", str(rows), lane]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(rows: int, lane: str) -> dict[str, Any]:
    """Map in this process."""
    import pandas as pd

    import kimi_magic

    text = '<<say {{"mood": "good", "score": {}}}>> one review among many, of the usual length'
    frame = pd.DataFrame({"review": [text.format(n) for n in range(rows)]})
    began, cpu = time.perf_counter(), time.process_time()
    job = kimi_magic.map(frame, "Classify this review: {{ review }}", out="mood good|bad, score int", lane=lane).wait()
    seconds = time.perf_counter() - began
    table = job.df()
    total, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert job.standing.done == rows, job.standing
    assert table["score"].tolist() == list(range(rows))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "frame": total - seconds, "cpu": cpu, "memory": memory}


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), sys.argv[2])))
