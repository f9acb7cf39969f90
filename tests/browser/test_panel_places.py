"""The panel in Notebook 7 and in Voila: the same one, by their own means."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat import OPEN, Chat
from tests.browser.conftest import ARTEFACTS, MARKDOWN, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness.browser import Browser
    from tests.harness.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

LOAD = "%load_ext kimi_magic"


def test_notebook_7_has_it(browser: Browser, lab: Lab) -> None:
    lab.write("panel-seven.ipynb", LOAD, OPEN, "")
    notebook = browser.notebook7(lab, "panel-seven.ipynb")
    for cell in (0, 1):
        notebook.run_cell(cell)
        notebook.wait_idle()
    chat = Chat(notebook)
    turn = chat.ask(f"All of it. {say(MARKDOWN)}")
    expect(turn.locator("mjx-container")).to_have_count(4)
    chat.button("Put code (python) into a cell below", inside=turn).click()
    assert notebook.sources()[2].startswith("@cache")
    assert chat.problems() == []
    ARTEFACTS.mkdir(exist_ok=True)
    notebook.screenshot(ARTEFACTS / "panel-notebook7.png")
    assert notebook.tab.foreign == []
    notebook.close()
    notebook.tab.close()


@pytest.fixture
def voila(environment: dict[str, str], lab: Lab, tmp_path: Path) -> Iterator[str]:
    """The address of a Voila that serves a notebook with the panel."""
    path = lab.write("panel-voila.ipynb", LOAD, OPEN)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "voila", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", str(path)]
    own = {
        name: str(tmp_path) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    with (
        (tmp_path / "voila.log").open("w") as log,
        subprocess.Popen(command, env={**os.environ, **environment, **own}, stdout=log, stderr=log) as process,
    ):
        url = f"http://127.0.0.1:{port}/"
        for _ in range(300):
            try:
                httpx.get(f"{url}voila/static/voila.js", timeout=5, trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
        process.terminate()


def test_voila_has_it(browser: Browser, voila: str) -> None:
    page: Page = browser.tab(voila).page
    panel = page.locator(".kimi-panel")
    expect(panel).to_be_visible(timeout=60_000)
    panel.get_by_role("textbox", name="Question").fill("Hello <<say Hello, **Voila**.>>")
    page.keyboard.press("Enter")
    expect(panel.locator(".kp-turn strong")).to_have_text("Voila")
    expect(panel.get_by_role("button", name="Put code", exact=False)).to_have_count(0)
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "panel-voila.png")
    page.close()
