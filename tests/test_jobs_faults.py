"""What goes wrong with a job, and how it goes on: the service's faults, the network's, the store's, a budget."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import kimi_magic
from kimi_magic import kernel
from kimi_magic.errors import CommandError
from kimi_magic.local import launch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

pytestmark = pytest.mark.usefixtures("here")
ASK = "Repeat: {{ text }}"


def rows(number: int, first: str = "") -> list[dict[str, str]]:
    return [{"text": f"{first if not n else ''}<<say {n}>>"} for n in range(number)]


def replies(job: kimi_magic.Job) -> list[str]:
    found: list[str] = job.df()["reply"].tolist()
    return found


def until(true: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Wait until something holds, and give it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    "fault",
    ["queue-results", "queue-order", "queue-twice", "queue-busy", "queue-forgotten times=1", "queue-missing times=1"],
)
def test_a_batch_with_a_fault_is_answered_once_each(fault: str) -> None:
    job = kimi_magic.map(rows(6, f"<<fault {fault}>>"), ASK, lane="queue").wait(30)
    assert job.standing.state == "done", job.standing
    assert replies(job) == list("012345")
    assert job.standing.done == 6


def test_answers_that_come_twice_are_counted_once() -> None:
    once = kimi_magic.map(rows(4), ASK, lane="queue").wait(30)
    twice = kimi_magic.map(rows(4, "<<fault queue-twice>>"), ASK, lane="queue").wait(30)
    assert twice.usage.output == once.usage.output


def test_a_batch_that_always_fails_ends_with_the_reason_in_each_row() -> None:
    job = kimi_magic.map(rows(2, "<<fault queue-failed>>"), ASK, lane="queue").wait(40)
    assert (job.standing.state, job.standing.failed) == ("done", 2)
    assert all("ServerFailure" in one["reason"] for one in job.errors)


@pytest.mark.parametrize("fault", ["queue-8007", "queue-10063"])
def test_a_model_without_a_queue_is_asked_one_by_one(fault: str) -> None:
    job = kimi_magic.map(rows(3, f"<<fault {fault}>>"), ASK).wait(30)
    assert replies(job) == list("012")
    assert job.standing.lane == "concurrent"
    assert "one by one" in job.standing.remark


def test_a_queue_that_was_asked_for_and_is_not_there_stops_the_job_and_says_how_to_go_on() -> None:
    job = kimi_magic.map(rows(3, "<<fault queue-8007>>"), ASK, lane="queue").wait(30)
    assert job.standing.state == "stopped"
    assert 'job.lane = "concurrent"' in job.standing.remark
    job.lane = "concurrent"
    assert replies(job.retry().wait(30)) == list("012")


def test_a_batch_that_is_too_large_is_split(seen: Seen) -> None:
    job = kimi_magic.map(rows(9, "<<fault queue-413 times=1>>"), ASK, lane="queue").wait(30)
    assert replies(job) == list("012345678")
    assert job.standing.failed == 0
    submitted = [str(one["body"]) for one in seen.all() if '"requests"' in str(one["body"])]
    assert len(submitted) > 2
    assert max(len(body) for body in submitted[1:]) < len(submitted[0])


def test_one_row_that_is_too_large_for_any_batch_fails_alone() -> None:
    job = kimi_magic.map(rows(5, "<<fault queue-413>>"), ASK, lane="queue").wait(40)
    assert job.standing.state == "done"
    assert [one["row"] for one in job.errors] == [0]
    assert replies(job)[1:] == list("1234")


def test_a_connection_that_breaks_while_a_batch_is_taken_loses_nothing() -> None:
    job = kimi_magic.map(rows(4, "<<fault queue-cut times=1>>"), ASK, lane="queue").wait(40)
    assert replies(job) == list("0123")


@pytest.mark.parametrize("fault", ["3040", "no-bytes", "cut", "garbage", "200-json"])
def test_a_request_that_fails_once_is_sent_again(fault: str, here: pytest.MonkeyPatch) -> None:
    here.setenv("KIMI_FIRST_TIMEOUT", "1s")
    job = kimi_magic.map(rows(4, f"<<fault {fault} times=1>>"), ASK, lane="concurrent").wait(30)
    assert replies(job) == list("0123"), job.errors


def test_a_network_that_is_lost_is_waited_for(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = launch.start(engine="scripted")
    here.setenv("KIMI_LOCAL_URL", gone.url)
    here.setenv("KIMI_LOCAL_TOKEN", gone.token)
    slow = [{"text": f"<<first 0.2>><<say {n}>>"} for n in range(30)]
    job = kimi_magic.map(slow, ASK, lane="concurrent", concurrency=2)
    until(lambda: job.standing.done)
    port = int(gone.url.split(":")[2].split("/")[0])
    gone.close()
    waiting = until(lambda: job.standing.state == "waiting" and job.standing)
    assert "reached" in waiting.remark or "broke" in waiting.remark
    again = _server_at(port, gone.token, tmp_path)
    try:
        assert replies(job.wait(60)) == [str(n) for n in range(30)]
        assert job.standing.remark == ""
    finally:
        again.terminate()
        again.wait(10)


def _server_at(port: int, token: str, folder: Path) -> Any:
    """Start a scripted server at the address of one that is gone."""
    import os
    import subprocess
    import sys

    command = [sys.executable, "-m", "kimi_magic.local", "--engine", "scripted", "--port", str(port)]
    environment = {**os.environ, "KIMI_LOCAL_TOKEN": token}
    return subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)


def test_an_account_that_is_refused_stops_the_job_and_says_why() -> None:
    job = kimi_magic.map(rows(20, "<<fault 5035>>"), ASK, lane="concurrent", concurrency=1).wait(30)
    now = job.standing
    assert now.state == "stopped"
    assert "Free plan" in now.remark
    assert now.done + now.pending == 20


def test_a_store_that_is_locked_is_waited_for(home: Path) -> None:
    slow = [{"text": f"<<first 0.1>><<say {n}>>"} for n in range(10)]
    kernel.ledger()._patience = 0.2
    job = kimi_magic.map(slow, ASK, lane="concurrent", concurrency=2)
    with sqlite3.connect(home / "kimi.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = until(lambda: job.standing.state == "waiting" and job.standing)
        assert "locked" in waiting.remark
        other.execute("ROLLBACK")
    other.close()
    assert replies(job.wait(30)) == [str(n) for n in range(10)]


def test_a_budget_is_never_passed(here: pytest.MonkeyPatch, server: Local) -> None:
    _as_cloudflare(here, server)
    job = kimi_magic.map(rows(40), ASK, lane="concurrent", rate=0, budget=0.0006, max_tokens=50).wait(30)
    now = job.standing
    assert now.state == "stopped"
    assert "budget" in now.remark
    assert 0 < now.done < 40
    assert now.cost is not None
    assert 0 < now.cost <= 0.0006
    assert job.retry(budget="$1").wait(30).standing.done == 40


def test_mending_counts_against_the_budget_and_nothing_stays_held_back(here: pytest.MonkeyPatch, server: Local) -> None:
    _as_cloudflare(here, server)
    texts = [{"text": f'<<say {{"score": "none {n}"}}>><<again {{"score": {n}}}>>'} for n in range(12)]
    options: dict[str, Any] = {"lane": "concurrent", "rate": 0, "max_tokens": 50, "out": "score int"}
    job = kimi_magic.map(texts, ASK, budget="$0.0012", **options).wait(30)
    assert job.standing.state == "stopped"
    assert 0 < (job.cost or 0) <= 0.0012
    assert kernel.current().books.in_flight == 0
    job.retry(budget=1).wait(30)
    assert job.df()["score"].tolist() == list(range(12))
    assert kernel.current().books.in_flight == 0


def test_the_kernels_budget_holds_for_jobs_as_well(here: pytest.MonkeyPatch, server: Local) -> None:
    _as_cloudflare(here, server)
    before = kernel.current().books.counted
    here.setenv("KIMI_BUDGET", f"${before + 0.0006:.6f}")
    job = kimi_magic.map(rows(40), ASK, lane="concurrent", rate=0, max_tokens=50).wait(30)
    assert job.standing.state == "stopped"
    assert 0 < kernel.current().books.counted - before <= 0.0006
    assert kernel.current().books.in_flight == 0


def test_a_queue_respects_the_budget_too(here: pytest.MonkeyPatch, server: Local) -> None:
    _as_cloudflare(here, server)
    job = kimi_magic.map(rows(40), ASK, lane="queue", budget="$0.0003", max_tokens=20).wait(30)
    assert job.standing.state == "stopped"
    assert 0 < job.standing.done < 40
    assert (job.cost or 1) <= 0.0003


def test_a_pilot_says_what_the_rest_will_cost_and_asks(here: pytest.MonkeyPatch, server: Local) -> None:
    _as_cloudflare(here, server)
    uneven = [{"text": f"<<say {'word ' * (n * 7 % 50)}{n}>>"} for n in range(30)]
    job = kimi_magic.map(uneven, ASK, lane="concurrent", rate=0, pilot=10).wait(30)
    now = job.standing
    assert (now.state, now.done, now.pending) == ("asking", 10, 20)
    assert now.estimate is not None
    assert now.estimate.items == 20
    assert now.estimate.cost is not None
    low, cost, high = now.estimate.cost
    job.answer(yes=True).wait(30)
    assert job.standing.state == "done"
    rest = (job.cost or 0) - (now.cost or 0)
    assert low <= rest <= high
    assert low < cost < high


def test_a_pilot_goes_on_waiting_when_the_same_is_mapped_again_after_a_restart(seen: Seen) -> None:
    options: dict[str, Any] = {"lane": "concurrent", "pilot": 5, "rerun": "replay", "system": "pilot again"}
    kimi_magic.map(rows(20), ASK, **options).wait(30)
    kernel.close()
    seen.clear()
    job = kimi_magic.map(rows(20), ASK, **options).wait(30)
    assert (job.standing.state, job.standing.done, seen.all()) == ("asking", 5, [])
    assert job.standing.estimate is not None
    assert job.standing.estimate.items == 15
    kimi_magic.map(rows(20), ASK, yes=True, **options).wait(30)
    assert job.standing.done == 20


def test_a_pilot_that_is_answered_with_no_ends_the_job() -> None:
    job = kimi_magic.map(rows(30), ASK, lane="concurrent", pilot=5).wait(30)
    job.answer(yes=False)
    assert (job.standing.state, job.standing.done) == ("cancelled", 5)


@pytest.mark.parametrize(("yes", "state", "done"), [(True, "done", 30), (False, "cancelled", 5)])
def test_a_pilot_may_be_answered_beforehand(yes: bool, state: str, done: int) -> None:  # noqa: FBT001
    job = kimi_magic.map(rows(30), ASK, pilot=5, yes=yes).wait(30)
    assert (job.standing.state, job.standing.done) == (state, done)


def test_the_rate_is_kept(here: pytest.MonkeyPatch, server: Local, seen: Seen) -> None:
    _as_cloudflare(here, server)
    job = kimi_magic.map(rows(30), ASK, lane="concurrent")  # 20 a minute there
    until(lambda: job.standing.done == 20)
    job.wait(1)
    assert len(seen.all()) == 20
    job.cancel()


def test_two_threads_that_map_the_same_have_one_job(seen: Seen) -> None:
    together = threading.Barrier(2)

    def map_it() -> list[str]:
        together.wait()
        job = kimi_magic.map(rows(20), ASK, lane="concurrent", rerun="replay", system="two threads")
        return replies(job.wait(30))

    with ThreadPoolExecutor(2) as threads:
        found = [threads.submit(map_it) for _ in range(2)]
    assert [one.result() for one in found] == [[str(n) for n in range(20)]] * 2
    assert len(seen.all()) == 20


def _as_cloudflare(here: pytest.MonkeyPatch, server: Local) -> None:
    """Ask the scripted server as if it were Cloudflare, which charges."""
    here.setenv("KIMI_ENDPOINT", "cloudflare")
    here.setenv("CLOUDFLARE_ACCOUNT_ID", "0" * 32)
    here.setenv("CLOUDFLARE_API_TOKEN", server.token)
    here.setenv("CLOUDFLARE_API_BASE_URL", server.url)


@pytest.mark.parametrize("yes", [True, False])
def test_a_pilot_that_was_answered_may_be_answered_again(yes: bool) -> None:  # noqa: FBT001
    """A notebook that runs again answers again; a job that was ended with no still does not go on by itself."""
    job = kimi_magic.map(rows(30), ASK, lane="concurrent", pilot=5, system=f"again {yes}").wait(30)
    job.answer(yes=yes).wait(30)
    assert job.answer(yes=yes).standing.done == (30 if yes else 5)
    if not yes:
        with pytest.raises(CommandError, match="asks nothing") as caught:
            job.answer(yes=True)
        assert "retry" in caught.value.hint


def test_a_job_that_was_forgotten_says_so() -> None:
    job = kimi_magic.map(rows(3), ASK, lane="concurrent", system="forgotten").wait(30)
    job.forget()
    assert job.standing.state == "cancelled"
    assert "forgotten" in job.standing.remark
