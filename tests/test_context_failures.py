"""What is told of an error: the user's lines, the values in them, how it came there; nothing private, no addresses."""

from __future__ import annotations

import ast
import gc
import importlib
import json
import re
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from kimi_magic.context.description import Description, Look
from kimi_magic.context.failures import describe_failure
from kimi_magic.context.guard import Guard
from kimi_magic.context.watching import last_failure
from kimi_magic.errors import CommandError, Interrupted
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).name


def told(call: Callable[[], Any], room: int = 12_000) -> Description:
    """Call what fails, and describe the failure as the kernel would: from where it was called on."""
    guard = Guard()
    guard.hide(None, "ssn")
    try:
        call()
    except BaseException as error:  # noqa: BLE001
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return describe_failure(error, Look(guard, room=room))
    raise AssertionError("it did not fail")


def lookup(table: dict[str, Any], key: str) -> Any:
    ssn = "123-45-6789"
    é = {"x": [1, 2]}  # noqa: PLC2401  # columns are counted in bytes
    return table[key] + é["x"][0] + len(ssn)


def test_an_error_shows_its_function_the_place_in_the_line_and_the_values_there() -> None:
    found = told(lambda: lookup({"a": 1}, "b"))
    first = lookup.__code__.co_firstlineno
    assert found.text.endswith(
        dedent(f"""
        tests/{HERE}, line {first + 3}, in lookup:
          {first} def lookup(table: dict[str, Any], key: str) -> Any:
          {first + 1}     ssn = "123-45-6789"
          {first + 2}     é = {{"x": [1, 2]}}  # noqa: PLC2401  # columns are counted in bytes
        > {first + 3}     return table[key] + é["x"][0] + len(ssn)
        {" " * len(f"> {first + 3} ")}           ^^^^^^^^^^
            table = dict, 1 key: {{"a": 1}}
            key = str "b"
            é = dict, 1 key: {{"x": [1, 2]}}
            ssn = [private: ssn]""").replace('ssn = "123-45-6789"', 'ssn = "123-45-6789"')
    )
    assert found.text.startswith("KeyError: 'b'\n")
    assert (found.kind, found.shape, found.withheld) == ("error", "KeyError", ("ssn",))


def test_the_mark_stands_below_the_expression_whatever_stands_before_it() -> None:
    def wide() -> Any:
        return "é你好👩" + 5  # type: ignore[operator]

    lines = told(wide).text.splitlines()
    (at,) = [n for n, line in enumerate(lines) if "^" in line]
    start, end = lines[at].index("^"), lines[at].rindex("^") + 1
    assert lines[at - 1][start:end] == '"é你好👩" + 5'


def convert(frame: pd.DataFrame, column: str) -> float:
    return frame[column].astype(float).sum()  # type: ignore[no-any-return]


def test_library_frames_are_counted_and_the_last_one_keeps_its_line() -> None:
    found = told(lambda: convert(pd.DataFrame({"price": ["1", "abc"]}), "price"))
    assert re.search(r"\n\[… \d+ frames in pandas/core.* …\]\npandas/\S+, line \d+, in \w+: \S", found.text)
    assert "frame = DataFrame" in found.text
    assert "site-packages" not in found.text


def test_a_private_value_in_a_message_stays() -> None:
    frame = pd.DataFrame({"ssn": [f"123-45-{n}" for n in range(1_000, 1_050)]})
    guard = Guard()
    guard.hide(frame, "ssn")
    try:
        convert(frame, "ssn")
    except ValueError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        found = describe_failure(error, Look(guard)).text
    assert "could not convert string to float: '[private: ssn]'" in found
    assert "123-45-1" not in found


def test_a_long_function_is_shown_around_its_line() -> None:
    body = "\n".join(f"    x{n} = {n}" for n in range(100))
    module: dict[str, Any] = {}
    name = "<ipython-input-7-abc>"
    source = f"def long():\n{body}\n    return x50 / 0\n"
    remember(name, source)
    exec(compile(source, name, "exec"), module)  # noqa: S102
    found = told(module["long"]).text
    assert "In [7], line 102, in long:" in found
    assert "x92 = 92" in found
    assert "x91 = 91" not in found
    assert "x50 = int 50" in found


def remember(name: str, source: str) -> None:
    """Keep a source as IPython does."""
    import linecache

    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def test_cells_are_called_by_their_prompts() -> None:
    name = "/tmp/ipykernel_4711/99.py"  # noqa: S108  # how ipykernel names them
    remember(name, "a = [1]\na[5]\n")
    try:
        exec(compile("a = [1]\na[5]\n", name, "exec"), {})  # noqa: S102
    except IndexError as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        known = describe_failure(error, Look(Guard()), sources={name: 12}).text
        unknown = describe_failure(error, Look(Guard()), sources={}).text
    assert "\nIn [12], line 2:\n  1 a = [1]\n> 2 a[5]\n" in known
    assert "    a = list, 1 item: [1]" in known
    assert "a cell, line 2" in unknown
    assert "4711" not in known + unknown


