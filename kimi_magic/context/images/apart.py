"""A few lines of Python in a process of their own, so that Ctrl-C and a limit of time end what they call."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from subprocess import PIPE, Popen, TimeoutExpired
from tempfile import TemporaryDirectory

from kimi_magic.errors import CommandError

__all__ = ["run"]

# What is printed, also by what lies below Python, does not get between the bytes that are returned.
_PRELUDE = """\
import os, sys
out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
given = sys.stdin.buffer.read()
"""


def run(script: str, given: bytes, seconds: float) -> bytes:
    """Run a script, which finds `given` as `given`, and give what it writes to `out`.

    What it raises is raised as CommandError, and so is a limit of time that it has reached.
    """
    if not sys.executable:
        raise CommandError("there is no Python to start for it")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        there = {**os.environ, "TMPDIR": folder, "TEMP": folder, "TMP": folder}
        command = [sys.executable, "-P", "-c", _PRELUDE + script]
        # A session of its own: Jupyter's interrupt goes to the kernel's whole process group.
        with Popen(command, env=there, start_new_session=True, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:  # noqa: S603  # our own Python, our own lines
            try:
                out, errors = process.communicate(given, timeout=seconds)
            except TimeoutExpired as error:
                raise CommandError(f"it took more than {seconds:g} s") from error
            finally:
                _end(process)
        if process.returncode:
            lines = errors.decode("utf-8", "replace").strip().splitlines()
            raise CommandError(lines[-1][:300] if lines else f"its process ended with {process.returncode}")
        return out


def _end(process: Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
