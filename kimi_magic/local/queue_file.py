"""What the queue remembers, in SQLite: batches, their answers, subscriptions to events, and the messages made of these.

In a file it outlives the server, and several servers may share it: who works off a batch holds it for two seconds at a
time. Without a file it is in memory, each batch once: as the bytes that came, and then as the bytes that go out.
"""

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HELD = 2.0
"""Seconds for which a batch belongs to the server that works it off; held on as long as that goes on."""
KEPT = 7 * 86_400.0
"""Seconds after which a batch is forgotten."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NEVER = 1e18
"""A time that does not come."""
TABLES = """
CREATE TABLE IF NOT EXISTS batch (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, model TEXT NOT NULL, affinity TEXT NOT NULL, body BLOB,
    total INTEGER NOT NULL, state TEXT NOT NULL, faults TEXT NOT NULL, failure TEXT NOT NULL, polls INTEGER NOT NULL,
    holder TEXT NOT NULL, until REAL NOT NULL, created REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS answer (
    batch INTEGER NOT NULL, n INTEGER NOT NULL, body TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
    PRIMARY KEY (batch, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS subscription (id TEXT PRIMARY KEY, queue TEXT NOT NULL, model TEXT NOT NULL, events TEXT);
CREATE TABLE IF NOT EXISTS message (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, queue TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL,
    visible REAL NOT NULL, attempts INTEGER NOT NULL, lease TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS message_queue ON message (queue, visible);
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. `faults` are those that struck it: name → which items, by place."""

    number: int
    id: str
    model: str
    affinity: str
    total: int
    state: str
    """queued | running | done | failed"""
    faults: dict[str, Any]
    failure: dict[str, Any]
    polls: int
    """How often it was asked for."""


COLUMNS = "number, id, model, affinity, total, state, faults, failure, polls"


@dataclass(frozen=True, slots=True)
class Made:
    """One answer: its place in the batch, its element of the finished list, and its tokens."""

    n: int
    body: str
    input: int
    output: int


class QueueFile:
    """All of it. Used on one thread."""

    def __init__(self, path: Path | None) -> None:
        self.holder = uuid.uuid4().hex
        self.shared = path is not None
        if path is None:
            self.db = prepared(sqlite3.connect(":memory:", isolation_level=None))
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        try:
            self.db = prepared(sqlite3.connect(path, isolation_level=None))
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorcode not in DAMAGED:
                raise
            path.rename(path.with_suffix(f".damaged-{int(time.time())}"))
            path.touch(mode=0o600)
            self.db = prepared(sqlite3.connect(path, isolation_level=None))

    @contextmanager
    def change(self) -> Iterator[None]:
        """Run what is done inside as one transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def add(self, model: str, affinity: str, body: bytes, total: int, faults: dict[str, Any]) -> Batch:
        """Take a batch; the fault `queue-never` leaves it for ever in the state that it names."""
        never = faults.get("queue-never")
        state, until = (never["shape"] or "running", NEVER) if never else ("queued", 0.0)
        id_ = str(uuid.uuid4())
        self.db.execute(
            "INSERT INTO batch VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, '{}', 0, '', ?, ?)",
            (id_, model, affinity, body, total, state, json.dumps(faults), until, time.time()),
        )
        found = self.find(id_)
        assert found is not None  # noqa: S101  # it was just added
        return found

    def find(self, id_: str) -> Batch | None:
        """Give a batch by its id, None for one that is not known."""
        row = self.db.execute(f"SELECT {COLUMNS} FROM batch WHERE id = ?", (id_,)).fetchone()  # noqa: S608  # ours
        return read(row) if row else None

    def forget(self, batch: Batch) -> None:
        """Know nothing of it any more."""
        with self.change():
            self.db.execute("DELETE FROM answer WHERE batch = ?", (batch.number,))
            self.db.execute("DELETE FROM batch WHERE number = ?", (batch.number,))

    def polled(self, batch: Batch) -> None:
        """Count one more question after it."""
        self.db.execute("UPDATE batch SET polls = polls + 1 WHERE number = ?", (batch.number,))

    def take(self) -> Batch | None:
        """Begin, or go on, with the oldest batch that nobody holds."""
        waiting = "state IN ('queued', 'running') AND until < ?"
        oldest = f"SELECT {COLUMNS} FROM batch WHERE {waiting} ORDER BY number LIMIT 1"  # noqa: S608  # ours
        if self.db.execute(oldest, (time.time(),)).fetchone() is None:
            return None
        with self.change():  # only now: nobody else shall write
            row = self.db.execute(oldest, (time.time(),)).fetchone()
            if row is not None:
                self.hold(read(row))
        return read(row) if row is not None else None

    def hold(self, batch: Batch) -> None:
        """Keep it for this server for a while."""
        changes = "state = 'running', holder = ?, until = ?"
        values = (self.holder, time.time() + HELD, batch.number)
        self.db.execute(f"UPDATE batch SET {changes} WHERE number = ?", values)  # noqa: S608  # ours

    def body(self, batch: Batch) -> bytes:
        """Give the bytes that were submitted; they are kept until the batch is done."""
        row = self.db.execute("SELECT body FROM batch WHERE number = ?", (batch.number,)).fetchone()
        return bytes(row[0] or b"{}") if row else b"{}"

    def answered(self, batch: Batch) -> set[int]:
        """Say which items have their answers."""
        return {n for (n,) in self.db.execute("SELECT n FROM answer WHERE batch = ?", (batch.number,))}

    def keep(self, batch: Batch, made: Iterable[Made]) -> None:
        """Write down answers; the first one of an item counts."""
        rows = [(batch.number, one.n, one.body, one.input, one.output) for one in made]
        with self.change():
            self.db.executemany("INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?, ?)", rows)
            self.hold(batch)

    def end(self, batch: Batch, failure: dict[str, Any] | None = None) -> None:
        """Mark it as done or, with what went wrong, as failed."""
        self.db.execute(
            "UPDATE batch SET state = ?, failure = ?, body = NULL WHERE number = ?",
            ("failed" if failure else "done", json.dumps(failure or {}), batch.number),
        )

    def answers(self, batch: Batch) -> list[tuple[int, str]]:
        """Give the elements of the finished list, each with its place in the batch, in that order."""
        return self.db.execute("SELECT n, body FROM answer WHERE batch = ? ORDER BY n", (batch.number,)).fetchall()

    def tokens(self, batch: Batch) -> tuple[int, int]:
        """Sum up input and output."""
        row = self.db.execute(
            "SELECT COALESCE(SUM(input), 0), COALESCE(SUM(output), 0) FROM answer WHERE batch = ?", (batch.number,)
        ).fetchone()
        return int(row[0]), int(row[1])

    def close(self) -> None:
        """Close the file."""
        self.db.close()


def prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    """Make the tables, and drop what is old."""
    with contextlib.suppress(sqlite3.OperationalError):  # some file systems cannot
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(TABLES)
    before = (time.time() - KEPT,)
    db.execute("DELETE FROM answer WHERE batch IN (SELECT number FROM batch WHERE created < ?)", before)
    db.execute("DELETE FROM batch WHERE created < ?", before)
    db.execute("DELETE FROM message WHERE created < ?", before)
    return db


def read(row: Any) -> Batch:
    """Make a value of a row."""
    number, id_, model, affinity, total, state, faults, failure, polls = row
    return Batch(number, id_, model, affinity, total, state, json.loads(faults), json.loads(failure), polls)
