"""The panel in a notebook, driven as a person drives it: through the page, by what is seen there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.harness.browser import LabTab, Notebook
    from tests.harness.lab import Lab

__all__ = ["KIMI", "OPEN", "Chat", "opened"]

OPEN = "%kimi chat"
KIMI = """import os  # Kimi instead of the local model, asked of the same server
os.environ |= {
    "KIMI_ENDPOINT": os.environ["KIMI_LOCAL_URL"] + "/accounts/local/ai/v1",
    "KIMI_API_KEY": os.environ["KIMI_LOCAL_TOKEN"],
    "KIMI_MODEL": "@cf/moonshotai/kimi-k2.6",
    "KIMI_MAX_TOKENS": "20001",
}"""

expect.set_options(timeout=20_000)  # a machine that does other things as well may be slow


def opened(tab: LabTab, lab: Lab, name: str, *cells: str, setup: str = "") -> Chat:
    """Open a notebook whose second cell opens the panel, and run these two; further cells wait."""
    lab.write(name, f"%load_ext kimi_magic\n{setup}", OPEN, *cells)
    notebook = tab.open(name)
    for cell in (0, 1):
        notebook.run_cell(cell)
        notebook.wait_idle()
    chat = Chat(notebook)
    expect(chat.panel).to_be_visible()
    return chat


class Chat:
    """The panel that a cell of a notebook shows."""

    def __init__(self, notebook: Notebook, cell: int = 1) -> None:
        self.notebook = notebook
        self.page = notebook.tab.page
        self.panel = notebook.output(cell).locator(".kimi-panel")
        self.input = self.panel.get_by_role("textbox", name="Question")
        self.log = self.panel.get_by_role("region", name="Transcript")
        self.options = self.panel.get_by_role("listbox", name="Completions").get_by_role("option")
        self.turns = self.panel.locator(".kp-turn:visible")

    def button(self, name: str, *, inside: Locator | None = None) -> Locator:
        """Find a button by its name, in the whole panel or inside of a part of it."""
        return (inside or self.panel).get_by_role("button", name=name, exact=True)

    def write(self, text: str) -> None:
        """Put a text into the input, and leave the cursor behind it."""
        self.input.fill(text)

    def ask(self, text: str, *, done: bool = True) -> Locator:
        """Ask, and give the turn that comes of it, once its reply is there where `done` says so."""
        before = self.turns.count()
        self.write(text)
        self.input.press("Enter")
        turn = self.turns.nth(before)
        expect(turn).to_be_visible()
        if done:
            self.wait_done(turn)
        return turn

    def wait_done(self, turn: Locator) -> None:
        """Wait until a turn has its reply."""
        expect(turn.locator(".kp-reply .kp-foot")).to_be_visible(timeout=30_000)

    def reply(self, turn: Locator) -> str:
        """Give what a reader sees of the text of a reply."""
        return "\n".join(turn.locator(".kp-piece").all_inner_texts()).strip()

    def questions(self) -> list[str]:
        """Give the questions that stand in the transcript."""
        return self.turns.locator(".kp-bubble").all_inner_texts()

    def choose(self, menu: str, label: str) -> None:
        """Choose from a menu of the head."""
        self.panel.get_by_label(menu, exact=True).select_option(label=label)

    def clear(self) -> None:
        """Begin a new conversation."""
        self.write("/clear")
        self.input.press("Escape")
        self.input.press("Enter")
        expect(self.turns).to_have_count(0)

    def problems(self) -> list[dict[str, Any]]:
        """Give what axe finds wrong with the panel."""
        self.panel.evaluate("node => { node.dataset.axe = 'here'; }")
        found = Axe().run(self.page, context="[data-axe=here]").response["violations"]
        return [{"rule": one["id"], "nodes": [node["html"][:200] for node in one["nodes"]]} for one in found]
