"""A cell that is answered later: real kernels, the local server's queue, a store of their own."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic.local import launch
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Cell

TOOLS = '''
import kimi_magic

def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b

@kimi_magic.tool(approve=True)
def order(item: str) -> str:
    """Order something."""
    return f"ordered {item}"
'''


@pytest.fixture
def started(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[[], Kernel]]:
    """Start kernels of one notebook, with a store of their own."""
    running: list[Kernel] = []

    def start() -> Kernel:
        home = {"KIMI_HOME": str(tmp_path / "home"), "JPY_SESSION_NAME": str(tmp_path / "a.ipynb")}
        kernel = Kernel({**environment, **home}, tmp_path).__enter__()
        running.append(kernel)
        assert kernel.run("%load_ext kimi_magic").ok
        return kernel

    yield start
    for kernel in running:
        kernel.__exit__()


@pytest.fixture(scope="module")
def one(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with a store of its own, for the tests that need no restart."""
    folder = tmp_path_factory.mktemp("later")
    home = {"KIMI_HOME": str(folder / "home"), "JPY_SESSION_NAME": str(folder / "a.ipynb")}
    with Kernel({**environment, **home}, folder) as kernel:
        yield kernel


@pytest.fixture
def later(one: Kernel) -> Kernel:
    """The same with the extension freshly loaded."""
    assert one.run(f"%reload_ext kimi_magic\n{TOOLS}\nanswer = None").ok
    return one


