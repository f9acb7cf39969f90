"""How much of a job's input the real local model has from its cache: 50 rows after a prefix of 1,500 tokens.

The prefix is a system message, a guide of how to classify; the rows are short, the replies at most eight tokens, two
requests at a time in the concurrent lane, as many as the server answers at once. Cached is what the server reports, as
a share of all input tokens; the very first request has nothing to find, and no row's own text can be cached. llama.cpp
finds a prefix by its tokens; what `x-session-affinity` is worth at Workers AI is not measured here.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.asking import Wanted, asked
from benchmarks.figure import Figure
from benchmarks.stage import server

ROWS, CACHED = 50, 0.9
_RULES = 60


def measure() -> Iterator[Figure]:
    """Give the share of each lane."""
    for lane in ("concurrent", "queue"):
        options = {"lane": lane, "concurrency": 2, "max_tokens": 8, "temperature": 0, "system": guide()}
        with server("llama") as place:
            found = asked(place, Wanted(ROWS, "The review of day %d: it was good.", options=options))
        share = found.cached / found.input
        yield Figure(
            f"Cached input of {ROWS} rows after a prefix of 1,500 tokens, real local model, {lane} lane",
            f"{share:.1%} ({found.cached:,} of {found.input:,} tokens)",
            f"{found.seconds:.0f} s in all",
            None,
            f"{CACHED:.0%}",
            share >= CACHED,
        )


def guide() -> str:
    """Write the system message."""
    rules = (
        f"{n}. A review that speaks of topic {n} belongs to class {n % 7}, whatever it says of price."
        for n in range(_RULES)
    )
    return "Classify reviews by these rules.\n" + "\n".join(rules)
