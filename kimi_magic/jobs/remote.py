"""The queue's lane: items in batches, submitted to the service and asked for until they are answered.

Each batch is polled with a growing pause; a notice from the service makes that sooner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

from kimi_magic import batch as batches
from kimi_magic.iothread import IOThread
from kimi_magic.jobs.keeping import Batch
from kimi_magic.transport import Limits, Queueing

__all__ = ["AT_ONCE", "Remote", "Submitted", "Took"]

AT_ONCE = 1_000
"""Items of one batch, at most; the service says nothing of a limit."""
_OUTSTANDING = 8
_FIRST, _GROWS, _LONGEST = 0.3, 1.5, 15.0
"""Seconds before a batch is asked about for the first time, the factor by which that grows, and its end."""
_TOLD = 15.0
"""The same where notices tell of its end: they may not come."""


class Submitted(NamedTuple):
    """A batch was taken under this id, or not."""

    batch: Batch
    request: str
    error: Exception | None = None


class Took(NamedTuple):
    """A batch is answered, or could not be asked about."""

    batch: Batch
    polled: batches.Polled | None
    error: Exception | None = None


@dataclass(slots=True)
class _Posted:
    batch: Batch
    pause: float
    due: float = 0.0
    future: Future[Any] | None = None


class Remote:
    """The batches of one job that are at the service."""

    def __init__(
        self,
        io: IOThread,
        transport: Queueing,
        model: str,
        affinity: str,
        limits: Limits,
        tell: Callable[[Submitted | Took], None],
        *,
        told: bool = False,
    ) -> None:
        self._first, self._longest = (_TOLD, 4 * _TOLD) if told else (_FIRST, _LONGEST)
        self._io, self._transport, self._model, self._affinity, self._limits = io, transport, model, affinity, limits
        self._tell = tell
        self._posted: dict[int, _Posted] = {}

    @property
    def room(self) -> bool:
        """Whether another batch may be submitted: one at a time, and not too many unanswered."""
        return len(self._posted) < _OUTSTANDING and not any(not one.batch.request for one in self._posted.values())

    @property
    def batches(self) -> list[Batch]:
        """The batches that are not answered, the oldest first."""
        return [one.batch for one in list(self._posted.values())]  # a view may look from another thread

    @property
    def due(self) -> float:
        """When the next batch is to be polled, on the monotonic clock."""
        return min((one.due for one in self._posted.values() if one.future is None), default=float("inf"))

    def submit(self, batch: Batch, body: bytes) -> None:
        """Submit a batch; what came of that is told."""
        posted = self._posted[batch.number] = _Posted(batch, self._first)

        def done(future: Future[str]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            self._tell(Submitted(batch, "" if error else future.result(), _ordinary(error)))

        posted.future = self._io.submit(self._transport.submit(self._model, body, self._affinity, self._limits))
        posted.future.add_done_callback(done)

    def adopt(self, batch: Batch, *, new: bool = False) -> None:
        """Poll a batch from now on: a new one after a pause, one from before a restart at once."""
        self._posted[batch.number] = _Posted(batch, self._first, time.monotonic() + (self._first if new else 0.0))

    def poll(self) -> None:
        """Ask about each batch that is due; what is answered is told."""
        now = time.monotonic()
        for posted in self._posted.values():
            if posted.future is None and posted.due <= now:
                self._ask(posted)

    def _ask(self, posted: _Posted) -> None:
        def done(future: Future[batches.Polled]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            self._tell(Took(posted.batch, None if error else future.result(), _ordinary(error)))

        posted.future = self._io.submit(self._transport.poll(self._model, posted.batch.request, self._limits))
        posted.future.add_done_callback(done)

    def later(self, batch: Batch) -> None:
        """Ask about a batch again, after a longer pause."""
        posted = self._posted.get(batch.number)
        if posted is not None:
            posted.future, posted.due = None, time.monotonic() + posted.pause
            posted.pause = min(self._longest, posted.pause * _GROWS)

    def hint(self, requests: Collection[str]) -> list[str]:
        """Ask soon about batches that the service said are done; give those that are here."""
        found = [posted for posted in self._posted.values() if posted.batch.request in requests]
        for posted in found:
            posted.due = 0.0
        return [posted.batch.request for posted in found]

    def alone(self) -> None:
        """Ask more often, as where nobody tells when a batch has ended."""
        if self._first != _FIRST:
            self._first, self._longest = _FIRST, _LONGEST
            for posted in self._posted.values():
                posted.pause, posted.due = _FIRST, 0.0

    def drop(self, batch: Batch) -> None:
        """Ask about a batch no more."""
        posted = self._posted.pop(batch.number, None)
        if posted is not None and posted.future is not None:
            posted.future.cancel()

    def close(self) -> None:
        """End what is on its way; batches stay at the service."""
        for one in self.batches:
            self.drop(one)


def _ordinary(error: BaseException | None) -> Exception | None:
    return error if isinstance(error, Exception) or error is None else RuntimeError(str(error))
