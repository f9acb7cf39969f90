"""The lanes of one job in this kernel: which one gets the next items, and what is on its way in each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kimi_magic import batch as batches
from kimi_magic.errors import KimiError, RequestRefused, TooLarge, Unqueueable
from kimi_magic.jobs.lanes import Came, Concurrent, Direct, Spread
from kimi_magic.jobs.remote import AT_ONCE, Remote, Submitted, Took

if TYPE_CHECKING:
    from collections.abc import Callable

    from kimi_magic.jobs.keeping import Batch, Item
    from kimi_magic.jobs.plan import Plan
    from kimi_magic.jobs.verdict import Judge
    from kimi_magic.wire import Request

__all__ = ["Supply"]

_AROUND = 600
"""Bytes of an item in a batch beside its messages and its schema, at most."""


class Supply:
    """Sends items by the lane in force. `asked` is the lane that the user wants; `tell` is called from any thread."""

    def __init__(self, plan: Plan, judge: Judge, asked: str, tell: Callable[[Came | Submitted | Took], None]) -> None:
        self._plan, self._judge, self._tell = plan, judge, tell
        self.asked = asked
        self.remark = "" if plan.queues or asked != "auto" else "This model takes no batches: asked one by one."
        self._fallen = not plan.queues
        self._direct: Direct | None = None
        self._at_once = AT_ONCE
        self._bytes = batches.LIMIT
        self._size = 0
        self.flying = 0
        self.remote = Remote(
            plan.io, plan.transport, plan.spec.model, plan.spec.id, plan.limits, tell, told=bool(plan.notify)
        )

    @property
    def queue(self) -> bool:
        """Whether the next items go to the queue."""
        if self.asked == "auto":
            return not self._fallen and self._plan.executor is None
        return self.asked == "queue"

    @property
    def direct(self) -> Direct:
        """The concurrent lane, made when it is first used."""
        if self._direct is None:
            plan = self._plan
            common = (plan.spec.id, plan.limits, plan.width, self.request, self._landed)
            if plan.executor is not None:
                self._direct = Spread(plan.executor, plan.endpoint, *common)
            else:
                self._direct = Concurrent(plan.io, plan.transport, *common)
        return self._direct

    def _landed(self, came: Came) -> None:
        self._tell(came._replace(direct=True))

    @property
    def room(self) -> int:
        """How many items may be sent now."""
        if self.queue:
            return self._at_once if self.remote.room else 0
        return min(self.direct.width - self.flying, self._plan.pace.room)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self.flying and not self.remote.batches

    def begin(self) -> None:
        """Begin to choose items: for a batch they have to fit."""
        self._size = 100

    def fits(self, item: Item) -> bool:
        """Whether an item still fits the batch that is put together; the first one always."""
        if not self.queue:
            return True
        first = self._size <= 100  # noqa: PLR2004  # as `begin` leaves it
        told = 0 if item.told is None else len(item.told[0]) + len(item.told[1])
        # A character takes six bytes at most in JSON; control characters are rare, so they are looked for.
        own = len(item.question.encode("utf-8", "replace")) + item.question.count("\n") + item.question.count('"')
        self._size += self._plan.requests.prefix + _AROUND + own * (1 if item.question.isprintable() else 2) + 4 * told
        return first or self._size < self._bytes

    def request(self, item: Item) -> Request:
        """Make the request of an item. Raises TooLarge or CommandError where it cannot be sent."""
        return self._plan.requests.of(item.question, item.told, plain=self._judge.asks_plainly(item))

    def reference(self, item: Item) -> str:
        """Name an item at the service."""
        return f"{self._plan.spec.id}-{item.n}"

    def number(self, reference: str) -> int | None:
        """Give the place of the item of this name; None for none of ours."""
        job, _, number = reference.rpartition("-")
        return int(number) if job == self._plan.spec.id and number.isdecimal() else None

    def send(self, items: Sequence[Item], batch: Batch | None) -> None:
        """Send items that are written down as sent."""
        if batch is None:
            self.flying += len(items)
            self._plan.pace.took(len(items))
            self.direct.send(items)
            return
        self.submit(items, batch)

    def submit(self, items: Sequence[Item], batch: Batch) -> None:
        """Submit a batch; items of which no request can be made are told at once."""
        asked = []
        for item in items:
            try:
                asked.append((self.reference(item), self.request(item)))
            except KimiError as error:
                self._tell(Came(item, error=error))
        self.remote.submit(batch, batches.encode(asked))

    def took(self, event: Submitted) -> bool:
        """Take note of how a submission went; False where its items are to be sent again, in another way.

        What an error says of the items themselves is not known from that; their judge has to say.
        """
        if event.error is None:
            self.remote.adopt(event.batch._replace(request=event.request), new=True)
            self._at_once = min(AT_ONCE, 2 * self._at_once)
            return True
        self.remote.drop(event.batch)
        if isinstance(event.error, Unqueueable) and self.asked == "auto":
            self._fallen = True
            self.remark = f"Asked one by one: {event.error.message}"
            return False
        if isinstance(event.error, TooLarge | RequestRefused) and event.batch.items > 1:
            self._at_once = max(1, event.batch.items // 2)
            if isinstance(event.error, TooLarge):
                self._bytes = max(10_000, min(self._bytes, self._size) // 2)
            return False
        return True

    @property
    def due(self) -> float:
        """Seconds until something is to be done here by itself."""
        wait = self._plan.pace.wait if not self.queue else float("inf")
        return min(self.remote.due - time.monotonic(), wait or float("inf"))

    def close(self) -> None:
        """End what is on its way; batches stay at the service."""
        if self._direct is not None:
            self._direct.close()
            self._direct = None
        self.remote.close()
        self.flying = 0