class Watcher:
    """What a front end gets of a kernel, whoever has caused it."""

    def __init__(self, kernel: Kernel) -> None:
        self._client = kernel.manager.blocking_client()
        self._client.start_channels(shell=False, stdin=False, hb=False, control=False)
        self._seen: list[dict[str, Any]] = []
        while not self._seen:  # a subscription takes its time
            kernel.run("0")
            self._take(0.2)

    def _take(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._seen.append(self._client.get_iopub_msg(timeout=seconds))

    def output(self, cell: Cell, wanted: str, seconds: float = 30) -> dict[str, str]:
        """Give what stands in the one output of a cell once that has these words in it."""
        [shown] = cell.outputs
        if wanted in "".join(shown["data"].values()):
            return dict(shown["data"])
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for message in self._seen:
                data: dict[str, str] = message["content"].get("data", {})
                own = message["content"].get("transient", {}).get("display_id") == shown["id"]
                if own and message["msg_type"] == "update_display_data" and wanted in "".join(data.values()):
                    return data
            self._take(0.2)
        raise TimeoutError(wanted)

    def close(self) -> None:
        self._client.stop_channels()


@pytest.fixture
def watcher(later: Kernel) -> Iterator[Watcher]:
    watcher = Watcher(later)
    yield watcher
    watcher.close()


def questions(seen: Seen) -> list[str]:
    """The last message of each request that asked something, alone or in a batch."""
    bodies = [json.loads(str(entry["body"])) for entry in seen.all()]
    asked = [one for body in bodies for one in body.get("requests", [body]) if "messages" in one]
    return [one["messages"][-1]["content"] for one in asked]


@pytest.mark.parametrize("lane", ["queue", "concurrent"])
def test_a_reply_fills_in_where_it_was_asked_while_other_cells_run(later: Kernel, watcher: Watcher, lane: str) -> None:
    asked = later.run(f"%%kimi answer --later --lane {lane}\nHello <<first 2>><<say Good **day**.>>")
    assert asked.ok
    assert asked.count("execute_result") == 0
    assert "The reply comes later" in asked.text
    assert "not there yet" in later.run("answer").text
    used = later.run("answer.text")
    assert "CommandError" in used.text
    assert "%kimi job" in used.text
    assert later.run("%%kimi between\nOther <<say other>>").text == "other"
    filled = watcher.output(asked, "<strong>")
    assert "<strong>day</strong>" in filled["text/html"]
    assert f"through the {lane} lane" in filled["text/html"]
    later.run(f"%kimi job {_latest(later)} wait")
    assert later.value("answer.text") == "Good **day**."
    assert later.value("between.text") == "other"


def test_its_turn_is_part_of_the_conversation_where_nothing_was_asked_since(later: Kernel, seen: Seen) -> None:
    later.run("%%kimi -q\none <<say 1>>")
    later.run("%%kimi answer --later\ntwo <<say 2>>")
    later.run(f"%kimi job {_latest(later)} wait")
    later.run("%%kimi -q\nthree <<say 3>>")
    said = [message["content"] for message in json.loads(str(seen.last()["body"]))["messages"]]
    assert said == ["one <<say 1>>", "1", "two <<say 2>>", "2", "three <<say 3>>"]


def test_its_turn_is_a_branch_where_something_was_asked_since(later: Kernel, seen: Seen) -> None:
    later.run("%%kimi -q\none <<say 1>>")
    later.run("%%kimi answer --later\naside <<first 1>><<say 2>>")
    later.run("%%kimi -q\ntwo <<say 3>>")
    later.run(f"%kimi job {_latest(later)} wait")
    later.run("%%kimi -q\nthree <<say 4>>")
    said = [message["content"] for message in json.loads(str(seen.last()["body"]))["messages"]]
    assert said == ["one <<say 1>>", "1", "two <<say 3>>", "3", "three <<say 4>>"]
    assert "aside" in later.run("%kimi history --all").text
    assert "aside" not in later.run("%kimi history").text


def _latest(kernel: Kernel) -> str:
    return str(kernel.value("__import__('kimi_magic.jobwords', fromlist=['ids']).ids()[-1]"))


def test_a_value_and_tools_work_as_in_any_cell(later: Kernel) -> None:
    text = '<<tool add {"a": 40}>><<then>><<say-json "{\\"total\\": 42}">>'
    asked = later.run(f'%%kimi answer --later -t add -o "total int"\n{text}')
    assert asked.ok, asked.text
    done = later.run(f"%kimi job {_latest(later)} wait")
    assert "42" in done.text
    assert "add" in done.html
    assert later.value("answer['total']") == 42


def test_a_tool_that_wants_approval_is_refused_before_anything_is_sent(later: Kernel, seen: Seen) -> None:
    asked = later.run("%%kimi --later -t order\n<<tool order {}>>")
    assert "order wants your approval" in asked.text
    assert "--approve all" in asked.text
    assert seen.all() == []


def test_no_history_and_another_conversation(later: Kernel, seen: Seen) -> None:
    later.run("%%kimi -q\none <<say 1>>")
    for option in ("--no-history", "--session other", "--new"):
        later.run(f"%%kimi --later {option}\nalone <<say 2>>")
        later.run(f"%kimi job {_latest(later)} wait")
        assert questions(seen)[-1] == "alone <<say 2>>"
    assert "other" in later.run("%kimi switch").text
    assert "alone" in later.run("%kimi history").text


def test_without_a_queue_it_is_an_ordinary_request_and_says_so(later: Kernel) -> None:
    later.run("%%kimi answer --later\n<<fault queue-8007>><<say fine>>")
    done = later.run(f"%kimi job {_latest(later)} wait")
    assert done.text == "fine"
    assert "through the concurrent lane" in done.html
    assert "No queue" in done.html
    later.run("%%kimi answer --later --lane queue\n<<fault queue-10063>><<say fine>>")
    failed = later.run(f"%kimi job {_latest(later)} wait")
    assert "No reply: stopped" in failed.text
    assert "10063" in failed.text or "queueing" in failed.text
    assert re.search(r"There is no reply: job \w+, asked at [\d:]+, is stopped", later.run("answer").text)
    assert "retry asks again" in later.run("answer.text").text


def test_what_the_service_forgets_is_sent_again(later: Kernel, seen: Seen) -> None:
    later.run("%%kimi answer --later\n<<fault queue-forgotten times=1>><<say back>>")
    assert later.run(f"%kimi job {_latest(later)} wait").text == "back"
    assert len(questions(seen)) == 2


def test_the_lane_can_be_changed_while_it_waits(later: Kernel, watcher: Watcher) -> None:
    asked = later.run("%%kimi answer --later\n<<fault queue-never times=1>><<say fine>>")
    later.run("job = _")
    watcher.output(asked, "in the service's queue")
    later.run("job.lane = 'concurrent'\njob.wait(30)")
    assert "through the concurrent lane" in watcher.output(asked, "answered")["text/html"]
    assert later.value("answer.text") == "fine"


def test_what_was_recorded_is_shown_at_once_and_is_no_job(later: Kernel, seen: Seen) -> None:
    before = len(later.value("__import__('kimi_magic.jobwords', fromlist=['ids']).ids()"))
    for _ in range(2):
        later.run("%%kimi answer --later --no-history --rerun replay\nrecorded <<say fine>>")
        later.run(f"%kimi job {_latest(later)} wait")
    again = later.run("%%kimi answer --later --no-history --rerun replay\nrecorded <<say fine>>")
    assert again.text == "fine"
    assert "replayed" in again.html
    assert again.count("update_display_data") == 0
    assert later.value("answer.text") == "fine"
    assert len(questions(seen)) == 1
    assert len(later.value("__import__('kimi_magic.jobwords', fromlist=['ids']).ids()")) == before + 1


def test_without_a_network_it_waits_and_says_so(environment: Mapping[str, str], tmp_path: Path) -> None:
    local = launch.start(engine="scripted")
    home = {"KIMI_HOME": str(tmp_path / "home"), "KIMI_LOCAL_URL": local.url, "KIMI_LOCAL_TOKEN": local.token}
    with Kernel({**environment, **home}, tmp_path) as kernel:
        kernel.run("%load_ext kimi_magic")
        local.close()
        watcher = Watcher(kernel)
        asked = kernel.run("%%kimi answer --later --lane queue\nHello")
        told = watcher.output(asked, "It is tried again in")
        watcher.close()
        assert "The reply comes later" in told["text/plain"]
        assert "cannot be reached" in told["text/plain"]
        assert "waits" in kernel.run("%kimi jobs").text
        assert "cancelled" in kernel.run(f"%kimi job {_latest(kernel)} cancel").text


@pytest.mark.parametrize(
    "fault", ["queue-results", "queue-twice", "queue-busy", "queue-missing times=1", "queue-cut times=1"]
)
def test_odd_answers_of_the_queue_do_no_harm(later: Kernel, fault: str) -> None:
    later.run(f"%%kimi answer --later\n<<fault {fault}>><<say fine>>")
    assert later.run(f"%kimi job {_latest(later)} wait").text == "fine"


def test_a_job_that_failed_can_be_tried_again(later: Kernel, watcher: Watcher) -> None:
    asked = later.run("%%kimi answer --later\n<<fault 5004 times=1>><<say fine>>")
    assert "retry" in watcher.output(asked, "No reply")["text/plain"]
    assert "stopped" in later.run("%kimi jobs").text
    later.run(f"%kimi job {_latest(later)} retry")
    assert watcher.output(asked, "through the queue lane")["text/plain"] == "fine"
    assert later.value("answer.text") == "fine"


def test_a_cancelled_job_stays_so_until_it_is_asked_again(later: Kernel, watcher: Watcher) -> None:
    asked = later.run("%%kimi answer --later\n<<fault queue-never times=1>><<say fine>>")
    job = _latest(later)
    watcher.output(asked, "in the service's queue")
    assert "No reply: cancelled" in later.run(f"%kimi job {job} cancel").text
    assert "cancelled" in later.run("%kimi jobs").text
    assert later.run(f"%kimi job {job} forget").ok
    assert job not in later.run("%kimi jobs").text


def test_ctrl_c_ends_the_waiting_and_not_the_job(later: Kernel) -> None:
    later.run("%%kimi answer --later\n<<first 2>><<say fine>>")
    job = _latest(later)
    code = f"print('waits', flush=True)\nget_ipython().run_line_magic('kimi', 'job {job} wait')"
    stopped = later.run(code, watch=later.interrupt_when(lambda message: message["msg_type"] == "stream"))
    assert not stopped.ok
    assert later.run(f"%kimi job {job} wait").text == "fine"


def test_a_cell_that_runs_again_while_it_waits_asks_once(later: Kernel, seen: Seen) -> None:
    for _ in range(2):
        later.run("%%kimi answer --later\nonce <<first 1>><<say fine>>", metadata={"cellId": "c1"})
    assert later.run(f"%kimi job {_latest(later)} wait").text == "fine"
    assert questions(seen) == ["once <<first 1>><<say fine>>"]


def test_a_kernel_that_was_killed_leaves_the_job_to_the_next_one(started: Callable[[], Kernel], seen: Seen) -> None:
    first = started()
    first.run("%%kimi -q\none <<say 1>>")
    watcher = Watcher(first)
    asked = first.run('%%kimi answer --later -o "n int"\ntwo <<first 3>><<say-json "{\\"n\\": 7}">>')
    watcher.output(asked, "in the service's queue")
    watcher.close()
    first.manager.shutdown_kernel(now=True)
    second = started()
    listed = second.run("%kimi jobs")
    assert "The reply comes later" in listed.text
    assert "not there yet" in second.run("answer").text
    done = second.run(f"%kimi job {_latest(second)} wait")
    assert "7" in done.text
    assert second.value("answer['n']") == 7
    assert len([text for text in questions(seen) if "two <<first" in text]) == 1
    assert "two" in second.run("%kimi resume").text
    assert "done" in second.run("%kimi jobs").text


def test_a_cell_that_runs_again_after_a_restart_finds_what_was_sent(started: Callable[[], Kernel], seen: Seen) -> None:
    first, again = started(), ("%%kimi -q\none <<say 1>>", "%%kimi answer --later\ntwo <<first 2>><<say 2>>")
    for number, cell in enumerate(again):
        asked = first.run(cell, metadata={"cellId": f"c{number}"})
    watcher = Watcher(first)
    watcher.output(asked, "in the service's queue")
    watcher.close()
    first.manager.shutdown_kernel(now=True)
    second = started()
    for number, cell in enumerate(again):
        second.run(cell, metadata={"cellId": f"c{number}"})
    assert second.run(f"%kimi job {_latest(second)} wait").text == "2"
    assert len([text for text in questions(seen) if text.startswith("two")]) == 1
    assert second.value("answer.text") == "2"
    assert "two" in second.run("%kimi history").text


def test_what_was_answered_for_an_earlier_kernel_is_shown_once(started: Callable[[], Kernel]) -> None:
    first = started()
    first.run("%%kimi answer --later\n<<say fine>>")
    first.run(f"%kimi job {_latest(first)} wait")
    first.manager.shutdown_kernel(now=True)
    second = started()
    assert second.run("%kimi jobs").text.endswith("fine")
    assert second.value("answer.text") == "fine"
    assert not second.run("%kimi jobs").text.endswith("fine")


def test_a_job_that_no_kernel_has_can_be_cancelled_and_asked_again(started: Callable[[], Kernel], seen: Seen) -> None:
    first = started()
    first.run("%%kimi answer --later --no-history\n<<first 1>><<say fine>>")
    first.manager.shutdown_kernel(now=True)
    second = started()
    job = _latest(second)
    assert "No kernel works on it" in second.run(f"%kimi job {job}").text
    assert "No reply: cancelled" in second.run(f"%kimi job {job} cancel").text
    second.run(f"%kimi job {job} retry")
    assert second.run(f"%kimi job {job} wait").text == "fine"
    assert second.value("answer.text") == "fine"
    assert len(questions(seen)) == 1


def test_two_kernels_do_not_take_the_same_reply(started: Callable[[], Kernel], seen: Seen) -> None:
    first, second = started(), started()
    first.run("%%kimi answer --later --no-history\nonly once <<first 2>><<say fine>>")
    assert "in another kernel" in second.run("%kimi jobs").text
    again = second.run("%%kimi answer --later --no-history\nonly once <<first 2>><<say fine>>")
    assert "Another kernel" in again.text
    assert first.run(f"%kimi job {_latest(first)} wait").text == "fine"
    assert len(questions(seen)) == 1


def test_a_session_that_is_closed_leaves_its_jobs_to_the_next_one(later: Kernel) -> None:
    later.run("%%kimi answer --later\n<<first 2>><<say fine>>")
    job = _latest(later)
    later.run("%reload_ext kimi_magic")
    assert "The reply comes later" in later.run("%kimi jobs").text
    assert later.run(f"%kimi job {job} wait").text == "fine"


def test_forgetting_a_conversation_erases_the_jobs_that_were_asked_in_it(later: Kernel) -> None:
    later.run("%kimi forget --all")
    later.run("%%kimi --later\nSECRET-QUESTION <<say SECRET-REPLY>>")
    job = _latest(later)
    later.run(f"%kimi job {job} wait")
    assert later.run("%kimi forget").ok
    assert job not in later.run("%kimi jobs").text
    later.run("import os, pathlib")
    files = "list(pathlib.Path(os.environ['KIMI_HOME']).glob('kimi.sqlite3*'))"
    assert later.value(f"any(b'SECRET' in path.read_bytes() for path in {files})") is False


def test_what_cannot_be_asked_is_an_error_of_the_cell_and_no_job(later: Kernel, seen: Seen) -> None:
    before = later.value("__import__('kimi_magic.jobwords', fromlist=['ids']).ids()")
    asked = later.run("%%kimi answer --later --effort off -m k2.7-code\nHello")
    assert "always thinks" in asked.text
    assert later.run("answer is None").text == "True"
    assert later.value("__import__('kimi_magic.jobwords', fromlist=['ids']).ids()") == before
    assert seen.all() == []
