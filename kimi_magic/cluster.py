"""`kimi_magic.map` of a dask dataframe: each partition is a job of its own, on the worker that computes it.

As lazy as dask is: nothing is asked before the result is computed. Each partition has a store of its own, in a folder
named by what its rows are asked; so one that is computed again, perhaps by another worker after the first has died,
submits only what is missing there.
"""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel, planning, settings
from kimi_magic.errors import KimiError
from kimi_magic.settings import Secret, Settings

if TYPE_CHECKING:
    from kimi_magic.jobs.frame import Outcome
    from kimi_magic.jobs.job import Job
    from kimi_magic.jobs.rows import Rows
    from kimi_magic.messages import Message
    from kimi_magic.schema import Output

__all__ = ["Partition", "is_dask", "mapped"]

_THEIRS = ("account_id", "api_token", "api_key", "local_url", "local_token")
"""Settings that count as a worker's environment has them, where it has them."""
_NOT_CARRIED = {"endpoint", "budget", "journal", "rate", "rerun", "resume", "system"}
_NAME = "kimi-map"


def is_dask(data: object) -> bool:
    """Whether this is a dataframe or a series of dask, which is not imported for it."""
    dask = sys.modules.get("dask.dataframe")
    return dask is not None and isinstance(data, dask.DataFrame | dask.Series)


def mapped(
    data: Any,
    begin: Callable[..., Job],
    question: str,
    values: Settings,
    typed: Output | None,
    before: tuple[Message, ...],
    *,
    lane: str,
    budget: float | None,
    folder: str | os.PathLike[str] | None,
) -> Any:
    """Give the dask dataframe whose partitions are asked as they are computed; `begin` begins the map of one.

    Raises what cannot be asked at once. The budget is shared by all partitions alike, the rate by those that are
    computed at the same time.
    """
    from kimi_magic.jobs.frame import result
    from kimi_magic.jobs.question import Question
    from kimi_magic.jobs.rows import VALUE, rows_of

    if not hasattr(data, "columns"):
        data = data.to_frame(VALUE if data.name is None else data.name)
    rows = rows_of(data._meta)  # noqa: SLF001  # the empty table that dask documents for just this
    Question(question, rows.columns, kernel.guard())
    where = kernel.place(values)
    kernel.model(values, where)
    room = kernel.current().books.room(values.budget) if where.charged else None
    amounts = [amount for amount in (budget, room) if amount is not None]
    limit = planning.rate(values, where)
    at_once = min(data.npartitions, _threads())
    options, secrets = _carried(values, where)
    work = Partition(
        begin,
        question,
        {**options, "endpoint": where.name, "rate": 0 if limit is None else limit / at_once},
        secrets,
        typed,
        before,
        kernel.guard().names,
        lane,
        min(amounts) / data.npartitions if amounts else None,
        "" if folder is None else str(Path(folder).expanduser().absolute()),
        uuid.uuid4().hex if values.rerun == "always" else "",
        only=values.rerun == "only",
    )
    return data.map_partitions(work, meta=result(rows, [], typed, nullable=True), token=_NAME)


def _carried(values: Settings, where: kernel.Place) -> tuple[dict[str, object], dict[str, Secret]]:
    """Give the settings that a worker has to have, and the credentials."""
    found = {name: getattr(values, name) for name in settings.FIELDS if name in values.sources}
    secrets = {name: value for name, value in found.items() if isinstance(value, Secret)}
    left = _NOT_CARRIED | set(secrets) | {name for name, value in found.items() if value is None}
    if where.name == "local" and values.source("model") != "option":
        left.add("model")  # one that is set for Cloudflare
    return {name: value for name, value in found.items() if name not in left}, secrets


