"""A large table is mapped at once: its first rows are entered before `map` returns, the others meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import ItemsView, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import kimi_magic
from kimi_magic import kernel
from kimi_magic.errors import CommandError
from kimi_magic.jobs import keeping

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("here")
ASK = "Repeat: {{ text }}"
ROWS, LATE = 25_000, 15_000
REPLIES = [str(n % 3) for n in range(LATE)] + ["late"] + [str(n % 3) for n in range(LATE + 1, ROWS)]


class Gate(dict[str, str]):
    """A value that takes as long to be read as the test wants."""

    def __init__(self) -> None:
        super().__init__(a="<<say late>>")
        self.opened = threading.Event()

    def items(self) -> ItemsView[str, str]:
        self.opened.wait(20)
        return super().items()


def table(gate: Gate) -> pd.DataFrame:
    texts: list[Any] = [f"<<say {n % 3}>>" for n in range(ROWS)]
    texts[LATE] = gate
    return pd.DataFrame({"text": texts})


@pytest.fixture
def gate() -> Iterator[Gate]:
    one = Gate()
    yield one
    one.opened.set()


def mapped(data: Any, **options: Any) -> kimi_magic.Job:
    return kimi_magic.map(data, ASK, **{"lane": "concurrent", "rerun": "always"} | options)


@contextmanager
def opened_soon(gate: Gate) -> Iterator[None]:
    timer = threading.Timer(0.3, gate.opened.set)
    timer.start()
    yield
    timer.join()


def until(job: kimi_magic.Job, **wanted: Any) -> None:
    end = time.monotonic() + 20
    while any(getattr(job.standing, name) != value for name, value in wanted.items()):
        assert time.monotonic() < end, job.standing
        time.sleep(0.01)


@pytest.mark.parametrize("lane", ["queue", "concurrent"])
def test_the_first_rows_are_asked_while_the_others_are_entered(lane: str, gate: Gate) -> None:
    job = mapped(table(gate), lane=lane)
    until(job, done=10_000)
    now = job.standing
    assert (now.state, now.total, now.remark) == ("running", 10_000, "10,000 of 25,000 rows are entered.")
    gate.opened.set()
    assert job.df(everything=True)["reply"].notna().sum() >= 10_000  # it waits until all rows are entered
    now = job.wait(30).standing
    assert (now.state, now.total, now.done, now.same, now.remark) == ("done", ROWS, ROWS, ROWS - 4, "")
    assert job.df()["reply"].tolist() == REPLIES


def test_what_the_user_changes_meanwhile_is_not_asked(gate: Gate) -> None:
    frame = table(gate)
    job = mapped(frame)
    frame.loc[LATE + 1 :, "text"] = "<<say wrong>>"
    other = Gate()
    dicts = [{"text": text if isinstance(text, str) else other} for text in table(gate)["text"]]
    second = mapped(dicts)
    dicts[-1]["text"] = "<<say wrong>>"
    gate.opened.set()
    other.opened.set()
    assert job.wait(30).df()["reply"].tolist() == REPLIES
    assert second.wait(30).df()["reply"].tolist() == REPLIES


def test_a_pilot_asks_once_all_rows_are_known(gate: Gate) -> None:
    job = mapped(table(gate), pilot=2)
    until(job, done=6_667)
    assert job.standing.state == "pilot"
    gate.opened.set()
    job.wait(20)
    assert job.standing.state == "asking"
    assert job.standing.estimate is not None
    assert job.standing.estimate.items == 2
    assert job.answer(yes=True).wait(20).df()["reply"].tolist() == REPLIES


def test_a_private_value_further_down_stops_the_job_and_is_told() -> None:
    numbers = [f"{n:03}-55-{n:04}" for n in range(1_000, 1_100)]
    kimi_magic.private(pd.DataFrame({"ssn": numbers}), ["ssn"])
    job = mapped(pd.DataFrame({"text": ["<<say a>>"] * 10_000 + numbers}))
    with pytest.raises(CommandError, match="holds values of 'ssn'"):
        job.wait(20)
    with pytest.raises(CommandError, match="holds values of 'ssn'"):
        job.df()
    assert job.standing.state == "stopped"
    assert "private" in job.standing.remark


def test_a_file_that_cannot_be_read_further_down_stops_the_job(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"text\n" + b"<<say a>>\n" * 30_000 + b"\xff\n")
    job = mapped(path)
    with pytest.raises(CommandError, match=r"rows\.csv"):
        job.wait(20)
    assert job.standing.state == "stopped"


def test_a_job_that_is_cancelled_meanwhile_is_gone_on_with_by_the_same_map(gate: Gate) -> None:
    frame = table(gate)
    options = {"rerun": "replay", "system": f"cancelled {time.time()}"}
    job = mapped(frame, **options)
    until(job, done=10_000)
    job.cancel()
    gate.opened.set()
    assert job.standing.state == "cancelled"
    assert len(job.df()) == 10_000
    assert "The same map again" in job.retry().wait(20).standing.remark
    again = mapped(frame, **options).wait(30)
    assert (again.id, again.standing.state, again.standing.total) == (job.id, "done", ROWS)
    assert again.df()["reply"].tolist() == REPLIES


def test_the_same_map_meanwhile_counts_no_row_twice(gate: Gate) -> None:
    frame = table(gate)
    options = {"rerun": "replay", "system": f"twice {time.time()}"}
    job = mapped(frame, **options)
    with opened_soon(gate):
        again = mapped(frame, **options)
    assert again.wait(30).df()["reply"].tolist() == job.wait(30).df()["reply"].tolist() == REPLIES
    assert again.standing.total == ROWS


def test_a_session_that_is_closed_enters_nothing_more(gate: Gate) -> None:
    job = mapped(table(gate))
    until(job, done=10_000)
    with opened_soon(gate):
        kernel.close()
    assert not [one for one in threading.enumerate() if one.name in ("kimi-rows", "kimi-jobs")]
    assert len(job.df()) == 10_000


def test_a_job_that_another_kernel_takes_meanwhile_says_so(gate: Gate) -> None:
    job = mapped(table(gate))
    until(job, done=10_000)
    other = f"{keeping.platform.node()}:{os.getpid()}-elsewhere"
    taken = "UPDATE job SET owner = ?, until = ? WHERE id = ?"
    kernel.ledger().write(lambda c: c.execute(taken, (other, time.time() + 20, job.id)))
    gate.opened.set()
    with pytest.raises(CommandError, match="before all rows were entered"):
        job.wait(20)
    assert job.standing.state == "elsewhere"


KILLED = """
import time
from tests.test_jobs_entering import Gate, mapped, table, until
job = mapped(table(Gate()), rerun="replay", system="killed")
until(job, done=10_000)
print(job.id, flush=True)
time.sleep(60)
"""


def test_what_was_entered_before_a_kill_is_gone_on_with() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        id_ = process.stdout.readline().strip()
        process.kill()
    found = kimi_magic.job(id_).wait(20)
    assert found.standing.state == "stopped"
    assert "Not all rows" in found.standing.remark
    gate = Gate()
    gate.opened.set()
    job = mapped(table(gate), rerun="replay", system="killed").wait(30)
    assert (job.id, job.standing.state, job.standing.total) == (id_, "done", ROWS)
    assert job.df()["reply"].tolist() == REPLIES
