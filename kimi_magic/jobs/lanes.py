"""The concurrent lane: items as ordinary requests, on the I/O thread or spread over an executor.

A lane is told what to send once that is written down, and tells what came, from whatever thread; it decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple, Protocol

from kimi_magic.errors import KimiError
from kimi_magic.events import Event, Finished, TextDelta
from kimi_magic.iothread import IOThread
from kimi_magic.jobs import chunk
from kimi_magic.jobs.keeping import Item
from kimi_magic.messages import Usage
from kimi_magic.transport import Endpoint, Limits, Queueing
from kimi_magic.wire import Request

__all__ = ["Came", "Concurrent", "Direct", "Spread", "Tell", "whole"]


class Came(NamedTuple):
    """What came for an item: the whole text of a reply with the reason of its end, or an error.

    `direct` says that it came through the concurrent lane.
    """

    item: Item
    text: str = ""
    finish: str = ""
    usage: Usage = Usage()
    error: Exception | None = None
    direct: bool = False


Tell = Callable[[Came], None]
Make = Callable[[Item], Request]


def whole(item: Item, events: Sequence[Event]) -> Came:
    """Add up the events of a reply."""
    text = "".join([event.text for event in events if isinstance(event, TextDelta)])
    last = events[-1] if events else None
    if isinstance(last, Finished):
        return Came(item, text, last.reason, last.usage)
    return Came(item, text, "cut")


class Direct(Protocol):
    """A concurrent lane."""

    width: int
    """Items that are on their way at once, at most."""

    def send(self, items: Sequence[Item]) -> None:
        """Send items; what comes of each is told."""

    def close(self) -> None:
        """Send nothing more, and end what is on its way."""


class Concurrent:
    """Requests on the I/O thread, `width` of them at once; `make` makes them there."""

    def __init__(  # the class says it
        self, io: IOThread, transport: Queueing, affinity: str, limits: Limits, width: int, make: Make, tell: Tell
    ) -> None:
        self._io, self._transport, self._affinity, self._limits = io, transport, affinity, limits
        self._make, self._tell = make, tell
        self._gate = asyncio.Semaphore(width)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self.width = 2 * width  # so that there is always a next one

    def send(self, items: Sequence[Item]) -> None:
        """Send items."""
        self._io.loop.call_soon_threadsafe(self._begin, items)

    def _begin(self, items: Sequence[Item]) -> None:
        for item in items if not self._closed else ():
            task = asyncio.get_running_loop().create_task(self._one(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, item: Item) -> None:
        async with self._gate:
            try:
                events = await self._transport.complete(self._make(item), self._affinity, self._limits)
                came = whole(item, events)
            except Exception as error:  # noqa: BLE001  # a user's own hooks may be in it; the row shows it
                came = Came(item, error=error)
            self._tell(came)

    def close(self) -> None:
        """End what is on its way; nothing more is told."""
        self._closed = True
        self._io.loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


class Spread:
    """Chunks of requests on an executor, each sent from there: threads, processes or a cluster."""

    def __init__(
        self,
        executor: Executor,
        endpoint: Callable[[], Endpoint],
        affinity: str,
        limits: Limits,
        width: int,
        make: Make,
        tell: Tell,
    ) -> None:
        self._executor, self._endpoint, self._affinity, self._limits = executor, endpoint, affinity, limits
        self._make, self._tell = make, tell
        self._each = width
        self._futures: set[Future[list[chunk.Told]]] = set()
        self._closed = False
        workers = getattr(executor, "_max_workers", None)
        self.width = 2 * width * (workers if isinstance(workers, int) and 0 < workers <= chunk.MOST else 4)

    def send(self, items: Sequence[Item]) -> None:
        """Send items, in chunks."""
        for start in range(0, len(items), self._each):
            self._chunk(items[start : start + self._each])

    def _chunk(self, items: Sequence[Item]) -> None:
        try:
            requests = [self._make(item) for item in items]
            work = chunk.Chunk(self._endpoint(), requests, self._affinity, self._limits)
            future = self._executor.submit(chunk.answer, work)
        except Exception as error:  # noqa: BLE001  # an executor's own
            for item in items:
                self._tell(Came(item, error=_broken(error)))
            return
        self._futures.add(future)
        future.add_done_callback(lambda done: self._done(items, done))

    def _done(self, items: Sequence[Item], future: Future[list[chunk.Told]]) -> None:
        self._futures.discard(future)
        if self._closed:
            return
        error: BaseException | None = None
        if not future.cancelled():
            error = future.exception()
            if error is None:
                for item, (text, finish, usage, failed) in zip(items, future.result(), strict=True):
                    self._tell(Came(item, text, finish, usage, failed))
                return
        for item in items:
            self._tell(Came(item, error=_broken(error)))

    def close(self) -> None:
        """Take back what has not begun; what has goes on, and its answers are dropped."""
        self._closed = True
        for future in list(self._futures):
            future.cancel()


class Broken(KimiError):
    """The executor failed; the request may not have been sent."""


def _broken(error: BaseException | None) -> Broken:
    what = "it was cancelled" if error is None else f"{type(error).__name__}: {error}"
    return Broken(f"The executor could not do its work: {what}", hint="Give another executor=, or none.")
