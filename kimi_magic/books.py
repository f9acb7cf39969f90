"""What the replies of this kernel used: added up, kept day by day in the store, held against a budget.

Before a question is sent the most that it can cost is held back, under one lock, and given back when its reply ends
and its cost is known: two questions at once cannot both take the last cent.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from kimi_magic import models
from kimi_magic.budget import Budget
from kimi_magic.errors import BudgetReached, StoreError
from kimi_magic.messages import Text, Usage
from kimi_magic.present import dollars
from kimi_magic.reply import Reply
from kimi_magic.store import Store, Used
from kimi_magic.wire import Request

__all__ = ["Books", "Hold", "midnight"]

_LEAST_REPLY = 300
"""Tokens of a reply below which a limit made smaller by a budget is of no use."""
_MARKS = 16
"""Tokens that a chat template puts around one message, at most."""


def midnight(now: float | None = None) -> float:
    """Give when the user's local day began, in seconds since 1970."""
    day = time.localtime(now)
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))


@dataclass(eq=False, slots=True)
class Hold:
    """US dollars held back for one question that is on its way: for what is sent, and for the reply."""

    sent: float = 0.0
    reply: float = 0.0


class Books:
    """Usage and cost of this kernel, and the day's over all kernels. May be used from any thread.

    `counted` is what counts against a budget of this kernel already, in US dollars.
    """

    def __init__(self, store: Callable[[], Store] | None = None, counted: float = 0.0) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._holds: list[Hold] = []
        self._unwritten: list[Used] = []
        self._counted = counted
        self._of_jobs: dict[str, int] = {}
        self.mine: list[Used] = []
        self.usage = Usage()
        self.cost = 0.0
        self.replies = 0
        self.replayed = 0
        self.unpriced = 0

    @property
    def counted(self) -> float:
        """US dollars that count against a budget of this kernel."""
        return self._counted

    @property
    def in_flight(self) -> float:
        """US dollars held back for questions of this kernel that are on their way."""
        with self._lock:
            return self._held

    @property
    def _held(self) -> float:
        return sum(hold.sent + hold.reply for hold in self._holds)

    def spent(self, budget: Budget) -> float:
        """US dollars that count against a budget so far, without what is in flight. Raises StoreError."""
        if budget.per == "kernel" or self._store is None:
            return self.counted
        since = midnight()
        return self._store().spent(since) + sum(used.counted for used in self._unwritten if used.time >= since)

    def admit(self, request: Request, budget: Budget | None, *, charged: bool) -> tuple[Request, Hold]:
        """Hold back the most that a request can cost; give it with a smaller limit where that makes it fit a budget.

        What has no price, and what nobody bills, is not counted. Raises BudgetReached, and StoreError where it cannot
        be told what the day has cost.
        """
        price = models.known(request.model).price if charged else None
        if price is None:
            return request, Hold()
        most = models.estimate_messages(request.messages)[1] + _MARKS * (len(request.messages) + 1)
        hold = Hold(most * price.input / 1e6, request.max_tokens * price.output / 1e6)
        with self._lock:
            if budget is not None:
                spent = self.spent(budget)
                tokens = int((budget.dollars - spent - self._held - hold.sent) / price.output * 1e6)
                if tokens < min(request.max_tokens, _LEAST_REPLY):
                    raise _reached(budget, spent, self._held, hold)
                if tokens < request.max_tokens:
                    request = replace(request, max_tokens=tokens, wanted=request.max_tokens)
                    hold.reply = tokens * price.output / 1e6
            self._holds.append(hold)
        return request, hold

    def release(self, hold: Hold) -> None:
        """Give back what was held for a question that was not sent."""
        with self._lock:
            if hold in self._holds:
                self._holds.remove(hold)

    def room(self, budget: Budget | None) -> float | None:
        """US dollars that may still be spent, what is in flight not counted; None for any. Raises StoreError."""
        return None if budget is None else budget.dollars - self.spent(budget)

    def reserve(self, hold: Hold, dollars: float, room: float | None) -> bool:
        """Hold back more, for an item of a job; False, and nothing held, where all in flight might pass the room."""
        with self._lock:
            if room is not None and self._held + dollars > room:
                return False
            if hold not in self._holds:
                self._holds.append(hold)
            hold.sent += dollars
            return True

    def reduce(self, hold: Hold, dollars: float) -> None:
        """Give back a part of what is held."""
        with self._lock:
            hold.sent = max(0.0, hold.sent - dollars)

    def enter(self, used: Used, replies: int) -> None:
        """Count replies of a job, which has written down itself what they used together."""
        usage = Usage(used.input, used.cached, used.output, used.thinking, used.neurons)
        with self._lock:
            self._counted += used.counted
            self.replies += replies
            self.usage += usage
            self.cost += used.cost or 0.0
            self.unpriced += replies if used.cost is None else 0
            last = self._of_jobs.get(used.conversation)
            if last is None:
                self._of_jobs[used.conversation] = len(self.mine)
                self.mine.append(used)
            else:
                self.mine[last] = _together(self.mine[last], used)

    def settle(self, hold: Hold, reply: Reply, endpoint: str, conversation: str, *, more: bool = False) -> None:
        """Count a reply that has ended, cut or whole, and write it down; the hold is given back.

        Where `more` rounds of the same question are to come, it is written down with those, or by `write`.
        """
        began = bool(reply.text or reply.thinking or reply.request_id or reply.usage != Usage())
        unknown = reply.usage == Usage() and reply.charged and began
        counted = _bound(hold, reply) if unknown else reply.cost or 0.0
        with self._lock:
            if hold in self._holds:
                self._holds.remove(hold)
            if reply.recorded:
                self.replayed += 1
            if reply.recorded or not began:
                return
            used = _used(reply, endpoint, conversation, counted)
            self._counted += counted
            self.mine.append(used)
            if reply.text or reply.usage != Usage():
                self.replies += 1
                self.usage += reply.usage
                self.unpriced += reply.cost is None
                self.cost += reply.cost or 0.0
            if self._store is not None:
                self._unwritten.append(used)
            if not more:
                self._write()  # under the lock: who asks next must find it

    def write(self) -> None:
        """Write down what is not written yet. What cannot be is told, and tried again with the next reply."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if self._store is None or not self._unwritten:
            return
        try:
            self._store().record_usage(*self._unwritten)
            self._unwritten.clear()
        except StoreError as error:
            warnings.warn(f"{error.message} {error.hint}", stacklevel=2)

    def today(self) -> list[Used]:
        """Give what the replies of all kernels used since local midnight. Raises StoreError."""
        found: Iterable[Used] = () if self._store is None else self._store().usage(midnight())
        return [*found, *self._unwritten]


def _together(one: Used, other: Used) -> Used:
    """Add up what a job used."""
    sums = {
        name: getattr(one, name) + getattr(other, name)
        for name in ("input", "cached", "thinking", "output", "neurons", "cost", "counted")
        if getattr(one, name) is not None and getattr(other, name) is not None
    }
    return replace(other, **sums)


def _used(reply: Reply, endpoint: str, conversation: str, counted: float) -> Used:
    usage = reply.usage
    return Used(
        time.time(),
        endpoint,
        reply.model,
        conversation,
        usage.input,
        usage.cached,
        usage.thinking,
        usage.output,
        usage.neurons,
        reply.cost,
        counted,
        reply.charged,
    )


def _bound(hold: Hold, reply: Reply) -> float:
    """The most that a reply can have cost of which the service had counted nothing yet."""
    price = models.known(reply.model).price
    if price is None:
        return 0.0
    written = sum(models.estimate(part.text)[1] for part in (Text(reply.text), Text(reply.thinking)))
    return hold.sent + min(hold.reply, written * price.output / 1e6)


def _reached(budget: Budget, spent: float, held: float, hold: Hold) -> BudgetReached:
    flight = f", {dollars(held)} in flight" if held else ""
    per = " over all kernels" if budget.per == "day" else ""
    enough = max(budget.dollars * 2, math.ceil((spent + held + hold.sent + hold.reply) * 100) / 100)
    return BudgetReached(
        f"Not sent: of the budget of {budget}{per}, {dollars(spent)} is spent{flight}, and this question may cost "
        f"{dollars(hold.sent + hold.reply)}.",
        hint=f"`%kimi budget ${enough:.9g}{'/day' if budget.per == 'day' else ''}` raises it, "
        "`%kimi budget off` ends it; --max-tokens and --new make a question cheaper.",
    )
