"""What the store holds of jobs: rows ↔ values. Every step of a job is one transaction, which its lease is checked in.

A job belongs to the kernel whose name stands in it until its lease ends. An item's id is the job's number and its own
place in the job; its key is the hash of its question, so that equal rows are one item. Only an item that is pending or
in flight takes an answer: what comes twice is dropped.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from sqlite3 import Connection
from typing import Any, NamedTuple

from kimi_magic.jobs.standing import ENDED, Kind, Standing, State
from kimi_magic.messages import Usage
from kimi_magic.store import Store

__all__ = ["DONE", "FAILED", "IN_FLIGHT", "PENDING", "Answered", "Batch", "Counts", "Item", "Keeping", "Kept", "Lost"]

PENDING, IN_FLIGHT, DONE, FAILED = range(4)
LEASE = 30.0
"""Seconds for which a job belongs to a kernel that does not renew it."""
_PLACES = 32
"""Bits of an item's id that are its place in the job."""


class Lost(Exception):
    """Another kernel has taken the job over."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a job by state; `items` counts different questions, `answered` those that are done or failed."""

    rows: int = 0
    items: int = 0
    answered: int = 0
    pending: int = 0
    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """A job as the store has it; `owner` has it until `until`. Times are in seconds since 1970 (UTC)."""

    number: int
    id: str
    kind: Kind
    title: str
    notebook: str
    spec: str
    options: str
    round: int
    state: State
    remark: str
    lane: str
    began: float
    ended: float | None
    budget: float | None
    pilot: int
    counts: Counts
    usage: Usage
    cost: float | None
    reply: str
    owner: str
    until: float

    @property
    def free(self) -> bool:
        """Whether no kernel has it, or only one that is there no more."""
        return not self.owner or self.until < time.time() or _gone(self.owner)

    @property
    def standing(self) -> Standing:
        """How it stands by what was written down last."""
        counts = self.counts
        state: State = self.state if self.state in ENDED else "waiting" if self.free else "elsewhere"
        remark = "No kernel works on it." if state == "waiting" else self.remark
        return Standing(
            self.id, self.title, self.kind, state, self.lane, remark, counts.rows, counts.done, counts.failed,
            counts.queued, counts.running, counts.pending, counts.rows - counts.items, self.began, self.ended,
            None, 0.0, None, self.usage, self.cost, self.budget,
        )  # fmt: skip


class Item(NamedTuple):
    """One question that is to be answered: its place in the job, how many rows it is, what was wrong before."""

    n: int
    question: str
    copies: int
    tries: int
    told: tuple[str, str] | None


class Answered(NamedTuple):
    """What one item came to: its reply, or the error, with PENDING for one that is to be asked again.

    `told` is a reply that was not valid and what is wrong with it; `paid` says that the request was answered.
    """

    n: int
    state: int
    reply: str = ""
    error: str = ""
    usage: Usage | None = None
    cost: float | None = None
    told: tuple[str, str] | None = None
    tried: bool = True


class Batch(NamedTuple):
    """One submission to the queue: `request` is the service's id of it, empty until that is known."""

    number: int
    request: str
    began: float
    items: int


_KEPT = tuple(field.name for field in fields(Kept))
_SELECT = f"SELECT {', '.join(_KEPT)} FROM job"  # noqa: S608  # our own names
_ADD = (
    "INSERT INTO job_item VALUES (?, ?, ?, ?, ?, 0, 0, 0, '', '', '', NULL) ON CONFLICT (key) DO UPDATE SET "
    "copies = iif(round = excluded.round, copies, 0) + excluded.copies, round = excluded.round"
)
_JOIN = f"{_ADD} WHERE round != excluded.round"
_FOUND = "SELECT key, id FROM job_item WHERE key IN (SELECT value FROM json_each(?))"
_COUNT = (
    "SELECT state, batch > 0, coalesce(sum(copies), 0), count(*) FROM job_item "
    "WHERE id BETWEEN ? AND ? AND round = ? GROUP BY 1, 2"
)
_CLAIM = (
    "SELECT id, question, copies, tries, told FROM job_item "
    "WHERE id > ? AND id <= ? AND state = 0 AND round = ? ORDER BY id LIMIT ?"
)
_OPEN = "SELECT id, copies, batch, state FROM job_item WHERE id IN (SELECT value FROM json_each(?))"
_SETTLE = (
    "UPDATE job_item SET state = ?, reply = ?, error = ?, cost = coalesce(cost + ?, cost, ?), told = ?, "
    "tries = tries + ?, batch = 0 WHERE id = ?"
)
_RESULTS = "SELECT id, state, reply, error FROM job_item WHERE id IN (SELECT value FROM json_each(?))"


