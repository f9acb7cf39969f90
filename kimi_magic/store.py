"""What this package keeps on disk: one SQLite file, `kimi.sqlite3`, in the user's data folder or in KIMI_HOME.

Rows go in as frozen values and come out as such. A file that is damaged is set aside under another name and a new one
begun. One that a newer version has taken over is left alone: this version goes on in a file of its own beside it. Where
nothing can be written, all is kept in memory. `Store.trouble` says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kimi_magic.errors import StoreError

__all__ = [
    "FILE",
    "MIGRATIONS",
    "Egress",
    "Exchange",
    "Store",
    "Used",
    "add_egress",
    "add_usage",
    "home",
    "more_egress",
    "more_usage",
]

FILE = "kimi.sqlite3"
Result = TypeVar("Result")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_CANNOT_WRITE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
}

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE egress (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL,
            source TEXT NOT NULL, what TEXT NOT NULL, columns TEXT NOT NULL,
            rows INTEGER NOT NULL, bytes INTEGER NOT NULL, tokens INTEGER NOT NULL, redacted INTEGER NOT NULL,
            withheld TEXT NOT NULL, notebook TEXT NOT NULL, kernel TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX egress_time ON egress (time)",
    ),
    (
        """CREATE TABLE conversation (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, affinity TEXT NOT NULL, notebook TEXT NOT NULL,
            head INTEGER NOT NULL, dropped TEXT NOT NULL, used REAL NOT NULL
        ) STRICT""",
        "CREATE INDEX conversation_notebook ON conversation (notebook, used)",
        """CREATE TABLE turn (
            conversation TEXT NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL,
            PRIMARY KEY (conversation, number)
        ) STRICT, WITHOUT ROWID""",
        "CREATE TABLE picture (digest TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT",
    ),
    (
        """CREATE TABLE usage (
            id INTEGER PRIMARY KEY,
            time REAL NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL, conversation TEXT NOT NULL,
            input INTEGER NOT NULL, cached INTEGER NOT NULL, thinking INTEGER, output INTEGER NOT NULL,
            neurons REAL, cost REAL, counted REAL NOT NULL, charged INTEGER NOT NULL, kernel TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX usage_time ON usage (time)",
    ),
    (
        """CREATE TABLE exchange (
            key TEXT PRIMARY KEY, time REAL NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX exchange_time ON exchange (time)",
    ),
    (
        "DROP TABLE exchange",  # what was recorded until then does not say whose answer it is
        """CREATE TABLE exchange (
            key TEXT PRIMARY KEY, time REAL NOT NULL, place TEXT NOT NULL, request TEXT NOT NULL, reply TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX exchange_time ON exchange (time)",
        """CREATE TABLE exchange_use (
            key TEXT NOT NULL, notebook TEXT NOT NULL, PRIMARY KEY (key, notebook)
        ) STRICT, WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE job (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, title TEXT NOT NULL,
            notebook TEXT NOT NULL, spec TEXT NOT NULL, options TEXT NOT NULL, round INTEGER NOT NULL,
            state TEXT NOT NULL, remark TEXT NOT NULL, lane TEXT NOT NULL, began REAL NOT NULL, ended REAL,
            budget REAL, pilot INTEGER NOT NULL, counts TEXT NOT NULL, usage TEXT NOT NULL, cost REAL,
            reply TEXT NOT NULL, owner TEXT NOT NULL, until REAL NOT NULL
        ) STRICT""",
        """CREATE TABLE job_item (
            id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, question TEXT NOT NULL, round INTEGER NOT NULL,
            copies INTEGER NOT NULL, state INTEGER NOT NULL, tries INTEGER NOT NULL, batch INTEGER NOT NULL,
            told TEXT NOT NULL, reply TEXT NOT NULL, error TEXT NOT NULL, cost REAL
        ) STRICT""",
        "CREATE INDEX job_item_batch ON job_item (batch) WHERE batch > 0",
        """CREATE TABLE job_batch (
            number INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, request TEXT NOT NULL, began REAL NOT NULL,
            items INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX job_batch_job ON job_batch (job)",
    ),
)
"""The steps from an empty file to this version's; each is one transaction. PRAGMA user_version counts those taken."""
_OWN_FILE = f"kimi.{len(MIGRATIONS)}.sqlite3"
"""Where this version keeps everything once a newer one has taken FILE over."""


@dataclass(frozen=True, slots=True)
class Egress:
    """One thing that left the kernel.

    `time` is in seconds since 1970 (UTC), `endpoint` the host that it went to (of a URL only host and port are kept),
    `kind` is what sent it ("question"; later "tool", "job"), `source` the expression as it was typed, `what` the kind
    of object. `columns` and `rows` say whose values were in it, `bytes` and `tokens` how much it was, `redacted` how
    many secrets and private values were replaced, `withheld` which private columns were left out. `kernel` is the
    store's own where it is not given.
    """

    time: float
    endpoint: str
    model: str
    kind: str
    source: str
    what: str
    columns: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    tokens: int = 0
    redacted: int = 0
    withheld: tuple[str, ...] = ()
    notebook: str = ""
    kernel: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"//{self.endpoint}")
        object.__setattr__(self, "endpoint", parts.netloc.rpartition("@")[2])


@dataclass(frozen=True, slots=True)
class Used:
    """What one reply used, a cut one too.

    `time` is when it ended, in seconds since 1970 (UTC); the tokens are the service's counts (`messages.Usage`).
    `cost` is in US dollars, None where it is not known; `counted` is what a budget counts of it: the cost, or the most
    that it may be where a priced model's reply was cut before the service had counted. `charged` says that
    Cloudflare bills it. `kernel` is the store's own where it is not given.
    """

    time: float
    endpoint: str
    model: str
    conversation: str
    input: int = 0
    cached: int = 0
    thinking: int | None = None
    output: int = 0
    neurons: float | None = None
    cost: float | None = None
    counted: float = 0.0
    charged: bool = False
    kernel: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that was answered whole, and its reply.

    `key` is the SHA-256 of `place`, where it was answered, and `request`, which is canonical JSON; `reply` is JSON, too
    (see `journal.packing`). `time` is when it was recorded, in seconds since 1970 (UTC).
    """

    key: str
    time: float
    place: str
    request: str
    reply: str


_USED = tuple(field.name for field in fields(Used))
_INSERT_USED = f"INSERT INTO usage ({', '.join(_USED)}) VALUES ({', '.join('?' * len(_USED))})"  # noqa: S608  # our own names
_SELECT_USED = f"SELECT {', '.join(_USED)} FROM usage WHERE time >= ? ORDER BY id"  # noqa: S608  # our own names
_INSERT_USE = "INSERT OR IGNORE INTO exchange_use VALUES (?, ?)"
_MORE_EGRESS = (
    "UPDATE egress SET rows = rows + ?, bytes = bytes + ?, tokens = tokens + ?, redacted = redacted + ? WHERE id = ?"
)
_SUMS = ("input", "cached", "thinking", "output", "neurons", "cost", "counted")
_MORE_USAGE = (
    f"UPDATE usage SET {', '.join(f'{name} = coalesce({name} + ?, {name}, ?)' for name in _SUMS)} WHERE id = ?"  # noqa: S608  # our own names
)
_STILL_SAID = "SELECT value FROM turn, json_each(turn.data, '$.reply.exchanges')"
_UNUSED = "DELETE FROM exchange WHERE key = ? AND NOT EXISTS (SELECT 1 FROM exchange_use WHERE key = exchange.key)"
_SPENT = "SELECT coalesce(sum(counted), 0) FROM usage WHERE time >= ?"
_COLUMNS = tuple(field.name for field in fields(Egress))
_LISTS = {field.name for field in fields(Egress) if "tuple" in str(field.type)}
_INSERT = f"INSERT INTO egress ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  # our own names
_SELECT = (
    f"SELECT {', '.join(_COLUMNS)} FROM egress "  # noqa: S608  # our own names
    "WHERE time >= :since AND kernel = coalesce(:kernel, kernel) ORDER BY id DESC LIMIT :limit"
)


def _row(value: Egress) -> tuple[Any, ...]:
    return tuple(_plain(getattr(value, name)) for name in _COLUMNS)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return json.dumps(value)
    # Half of a surrogate pair, as a cut emoji leaves it, cannot be written to a file.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _value(row: Sequence[Any]) -> Egress:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    return Egress(**values | {name: tuple(json.loads(values[name])) for name in _LISTS})


def add_egress(connection: sqlite3.Connection, value: Egress) -> int:
    """Enter a record inside a transaction; give its number, for `more_egress`."""
    return connection.execute(_INSERT, _row(value)).lastrowid or 0


def more_egress(connection: sqlite3.Connection, number: int, more: Egress) -> None:
    """Add rows, bytes, tokens and what was redacted to a record."""
    added = (more.rows, more.bytes, more.tokens, more.redacted, number)
    connection.execute(_MORE_EGRESS, added)


def add_usage(connection: sqlite3.Connection, used: Used) -> int:
    """Enter what replies used inside a transaction; give its number, for `more_usage`."""
    return connection.execute(_INSERT_USED, [_plain(getattr(used, name)) for name in _USED]).lastrowid or 0


def more_usage(connection: sqlite3.Connection, number: int, more: Used) -> None:
    """Add what further replies used."""
    added = [getattr(more, name) for name in _SUMS]
    connection.execute(_MORE_USAGE, [*(amount for amount in added for _ in range(2)), number])


class Store:
    """The one file. It is opened at its first use, may be used from any thread, and after a fork opens itself anew.

    `patience` is how many seconds one kernel waits for another to finish its writing. What cannot be read or written
    raises StoreError.
    """

    def __init__(self, folder: Path | None = None, patience: float = 10.0) -> None:
        self._folder = folder
        self._patience = patience
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self.kernel = f"{os.getpid()}-{time.time_ns()}"  # a process's number comes again
        self.path: Path | None = None
        self.trouble = ""

    # What is kept

    def record(self, egress: Egress) -> None:
        """Keep a record of what left the kernel."""
        self.record_all([egress])

    def record_all(self, egress: Iterable[Egress]) -> None:
        """Keep several records, all or none."""
        rows = [_row(value if value.kernel else replace(value, kernel=self.kernel)) for value in egress]
        self._do(lambda connection: connection.executemany(_INSERT, rows))

    def egress(self, limit: int = 100, since: float | None = None, kernel: str | None = None) -> list[Egress]:
        """Give the latest records, of all kernels or of one, the oldest first; `since` is in seconds since 1970."""
        asked = {"since": float("-inf") if since is None else since, "kernel": kernel, "limit": max(0, limit)}
        rows = self._do(lambda connection: connection.execute(_SELECT, asked).fetchall(), "BEGIN")
        return [_value(row) for row in reversed(rows)]

    def record_usage(self, *used: Used) -> None:
        """Keep what replies used, all or none."""
        owned = [replace(one, kernel=one.kernel or self.kernel) for one in used]
        rows = [[_plain(getattr(one, name)) for name in _USED] for one in owned]
        self._do(lambda connection: connection.executemany(_INSERT_USED, rows))

    def usage(self, since: float) -> list[Used]:
        """Give what the replies of all kernels used since then (seconds since 1970), the oldest first."""
        rows = self._do(lambda connection: connection.execute(_SELECT_USED, (since,)).fetchall(), "BEGIN")
        found = (dict(zip(_USED, row, strict=True)) for row in rows)
        return [Used(**values | {"charged": bool(values["charged"])}) for values in found]

    def spent(self, since: float) -> float:
        """US dollars that count against a budget, of all kernels since then (seconds since 1970)."""
        row = self._do(lambda connection: connection.execute(_SPENT, (since,)).fetchone(), "BEGIN")
        return float(row[0])

    def record_exchanges(self, exchanges: Sequence[Exchange], notebook: str) -> None:
        """Keep exchanges, in place of earlier ones of the same requests, and that this notebook used them."""
        rows = [(one.key, one.time, one.place, one.request, one.reply) for one in exchanges]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO exchange VALUES (?, ?, ?, ?, ?)", rows)
            connection.executemany(_INSERT_USE, [(one.key, notebook) for one in exchanges])

        self._do(write)

    def use_exchange(self, key: str, notebook: str) -> None:
        """Keep that a notebook used an exchange, where that is not known yet: most often nothing has to be written."""
        asked = "SELECT 1 FROM exchange_use WHERE key = ? AND notebook = ?"
        if self._do(lambda connection: connection.execute(asked, (key, notebook)).fetchone(), "BEGIN") is None:
            self._do(lambda connection: connection.execute(_INSERT_USE, (key, notebook)))

    def exchange(self, key: str) -> Exchange | None:
        """Give the exchange with this key, None where there is none."""
        asked = "SELECT key, time, place, request, reply FROM exchange WHERE key = ?"
        row = self._do(lambda connection: connection.execute(asked, (key,)).fetchone(), "BEGIN")
        return Exchange(*row) if row else None

    def exchanges(self, limit: int) -> list[Exchange]:
        """Give the latest exchanges, the latest first."""
        asked = "SELECT key, time, place, request, reply FROM exchange ORDER BY time DESC LIMIT ?"
        rows = self._do(lambda connection: connection.execute(asked, (limit,)).fetchall(), "BEGIN")
        return [Exchange(*row) for row in rows]

    def exchange_sizes(self) -> tuple[int, int]:
        """Count the exchanges and their characters."""
        asked = "SELECT count(*), coalesce(sum(length(request) + length(reply)), 0) FROM exchange"
        count, size = self._do(lambda connection: connection.execute(asked).fetchone(), "BEGIN")
        return count, size

    def forget_exchanges(
        self, keys: Iterable[str], notebook: str, stay: Iterable[str] = (), *, everything: bool = False
    ) -> None:
        """Erase what this notebook used of these exchanges, or `everything` that it used.

        What a turn of a conversation holds, here or among those that `stay`, or another notebook used, is not erased.
        """

        def write(connection: sqlite3.Connection) -> None:
            used = connection.execute("SELECT key FROM exchange_use WHERE notebook = ?", (notebook,))
            gone = {*keys, *(key for (key,) in used if everything)}
            gone -= {*stay, *(key for (key,) in connection.execute(_STILL_SAID))}
            mine = [(key, notebook) for key in gone]
            connection.executemany("DELETE FROM exchange_use WHERE key = ? AND notebook = ?", mine)
            connection.executemany(_UNUSED, [(key,) for key in gone])

        self._do(write)

    def clear_exchanges(self) -> int:
        """Erase all exchanges, of every notebook; give how many."""

        def write(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM exchange_use")
            return connection.execute("DELETE FROM exchange").rowcount

        return self._do(write)

    def close(self) -> None:
        """Close the file. It is opened again when it is used again."""
        with self._lock:
            if self._connection and self._process == os.getpid():
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None

    def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Read in one transaction."""
        return self._do(work, "BEGIN")

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Write in one transaction: all of it is kept, or nothing."""
        return self._do(work)

    def overwrite_erased(self) -> None:
        """See to it that nothing of what was deleted stays in the file."""
        self._notice_fork()
        with self._lock, _told(self):
            connection = self._current()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    # How

    def _do(self, work: Callable[[sqlite3.Connection], Result], begin: str = "BEGIN IMMEDIATE") -> Result:
        """Do some work in one transaction; once more in a new file, where this one turns out to be damaged."""
        self._notice_fork()
        with self._lock, _told(self):
            try:
                return _in_transaction(self._current(), work, begin)
            except sqlite3.DatabaseError as exc:
                if _code(exc) not in _DAMAGED or self.path is None:
                    raise
                return _in_transaction(self._begin_anew("is damaged"), work, begin)

    def _notice_fork(self) -> None:
        """Leave the parent's connection alone: SQLite forbids a child even to close it."""
        if self._process != os.getpid():
            _PARENTS.append(self._connection)
            self._connection, self._lock, self._process = None, threading.RLock(), os.getpid()

    def _current(self) -> sqlite3.Connection:
        """Give the connection, to a file of our own where a newer version has taken this one over by now."""
        connection = self._open()
        if _version(connection) > len(MIGRATIONS) and self.path is not None:
            self.close()
            connection = self._open()
        return connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open_file() or self._open_memory()
        return self._connection

    def _open_file(self) -> sqlite3.Connection | None:
        """Open the file, or give None where it cannot be written."""
        try:
            return self._opened(_prepared(self._folder or home(), FILE))
        except OSError as exc:
            self._say(f"Nothing is kept on disk, only in memory: {exc}.")
        except sqlite3.DatabaseError as exc:
            if _code(exc) in _DAMAGED:
                return self._begin_anew("is damaged")
            if _code(exc) not in _CANNOT_WRITE:
                raise
            self._say(f"Nothing is kept on disk, only in memory: {self.path}: {exc}.")
        return None

    def _open_memory(self) -> sqlite3.Connection:
        self.path = None
        return _migrated(_connected(":memory:", self._patience))

    def _opened(self, path: Path) -> sqlite3.Connection:
        self.path, self._inode = path, path.stat().st_ino
        connection = _connected(path, self._patience)
        try:
            if _version(connection) <= len(MIGRATIONS):
                return _migrated(connection)
        except BaseException:
            connection.close()
            raise
        connection.close()
        own = _prepared(path.parent, _OWN_FILE)
        self._say(f"{path} is of a newer version of this package, and left alone; this one uses {own.name} beside it.")
        return self._opened(own)

    def _begin_anew(self, why: str) -> sqlite3.Connection:
        """Set the file aside and begin a new one, unless another kernel has done so already."""
        path = (self.path or home() / FILE).absolute()
        self.close()
        if path.exists() and path.stat().st_ino == self._inode and not _is_whole(path, self._patience):
            self._say(f"{path} {why}; it is kept as {_set_aside(path).name}, and a new one is begun.")
        self._connection = self._opened(_prepared(path.parent, path.name))
        return self._connection

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        warnings.warn(trouble, stacklevel=2)


_PARENTS: list[object] = []


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result], begin: str) -> Result:
    connection.execute(begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return result


def home() -> Path:
    """Give the folder of all that is kept: KIMI_HOME, or the user's data folder."""
    named = os.environ.get("KIMI_HOME", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("kimi_magic", appauthor=False)


def _prepared(folder: Path, name: str) -> Path:
    """Make folder and file where there are none, for this user alone."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    path = folder / name
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same mode
    with contextlib.suppress(OSError):
        path.chmod(0o600)
    return path


def _connected(path: Path | str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        _patiently(connection, "PRAGMA journal_mode = WAL", patience)
        connection.execute("PRAGMA synchronous = NORMAL")  # what is committed outlives the process
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -32000")  # KiB; rows of a job go into an index in no order
    except BaseException:
        connection.close()
        raise
    return connection


def _patiently(connection: sqlite3.Connection, statement: str, patience: float) -> None:
    """Run a statement for which SQLite itself does not wait."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as exc:
            if _code(exc) not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrated(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Take the steps that the file has not taken; another kernel may be taking them too."""
    while _version(connection) < len(MIGRATIONS):
        _in_transaction(connection, _take_step, "BEGIN IMMEDIATE")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # reads the schema: is it whole?
    return connection


def _take_step(connection: sqlite3.Connection) -> None:
    done = _version(connection)
    if done < len(MIGRATIONS):
        for statement in MIGRATIONS[done]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {done + 1}")


def _is_whole(path: Path, patience: float) -> bool:
    """Look once more: a file that another kernel is just making looks damaged for a moment."""
    try:
        connection = _connected(path, patience)
    except sqlite3.DatabaseError:
        return False
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _set_aside(path: Path) -> Path:
    """Rename a file, and those that SQLite keeps beside it, to a name that nothing has, and no other process takes."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + f"-{os.getpid()}"
    names = (f"{path.name}.{stamp}{f'-{n}' if n else ''}" for n in range(1_000))
    new = next(candidate for name in names if not (candidate := path.with_name(name)).exists())
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(new.with_name(new.name + suffix))
    return path.rename(new)


def _code(exc: sqlite3.Error) -> int:
    """Give the primary code of an error of SQLite."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def _told(store: Store) -> Iterator[None]:
    """Turn what SQLite says into an error of ours."""
    try:
        yield
    except sqlite3.Error as exc:
        where = store.path or "memory"
        busy = _code(exc) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        hint = "Another program holds the file; close it, or set KIMI_HOME to another folder." if busy else ""
        raise StoreError(f"What is kept in {where} cannot be read or written: {exc}.", hint=hint) from exc
    except (OSError, OverflowError) as exc:
        hint = "Set KIMI_HOME to another folder." if isinstance(exc, OSError) else ""
        raise StoreError(f"What is to be kept cannot be: {exc}.", hint=hint) from exc
