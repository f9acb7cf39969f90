"""What a cell's output is while a reply streams and after, in a real kernel."""

from __future__ import annotations

import json
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Seen
    from tests.harness.kernel import Cell, Kernel


def size(cell: Cell) -> int:
    """Bytes of all messages that carry output."""
    kinds = ("display_data", "update_display_data", "clear_output")
    return sum(len(json.dumps(m["content"])) for m in cell.messages if m["msg_type"] in kinds)


def is_text(message: dict[str, Any]) -> bool:
    return message["msg_type"] == "update_display_data"


def test_text_is_painted_while_it_arrives(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi\n<<tokens 120>><<rate 150>>")
    shown = [m["content"]["data"]["text/plain"] for m in cell.messages if "data" in m["content"]]
    assert len(shown) > 4
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert cell.times[-1] - cell.times[2] > 0.5


@pytest.mark.parametrize("tokens", [20, 400, 3000])
def test_there_is_one_output_at_the_end(kernel: Kernel, tokens: int) -> None:
    cell = kernel.run(f"%%kimi answer\n<<tokens {tokens}>>")
    assert [output["type"] for output in cell.outputs] == ["display_data"]
    assert cell.outputs[0]["data"]["text/plain"] == kernel.value("answer.text")
    assert set(cell.outputs[0]["data"]) == {"text/html", "text/plain"}


def test_bytes_grow_with_the_reply_not_with_its_square(kernel: Kernel) -> None:
    small, large = (size(kernel.run(f"%%kimi\n<<tokens {n}>><<rate 1000>>")) for n in (1000, 4000))
    assert small < 150_000
    assert large < 6 * small


def test_outputs_of_others_are_never_cleared(kernel: Kernel) -> None:
    cell = kernel.run(
        "import kimi_magic\nprint('before')\nx = kimi_magic.ask('<<tokens 2500>>')\nprint('between')\n"
        "y = kimi_magic.ask('<<tokens 2500>>')\nprint('after')"
    )
    kinds = [output["type"] for output in cell.outputs]
    prints = [output["text"].strip() for output in cell.outputs if output["type"] == "stream"]
    assert prints == ["before", "between", "after"]
    assert kinds.count("clear_output") == 0
    assert cell.count("clear_output") == 0
    sources = "".join(output["data"]["text/plain"] for output in cell.outputs if output["type"] == "display_data")
    assert sources == kernel.value("x.text + y.text")


@pytest.mark.parametrize(
    "noise",
    ["print('noise')", "import sys; print('noise', file=sys.stderr)", "import logging; logging.warning('noise')"],
)
def test_what_a_thread_writes_into_the_cell_stays(kernel: Kernel, noise: str) -> None:
    kernel.run(f"import threading\ndef later():\n    {noise}\n")
    kernel.run(
        "def begin(info):\n    if info.raw_cell.startswith('%%kimi'):\n        threading.Timer(0.3, later).start()\n"
        "get_ipython().events.register('pre_run_cell', begin)"
    )
    cell = kernel.run("%%kimi\n<<tokens 2500>><<rate 2500>>")
    kernel.run("get_ipython().events.callbacks['pre_run_cell'].clear()")
    assert any("noise" in output.get("text", "") for output in cell.outputs), cell.outputs


def test_what_a_hook_displays_into_the_cell_stays(kernel: Kernel) -> None:
    kernel.run(
        "from IPython.display import display\n"
        "def trip(*_):\n    display('displayed')\n"
        "get_ipython().events.register('pre_run_cell', trip)"
    )
    cell = kernel.run("%%kimi\n<<tokens 2500>><<rate 2500>>")
    kernel.run("get_ipython().events.callbacks['pre_run_cell'].clear()")
    assert any("displayed" in output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_without_streaming_there_is_exactly_one_message(kernel: Kernel) -> None:
    kernel.run("%config KimiMagics.stream = False")
    cell = kernel.run("%%kimi\n<<tokens 2500>>")
    assert (cell.count("display_data"), cell.count("update_display_data"), cell.count("clear_output")) == (1, 0, 0)


def test_an_interrupt_keeps_the_reply_marks_it_and_stops_run_all(kernel: Kernel, seen: Seen) -> None:
    cell = kernel.run("%%kimi answer\n<<tokens 5000>><<rate 100>>", watch=kernel.interrupt_when(is_text))
    assert cell.reply["status"] == "error"
    assert [output["type"] for output in cell.outputs] == ["display_data"]
    assert "Cut: this reply is not complete" in cell.html
    assert kernel.value("(answer.cut, len(answer.text) > 0)") == (True, True)
    assert "<<tokens 5000>>" in kernel.run("%kimi usage").text
    ended = wait_for_end(seen)
    assert ended["ended"] == "client-closed"
    assert "1 turn" in kernel.run("%kimi").text


def wait_for_end(seen: Seen) -> dict[str, Any]:
    for _ in range(200):
        last: dict[str, Any] = seen.last()
        if last["closed"] is not None:
            return last
        time.sleep(0.01)
    raise AssertionError("the server never saw the connection close")


def test_an_interrupt_of_a_silent_server_leaves_nothing_behind(kernel: Kernel, seen: Seen) -> None:
    def waiting(message: dict[str, Any]) -> bool:
        return "Waiting for" in message["content"].get("data", {}).get("text/plain", "")

    cell = kernel.run("%%kimi\n<<fault silence>>", watch=kernel.interrupt_when(waiting))
    assert cell.reply["status"] == "error"
    assert cell.text == ""
    assert wait_for_end(seen)["ended"] == "client-closed"
    assert kernel.run("%%kimi\n<<say fine>>").text == "fine"


@pytest.mark.parametrize("milliseconds", range(4, 30, 2))
def test_an_interrupt_at_any_moment_leaves_no_request_behind(kernel: Kernel, seen: Seen, milliseconds: int) -> None:
    interrupts: list[threading.Timer] = []

    def watch(message: dict[str, Any]) -> None:
        if message["msg_type"] == "execute_input":
            # The second one is for a kernel that was not yet in the cell at the first.
            interrupts.extend(threading.Timer(milliseconds / 1000 + later, kernel.interrupt) for later in (0, 3))
            for timer in interrupts:
                timer.start()
        elif message["content"].get("execution_state") == "idle":
            for timer in interrupts:
                timer.cancel()

    # ipykernel itself loses its reply where the signal meets it outside of the cell; what the cell showed is all there.
    cell = kernel.run("%%kimi\n<<tokens 900>><<rate 100>>", watch=watch, wait_for_reply=False)
    assert "/kimi_magic/" not in cell.text, cell.text  # no frame of ours: IPython shows those before and after us
    deadline = time.monotonic() + 1
    while any(request["closed"] is None for request in seen.all()):
        assert time.monotonic() < deadline, "a request goes on although its cell has ended"
        time.sleep(0.01)
    assert kernel.run("%%kimi\n<<say fine>>").text == "fine"


def test_an_interrupt_in_a_program_is_a_keyboard_interrupt_with_the_reply(kernel: Kernel) -> None:
    code = (
        "import kimi_magic\ncaught = None\ntry:\n    kimi_magic.ask('<<tokens 5000>><<rate 100>>')\n"
        "except KeyboardInterrupt as stop:\n    caught = stop.reply"
    )
    cell = kernel.run(code, watch=kernel.interrupt_when(is_text))
    assert cell.ok
    assert kernel.value("(caught.cut, bool(caught.text))") == (True, True)


def test_a_broken_reply_shows_what_came_and_then_the_error(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi\n<<fault cut after=4>><<say one two three four five six>>")
    assert [output["type"] for output in cell.outputs] == ["display_data", "error"]
    assert cell.outputs[0]["data"]["text/plain"].startswith("one two")


def test_waiting_is_told_after_a_moment(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi\n<<first 1.4>><<say ok>>")
    first = next(m for m in cell.messages if m["msg_type"] == "display_data")
    assert first["content"]["data"]["text/plain"].startswith("Waiting for the local model")
    assert cell.text == "ok"


def test_markup_of_the_model_is_harmless(kernel: Kernel) -> None:
    cell = kernel.run(
        "%%kimi\n<<think <script>a()</script>>><<say <script>alert(1)</script> <img src=x onerror=alert(2)> "
        "[x](javascript:alert(3)) ![i](https://evil.example/x.png)>>"
    )
    html = cell.html.lower()
    for bad in ("<script", "<img", 'href="javascript', "<iframe", "onerror=alert(2)>"):
        assert bad not in html.replace("&lt;img src=x onerror=alert(2)&gt;", "")
