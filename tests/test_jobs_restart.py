"""A job outlives the process that began it: killed at any moment, it is gone on with, and each row answered once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import kimi_magic
from kimi_magic import kernel
from kimi_magic.jobs import keeping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Seen

pytestmark = pytest.mark.usefixtures("here")
ASK = "Repeat: {{ text }}"
ROWS = [f"<<first 0.01>><<say {n}>>" for n in range(60)]


class Mapping:
    """A process that maps the rows."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def until(self, **wanted: Any) -> dict[str, Any]:
        """Give the first line in which these are at least so much, or equal."""
        for line in self.lines():
            if all(line.get(name) == value or _more(line.get(name), value) for name, value in wanted.items()):
                return line
        raise AssertionError(f"it ended before {wanted}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def _more(found: Any, value: Any) -> bool:
    return isinstance(value, int) and isinstance(found, int) and found >= value


@contextmanager
def mapping(rows: list[str] = ROWS, ask: str = ASK, **options: Any) -> Iterator[Mapping]:
    given = json.dumps({"rows": rows, "ask": ask, "options": options})
    command = [sys.executable, "-m", "tests.jobs_runner", given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        try:
            yield Mapping(process)
        finally:
            process.kill()


def sent(seen: Seen) -> Counter[str]:
    """Count how often each row was sent to be answered."""
    found: Counter[str] = Counter()
    for one in seen.all():
        body = json.loads(str(one["body"]))
        for request in body.get("requests", [body] if "messages" in body else []):
            found[request["messages"][-1]["content"].rpartition("text: ")[2]] += 1
    return found


@pytest.mark.parametrize("lane", ["queue", "concurrent"])
def test_a_job_that_was_killed_is_gone_on_with_and_each_row_is_answered_once(lane: str, seen: Seen) -> None:
    system = f"{lane} {time.time()}"
    moments, kills = random.Random(7), 4  # noqa: S311  # moments, no secrets
    for _ in range(kills):
        with mapping(lane=lane, system=system, concurrency=4) as one:
            one.until(state="running")
            time.sleep(moments.uniform(0, 0.15))
            one.kill()
    with mapping(lane=lane, system=system, concurrency=4) as last:
        end = last.until(state="done")
    assert end["replies"] == [str(n) for n in range(len(ROWS))]
    if lane == "concurrent":
        again = sent(seen)
        assert set(again) == set(ROWS)
        assert sum(again.values()) - len(ROWS) <= kills * 2 * 4  # those in flight at each kill


def test_a_batch_that_was_submitted_before_the_kill_is_asked_for_and_not_sent_again(seen: Seen) -> None:
    system = f"adopted {time.time()}"
    with mapping(lane="queue", system=system, rows=["<<first 1>><<say a>>", "<<say b>>"]) as one:
        one.until(queued=2)
        while not _request_ids(system):
            time.sleep(0.01)
        one.kill()
    job = kimi_magic.map(
        [{"text": "<<first 1>><<say a>>"}, {"text": "<<say b>>"}], ASK, lane="queue", system=system, rerun="replay"
    ).wait(30)
    assert job.df()["reply"].tolist() == ["a", "b"]
    assert sum(sent(seen).values()) == 2


def _request_ids(system: str) -> list[str]:
    select = "SELECT request FROM job_batch JOIN job ON job.number = job WHERE instr(spec, ?) AND request != ''"
    return [row[0] for row in kernel.ledger().read(lambda c: c.execute(select, (system,)).fetchall())]


def test_an_intent_without_an_id_is_submitted_again_under_the_same_names(seen: Seen) -> None:
    system = f"intent {time.time()}"
    texts = [{"text": "<<say a>>"}, {"text": "<<say b>>"}]
    job = kimi_magic.map(texts, ASK, lane="queue", system=system, rerun="replay").wait(30)
    number = kernel.jobs().keeping.find(job.id).number  # type: ignore[union-attr]
    kernel.close()

    def unsend(connection: Any) -> None:
        """Leave the store as a kill between the intent and the id does."""
        low = number << 32
        connection.execute(
            "INSERT INTO job_batch (number, job, request, began, items) VALUES (999999, ?, '', 0, 2)", (number,)
        )
        connection.execute(
            "UPDATE job_item SET state = 1, batch = 999999, reply = '' WHERE id > ? AND id < ?", (low, low + 9)
        )
        connection.execute("UPDATE job SET state = 'running', ended = NULL WHERE number = ?", (number,))

    kernel.ledger().write(unsend)
    again = kimi_magic.job(job.id).wait(30)
    assert again.df()["reply"].tolist() == ["a", "b"]
    submitted = [json.loads(str(one["body"])) for one in seen.all() if '"requests"' in str(one["body"])]
    names = [[one["external_reference"] for one in body["requests"]] for body in submitted]
    assert names == [[f"{job.id}-1", f"{job.id}-2"]] * 2


def test_two_processes_do_not_work_on_one_job_and_the_second_sees_the_first(seen: Seen) -> None:
    system = f"two {time.time()}"
    with mapping(lane="concurrent", system=system, concurrency=2) as one:
        one.until(state="running", done=1)
        job = kimi_magic.map(
            [{"text": text} for text in ROWS], ASK, lane="concurrent", system=system, rerun="replay", concurrency=2
        )
        assert job.standing.state == "elsewhere"
        assert job.standing.total == len(ROWS)
        end = one.until(state="done")
        job.wait(10)
    assert end["replies"] == job.df()["reply"].tolist() == [str(n) for n in range(len(ROWS))]
    assert set(sent(seen).values()) == {1}


def test_a_job_whose_process_was_killed_is_taken_over(seen: Seen) -> None:
    system = f"over {time.time()}"
    with mapping(lane="concurrent", system=system, concurrency=2) as one:
        one.until(state="running", done=1)
        job = kimi_magic.map(
            [{"text": text} for text in ROWS], ASK, lane="concurrent", system=system, rerun="replay", concurrency=2
        )
        assert job.standing.state == "elsewhere"
        one.kill()
        job.wait(20)
    assert job.standing.state == "done"
    assert job.df()["reply"].tolist() == [str(n) for n in range(len(ROWS))]
    assert sum(sent(seen).values()) - len(ROWS) <= 2 * 2


def test_a_kernel_that_slept_too_long_stops_when_another_has_taken_its_job() -> None:
    slow = [{"text": f"<<first 0.1>><<say {n}>>"} for n in range(40)]
    job = kimi_magic.map(slow, ASK, lane="concurrent", concurrency=2)
    job.wait(0.5)
    other = f"{keeping.platform.node()}:{os.getpid()}-elsewhere"
    taken = "UPDATE job SET owner = ?, until = ? WHERE id = ?"
    kernel.ledger().write(lambda c: c.execute(taken, (other, time.time() + 2, job.id)))
    until = time.monotonic() + 5
    while job.standing.state != "elsewhere":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert job.wait(30).standing.state == "done"  # the other's lease has lapsed
    assert job.df()["reply"].tolist() == [str(n) for n in range(40)]


def test_a_session_that_is_closed_leaves_its_job_to_the_next_one(home: Path) -> None:
    assert home
    slow = [{"text": f"<<first 0.05>><<say {n}>>"} for n in range(40)]
    job = kimi_magic.map(slow, ASK, lane="concurrent", concurrency=2)
    job.wait(0.4)
    kernel.close()
    found = kimi_magic.job(job.id)
    assert 0 < found.standing.done < 40
    assert found.wait(30).df()["reply"].tolist() == [str(n) for n in range(40)]
