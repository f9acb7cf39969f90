"""Every call gets an answer that the model can act on, whatever the tool does."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimi_magic.calls import Outcome, interrupted
from kimi_magic.context import describers
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from kimi_magic.messages import Image, Text
from kimi_magic.messages import ToolCall as Call
from kimi_magic.tools import Tool, named, tool
from kimi_magic.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from pathlib import Path


def look(room: int = 12_000) -> Look:
    guard = Guard()
    guard.hide(pd.DataFrame({"ssn": ["123-45-6789", "987-65-4321"]}), "ssn")
    return Look(guard, room=room)


def box(*tools: Any, namespace: dict[str, Any] | None = None, room: int = 12_000) -> Toolbox:
    return Toolbox(named(tools, {}), {} if namespace is None else namespace, look(room))


def call(name: str, number: int = 0, /, **arguments: Any) -> Call:
    return Call(f"functions.{name}:{number}", name, json.dumps(arguments))


def one(toolbox: Toolbox, asked: Call) -> Outcome:
    (outcome,) = toolbox.run([asked])
    return outcome


def only(function: Any, /, **arguments: Any) -> Outcome:
    return one(Toolbox((Tool("f", function),), {}, look()), call("f", **arguments))


def add(a: int, b: int = 2) -> int:
    """Add."""
    return a + b


# Arguments


def test_arguments_are_converted_and_the_result_goes_back() -> None:
    outcome = one(box(add), Call("x", "add", '{"a": "40"}'))
    assert (outcome.state, outcome.text, outcome.value, outcome.parts) == ("done", "42", 42, ())
    assert outcome.item.source == "add"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"a": ', "JSON"),
        ("[1]", "one JSON object"),
        ('"a"', "JSON"),
        ("{}", "a: is missing"),
        ('{"a": "x"}', "a: should be a valid integer"),
        ('{"a": 1, "c": 2}', "c: is not a known name"),
        ('{"a": "kimi_1"}', "there is no variable 'kimi_1'"),
        ("[" * 100_000, ""),
    ],
)
def test_arguments_that_do_not_fit_are_told_and_nothing_is_called(arguments: str, said: str) -> None:
    outcome = one(box(add), Call("x", "add", arguments))
    assert outcome.state == "invalid"
    assert said in outcome.text
    assert "was not called" in outcome.text
    assert outcome.seconds == 0.0


def test_no_arguments_are_an_empty_object() -> None:
    assert one(box(Tool("f", lambda: "ok")), Call("x", "f", "")).text == "ok"


def test_an_unknown_tool_is_told_with_those_that_there_are() -> None:
    assert one(box(add), call("ad")).text == "There is no tool 'ad'. There is add."
    outcome = one(box(add), call("zzz\x1b[31m" * 100))
    assert (outcome.state, "\x1b" in outcome.text, len(outcome.text) < 300) == ("unknown", False, True)


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text())
def test_whatever_the_model_writes_is_answered(name: str, arguments: str) -> None:
    outcome = one(box(add), Call(name, name, arguments))
    assert outcome.state in ("unknown", "invalid")
    outcome = one(box(add), Call(name, "add", arguments))
    outcome.text.encode()


# Failures


def test_an_error_goes_back_with_the_line_of_the_function() -> None:
    def divide(x: int) -> float:
        numbers = {"a": x}
        return 1 / (numbers["a"] - x)

    outcome = only(divide, x=1)
    assert outcome.state == "failed"
    assert (
        outcome.text.splitlines()[0] == "ZeroDivisionError: float division by zero"
        or "division by zero" in outcome.text
    )
    assert "in divide, line" in outcome.text
    assert 'return 1 / (numbers["a"] - x)' in outcome.text


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (BaseException("odd"), "BaseException: odd"),
        (Rude(), "Rude: <Rude, whose str failed: RuntimeError>"),
        (ValueError("x" * 5_000_000), "ValueError: "),
        (StopIteration(1), "StopIteration: 1"),
        (TimeoutError("theirs"), "TimeoutError: theirs"),
        (ValueError("the key of 123-45-6789"), "[private: ssn]"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_whatever_is_raised_is_an_answer(error: BaseException, said: str, asynchronous: bool) -> None:  # noqa: FBT001
    def fails() -> None:
        raise error

    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise error

    outcome = only(fails_later if asynchronous else fails)
    assert outcome.state == "failed"
    if not (asynchronous and isinstance(error, StopIteration)):  # which Python makes a RuntimeError of
        assert said in outcome.text
    assert len(outcome.text) < 12_500


@pytest.mark.parametrize("asynchronous", [False, True])
def test_ctrl_c_passes_through(asynchronous: bool) -> None:  # noqa: FBT001
    def stopped() -> None:
        raise KeyboardInterrupt

    async def stopped_later() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    toolbox = box(Tool("f", stopped_later if asynchronous else stopped), add)
    answers = toolbox.run([call("f"), call("zzz")])
    with pytest.raises(KeyboardInterrupt):
        next(answers)
    assert interrupted(call("f")).state == "interrupted"
    assert one(toolbox, call("add", a=1)).text == "3"


# Time limits


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_tool_that_hangs_is_stopped(asynchronous: bool) -> None:  # noqa: FBT001
    ended = []

    @tool(timeout=0.1)
    def hangs() -> None:
        try:
            time.sleep(60)
        finally:
            ended.append(1)

    @tool(timeout=0.1, name="hangs")
    async def hangs_too() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    outcome = one(box(hangs_too if asynchronous else hangs), call("hangs"))
    assert outcome.state == "timed out"
    assert "after 0.1 s" in outcome.text
    assert ended == [1]


def test_an_async_tool_that_blocks_the_loop_is_stopped_and_the_others_answer() -> None:
    @tool(timeout=0.1)
    async def blocks() -> None:
        while True:
            pass

    @tool(timeout=30)
    async def other() -> str:
        await asyncio.sleep(0)
        return "fine"

    found = {outcome.call.name: outcome for outcome in box(Tool("blocks", blocks, timeout=0.1)).run([call("blocks")])}
    assert found["blocks"].state == "timed out"
    assert one(box(other), call("other")).text == "fine"


def test_an_async_tool_that_will_not_end_is_left_behind() -> None:
    release = asyncio.Event()

    @tool(timeout=0.1)
    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def free() -> str:
        release.set()
        await asyncio.sleep(0)
        return "freed"

    toolbox = box(stubborn, Tool("free", free))
    assert one(toolbox, call("stubborn")).state == "timed out"
    assert one(toolbox, call("free")).text == "freed"


def test_a_repr_that_hangs_is_given_up() -> None:
    class Slow:
        def __repr__(self) -> str:
            time.sleep(60)
            return ""

    outcome = one(box(Tool("f", Slow, timeout=0.2)), call("f"))
    assert outcome.state == "done"
    assert "Slow" in outcome.text


def test_a_tool_on_another_thread_has_its_limit_too() -> None:
    def spins() -> None:
        while True:
            pass

    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(one(box(Tool("f", spins, timeout=0.1)), call("f"))))
    thread.start()
    thread.join(30)
    assert [outcome.state for outcome in found] == ["timed out"]


# What runs where


def test_sync_tools_run_on_this_thread_one_after_another_and_print_here(capsys: pytest.CaptureFixture[str]) -> None:
    def say(n: int) -> int:
        print(n)  # noqa: T201  # what is tested
        return threading.get_ident()

    found = list(box(Tool("say", say)).run([call("say", n, n=n) for n in range(3)]))
    assert capsys.readouterr().out == "0\n1\n2\n"
    assert {outcome.value for outcome in found} == {threading.get_ident()}


def test_async_tools_of_one_reply_run_at_the_same_time() -> None:
    here = [asyncio.Event(), asyncio.Event()]

    async def meet(n: int) -> int:
        here[n].set()
        await here[1 - n].wait()
        return n

    found = list(box(Tool("meet", meet, timeout=20)).run([call("meet", n, n=n) for n in range(2)]))
    assert [(outcome.state, outcome.value) for outcome in found] == [("done", 0), ("done", 1)]


def test_an_async_tool_finds_what_an_earlier_one_has_left_on_the_loop() -> None:
    kept: dict[str, Any] = {}

    async def make() -> str:
        kept["queue"] = asyncio.Queue()
        kept["filling"] = asyncio.get_running_loop().create_task(kept["queue"].put(5))
        return "made"

    async def take() -> int:
        return await kept["queue"].get()

    toolbox = box(Tool("make", make), Tool("take", take))
    assert [one(toolbox, call(name)).value for name in ("make", "take")] == ["made", 5]


def test_a_tool_may_be_called_from_a_coroutine() -> None:
    async def nap() -> str:
        await asyncio.sleep(0)
        return "slept"

    code = (
        "import asyncio\nfrom kimi_magic.context.description import Look\nfrom kimi_magic.context.guard import Guard\n"
        "from kimi_magic.messages import ToolCall as Call\nfrom kimi_magic.tools import *\n"
        "from kimi_magic.tools.toolbox import Toolbox\n"
        "async def nap():\n    await asyncio.sleep(0)\n    return 'slept'\n"
        "async def main():\n"
        "    return [o.text for o in Toolbox(named([nap], {}), {}, Look(Guard())).run([Call('1', 'nap', '{}')])]\n"
        "print(asyncio.run(main()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "['slept']\n", done.stderr
    assert only(nap).text == "slept"


def test_a_function_that_gives_a_coroutine_is_awaited() -> None:
    async def inner(n: int) -> int:
        return n + 1

    async def fails() -> None:
        raise ValueError("inner")

    heard: list[Call] = []
    tools = (Tool("f", lambda: inner(1)), Tool("g", lambda: fails()))  # noqa: PLW0108  # a function that is not async
    first, second = Toolbox(tools, {}, look(), starting=heard.append).run([call("f"), call("g")])
    assert (first.text, second.text.splitlines()[0]) == ("2", "ValueError: inner")
    assert 'raise ValueError("inner")' in second.text
    assert [one.name for one in heard] == ["f", "g"]


def test_generators_give_their_values_and_endless_ones_a_thousand() -> None:
    def count(n: int) -> Any:
        yield from range(n)

    async def count_slowly() -> Any:
        n = 0
        while True:
            yield n
            n += 1

    assert only(count, n=3).value == [0, 1, 2]
    outcome = only(count_slowly)
    assert len(outcome.value) == 1_000
    assert "read up to 1,000 values" in outcome.text


def test_each_call_is_announced_before_it_runs() -> None:
    heard: list[str] = []

    def work(n: int) -> None:
        assert heard[-1] == f"functions.work:{n}"

    tools = (Tool("work", work),)
    toolbox = Toolbox(tools, {}, look(), starting=lambda one: heard.append(one.id))
    found = list(toolbox.run([call("work", 0, n=0), call("zzz"), call("work", 1, n=1)]))
    assert [outcome.state for outcome in found] == ["done", "unknown", "done"]
    assert heard == ["functions.work:0", "functions.work:1"]


def test_stopping_from_another_thread_answers_what_is_left() -> None:
    async def waits() -> None:
        toolbox.stop()
        await asyncio.sleep(60)

    toolbox = box(Tool("waits", waits), add)
    states = [(outcome.call.name, outcome.state) for outcome in toolbox.run([call("waits"), call("add", a=1)])]
    assert states == [("waits", "interrupted"), ("add", "interrupted")]


def test_leaving_the_answers_cancels_what_runs() -> None:
    ended = []

    async def quick() -> None: ...

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    answers = box(Tool("quick", quick), Tool("waits", waits)).run([call("waits"), call("quick")])
    assert next(answers).call.name == "quick"
    answers.close()
    assert ended == [1]


def test_a_function_that_is_redefined_meanwhile_is_the_one_of_the_beginning() -> None:
    namespace: dict[str, Any] = {}
    exec("def f(): return 'old'", namespace)  # noqa: S102
    toolbox = Toolbox(named("f", namespace), namespace, look())
    exec("def f(x): return 'new'", namespace)  # noqa: S102
    assert one(toolbox, call("f")).text == "old"
    assert named("f", namespace)[0].schema["required"] == ["x"]


# Results


def test_a_number_is_said_by_the_describer_that_is_registered_for_it() -> None:
    assert only(lambda: 2.5).text == "2.5"
    describers.add(float, lambda number: f"about {number:.0f}")
    try:
        assert only(lambda: 2.5).text == "about 2"
        assert only(lambda: 2).text == "2"
    finally:
        describers.remove(float)
    assert only(lambda: True).text == "True"
    assert only(lambda: None).text == "Done; it gave nothing."


def test_a_number_that_is_private_or_too_long_is_kept_back() -> None:
    guard = Guard()
    guard.hide(pd.DataFrame({"account": [1234567891, 9876543219]}), "account")
    (outcome,) = Toolbox((Tool("f", lambda: 9876543219),), {}, Look(guard)).run([call("f")])
    assert outcome.text == "[private: account]"
    assert "characters left out" in one(Toolbox((Tool("f", lambda: 10**2_000),), {}, look(400)), call("f")).text


def test_a_text_goes_as_it_is_and_what_a_terminal_obeys_is_made_visible() -> None:
    assert only(lambda: "one\n\ttwo 你好 \x1b[31m\ud800").text == "one\n\ttwo 你好 \\x1b[31m\\ud800"


def test_a_hundred_megabytes_of_text_stay_here() -> None:
    namespace: dict[str, Any] = {}
    text = "a" * 50_000_000 + "\n" + "z" * 50_000_000
    outcome = one(Toolbox((Tool("f", lambda: text),), namespace, look()), call("f"))
    assert outcome.handle == "kimi_1"
    assert namespace["kimi_1"] is text
    assert len(outcome.text) < 12_200
    assert outcome.text.startswith("aaa")
    assert "characters left out" in outcome.text
    assert 'give "kimi_1" as an argument' in outcome.text


@pytest.mark.parametrize("value", [b"\x00" * 100_000_000, list(range(3_000_000)), {n: n for n in range(500_000)}])
def test_large_values_stay_here(value: Any) -> None:
    namespace: dict[str, Any] = {}
    outcome = one(Toolbox((Tool("f", lambda: value),), namespace, look()), call("f"))
    assert len(outcome.text) < 12_200
    assert isinstance(value, bytes) or namespace["kimi_1"] is value


class Unsayable:
    def __repr__(self) -> str:
        raise RuntimeError

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_what_cannot_be_described_is_named() -> None:
    outcome = only(Unsayable)
    assert outcome.state == "done"
    assert "Unsayable" in outcome.text


def test_small_values_are_whole_and_need_no_handle() -> None:
    for value in (5, None, True, "x", [1, 2], {"a": [1]}, (1,), 1.5, np.float64(1.5), [np.int64(3)], pd.Timestamp(0)):
        outcome = only(lambda value=value: value)
        assert (outcome.state, outcome.handle) == ("done", "")
    assert only(lambda: None).text == "Done; it gave nothing."


@pytest.mark.parametrize(
    "value",
    [
        (pd.DataFrame({"a": range(5)}), pd.DataFrame({"a": range(3)})),
        {"train": pd.DataFrame({"a": range(5)}), "model": np.eye(300)},
        [np.arange(10)],
        {"deep": [{"er": (np.arange(10),)}]},
        [object()],
    ],
)
def test_what_holds_more_than_json_can_say_has_a_handle(value: Any) -> None:
    namespace: dict[str, Any] = {}
    assert one(Toolbox((Tool("f", lambda: value),), namespace, look()), call("f")).handle == "kimi_1"
    assert namespace["kimi_1"] is value


def test_a_number_is_given_once_and_what_has_gone_is_told() -> None:
    namespace: dict[str, Any] = {}
    toolbox = box(Tool("make", lambda: np.eye(100)), Tool("size", lambda rows: str(len(rows))), namespace=namespace)
    assert one(toolbox, call("make")).handle == "kimi_1"
    del namespace["kimi_1"]
    assert one(toolbox, call("make")).handle == "kimi_2"
    gone = one(toolbox, call("size", rows="kimi_1"))
    assert (gone.state, "rows: kimi_1 is no longer there" in gone.text) == ("invalid", True)
    assert "there is no variable 'kimi_3'" in one(toolbox, call("size", rows="kimi_3")).text


def test_numbers_go_on_from_those_that_the_conversation_names() -> None:
    toolbox = box(Tool("make", lambda: np.eye(100)), Tool("size", lambda rows: str(len(rows))))
    toolbox.recall(["[It is kept as kimi_7: give", "kimi_3, not akimi_9"])
    assert "kimi_7 is no longer there" in one(toolbox, call("size", rows="kimi_7")).text
    assert one(toolbox, call("make")).handle == "kimi_8"


def test_a_small_table_is_told_whole_and_a_large_one_in_short_both_with_a_handle() -> None:
    def frame(rows: int) -> pd.DataFrame:
        return pd.DataFrame({"n": range(rows), "ssn": ["123-45-6789"] * rows})

    toolbox = box(Tool("frame", frame), namespace=(namespace := {"kimi_1": "theirs"}))
    small, large = toolbox.run([call("frame", 0, rows=20), call("frame", 1, rows=50_000)])
    assert "\n18\n19\n" in small.text
    assert (small.handle, large.handle, namespace["kimi_1"]) == ("kimi_2", "kimi_3", "theirs")
    assert namespace["kimi_3"] is large.value
    assert "50,000 rows" in large.text
    assert all("123-45-6789" not in outcome.text for outcome in (small, large))
    assert large.item.withheld == ("ssn",)
    assert large.item.columns == ("n",)


def test_private_values_that_a_tool_brings_in_are_kept_back_from_then_on() -> None:
    namespace: dict[str, Any] = {}

    def load() -> str:
        namespace["fresh"] = pd.DataFrame({"ssn": ["555-44-3333", "555-44-2222"]})
        return "the first is 555-44-3333"

    assert "555-44-3333" not in one(Toolbox((Tool("load", load),), namespace, look()), call("load")).text


def test_the_same_object_keeps_its_handle() -> None:
    table = pd.DataFrame({"a": range(9_000)})
    toolbox = box(Tool("f", lambda: table))
    assert [one(toolbox, call("f")).handle for _ in range(2)] == ["kimi_1", "kimi_1"]


def test_pictures_follow_as_parts() -> None:
    from matplotlib.figure import Figure

    def plot() -> Figure:
        figure = Figure()
        figure.subplots().plot([1, 2, 3])
        return figure

    outcome = only(plot)
    caption, picture = outcome.parts
    assert isinstance(caption, Text)
    assert caption.text == "The picture that f gave (it is kimi_1):"
    assert isinstance(picture, Image)
    assert "[The picture follows.]" in outcome.text


def test_a_model_without_eyes_gets_no_pictures() -> None:
    from dataclasses import replace

    from PIL import Image as Pillow

    tools = (Tool("f", lambda: Pillow.new("RGB", (8, 8))),)
    outcome = one(Toolbox(tools, {}, replace(look(), pictures=False)), call("f"))
    assert outcome.parts == ()
    assert "picture not sent" in outcome.text


def test_a_path_is_its_name_and_no_file_is_read(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    Pillow.new("RGB", (8, 8)).save(tmp_path / "private.png")
    outcome = only(lambda: tmp_path / "private.png")
    assert (outcome.text, outcome.parts) == (str(tmp_path / "private.png"), ())


def test_an_empty_text_is_said() -> None:
    assert only(lambda: "").text == "(an empty text)"


def test_a_tool_can_say_itself_what_is_sent() -> None:
    outcome = only(lambda: Description.of("table", "what it says of 123-45-6789", columns=("a",), rows=3))
    assert (outcome.text, outcome.handle) == ("what it says of [private: ssn]", "")
    assert (outcome.item.columns, outcome.item.rows) == (("a",), 3)


def test_the_results_of_one_reply_share_a_budget() -> None:
    found = list(box(Tool("f", lambda: "x" * 20_000)).run([call("f", n) for n in range(30)]))
    assert sum(len(outcome.text) for outcome in found) < 60_000


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_value_that_comes_after_the_limit_is_given(asynchronous: bool) -> None:  # noqa: FBT001
    def late() -> str:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001
            return "late"
        return ""

    async def late_too() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"
        return ""

    outcome = one(box(Tool("f", late_too if asynchronous else late, timeout=0.1)), call("f"))
    assert (outcome.state, outcome.text) == ("done", "late")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_could_not_be_stopped_at_its_limit_is_told_with_its_time(asynchronous: bool) -> None:  # noqa: FBT001
    def slow() -> None:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            try:
                time.sleep(0.1)
            except BaseException:  # noqa: BLE001, S112
                continue
        raise ValueError

    async def slow_and_cancelled() -> None:
        try:
            slow()
        except ValueError:
            await asyncio.sleep(60)

    outcome = one(box(Tool("f", slow_and_cancelled if asynchronous else slow, timeout=0.1)), call("f"))
    assert outcome.state == "timed out"
    assert outcome.text.startswith("It could not be stopped at its time limit of 0.1 s, and gave no value in ")


# Handles as arguments


def test_a_handle_is_passed_as_the_live_object() -> None:
    table = pd.DataFrame({"a": range(9_000)})

    def head(df: pd.DataFrame, n: int) -> int:
        return len(df.head(n))

    def count(items: list[int], name: str, anything: Any = None) -> str:
        return f"{len(items)} {name} {type(anything).__name__}"

    namespace = {"kimi_1": table, "kimi_2": [1, 2, 3], "_hidden": table, "number": 5, "mine": table}
    toolbox = box(Tool("head", head), Tool("count", count), namespace=namespace)
    assert one(toolbox, call("head", df="kimi_1", n="7")).text == "7"
    assert one(toolbox, call("head", df="mine", n=3)).text == "3"
    assert one(toolbox, call("count", items="kimi_2", name="kimi_2", anything="kimi_1")).text == "3 kimi_2 DataFrame"
    assert "number is a int, not a DataFrame" in one(toolbox, call("head", df="number", n=1)).text
    assert "there is kimi_1, mine" in one(toolbox, call("head", df="_hidden", n=1)).text
    assert one(toolbox, call("head", df=5, n=1)).state == "invalid"
    assert one(toolbox, call("count", items="kimi_9", name="x")).state == "invalid"


class Where(TypedDict):
    city: str
    zip: NotRequired[int]


def test_a_handle_is_passed_under_any_name_that_a_function_takes() -> None:
    def total(**columns: list[int]) -> dict[str, int]:
        """Add up."""
        return {name: sum(values) for name, values in columns.items()}

    space = {"kimi_1": [1, 2], "kimi_2": "no list"}
    outcome = one(box(total, namespace=space), call("total", a="kimi_1", columns=[3]))
    assert outcome.value == {"a": 3, "columns": 3}
    assert "not list[int]" in one(box(total, namespace=space), call("total", a="kimi_2")).text


def test_a_typed_dict_is_an_object() -> None:
    def send(where: Where, back: Where | None = None) -> str:
        return f"{where['city']} {back}"

    toolbox = box(Tool("send", send))
    assert "Where" in json.dumps(toolbox.tools["send"].schema)
    assert one(toolbox, call("send", where={"city": "Bern"})).text == "Bern None"
    assert one(toolbox, call("send", where={"town": "Bern"})).state == "invalid"


def test_a_handle_has_to_be_of_the_type() -> None:
    def join(a: int = 0, rows: list[Where] = [], values: np.ndarray = np.zeros(3)) -> str:  # noqa: B006, B008
        return f"{a} {len(rows)} {values is table or rows is texts}"

    table, texts = np.eye(100), [{"city": "Bern"}]
    namespace = {"kimi_1": table, "kimi_2": texts, "kimi_3": ["Bern"], "kimi_4": 7, "kimi_5": pd.DataFrame({"a": [1]})}
    toolbox = box(Tool("join", join), namespace=namespace)
    assert "a: kimi_1 is a ndarray, not int" in one(toolbox, call("join", a="kimi_1")).text
    assert "rows: kimi_3 is a list, not list[Where]" in one(toolbox, call("join", rows="kimi_3")).text
    assert "values: kimi_5 is a DataFrame, not a ndarray" in one(toolbox, call("join", values="kimi_5")).text
    assert one(toolbox, call("join", a="kimi_4", rows="kimi_2")).text == "7 1 True"
    assert one(toolbox, call("join", values="kimi_1")).text == "0 0 True"


def test_what_json_cannot_hold_may_be_none() -> None:
    def size(df: pd.DataFrame | None = None, rows: list[int] | None = None) -> str:
        return f"{df is None} {rows}"

    toolbox = box(Tool("size", size), namespace={"kimi_1": [1]})
    assert one(toolbox, call("size", df=None, rows="kimi_1")).text == "True [1]"
    assert one(toolbox, call("size")).text == "True None"
    assert one(toolbox, call("size", df=5, rows="kimi_1")).state == "invalid"


def test_a_default_that_json_cannot_hold_is_not_offered() -> None:
    usual = pd.DataFrame({"a": [1]})

    def size(rows: int, df: pd.DataFrame = usual, values: np.ndarray = np.zeros(3)) -> int:  # noqa: B008  # what people write
        return len(df) + len(values) + rows

    toolbox = box(Tool("size", size))
    assert list(toolbox.tools["size"].schema["properties"]) == ["rows"]
    assert one(toolbox, call("size", rows=1)).text == "5"


def test_the_model_is_told_to_name_what_json_cannot_hold() -> None:
    def plot(df: pd.DataFrame, x: str, values: np.ndarray | None = None) -> None: ...

    schema = Tool("plot", plot).schema
    assert schema["properties"]["df"]["type"] == "string"
    assert "name of a variable that holds a DataFrame" in schema["properties"]["df"]["description"]
    assert schema["required"] == ["df", "x"]
