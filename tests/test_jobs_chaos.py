"""Whole jobs among all that goes wrong: every fault of the service at once, a restarted kernel, a killed server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import kimi_magic
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Seen

pytestmark = pytest.mark.usefixtures("here")
ASK = "Repeat: {{ text }}"
PASSING = ("3040", "8005", "3043", "3046", "html", "200-json", "no-bytes", "cut", "reset", "silence")
"""Faults after which a request is worth sending again."""
REFUSALS = {"3006": "TooLarge", "5021": "TooLarge", "5004": "RequestRefused"}
"""Faults that are about the row itself, and what its error is."""


def sent(seen: Seen) -> Counter[str]:
    """Count how often each row was sent to be answered."""
    found: Counter[str] = Counter()
    for one in seen.all():
        body = json.loads(str(one["body"]) or "{}")
        for request in body.get("requests", [body] if "messages" in body else []):
            found[request["messages"][-1]["content"].rpartition("text: ")[2]] += 1
    return found


def test_every_fault_of_a_request_at_once_touches_no_other_row(here: pytest.MonkeyPatch) -> None:
    here.setenv("KIMI_FIRST_TIMEOUT", "0.5s")
    here.setenv("KIMI_RETRIES", "0")
    texts = [f"<<fault {fault} times=1>><<say {fault}>>" for fault in PASSING]
    texts += [f"<<fault {fault}>>" for fault in REFUSALS] + [f"<<say {n}>>" for n in range(20)]
    job = kimi_magic.map([{"text": text} for text in texts], ASK, lane="concurrent").wait(60)
    assert job.standing.state == "done", job.standing
    assert [(one["row"], one["reason"].partition(":")[0]) for one in job.errors] == list(
        enumerate(REFUSALS.values(), len(PASSING))
    )
    replies = job.df()["reply"].tolist()
    assert replies[: len(PASSING)] == list(PASSING)
    assert replies[len(PASSING) + len(REFUSALS) :] == [str(n) for n in range(20)]


def test_every_fault_of_a_batch_at_once_touches_no_other_row() -> None:
    texts = [
        "<<fault queue-results>><<fault queue-order>><<say a>>",
        "<<fault queue-twice>><<say b>>",
        "<<fault queue-missing times=1>><<say c>>",
        "<<fault queue-busy>><<fault queue-event shape=none>><<say d>>",
        "<<fault 8005 times=1>><<say e>>",
        "<<fault 5004>><<say f>>",
        "<<say g>>",
    ]
    job = kimi_magic.map([{"text": text} for text in texts], ASK, lane="queue").wait(60)
    assert job.standing.state == "done", job.standing
    assert [(one["row"], one["reason"].partition(":")[0]) for one in job.errors] == [(5, "RequestRefused")]
    replies = job.df()["reply"].tolist()
    assert replies[:5] + replies[6:] == ["a", "b", "c", "d", "e", "g"]


@pytest.mark.parametrize("fault", ["413", "cut", "forgotten", "failed", "never"])
def test_a_lost_batch_among_others_is_made_good(fault: str, seen: Seen) -> None:
    """Whatever the queue did, each row is answered once in the end."""
    first = f"<<fault queue-{fault} {'' if fault == 'never' else 'times=1'}>><<say 0>>"
    texts = [first, *(f"<<say {n}>>" for n in range(1, 30))]
    job = kimi_magic.map([{"text": text} for text in texts], ASK, lane="queue")
    if fault == "never":
        job.wait(1.0)
        assert job.standing.oldest is not None
        job.lane = "concurrent"
    job.wait(60)
    assert job.df()["reply"].tolist() == [str(n) for n in range(30)], job.errors
    assert job.standing.done == job.standing.total == 30
    assert set(sent(seen)) == set(texts)


MAP = """
import json
import kimi_magic
rows = [{{"text": f"<<first 0.05>><<say {{n}}>>"}} for n in range(60)]
job = kimi_magic.map(rows, "Repeat: {{{{ text }}}}", lane={lane!r}, concurrency=4, system={system!r}, rerun="replay")
"""
UNDER_WAY = """
from kimi_magic import kernel
TAKEN = "SELECT 1 FROM job_batch JOIN job ON job.number = job WHERE id = ? AND request != ''"
while not (job.standing.done or kernel.ledger().read(lambda c: c.execute(TAKEN, (job.id,)).fetchall())):
    job.wait(0.05)
"""
"""Waits until a row is answered, or a batch is taken and its id written down."""


@pytest.mark.parametrize(("lane", "now"), [("queue", True), ("concurrent", True), ("concurrent", False)])
def test_a_kernel_is_restarted_in_the_middle_and_the_job_comes_to_its_end(
    lane: str,
    now: bool,  # noqa: FBT001
    environment: dict[str, str],
    tmp_path: Path,
    seen: Seen,
) -> None:
    code = MAP.format(lane=lane, system=f"restarted {time.time()}")
    with Kernel(environment, tmp_path) as kernel:
        begun = kernel.run(code + UNDER_WAY)
        assert begun.ok, begun.text
        id_, state, before = kernel.value("(job.id, job.standing.state, job.standing.done)")
        assert state == "running"
        assert before < 60
        kernel.manager.restart_kernel(now=now)
        kernel.client.wait_for_ready(timeout=60)
        again = kernel.run(f"{code}\nheld = job.standing.done\njob.wait(60)")
        assert again.ok, again.text
        replies, found, held = kernel.value('(job.df()["reply"].tolist(), job.id, held)')
    assert found == id_
    assert held >= before
    assert replies == [str(n) for n in range(60)]
    assert sent(seen).total() - 60 <= (2 * 4 if lane == "concurrent" else 0)  # those in flight


def test_a_server_that_is_killed_in_the_middle_of_a_batch_answers_it_when_it_is_back(
    here: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = _free_port()
    here.setenv("KIMI_LOCAL_URL", f"http://127.0.0.1:{port}/client/v4")
    here.setenv("KIMI_LOCAL_TOKEN", "chaos")
    rows = [{"text": f"<<first 0.1>><<say {n}>>"} for n in range(100)]
    with _server(port, tmp_path) as first:
        job = kimi_magic.map(rows, ASK, lane="queue")
        end = time.monotonic() + 20
        while not job.standing.queued:
            assert time.monotonic() < end
            job.wait(0.05)
        time.sleep(0.4)
        first.send_signal(signal.SIGKILL)
        first.wait()
    with _server(port, tmp_path):
        job.wait(60)
        again = json.loads(_log(port))
    assert job.df()["reply"].tolist() == [str(n) for n in range(100)], job.standing
    assert not [one for one in again if '"requests"' in one["body"]]  # it was never sent a second time


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _log(port: int) -> str:
    import httpx

    headers = {"authorization": "Bearer chaos"}
    return httpx.get(f"http://127.0.0.1:{port}/scripted/requests", headers=headers).text


@contextmanager
def _server(port: int, folder: Path) -> Iterator[subprocess.Popen[Any]]:
    """Run a scripted server whose queue is kept in a folder."""
    options = ["--engine", "scripted", "--port", str(port), "--queue", str(folder), "--token", "chaos"]
    command = [sys.executable, "-m", "kimi_magic.local", *options]
    with subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "answers at" in process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()
