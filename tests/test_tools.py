"""Tools on a cell, in a real kernel, as the server sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

DEFINED = '''
import asyncio
import kimi_magic

def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    print("adding", a, b)
    return a + b

def raises(word: str) -> str:
    raise ValueError(word)

@kimi_magic.tool(approve=True)
def order(item: str) -> str:
    """Order something."""
    return f"ordered {item}"

async def meet(name: str) -> str:
    """Wait for the others."""
    met.append(name)
    await barrier.wait()
    return f"{name} met {len(met)}"
'''


@pytest.fixture
def tools(kernel: Kernel) -> Kernel:
    cell = kernel.run(DEFINED)
    assert cell.ok, cell.text
    return kernel


def bodies(seen: Seen) -> list[dict[str, Any]]:
    return [json.loads(str(entry["body"])) for entry in seen.all()]


def test_a_tool_is_declared_called_and_answered(tools: Kernel, seen: Seen) -> None:
    cell = tools.run('%%kimi answer -t add\nAdd. <<tool add {"a": 40}>>')
    assert cell.ok
    assert "adding 40 2" in cell.text
    first, second = bodies(seen)
    function = first["tools"][0]["function"]
    assert (function["name"], function["description"]) == ("add", "Add two numbers.")
    assert function["parameters"]["required"] == ["a"]
    call, result = second["messages"][1:]
    assert call["content"] == ""
    assert call["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 40}'}
    assert result == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "42"}
    assert tools.value("(answer.text, [c.value for c in answer.calls])") == ("The tools answered: 42", [42])


def test_what_a_tool_prints_stands_between_its_card_and_the_reply(tools: Kernel) -> None:
    cell = tools.run('%%kimi -t add\nAdd. <<tool add {"a": 1}>><<tool add {"a": 2}>>')
    order = [cell.html.find(text) for text in ("&quot;a&quot;: 1", "&quot;a&quot;: 2", "The tools answered")]
    assert order == sorted(order)
    assert -1 not in order


def test_the_conversation_goes_on_with_the_calls_in_it(tools: Kernel, seen: Seen) -> None:
    tools.run('%%kimi -t add\nAdd. <<tool add {"a": 40}>>')
    tools.run("%%kimi\nAnd now?")
    _, second, third = bodies(seen)
    assert third["messages"][: len(second["messages"])] == second["messages"]
    assert [message["role"] for message in third["messages"]] == ["user", "assistant", "tool", "assistant", "user"]


def test_ids_are_unique_through_the_conversation(tools: Kernel, seen: Seen) -> None:
    for number in range(3):
        tools.run(f'%%kimi -q -t add\nAdd {number}. <<tool add {{"a": {number}}}>>')
    calls = [call["id"] for message in bodies(seen)[-1]["messages"] for call in message.get("tool_calls", ())]
    assert calls == ["functions.add:0", "functions.add:1", "functions.add:2"]


def test_failures_go_back_to_the_model(tools: Kernel, seen: Seen) -> None:
    body = '<<tool raises {"word": "no luck"}>><<tool add {"a": "x"}>><<tool ad {"a": 1}>>'
    body += '<<tool add {"c": 1}>><<tool add nonsense>>'
    cell = tools.run(f"%%kimi answer -t add,raises\nGo. {body}")
    assert cell.ok
    told = [message["content"] for message in bodies(seen)[-1]["messages"] if message["role"] == "tool"]
    assert "ValueError: no luck" in told[0]
    assert "should be a valid integer" in told[1]
    assert "There is no tool 'ad'. There is add" in told[2]
    assert "add takes a (integer)" in told[3]
    assert "JSON" in told[4]
    states = tools.value("[call.state for call in answer.calls]")
    assert states == ["failed", "invalid", "unknown", "invalid", "invalid"]
    sent_back = [call["function"]["arguments"] for call in bodies(seen)[-1]["messages"][1]["tool_calls"]]
    assert all(isinstance(json.loads(arguments), dict) for arguments in sent_back)


def test_async_tools_run_together_on_the_kernels_own_loop(tools: Kernel) -> None:
    tools.run("met = []; barrier = asyncio.Barrier(2); await asyncio.sleep(0)")
    cell = tools.run('%%kimi answer -t meet\nMeet. <<tool meet {"name": "Ada"}>><<tool meet {"name": "Bob"}>>')
    assert cell.ok
    assert tools.value("sorted(call.text for call in answer.calls)") == ["Ada met 2", "Bob met 2"]


def test_approval_is_asked_in_the_cell(tools: Kernel) -> None:
    asked = '%%kimi answer -t order\nOrder. <<tool order {"item": "tea"}>>'
    cell = tools.run(asked, answers=["y"])
    assert 'item = "tea"' in cell.text
    assert tools.value("answer.calls[0].text") == "ordered tea"
    tools.run(asked, answers=["n"])
    assert tools.value("answer.calls[0].state") == "refused"


@pytest.mark.parametrize(("policy", "state"), [("all", "done"), ("none", "refused")])
def test_approval_by_policy(tools: Kernel, policy: str, state: str) -> None:
    tools.run(f'%%kimi answer -t order --approve {policy}\nOrder. <<tool order {{"item": "tea"}}>>')
    assert tools.value("answer.calls[0].state") == state


def test_a_large_result_stays_in_the_kernel(tools: Kernel) -> None:
    tools.run("import pandas as pd\ndef load() -> pd.DataFrame:\n    return pd.DataFrame({'n': range(100_000)})")
    tools.run("def count(table: pd.DataFrame) -> int:\n    return len(table)")
    tools.run("%%kimi answer -t load,count\nCount. <<tool load {}>>")
    assert tools.value("(answer.calls[0].handle, len(kimi_1))") == ("kimi_1", 100_000)


def test_a_handle_that_the_conversation_names_is_given_to_nothing_else(tools: Kernel) -> None:
    tools.run("import pandas as pd\ndef load() -> pd.DataFrame:\n    return pd.DataFrame({'n': range(100_000)})")
    tools.run("%%kimi answer -t load\nLoad. <<tool load {}>>")
    tools.run("first = answer.calls[0].handle")
    tools.run("[globals().pop(name) for name in list(globals()) if name.startswith(('kimi_', '_kimi_'))]")  # a restart
    tools.run("%%kimi answer -t load\nLoad. <<tool load {}>>")
    assert tools.value("int(answer.calls[0].handle[5:]) > int(first[5:])") is True


def test_the_kernels_tools_look_around(tools: Kernel, seen: Seen) -> None:
    tools.run("import pandas as pd; people = pd.DataFrame({'ssn': ['123-45-6789'], 'city': ['Bern']})")
    tools.run("%kimi private people ssn")
    calls = '<<tool list_variables {}>><<tool peek {"name": "people"}>><<tool sql {"query": "select * from people"}>>'
    tools.run(f"%%kimi answer -t kernel\nLook. {calls}")
    told = json.dumps(bodies(seen)[-1]["messages"])
    assert "Bern" in told
    assert "123-45-6789" not in told
    assert tools.value("[call.state for call in answer.calls]") == ["done"] * 3
    assert "ssn" in tools.run("%kimi egress").text


def test_code_of_the_model_runs_only_when_the_user_agrees(tools: Kernel) -> None:
    asked = '%%kimi answer -t kernel --approve all\nRun. <<tool run_python {"code": "ran = 1\\nprint(5)"}>>'
    tools.run("ran = 0")
    cell = tools.run(asked, answers=["n"])
    assert "ran = 1" in cell.text
    assert tools.value("(ran, answer.calls[0].state)") == (0, "refused")
    tools.run(asked, answers=["y"])
    assert tools.value("(ran, answer.calls[0].state)") == (1, "done")
    assert "5" in tools.value("answer.calls[0].text")


def test_rounds_end_in_a_reply(tools: Kernel, seen: Seen) -> None:
    cell = tools.run('%%kimi answer -t add --rounds 0\nAdd. <<tool add {"a": 1}>>')
    assert cell.ok
    assert bodies(seen)[-1]["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("nope", "no tool"),
        ("ad", "Did you mean add"),
        ("Path", "class"),
        ("met", "cannot be called"),
    ],
)
def test_a_tool_that_cannot_be_is_told_before_anything_is_sent(
    tools: Kernel, seen: Seen, names: str, told: str
) -> None:
    tools.run("met = []; from pathlib import Path")
    cell = tools.run(f"%%kimi -t {names}\nHello")
    assert "CommandError" in cell.text
    assert told in cell.text
    assert seen.all() == []


def test_names_of_functions_complete(tools: Kernel) -> None:
    assert "add" in tools.complete("%%kimi -t ad")
    assert "raises" in tools.complete("%%kimi -t add,rai")
    offered = tools.complete("%%kimi -t ")
    assert {"add", "meet", "order", "raises", "kernel"} <= set(offered)
    assert not {"and", "if", "asyncio", "exit", "In"} & set(offered)


def test_what_goes_along_is_shown_before(tools: Kernel, seen: Seen) -> None:
    told = tools.run("%%kimi -t add --dry-run\nAdd.").text
    assert "tool add" in told
    assert seen.all() == []
    tools.run('%%kimi -t add\nAdd. <<tool add {"a": 1}>>')
    assert "tool add" in tools.run("%kimi sent").text


def test_the_model_is_told_what_code_printed_and_gave(tools: Kernel) -> None:
    code = json.dumps({"code": "print('seen')\n40 + 2"})
    cell = tools.run(f"%%kimi answer -t run_python\nRun. <<tool run_python {code}>>", answers=["y"])
    assert "seen" in cell.text
    assert tools.value("answer.calls[0].text") == '{"printed": "seen\\n", "value": 42}'


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("got = await queue.get()\nprint('got', got)\ngot + 1", '{"printed": "got 41\\n", "value": 42}'),
        ("async with lock:\n    got = [n async for n in counted()]", "Done; it gave nothing."),
        ("got = 0\nawait counted().__anext__()", "0"),
        ("got = 0\ncounted().__anext__()", "0"),
    ],
)
def test_code_awaits_on_the_loop_of_the_kernel(tools: Kernel, code: str, told: str) -> None:
    tools.run(
        "queue, lock = asyncio.Queue(), asyncio.Lock()\nawait queue.put(41)\n"
        "async def counted():\n    for n in range(3):\n        await asyncio.sleep(0)\n        yield n\n"
        "before = (exit, quit)"
    )
    call = json.dumps({"code": code})
    cell = tools.run(f"%%kimi answer -t run_python\nRun. <<tool run_python {call}>>", answers=["y"])
    assert tools.value("answer.calls[0].text") == told
    assert ("got 41" in cell.text) is ("print" in code)
    assert tools.run("got").ok
    assert tools.value("before == (exit, quit)") is True


def test_code_that_waits_ends_by_ctrl_c(tools: Kernel) -> None:
    code = "print('wait' + 'ing')\ntry:\n    await asyncio.sleep(30)\nfinally:\n    ended = True"
    asked = f"%%kimi answer -t run_python\nRun. <<tool run_python {json.dumps({'code': code})}>>"
    stop = tools.interrupt_when(lambda message: "waiting" in str(message["content"].get("text", "")))
    assert not tools.run(asked, answers=["y"], watch=stop, timeout=20).ok
    assert tools.value("(answer.calls[0].state, ended)") == ("interrupted", True)
    assert tools.run("print('on')").text.strip() == "on"


@pytest.mark.parametrize(
    "code", ["exit()", "1 / 0", "await asyncio.sleep(0); 1 / 0", "await asyncio.sleep(0); exit()", "def ("]
)
def test_code_that_fails_ends_nobody(tools: Kernel, code: str) -> None:
    call = json.dumps({"code": code})
    tools.run(f"%%kimi answer -t run_python\nRun. <<tool run_python {call}>>", answers=["y"])
    assert tools.value("answer.calls[0].state") == "failed"
