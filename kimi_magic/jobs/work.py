"""One job as this kernel works on it, turn by turn on the runner's thread.

A turn hears what came, enters it together with the next items' intent in one transaction, and only then sends those.
What could not be entered stays here until it can.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from sqlite3 import Connection
from typing import Any

from kimi_magic import refusals
from kimi_magic.errors import BatchLost, CommandError, KimiError, ServerFailure, StoreError, Unqueueable
from kimi_magic.jobs.account import Account
from kimi_magic.jobs.keeping import FAILED, IN_FLIGHT, PENDING, Answered, Batch, Counts, Item, Keeping, Kept, Lost
from kimi_magic.jobs.lanes import Came, whole
from kimi_magic.jobs.meter import Rate, expected
from kimi_magic.jobs.plan import Plan
from kimi_magic.jobs.purse import Purse
from kimi_magic.jobs.remote import Submitted, Took
from kimi_magic.jobs.standing import ENDED, Estimate, Standing, State
from kimi_magic.jobs.supply import Supply
from kimi_magic.jobs.verdict import Judge, Verdict

__all__ = ["Work"]

_RENEWED = 8.0
"""Seconds after which a lease is renewed where nothing else was written."""
_LOOKS = 1.0
"""Seconds between two looks at a job that another kernel has."""
_LONGEST_WAIT = 60.0
_ENOUGH = 2_000
"""Answers entered at once, at most."""
_BUDGET = "The budget is reached: {} is spent. retry() with a higher one goes on."

Heard = Came | Submitted | Took


class Work:
    """A job that this kernel works on, or watches while another one does. Used on the runner's thread alone."""

    def __init__(self, keeping: Keeping, kept: Kept, plan: Plan, wake: Callable[[], None]) -> None:
        self._keeping, self._wake = keeping, wake
        self.kept, self.plan = kept, plan
        self.owned = False
        self.estimate: Estimate | None = None
        self._heard: deque[Heard] = deque()
        self._answers: list[Answered] = []
        self._trouble = self._locked = self._stop = ""
        self._pause, self._until = 0.0, 0.0
        self._cursor = 0
        self._looked = self._written = 0.0
        self._began = time.monotonic()
        self._asked = 0
        self._dirty = False
        self.rate = Rate()
        self.judge = Judge(plan.spec.model, plan.charged, plan.out, bool(plan.spec.schema))
        self._account = Account(plan, kept, keeping.kernel)
        self.supply: Supply | None = None
        self._purse: Purse | None = None

    # Taking it up and letting go

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
        self.supply = Supply(self.plan, self.judge, found.lane, self._tell)
        self._purse = Purse(self.plan.books, found.budget, self.plan.budget, found.cost or 0.0)
        for batch in self._keeping.batches(number):
            for item in self._keeping.in_batch(number, batch.number):
                self._purse.admits(item, self._bound(item), always=True)
            self.supply.remote.adopt(batch)
        self.owned, self._cursor, self._dirty = True, 0, True
        self._trouble, self._until, self._pause = "", 0.0, 0.0
        return True

    def let_go(self) -> None:
        """End what is on its way here; another kernel, or a later one, may go on."""
        if self.supply is not None:
            self.supply.close()
        if self._purse is not None:
            self._purse.close()
        self._heard.clear()
        if self.owned:
            self.owned = False
            try:
                if self._answers:
                    self._write(0)
                self._keeping.release(self.kept.number)
            except (StoreError, Lost):
                pass
        self._answers.clear()

    def recount(self) -> None:
        """Take note that rows were added, or failed ones made pending again."""
        kept = self._keeping.find(self.kept.id) or self.kept
        counts = self._keeping.count(kept.number, kept.round)
        self.kept = replace(self.kept, round=kept.round, counts=counts)
        self._cursor, self._dirty = 0, True

    def open(self, *, lane: str, budget: float | None, pilot: int) -> None:
        """Begin to ask what is missing; with a pilot of so many items first. Nothing, where another kernel has it."""
        if not self.owned and not self.take_up():
            return
        self.recount()
        counts = self.kept.counts
        missing = counts.items - counts.answered
        state: State = "done" if not missing else "pilot" if pilot else "running"
        ended = self.kept.ended if state == "done" else None
        target = counts.answered + pilot if pilot else 0
        self._put(replace(self.kept, state=state, ended=ended, remark="", lane=lane, budget=budget, pilot=target))
        self._supply.asked = lane
        if self._purse is not None:
            self._purse.budget = budget
        if state == "done":
            self.let_go()

    def _put(self, kept: Kept) -> None:
        self._keeping.step(lambda connection: self._keeping.hold(connection, kept))
        self.kept, self._dirty, self._written = kept, True, time.monotonic()

    # One turn

    def _tell(self, heard: Heard) -> None:
        self._heard.append(heard)
        self._wake()

    def turn(self) -> float:
        """Do what can be done now; give the seconds until the next turn, where nothing wakes the runner before."""
        if self.kept.state in ENDED:
            return float("inf")
        try:
            if not self.owned and not self._comes_back():
                return _LOOKS
            if self.kept.state == "asking":
                return self._waits_for_user()
            return self._turn()
        except Lost:
            self._lose()
            return _LOOKS
        except StoreError as error:
            self._locked = f"{error.message} {error.hint}".strip()
            return _LOOKS

    def _waits_for_user(self) -> float:
        if time.monotonic() - self._written > _RENEWED:
            self._hold("asking", "")
        return _RENEWED

    def _comes_back(self) -> bool:
        """See how a job stands that another kernel has, and take it where that is gone."""
        now = time.monotonic()
        if now - self._looked < _LOOKS:
            return False
        self._looked = now
        found = self._keeping.find(self.kept.id)
        if found is None:
            return False
        if found.state in ENDED:
            self.kept = found
            return False
        self.kept = found
        return found.free and self.take_up()

    def _lose(self) -> None:
        """Another kernel took the job while this one slept."""
        self.owned = False
        if self.supply is not None:
            self.supply.close()
        if self._purse is not None:
            self._purse.close()
        self._answers.clear()
        self._heard.clear()

    def _turn(self) -> float:
        supply = self._supply
        while self._heard and len(self._answers) < _ENOUGH:
            self._hear(self._heard[0])
            self._heard.popleft()
        if self._stop:
            self._end("stopped", self._stop)
            return float("inf")
        supply.remote.poll()
        most, drained, refused = self._most(), False, False
        if most or self._answers or self._dirty or time.monotonic() - self._written > _RENEWED:
            drained, refused = self._write(most)
        if self._heard:
            return 0.0
        if supply.idle:
            self._settle(drained=drained, refused=refused)
        elif supply.asked == "concurrent" and not supply.flying and self.kept.counts.pending <= 0:
            self._withdraw()
        if self._dirty:
            return 0.0
        if self.kept.state in ENDED or self.kept.state == "asking":
            return float("inf")
        later = [self._until - time.monotonic()] if self._until else []
        return max(0.02, min([supply.due, _RENEWED, *later]))

    @property
    def _supply(self) -> Supply:
        assert self.supply is not None  # noqa: S101  # made with the lease
        return self.supply

    def _most(self) -> int:
        """How many items may be sent now."""
        if self.kept.counts.pending <= 0 and self._cursor:
            return 0
        if self._until > time.monotonic():
            return 0
        room = self._supply.room
        if self.kept.state == "pilot":
            out = self._supply.flying + sum(batch.items for batch in self._supply.remote.batches)
            room = min(room, self.kept.pilot - self.kept.counts.answered - len(self._answers) - out)
        return max(0, room)

    # What came

    def _hear(self, heard: Heard) -> None:
        match heard:
            case Came():
                self._judge(heard)
            case Submitted():
                self._submitted(heard)
            case Took(batch, polled, error):
                if error is not None and not isinstance(error, BatchLost):
                    self._wait(error.message if isinstance(error, KimiError) else str(error))
                    self._supply.remote.later(batch)
                elif polled is not None and polled.status in ("queued", "running"):
                    self._trouble, self._until = "", 0.0
                    self._supply.remote.later(batch)
                else:
                    self._finished(heard)

    def _judge(self, came: Came) -> None:
        verdict = self.judge.of(came)
        self._answers.append(verdict.answered)
        self._take(verdict)

    def _take(self, verdict: Verdict) -> None:
        self._stop = self._stop or verdict.stops
        if verdict.waits:
            self._wait(verdict.waits)
        elif verdict.answered.usage is not None:
            self._trouble, self._until, self._pause = "", 0.0, 0.0

    def _submitted(self, event: Submitted) -> None:
        number = self.kept.number
        if event.error is None:
            self._keeping.submitted(event.batch.number, event.request)
            self._supply.took(event)
            return
        self._not_answered(event.batch, self._keeping.in_batch(number, event.batch.number), event.error)

    def _finished(self, event: Took) -> None:
        """Judge every item of a batch that is done, failed or lost."""
        batch = event.batch
        items = {item.n: item for item in self._keeping.in_batch(self.kept.number, batch.number)}
        order = list(items.values())
        if event.polled is not None and event.polled.status == "done":
            for answer in event.polled.answers:
                place = answer.index if 0 <= answer.index < len(order) and len(order) == batch.items else -1
                n = self._supply.number(answer.reference)
                if n is None and not answer.reference and place >= 0:
                    n = order[place].n
                item = items.pop(n, None) if n is not None else None
                if item is None:
                    continue
                failed = refusals.error_of(answer.failure) if answer.failure is not None else None
                self._judge(Came(item, error=failed) if failed else whole(item, answer.events))
            missing: KimiError = ServerFailure("The queue gave no answer for it.")
        elif event.polled is not None and event.polled.failure is not None:
            missing = refusals.error_of(event.polled.failure)
        else:
            missing = BatchLost("The service has forgotten the batch.")
        if items:
            self._not_answered(batch, list(items.values()), missing)
        self._supply.remote.drop(batch)

    def _not_answered(self, batch: Batch, items: Sequence[Item], error: Exception) -> None:
        """Judge the items of a batch that came to nothing, or send them again in another way."""
        judged = self._supply.took(Submitted(batch, "", error))
        for item in items:
            if judged:
                self._judge(Came(item, error=_of_submission(error)))
            else:
                self._answers.append(Answered(item.n, PENDING, told=item.told, tried=False))

    def _wait(self, trouble: str) -> None:
        """Send nothing for a while, longer each time."""
        if self._until <= time.monotonic():
            self._pause = min(_LONGEST_WAIT, 2 * self._pause or 0.5)
            self._until = time.monotonic() + self._pause
        self._trouble = trouble
        self._dirty = True

    # The transaction

    def _bound(self, item: Item) -> float:
        return self.plan.requests.bound(item.question, item.told) if self.plan.charged else 0.0

    def _write(self, most: int) -> tuple[bool, bool]:
        """Enter what came and what is sent next; then send it.

        Gives whether there was nothing more to send, and whether a budget would not have it.
        """
        keeping, supply, purse, number = self._keeping, self._supply, self._purse, self.kept.number
        assert purse is not None  # noqa: S101  # made with the lease
        purse.look()
        supply.begin()
        held: list[int] = []

        def takes(item: Item) -> bool:
            if not supply.fits(item) or not purse.admits(item, self._bound(item)):
                return False
            held.append(item.n)
            return True

        def write(connection: Connection) -> tuple[Any, ...]:
            purse.give_back(held)
            held.clear()
            supply.begin()
            taken = keeping.settle(connection, number, self._answers) if self._answers else []
            items: Sequence[Item] = []
            batch, cursor = None, 0 if any(one.state == PENDING for one, *_ in taken) else self._cursor
            if most:
                items, batch, cursor = keeping.claim(
                    connection, number, self.kept.round, cursor, most, takes, queue=supply.queue
                )
            ledger = self._account.enter(connection, taken, items, self.kept.notebook)
            kept = self._with(taken, items, batch)
            keeping.hold(connection, kept)
            return taken, items, batch, cursor, kept, ledger

        try:
            taken, items, batch, cursor, kept, ledger = keeping.step(write)
        except BaseException:
            purse.give_back(held)
            raise
        self._account.entered(ledger)
        self._after(taken, kept, purse)
        self._cursor = cursor
        if items:
            self._asked += len(items)
            supply.send(items, batch)
        if purse.refused and taken:
            self._dirty = True  # what these had held back is free only now
            return False, False
        return bool(most) and not items and not purse.refused, purse.refused

    def _after(self, taken: Sequence[tuple[Answered, int, int, int]], kept: Kept, purse: Purse) -> None:
        """Take over what is written down now."""
        self.kept, self._dirty, self._written, self._locked = kept, False, time.monotonic(), ""
        self._answers.clear()
        purse.spent = kept.cost or 0.0
        purse.give_back(answered.n for answered, *_ in taken)
        self._supply.flying -= sum(state == IN_FLIGHT and not batch for _, _, batch, state in taken)
        if done := sum(copies for answered, copies, *_ in taken if answered.state > IN_FLIGHT):
            self.rate.add(done)

    def _with(
        self, taken: Sequence[tuple[Answered, int, int, int]], items: Sequence[Item], batch: Batch | None
    ) -> Kept:
        """Give how the job stands after these outcomes, and with these items sent."""
        counts = self.kept.counts
        by = {name: getattr(counts, name) for name in ("pending", "queued", "running", "done", "failed", "answered")}
        usage, cost = self.kept.usage, self.kept.cost
        for answered, copies, queued, state in taken:
            by["pending" if state == PENDING else "queued" if queued else "running"] -= copies
            by["pending" if answered.state == PENDING else "failed" if answered.state == FAILED else "done"] += copies
            by["answered"] += answered.state > IN_FLIGHT
            if answered.usage is not None:
                usage += answered.usage
            if answered.cost is not None:
                cost = (cost or 0.0) + answered.cost
        sent = sum(item.copies for item in items)
        by["pending"] -= sent
        by["queued" if batch is not None else "running"] += sent
        return replace(self.kept, counts=replace(counts, **by), usage=usage, cost=cost, lane=self._supply.asked)

    def _withdraw(self) -> None:
        """Ask one by one what the queue still has, when that lane is wanted and all else is done: the oldest first."""
        batch = self._supply.remote.batches[0]
        items = self._keeping.in_batch(self.kept.number, batch.number)
        self._supply.remote.drop(batch)
        self._answers += [Answered(item.n, PENDING, told=item.told, tried=False) for item in items]
        self._dirty = True

    # The end, or the pilot's

    def _settle(self, *, drained: bool, refused: bool) -> None:
        """Nothing is on its way: that is the end, or of the pilot, or of the budget, unless something is waited for."""
        if refused:
            from kimi_magic.present import dollars

            self._end("stopped", _BUDGET.format(dollars(self.kept.cost or 0.0)))
        elif self.kept.state == "pilot" and self.kept.counts.answered >= self.kept.pilot and self._left:
            self._ask()
        elif drained or (self.kept.counts.pending <= 0 and self._until <= time.monotonic()):
            if self._cursor:
                self._cursor, self._dirty = 0, True  # once more from the beginning
            else:
                self._end("done", self._supply.remark)

    @property
    def _left(self) -> int:
        return self.kept.counts.items - self.kept.counts.answered

    def _ask(self) -> None:
        costs = self._keeping.costs(self.kept.number, self.kept.round)
        self.estimate = expected(costs, time.monotonic() - self._began, self._asked, self._left)
        if self.plan.answer is None:
            self._hold("asking", "")
        elif self.plan.answer:
            self._hold("running", "")
        else:
            self._end("cancelled", "The pilot is done, and yes=False.")

    def _hold(self, state: State, remark: str) -> None:
        self._put(replace(self.kept, state=state, remark=remark, lane=self._supply.asked))

    def _end(self, state: State, remark: str) -> None:
        """End it: what is in flight here is put back, the lease given back. What came is written down before."""
        supply, number = self._supply, self.kept.number
        while self._heard:
            self._hear(self._heard.popleft())
        if self._answers:
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
        self._stop = self._trouble = ""
        supply.close()
        self.let_go()

    def fail(self, error: Exception) -> None:
        """End it here after an error of ours; it stays in the store as it is."""
        self.let_go()
        self.kept = replace(self.kept, state="stopped", remark=f"{type(error).__name__}: {error}")

    # What the user wants

    def cancel(self) -> None:
        """Send nothing more."""
        if self.kept.state in ENDED:
            return
        self._require()
        self._end("cancelled", "")

    def answer(self, *, yes: bool) -> None:
        """Go on after the pilot, or not."""
        if self.kept.state != "asking":
            raise CommandError(f"This job asks nothing: it is {self.kept.state}.")
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
        self._began, self.rate, self._stop = time.monotonic(), Rate(), ""

    def choose(self, lane: str) -> None:
        """Change the lane; what is on its way stays there."""
        if not self.owned and self.kept.state in ENDED:
            self._keeping.choose(self.kept.number, lane)
            self.kept = replace(self.kept, lane=lane)
            return
        self._require()
        self._supply.asked, self._dirty = lane, True

    def _require(self) -> None:
        """Have the job, or raise CommandError."""
        if not self.owned and not self.take_up():
            raise CommandError("Another kernel works on this job.", hint="Cancel it there, or wait until it is done.")

    # How it stands

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
            remark = self._locked or self._trouble or remark or self.supply.remark
            state = "waiting" if (self._locked or self._trouble) and state in ("running", "pilot") else state
        elif state not in ENDED:
            state = "elsewhere"
        rate = self.rate.value if kept.ended is None else 0.0
        left = counts.rows - counts.done - counts.failed
        return Standing(
            kept.id, kept.title, kept.kind, state, lane, remark,
            counts.rows, counts.done, counts.failed, counts.queued, counts.running, counts.pending,
            counts.rows - counts.items, kept.began, kept.ended, oldest, rate, left / rate if rate else None,
            kept.usage, kept.cost, kept.budget, self.estimate,
        )  # fmt: skip


def _of_submission(error: Exception) -> Exception:
    """Say what a failed submission means for its items: which of them are wrong is not known."""
    if isinstance(error, Unqueueable):
        from kimi_magic.errors import SettingError

        return SettingError(error.message, hint='job.lane = "concurrent", then job.retry(), asks one by one.')
    return error
