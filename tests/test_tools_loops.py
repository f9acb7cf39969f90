"""Async tools run on the loop of a real kernel, where the user's pools live, and no message is lost meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

SET_UP = """
import asyncio, sys, threading, time
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from kimi_magic.messages import ToolCall as Call
from kimi_magic.tools import *
from kimi_magic.tools.toolbox import Toolbox

def go(*words, stopping=()):
    box = Toolbox(named("take,slow,block,leave,sync", globals()), globals(), Look(Guard()))
    stopping and stopping.append(box)
    calls = [Call(str(n), *word.split(" ", 1)) for n, word in enumerate(words)]
    return {one.call.arguments: (one.state, one.text) for one in box.run(calls)}

async def take(n: int):
    async with lock, pool:
        await fill_event.wait()
        return await queue.get()

async def slow(seconds: float):
    try:
        print("begun", flush=True)
        await asyncio.sleep(seconds)
        print("slept")
    finally:
        ended.append(seconds)

@tool(timeout=0.2)
async def block(n: int):
    time.sleep(60)

async def leave(n: int):
    asyncio.get_running_loop().create_task(exits())
    await asyncio.sleep(0.1)
    return "stays"

async def exits():
    sys.exit(7)

def sync(n: int):
    print("printed", n)
    return threading.current_thread().name

ended = []
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel({}, tmp_path_factory.mktemp("loops")) as kernel:
        assert kernel.run(SET_UP).ok
        made = kernel.run(
            "queue, lock, pool, fill_event = asyncio.Queue(), asyncio.Lock(), asyncio.Semaphore(1), asyncio.Event()\n"
            "async def fill():\n    await asyncio.sleep(0.1)\n    fill_event.set()\n    await queue.put('filled')\n"
            "async with lock, pool:\n    await asyncio.sleep(0)\n"
            "assert 'nest_asyncio2' not in sys.modules"
        )
        assert made.ok, made.text
        yield kernel


def test_a_pool_of_an_earlier_cell_works(kernel: Kernel) -> None:
    cell = kernel.run("filler = asyncio.get_running_loop().create_task(fill())\nprint(go('take {\"n\":1}'))")
    assert "('done', 'filled')" in cell.text


def test_prints_of_a_tool_land_in_its_cell(kernel: Kernel) -> None:
    cell = kernel.run("go('slow {\"seconds\":0.2}', 'sync {\"n\":1}')")
    assert "slept" in cell.text
    assert "printed 1" in cell.text
    assert "MainThread" in cell.text


def test_messages_that_come_meanwhile_are_all_answered_in_their_order(kernel: Kernel) -> None:
    client = kernel.client
    kernel.run("order = []")
    requests = [client.execute("go('slow {\"seconds\":1.5}'); order.append('tool')")]
    time.sleep(0.3)
    for n in range(5):
        requests.append(client.execute(f"order.append({n})"))
        time.sleep(0.05)
    requests += [
        client.kernel_info(),
        client.complete("asy"),
        client.execute("await asyncio.sleep(0); order.append(9)"),
    ]
    answered: set[str] = set()
    while not answered >= set(requests):
        answered.add(client.get_shell_msg(timeout=30)["parent_header"].get("msg_id"))
    assert kernel.value("order") == ["tool", 0, 1, 2, 3, 4, 9]


@pytest.mark.parametrize("begin", ["", "await asyncio.sleep(0)\n"])
def test_an_interrupt_cancels_and_cleans_up(kernel: Kernel, begin: str) -> None:
    code = f"{begin}ended.clear()\ntry:\n    go('slow {{\"seconds\":600}}')\n"
    code += "except KeyboardInterrupt:\n    print('stopped', ended)"
    cell = kernel.run(code, watch=kernel.interrupt_when(lambda message: message["msg_type"] == "stream"))
    assert "stopped [600.0]" in cell.text
    assert kernel.run("print(go('sync {\"n\":2}'))").ok


def test_an_interrupt_that_came_just_before_is_heard(kernel: Kernel) -> None:
    code = "await asyncio.sleep(0)\nended.clear()\nimport os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    code += "try:\n    go('slow {\"seconds\":600}')\nexcept KeyboardInterrupt:\n    print('stopped', ended)"
    assert "stopped [600.0]" in kernel.run(code).text


def test_a_tool_that_blocks_the_loop_is_stopped(kernel: Kernel) -> None:
    assert "timed out" in kernel.run("go('block {\"n\":1}')").text


def test_a_task_that_a_tool_leaves_ends_nobody(kernel: Kernel) -> None:
    assert "('done', 'stays')" in kernel.run("go('leave {\"n\":1}')").text
    assert kernel.value("1 + 1") == 2


def test_from_another_thread_tools_run_on_the_loop_of_the_kernel(kernel: Kernel) -> None:
    kernel.run(
        "found = []\nfill_event.clear()\n"
        "thread = threading.Thread(target=lambda: found.append(go('take {\"n\":1}', 'sync {\"n\":3}')))\n"
        "thread.start()"
    )
    kernel.run("await fill()\nwhile not found: await asyncio.sleep(0.05)")
    assert "'filled'" in str(kernel.value("found"))
    assert "MainThread" not in str(kernel.value("found"))


def test_from_another_thread_a_busy_cell_does_not_keep_from_stopping(kernel: Kernel) -> None:
    kernel.run(
        "found, boxes = [], [None]\n"
        "thread = threading.Thread(target=lambda: found.append(go('slow {\"seconds\":5}', stopping=boxes)))\n"
        "thread.start()\ntime.sleep(0.3)\nboxes[-1].stop()\nthread.join(20)"
    )
    assert "interrupted" in str(kernel.value("found"))


def test_a_script_has_a_loop_for_each_thread(tmp_path: Any) -> None:
    code = SET_UP.replace('"take,slow,block,leave,sync"', '"slow,sync"')
    code += "def say():\n    print(go('slow {\"seconds\":0}'))\nsay()\nthread = threading.Thread(target=say)\n"
    code += "thread.start(); thread.join()\nassert 'nest_asyncio2' not in sys.modules"
    script = tmp_path / "script.py"
    script.write_text(code, "utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.count("'done'"), done.stderr) == (2, "")


def test_ctrl_c_in_a_script_cancels(tmp_path: Any) -> None:
    code = SET_UP.replace('"take,slow,block,leave,sync"', '"slow,sync"')
    code += "try:\n    go('slow {\"seconds\":600}')\n"
    code += "except KeyboardInterrupt:\n    print(ended)"
    script = tmp_path / "script.py"
    script.write_text(code, "utf-8")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "[600.0]\n"
