"""How long it takes to describe a table, how much memory that takes, and whether the text is always the same.

Each table is described in a fresh process, after a small one of the same dtypes that has everything imported. Memory is
how far the process's resident size rises in one more call, sampled every millisecond. The baseline is
`df.describe(include="all")` of the same table in the same process, afterwards. The last figure starts Python
`KIMI_BENCH_RUNS` times (1,000), each time with another PYTHONHASHSEED, and counts different texts.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from statistics import median
from typing import Any

from benchmarks.figure import Figure

_LIMITS = ((10_000_000, 20, 1_000.0, 200.0), (100_000, 50, 150.0, 200.0))
_RUNS = int(os.environ.get("KIMI_BENCH_RUNS", "1000"))
_SEVERAL = 5
_FEW_CELLS = 10_000_000


def measure() -> Iterator[Figure]:
    """Give time and memory of each size, then the number of different texts, each as soon as it is known."""
    for size in _LIMITS:
        yield from _sized(*size)
    yield _same()


def _sized(rows: int, columns: int, milliseconds: float, megabytes: float) -> list[Figure]:
    taken = json.loads(_python("time", str(rows), str(columns)))
    name = f"describe {rows:,} × {columns}"
    ours, theirs = taken["ours"], taken["pandas"]
    return [
        Figure(
            name,
            f"{ours[0]:.0f} ms ({ours[1]:.0f} CPU)",
            f'{theirs[0]:,.0f} ms ({theirs[1]:,.0f} CPU) `df.describe(include="all")`',
            ours[0] / theirs[0],
            f"{milliseconds:,.0f} ms",
            ours[0] <= milliseconds,
        ),
        Figure(
            f"{name}, extra memory",
            f"{ours[2]:.0f} MB",
            f'{theirs[2]:,.0f} MB `df.describe(include="all")`',
            ours[2] / theirs[2] if theirs[2] else None,
            f"{megabytes:.0f} MB",
            ours[2] <= megabytes,
        ),
    ]


def _same() -> Figure:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = set(pool.map(lambda run: _python("text", seed=str(run)), range(_RUNS)))
    return Figure(
        f"different texts of {_RUNS:,} descriptions, each in a process with its own hash seed",
        str(len(texts)),
        limit="1",
        ok=len(texts) == 1,
    )


def _python(*arguments: str, seed: str = "0") -> str:
    command = [sys.executable, "-W", "error", "-m", "benchmarks.describe", *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed}
    ).stdout


def table(rows: int, columns: int) -> Any:
    """Make a pandas table of ten kinds of columns by turns: floats with NaN, integers, truth values, dates, texts …."""
    import numpy as np
    import pandas as pd

    made = np.random.default_rng(0)
    words = np.array([f"word {n}" for n in range(1_000)], dtype=object)

    def gaps() -> Any:
        values = made.normal(size=rows)
        values[made.integers(0, rows, rows // 10)] = np.nan
        return values

    kinds: list[Callable[[], Any]] = [
        gaps,
        lambda: made.integers(0, 1_000_000, rows),
        lambda: made.random(rows) > 0.3,
        lambda: np.datetime64("2020-01-01", "s") + made.integers(0, 100_000_000, rows),
        lambda: pd.Categorical.from_codes(made.integers(-1, 12, rows), list("abcdefghijkl")),
        lambda: pd.array(words[made.integers(0, 1_000, rows)], dtype="str"),
        lambda: made.random(rows).astype("float32"),
        lambda: made.integers(1, 6, rows).astype("int8"),
        gaps,
        lambda: made.integers(-(2**60), 2**60, rows),
    ]
    return pd.DataFrame({f"column_{n}": kinds[n % len(kinds)]() for n in range(columns)})


@dataclass
class Person:
    """One of the objects whose description has to be the same in each process."""

    name: str
    tags: set[str]
    friends: list[Person] = field(default_factory=list)


def texts() -> str:
    """Describe a table, a dict with sets, and nested records."""
    import pandas as pd

    from kimi_magic.context import kinds
    from kimi_magic.context.description import Look
    from kimi_magic.context.guard import Guard

    tags = {f"tag {n}" for n in range(30)}
    frame = pd.DataFrame(
        {
            "n": range(200),
            "word": [f"w{n % 7}" for n in range(200)],
            "tags": [{f"t{n}", f"u{n % 3}"} for n in range(200)],
            "kind": pd.Categorical([f"k{n % 5}" for n in range(200)]),
        }
    )
    objects = (frame, {"tags": tags, "nested": {"more": frozenset(tags)}}, Person("Ada", tags, [Person("Max", tags)]))
    return "\n".join(kinds.describe(each, Look(Guard())).text for each in objects)


def _timed(rows: int, columns: int) -> dict[str, list[float]]:
    from kimi_magic.context import tables
    from kimi_magic.context.description import Look
    from kimi_magic.context.guard import Guard

    look = Look(Guard())
    tables.describe(table(1_000, columns), look)
    frame = table(rows, columns)
    several = _SEVERAL if rows * columns <= _FEW_CELLS else 1
    return {
        "ours": _cost(lambda: tables.describe(frame, look), several),
        "pandas": _cost(lambda: frame.describe(include="all"), several),
    }


def _cost(call: Callable[[], object], several: int) -> list[float]:
    """Give milliseconds, the median of so many calls, those of the CPU, and by how many MB one more makes it grow."""
    taken, busy = [], []
    for _ in range(several):
        start, cpu = time.perf_counter(), time.process_time()
        call()
        taken.append((time.perf_counter() - start) * 1e3)
        busy.append((time.process_time() - cpu) * 1e3)
    return [median(taken), median(busy), _growth(call)]


def _growth(call: Callable[[], object]) -> float:
    """Watch the resident size; what is free is given back to the system first, so that using it again counts."""
    import psutil

    process, done = psutil.Process(), threading.Event()
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc
    before = peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.001):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    done.set()
    watcher.join()
    return (peak - before) / 1e6


if __name__ == "__main__":
    if sys.argv[1] == "time":
        print(json.dumps(_timed(int(sys.argv[2]), int(sys.argv[3]))))
    else:
        print(sha256(texts().encode()).hexdigest())
