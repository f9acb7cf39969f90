"""Start the server as a child of this process, and be sure that it never outlives it.

The child reads its stdin and ends at EOF, so it dies with its parent even on SIGKILL. It has its own session: an
interrupt of the notebook's kernel stops the cell, not the model. This module needs the standard library only.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Any

from . import found


class LaunchError(Exception):
    """The local server did not start: what happened, and in `hint` the next step."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Local:
    """A local server that runs; `close()` ends it."""

    url: str
    """Up to and with `/client/v4`."""
    token: str = field(repr=False)
    model: str
    context: int
    """Tokens, prompt and reply together, of one request."""
    process: subprocess.Popen[str] = field(repr=False)

    def close(self) -> None:
        """End the server; a second call does nothing."""
        atexit.unregister(self.close)
        stop(self.process)


def available() -> str | None:
    """Return None when a model can run here, otherwise one sentence on what is missing. Imports nothing."""
    return found.missing_for("llama", os.environ.get("KIMI_LOCAL_MODEL"))


def start(
    *,
    engine: str = "llama",
    model_file: str | None = None,
    context: int | None = None,
    queue: str | None = None,
    timeout: float = 60.0,
) -> Local:
    """Start the server on a free port and wait until it serves, at most `timeout` seconds.

    `context` None takes the engine's own: 8,192 tokens for llama, 262,144 for scripted. `queue` is the folder in which
    it keeps batches; None keeps them in memory, unless KIMI_LOCAL_QUEUE names one.

    Raises `LaunchError`. An interrupt (Ctrl-C) ends the wait and the child.
    """
    command = [sys.executable, "-m", "kimi_magic.local", "--port", "0", "--exit-with-parent", "--engine", engine]
    command += ["--context", str(context)] if context else []
    command += ["--model-file", model_file] if model_file else []
    command += ["--queue", queue] if queue else []
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603  # our own module, by our own interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
        try:
            ready = wait_ready(process, time.monotonic() + timeout, log)
        except BaseException:
            stop(process)
            raise
    local = Local(ready["url"], ready["token"], ready["model"], ready["context"], process)
    atexit.register(local.close)
    return local


def wait_ready(process: subprocess.Popen[str], deadline: float, log: IO[str]) -> dict[str, Any]:
    """Return what the child announced; in short waits, so that an interrupt gets through."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    threading.Thread(target=lambda out=process.stdout: lines.put(out.readline()), daemon=True).start()
    while time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            return read_ready(lines.get(timeout=0.1), process, log)
    raise LaunchError("the local model was not ready in time", "a larger model may need a longer timeout" + tail(log))


def read_ready(line: str, process: subprocess.Popen[str], log: IO[str]) -> dict[str, Any]:
    """Decode the ready line; an empty one means that the child has ended."""
    if line:
        ready: dict[str, Any] = json.loads(line)
        return ready
    code = process.wait(timeout=5)
    raise LaunchError(f"the local server ended at once (exit code {code})", tail(log).strip() or "it said nothing")


def tail(log: IO[str], lines: int = 5) -> str:
    """Return the last lines that the child wrote to stderr, each on its own line."""
    log.seek(0)
    return "".join(f"\n{line.rstrip()}" for line in log.readlines()[-lines:])


def stop(process: subprocess.Popen[str]) -> None:
    """End the child: it goes by itself when its stdin closes, and is killed if it does not."""
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
