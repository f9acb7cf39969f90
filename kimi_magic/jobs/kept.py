"""What the store holds of a job, as values: the job, its counts, one item, what came of it, a batch."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from kimi_magic.jobs.standing import ENDED, Kind, Standing, State
from kimi_magic.messages import Usage

__all__ = [
    "DONE", "FAILED", "IN_FLIGHT", "PARTLY", "PENDING",
    "Answered", "Batch", "Counts", "Entered", "Item", "Kept", "Taken", "gone",
]  # fmt: skip

PENDING, IN_FLIGHT, DONE, FAILED = range(4)
PARTLY = "partly"
"""The `options` of a map as long as not all of its rows are entered."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a job by state; `items` counts different questions, `answered` those that are done or failed."""

    rows: int = 0
    items: int = 0
    answered: int = 0
    pending: int = 0
    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Kept:
    """A job as the store has it; `owner` has it until `until`. Times are in seconds since 1970 (UTC)."""

    number: int
    id: str
    kind: Kind
    title: str
    notebook: str
    spec: str
    options: str
    round: int
    state: State
    remark: str
    lane: str
    began: float
    ended: float | None
    budget: float | None
    pilot: int
    counts: Counts
    usage: Usage
    cost: float | None
    reply: str
    owner: str
    until: float

    @property
    def free(self) -> bool:
        """Whether no kernel has it, or only one that is there no more."""
        return not self.owner or self.until < time.time() or gone(self.owner)

    def after(self, taken: Sequence[Taken], sent: Sequence[Item], batch: Batch | None) -> Kept:
        """Give how it stands after these answers, and with these items sent, in a batch or not."""
        counts, usage, cost = self.counts, self.usage, self.cost
        by = {name: getattr(counts, name) for name in ("pending", "queued", "running", "done", "failed", "answered")}
        for answered, copies, queued, state in taken:
            by["pending" if state == PENDING else "queued" if queued else "running"] -= copies
            by["pending" if answered.state == PENDING else "failed" if answered.state == FAILED else "done"] += copies
            by["answered"] += answered.state > IN_FLIGHT
            if answered.usage is not None:
                usage += answered.usage
            if answered.cost is not None:
                cost = (cost or 0.0) + answered.cost
        rows = sum(item.copies for item in sent)
        by["pending"] -= rows
        by["queued" if batch is not None else "running"] += rows
        return replace(self, counts=replace(counts, **by), usage=usage, cost=cost)

    @property
    def standing(self) -> Standing:
        """How it stands by what was written down last."""
        counts = self.counts
        state: State = self.state if self.state in ENDED else "waiting" if self.free else "elsewhere"
        remark = "No kernel works on it." if state == "waiting" else self.remark
        return Standing(
            self.id, self.title, self.kind, state, self.lane, remark, counts.rows, counts.done, counts.failed,
            counts.queued, counts.running, counts.pending, counts.rows - counts.items, self.began, self.ended,
            None, 0.0, None, self.usage, self.cost, self.budget,
        )  # fmt: skip


class Item(NamedTuple):
    """One question that is to be answered: its place in the job, how many rows it is, what was wrong before."""

    n: int
    question: str
    copies: int
    tries: int
    told: tuple[str, str] | None


class Entered(NamedTuple):
    """Rows that were entered: the place of each one's item, what they add to the counts, the first new item to ask."""

    places: list[int]
    counts: Counts
    first: int


class Answered(NamedTuple):
    """What one item came to: its reply, or the error, with PENDING for one that is to be asked again.

    `told` is a reply that was not valid and what is wrong with it; `paid` says that the request was answered.
    """

    n: int
    state: int
    reply: str = ""
    error: str = ""
    usage: Usage | None = None
    cost: float | None = None
    told: tuple[str, str] | None = None
    tried: bool = True


class Batch(NamedTuple):
    """One submission to the queue: `request` is the service's id of it, empty until that is known."""

    number: int
    request: str
    began: float
    items: int


class Taken(NamedTuple):
    """An answer that was entered: for how many rows, the batch that its item was in (0 for none), its state before."""

    answered: Answered
    copies: int
    batch: int
    state: int


def gone(owner: str) -> bool:
    """Whether the process of an owner has ended, as far as that can be told on this machine."""
    host, _, rest = owner.rpartition(":")
    pid = rest.partition("-")[0]
    if os.name != "posix" or host != platform.node() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
