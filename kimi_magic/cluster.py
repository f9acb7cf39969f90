"""`kimi_magic.map` of a dask dataframe, as lazy as dask: each partition is asked by the worker that computes it."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel, planning, settings
from kimi_magic.partition import Partition
from kimi_magic.settings import Secret, Settings

if TYPE_CHECKING:
    from kimi_magic.jobs.job import Job
    from kimi_magic.messages import Message
    from kimi_magic.schema import Output

__all__ = ["is_dask", "mapped"]

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
