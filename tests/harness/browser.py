"""A real chromium that shows what `Lab` serves, driven through Playwright: tabs, and the notebooks open in them.

A notebook is driven as a person drives it (commands, the toolbar's stop button) and looked at twice: in the model,
which is what is saved, and in the page, which is what is seen. Waiting is always for a state, never for a time. No host
but this machine can be reached; what a page tried to fetch from one is in `Tab.foreign`. It knows nothing of pytest.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, sync_playwright

if TYPE_CHECKING:
    from tests.harness.lab import Lab

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_LOCAL = frozenset({"127.0.0.1", "localhost", ""})
_TIMEOUT = 60.0
"""Seconds that a state may take to come; a machine that does other things as well may be slow."""
_READY = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
_PANEL = "[...window.jupyterapp.shell.widgets('main')].find(each => each.context && each.context.path === path)"
_CONNECTED = """panel => {
    const kernel = panel && panel.sessionContext.session && panel.sessionContext.session.kernel;
    return Boolean(kernel) && kernel.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
_RUN = """(panel, [command, cell]) => {
    const run = panel.kimiRun = {finished: 0};
    window.jupyterapp.shell.activateById(panel.id);
    panel.content.deselectAll();
    if (cell !== null) panel.content.activeCellIndex = cell;
    const note = () => { run.finished = Date.now() / 1000; };
    const painted = () => requestAnimationFrame(() => requestAnimationFrame(note));
    window.jupyterapp.commands.execute(command).then(painted, painted);
}"""
_FINISHED = "panel => panel.kimiRun.finished && panel.sessionContext.session.kernel.status === 'idle'"
_WATCH = """(panel, cell) => {
    const widget = panel.content.widgets[cell], node = widget.outputArea.node;
    const seen = (panel.kimiSeen ||= {})[cell] = [];
    const look = () => seen.push({
        time: Date.now() / 1000,
        text: node.innerText,
        running: widget.promptNode.innerText.includes('*'),
    });
    new MutationObserver(look).observe(node, {childList: true, subtree: true, characterData: true});
}"""
_PLACE = """(panel, cell) => {
    const node = panel.content.widgets[cell].outputArea.node;
    return node.dataset.kimiPlace = panel.id + '-' + cell;
}"""
_OPEN = """async ([path, kernelPreference]) => {
    const panel = await window.jupyterapp.commands.execute('docmanager:open', {path, kernelPreference});
    await panel.context.ready;
    await panel.revealed;
}"""
_CLOSE = """async (panel, shutdown) => {
    if (shutdown) panel.sessionContext.shutdown().catch(() => {});
    await panel.context.save().catch(() => {});
    panel.dispose();
}"""
_CONTRAST = """element => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const paint = colours => {  // the browser itself reads its colours, whatever their notation, and lays them over
        canvas.clearRect(0, 0, 1, 1);
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = rgb => rgb.map(value => value / 255)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const ground = light(paint(['white', ...behind]));
    const text = light(paint(['white', ...behind, getComputedStyle(element).color]));
    return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
}"""


class MissingBrowser(Exception):
    """There is no browser to drive; the message names the command that brings one."""


class Browser:
    """A running browser; it ends with its `with` block."""

    def __init__(self, *, width: int = 1280, height: int = 900) -> None:
        self._size = (width, height)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True))
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(
                executable_path=find_browser(playwright.chromium.executable_path),
                args=_FLAGS,
                env={**os.environ, "HOME": home},
            )
            stack.callback(browser.close)
            width, height = self._size
            self._context = browser.new_context(viewport={"width": width, "height": height})
            self._context.set_default_timeout(_TIMEOUT * 1000)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def tab(self, url: str) -> Tab:
        """Open a page."""
        tab = Tab(self._context.new_page())
        tab.page.goto(url, wait_until="domcontentloaded")
        return tab

    def lab(self, lab: Lab) -> LabTab:
        """Open JupyterLab, with an empty workspace."""
        tab = LabTab(self._context.new_page())
        tab.page.goto(f"{lab.url}/lab?reset", wait_until="domcontentloaded")
        tab.page.wait_for_function(_READY)
        tab.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        tab.page.add_style_tag(
            content="#jupyterlab-splash {display: none}"
        )  # it would hide the page at a change of theme
        return tab

    def notebook7(self, lab: Lab, name: str) -> Notebook:
        """Open a notebook in Notebook 7, in a tab of its own."""
        tab = LabTab(self._context.new_page())
        tab.page.goto(f"{lab.url}/notebooks/{name}", wait_until="domcontentloaded")
        tab.page.wait_for_function(_READY)
        return Notebook(tab, name).wait_connected()


def find_browser(downloaded: str) -> str:
    """Find a chromium on the PATH, else the one that Playwright has `downloaded`; raises MissingBrowser."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    if Path(downloaded).exists():
        return downloaded
    command = "apt-get install chromium" if os.geteuid() == 0 else "python -m playwright install chromium"
    raise MissingBrowser(f"no chromium on the PATH and none downloaded; this brings one: {command}")


def main() -> None:
    """Say which browser the tests will drive, or exit with the command that brings one."""
    with sync_playwright() as playwright:
        try:
            print(find_browser(playwright.chromium.executable_path))  # noqa: T201  # its only purpose
        except MissingBrowser as missing:
            sys.exit(str(missing))


class Tab:
    """One page, with the addresses on other hosts that it asked for and the errors that it logged."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "file", "about") and parts.hostname not in _LOCAL:
            self.foreign.append(url)

    def screenshot(self, path: Path | str) -> None:
        """Take a picture, once all fonts are there: MathJax brings its own."""
        self.page.evaluate("() => document.fonts.ready.then(() => true)")
        self.page.screenshot(path=path)

    def close(self) -> None:
        """Close the page."""
        self.page.close()