def test_text_that_was_executed_has_no_source_and_says_so() -> None:
    def run() -> None:
        exec("x = 1\ny = x / 0")  # noqa: S102

    assert "<string>, line 2 (its source is not at hand)" in told(run).text


@pytest.mark.parametrize(
    ("source", "message", "line", "mark"),
    [
        ("x = [1, 2\ny = 3", "'[' was never closed", "> 1 x = [1, 2", 4),
        ("x = 1\n  y = 2", "unexpected indent", "> 2   y = 2", None),
        ("é = 1 2", None, "> 1 é = 1 2", 6),
        ("if x:\npass", "expected an indented block", "> 2 pass", 0),
    ],
)
def test_what_is_no_python_is_marked_where_reading_ended(
    source: str, message: str | None, line: str, mark: int | None
) -> None:
    def run() -> None:
        compile(source, "<ipython-input-3-x>", "exec")

    remember("<ipython-input-3-x>", source)
    found = told(run).text
    assert (message or "") in found.splitlines()[0]
    lines = found.splitlines()
    assert line in lines
    after = lines[lines.index(line) + 1]
    assert mark is None or after.index("^") - 4 == mark


def test_a_syntax_error_in_text_that_is_nowhere_kept_still_has_its_line() -> None:
    assert "> 1 1 +" in told(lambda: ast.literal_eval("1 +")).text


def chained() -> None:
    try:
        lookup({}, "b")
    except KeyError as error:
        raise RuntimeError("could not look it up") from error


def handled() -> None:
    try:
        lookup({}, "b")
    except KeyError:
        undefined + 1  # type: ignore[name-defined]  # noqa: F821


def suppressed() -> None:
    try:
        lookup({}, "b")
    except KeyError:
        raise ValueError("clean") from None


def test_errors_that_it_came_from_are_told_after_it() -> None:
    cause = told(chained).text
    assert cause.index("RuntimeError: could not") < cause.index("It was raised because of:\nKeyError: 'b'")
    assert 'key = str "b"' in cause
    context = told(handled).text
    assert "It was raised while this was handled:\nKeyError" in context
    assert "undefined is not defined" in context
    assert "KeyError" not in told(suppressed).text.replace("except KeyError", "")


def test_a_chain_that_bites_its_tail_ends() -> None:
    def run() -> None:
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        raise one

    assert re.findall("^ValueError: .*", told(run).text, re.MULTILINE) == ["ValueError: one", "ValueError: two"]


def test_a_long_chain_is_cut() -> None:
    def run() -> None:
        error: Exception | None = None
        for n in range(50):
            new = ValueError(f"number {n}")
            new.__cause__ = error
            error = new
        assert error is not None
        raise error

    found = told(run).text
    assert "number 49" in found
    assert "number 0" not in found
    assert "further errors" in found


def test_a_group_tells_each_of_its_errors() -> None:
    def run() -> None:
        errors: list[Exception] = []
        for n in range(20):
            try:
                lookup({}, f"key{n}")
            except KeyError as error:
                errors.append(error)
        raise ExceptionGroup("many", [*errors[:10], ExceptionGroup("inner", errors[10:])])

    found = told(run).text
    assert "ExceptionGroup: many (11 sub-exceptions)" in found
    assert "[1 of 20]\nKeyError: 'key0'" in found
    assert "[10 of 20]" in found
    assert "[… 10 more errors …]" in found


def deeper(n: int) -> int:
    return deeper(n + 1)


def ping(n: int) -> int:
    return pong(n + 1)


def pong(n: int) -> int:
    return ping(n + 1)


def test_a_recursion_is_told_once() -> None:
    for call in (deeper, ping):
        found = told(lambda call=call: call(0)).text  # type: ignore[misc]
        assert re.search(r"in \w+ \(\d{3} times\)", found)
        assert len(found) < 3_000


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_messages_are_guarded_and_notes_are_kept() -> None:
    def mute() -> None:
        error = Mute()
        error.add_note("Look here.")
        raise error

    found = told(mute).text
    assert found.startswith(f"{Mute.__module__}.Mute: <Mute, whose str failed: ValueError>\nNote: Look here.\n")
    home = Path.home() / "nothing.csv"
    assert "'~/nothing.csv'" in told(lambda: open(home)).text  # noqa: PTH123, SIM115
    assert told(lambda: fail(f"could not find {object()}")).text.startswith(
        "ValueError: could not find <object object>\n"
    )
    assert len(told(lambda: fail("x" * 100_000)).text) < 12_000
    assert "\\x1b" in told(lambda: fail("\x1b[31m")).text


