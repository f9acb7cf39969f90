"""What most tests need: a scripted local server in a process of its own, and a kernel with the extension loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from xdist.scheduler import LoadScopeScheduling

from kimi_magic import kernel as ours
from kimi_magic.local import launch
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kimi_magic.local.launch import Local


@pytest.fixture(scope="session")
def server() -> Iterator[Local]:
    """The scripted server, over a real socket; one for a worker."""
    local = launch.start(engine="scripted")
    yield local
    local.close()


@pytest.fixture
def seen(server: Local) -> Seen:
    """What arrives at the server from here on."""
    seen = Seen(server)
    seen.clear()
    return seen


class Seen:
    """The requests that a scripted server has received."""

    def __init__(self, server: Local) -> None:
        self._url = server.url.removesuffix("/client/v4") + "/scripted/requests"
        self._headers = {"authorization": f"Bearer {server.token}"}

    def clear(self) -> None:
        httpx.delete(self._url, headers=self._headers).raise_for_status()

    def all(self) -> list[dict[str, object]]:
        """Every request, oldest first."""
        found: list[dict[str, object]] = httpx.get(self._url, headers=self._headers).raise_for_status().json()
        return found

    def last(self) -> dict[str, object]:
        return self.all()[-1]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what is kept on disk, so that no test touches the user's."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIMI_HOME", str(folder))
        patch.setenv("KIMI_RERUN", "always")  # tests repeat questions, and look at what arrives
        yield folder


@pytest.fixture(scope="session")
def environment(server: Local, home: Path) -> dict[str, str]:
    """What a kernel has in its environment so that it asks the scripted server."""
    return {
        "KIMI_LOCAL_URL": server.url,
        "KIMI_LOCAL_TOKEN": server.token,
        "KIMI_HOME": str(home),
        "KIMI_RERUN": "always",
    }


@pytest.fixture
def here(environment: dict[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """Asks from this process as a script does; its environment can be changed further."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield patch
        ours.close()


@pytest.fixture(scope="module")
def warm_kernel(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(environment, tmp_path_factory.mktemp("kernel")) as kernel:
        assert kernel.run("%load_ext kimi_magic").ok
        yield kernel


@pytest.fixture
def kernel(warm_kernel: Kernel) -> Kernel:
    """A kernel with the extension freshly loaded: no conversation, no usage, nothing configured."""
    cell = warm_kernel.run("get_ipython().config.pop('KimiMagics', None)\n%reload_ext kimi_magic\n%reset -f out")
    assert cell.ok, cell.text
    return warm_kernel


@pytest.fixture
def cold_kernel(environment: dict[str, str], tmp_path: Path) -> Iterator[Kernel]:
    """A kernel of its own for a test that unloads, or counts imports."""
    with Kernel(environment, tmp_path) as kernel:
        yield kernel


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Keep the browser tests on one worker; pytest 9.2 takes xdist's own groups away (pytest-xdist #1386)."""

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # untyped
        def _split_scope(self, nodeid: str) -> str:
            return "browser" if nodeid.startswith("tests/browser/") else nodeid.partition("::")[0]

    return Scheduling(config, log)
