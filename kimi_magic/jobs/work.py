"""One job as this kernel works on it, turn by turn on the runner's thread.

A turn hears what came, enters it together with the next items' intent in one transaction, and only then sends those.
What could not be entered stays here until it can.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError, KimiError, StoreError
from kimi_magic.jobs.holding import LOOKS, Holding
from kimi_magic.jobs.keeping import Lost
from kimi_magic.jobs.kept import IN_FLIGHT, PARTLY, PENDING, Counts, Item, Kept, Taken
from kimi_magic.jobs.meter import Rate, expected
from kimi_magic.jobs.purse import Purse
from kimi_magic.jobs.standing import ENDED, Standing, State

if TYPE_CHECKING:
    from kimi_magic.jobs.entering import Entering

__all__ = ["Work"]

_RENEWED = 8.0
"""Seconds after which a lease is renewed where nothing else was written."""
_BUDGET = "The budget is reached: {} is spent. retry() with a higher one goes on."

_PARTLY = "Not all rows were entered when this ended. The same map again goes on."


class Work(Holding):
    """A job that this kernel works on, or watches while another one does. Used on the runner's thread alone."""

    def let_go(self) -> None:
        """End what is on its way here, and enter what came; another kernel, or a later one, may go on."""
        if self.owned and self._inbox.answers:
            with suppress(StoreError, Lost):  # what came is asked again
                self._write(0)
        super().let_go()

    # One turn

    def turn(self) -> float:
        """Do what can be done now; give the seconds until the next turn, where nothing wakes the runner before."""
        if self.kept.state in ENDED:
            return float("inf")
        try:
            if not self.owned and not self._comes_back():
                return LOOKS
            if self.kept.state == "asking":
                return self._waits_for_user()
            return self._turn()
        except Lost:
            self._lose()
            return LOOKS
        except StoreError as error:
            self._locked = f"{error.message} {error.hint}".strip()
            return LOOKS

    def _waits_for_user(self) -> float:
        if time.monotonic() - self._written > _RENEWED:
            self._hold("asking", "")
        return _RENEWED

    def _turn(self) -> float:
        supply, inbox = self._supply, self._inbox
        inbox.hear(supply)
        if inbox.stop and self.entering is None:
            self._end("stopped", inbox.stop)
            return float("inf")
        supply.remote.poll()
        most, drained, refused = self._most(), False, False
        if most or inbox.answers or self._dirty or time.monotonic() - self._written > _RENEWED:
            drained, refused = self._write(most)
        if not inbox.empty:
            return 0.0
        if supply.idle:
            self._settle(drained=drained, refused=refused)
        elif supply.asked == "concurrent" and not (supply.flying or self.entering or self.kept.counts.pending > 0):
            inbox.withdraw(supply.remote.batches[0], supply)  # that lane is wanted, and all else is done
            return 0.0
        if self._dirty:
            return 0.0
        if self.kept.state in ENDED or self.kept.state == "asking":
            return float("inf")
        return max(0.02, min(supply.due, _RENEWED, inbox.waits or _RENEWED))

    def _most(self) -> int:
        """How many items may be sent now."""
        if self.kept.counts.pending <= 0 and self._cursor:
            return 0
        if self._inbox.waits or self._inbox.stop:
            return 0
        room = self._supply.room
        if self.kept.state == "pilot":
            out = self._supply.flying + sum(batch.items for batch in self._supply.remote.batches)
            room = min(room, self.kept.pilot - self.kept.counts.answered - len(self._inbox.answers) - out)
        return max(0, room)

    # The transaction

    def _write(self, most: int) -> tuple[bool, bool]:
        """Enter what came and what is sent next; then send it.

        Gives whether there was nothing more to send, and whether a budget would not have it.
        """
        keeping, supply, purse, number = self._keeping, self._supply, self._purse, self.kept.number
        assert purse is not None  # noqa: S101  # made with the lease
        purse.look()
        supply.begin()
        held: list[int] = []
        again = {one.n for one in self._inbox.answers if one.state == PENDING}

        def takes(item: Item) -> bool:
            # What came for an item is in the purse only after this transaction: until then it is not sent again.
            if item.n in again or not supply.fits(item) or not purse.admits(item, self._bound(item)):
                return False
            held.append(item.n)
            return True

        def write(connection: Connection) -> tuple[Any, ...]:
            purse.give_back(held)
            held.clear()
            supply.begin()
            taken = keeping.settle(connection, number, self._inbox.answers) if self._inbox.answers else []
            items: Sequence[Item] = []
            batch, cursor = None, self._cursor
            if most:
                items, batch, cursor = keeping.claim(
                    connection, number, self.kept.round, cursor, most, takes, queue=supply.queue
                )
            ledger = self._account.enter(connection, taken, items, self.kept.notebook)
            kept = replace(self.kept.after(taken, items, batch), lane=supply.asked)
            keeping.hold(connection, kept)
            return taken, items, batch, cursor, kept, ledger

        try:
            taken, items, batch, cursor, kept, ledger = keeping.step(write)
        except BaseException:
            purse.give_back(held)
            raise
        self._account.entered(ledger)
        self._after(taken, kept, purse)
        self._cursor = min([cursor, *(n - 1 for n in again)])
        if items:
            self._asked += len(items)
            supply.send(items, batch)
        if again or (purse.refused and taken):
            self._dirty = True  # what they had held back is free only now
            return False, False
        return bool(most) and not items and not purse.refused, purse.refused

    def _after(self, taken: Sequence[Taken], kept: Kept, purse: Purse) -> None:
        """Take over what is written down now."""
        self.kept, self._dirty, self._written, self._locked = kept, False, time.monotonic(), ""
        self._inbox.answers.clear()
        purse.spent = kept.cost or 0.0
        purse.give_back(answered.n for answered, *_ in taken)
        if done := sum(copies for answered, copies, *_ in taken if answered.state > IN_FLIGHT):
            self.rate.add(done)

    # The end, or the pilot's

    def _settle(self, *, drained: bool, refused: bool) -> None:
        """Nothing is on its way: that is the end, or of the pilot, or of the budget, unless something is waited for."""
        if self.kept.state == "pilot" and self.kept.counts.answered >= self.kept.pilot:
            self._piloted = self._piloted or time.monotonic()
        if self.entering is not None:
            return
        if refused:
            from kimi_magic.present import dollars

            self._end("stopped", _BUDGET.format(dollars(self.kept.cost or 0.0)))
        elif self.kept.state == "pilot" and self.kept.counts.answered >= self.kept.pilot and self._left:
            self._ask()
        elif drained or (self.kept.counts.pending <= 0 and not self._inbox.waits):
            if self._cursor:
                self._cursor, self._dirty = 0, True  # once more from the beginning
            elif self.kept.options == PARTLY:
                self._end("stopped", _PARTLY)
            else:
                self._end("done", self._supply.remark)

    @property
    def _left(self) -> int:
        return self.kept.counts.items - self.kept.counts.answered

    def _ask(self) -> None:
        costs = self._keeping.costs(self.kept.number, self.kept.round)
        took = (
            (self._piloted or time.monotonic()) - self._began if self._asked else 0.0
        )  # it was asked before a restart
        self.estimate = expected(costs, took, self._asked, self._left)
        if self.plan.answer is None:
            self._hold("asking", "")
        elif self.plan.answer:
            self._hold("running", "")
        else:
            self._end("cancelled", "The pilot is done, and yes=False.")

    def _end(self, state: State, remark: str) -> None:
        """End it: what is in flight here is put back, the lease given back. What came is written down before."""
        supply, number = self._supply, self.kept.number
        while not self._inbox.empty or self._inbox.answers:
            self._inbox.hear(supply)
            self._write(0)
        kept = replace(self.kept, state=state, remark=remark, ended=time.time(), lane=supply.asked)

        def write(connection: Connection) -> Kept:
            back = self._keeping.put_back(connection, number)
            counts: Counts = kept.counts
            counts = replace(counts, pending=counts.pending + back, running=counts.running - back)
            ended = replace(kept, counts=counts)
            self._keeping.hold(connection, ended)
            return ended

        self.kept = self._keeping.step(write)
        self.let_go()

    def entered(self, entering: Entering) -> None:
        """Take note that all rows are entered. Raises Lost, StoreError."""
        if self.entering is not entering:
            raise Lost
        self._keeping.enters(self.kept.number, "")
        self.kept = replace(self.kept, options="")
        self.entering, self._dirty = None, True

    def not_entered(self, entering: Entering, error: KimiError) -> None:
        """Stop, because further rows cannot be entered."""
        if self.entering is not entering:
            return
        self.entering = None
        if self.owned:
            try:
                self._end("stopped", f"{error.message} {error.hint}".strip())
            except Lost:
                self._lose()
            except StoreError as trouble:
                self.fail(trouble)

    def fail(self, error: Exception) -> None:
        """End it here after an error of ours; it stays in the store as it is."""
        self.let_go()
        self.kept = replace(self.kept, state="stopped", remark=f"{type(error).__name__}: {error}")

    # What the user wants

    def open(
        self,
        *,
        lane: str,
        budget: float | None,
        pilot: int,
        yes: bool | None = None,
        entering: Entering | None = None,
    ) -> None:
        """Begin to ask what is missing; with a pilot of so many items first. Nothing, where another kernel has it.

        It is not done before what is `entering` is entered.

        One that waits for an answer to its pilot goes on waiting, unless `yes` is that.
        """
        if not self.owned and not self.take_up():
            return
        self.recount()
        self.entering, self._piloted = entering, 0.0
        counts = self.kept.counts
        missing = counts.items > counts.answered or entering is not None
        if self.kept.state == "asking" and pilot and missing:
            if entering is not None:
                self.plan = replace(self.plan, answer=yes)
                self._put(replace(self.kept, state="pilot", pilot=counts.answered))
            else:
                self._ask() if yes is None else self.answer(yes=yes)
            return
        state: State = "done" if not missing else "pilot" if pilot else "running"
        ended = self.kept.ended if state == "done" else None
        target = counts.answered + pilot if pilot else 0
        self._put(replace(self.kept, state=state, ended=ended, remark="", lane=lane, budget=budget, pilot=target))
        self._supply.asked = lane
        if self._purse is not None:
            self._purse.budget = budget
        if state == "done":
            self.let_go()

    def cancel(self) -> None:
        """Send nothing more."""
        if self.kept.state in ENDED:
            return
        self._require()
        self._end("cancelled", "")

    def answer(self, *, yes: bool) -> None:
        """Go on after the pilot, or not. Nothing, where that is so already: a notebook may run again."""
        state = self.kept.state
        if state == "done" or (state == "cancelled" and not yes):
            return
        if state != "asking":
            hint = "job.retry() goes on with it." if state in ENDED else "job.wait() waits for the end of its pilot."
            raise CommandError(f"This job asks nothing: it is {state}.", hint=hint)
        self._require()
        if yes:
            self._hold("running", "")
        else:
            self._end("cancelled", "The pilot is done; the rest was not wanted.")

    def again(self, budget: float | None) -> None:
        """Ask what failed once more, and go on."""
        self._require()
        self._keeping.again(self.kept.number)
        self.recount()
        self._put(replace(self.kept, state="running", ended=None, remark="", budget=budget))
        if self._purse is not None:
            self._purse.budget = budget
        self._began, self.rate = time.monotonic(), Rate()

    def choose(self, lane: str) -> None:
        """Change the lane; what is on its way stays there."""
        if not self.owned and self.kept.state in ENDED:
            self._keeping.choose(self.kept.number, lane)
            self.kept = replace(self.kept, lane=lane)
            return
        self._require()
        self._supply.asked, self._dirty = lane, True

    def hint(self, requests: Collection[str]) -> list[str]:
        """Ask soon about batches that have ended; give those that are this job's."""
        return self.supply.remote.hint(requests) if self.supply is not None and self.owned else []

    def not_notified(self, trouble: str) -> None:
        """Take note why no notices of batches come; empty where they do."""
        self._unheard = trouble
        if trouble and self.supply is not None:
            self.supply.remote.alone()

    # How it stands

    @property
    def batches(self) -> bool:
        """Whether batches of it are at the service."""
        return self.supply is not None and self.owned and bool(self.supply.remote.batches)

    @property
    def lane(self) -> str:
        """The lane that was asked for."""
        return self.supply.asked if self.supply is not None and self.owned else self.kept.lane

    @property
    def standing(self) -> Standing:
        """How the job stands."""
        kept, counts = self.kept, self.kept.counts
        state: State = kept.state
        lane, oldest, remark = kept.lane, None, kept.remark
        if self.supply is not None:
            lane = "queue" if self.supply.queue else "concurrent"
        if self.supply is not None and self.owned:
            began = min((batch.began for batch in self.supply.remote.batches), default=None)
            oldest = None if began is None else max(0.0, time.time() - began)
            remark = (
                self._locked
                or self._inbox.stop
                or self._inbox.trouble
                or remark
                or str(self.entering or "")
                or self.supply.remark
                or (self._unheard if began else "")
            )
            state = "waiting" if (self._locked or self._inbox.trouble) and state in ("running", "pilot") else state
        elif state not in ENDED:
            state = "elsewhere"
        rate = self.rate.value if kept.ended is None else 0.0
        left = counts.rows - counts.done - counts.failed if self.entering is None else 0
        return Standing(
            kept.id, kept.title, kept.kind, state, lane, remark,
            counts.rows, counts.done, counts.failed, counts.queued, counts.running, counts.pending,
            counts.rows - counts.items, kept.began, kept.ended, oldest, rate, left / rate if rate and left else None,
            kept.usage, kept.cost, kept.budget, self.estimate,
        )  # fmt: skip
