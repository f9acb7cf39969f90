"""100,000 rows through the concurrent lane, asked at the scripted server, from `map` to the finished dataframe.

The server is a process of its own on the same machine, and the time that it takes counts. Memory is the peak of the
whole process that asks, with pandas, the rows and the result.

The peer is bespokelabs-curator: the same question of 5,000 rows, three times, turn about with ours, at the same server,
with as many requests at a time, after one row that does not count, so that both have imported what they need. Given are
medians. Beside the clock stands the CPU time of the process that asks, in which neither the server nor anything else on
the machine has a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks import curator_rows
from benchmarks.asking import Asked, Wanted, asked
from benchmarks.figure import Figure
from benchmarks.stage import Server, server

ROWS, FEWER, TURNS = 100_000, 5_000, 3
FAST, LEAN = 500, 300
_OPTIONS = {"lane": "concurrent", "concurrency": curator_rows.AT_A_TIME}


def measure() -> Iterator[Figure]:
    """Give rate and memory, and both beside the peer's."""
    with server() as place:
        ours = _ours(place, ROWS)
    rate, name = ROWS / ours.seconds, f"A map of {ROWS:,} rows, concurrent lane"
    yield Figure(f"{name}, end to end", f"{rate:,.0f} rows/s", limit=f"{FAST} rows/s", ok=rate >= FAST)
    yield Figure(f"{name}, memory", f"{ours.megabytes:.0f} MB", limit=f"{LEAN} MB", ok=ours.megabytes <= LEAN)
    with server() as place:
        pairs = [(_ours(place, FEWER, warm=True), _peers(place)) for _ in range(TURNS)]
    mine, theirs = zip(*pairs, strict=True)
    name = f"A map of {FEWER:,} rows, concurrent lane"
    rates = [[FEWER / one.seconds for one in mine], [FEWER / one["seconds"] for one in theirs]]
    yield _beside(f"{name}, end to end", *rates, "rows/s")
    each = 1e6 / FEWER
    yield _beside(
        f"{name}, CPU for a row", [each * one.cpu for one in mine], [each * one["cpu"] for one in theirs], "µs"
    )
    peaks = [one.megabytes for one in mine], [one["megabytes"] for one in theirs]
    yield _beside(f"{name}, memory", *peaks, "MB")


def _ours(place: Server, rows: int, *, warm: bool = False) -> Asked:
    found = asked(place, Wanted(rows, warm=warm, options=_OPTIONS))
    assert found.good == rows
    return found


def _peers(place: Server) -> dict[str, float]:
    url, token = place.environment["KIMI_LOCAL_URL"], place.environment["KIMI_LOCAL_TOKEN"]
    return curator_rows.asked(f"{url}/accounts/local/ai/v1", token, "local", FEWER)


def _beside(name: str, ours: Sequence[float], theirs: Sequence[float], unit: str) -> Figure:
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    return Figure(name, f"{median(ours):,.0f} {unit}", f"{median(theirs):,.0f} {unit} curator", ratio)
