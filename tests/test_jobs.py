"""Jobs end to end: a map over rows, through both lanes of the local server, over real sockets."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

import kimi_magic
from kimi_magic import kernel
from kimi_magic.errors import CommandError, NotRecorded

if TYPE_CHECKING:
    from pathlib import Path

    from kimi_magic.jobs.standing import Standing
    from tests.conftest import Seen

pytestmark = pytest.mark.usefixtures("here")
ASK = "Repeat: {{ text }}"
LANES = ("queue", "concurrent")


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    score: int


def say(*texts: str) -> list[dict[str, str]]:
    return [{"text": f"<<say {text}>>"} for text in texts]


def done(data: Any, question: str = ASK, **options: Any) -> kimi_magic.Job:
    job = kimi_magic.map(data, question, **options).wait(30)
    assert job.standing.over, job.standing
    return job


@pytest.mark.parametrize("lane", LANES)
def test_each_row_gets_its_reply_in_order(lane: str) -> None:
    frame = pd.DataFrame(say(*"abcde"), index=list("vwxyz"))
    job = done(frame, lane=lane)
    assert job.standing.state == "done"
    assert job.standing.lane == lane
    found = job.df()
    assert found["reply"].tolist() == list("abcde")
    assert found.index.tolist() == list("vwxyz")
    assert found["kimi_error"].isna().all()
    assert list(found.columns) == ["text", "reply", "kimi_error"]


@pytest.mark.parametrize("lane", LANES)
def test_equal_rows_are_asked_once(lane: str, seen: Seen) -> None:
    job = done(say("a", "b", "a", "a"), lane=lane)
    assert job.df()["reply"].tolist() == ["a", "b", "a", "a"]
    assert (job.standing.total, job.standing.done, job.standing.same) == (4, 4, 2)
    if lane == "concurrent":
        assert len(seen.all()) == 2


def test_rows_without_a_value_are_not_asked(seen: Seen) -> None:
    job = done(pd.DataFrame({"text": ["<<say a>>", None, float("nan")]}), lane="concurrent")
    assert len(seen.all()) == 1
    found = job.df()
    assert found["reply"].isna().tolist() == [False, True, True]
    assert job.standing.total == 1


def test_polars_in_polars_out() -> None:
    found = done(pl.DataFrame(say("a", "b"))).df()
    assert isinstance(found, pl.DataFrame)
    assert found["reply"].to_list() == ["a", "b"]


@pytest.mark.parametrize("lane", LANES)
def test_replies_are_typed_and_become_columns(lane: str) -> None:
    rows = say('{"mood": "good", "score": 3}', '{"mood": "bad", "score": 1}')
    found = done(rows, lane=lane, out=Mood).df()
    assert found["mood"].tolist() == ["good", "bad"]
    assert found["score"].tolist() == [3, 1]
    assert str(found["score"].dtype).lower() == "int64"


@pytest.mark.parametrize("lane", LANES)
def test_a_reply_that_is_not_valid_is_mended_once(lane: str) -> None:
    mended = '<<say {"mood": "fine"}>><<again {"mood": "good", "score": 2}>>'
    hopeless = '<<say {"mood": "fine"}>><<again still not>>'
    job = done([{"text": mended}, {"text": hopeless}], lane=lane, out=Mood)
    assert (job.standing.done, job.standing.failed) == (1, 1)
    found = job.df()
    assert found["mood"].tolist()[0] == "good"
    assert "Mood" in found["kimi_error"].tolist()[1]
    assert [one["row"] for one in job.errors] == [1]


@pytest.mark.parametrize("lane", LANES)
def test_a_service_that_takes_no_schema_is_asked_in_json_mode(lane: str) -> None:
    rows = [{"text": f'<<say {{"mood": "good", "score": {n}}}>><<fault schema times=1>>'} for n in range(5)]
    job = done(rows, lane=lane, out=Mood)
    assert job.standing.failed == 0, job.errors
    assert job.df()["score"].tolist() == list(range(5))


@pytest.mark.parametrize("lane", LANES)
def test_one_row_that_is_refused_fails_alone(lane: str) -> None:
    job = done([*say("a", "b"), {"text": "<<fault 5004>>"}, {"text": "<<fault 3006>>"}], lane=lane)
    assert (job.standing.done, job.standing.failed) == (2, 2), job.standing
    assert [one["row"] for one in job.errors] == [2, 3]


def test_a_reply_that_was_cut_is_an_error_of_its_row() -> None:
    job = done([{"text": "<<tokens 500>>"}], max_tokens=10, lane="concurrent")
    assert "cut at 10 tokens" in job.errors[0]["reason"]


def test_the_same_map_again_sends_only_what_is_missing(seen: Seen) -> None:
    first = done(say("a", "b"), lane="concurrent", rerun="replay", system="again")
    seen.clear()
    second = done(say("b", "c", "a"), lane="concurrent", rerun="replay", system="again")
    assert first.id == second.id
    assert len(seen.all()) == 1
    assert second.df()["reply"].tolist() == ["b", "c", "a"]
    assert (second.standing.total, second.standing.done) == (3, 3)


def test_other_rows_of_the_same_question_join_a_map_that_runs() -> None:
    parts = [[{"text": f"<<first 0.05>><<say {n}-{m}>>"} for m in range(10)] for n in range(3)]
    jobs = [
        kimi_magic.map(part, ASK, lane="concurrent", concurrency=2, rerun="replay", system="parts") for part in parts
    ]
    assert len({job.id for job in jobs}) == 1
    for n, job in enumerate(jobs):
        assert job.wait(30).df()["reply"].tolist() == [f"{n}-{m}" for m in range(10)]


def test_rows_that_are_no_longer_mapped_are_not_sent(seen: Seen) -> None:
    slow = [{"text": f"<<first 0.2>><<say {n}>>"} for n in range(20)]
    job = kimi_magic.map(slow, ASK, lane="concurrent", concurrency=1, rerun="replay", system="fewer")
    job.wait(0.3)
    job.cancel()
    seen.clear()
    few = done(slow[-2:], lane="concurrent", rerun="replay", system="fewer")
    assert (few.standing.total, few.standing.done) == (2, 2)
    assert len(seen.all()) == 2


def test_rerun_always_is_a_new_job(seen: Seen) -> None:
    one, other = (done(say("a"), lane="concurrent", rerun="always") for _ in range(2))
    assert one.id != other.id
    assert len(seen.all()) == 2


def test_rerun_only_sends_nothing(seen: Seen) -> None:
    with pytest.raises(NotRecorded, match="not recorded"):
        kimi_magic.map(say("a"), ASK, rerun="only", system="only")
    done(say("a"), lane="concurrent", rerun="replay", system="only")
    seen.clear()
    assert kimi_magic.map(say("a"), ASK, rerun="only", system="only").df()["reply"].tolist() == ["a"]
    with pytest.raises(NotRecorded, match="1 rows"):
        kimi_magic.map(say("a", "b"), ASK, rerun="only", system="only")
    assert seen.all() == []


def test_all_rows_share_their_beginning(seen: Seen) -> None:
    done(say("a", "b", "c"), "Be brief. Repeat: {{ text }}", lane="concurrent", system="You repeat.")
    messages = [json.loads(str(request["body"]))["messages"] for request in seen.all()]
    assert {one[0]["content"] for one in messages} == {"You repeat."}
    texts = [one[-1]["content"] for one in messages]
    assert all(text.startswith("Be brief. Repeat: {text}\n\n") for text in texts)
    assert len({str(request["headers"]).partition("x-session-affinity")[2][:20] for request in seen.all()}) == 1


def test_history_comes_before_each_row_where_it_is_wanted(seen: Seen) -> None:
    kimi_magic.ask("<<say noted>> My name is Ada.")
    seen.clear()
    done(say("a"), lane="concurrent", history=True)
    assert "Ada" in str(seen.last()["body"])
    seen.clear()
    done(say("a"), lane="concurrent")
    assert "Ada" not in str(seen.last()["body"])


def test_a_row_goes_on_as_a_conversation(seen: Seen) -> None:
    job = done(say("blue", "red"), lane="concurrent")
    conversation = job.open(1)
    assert kernel.current().conversation is conversation
    kimi_magic.ask("<<say yes>> Are you sure?")
    said = [message["content"] for message in json.loads(str(seen.last()["body"]))["messages"]]
    assert said[1] == "red"
    assert said[2].endswith("Are you sure?")
    with pytest.raises(CommandError, match="no row 7"):
        job.open(7)


def test_files_are_read_in_pieces(tmp_path: Path) -> None:
    pd.DataFrame(say("a", "b")).to_parquet(tmp_path / "rows.parquet")
    assert done(tmp_path / "rows.parquet").df()["reply"].tolist() == ["a", "b"]


@pytest.mark.parametrize("lane", LANES)
def test_on_change_is_told_the_end(lane: str) -> None:
    told: list[Standing] = []
    over = threading.Event()

    def hear(standing: Standing) -> None:
        told.append(standing)
        if standing.over:
            over.set()

    job = kimi_magic.map(say("<<first 0.2>>a", "b"), ASK, lane=lane)
    job.on_change(hear)
    assert over.wait(20)
    assert told[-1].done == 2
    assert all(one.done + one.failed + one.pending + one.queued + one.running == one.total for one in told)


def test_a_job_can_be_cancelled_and_gone_on_with() -> None:
    rows = [{"text": f"<<first 0.3>><<say {n}>>"} for n in range(40)]
    job = kimi_magic.map(rows, ASK, lane="concurrent", concurrency=2)
    job.wait(0.5)
    job.cancel()
    now = job.standing
    assert now.state == "cancelled"
    assert now.done < 40
    assert (now.running, now.pending) == (0, 40 - now.done)
    assert len(job.df()) == now.done
    job.retry().wait(0.5)
    job.cancel()
    assert job.standing.done > now.done


def test_retry_asks_again_what_failed() -> None:
    job = done([{"text": "<<fault 5004 times=1>><<say ok>>"}, *say("a")], lane="concurrent")
    assert job.standing.failed == 1
    assert job.retry().wait(20).df()["reply"].tolist() == ["ok", "a"]


def test_a_job_is_found_again_by_its_id_without_its_data() -> None:
    job = done(say("a", "b"), lane="concurrent")
    kernel.close()
    found = kimi_magic.job(job.id[:6])
    assert found.standing.state == "done"
    assert found.df()["reply"].tolist() == ["a", "b"]
    assert found.df()["question"].tolist() == ["text: <<say a>>", "text: <<say b>>"]
    with pytest.raises(CommandError, match="not the id"):
        kimi_magic.job("nothing")


def test_a_job_of_a_closed_session_shows_what_it_has_and_says_how_to_go_on() -> None:
    job = kimi_magic.map(
        [{"text": f"<<first 0.2>><<say {n}>>"} for n in range(20)], ASK, lane="concurrent", concurrency=2
    )
    job.wait(0.5)
    kernel.close()
    assert len(job.df()) == job.standing.done < 20
    with pytest.raises(CommandError, match="closed"):
        job.wait()


def test_a_view_that_fails_does_not_end_the_job() -> None:
    def fail(standing: Standing) -> None:
        raise ValueError(standing.id)

    job = kimi_magic.map(say("a", "b"), ASK, lane="concurrent")
    job.on_change(fail)
    assert job.wait(20).df()["reply"].tolist() == ["a", "b"]


def test_a_forgotten_job_is_gone() -> None:
    job = done(say("a"), lane="concurrent")
    job.forget()
    with pytest.raises(CommandError, match="not the id"):
        kimi_magic.job(job.id)


def test_lanes_change_midway() -> None:
    rows = [{"text": f"<<first 0.1>><<say {n}>>"} for n in range(60)]
    job = kimi_magic.map(rows, ASK, lane="concurrent", concurrency=1)
    job.wait(0.4)
    job.lane = "queue"
    job.wait(30)
    assert job.lane == "queue"
    assert job.df()["reply"].tolist() == [str(n) for n in range(60)]


def test_what_a_queue_never_answers_is_asked_one_by_one_when_that_lane_is_wanted() -> None:
    job = kimi_magic.map([{"text": "<<fault queue-never>><<say a>>"}, *say("b")], ASK, lane="queue")
    job.wait(1)
    assert job.standing.queued == 2
    assert job.standing.oldest is not None
    job.lane = "concurrent"
    assert job.wait(20).df()["reply"].tolist() == ["a", "b"]


def test_threads_of_an_executor_answer() -> None:
    with ThreadPoolExecutor(2) as executor:
        job = done(say(*"abcdefgh"), executor=executor, concurrency=2)
    assert job.df()["reply"].tolist() == list("abcdefgh")
    assert job.standing.lane == "concurrent"


def test_processes_of_an_executor_answer() -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        job = done([*say(*"abcdefgh"), {"text": "<<fault 5004>>"}], executor=executor, concurrency=4)
    assert job.df()["reply"].tolist()[:8] == list("abcdefgh")
    assert job.standing.failed == 1


def test_an_executor_that_breaks_stops_the_job_and_says_so() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    job = done(say("a"), executor=executor)
    assert job.standing.state == "stopped"
    assert "executor" in job.standing.remark


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lane": "fast"}, "no lane"), ({"pilot": -1}, "pilot"), ({"pilot": "few"}, "pilot"),
        ({"budget": "lots"}, "budget"), ({"budget": "$2/day"}, "one job"), ({"concurrency": 0}, "concurrency"),
        ({"executor": "pool"}, "no executor"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_an_error_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        kimi_magic.map(say("a"), ASK, **options)


def test_a_row_that_cannot_be_and_a_question_that_is_none() -> None:
    with pytest.raises(CommandError, match="The question is text"):
        kimi_magic.map(say("a"), 3)  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="no row 'a'"):
        done(say("a")).open("a")  # type: ignore[arg-type]


def test_a_secret_in_the_question_is_neither_sent_nor_kept(seen: Seen) -> None:
    secret = "gh" + "p_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
    job = done(say(f"a {secret}"), f"With {secret}: {{{{ text }}}}", system=f"It is {secret}.")
    assert secret not in str([entry["body"] for entry in seen.all()])
    assert secret not in job.standing.title
    with sqlite3.connect(kernel.ledger().path) as store:
        assert not [line for line in store.iterdump() if secret in line]


def test_no_rows_are_an_error() -> None:
    with pytest.raises(CommandError, match="no rows"):
        kimi_magic.map(pd.DataFrame({"text": []}), ASK)


def test_what_is_sent_is_in_the_ledger_and_the_usage() -> None:
    before = len(kernel.ledger().egress(10_000))
    job = done(say("a", "b", "b"), lane="concurrent")
    entries = kernel.ledger().egress(10_000)[before:]
    assert {entry.kind for entry in entries} == {"job"}
    assert sum(entry.rows for entry in entries) == 3
    assert {entry.columns for entry in entries} == {("text",)}
    books = kernel.current().books
    assert books.replies == 2
    assert books.usage == job.usage
    used = [one for one in kernel.ledger().usage(0) if one.conversation == f"job {job.id}"]
    assert sum(one.output for one in used) == job.usage.output
    assert all(one.kernel for one in used)


def test_a_private_column_is_refused_before_anything_is_sent(seen: Seen) -> None:
    frame = pd.DataFrame({"text": ["a"], "salary_of_hers": ["1"]})
    kimi_magic.private(frame, ["salary_of_hers"])
    with pytest.raises(CommandError, match="private"):
        kimi_magic.map(frame, "{{ salary_of_hers }}")
    assert seen.all() == []


def test_what_a_service_takes_no_schema_for_is_asked_so_only_once(seen: Seen) -> None:
    refused = [{"text": f'<<say {{"mood": "good", "score": {n}}}>><<fault schema>>'} for n in range(3)]
    done(refused, lane="concurrent", out=Mood)
    seen.clear()
    assert done(refused, lane="concurrent", out=Mood).standing.done == 3
    assert [json.loads(str(one["body"]))["response_format"]["type"] for one in seen.all()] == ["json_object"] * 3
