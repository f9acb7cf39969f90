"""What a job enters in the ledger and in the usage: one entry for many items, made longer as they are sent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from kimi_magic.messages import Usage
from kimi_magic.store import Egress, Used, add_egress, add_usage, more_egress, more_usage

if TYPE_CHECKING:
    from kimi_magic.jobs.keeping import Answered, Item, Kept
    from kimi_magic.jobs.plan import Plan

__all__ = ["Account"]

_ROWS = 10_000
"""Items of one entry in the ledger."""
_SECONDS = 60.0
"""How long one entry of the usage grows: it has one time, and a budget counts by the day."""


class _Entry(NamedTuple):
    number: int = 0
    items: int = 0
    time: float = 0.0


class _Entered(NamedTuple):
    sent: _Entry
    used: _Entry
    usage: Used | None
    replies: int


class Account:
    """The entries of one job. `enter` is called inside a transaction, `entered` with what it gave once that is done."""

    def __init__(self, plan: Plan, kept: Kept, kernel: str) -> None:
        self._plan, self._job, self._kernel = plan, kept, kernel
        self._sent, self._used = _Entry(), _Entry()

    def enter(
        self,
        connection: Connection,
        taken: Sequence[tuple[Answered, Any, Any, Any]],
        items: Sequence[Item],
        notebook: str,
    ) -> _Entered:
        """Enter what is sent, and what was used."""
        sent = self._enter_sent(connection, items, notebook) if items else self._sent
        paid = [one for one, *_ in taken if one.usage is not None and one.usage != Usage()]
        if not paid:
            return _Entered(sent, self._used, None, 0)
        usage, cost = Usage(), None
        for one in paid:
            usage += one.usage or Usage()
            if one.cost is not None:
                cost = (cost or 0.0) + one.cost
        entry, used = self._enter_used(connection, usage, cost)
        return _Entered(sent, entry, used, len(paid))

    def _enter_sent(self, connection: Connection, items: Sequence[Item], notebook: str) -> _Entry:
        spec, size = self._plan.spec, sum(len(item.question.encode("utf-8", "replace")) for item in items)
        redacted = sum(item.question.count("[redacted: ") + item.question.count("[private: ") for item in items)
        shared = self._plan.requests.prefix * len(items)
        egress = Egress(
            time.time(), self._plan.host, spec.model, "job", f"job {spec.id}", self._job.kind, spec.columns,
            sum(item.copies for item in items), size + shared, (size + shared) // 4, redacted, (), notebook,
            self._kernel,
        )  # fmt: skip
        if self._sent.number and self._sent.items < _ROWS:
            more_egress(connection, self._sent.number, egress)
            return self._sent._replace(items=self._sent.items + len(items))
        return _Entry(add_egress(connection, egress), len(items))

    def _enter_used(self, connection: Connection, usage: Usage, cost: float | None) -> tuple[_Entry, Used]:
        now, spec = time.time(), self._plan.spec
        used = Used(
            now, self._plan.host, spec.model, f"job {spec.id}", usage.input, usage.cached, usage.thinking, usage.output,
            usage.neurons, cost, cost or 0.0, self._plan.charged, self._kernel,
        )  # fmt: skip
        if self._used.number and now - self._used.time < _SECONDS:
            more_usage(connection, self._used.number, used)
            return self._used, used
        return _Entry(add_usage(connection, used), 0, now), used

    def entered(self, done: _Entered) -> None:
        """Take note that the transaction is done."""
        self._sent, self._used = done.sent, done.used
        if done.usage is not None:
            self._plan.books.enter(done.usage, done.replies)
