"""A job in this kernel's hands: its lease, its lanes, and what of its budget is in flight.

It is taken where no other kernel has it; one that another kernel has is watched, and taken when that one is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from sqlite3 import Connection
from typing import TYPE_CHECKING

from kimi_magic.errors import CommandError, StoreError
from kimi_magic.jobs.account import Account
from kimi_magic.jobs.inbox import Inbox
from kimi_magic.jobs.keeping import Keeping, Lost
from kimi_magic.jobs.kept import Entered, Item, Kept
from kimi_magic.jobs.meter import Rate
from kimi_magic.jobs.plan import Plan
from kimi_magic.jobs.purse import Purse
from kimi_magic.jobs.standing import ENDED, Estimate, State
from kimi_magic.jobs.supply import Supply
from kimi_magic.jobs.verdict import Judge

if TYPE_CHECKING:
    from kimi_magic.jobs.entering import Entering

__all__ = ["LOOKS", "Holding"]

LOOKS = 1.0
"""Seconds between two looks at a job that another kernel has."""


class Holding:
    """A job that this kernel has (`owned`), or would have."""

    def __init__(self, keeping: Keeping, kept: Kept, plan: Plan, wake: Callable[[], None]) -> None:
        self._keeping = keeping
        self.kept, self.plan = kept, plan
        self.owned = False
        self.estimate: Estimate | None = None
        self._locked = self._unheard = ""
        self._cursor = 0
        self._looked = self._written = 0.0
        self._began = time.monotonic()
        self._asked = 0
        self._piloted = 0.0
        self._dirty = False
        self.rate = Rate()
        self.judge = Judge(plan.spec.model, plan.host, plan.charged, plan.out, bool(plan.spec.schema), plan.schemaless)
        self._inbox = Inbox(keeping, kept.number, self.judge, wake)
        self._account = Account(plan, kept, keeping.kernel)
        self.supply: Supply | None = None
        self._purse: Purse | None = None
        self.entering: Entering | None = None

    def take_up(self) -> bool:
        """Take the job where no other kernel has it, as it stands in the store; what was in flight is sent again."""
        number = self.kept.number
        if not self._keeping.acquire(number):
            return False
        found = self._keeping.find(self.kept.id)
        if found is None:
            return False
        self._keeping.step(lambda connection: self._keeping.put_back(connection, number))
        for batch in self._keeping.batches(number):
            if not batch.request:
                self._keeping.step(partial(self._keeping.put_back, number=number, batch=batch.number))
        self.kept = replace(found, counts=self._keeping.count(number, found.round), remark="")
        self.supply = Supply(self.plan, self.judge, found.lane, self._inbox.tell)
        self._purse = Purse(self.plan.books, found.budget, self.plan.budget, found.cost or 0.0)
        for batch in self._keeping.batches(number):
            for item in self._keeping.in_batch(number, batch.number) if self.plan.charged else ():
                self._purse.admits(item, self._bound(item), always=True)
            self.supply.remote.adopt(batch)
        self.owned, self._cursor, self._dirty = True, 0, True
        return True

    def let_go(self) -> None:
        """End what is on its way here; another kernel, or a later one, may go on."""
        if self.entering is not None:
            self.entering.stop()
            self.entering = None
        if self.supply is not None:
            self.supply.close()
        if self._purse is not None:
            self._purse.close()
        if self.owned:
            self.owned = False
            with suppress(StoreError):  # then it waits for the end of the lease
                self._keeping.release(self.kept.number)
        self._inbox.clear()

    def recount(self) -> None:
        """Take note that rows were added, or failed ones made pending again."""
        kept = self._keeping.find(self.kept.id) or self.kept
        counts = self._keeping.count(kept.number, kept.round)
        self.kept = replace(self.kept, round=kept.round, options=kept.options, counts=counts)
        self._cursor, self._dirty = 0, True

    def enter(self, entering: Entering, rows: Sequence[tuple[str, str]]) -> list[int]:
        """Enter further rows (key, question); give the place of each one's item. Raises Lost, StoreError."""
        if self.entering is not entering or not self.owned:
            raise Lost
        number, round_ = self.kept.number, self.kept.round

        def write(connection: Connection) -> tuple[Entered, Kept]:
            found = self._keeping.enter(connection, number, round_, rows, joins=entering.joins)
            kept = replace(self.kept, counts=self.kept.counts + found.counts)
            self._keeping.hold(connection, kept)
            return found, kept

        try:
            found: Entered
            found, self.kept = self._keeping.step(write)
        except Lost:
            self._lose()
            raise
        except StoreError as error:
            self._locked = f"{error.message} {error.hint}".strip()
            raise
        self._locked, self._written = "", time.monotonic()
        self._cursor = min(self._cursor, found.first - 1)  # one of an earlier round stands before others
        return found.places

    def _comes_back(self) -> bool:
        """See how a job stands that another kernel has, and take it where that is gone."""
        now = time.monotonic()
        if now - self._looked < LOOKS:
            return False
        self._looked = now
        found = self._keeping.find(self.kept.id)
        if found is None:
            self.kept = replace(self.kept, state="cancelled", remark="Another kernel has forgotten it.")
            return False
        self.kept = found
        return found.state not in ENDED and found.free and self.take_up()

    def _lose(self) -> None:
        """Another kernel took the job while this one slept."""
        self.owned, self.entering = False, None
        if self.supply is not None:
            self.supply.close()
        if self._purse is not None:
            self._purse.close()
        self._inbox.clear()

    def _require(self) -> None:
        """Have the job, or raise CommandError."""
        if not self.owned and not self.take_up():
            raise CommandError("Another kernel works on this job.", hint="Cancel it there, or wait until it is done.")

    def _put(self, kept: Kept) -> None:
        self._keeping.step(lambda connection: self._keeping.hold(connection, kept))
        self.kept, self._dirty, self._written = kept, True, time.monotonic()

    def _hold(self, state: State, remark: str) -> None:
        self._put(replace(self.kept, state=state, remark=remark, lane=self._supply.asked))

    @property
    def _supply(self) -> Supply:
        assert self.supply is not None  # noqa: S101  # made with the lease
        return self.supply

    def _bound(self, item: Item) -> float:
        return self.plan.requests.bound(item.question, item.told) if self.plan.charged else 0.0