def fail(words: str) -> None:
    raise ValueError(words)


def test_an_error_that_was_never_raised_is_its_message() -> None:
    assert describe_failure(ValueError("no"), Look(Guard())).text == "ValueError: no"


def test_errors_from_other_threads_and_generators() -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            lookup({}, "b")
        except KeyError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert 'key = str "b"' in describe_failure(caught[0], Look(Guard())).text

    def pooled() -> Any:
        with ThreadPoolExecutor(1) as pool:
            return list(pool.map(lookup, [{}], ["b"]))

    found = told(pooled).text
    assert re.search(r"\[… \d+ frames in concurrent.* …\]", found)
    assert 'key = str "b"' in found
    assert "in <genexpr>" in told(lambda: list(1 // n for n in (1, 0))).text  # noqa: C400


class Thing:
    def __init__(self) -> None:
        self.values = [1, 2]
        self.ssn = "123-45-6789"

    @property
    def computed(self) -> int:
        raise AssertionError("asked")

    def work(self, by: int) -> Any:
        return [value for value in self.values if value > len(self.ssn) / by], self.computed


def test_attributes_that_lie_in_an_object_are_shown_and_none_is_computed() -> None:
    found = told(lambda: Thing().work(0)).text
    assert "ZeroDivisionError" in found
    assert "self = Thing object" in found
    assert "self.values = list, 2 items: [1, 2]" in found
    assert "self.ssn = [private: ssn]" in found
    assert "6789" not in found.replace('"123-45-6789"', "")
    assert "is not defined" not in found


class Bad:
    def __repr__(self) -> str:
        raise ValueError

    def __add__(self, other: object) -> int:
        raise TypeError("no addition")


def test_values_whose_repr_fails_do_not_stop_it() -> None:
    def run() -> int:
        bad = Bad()
        return bad + 1

    assert "bad = <Bad, whose repr failed: ValueError>" in told(run).text


@pytest.mark.parametrize("room", [400, 800, 1_200, 5_000, 12_000])
def test_it_fits_and_the_message_and_the_line_stay_longest(room: int) -> None:
    def run() -> None:
        table = {f"k{n}": "v" * 100 for n in range(100)}
        try:
            lookup(table, "gone")
        except KeyError as error:
            raise RuntimeError("m" * 5_000) from error

    found = told(run, room)
    assert len(found.text) <= room
    assert found.text.startswith("RuntimeError: mmm")
    assert "> " in found.text
    assert bool(found.omitted) == (room < 3_000)


def test_the_same_error_is_the_same_text() -> None:
    texts = {told(lambda: json.loads('{"a": [1, 2')).text for _ in range(2)}
    assert len(texts) == 1
    (only,) = texts
    assert str(Path.home()) not in only
    assert str(Path.cwd()) not in only


def test_nothing_is_kept_alive() -> None:
    class Kept:
        pass

    def run() -> weakref.ref[Kept]:
        thing = Kept()
        seen = weakref.ref(thing)
        try:
            fail_with(thing)
        except ValueError as error:
            assert "Kept object" in describe_failure(error, Look(Guard())).text
        return seen

    seen = run()
    gc.collect()  # Python 3.11 and 3.12 keep a copy of a frame's variables in the frame, once they were asked for
    assert seen() is None


def fail_with(thing: object) -> None:
    raise ValueError(f"{thing}")


def test_compiled_code_without_its_source_has_its_place(tmp_path: Path) -> None:
    source = "def cdef():\n    return 1 / 0\n"
    module: dict[str, Any] = {}
    exec(compile(source, "mylib/_libs/fast.pyx", "exec"), module)  # noqa: S102
    found = told(module["cdef"]).text
    assert "mylib/_libs/fast.pyx, line 2, in cdef" in found
    assert str(tmp_path) not in found


def test_a_projects_file_is_named_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helpers_of_test.py").write_text("def half(x):\n    return x / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    half = importlib.import_module("helpers_of_test").half
    assert (
        "\nhelpers_of_test.py, line 2, in half:\n  1 def half(x):\n> 2     return x / 0\n" in told(lambda: half(1)).text
    )
    del sys.modules["helpers_of_test"]


def test_a_secret_in_the_source_is_not_shown() -> None:
    name = "<ipython-input-8-abc>"
    source = "api_key = 'sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH'\n1 / 0\n"
    remember(name, source)
    found = told(lambda: exec(compile(source, name, "exec"), {})).text  # noqa: S102
    assert "In [8], line 2" in found
    assert "abcdefghijklmnop" not in found


def test_a_notice_of_the_last_error_skips_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, expected in [(CommandError("x"), None), (Interrupted(), None), (KeyError(1), KeyError)]:
        monkeypatch.setattr(sys, "last_value", error, raising=False)
        monkeypatch.setattr(sys, "last_exc", None, raising=False)
        found = last_failure()
        assert (found and type(found)) == expected


# In a real kernel

SETUP = """
from kimi_magic.context.failures import describe_failure
from kimi_magic.context.watching import Failures
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
failures = Failures(get_ipython())
def fix():
    error = failures.last()
    print(describe_failure(error, Look(Guard())).text if error else "none")
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel({}, tmp_path_factory.mktemp("kernel")) as kernel:
        assert kernel.run(SETUP).ok
        yield kernel


def fixed(shell: Kernel, code: str) -> tuple[int, str]:
    """Run a cell that fails; give its number and what is told of it."""
    assert not shell.run(code).ok
    number = shell.value("get_ipython().displayhook.prompt_count") - 1
    cell = shell.run("fix()")
    assert cell.ok, cell.text
    return number, cell.text.rstrip()


@pytest.mark.parametrize(
    ("code", "first", "line"),
    [
        ("x = [1,2\ny = 3", "SyntaxError: '[' was never closed", "> 1 x = [1,2"),
        ("def f(:\n  pass", "SyntaxError: invalid syntax", "> 1 def f(:"),
        ("if True:\nx=1", "IndentationError: expected an indented block", "> 2 x=1"),
        ("return 5", "SyntaxError: 'return' outside function", "> 1 return 5"),
    ],
)
def test_a_cell_that_is_no_python(shell: Kernel, code: str, first: str, line: str) -> None:
    number, found = fixed(shell, code)
    assert found.startswith(first)
    assert f"\nIn [{number}], line {line[2]}:\n" in found
    assert line in found.splitlines()
    assert "IPython" not in found
    assert "ipykernel" not in found


def test_a_function_of_an_earlier_cell_is_named_by_that_cell(shell: Kernel) -> None:
    shell.run("def load(path):\n    table = {'a': path}\n    return table['b'] + 1")
    defined = shell.value("get_ipython().displayhook.prompt_count") - 1
    number, found = fixed(shell, "out = 5\nresult = load('x.csv') + out")
    assert found == (
        f"KeyError: 'b'\n\nIn [{number}], line 2:\n> 2 result = load('x.csv') + out\n"
        "             ^^^^^^^^^^^^^\n    out = int 5\n\n"
        f"In [{defined}], line 3, in load:\n  1 def load(path):\n  2     table = {{'a': path}}\n"
        "> 3     return table['b'] + 1\n               ^^^^^^^^^^\n"
        '    table = dict, 1 key: {"a": "x.csv"}'
    )


def test_an_await_in_a_cell(shell: Kernel) -> None:
    code = "import asyncio\nasync def go(n):\n    await asyncio.sleep(0)\n    return n / 0\nawait go(3)"
    number, found = fixed(shell, code)
    assert f"In [{number}], line 5:\n> 5 await go(3)" in found
    assert f"In [{number}], line 4, in go:" in found
    assert "    n = int 3" in found


def test_a_timed_cell_shows_the_line_inside(shell: Kernel) -> None:
    number, found = fixed(shell, "%%time\ny = 0\nz = 1/y\nprint(z)")
    assert f"In [{number}], line 1" in found
    assert "<timed exec>, line 2:\n  1 y = 0\n> 2 z = 1/y\n" in found
    assert "    y = int 0" in found


def test_a_cell_that_works_does_not_make_the_error_forgotten_and_ours_do_not_count(shell: Kernel) -> None:
    _, found = fixed(shell, "1/0 + len([])")
    shell.run("fine = 1")
    assert not shell.run("from kimi_magic.errors import CommandError\nraise CommandError('ours')").ok
    assert not shell.run("from kimi_magic.errors import Interrupted\nraise Interrupted").ok
    assert shell.run("fix()").text.rstrip() == found
    assert not shell.run("raise KeyboardInterrupt").ok
    assert shell.run("fix()").text.startswith("KeyboardInterrupt")


def test_once_stopped_it_watches_no_longer(tmp_path: Path) -> None:
    with Kernel({}, tmp_path) as kernel:
        kernel.run(SETUP)
        kernel.run("1/0")
        kernel.run("failures.stop()\nimport sys\nsys.last_value = sys.last_exc = None")
        assert kernel.run("fix()").text.strip() == "none"
        callbacks = "len(get_ipython().events.callbacks['post_run_cell'])"
        before = kernel.value(callbacks)
        kernel.run("again = Failures(get_ipython())")
        assert kernel.value(callbacks) == before + 1
        kernel.run("again.stop()")
        assert kernel.value(callbacks) == before


class Odd(SyntaxError):
    filename = 5  # type: ignore[assignment]
    lineno = "x"  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError


def test_an_error_at_odds_with_itself_is_at_least_named() -> None:
    def run() -> None:
        raise Odd("why")

    assert told(run).text.endswith("Odd: why")