def _threads() -> int:
    """Say how many partitions may be computed at the same time: threads of the cluster in use, else processors."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with suppress(ValueError):  # there is no client
            return int(sum(distributed.default_client().nthreads().values())) or 1
    return os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class Partition:
    """What a worker does with one partition. Credentials travel in it, and show in neither its repr nor dask's keys.

    `options` are the settings of the kernel that made it. `private` are the names of private columns: their values are
    learnt on the worker from the partition itself. `salt` sets apart what is to be asked anew.
    """

    begin: Callable[..., Job] = field(repr=False)
    question: str
    options: Mapping[str, object] = field(repr=False)
    secrets: Mapping[str, Secret] = field(repr=False)
    typed: Output | None = field(repr=False)
    before: tuple[Message, ...] = field(repr=False)
    private: tuple[str, ...] = field(repr=False)
    lane: str
    budget: float | None
    folder: str
    salt: str = ""
    only: bool = False

    def __getstate__(self) -> dict[str, Any]:
        """Give what is pickled: a Secret alone would leave itself out."""
        return {**self.__dict__, "secrets": {name: secret.reveal() for name, secret in self.secrets.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Hide the credentials again."""
        secrets = {name: Secret(value) for name, value in state["secrets"].items()}
        self.__dict__.update({**state, "secrets": secrets})

    def __dask_tokenize__(self) -> object:
        """Give what dask names the tasks by: all but the credentials."""
        schema = None if self.typed is None else repr(self.typed.schema)
        options = sorted((name, str(value)) for name, value in self.options.items())
        before = repr(self.before)
        return (self.question, options, schema, before, self.private, self.lane, self.budget, self.folder, self.salt)

    def __call__(self, frame: Any, partition_info: Mapping[str, Any] | None = None) -> Any:
        """Ask about the rows of a partition; give them with their replies. Raises KimiError where none came at all."""
        from kimi_magic.jobs.frame import result
        from kimi_magic.jobs.keeping import Keeping
        from kimi_magic.jobs.rows import rows_of
        from kimi_magic.jobs.runner import Runner
        from kimi_magic.store import Store

        rows = rows_of(frame)
        if not rows.total:
            return result(rows, [], self.typed, nullable=True)
        values = self._settings()
        if self.private:
            kernel.guard().hide(None, self.private)
            kernel.guard().learn(frame)
        number = partition_info["number"] if partition_info else 0
        store = Store(self._root() / f"{number:05}-{self._name(rows)}")
        runner = Runner(Keeping(lambda: store))
        try:
            job = self.begin(
                rows, self.question, values, self.typed, self.before,
                lane=self.lane, budget=self.budget, runner=runner,
            )  # fmt: skip
            return result(rows, _finished(job.wait()), self.typed, nullable=True)
        finally:
            runner.close()
            store.close()

    def _settings(self) -> Settings:
        """Give the settings in force: those of the kernel, but credentials as the worker's environment has them."""
        given = {**self.options, **self.secrets, "rerun": "only" if self.only else "replay"}
        theirs = {name for name in _THEIRS if any(map(os.environ.get, settings.names_in_environment(name)))}
        return kernel.resolve({name: value for name, value in given.items() if name not in theirs})

    def _root(self) -> Path:
        """Give the folder below which stores of partitions are."""
        if self.folder:
            return Path(self.folder)
        from kimi_magic.store import home

        distributed = sys.modules.get("distributed")
        if distributed is not None and not os.environ.get("KIMI_HOME"):
            with suppress(ValueError):  # this is no worker
                return Path(distributed.get_worker().local_directory) / "kimi"
        return home() / "partitions"

    def _name(self, rows: Rows) -> str:
        """Name what the rows of a partition are asked."""
        from kimi_magic.jobs.question import Question

        asked = Question(self.question, rows.columns, kernel.guard())
        digest = hashlib.sha256(f"{self.salt}\n{asked.shared}".encode())
        for piece in rows.pieces(asked.columns):
            for text in asked.texts(piece):
                digest.update(f"{len(text)}\n{text}".encode())
        return digest.hexdigest()[:16]


def _finished(job: Job) -> Iterator[Outcome]:
    """Give what became of each row; of one that was not asked, because the job was stopped, why."""
    from kimi_magic.jobs.frame import Outcome

    now = job.standing
    if now.state != "done" and not now.done:
        raise KimiError(now.remark or f"The job of a partition was {now.state}.", hint="Compute it again to go on.")
    left = Outcome(error=now.remark or now.state)
    for outcome in job.outcomes():
        yield left if outcome is None else outcome
