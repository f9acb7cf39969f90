"""What a worker does with one partition of a dask dataframe: a job of its own, in a store of its own.

The store is in a folder named by what the rows are asked; so a partition that is computed again, perhaps by another
worker after the first has died, submits only what is missing there.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel, settings
from kimi_magic.errors import KimiError
from kimi_magic.settings import Secret, Settings

if TYPE_CHECKING:
    from kimi_magic.jobs.frame import Outcome
    from kimi_magic.jobs.job import Job
    from kimi_magic.jobs.rows import Rows
    from kimi_magic.messages import Message
    from kimi_magic.schema import Output

__all__ = ["Partition"]

_THEIRS = ("account_id", "api_token", "api_key", "local_url", "local_token")
"""Settings that count as a worker's environment has them, where it has them."""
_LOOKS = 1.0
"""Seconds between two looks at whether the result is still wanted."""
_TOLD_AFTER = 10.0
"""Seconds after which a partition that does not get on says so."""


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
        guard = kernel.keeper(values)
        if self.private:
            guard.hide(None, self.private)
            guard.learn(frame)
        number = partition_info["number"] if partition_info else 0
        store = Store(self._root() / f"{number:05}-{self._name(rows)}")
        runner = Runner(Keeping(lambda: store))
        try:
            job = self.begin(
                rows, self.question, values, self.typed, self.before,
                lane=self.lane, budget=self.budget, runner=runner,
            )  # fmt: skip
            return result(rows, _finished(_waited(job)), self.typed, nullable=True)
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

        worker = None if os.environ.get("KIMI_HOME") else _worker()
        if worker is not None:
            return Path(worker.local_directory) / "kimi"
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


def _waited(job: Job) -> Job:
    """Wait for a job's end. Cancel it where nobody wants its rows any more; tell what it waits for itself."""
    wanted, told, due = _wanted(), "", time.monotonic() + _TOLD_AFTER
    while not job.wait(_LOOKS).standing.over:
        now = job.standing
        if not wanted():
            job.cancel()
        elif now.state == "waiting" and now.remark not in ("", told) and time.monotonic() > due:
            told = now.remark
            _warn(f"A partition waits: {told}")
    return job


def _worker() -> Any:
    """Give the worker of distributed that this thread works for; None for none."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with suppress(ValueError):
            return distributed.get_worker()
    return None


def _wanted() -> Callable[[], bool]:
    """Give what tells whether anybody still wants what this task gives: dask itself lets a cancelled one go on."""
    worker = _worker()
    if worker is None:
        return lambda: True
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return wanted


def _warn(text: str) -> None:
    """Warn whoever waits for the result: of a worker that is the client."""
    if _worker() is None:
        warnings.warn(text, stacklevel=2)
    else:
        sys.modules["distributed"].warn(text)


def _finished(job: Job) -> Iterator[Outcome]:
    """Give what became of each row; of one that was not asked, because the job was stopped, why."""
    from kimi_magic.jobs.frame import Outcome

    now = job.standing
    if now.state != "done" and not now.done:
        raise KimiError(now.remark or f"The job of a partition was {now.state}.", hint="Compute it again to go on.")
    left = Outcome(error=now.remark or now.state)
    for outcome in job.outcomes():
        yield left if outcome is None else outcome
