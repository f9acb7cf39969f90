"""Nothing that wants approval runs without it, and nothing in the arguments can hide from who is asked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from kimi_magic.messages import ToolCall as Call
from kimi_magic.tools import Tool
from kimi_magic.tools.approval import Unanswered, shown
from kimi_magic.tools.toolbox import Toolbox
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from pathlib import Path

ran: list[str] = []


def act(what: str) -> str:
    ran.append(what)
    return what


def outcome(tool: Tool, arguments: str = '{"what": "x"}', **how: Any) -> tuple[str, str, list[str]]:
    ran.clear()
    (found,) = Toolbox((tool,), {}, Look(Guard()), **how).run([Call("1", tool.name, arguments)])
    return found.state, found.text, list(ran)


FREE, ASKS, ALWAYS = Tool("act", act), Tool("act", act, approve=True), Tool("act", act, approve="always")


@pytest.mark.parametrize(
    ("tool", "policy", "answer", "runs"),
    [
        (FREE, "ask", False, True),
        (FREE, "none", False, True),
        (ASKS, "ask", True, True),
        (ASKS, "ask", False, False),
        (ASKS, "all", False, True),
        (ASKS, "none", True, False),
        (ALWAYS, "all", True, True),
        (ALWAYS, "all", False, False),
        (ALWAYS, "none", True, False),
    ],
)
def test_who_is_asked(tool: Tool, policy: str, answer: bool, runs: bool) -> None:  # noqa: FBT001
    state, _, done = outcome(tool, policy=policy, ask=lambda *_: answer)
    assert (state, done) == (("done", ["x"]) if runs else ("refused", []))


def test_each_call_is_asked_for_just_before_it_runs_and_answered_in_its_order() -> None:
    ran.clear()

    def agree(_: Tool, arguments: str) -> bool:
        ran.append(f"asked {arguments}")
        return "no" not in arguments

    async def later(what: str) -> str:
        return act(what)

    toolbox = Toolbox((ASKS, Tool("later", later, approve=True)), {}, Look(Guard()), ask=agree)
    words = [("act", "a"), ("act", "no"), ("nix", ""), ("act", 5), ("later", "b"), ("act", "c"), ("later", "d")]
    calls = [Call(str(n), name, json.dumps({"what": what})) for n, (name, what) in enumerate(words)]
    found = [(outcome.call.id, outcome.state) for outcome in toolbox.run(calls)]
    assert sorted(found[:2]) == [("4", "done"), ("6", "done")]
    assert found[2:] == [("0", "done"), ("1", "refused"), ("2", "unknown"), ("3", "done"), ("5", "done")]
    assert [*ran[:2], *sorted(ran[2:4])] == ['asked what = "b"', 'asked what = "d"', "b", "d"]
    assert ran[4:] == [
        'asked what = "a"',
        "a",
        'asked what = "no"',
        'asked what = "5"',
        "5",
        'asked what = "c"',
        "c",
    ]


def test_where_nobody_can_be_asked_nothing_runs() -> None:
    state, text, done = outcome(ASKS)
    assert (state, done) == ("refused", [])
    assert "nobody here who can be asked" in text


def test_why_nobody_could_be_asked_is_told() -> None:
    def silent(*_: object) -> bool:
        raise Unanswered("the panel is closed.")

    def broken(*_: object) -> bool:
        raise OSError

    assert outcome(ASKS, ask=silent) == ("refused", "This needs the user's approval, and the panel is closed.", [])
    assert outcome(ASKS, ask=broken) == ("refused", "This needs the user's approval, and asking failed: OSError.", [])


def test_ctrl_c_at_the_question_passes_through() -> None:
    def stopped(*_: object) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome(ASKS, ask=stopped)
    assert ran == []


def test_arguments_that_do_not_fit_are_not_asked_for() -> None:
    assert outcome(ASKS, "{}", ask=lambda *_: pytest.fail("asked"))[0] == "invalid"


def test_arguments_too_long_to_be_checked_are_refused_unasked() -> None:
    state, text, done = outcome(ASKS, json.dumps({"what": "x" * 50_000}), ask=lambda *_: True)
    assert (state, done) == ("refused", [])
    assert "too long for the user to check" in text


def test_arguments_are_shown_in_full_and_as_they_are() -> None:
    assert shown({"code": "import os\nos.remove('a')", "n": 5, "name": 'a "b"', "list": [1, "ä"]}) == (
        'code =\n    import os\n    os.remove(\'a\')\nn = 5\nname = "a \\"b\\""\nlist = [1, "ä"]'
    )
    assert shown({}) == "(no arguments)"


def test_a_live_object_is_shown_by_its_name_and_never_asked_for_its_repr() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    def use(thing: Any, keys: Any) -> None: ...

    seen: list[str] = []
    tool = Tool("use", use, approve=True)
    box = Toolbox((tool,), {"kimi_1": Rude()}, Look(Guard()), ask=lambda _, text: not seen.append(text))
    (found,) = box.run([Call("1", "use", '{"thing": "kimi_1", "keys": "kimi_x"}')])
    assert (found.state, seen) == ("done", ['thing = kimi_1 (a Rude)\nkeys = "kimi_x"'])
    assert shown({"a": Rude(), "b": {(1, 2): 3}}) == 'a = "<Rude, whose repr failed: RuntimeError>"\nb = {(1, 2): 3}'


@pytest.mark.parametrize("hidden", ["\x1b[2K", "\r", "\u202e", "\u200b", "\x08", "\ud800", "\x9b", "\u2066"])
def test_what_a_terminal_would_obey_is_shown_as_text(hidden: str) -> None:
    text = shown({"code": f"safe()\n{hidden}evil()", hidden: hidden})
    assert hidden not in text
    assert "evil()" in text


def test_nothing_stands_beyond_the_edge_of_the_screen() -> None:
    text = shown({"code": "x = 1" + " " * 5_000 + "; evil()\n"})
    assert max(map(len, text.splitlines())) < 120
    assert "evil()" in text


ASK = """
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from kimi_magic.messages import ToolCall as Call
from kimi_magic.tools import *
from kimi_magic.tools.asking import Asking
from kimi_magic.tools.toolbox import Toolbox
@tool(approve=True)
def act(what: str):
    return what
