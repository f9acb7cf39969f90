"""Tools in the panel: they run beside the cells, and what wants approval waits for a button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.panel import Front, text_of

if TYPE_CHECKING:
    from tests.harness.kernel import Kernel

TOOLS = """
import asyncio, threading, kimi_magic

@kimi_magic.tool
def where() -> str:
    "Say on which thread it runs."
    return threading.current_thread().name

@kimi_magic.tool
async def loop() -> str:
    "Say on which thread it runs."
    await asyncio.sleep(0.01)
    return threading.current_thread().name

@kimi_magic.tool(approve=True)
def wipe(name: str) -> str:
    "Wipe something."
    return f"wiped {name}"
"""


@pytest.fixture
def front(kernel: Kernel) -> Front:
    kernel.run(TOOLS)
    front = Front(kernel, "%kimi chat tools")
    front.send(type="ask", text="/new")
    front.until(lambda: not front.entries)
    return front


def use(front: Front, *names: str) -> None:
    front.send(type="set", name="tools", value=list(names))
    front.until(lambda: front.traits["choices"]["tools"]["value"] == list(names))


def calls(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [piece for piece in entry["pieces"] if piece["kind"] == "call"]


def wanted(front: Front) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wait for a call that wants approval; give its entry and its piece."""
    entry = front.until(lambda: next((one for one in front.entries if one["state"] == "asking"), None))
    return entry, calls(entry)[-1]


def test_functions_run_on_the_panels_thread_and_async_ones_on_the_kernels_loop(front: Front) -> None:
    use(front, "where", "loop")
    entry = front.ask("<<tool where {}>><<tool loop {}>><<say done>>")
    assert [(call["name"], call["result"], call["state"]) for call in calls(entry)] == [
        ("loop", "MainThread", "done"),
        ("where", "kimi-panel", "done"),
    ]
    assert text_of(entry) == "done"


def test_a_call_waits_for_the_button(front: Front) -> None:
    use(front, "wipe")
    front.send(type="ask", text='<<tool wipe {"name": "disk"}>><<say done>>')
    entry, call = wanted(front)
    assert (call["state"], call["name"], call["always"]) == ("asking", "wipe", True)
    assert 'name = "disk"' in call["arguments"]
    front.until(lambda: any("wipe" in one["text"] for one in front.messages if one["type"] == "say"))
    front.send(type="approve", id=entry["id"], call=call["call"], agreed=True, always=False)
    entry = front.ended(set())
    assert [(one["state"], one["result"]) for one in calls(entry)] == [("done", "wiped disk")]


def test_a_refused_call_is_not_run(front: Front) -> None:
    use(front, "wipe")
    front.send(type="ask", text='<<tool wipe {"name": "disk"}>><<say done>>')
    entry, call = wanted(front)
    front.send(type="approve", id=entry["id"], call=call["call"], agreed=False, always=False)
    entry = front.ended(set())
    assert [one["state"] for one in calls(entry)] == ["refused"]
    assert text_of(entry) == "done"


def test_only_a_plain_true_agrees(front: Front) -> None:
    use(front, "wipe")
    front.send(type="ask", text='<<tool wipe {"name": "disk"}>><<say done>>')
    entry, call = wanted(front)
    front.send(type="approve", id=entry["id"], call=call["call"], agreed="yes", always=False)
    assert [one["state"] for one in calls(front.ended(set()))] == ["refused"]


def test_always_holds_for_the_rest_of_the_reply(front: Front) -> None:
    use(front, "wipe")
    front.send(
        type="ask",
        text='<<tool wipe {"name": "a"}>><<tool wipe {"name": "b"}>><<say done>>',
    )
    entry, call = wanted(front)
    front.send(type="approve", id=entry["id"], call=call["call"], agreed=True, always=True)
    entry = front.ended(set())
    assert [one["result"] for one in calls(entry)] == ["wiped a", "wiped b"]


def test_stop_ends_the_waiting_for_a_button(front: Front) -> None:
    use(front, "wipe")
    front.send(type="ask", text='<<tool wipe {"name": "disk"}>><<say done>>')
    wanted(front)
    front.send(type="stop")
    entry = front.ended(set())
    assert [one["state"] for one in calls(entry)] == ["interrupted"]


def test_code_of_the_model_runs_where_cells_run(front: Front, kernel: Kernel) -> None:
    use(front, "run_python")
    code = '{"code": "import threading; there = threading.current_thread().name; there"}'
    front.send(type="ask", text=f"<<tool run_python {code}>><<say done>>")
    entry, call = wanted(front)
    assert (call["always"], "import threading" in call["arguments"]) == (False, True)
    front.send(type="approve", id=entry["id"], call=call["call"], agreed=True, always=True)
    assert [one["state"] for one in calls(front.ended(set()))] == ["done"]
    assert kernel.value("there") == "MainThread"


def test_a_name_that_is_no_tool_is_told(front: Front) -> None:
    front.send(type="ask", text="/tools nothing_like_it")
    front.until(lambda: front.entries and front.entries[-1].get("error"))
    assert "nothing_like_it" in front.entries[-1]["title"]
    assert front.traits["choices"]["tools"]["value"] == []
