"""07_panel.ipynb in a real JupyterLab: Run All opens the panel, and cells and panel share one conversation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.chat import OPEN, Chat
from tests.browser.conftest import picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.browser import LabTab, Notebook
    from tests.harness.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.usefixtures("tab")]

PATH = Path(__file__).parents[2] / "notebooks" / "07_panel.ipynb"
CELLS = [cell.source for cell in nbformat.read(PATH, as_version=4).cells]
PLACE = CELLS.index(OPEN)
ASKED = ["Which region stands out in sales?", "And which one is last?"]


@pytest.fixture(scope="module")
def notebook(lab_tab: LabTab, lab: Lab) -> Iterator[Notebook]:
    """The notebook as it lies in its folder, after Run All."""
    shutil.copy(PATH, lab.root)
    notebook = lab_tab.open(PATH.name)
    notebook.run_all()
    notebook.wait_idle()
    yield notebook
    notebook.close()


@pytest.fixture
def chat(notebook: Notebook) -> Chat:
    """Its panel, where a reader sees it."""
    chat = Chat(notebook, PLACE)
    chat.panel.scroll_into_view_if_needed()
    return chat


def test_run_all_opens_the_panel_with_what_the_cells_asked(chat: Chat, tab: LabTab) -> None:
    expect(chat.turns).to_have_count(len(ASKED))
    expect(chat.turns.locator(".kp-bubble")).to_have_text(ASKED)
    for turn, asked in zip(chat.turns.all(), ("Which region stands out in", ASKED[1]), strict=True):
        expect(turn.locator(".kp-reply")).to_contain_text(f"You asked: “{asked}”")
    picture(tab, "panel-notebook")
    assert chat.problems() == []


def test_a_question_typed_into_it_is_answered_and_known_to_the_cells(chat: Chat, notebook: Notebook) -> None:
    chat.input.click()
    chat.input.press_sequentially("What does {{ sal")
    chat.options.first.click()
    chat.input.press_sequentially("hold?")
    chat.input.press("Enter")
    turn = chat.turns.nth(len(ASKED))
    chat.wait_done(turn)
    assert f"questions before this one: {len(ASKED)}" in chat.reply(turn)
    assert "saw sales" in chat.reply(turn)
    history = next(at for at, source in enumerate(CELLS) if source == "%kimi history")
    notebook.run_cell(history)
    notebook.wait_idle()
    notebook.wait_text(history, "What does sales hold?")


def test_the_file_carries_the_whole_conversation_for_readers_without_a_kernel(
    chat: Chat, notebook: Notebook, lab: Lab
) -> None:
    chat.ask("The last one.")
    static = notebook.output(PLACE).locator(".kimi-panel-static")
    expect(static).to_contain_text("You asked: “The last one.”")
    notebook.save()
    saved = lab.read(PATH.name).cells[PLACE].outputs[0].data["text/html"]
    for asked in (*ASKED, "What does {{ sales }} hold?", "The last one."):
        assert asked in saved
