"""The items of jobs in the store, and their batches: rows ↔ values.

An item's id is the job's number and its own place in the job; its key is the hash of its question, so that equal rows
are one item. Only an item that is pending or in flight takes an answer: what comes twice is dropped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from sqlite3 import Connection
from typing import Any

from kimi_magic.jobs.kept import DONE, FAILED, IN_FLIGHT, PENDING, Answered, Batch, Counts, Entered, Item, Taken
from kimi_magic.store import Store

__all__ = ["Items", "places"]

_PLACES = 32
"""Bits of an item's id that are its place in the job."""
_ADD = "INSERT INTO job_item VALUES (?, ?, ?, ?, ?, 0, 0, 0, '', '', '', NULL)"
_KNOWN = (
    "SELECT key, id, state, batch > 0, iif(round = ?, copies, 0) FROM job_item "
    "WHERE key IN (SELECT value FROM json_each(?))"
)
_COPIES = "UPDATE job_item SET round = ?, copies = ? WHERE id = ?"
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


class Items:
    """The items of the jobs of a store. Everything raises StoreError where the store does."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def add(self, number: int, round_: int, rows: Sequence[tuple[str, str]], *, joins: bool = False) -> list[int]:
        """Keep rows (key, question) of a job, and give the place of each one's item.

        What `joins` a round that has been begun does not count again.
        """
        return self._store().write(lambda connection: self.enter(connection, number, round_, rows, joins=joins)).places

    def enter(
        self, connection: Connection, number: int, round_: int, rows: Sequence[tuple[str, str]], *, joins: bool = False
    ) -> Entered:
        """Do what `add` does inside a transaction; say how many rows of which state that added to the round."""
        base, high = places(number)
        copies: dict[str, int] = {}
        for key, _ in rows:
            copies[key] = copies.get(key, 0) + 1
        found = connection.execute(_KNOWN, (round_, json.dumps(list(copies)))).fetchall()
        known = {key: id_ for key, id_, *_ in found}
        last = connection.execute("SELECT max(id) FROM job_item WHERE id BETWEEN ? AND ?", (base, high)).fetchone()[0]
        start = last or base
        new = [(key, question) for key, question in dict(rows).items() if key not in known]
        made = [(id_, key, question, round_, copies[key]) for id_, (key, question) in enumerate(new, start + 1)]
        more = [(id_, state, queued, before, copies[key]) for key, id_, state, queued, before in found]
        if joins:
            more = [one for one in more if not one[3]]
        connection.executemany(_ADD, made)
        connection.executemany(_COPIES, [(round_, before + added, id_) for id_, _, _, before, added in more])
        known.update((key, id_) for id_, key, *_ in made)
        fresh = [id_ for id_, state, _, before, _ in more if not before and state == PENDING]
        first = min([*fresh, *(one[0] for one in made[:1])], default=high)
        counts = _added([(PENDING, 0, 0, one[4]) for one in made] + [one[1:] for one in more])
        return Entered([known[key] - base for key, _ in rows], counts, first - base)

    def count(self, number: int, round_: int) -> Counts:
        """Count the rows of a round by state."""
        low, high = places(number)
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
        low, high = places(number)
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

    def settle(self, connection: Connection, number: int, outcomes: Sequence[Answered]) -> list[Taken]:
        """Enter outcomes; give those that were taken."""
        low = number << _PLACES
        ids = json.dumps([low + outcome.n for outcome in outcomes])
        rows = {id_: known for id_, *known in connection.execute(_OPEN, (ids,)) if known[2] < DONE}
        taken: list[Taken] = []
        written: list[tuple[Any, ...]] = []
        for outcome in outcomes:
            known = rows.pop(low + outcome.n, None)
            if known is None:
                continue
            taken.append(Taken(outcome, *known))
            told = json.dumps(outcome.told) if outcome.told else ""
            cost = outcome.cost
            written.append(
                (outcome.state, outcome.reply, outcome.error, cost, cost, told, outcome.tried, low + outcome.n)
            )
        connection.executemany(_SETTLE, written)
        return taken

    def batches(self, number: int) -> list[Batch]:
        """Give the batches of a job that are not answered yet."""
        select = (
            "SELECT number, request, began, items FROM job_batch "
            "WHERE job = ? AND EXISTS (SELECT 1 FROM job_item WHERE batch = job_batch.number AND batch > 0)"
        )
        rows = self._store().read(lambda c: c.execute(select, (number,)).fetchall())
        return [Batch(*row) for row in rows]

    def ended(self, requests: Collection[str]) -> set[str]:
        """Give those of these ids of batches that are of jobs of this store, and wait for nothing."""
        select = (
            "SELECT request FROM job_batch WHERE request IN (SELECT value FROM json_each(?)) "
            "AND NOT EXISTS (SELECT 1 FROM job_item WHERE batch = job_batch.number AND batch > 0)"
        )
        asked = json.dumps(list(requests))
        return {row[0] for row in self._store().read(lambda c: c.execute(select, (asked,)).fetchall())}

    def in_batch(self, number: int, batch: int) -> list[Item]:
        """Give the items of a batch that are in flight."""
        select = "SELECT id, question, copies, tries, told FROM job_item WHERE batch = ? AND batch > 0 AND state = 1"
        rows = self._store().read(lambda c: c.execute(select, (batch,)).fetchall())
        low = number << _PLACES
        return [
            Item(id_ - low, question, copies, tries, tuple(json.loads(told)) if told else None)
            for id_, question, copies, tries, told in rows
        ]

    def submitted(self, batch: int, request: str) -> None:
        """Write down the service's id of a batch."""
        named = "UPDATE job_batch SET request = ? WHERE number = ?"
        self._store().write(lambda c: c.execute(named, (request, batch)))

    def put_back(self, connection: Connection, number: int, batch: int = 0) -> int:
        """Make items pending again that are in flight: those of a batch, or those of no batch; give how many rows."""
        low, high = places(number)
        chosen = "id BETWEEN ? AND ? AND state = 1 AND batch = ?"
        asked = (low, high, batch)
        rows = connection.execute(f"SELECT coalesce(sum(copies), 0) FROM job_item WHERE {chosen}", asked).fetchone()  # noqa: S608
        connection.execute(f"UPDATE job_item SET state = 0, batch = 0 WHERE {chosen}", asked)  # noqa: S608
        connection.execute("DELETE FROM job_batch WHERE number = ?", (batch,))
        return int(rows[0])

    def again(self, number: int) -> None:
        """Make failed items pending again."""
        low, high = places(number)
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
        low, high = places(number)
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
        low, high = places(number)
        select = "SELECT cost FROM job_item WHERE id BETWEEN ? AND ? AND round = ? AND state > 1 AND cost IS NOT NULL"
        return [row[0] for row in self._store().read(lambda c: c.execute(select, (low, high, round_)).fetchall())]


def _added(items: Iterable[tuple[int, int, int, int]]) -> Counts:
    """Count what was added: (state, whether it is at the queue, rows before, rows that were added) of each item."""
    rows = [0, 0, 0, 0]
    queued = new = answered = 0
    for state, at_queue, before, added in items:
        rows[state] += added
        queued += added if state == IN_FLIGHT and at_queue else 0
        new += not before
        answered += not before and state >= DONE
    return Counts(sum(rows), new, answered, rows[PENDING], queued, rows[IN_FLIGHT] - queued, rows[DONE], rows[FAILED])


def places(number: int) -> tuple[int, int]:
    """Give the first and the last id that items of a job can have."""
    return number << _PLACES, ((number + 1) << _PLACES) - 1