def _gone(owner: str) -> bool:
    """Whether the process of an owner has ended, as far as that can be told on this machine."""
    host, _, rest = owner.rpartition(":")
    pid = rest.partition("-")[0]
    if os.name != "posix" or host != platform.node() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


class Keeping:
    """The jobs of a store, for one kernel. Everything raises StoreError where the store does."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

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
            if had and had != owner and until >= now and not _gone(had):
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

    def add(self, number: int, round_: int, rows: Sequence[tuple[str, str]], *, joins: bool = False) -> list[int]:
        """Keep rows (key, question) of a job, and give the place of each one's item.

        What `joins` a round that another kernel has begun does not count again.
        """
        base, high = _range(number)
        copies: dict[str, list[Any]] = {}
        for key, question in rows:
            found = copies.get(key)
            if found is None:
                copies[key] = [0, key, question, round_, 1]
            else:
                found[4] += 1

        def write(connection: Connection) -> dict[str, int]:
            last = connection.execute("SELECT max(id) FROM job_item WHERE id BETWEEN ? AND ?", (base, high)).fetchone()
            for id_, row in enumerate(copies.values(), (last[0] or base) + 1):
                row[0] = id_
            connection.executemany(_JOIN if joins else _ADD, copies.values())
            return dict(connection.execute(_FOUND, (json.dumps(list(copies)),)).fetchall())

        places = self._store().write(write)
        return [places[key] - base for key, _ in rows]

    def count(self, number: int, round_: int) -> Counts:
        """Count the rows of a round by state."""
        low, high = _range(number)
        found = self._store().read(lambda c: c.execute(_COUNT, (low, high, round_)).fetchall())
        by: dict[tuple[int, int], int] = {(state, queued): rows for state, queued, rows, _ in found}

        def of(state: int) -> int:
            return by.get((state, 0), 0) + by.get((state, 1), 0)

        return Counts(
            sum(by.values()),
            sum(row[3] for row in found),
            sum(row[3] for row in found if row[0] >= DONE),
            of(PENDING),
            by.get((IN_FLIGHT, 1), 0),
            by.get((IN_FLIGHT, 0), 0),
            of(DONE),
            of(FAILED),
        )

    def claim(
        self,
        connection: Connection,
        number: int,
        round_: int,
        after: int,
        most: int,
        takes: Callable[[Item], bool],
        *,
        queue: bool,
    ) -> tuple[list[Item], Batch | None, int]:
        """Mark pending items as in flight, in order, as long as `takes` says so; for the queue as one batch.

        Gives them, and the place up to which there are no others.
        """
        low, high = _range(number)
        found: list[Item] = []
        for id_, question, copies, tries, told in connection.execute(_CLAIM, (low + after, high, round_, most)):
            item = Item(id_ - low, question, copies, tries, tuple(json.loads(told)) if told else None)
            if not takes(item):
                break
            found.append(item)
        if not found:
            return [], None, after
        batch = None
        if queue:
            now = time.time()
            made = connection.execute(
                "INSERT INTO job_batch (job, request, began, items) VALUES (?, '', ?, ?)", (number, now, len(found))
            )
            batch = Batch(made.lastrowid or 0, "", now, len(found))
        mark = [(batch.number if batch else 0, low + item.n) for item in found]
        connection.executemany("UPDATE job_item SET state = 1, batch = ? WHERE id = ?", mark)
        return found, batch, found[-1].n

    def settle(
        self, connection: Connection, number: int, outcomes: Sequence[Answered]
    ) -> list[tuple[Answered, int, int, int]]:
        """Enter outcomes; give those that were taken, each with its copies, the batch that it was in, and its state."""
        low = number << _PLACES
        ids = json.dumps([low + outcome.n for outcome in outcomes])
        rows = {id_: known for id_, *known in connection.execute(_OPEN, (ids,)) if known[2] < DONE}
        taken: list[tuple[Answered, int, int, int]] = []
        written: list[tuple[Any, ...]] = []
        for outcome in outcomes:
            known = rows.pop(low + outcome.n, None)
            if known is None:
                continue
            taken.append((outcome, *known))
            told = json.dumps(outcome.told) if outcome.told else ""
            cost = outcome.cost
            written.append(
                (outcome.state, outcome.reply, outcome.error, cost, cost, told, outcome.tried, low + outcome.n)
            )
        connection.executemany(_SETTLE, written)
        return taken

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

    def submitted(self, batch: int, request: str) -> None:
        """Write down the service's id of a batch."""
        named = "UPDATE job_batch SET request = ? WHERE number = ?"
        self._store().write(lambda c: c.execute(named, (request, batch)))

    def choose(self, number: int, lane: str) -> None:
        """Change the lane of a job that nobody works on."""
        self._store().write(lambda c: c.execute("UPDATE job SET lane = ? WHERE number = ?", (lane, number)))

    def batches(self, number: int) -> list[Batch]:
        """Give the batches of a job that are not answered yet."""
        select = (
            "SELECT number, request, began, items FROM job_batch "
            "WHERE job = ? AND EXISTS (SELECT 1 FROM job_item WHERE batch = job_batch.number AND batch > 0)"
        )
        rows = self._store().read(lambda c: c.execute(select, (number,)).fetchall())
        return [Batch(*row) for row in rows]

    def in_batch(self, number: int, batch: int) -> list[Item]:
        """Give the items of a batch that are in flight."""
        select = "SELECT id, question, copies, tries, told FROM job_item WHERE batch = ? AND batch > 0 AND state = 1"
        rows = self._store().read(lambda c: c.execute(select, (batch,)).fetchall())
        low = number << _PLACES
        return [
            Item(id_ - low, question, copies, tries, tuple(json.loads(told)) if told else None)
            for id_, question, copies, tries, told in rows
        ]

    def put_back(self, connection: Connection, number: int, batch: int = 0) -> int:
        """Make items pending again that are in flight: those of a batch, or those of no batch; give how many rows."""
        low, high = _range(number)
        chosen = "id BETWEEN ? AND ? AND state = 1 AND batch = ?"
        asked = (low, high, batch)
        rows = connection.execute(f"SELECT coalesce(sum(copies), 0) FROM job_item WHERE {chosen}", asked).fetchone()  # noqa: S608
        connection.execute(f"UPDATE job_item SET state = 0, batch = 0 WHERE {chosen}", asked)  # noqa: S608
        connection.execute("DELETE FROM job_batch WHERE number = ?", (batch,))
        return int(rows[0])

    def again(self, number: int) -> None:
        """Make failed items pending again."""
        low, high = _range(number)
        anew = "UPDATE job_item SET state = 0, tries = 0, told = '', error = '' WHERE id BETWEEN ? AND ? AND state = 3"
        self._store().write(lambda c: c.execute(anew, (low, high)))

    def results(self, number: int, places: Iterable[int]) -> dict[int, tuple[int, str, str]]:
        """Give (state, reply, error) of items by their places, 10,000 at once at most."""
        low = number << _PLACES
        ids = json.dumps([low + place for place in places])
        rows = self._store().read(lambda c: c.execute(_RESULTS, (ids,)).fetchall())
        return {id_ - low: (state, reply, error) for id_, state, reply, error in rows}

    def questions(self, number: int, round_: int) -> Iterator[tuple[int, str]]:
        """Give place and question of each item of a round."""
        low, high = _range(number)
        select = "SELECT id, question FROM job_item WHERE id > ? AND id <= ? AND round = ? ORDER BY id LIMIT 10000"
        last = low
        while rows := self._store().read(lambda c: c.execute(select, (last, high, round_)).fetchall()):  # noqa: B023
            last = rows[-1][0]
            yield from ((id_ - low, question) for id_, question in rows)

    def question(self, number: int, place: int) -> str:
        """Give an item's question."""
        id_ = (number << _PLACES) + place
        row = self._store().read(lambda c: c.execute("SELECT question FROM job_item WHERE id = ?", (id_,)).fetchone())
        return str(row[0]) if row else ""

    def costs(self, number: int, round_: int) -> list[float]:
        """Give the cost of each answered item of a round, in US dollars."""
        low, high = _range(number)
        select = "SELECT cost FROM job_item WHERE id BETWEEN ? AND ? AND round = ? AND state > 1 AND cost IS NOT NULL"
        return [row[0] for row in self._store().read(lambda c: c.execute(select, (low, high, round_)).fetchall())]

    def forget(self, number: int) -> None:
        """Erase a job."""
        low, high = _range(number)

        def write(connection: Connection) -> None:
            connection.execute("DELETE FROM job_item WHERE id BETWEEN ? AND ?", (low, high))
            connection.execute("DELETE FROM job_batch WHERE job = ?", (number,))
            connection.execute("DELETE FROM job WHERE number = ?", (number,))

        self._store().write(write)


def _range(number: int) -> tuple[int, int]:
    return number << _PLACES, ((number + 1) << _PLACES) - 1


def _plain(value: Any) -> Any:
    return json.dumps(asdict(value)) if isinstance(value, Counts | Usage) else value


def _kept(row: Sequence[Any]) -> Kept:
    values = dict(zip(_KEPT, row, strict=True))
    values["counts"] = Counts(**json.loads(values["counts"]))
    values["usage"] = Usage(**json.loads(values["usage"]))
    return Kept(**values)
