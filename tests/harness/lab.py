"""A real Jupyter server in a process of its own: JupyterLab at /lab and Notebook 7 at /notebooks, for one browser.

Its configuration, data, settings and notebooks live in a folder of its own, so that nothing of the user's leaks in
and nothing leaks out. It asks for no token, and therefore listens on 127.0.0.1 only. It knows nothing of pytest.

    with Lab({"KIMI_STREAM": "1"}) as lab, Browser() as browser:
        lab.write("x.ipynb", "%load_ext kimi_magic", "%%kimi\nHello")
        notebook = browser.lab(lab).open("x.ipynb")
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import nbformat

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOREIGN = ("KIMI_", "CLOUDFLARE_", "PYTEST", "COVERAGE", "JUPYTER", "IPYTHON", "VSCODE")
"""Beginnings of the names of variables that shall not reach the server or its kernels."""
_SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
_OPTIONS = (
    "--ip=127.0.0.1",
    "--ServerApp.jpserver_extensions={'jupyterlab': True, 'notebook': True}",
    "--ServerApp.port_retries=0",
    "--ServerApp.open_browser=False",
    "--ServerApp.allow_root=True",
    "--ServerApp.password=",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",  # as `window.jupyterapp`, by which `browser` drives it
    "--JupyterNotebookApp.expose_app_in_browser=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)


class Lab:
    """A running server: `url` is its address, `root` the folder of its notebooks, which `write` fills.

    `environment` is added to what the kernels see; `settings` are JupyterLab's, by "package:plugin".
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._environment = dict(environment or {})
        self._settings = {**_SETTINGS, **(settings or {})}
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._home = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-", ignore_cleanup_errors=True))
            )
            self.root = self._home / "notebooks"
            self.root.mkdir()
            self._write_settings()
            self._log = stack.enter_context((self._home / "server.log").open("w+", errors="replace"))
            self._start()
            stack.callback(self._stop)
            self._wait()
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def write(self, name: str, *cells: str) -> Path:
        """Write a notebook of code cells into the server's folder."""
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
        )
        path = self.root / name
        nbformat.write(notebook, path)
        return path

    def read(self, name: str) -> nbformat.NotebookNode:
        """Read a notebook as it was saved."""
        return nbformat.read(self.root / name, as_version=4)

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return (self._home / "server.log").read_text(errors="replace")

    def _write_settings(self) -> None:
        for key, values in self._settings.items():
            package, plugin = key.split(":")
            path = self._home / "settings" / package / f"{plugin}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *_OPTIONS, f"--port={port}", f"--ServerApp.root_dir={self.root}"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._variables(),
            cwd=self.root,
            start_new_session=True,
        )

    def _variables(self) -> dict[str, str]:
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "XDG_CONFIG_HOME": "xdg",
            "KIMI_HOME": "kimi",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        here = {"PYTHONPATH": str(Path(__file__).parents[2])}  # this checkout, whatever is installed
        return kept | here | {name: str(self._home / folder) for name, folder in own.items()} | self._environment

    def _wait(self, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the Jupyter server ended at once:\n{self.log[-3000:]}")
            try:
                httpx.get(f"{self.url}/api/status", timeout=5, trust_env=False).raise_for_status()
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"the Jupyter server is not ready after {timeout:.0f} s:\n{self.log[-3000:]}")

    def _stop(self) -> None:
        """End the server, which ends its kernels; they also end by themselves when it is gone."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
