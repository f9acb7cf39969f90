"""A process that maps rows is killed (SIGKILL) at a random moment, `KIMI_BENCH_JOB_KILLS` times (200), then resumed.

Half of the kills strike a job in the queue, half one that asks row by row; each job is killed again and again until
its kills are used up, and then goes on to its end. Every row has to have exactly its own reply. Rows that were sent
more than once are counted at the server: at most those in flight at each kill, twice the concurrency.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator

import httpx

from benchmarks.figure import Figure
from benchmarks.stage import ROOT
from kimi_magic.local import launch

KILLS = int(os.environ.get("KIMI_BENCH_JOB_KILLS", "200"))
ROWS, WIDTH, OF_ONE = 400, 4, 10
"""Rows of a job, requests at once, kills of one job."""


def measure() -> Iterator[Figure]:
    """Give rows that were lost or wrong, and rows that were paid twice, a kill."""
    wrong = again = 0
    draw = random.Random(20261122)  # noqa: S311  # moments, not secrets
    for number in range(KILLS // OF_ONE):
        lane = ("queue", "concurrent")[number % 2]
        lost, twice = killed(lane, OF_ONE, draw)
        wrong += lost
        again += twice if lane == "concurrent" else 0
    share = again / max(1, KILLS / 2)
    yield Figure(f"{KILLS} kills of a running job: rows lost or wrong", str(wrong), limit="0", ok=not wrong)
    limit = 2 * WIDTH
    yield Figure("Rows sent twice, a kill (row by row)", f"{share:.1f}", limit=str(limit), ok=share <= limit)


def killed(lane: str, kills: int, draw: random.Random) -> tuple[int, int]:
    """Kill one job so often and let it end; give how many rows are wrong, and how many requests were too many."""
    texts = [f"<<first 0.01>><<say {n}>>" for n in range(ROWS)]
    options = {"lane": lane, "concurrency": WIDTH}
    given = json.dumps({"rows": texts, "ask": "Repeat: {{ text }}", "options": options})
    local = launch.start(engine="scripted")
    try:
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                **os.environ,
                "KIMI_LOCAL_URL": local.url,
                "KIMI_LOCAL_TOKEN": local.token,
                "KIMI_HOME": folder,
                "PYTHONPATH": str(ROOT),
            }
            command = [sys.executable, "-m", "tests.jobs_runner", given]
            for _ in range(kills):
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
                    assert process.stdout is not None
                    process.stdout.readline()
                    time.sleep(draw.uniform(0, 0.15))
                    process.send_signal(signal.SIGKILL)
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        replies = json.loads(done.stdout.splitlines()[-1])["replies"]
        sent = _sent(local)
    finally:
        local.close()
    wrong = sum(reply != str(n) for n, reply in enumerate(replies)) + abs(len(replies) - ROWS)
    return wrong, sum(sent.values()) - len(sent)


def _sent(local: launch.Local) -> Counter[str]:
    """Count how often each row was asked, in a batch or alone."""
    log = local.url.removesuffix("/client/v4") + "/scripted/requests"
    found: Counter[str] = Counter()
    for entry in httpx.get(log, headers={"authorization": f"Bearer {local.token}"}, timeout=60).json():
        body = json.loads(entry["body"] or "{}")
        for request in body.get("requests", [body] if "messages" in body else []):
            found[request["messages"][-1]["content"]] += 1
    return found
