"""What came for a job's items, from whatever thread, made into what is to be entered; and when to wait, or to stop.

What was heard stays here until it is judged, and what was judged until it is entered.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kimi_magic import refusals
from kimi_magic.errors import BatchLost, KimiError, ServerFailure, SettingError, Unqueueable
from kimi_magic.jobs.kept import PENDING, Answered, Batch, Item
from kimi_magic.jobs.lanes import Came, whole
from kimi_magic.jobs.remote import Submitted, Took

if TYPE_CHECKING:
    from kimi_magic.batch import Polled
    from kimi_magic.jobs.items import Items
    from kimi_magic.jobs.supply import Supply
    from kimi_magic.jobs.verdict import Judge

__all__ = ["Heard", "Inbox"]

Heard = Came | Submitted | Took
_ENOUGH = 2_000
"""Answers entered at once, at most."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0


class Inbox:
    """What came for one job.

    `answers` are to be entered; `stop` says why nothing further can pass, `trouble` why not for the moment.
    """

    def __init__(self, items: Items, number: int, judge: Judge, wake: Callable[[], None]) -> None:
        self._items, self._number, self._judge, self._wake = items, number, judge, wake
        self._heard: deque[Heard] = deque()
        self._pause, self._until = 0.0, 0.0
        self.answers: list[Answered] = []
        self.trouble = self.stop = ""

    def tell(self, heard: Heard) -> None:
        """Take in what came; from any thread."""
        self._heard.append(heard)
        self._wake()

    @property
    def empty(self) -> bool:
        """Whether all that came was judged."""
        return not self._heard

    @property
    def waits(self) -> float:
        """Seconds for which nothing is to be sent; 0 for none."""
        return max(0.0, self._until - time.monotonic())

    def clear(self) -> None:
        """Drop what came: it is asked again."""
        self._heard.clear()
        self.answers.clear()
        self.forget_trouble()
        self.stop = ""

    def forget_trouble(self) -> None:
        """Take note that something got through."""
        self.trouble, self._until, self._pause = "", 0.0, 0.0

    def hear(self, supply: Supply) -> None:
        """Judge what came, as much as is entered at once. Raises StoreError; what was not judged stays."""
        while self._heard and len(self.answers) < _ENOUGH:
            self._hear(self._heard[0], supply)
            self._heard.popleft()

    def withdraw(self, batch: Batch, supply: Supply) -> None:
        """Send the items of a batch again, in another way."""
        items = self._items.in_batch(self._number, batch.number)
        supply.remote.drop(batch)
        self.answers += [Answered(item.n, PENDING, told=item.told, tried=False) for item in items]

    def _hear(self, heard: Heard, supply: Supply) -> None:
        match heard:
            case Came():
                supply.flying -= heard.direct
                self._enter(heard)
            case Submitted(batch, request, None):
                self._items.submitted(batch.number, request)
                supply.took(heard)
            case Submitted(batch, _, Exception() as error):
                self._not_answered(batch, self._items.in_batch(self._number, batch.number), error, supply)
            case Took(batch, polled, error):
                if error is not None and not isinstance(error, BatchLost):
                    self._wait(error.message if isinstance(error, KimiError) else str(error))
                    supply.remote.later(batch)
                elif polled is not None and polled.status in ("queued", "running"):
                    self.forget_trouble()
                    supply.remote.later(batch)
                else:
                    self._ended(batch, polled, supply)

    def _enter(self, came: Came) -> None:
        answered, stops, waits = self._judge.of(came)
        self.answers.append(answered)
        self.stop = self.stop or stops
        if waits:
            self._wait(waits)
        elif answered.usage is not None:
            self.forget_trouble()

    def _ended(self, batch: Batch, polled: Polled | None, supply: Supply) -> None:
        """Judge every item of a batch that is done, failed or lost."""
        order = self._items.in_batch(self._number, batch.number)
        missing = {item.n: item for item in order}
        why: KimiError = BatchLost("The service has forgotten the batch.")
        if polled is not None and polled.status == "done":
            for answer in polled.answers:
                n = supply.number(answer.reference)
                if not answer.reference and 0 <= answer.index < len(order) == batch.items:
                    n = order[answer.index].n
                if n is None or n not in missing:
                    continue  # not ours, or there already
                item = missing.pop(n)
                failed = None if answer.failure is None else refusals.error_of(answer.failure)
                self._enter(whole(item, answer.events) if failed is None else Came(item, error=failed))
            why = ServerFailure("The queue gave no answer for it.")
        elif polled is not None and polled.failure is not None:
            why = refusals.error_of(polled.failure)
        if missing:
            self._not_answered(batch, list(missing.values()), why, supply)
        supply.remote.drop(batch)

    def _not_answered(self, batch: Batch, items: Sequence[Item], error: Exception, supply: Supply) -> None:
        """Judge the items of a batch that came to nothing, or send them again in another way."""
        judged = supply.took(Submitted(batch, "", error))
        if isinstance(error, Unqueueable):
            error = SettingError(error.message, hint='job.lane = "concurrent", then job.retry(), asks one by one.')
        for item in items:
            if judged:
                self._enter(Came(item, error=error))
            else:
                self.answers.append(Answered(item.n, PENDING, told=item.told, tried=False))

    def _wait(self, trouble: str) -> None:
        """Send nothing for a while, longer each time."""
        if not self.waits:
            self._pause = min(_LONGEST_WAIT, 2 * self._pause or _FIRST_WAIT)
            self._until = time.monotonic() + self._pause
        self.trouble = trouble
