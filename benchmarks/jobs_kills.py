"""A process that maps rows is killed (SIGKILL) at random moments of the job, 100 times in each lane, and begun again.

`python -m benchmarks.jobs_kills 10` kills ten times a lane. A moment is up to a second after `map` has returned, of
each fifth kill after it was called: rows are being entered, sent, answered, or written down. When a job has ended,
another is begun, until there were enough kills; its last process is left alone. Then every row must have its own reply,
once.

What was in flight at each kill is read from the store: in the queue's lane, the items of a batch whose id was not known
yet. How often each row was sent is read from the server's log. Paid twice is each sending but a row's first; more of
them than the row was in flight at kills are too many.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.figure import Figure
from benchmarks.stage import ROOT, Server, server
from kimi_magic.store import FILE

KILLS = 100
ROWS = 2_000
LANES = ("concurrent", "queue")
_IN_FLIGHT = """
SELECT question FROM job_item LEFT JOIN job_batch ON job_batch.number = batch
WHERE state = 1 AND coalesce(request, '') = ''
"""
_MAP = """
import json, sys
import kimi_magic

lane, system = sys.argv[1:3]
rows = [{"row": f"<<first 0.01>><<say {n}>>"} for n in range(int(sys.argv[3]))]
print("called", flush=True)
job = kimi_magic.map(rows, "Repeat: {{ row }}", lane=lane, system=system, rerun="replay")
print("returned", flush=True)
print(json.dumps([job.wait().standing.state, job.df()["reply"].tolist()]), flush=True)
"""


@dataclass(slots=True)
class Tally:
    """What the kills of one lane came to; numbers of rows, over all its jobs."""

    kills: int = 0
    jobs: int = 0
    rows: int = 0
    wrong: int = 0
    in_flight: int = 0
    twice: int = 0
    too_many: int = 0


def kills(place: Server, lane: str, count: int) -> Tally:
    """Kill so many processes that map, all with jobs in one lane."""
    draw = random.Random(20261122)  # noqa: S311  # moments, not secrets
    tally = Tally()
    while tally.kills < count:
        _job(place, lane, draw, count, tally)
    return tally


def _job(place: Server, lane: str, draw: Random, count: int, tally: Tally) -> None:
    """Kill again and again until one job is done, or there were enough kills; then let it come to its end."""
    place.forget()
    in_flight: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as home:
        while True:
            after = "called" if tally.kills % 5 == 0 else "returned"
            moment = draw.random() if tally.kills < count else None
            told = _life(place, home, (lane, f"job {tally.jobs}"), after, moment)
            if told is not None:
                break
            tally.kills += 1
            in_flight.update(_in_flight(Path(home, FILE)))
    state, replies = told
    tally.jobs += 1
    tally.rows += ROWS
    assert state == "done", told
    tally.wrong += sum(reply != str(n) for n, reply in enumerate(replies)) + abs(len(replies) - ROWS)
    again = _sent(place) - Counter(_row(n) for n in range(ROWS))
    tally.in_flight += in_flight.total()
    tally.twice += again.total()
    tally.too_many += (again - in_flight).total()


def _life(place: Server, home: str, job: tuple[str, str], after: str, moment: float | None) -> Any:
    """Map in a process, which is killed a `moment` (in seconds) `after` map; give what it said at its end."""
    environment = os.environ | place.environment | {"KIMI_HOME": home}
    command = [sys.executable, "-c", _MAP, *job, str(ROWS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != after:
            assert process.poll() is None
        if moment is not None:
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
        told = process.stdout.read().rpartition("returned\n")[2]
        if moment is None:
            assert process.wait() == 0
    return json.loads(told) if told.endswith("\n") else None


def _row(number: int) -> str:
    return f"<<first 0.01>><<say {number}>>"


def _in_flight(file: Path) -> list[str]:
    """Give the rows that a killed process had in flight, by what it has written down."""
    if not file.exists():
        return []
    connection = sqlite3.connect(file)
    try:
        return [question.partition(": ")[2] for (question,) in connection.execute(_IN_FLIGHT)]
    except sqlite3.OperationalError:  # killed before there were tables
        return []
    finally:
        connection.close()


def _sent(place: Server) -> Counter[str]:
    """Count how often each row was sent; a request that a kill has cut off is none."""
    found: Counter[str] = Counter()
    for entry in place.log():
        try:
            body = json.loads(entry["body"])
        except ValueError:
            continue
        requests = body.get("requests", [body] if "messages" in body else [])
        found.update(request["messages"][-1]["content"].rpartition("row: ")[2] for request in requests)
    return found


def measure(count: int = KILLS) -> Iterator[Figure]:
    """Give what was wrong, and what was paid twice."""
    for lane in LANES:
        with server() as place:
            tally = kills(place, lane, count)
        name = f"{tally.kills} kills in {tally.jobs} jobs of {ROWS:,} rows, {lane} lane"
        wrong, many = tally.wrong, tally.too_many
        yield Figure(f"{name}: rows not answered exactly once", str(wrong), limit="0", ok=not wrong)
        yield Figure(
            f"{name}: rows paid twice",
            f"{tally.twice}, {many} of them not in flight",
            f"{tally.in_flight} in flight at the kills",
            tally.twice / tally.in_flight if tally.twice and tally.in_flight else None,
            "those in flight",
            not many,
        )


if __name__ == "__main__":
    for figure in measure(int(sys.argv[1])):
        print(figure.row, flush=True)
