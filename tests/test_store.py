"""What is kept on disk, with real files, threads and processes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kimi_magic.errors import KimiError, StoreError
from kimi_magic.store import FILE, MIGRATIONS, Egress, Exchange, Store

if TYPE_CHECKING:
    from collections.abc import Iterator


def egress(number: int = 0, **more: object) -> Egress:
    facts: dict[str, object] = {
        "time": 1_700_000_000.25 + number,
        "endpoint": "api.cloudflare.com",
        "model": "kimi-k2.6",
        "kind": "question",
        "source": "df.head()",
        "what": "table",
    }
    return Egress(**facts | more)  # type: ignore[arg-type]  # a test's shorthand


FULL = egress(
    columns=("a", "b, c", '"', "ü\ud83d"[:1]),
    rows=150,
    bytes=4_321,
    tokens=1_234,
    redacted=3,
    withheld=("ssn",),
    notebook="a.ipynb",
    kernel="k1",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    yield store
    store.close()


def programme(code: str, folder: Path) -> list[str]:
    """Run this Python, with `store` being a store in the folder."""
    head = (
        f"import sys; from pathlib import Path; from kimi_magic.store import *; store = Store(Path({str(folder)!r}));"
    )
    return [sys.executable, "-c", head + code]


ONE = "Egress(float(n), 'h', 'm', 'question', f's{n}', 'table')"


# Rows and values


def test_what_was_recorded_is_read_again(store: Store) -> None:
    store.record(FULL)
    assert store.egress() == [FULL]


def test_the_latest_are_given_the_oldest_first(store: Store) -> None:
    store.record_all([egress(number, kernel="k") for number in range(10)])
    assert [entry.time for entry in store.egress(3)] == [egress(number).time for number in (7, 8, 9)]
    assert store.egress(0) == []
    assert len(store.egress(100, since=egress(8).time)) == 2


def test_each_kernel_has_its_own_records_and_can_see_all(folder: Path, store: Store) -> None:
    other = Store(folder)
    store.record(egress(1))
    other.record(egress(2))
    assert store.kernel != other.kernel
    assert [entry.time for entry in store.egress(kernel=store.kernel)] == [egress(1).time]
    assert len(store.egress()) == 2
    other.close()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://ann:s3cret@gateway.example.com:8443/v1?key=x", "gateway.example.com:8443"),
        ("ann:s3cret@gateway.example.com", "gateway.example.com"),
        ("127.0.0.1:11434", "127.0.0.1:11434"),
        ("this machine", "this machine"),
    ],
)
def test_of_an_endpoint_only_the_host_is_kept(given: str, kept: str) -> None:
    assert egress(endpoint=given).endpoint == kept


@pytest.mark.parametrize("text", ["\ud83d", "a\0b", "\u202e\x1b[2J", "'; DROP TABLE egress; --", "x" * 1_000_000])
def test_any_text_can_be_kept(text: str, store: Store) -> None:
    store.record(egress(source=text, columns=(text,)))
    kept = store.egress()[0]
    assert kept.source == text.encode("utf-8", "backslashreplace").decode()
    assert kept.columns == (text,)


def test_several_records_are_kept_all_or_none(store: Store) -> None:
    def failing() -> Iterator[Egress]:
        yield egress(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.record_all(failing())
    for wrong in (egress(2, source=None), egress(2, rows=2**80), egress(2, rows="many")):
        with pytest.raises(StoreError):
            store.record_all([egress(1), wrong])
    assert store.egress() == []
    store.record_all([])
    assert store.egress() == []


def test_an_exchange_takes_the_place_of_the_one_before(store: Store) -> None:
    for number in (1.0, 2.0):
        store.record_exchanges([Exchange("a", number, "local", "question", f"reply {number}")], "x.ipynb")
    store.record_exchanges([Exchange("b", 1.5, "local", "q", "😀")], "x.ipynb")
    assert store.exchange("a") == Exchange("a", 2.0, "local", "question", "reply 2.0")
    assert store.exchange("c") is None
    assert [one.key for one in store.exchanges(9)] == ["a", "b"]
    assert [one.key for one in store.exchanges(1)] == ["a"]
    assert store.exchange_sizes() == (2, len("question" + "reply 2.0" + "q" + "😀"))


def test_an_exchange_goes_with_the_last_notebook_that_used_it(store: Store) -> None:
    for key in "abc":
        store.record_exchanges([Exchange(key, 1.0, "local", "q", "r")], "x.ipynb")
    store.use_exchange("b", "y.ipynb")
    store.forget_exchanges("ab", "x.ipynb", stay="a")
    assert [store.exchange(key) is not None for key in "abc"] == [True, True, True]
    store.forget_exchanges("b", "y.ipynb")
    store.forget_exchanges((), "x.ipynb", everything=True)
    assert [store.exchange(key) is not None for key in "abc"] == [False, False, False]


def test_every_field_has_its_column(store: Store) -> None:
    store.record(egress())
    with sqlite3.connect(store.path or "") as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(egress)")]
    connection.close()
    assert sorted(names) == sorted(["id", *Egress.__dataclass_fields__])


# The file


def test_nothing_is_touched_before_the_first_use(folder: Path) -> None:
    store = Store(folder)
    store.close()
    assert not folder.exists()
    assert store.path is None


def test_folder_and_files_are_for_the_user_alone(store: Store, folder: Path) -> None:
    before = os.umask(0)
    try:
        store.record(egress())
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes.pop("home") == 0o700
    assert set(modes) == {FILE, f"{FILE}-wal", f"{FILE}-shm"}
    assert set(modes.values()) == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / FILE).touch(0o644)
    store = Store(folder)
    store.record(egress())
    store.close()
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755  # a folder that was there is the user's own


def test_it_is_a_write_ahead_log_and_one_file_when_closed(store: Store, folder: Path) -> None:
    store.record(egress())
    with sqlite3.connect(folder / FILE) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()
    store.close()
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_a_closed_store_opens_again(store: Store) -> None:
    store.record(egress(1))
    store.close()
    store.close()
    store.record(egress(2))
    assert len(store.egress()) == 2


def test_kimi_home_moves_the_folder(tmp_path: Path) -> None:
    code = "from kimi_magic.store import *; s = Store(); s.record(Egress(1.0, 'h', 'm', 'k', 's', 'w')); print(s.path)"
    base = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    for more, path in [
        ({}, tmp_path / "data" / "kimi_magic" / FILE),
        ({"KIMI_HOME": ""}, tmp_path / "data" / "kimi_magic" / FILE),
        ({"KIMI_HOME": str(tmp_path / "a b")}, tmp_path / "a b" / FILE),
        ({"KIMI_HOME": "~/c"}, tmp_path / "c" / FILE),
        ({"KIMI_HOME": "here"}, tmp_path / "here" / FILE),
    ]:
        run = subprocess.run(
            [sys.executable, "-c", code], env=base | more, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == str(path)
        assert run.stderr == ""
        assert path.exists()


# Trouble


def aside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith(f"{FILE}.") and "-wal" not in path.name)


@pytest.mark.parametrize(
    "content", [b"this is no database, but it is what was there" * 50, b"SQLite format 3\0" + b"\xff" * 5_000]
)
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(content: bytes, folder: Path) -> None:
    folder.mkdir()
    (folder / FILE).write_bytes(content)
    store = Store(folder)
    with pytest.warns(UserWarning, match="damaged"):
        store.record(FULL)
    assert store.egress() == [FULL]
    [kept] = aside(folder)
    assert kept.read_bytes() == content
    assert kept.name in store.trouble
    store.close()


def test_a_second_damaged_file_does_not_replace_the_first(folder: Path) -> None:
    for content in (b"one" * 500, b"two" * 500):
        folder.mkdir(exist_ok=True)
        (folder / FILE).write_bytes(content)
        store = Store(folder)
        with pytest.warns(UserWarning, match="damaged"):
            store.record(FULL)
        store.close()
    assert {path.read_bytes()[:3] for path in aside(folder)} == {b"one", b"two"}


def test_damage_that_shows_itself_in_use_is_set_aside_too(folder: Path) -> None:
    store = Store(folder)
    store.record_all([egress(number, source="x" * 1_000) for number in range(200)])
    store.close()
    content = bytearray((folder / FILE).read_bytes())
    content[4_096:] = b"\xff" * (len(content) - 4_096)  # the schema's page stays whole
    (folder / FILE).write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        store.record(FULL)
    assert store.egress() == [FULL]
    assert len(aside(folder)) == 1
    store.close()


def newer(folder: Path) -> sqlite3.Connection:
    """Take the file over as a newer version does, and keep it open as its kernel would."""
    connection = sqlite3.connect(folder / FILE, isolation_level=None)
    connection.execute("CREATE TABLE news (a INTEGER)")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    return connection


def test_a_file_of_a_newer_version_is_left_to_it(folder: Path) -> None:
    first = Store(folder)
    first.record(FULL)
    first.close()
    other = newer(folder)
    for number in range(3):
        store = Store(folder)
        with pytest.warns(UserWarning, match="newer version.*left alone"):
            store.record(egress(number))
        assert len(store.egress()) == number + 1
        assert "left alone" in store.trouble
        store.close()
    other.execute("INSERT INTO news VALUES (1)")
    assert other.execute("SELECT model FROM egress").fetchall() == [("kimi-k2.6",)]
    other.close()
    assert sorted(path.name for path in folder.glob("*.sqlite3*")) == [f"kimi.{len(MIGRATIONS)}.sqlite3", FILE]


def test_a_file_that_is_taken_over_while_it_is_open_is_left_then(folder: Path, store: Store) -> None:
    store.record(egress(1))
    other = newer(folder)
    with pytest.warns(UserWarning, match="newer version"):
        store.record(egress(2))
    assert [one.time for one in store.egress()] == [egress(2).time]
    assert other.execute("SELECT count(*) FROM egress").fetchone() == (1,)
    other.close()


def test_a_damaged_file_of_our_own_is_set_aside_and_the_newer_one_left(folder: Path) -> None:
    first = Store(folder)
    first.record(FULL)
    first.close()
    newer(folder).close()
    (folder / f"kimi.{len(MIGRATIONS)}.sqlite3").write_bytes(b"nonsense" * 500)
    store = Store(folder)
    with pytest.warns(UserWarning, match="newer version|damaged"):
        store.record(FULL)
    assert store.egress() == [FULL]
    store.close()
    assert len([path for path in folder.iterdir() if b"nonsense" in path.read_bytes()]) == 1
    left = sqlite3.connect(folder / FILE)
    assert left.execute("SELECT count(*) FROM egress").fetchone() == (1,)
    left.close()


@pytest.mark.parametrize("done", range(len(MIGRATIONS)))
def test_a_file_of_an_older_version_is_brought_up_to_date(done: int, folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / FILE) as connection:
        for step in MIGRATIONS[:done]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {done}")
    connection.close()
    store = Store(folder)
    store.record(FULL)
    assert store.egress() == [FULL]
    store.close()


def test_where_nothing_can_be_written_all_is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "home")
    with pytest.warns(UserWarning, match="only in memory") as caught:
        store.record(FULL)
    assert len(caught) == 1
    store.record(egress(1))  # warned once
    assert len(store.egress()) == 2
    assert store.path is None
    assert "only in memory" in store.trouble
    store.close()


READ_ONLY = (
    "import os, sys, warnings; from kimi_magic.store import *; os.environ['KIMI_HOME'] = sys.argv[1]; s = Store();"
    "os.setuid(65534) if os.getuid() == 0 else None; warnings.simplefilter('ignore');"  # root may write anywhere
    "s.record(Egress(1.0, 'h', 'm', 'k', 's', 'w')); print(len(s.egress()), s.path, s.trouble)"
)


@pytest.mark.parametrize("with_file", [False, True])
def test_a_read_only_folder_is_left_alone(with_file: bool) -> None:  # noqa: FBT001  # a parameter
    with tempfile.TemporaryDirectory() as name:  # not pytest's, into which only its owner may look
        folder = Path(name)
        if with_file:
            first = Store(folder)
            first.record(FULL)
            first.close()
            (folder / FILE).chmod(0o444)
        folder.chmod(0o555)
        run = subprocess.run([sys.executable, "-c", READ_ONLY, name], capture_output=True, text=True, check=False)
        assert run.stdout.startswith("1 None Nothing is kept on disk, only in memory"), run.stderr
        folder.chmod(0o755)
        assert [path.name for path in folder.iterdir()] == ([FILE] if with_file else [])


def test_a_file_that_another_program_holds_is_an_error_of_ours(folder: Path) -> None:
    store = Store(folder, patience=0.2)
    store.record(egress(1))
    holder = sqlite3.connect(folder / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError) as caught:
        store.record(egress(2))
    assert isinstance(caught.value, KimiError)
    assert "KIMI_HOME" in caught.value.hint
    holder.execute("COMMIT")
    holder.close()
    store.record(egress(3))
    assert [entry.time for entry in store.egress()] == [egress(1).time, egress(3).time]
    store.close()


# Threads and processes


def test_many_threads_write_at_once(store: Store) -> None:
    def write(thread: int) -> None:
        for number in range(50):
            store.record_all([egress(number, kernel=f"t{thread}"), egress(number, kernel=f"t{thread}")])

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.egress(10_000)
    assert len(kept) == 800
    for thread_number in range(8):
        own = [entry.time for entry in kept if entry.kernel == f"t{thread_number}"]
        assert own == sorted(own)


def test_processes_that_begin_and_write_at_once_lose_nothing(folder: Path) -> None:
    code = f"[store.record_all([{ONE}] * 2) for n in range(100)]; print(store.trouble)"
    running = [subprocess.Popen(programme(code, folder), stdout=subprocess.PIPE, text=True) for _ in range(4)]
    store = Store(folder)
    store.record_all([egress(number) for number in range(10)])
    assert [process.communicate(timeout=60)[0].strip() for process in running] == [""] * 4
    assert [process.returncode for process in running] == [0] * 4
    assert len(store.egress(10_000)) == 810
    store.close()


def test_what_was_finished_outlives_a_kill_at_any_moment(folder: Path) -> None:
    code = f"n = int(sys.argv[1])\nwhile True:\n store.record_all([{ONE}] * 3); print(n, flush=True); n += 1"
    chance, finished, begun = random.Random(7), [], 0  # noqa: S311  # when to kill
    for _ in range(30):
        command = [*programme("\n" + code, folder), str(begun)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            first = process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
            time.sleep(chance.random() * 0.03)
            process.send_signal(signal.SIGKILL)
            said = [first, *process.stdout.readlines()]  # type: ignore[union-attr]
        numbers = [int(line) for line in said if line.endswith("\n")]
        assert numbers
        finished += numbers
        begun = numbers[-1] + 10
    store = Store(folder)
    kept = [round(entry.time) for entry in store.egress(1_000_000)]
    assert [number for number in finished if kept.count(number) != 3] == []
    assert {kept.count(number) for number in set(kept)} == {3}  # an unfinished one is there whole, or not at all
    assert store.trouble == ""
    store.close()
    with sqlite3.connect(folder / FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_two_kernels_that_find_the_same_damage_set_one_file_aside(folder: Path) -> None:
    folder.mkdir()
    (folder / FILE).write_bytes(b"no database" * 500)
    code = f"import warnings; warnings.simplefilter('ignore'); n = 1; store.record({ONE})"
    running = [subprocess.Popen(programme(code, folder)) for _ in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0] * 4
    store = Store(folder)
    assert len(store.egress()) == 4
    assert [path.read_bytes()[:11] for path in aside(folder)] == [b"no database"]
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_opens_the_file_anew(store: Store) -> None:
    store.record(egress(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, where other threads run
        child = os.fork()
    if not child:
        status = 1
        try:
            store.record(egress(2))
            status = int(len(store.egress()) != 2)
            store.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.record(egress(3))
    assert [entry.time for entry in store.egress()] == [egress(number).time for number in (1, 2, 3)]


def test_the_store_is_loaded_without_sqlite_being_opened_or_platformdirs_imported(folder: Path) -> None:
    code = "print('platformdirs' in sys.modules, store.path)"
    done = subprocess.run(programme(code, folder), capture_output=True, text=True, check=True)
    assert done.stdout == "False None\n"
