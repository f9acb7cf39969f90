"""A real IPython kernel in a process of its own, and the cells it runs."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass
class Cell:
    """One executed cell: every message it caused, and the outputs that a notebook would have saved."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """The outputs after all updates and clearings, as front ends apply them."""
        outputs: list[dict[str, Any]] = []
        clear = False
        for message in self.messages:
            kind, content = message["msg_type"], message["content"]
            if kind == "clear_output":
                clear = True
                if not content["wait"]:
                    outputs, clear = [], False
            elif kind == "update_display_data":
                for output in outputs:
                    if output.get("id") == content["transient"]["display_id"]:
                        output["data"] = content["data"]
            elif kind in ("display_data", "execute_result", "stream", "error"):
                if clear:
                    outputs, clear = [], False
                if kind == "stream" and outputs and outputs[-1].get("name") == content["name"]:
                    outputs[-1]["text"] += content["text"]
                else:
                    outputs.append({"type": kind, **content, "id": content.get("transient", {}).get("display_id")})
        return outputs

    @property
    def text(self) -> str:
        """All plain text of the outputs."""
        return "\n".join(
            output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", ()))
            for output in self.outputs
        )

    @property
    def html(self) -> str:
        """All HTML of the outputs."""
        return "".join(output.get("data", {}).get("text/html", "") for output in self.outputs)

    @property
    def ok(self) -> bool:
        return self.reply["status"] == "ok"

    def count(self, kind: str) -> int:
        return sum(message["msg_type"] == kind for message in self.messages)

    @property
    def next_cell(self) -> str | None:
        """What the cell put into the next one."""
        for payload in self.reply.get("payload", ()):
            if payload["source"] == "set_next_input":
                text: str = payload["text"]
                return text
        return None


class Kernel:
    """A running kernel. `run` executes a cell and waits; `start` executes and lets the caller watch."""

    def __init__(self, environment: Mapping[str, str], folder: Path | str, kernel_name: str = "python3") -> None:
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KIMI_", "CLOUDFLARE_", "PYTEST", "COVERAGE"))
        } | dict(environment)
        self._folder = str(folder)
        self.manager = KernelManager(kernel_name=kernel_name)

    def __enter__(self) -> Self:
        self.manager.start_kernel(env=self._environment, cwd=self._folder)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(
        self,
        code: str,
        *,
        timeout: float = 60,
        watch: Callable[[dict[str, Any]], None] | None = None,
        metadata: dict[str, Any] | None = None,
        wait_for_reply: bool = True,
        answers: Sequence[str] = (),
        others: Callable[[dict[str, Any]], None] | None = None,
    ) -> Cell:
        """Run a cell to its end; `watch` sees each message as it comes. Without waiting for it, `reply` stays empty.

        `answers` are typed in, in order, whenever the cell asks for something; `others` sees the messages that come
        meanwhile and are not the cell's.
        """
        message = self.client.session.msg(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": bool(answers),
                "stop_on_error": True,
            },
            metadata=metadata,
        )
        self.client.shell_channel.send(message)
        request = message["header"]["msg_id"]
        cell = self._collect(request, timeout, watch, list(answers), others)
        while wait_for_reply and cell.reply == {}:
            reply = self.client.get_shell_msg(timeout=10)
            if reply["parent_header"].get("msg_id") == request:
                cell.reply = reply["content"]
        return cell

    def _collect(
        self,
        request: str,
        timeout: float,
        watch: Callable[[dict[str, Any]], None] | None,
        answers: list[str],
        others: Callable[[dict[str, Any]], None] | None = None,
    ) -> Cell:
        cell = Cell()
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.01, deadline - time.monotonic())
            try:
                message = self.client.get_iopub_msg(timeout=min(left, 0.05) if answers else left)
            except queue.Empty:
                if answers and time.monotonic() < deadline:
                    with contextlib.suppress(queue.Empty):
                        self.client.get_stdin_msg(timeout=0.01)
                        self.client.input(answers.pop(0))
                    continue
                raise TimeoutError(f"the cell still runs after {timeout} s: {cell.text[-500:]}") from None
            if message["parent_header"].get("msg_id") != request:
                if others is not None:
                    others(message)
                continue
            cell.messages.append(message)
            cell.times.append(time.perf_counter())
            if watch is not None:
                watch(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return cell

    def complete(self, text: str) -> list[str]:
        """Give the completions at the end of a text, each as the word that it would stand for."""
        reply: Any = self.client.complete(text, len(text), reply=True, timeout=20)
        return list(reply["content"]["matches"])

    def value(self, expression: str) -> Any:
        """Evaluate an expression in the kernel and give its value; for literals."""
        import ast

        cell = self.run(f"print(repr({expression}))")
        assert cell.ok, cell.text
        return ast.literal_eval(cell.text.strip())

    def interrupt(self) -> None:
        """Interrupt as a front end does; from any thread."""
        provisioner: Any = self.manager.provisioner
        os.kill(provisioner.pid, signal.SIGINT)

    def interrupt_when(self, seen: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], None]:
        """Make a `watch` that interrupts the kernel once, at the first message for which `seen` holds."""
        done = threading.Event()
        self.interrupted_at = 0.0

        def watch(message: dict[str, Any]) -> None:
            if not done.is_set() and seen(message):
                done.set()
                self.interrupted_at = time.perf_counter()
                self.interrupt()

        return watch
