"""What a job needs to run in this kernel, and is not kept: where its requests go, by whom, how many at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kimi_magic.books import Books
from kimi_magic.budget import Budget
from kimi_magic.iothread import IOThread
from kimi_magic.jobs.meter import Pace
from kimi_magic.jobs.spec import Requests, Spec
from kimi_magic.transport import Endpoint, Limits, Queueing

if TYPE_CHECKING:
    from kimi_magic.schema import Output

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How this kernel works on a job.

    `host` is where it goes, for the ledger; `charged` says that Cloudflare bills it, `budget` is the kernel's own.
    `queues` is whether batches may be tried. `width` is how many ordinary requests go at once; with an `executor` they
    go in chunks of so many, to `endpoint()`. `answer` is what the user said beforehand to the pilot's question.
    `notify` is the id of a Cloudflare Queue that tells which batches have ended, empty for none. `schemaless`
    are hosts and models that are known to take no schema.
    """

    spec: Spec
    requests: Requests = field(repr=False)
    transport: Queueing = field(repr=False)
    endpoint: Callable[[], Endpoint] = field(repr=False)
    io: IOThread = field(repr=False)
    books: Books = field(repr=False)
    limits: Limits
    pace: Pace
    host: str
    charged: bool
    budget: Budget | None = None
    queues: bool = True
    width: int = 16
    executor: Executor | None = None
    out: Output | None = None
    answer: bool | None = None
    notify: str = ""
    schemaless: set[tuple[str, str]] = field(default_factory=set)
