"""What every figure needs: the scripted server, kernels that ask it, and functions that run inside such a kernel."""

from __future__ import annotations

import ast
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from kimi_magic.local import launch
from tests.harness.kernel import Kernel

__all__ = ["MODEL", "ROOT", "Server", "call", "kernel", "server"]

ROOT = Path(__file__).parents[1]
_KERNEL_CONFIG = "c.IPKernelApp.log_level = 40\nc.HistoryManager.enabled = False\n"
MODEL = "kimi-k2.6"
"""Named in every question: a model whose limits hold 20,000 tokens. The scripted server stands in for it."""


class Server:
    """The scripted server: its address, and what it has noted about its requests."""

    def __init__(self, local: launch.Local) -> None:
        # The same questions are asked again and again, and each is meant.
        always = {"KIMI_RERUN": "always"}
        self.environment = {"KIMI_LOCAL_URL": local.url, "KIMI_LOCAL_TOKEN": local.token, **always}
        self._log = local.url.removesuffix("/client/v4") + "/scripted/requests"
        self._client = httpx.Client(headers={"authorization": f"Bearer {local.token}"}, timeout=60)

    def log(self) -> list[dict[str, Any]]:
        """Give the entries of all requests."""
        entries: list[dict[str, Any]] = self._client.get(self._log).json()
        return entries

    def forget(self) -> None:
        """Begin the log anew."""
        self._client.delete(self._log).raise_for_status()

    def last(self, patience: float = 2.0) -> dict[str, Any]:
        """Give the entry of the last request, when it is closed or patience (in seconds) is at its end."""
        deadline = time.monotonic() + patience
        while True:
            entry: dict[str, Any] = self._client.get(self._log).json()[-1]
            if entry["closed"] is not None or time.monotonic() > deadline:
                return entry
            time.sleep(0.02)


@contextlib.contextmanager
def server(engine: str = "scripted") -> Iterator[Server]:
    """Run a local server; only a scripted one notes its requests."""
    local = launch.start(engine=engine)
    try:
        yield Server(local)
    finally:
        local.close()


@contextlib.contextmanager
def kernel(place: Server | None = None, *paths: str) -> Iterator[Kernel]:
    """Run a fresh kernel with nobody's configuration, which imports this package and what lies on `paths`."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "profile_default")
        profile.mkdir()
        (profile / "ipython_kernel_config.py").write_text(_KERNEL_CONFIG, encoding="utf-8")
        environment = {
            "IPYTHONDIR": folder,
            "KIMI_HOME": folder,
            "PYTHONPATH": ":".join((str(ROOT), *paths)),
            "PYTHONDONTWRITEBYTECODE": "",  # an installed package is compiled once, so this one may be too
        }
        with Kernel(environment | (place.environment if place else {}), folder) as running:
            yield running


def call(running: Kernel, function: Callable[..., Any], *values: object, timeout: float = 120) -> Any:
    """Call a function of a module inside a kernel and give its result; values and result are literals."""
    code = f"from {function.__module__} import {function.__name__}\n"
    cell = running.run(f"{code}print(repr({function.__name__}(*{values!r})))", timeout=timeout)
    if not cell.ok:
        raise RuntimeError(cell.text)
    printed = [output["text"] for output in cell.outputs if output.get("name") == "stdout"]
    return ast.literal_eval(printed[-1].strip().splitlines()[-1])
