"""What the store holds of jobs: rows ↔ values. Every step of a job is one transaction, which its lease is checked in.

A job belongs to the kernel whose name stands in it until its lease ends.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from sqlite3 import Connection
from typing import Any

from kimi_magic.jobs.items import Items, places
from kimi_magic.jobs.kept import DONE, FAILED, IN_FLIGHT, PENDING, Answered, Batch, Counts, Item, Kept, gone
from kimi_magic.messages import Usage

__all__ = ["DONE", "FAILED", "IN_FLIGHT", "PENDING", "Answered", "Batch", "Counts", "Item", "Keeping", "Kept", "Lost"]

LEASE = 30.0
"""Seconds for which a job belongs to a kernel that does not renew it."""


class Lost(Exception):
    """Another kernel has taken the job over."""


_KEPT = tuple(field.name for field in fields(Kept))
_SELECT = f"SELECT {', '.join(_KEPT)} FROM job"  # noqa: S608  # our own names


class Keeping(Items):
    """The jobs of a store, for one kernel. Everything raises StoreError where the store does."""

    @property
    def owner(self) -> str:
        """The name under which this kernel has a job."""
        return f"{platform.node()}:{self._store().kernel}"

    @property
    def kernel(self) -> str:
        """The store's name for this kernel."""
        return self._store().kernel

    def create(self, job: Kept) -> Kept:
        """Keep a new job, or give the one of this id that is there."""
        names = _KEPT[1:]
        insert = f"INSERT OR IGNORE INTO job ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        values = [_plain(getattr(job, name)) for name in names]

        def write(connection: Connection) -> Kept:
            connection.execute(insert, values)
            return _kept(connection.execute(f"{_SELECT} WHERE id = ?", (job.id,)).fetchone())

        return self._store().write(write)

    def find(self, id_: str) -> Kept | None:
        """Give the job of this id."""
        row = self._store().read(lambda c: c.execute(f"{_SELECT} WHERE id = ?", (id_,)).fetchone())
        return None if row is None else _kept(row)

    def all(self) -> list[Kept]:
        """Give all jobs, the oldest first."""
        rows = self._store().read(lambda c: c.execute(f"{_SELECT} ORDER BY number").fetchall())
        return [_kept(row) for row in rows]

    def acquire(self, number: int) -> bool:
        """Take a job that nobody has; whether this kernel has it now."""
        owner, now = self.owner, time.time()

        def write(connection: Connection) -> bool:
            had, until = connection.execute("SELECT owner, until FROM job WHERE number = ?", (number,)).fetchone()
            if had and had != owner and until >= now and not gone(had):
                return False
            connection.execute("UPDATE job SET owner = ?, until = ? WHERE number = ?", (owner, now + LEASE, number))
            return True

        return self._store().write(write)

    def renew(self, number: int) -> bool:
        """Keep a job for longer; False where another kernel has it."""
        mine = (time.time() + LEASE, number, self.owner)
        lengthen = "UPDATE job SET until = ? WHERE number = ? AND owner = ?"
        return bool(self._store().write(lambda c: c.execute(lengthen, mine).rowcount))

    def release(self, number: int) -> None:
        """Let another kernel have a job."""
        mine = (number, self.owner)
        give = "UPDATE job SET owner = '', until = 0 WHERE number = ? AND owner = ?"
        self._store().write(lambda c: c.execute(give, mine))

    def begin_round(self, number: int) -> int:
        """Begin with other rows: items of earlier rounds that are not asked again wait for a later one."""

        def write(connection: Connection) -> int:
            connection.execute("UPDATE job SET round = round + 1 WHERE number = ?", (number,))
            return int(connection.execute("SELECT round FROM job WHERE number = ?", (number,)).fetchone()[0])

        return self._store().write(write)

    def hold(self, connection: Connection, job: Kept) -> None:
        """Write down how a job stands; raises Lost where another kernel has it."""
        state = (job.state, job.remark, job.lane, job.ended, job.pilot, _plain(job.counts), _plain(job.usage), job.cost)
        done = connection.execute(
            "UPDATE job SET state = ?, remark = ?, lane = ?, ended = ?, pilot = ?, counts = ?, usage = ?, cost = ?, "
            "budget = ?, reply = ?, until = ? WHERE number = ? AND owner = ?",
            (*state, job.budget, job.reply, time.time() + LEASE, job.number, self.owner),
        )
        if not done.rowcount:
            raise Lost

    def step(self, work: Callable[[Connection], Any]) -> Any:
        """Do some work in one transaction."""
        return self._store().write(work)

    def enters(self, number: int, options: str) -> None:
        """Write down that a map's rows are entered from now on (PARTLY), or that all are (empty)."""
        self._store().write(lambda c: c.execute("UPDATE job SET options = ? WHERE number = ?", (options, number)))

    def respell(self, number: int, spec: str) -> None:
        """Keep another spelling of what a job is."""
        self._store().write(lambda c: c.execute("UPDATE job SET spec = ? WHERE number = ?", (spec, number)))

    def choose(self, number: int, lane: str) -> None:
        """Change the lane of a job that nobody works on."""
        self._store().write(lambda c: c.execute("UPDATE job SET lane = ? WHERE number = ?", (lane, number)))

    def forget(self, number: int) -> None:
        """Erase a job."""
        low, high = places(number)

        def write(connection: Connection) -> None:
            connection.execute("DELETE FROM job_item WHERE id BETWEEN ? AND ?", (low, high))
            connection.execute("DELETE FROM job_batch WHERE job = ?", (number,))
            connection.execute("DELETE FROM job WHERE number = ?", (number,))

        self._store().write(write)


def _plain(value: Any) -> Any:
    return json.dumps(asdict(value)) if isinstance(value, Counts | Usage) else value


def _kept(row: Sequence[Any]) -> Kept:
    values = dict(zip(_KEPT, row, strict=True))
    values["counts"] = Counts(**json.loads(values["counts"]))
    values["usage"] = Usage(**json.loads(values["usage"]))
    return Kept(**values)
