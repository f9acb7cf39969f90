"""Rounds of tools that end otherwise than well: at a limit, by Ctrl-C, by a budget, in a broken reply."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kimi_magic
from kimi_magic import errors
from kimi_magic import kernel as ours
from kimi_magic.asking import _numbered
from kimi_magic.calls import Outcome, Round
from kimi_magic.messages import ToolCall
from kimi_magic.wire import Request, encode
from tests.dialogues import messages_of, raw_messages_of, requires_answers

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local
    from tests.conftest import Seen
    from tests.harness.kernel import Kernel


def step(n: int = 0) -> int:
    """Count one further."""
    return n + 1


def bodies(seen: Seen) -> list[dict[str, Any]]:
    return [json.loads(str(request["body"])) for request in seen.all()]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("rounds", [1, 3])
def test_the_limit_of_rounds_ends_in_a_reply(rounds: int, seen: Seen) -> None:
    question = '<<tool step {"n": 1}>><<tool step {}>><<forever>><<say At last.>>'
    reply = kimi_magic.ask(question, tools=step, rounds=rounds, new=True)
    assert (reply.text, len(reply.rounds), reply.notice) == ("At last.", rounds, "")
    assert [body.get("tool_choice") for body in bodies(seen)] == [*[None] * rounds, "none"]
    assert len({json.dumps(body["tools"]) for body in bodies(seen)}) == 1
    requires_answers(messages_of(seen.last()), 2 * rounds)


@pytest.mark.usefixtures("here")
def test_a_call_in_a_reply_that_reached_its_limit_is_not_run(seen: Seen) -> None:
    reply = kimi_magic.ask('<<tool step {"n": 1}>><<finish length>>', tools=step, new=True)
    assert (reply.rounds, len(reply.tool_calls)) == ((), 1)
    assert "limit" in reply.notice or "--max-tokens" in reply.notice
    assert len(seen.all()) == 1
    assert kimi_magic.ask("<<say on>>").text == "on"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("fault", ["cut after=3", "midstream after=3", "garbage after=3", "5004", "no-finish after=2"])
def test_a_round_that_breaks_keeps_those_before_it(fault: str, seen: Seen) -> None:
    with pytest.raises(errors.KimiError) as caught:
        kimi_magic.ask(
            f'My name is Ada. <<tool step {{"n": 1}}>><<then>><<tool step {{"n": 2}}>><<fault {fault}>>',
            tools=step,
            new=True,
        )
    assert [outcome.value for outcome in caught.value.reply.calls] == [2]
    assert "Ada" in kimi_magic.ask("What is my name?").text
    requires_answers(messages_of(seen.last()), 1)


def test_a_budget_that_is_reached_between_rounds_keeps_what_happened(
    here: pytest.MonkeyPatch, server: Local, seen: Seen
) -> None:
    for name, value in {"ACCOUNT_ID": "0" * 32, "API_TOKEN": server.token, "API_BASE_URL": server.url}.items():
        here.setenv(f"CLOUDFLARE_{name}", value)
    ours.configure("budget", "$0.01")

    def much() -> str:
        """Give much to read."""
        return "word " * 8_000

    with pytest.raises(errors.BudgetReached) as caught:
        kimi_magic.ask("My name is Ada. <<tool much>><<forever>>", tools=much, max_tokens=20, new=True)
    kept = len(caught.value.reply.rounds)
    assert kept >= 1
    assert len(seen.all()) == kept
    ours.configure("budget", "off")
    assert "Ada" in kimi_magic.ask("What is my name?", max_tokens=20).text
    requires_answers(messages_of(seen.last()), kept)


@pytest.mark.parametrize("api", ["run", "chat", "openai"])
def test_thinking_goes_back_with_calls_where_the_service_takes_it(
    here: pytest.MonkeyPatch, server: Local, seen: Seen, api: str
) -> None:
    here.setenv("KIMI_API", "run" if api == "openai" else api)
    if api == "openai":
        here.setenv("KIMI_ENDPOINT", f"{server.url}/accounts/local/ai/v1")
        here.setenv("KIMI_API_KEY", server.token)
    kimi_magic.ask("<<think hm>><<tool step>><<then>><<say ok>><<think so>>", tools=step, new=True, model="local")
    kimi_magic.ask("<<say on>>", model="local")
    thoughts = [message.get("reasoning_content") for message in messages_of(seen.last())]
    assert thoughts == [None, "hm" if api != "openai" else None, None, None, None]
    first, *rest = seen.all()
    assert all(raw_messages_of(later).startswith(raw_messages_of(first).removesuffix("]")) for later in rest)


@pytest.mark.usefixtures("here")
def test_pictures_of_results_follow_in_a_message_of_the_user(seen: Seen) -> None:
    def red() -> Any:
        """Draw."""
        from PIL import Image

        return Image.new("RGB", (40, 30), "red")

    reply = kimi_magic.ask("<<tool red>><<tool step>><<then>><<say Red.>>", tools=[red, step], new=True, model="k2.6")
    assert reply.text == "Red."
    assert [message["role"] for message in messages_of(seen.last())] == ["user", "assistant", "tool", "tool", "user"]
    requires_answers(messages_of(seen.last()), 2)
    del sys.modules["__main__"].kimi_1  # type: ignore[attr-defined]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("together", [1, 3])
def test_results_leave_room_in_the_window_and_at_the_end_a_reply_is_asked_for(together: int, seen: Seen) -> None:
    def much() -> str:
        """Give much to read."""
        return " ".join(str(n * 7_919 % 10_007) for n in range(30_000))

    question = f"My name is Ada. {'<<tool much>>' * together}<<forever>><<say At last.>>"
    reply = kimi_magic.ask(question, tools=much, rounds=50, new=True, model="local")
    assert reply.text == "At last."
    assert 2 <= len(reply.rounds) < 20
    assert "left out" in reply.calls[-1].text
    asked = bodies(seen)
    assert [body.get("tool_choice") for body in asked] == [*[None] * len(reply.rounds), "none"]
    assert max(len(json.dumps(body["messages"])) for body in asked) < 3 * 8_192
    assert "Ada" in kimi_magic.ask("What is my name?", model="local").text


@kimi_magic.fn
def mood(text: str) -> Literal["good", "bad"]:
    """Say the mood. {{ text }}"""


@pytest.mark.usefixtures("here")
def test_a_tool_asks_outside_of_the_conversation(seen: Seen) -> None:
    said: list[Any] = []

    def nested() -> Any:
        """Ask."""
        said.append(kimi_magic.ask("<<tool step>>", tools=step, history=False).text)
        said.append(mood('<<say-json "{\\"value\\": \\"good\\"}">>'))
        with pytest.raises(errors.CommandError, match="cannot ask in the conversation"):
            kimi_magic.ask("<<say no>>")
        return "done"

    reply = kimi_magic.ask("<<tool nested>><<then>><<tool nested>><<then>><<say So.>>", tools=nested, new=True)
    assert [outcome.text for outcome in reply.calls] == ["done", "done"]
    assert reply.text == "So."
    assert said == [said[0], "good"] * 2
    assert kimi_magic.ask("<<say on>>").text == "on"
    requires_answers(messages_of(seen.last()), 2)


@pytest.mark.usefixtures("here")
def test_what_a_tool_asks_need_not_be_read_to_its_end_before_the_next() -> None:
    def leaves() -> str:
        """Ask and do not wait."""
        with ours.ask("<<rate 5>><<tokens 500>>", ours.resolve({}), history=False) as asking:
            next(asking)
            return mood('<<say-json "{\\"value\\": \\"bad\\"}">>')

    reply = kimi_magic.ask("<<tool leaves>><<then>><<say So.>>", tools=leaves, new=True)
    assert [outcome.text for outcome in reply.calls] == ["bad"]


calls = st.lists(
    st.builds(
        ToolCall, st.sampled_from(["", "functions.f:0", "functions.f:1", "x", "\ud83d"]), st.text(min_size=1), st.text()
    ),
    min_size=1,
    max_size=6,
)


@given(st.lists(calls, max_size=4))
def test_whatever_is_called_goes_back_under_an_id_of_its_own(replies: list[list[ToolCall]]) -> None:
    said: tuple[Any, ...] = ()
    for reply in replies:
        outcomes = tuple(Outcome(call, "ok") for call in _numbered(tuple(reply), said))
        said += Round("", "", outcomes).messages
    body = json.loads(encode(Request("m", said, 9), "run"))
    requires_answers(body["messages"], sum(map(len, replies)))


# In a kernel


def test_ctrl_c_in_a_tool_keeps_what_happened(kernel: Kernel, seen: Seen) -> None:
    kernel.run(
        "import time\ndef quick(): return 42\n"
        "def slow():\n    print('begun', flush=True)\n    time.sleep(60)\ndef later(): raise SystemExit\n"
    )
    watch = kernel.interrupt_when(lambda message: message["content"].get("text") == "begun\n")
    cell = kernel.run(
        "%%kimi -t quick,slow,later\n<<tool quick>><<tool slow>><<tool later>>My name is Ada.", watch=watch
    )
    assert cell.reply["ename"] == "Interrupted"
    cards = re.findall(r"<b [^>]*>(\w+)</b> .*?· (\w+)", cell.html)
    assert cards == [("quick", "done"), ("slow", "interrupted"), ("later", "interrupted")]
    assert len(seen.all()) == 1
    assert "Ada" in kernel.run("%%kimi reply\nWhat is my name?").text
    messages = messages_of(seen.last())
    requires_answers(messages, 3)
    results = [message["content"] for message in messages if message["role"] == "tool"]
    assert results[0] == "42"
    assert results[1] == results[2]
    assert "stopped" in results[1]


def test_ctrl_c_in_a_later_round_keeps_the_rounds_before_it(kernel: Kernel, seen: Seen) -> None:
    kernel.run("def quick(): return 42")
    watch = kernel.interrupt_when(lambda message: "word" in message["content"].get("data", {}).get("text/plain", ""))
    cell = kernel.run("%%kimi -t quick\n<<tool quick>><<then>><<say word by word>><<pause 60 after 1>>", watch=watch)
    assert cell.reply["ename"] == "Interrupted"
    assert kernel.run("%%kimi\n<<say on>>").text == "on"
    messages = messages_of(seen.last())
    requires_answers(messages, 1)
    assert [message["content"] for message in messages][-3:-1] == ["42", "word"]


def test_a_tool_that_is_redefined_between_rounds_is_the_one_that_was_declared(kernel: Kernel, seen: Seen) -> None:
    kernel.run("def f(n: int) -> str:\n    global f\n    f = lambda: 'new'\n    return f'old {n}'")
    cell = kernel.run('%%kimi reply -t f\n<<tool f {"n": 1}>><<then>><<tool f {"n": 2}>>')
    assert cell.ok, cell.text
    assert kernel.value("reply.text") == "The tools answered: old 1; old 2"
    assert len({json.dumps(body["tools"]) for body in bodies(seen)}) == 1