class LabTab(Tab):
    """JupyterLab, or Notebook 7."""

    def open(self, name: str, *, kernel: bool = True) -> Notebook:
        """Open a notebook; without a `kernel` as it lies in its file."""
        preference = {} if kernel else {"shouldStart": False, "autoStartDefault": False}
        self.page.evaluate(_OPEN, [name, preference])
        notebook = Notebook(self, name)
        return notebook.wait_connected() if kernel else notebook

    def theme(self, name: str) -> None:
        """Change the theme: "JupyterLab Light" or "JupyterLab Dark"."""
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=name)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a cell's output showed at one time (epoch seconds), and whether the cell still ran."""

    time: float
    text: str
    running: bool


class Notebook:
    """A notebook in a tab. Cells are counted from 0."""

    def __init__(self, tab: LabTab, name: str) -> None:
        self.tab = tab
        self.name = name

    def ask(self, function: str, argument: Any = None) -> Any:
        """Call a JavaScript function with this notebook's panel and an argument, and give what it gives."""
        script = f"([path, argument]) => ({function})({_PANEL}, argument)"
        return self.tab.page.evaluate(script, [self.name, argument])

    def wait(self, function: str, argument: Any = None, *, timeout: float = _TIMEOUT) -> None:
        """Wait until a JavaScript function of this notebook's panel gives something true."""
        script = f"([path, argument]) => ({function})({_PANEL}, argument)"
        self.tab.page.wait_for_function(script, arg=[self.name, argument], timeout=timeout * 1000, polling=20)

    def wait_connected(self) -> Self:
        """Wait for the kernel."""
        self.wait(_CONNECTED)
        return self

    def run_all(self) -> None:
        """Start all cells."""
        self.ask(_RUN, ["notebook:run-all-cells", None])

    def run_cell(self, cell: int) -> None:
        """Start one cell."""
        self.ask(_RUN, ["notebook:run-cell", cell])

    def wait_idle(self, *, timeout: float = _TIMEOUT) -> float:
        """Wait until what was started has ended and its end is painted; give the time of that, in epoch seconds."""
        self.wait(_FINISHED, timeout=timeout)
        finished: float = self.ask("panel => panel.kimiRun.finished")
        return finished

    def wait_text(self, cell: int, text: str, *, timeout: float = _TIMEOUT) -> None:
        """Wait until a cell's output shows a text."""
        self.wait(
            "(panel, [cell, text]) => panel.content.widgets[cell].outputArea.node.innerText.includes(text)",
            [cell, text],
            timeout=timeout,
        )

    def watch(self, cell: int) -> None:
        """Note every change of a cell's output in the page from here on, for `seen`."""
        self.ask(_WATCH, cell)

    def seen(self, cell: int) -> list[Sight]:
        """What `watch` has noted."""
        return [Sight(**each) for each in self.ask("(panel, cell) => panel.kimiSeen[cell]", cell)]

    def interrupt(self) -> None:
        """Press the stop button."""
        self.ask("panel => window.jupyterapp.shell.activateById(panel.id)")
        self.tab.page.locator('[data-command="notebook:interrupt-kernel"]:visible').first.click()

    def running(self, cell: int) -> bool:
        """Whether a cell runs or waits: it shows `[*]`."""
        return bool(self.ask("(panel, cell) => panel.content.widgets[cell].promptNode.innerText.includes('*')", cell))

    def prompts(self) -> list[str]:
        """What stands beside each cell, such as `[1]:`."""
        prompts: list[str] = self.ask("panel => panel.content.widgets.map(each => each.promptNode.innerText.trim())")
        return prompts

    def sources(self) -> list[str]:
        """The text of each cell."""
        sources: list[str] = self.ask("panel => panel.content.widgets.map(each => each.model.sharedModel.source)")
        return sources

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """The outputs of a cell as they would be saved."""
        outputs: list[dict[str, Any]] = self.ask(
            "(panel, cell) => panel.content.widgets[cell].model.outputs.toJSON()", cell
        )
        return outputs

    def text(self, cell: int) -> str:
        """What a reader sees in the outputs of a cell."""
        return self.output(cell).inner_text()

    def html(self, cell: int) -> str:
        """The outputs of a cell as they stand in the page."""
        return self.output(cell).inner_html()

    def output(self, cell: int) -> Locator:
        """The output area of a cell in the page."""
        return self.tab.page.locator(f'[data-kimi-place="{self.ask(_PLACE, cell)}"]')

    def save(self) -> None:
        """Save, and wait for it."""
        self.ask("panel => panel.context.save()")

    def screenshot(self, path: Path | str) -> None:
        """Take a picture of the tab."""
        self.tab.screenshot(path)

    def close(self, *, shutdown: bool = True) -> None:
        """Save and close the notebook, and end its kernel."""
        self.ask(_CLOSE, shutdown)


def contrast(element: Locator) -> float:
    """Contrast of an element's text with what lies behind it, as WCAG counts it: 1 to 21; 4.5 is readable."""
    ratio: float = element.evaluate(_CONTRAST)
    return ratio


if __name__ == "__main__":
    main()
