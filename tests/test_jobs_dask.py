"""Dask dataframes: mapped lazily on real worker processes, one of which may die; and a cluster as the executor."""

from __future__ import annotations

import os
import pickle
import signal
import time
from typing import TYPE_CHECKING, Any, Literal

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from pydantic import BaseModel

import kimi_magic
from kimi_magic import kernel as ours
from kimi_magic.errors import CommandError, KimiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

ASK = "Classify: {{ text }}"


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    score: int


SMALL: dict[str, Any] = {"processes": True, "dashboard_address": ":0"}


@pytest.fixture(scope="module")
def workers(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Two worker processes of one thread each."""
    scratch = str(tmp_path_factory.mktemp("scratch"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, local_directory=scratch, **SMALL) as made,
            Client(made, set_as_default=False) as client,
        ):
            yield client


@pytest.fixture
def cluster(here: pytest.MonkeyPatch, workers: Client) -> Iterator[Client]:
    """These workers as those that compute, and nothing asked anew that was asked."""
    here.setenv("KIMI_RERUN", "replay")
    with workers.as_current(), dask.config.set(scheduler="dask.distributed"):
        yield workers


def moods(rows: int, slow: str = "") -> pd.DataFrame:
    """Rows that say what is to be answered."""
    texts = [f'{slow}<<say-json "{{\\"mood\\": \\"good\\", \\"score\\": {n}}}">>' for n in range(rows)]
    return pd.DataFrame({"text": texts, "n": range(rows)}, index=pd.Index([f"r{n:03}" for n in range(rows)], name="id"))


@pytest.mark.usefixtures("cluster")
def test_a_dask_frame_is_asked_by_its_workers_when_it_is_computed(seen: Seen, tmp_path: Path) -> None:
    table = moods(12)
    table.loc["r003", "text"] = None
    table.loc["r004", "text"] = "<<say no JSON>><<again nor now>>"
    table.loc["r006", "text"] = table.loc["r005", "text"]
    data = dd.from_pandas(table, npartitions=3)
    made = kimi_magic.map(data, ASK, out=Mood, lane="concurrent", folder=tmp_path)
    assert isinstance(made, dd.DataFrame)
    assert made.divisions == data.divisions
    assert list(made.columns) == ["text", "n", "mood", "score", "kimi_error"]
    assert seen.all() == []
    found = made.compute()
    assert found.index.tolist() == table.index.tolist()
    assert found["n"].tolist() == list(range(12))
    assert found["score"].fillna(-1).tolist() == [0, 1, 2, -1, -1, 5, 5, *range(7, 12)]
    assert "not Mood" in found["kimi_error"].iloc[4]
    assert found["kimi_error"].isna().sum() == 11
    assert found.dtypes.to_dict() == made._meta.dtypes.to_dict()
    asked = len(seen.all())
    assert asked == 11, "eleven different texts, of which one is asked twice, because its reply is no JSON"
    assert made["score"].sum().compute() == found["score"].sum()
    assert len(seen.all()) == asked, "what is done is in the stores of the partitions"


def test_a_worker_that_dies_is_taken_over_and_only_what_is_missing_is_asked(
    cluster: Client, seen: Seen, tmp_path: Path
) -> None:
    data = dd.from_pandas(moods(32, "<<first 0.1>>"), npartitions=2)
    made = kimi_magic.map(data, ASK, out=Mood, lane="concurrent", concurrency=2, folder=tmp_path)
    future = cluster.compute(made)
    while len(seen.all()) < 20:
        time.sleep(0.02)
    os.kill(
        next(iter(cluster.run(os.getpid).values())),
        signal.SIGKILL,
    )
    found = future.result(timeout=60)
    assert found["score"].tolist() == list(range(32))
    assert found["kimi_error"].isna().all()
    again = len(seen.all()) - 32
    assert 0 <= again <= 4, "at most what the dead worker had on its way"


def test_what_nobody_wants_any_more_is_not_asked_on(cluster: Client, seen: Seen, tmp_path: Path) -> None:
    data = dd.from_pandas(moods(40, "<<first 0.15>>"), npartitions=1)
    future = cluster.compute(kimi_magic.map(data, ASK, lane="concurrent", concurrency=1, folder=tmp_path))
    while len(seen.all()) < 2:
        time.sleep(0.02)
    future.cancel()
    counts = [len(seen.all())]
    while len(counts) < 4 or counts[-1] != counts[-4]:
        time.sleep(0.3)
        counts.append(len(seen.all()))
    assert counts[-1] < 20


@pytest.mark.usefixtures("cluster")
def test_what_is_done_counts_wherever_the_same_folder_is_given(seen: Seen, tmp_path: Path) -> None:
    data = dd.from_pandas(moods(6), npartitions=2)
    folder = tmp_path / "shared"
    kimi_magic.map(data, ASK, folder=folder).compute()
    assert len(list(folder.iterdir())) == 2
    seen.clear()
    again = kimi_magic.map(dd.from_pandas(moods(6), npartitions=2), ASK, folder=folder)
    assert again.compute(scheduler="threads")["reply"].notna().all()
    assert seen.all() == []
    assert len(kimi_magic.map(data, ASK, folder=folder, rerun="only").compute()) == 6
    kimi_magic.map(data, ASK, folder=folder, rerun="always").compute()
    assert len(list(folder.iterdir())) == 4


def test_credentials_travel_in_the_task_and_show_nowhere(
    cluster: Client, here: pytest.MonkeyPatch, seen: Seen, tmp_path: Path
) -> None:
    token = os.environ["KIMI_LOCAL_TOKEN"]
    here.delenv("KIMI_LOCAL_TOKEN")
    cluster.run(lambda: os.environ.pop("KIMI_LOCAL_TOKEN"))
    ours.configure("local_token", token)
    try:
        made = kimi_magic.map(dd.from_pandas(moods(4), npartitions=2), ASK, lane="concurrent", folder=tmp_path)
        graph = made.__dask_graph__()
        shown = [repr(made), str(made), str(list(graph)), repr(graph), repr(made.expr), made.expr.tree_repr()]
        assert made.compute()["reply"].notna().all()
    finally:
        ours.configure("local_token", None)
        cluster.run(lambda: os.environ.update(KIMI_LOCAL_TOKEN=token))
    assert len(seen.all()) == 4
    assert not any(token in text for text in shown)
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.rglob("*.sqlite3*"))


def test_what_cannot_be_asked_is_said_at_once(here: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    data = dd.from_pandas(moods(4), npartitions=2)
    shared = kimi_magic.map(data, ASK, budget="$2", rate=30).expr.func
    assert (shared.budget, shared.options["rate"]) == (1.0, 30 / min(2, os.cpu_count() or 1))
    for wrong, options in (("no column 'x'", {}), ("its own workers", {"pilot": 2}), ("no lane", {"lane": "fast"})):
        with pytest.raises(CommandError, match=wrong):
            kimi_magic.map(data, "{{ x }}" if not options else ASK, **options)
    with pytest.raises(CommandError, match="Only partitions"):
        kimi_magic.map(moods(2), ASK, folder="x")


def test_what_stops_all_is_raised_where_it_is_computed(here: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here.setenv("KIMI_LOCAL_TOKEN", "wrong")
    made = kimi_magic.map(dd.from_pandas(moods(4), npartitions=2), ASK, lane="concurrent", folder=tmp_path)
    with pytest.raises(KimiError, match="KIMI_LOCAL_TOKEN"):
        made.compute(scheduler="threads")


def test_private_columns_stay_private_on_the_workers(here: pytest.MonkeyPatch, seen: Seen, tmp_path: Path) -> None:  # noqa: ARG001
    table = moods(4).assign(ssn=[f"{n}78-05-112{n}" for n in range(4)])
    table["text"] = [f"<<say ok>> my number is {number}" for number in table["ssn"]]
    kimi_magic.private(table, ["ssn"])
    try:
        data = dd.from_pandas(table, npartitions=2)
        with pytest.raises(CommandError, match="is private"):
            kimi_magic.map(data, "{{ ssn }}")
        made = kimi_magic.map(data, ASK, folder=tmp_path)
        work = pickle.loads(pickle.dumps(made.expr.func))  # noqa: S301
        ours.guard().release(["ssn"])
        with dask.config.set(scheduler="synchronous"):
            assert work(table)["reply"].tolist() == ["ok"] * 4
        assert ours.guard().names == ("ssn",)
    finally:
        ours.guard().release(ours.guard().names)
    sent = str(seen.all())
    assert "[private: ssn]" in sent
    assert "78-05-112" not in sent


def test_a_series_without_a_scheduler_of_its_own_and_rows_that_are_left(
    here: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here.setenv("KIMI_HOME", str(tmp_path))
    data = dd.from_pandas(pd.Series(["<<say a>>", "<<say b>>"]), npartitions=1)
    found = kimi_magic.map(data, "{{ value }}").compute(scheduler="threads")
    assert found["reply"].tolist() == ["a", "b"]
    empty = kimi_magic.map(data[data == "x"], "{{ value }}").compute(scheduler="threads")
    assert list(empty.columns) == ["value", "reply", "kimi_error"]


def test_a_cell_maps_a_dask_frame(kernel: Kernel) -> None:
    kernel.run("import dask.dataframe as dd, pandas as pd")
    kernel.run("data = dd.from_pandas(pd.DataFrame({'text': ['<<say a>>', '<<say b>>']}), npartitions=2)")
    cell = kernel.run("%%kimi --map data found\nRepeat: {{ text }}")
    assert cell.ok, cell.text
    assert kernel.value("found.compute(scheduler='threads')['reply'].tolist()") == ["a", "b"]


def test_a_cluster_can_be_the_executor(cluster: Client, seen: Seen) -> None:
    with cluster.get_executor() as executor:
        job = kimi_magic.map(moods(30, "<<first 0.02>>"), ASK, out=Mood, executor=executor, lane="concurrent").wait(30)
    assert job.standing.state == "done"
    assert job.df()["score"].tolist() == list(range(30))
    assert len(seen.all()) == 30