def always(what: str):
    return what
def go():
    tools = (Tool.of(act), Tool("always", always, approve="always"))
    box = Toolbox(tools, {}, Look(Guard()), ask=Asking())
    calls = [Call("1", "act", '{"what": "a"}'), Call("2", "act", '{"what": "b"}'), Call("3", "always", '{"what": "c"}')]
    print([(one.state, one.text) for one in box.run(calls)])
"""


def script(answers: str | None) -> str:
    given = {"stdin": subprocess.DEVNULL} if answers is None else {"input": answers}
    code = [sys.executable, "-c", ASK + "go()"]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60, check=False, **given)  # type: ignore[call-overload]
    assert not done.stderr
    return str(done.stdout)


def test_in_a_script_input_asks_and_always_holds_for_this_reply() -> None:
    text = script("what?\na\ny\n")
    assert text.endswith("[('done', 'a'), ('done', 'b'), ('done', 'c')]\n")
    assert 'Kimi wants to call act:\n  what = "a"\n' in text
    assert text.count("Run it?") == 3


def test_in_a_script_an_empty_answer_is_a_no() -> None:
    assert script("\nn\ny\n").count("refused") == 2


def test_a_tool_that_always_asks_takes_no_always() -> None:
    text = script("a\na\nn\n")
    assert text.count("'refused'") == 1
    assert text.count("Run it?") == 3


def test_a_script_without_a_terminal_refuses() -> None:
    assert script(None).count("this front end takes no input") == 3


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("asking")
    with Kernel({}, folder) as kernel:
        assert kernel.run(ASK).ok
        yield kernel


def test_a_front_end_without_stdin_refuses(kernel: Kernel) -> None:
    assert kernel.run("go()").text.count("this front end takes no input") == 3


def test_in_a_cell_the_front_end_asks(kernel: Kernel) -> None:
    client = kernel.client
    request = client.execute("go()", allow_stdin=True)
    for answer in ("y", "n", "y"):
        prompt = client.get_stdin_msg(timeout=20)
        assert "Run it?" in prompt["content"]["prompt"]
        client.input(answer)
    deadline, text = time.monotonic() + 20, ""
    while time.monotonic() < deadline:
        message = client.get_iopub_msg(timeout=20)
        if message["parent_header"].get("msg_id") == request:
            text += message["content"].get("text", "")
            if message["content"].get("execution_state") == "idle":
                break
    assert "[('done', 'a'), ('refused', " in text
    assert "), ('done', 'c')]" in text
    assert text.count("'refused'") == 1
