"""The panel in a real JupyterLab, for the figures about it: opened, asked, and its page watched while a reply comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.stage import ROOT, Server
from kimi_magic.models import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Locator

    from tests.harness.browser import Notebook

__all__ = ["LOAD", "OPEN", "PanelPage", "percentile", "variables"]

LOAD = "%load_ext kimi_magic"
OPEN = "%kimi chat"

_WATCH = """(root, sign) => {
    const watch = window.kimiWatch = {shown: 0, frames: [], keys: []};
    let changed = true, found = false;
    const whatever = {childList: true, subtree: true, characterData: true};
    new MutationObserver(() => { changed = true; }).observe(root, whatever);
    root.addEventListener("keydown", ({timeStamp}) => requestAnimationFrame(() => {
        const painted = new MessageChannel();  // its message comes after the frame
        painted.port1.onmessage = () => watch.keys.push(performance.now() - timeStamp);
        painted.port2.postMessage(0);
    }), {capture: true});
    const frame = now => {
        watch.frames.push(now);
        if (found) { watch.shown = Date.now() / 1000; return; }
        if (changed) found = root.querySelector(".kp-turns").lastElementChild?.textContent.includes(sign);
        changed = false;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


def variables(place: Server) -> dict[str, str]:
    """Give what a kernel needs to ask the scripted server for a model whose limits hold 20,000 tokens."""
    url, token = (place.environment[f"KIMI_LOCAL_{name}"] for name in ("URL", "TOKEN"))
    asked = {"KIMI_ENDPOINT": f"{url}/accounts/local/ai/v1", "KIMI_API_KEY": token, "KIMI_MODEL": DEFAULT}
    return place.environment | asked | {"KIMI_MAX_TOKENS": "20001", "PYTHONPATH": str(ROOT)}


class PanelPage:
    """The panel that the second cell of a notebook shows."""

    def __init__(self, notebook: Notebook) -> None:
        self.page = notebook.tab.page
        self.panel: Locator = notebook.output(1).locator(".kimi-panel")
        self.input = self.panel.get_by_role("textbox", name="Question")

    def watch(self, sign: str) -> None:
        """Note frames and keys, and when the last turn has first shown a text."""
        self.panel.evaluate(_WATCH, sign)

    def ask(self, text: str) -> None:
        """Ask, as a person does."""
        self.input.fill(text)
        self.input.press("Enter")

    def seen(self) -> dict[str, Any]:
        """Give what was noted."""
        seen: dict[str, Any] = self.page.evaluate("() => window.kimiWatch")
        return seen


def percentile(values: Sequence[float], percent: int) -> float:
    """Give the value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
