"""The panel and what a person does wrong: refused files, commands that there are not, replies that never begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.browser import LabTab
    from tests.harness.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.usefixtures("tab")]


@pytest.fixture(scope="module")
def chat(lab_tab: LabTab, lab: Lab) -> Iterator[Chat]:
    chat = opened(lab_tab, lab, "panel-odd.ipynb")
    yield chat
    chat.notebook.close()


def test_why_a_file_is_refused_stands_whole_in_its_chip(chat: Chat) -> None:
    refused = {"name": "x.exe", "mimeType": "application/octet-stream", "buffer": b"MZ\0\0"}
    chat.panel.locator("input[type=file]").set_input_files([refused])
    chip = chat.panel.locator(".kp-composer .kp-chip")
    expect(chip).to_contain_text("neither a picture nor text")
    assert chip.locator("small").evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    assert chip.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    chip.get_by_role("button").click()


def test_a_command_that_there_is_not_comes_back_to_be_mended(chat: Chat) -> None:
    chat.write("/halp")
    chat.input.press("Enter")
    expect(chat.turns.last).to_contain_text("There is no command /halp.")
    expect(chat.input).to_have_value("/halp")


def test_a_command_without_what_it_needs_is_told_in_the_panels_words(chat: Chat) -> None:
    chat.write("/export ")
    chat.input.press("Enter")
    expect(chat.turns.last).to_contain_text("/export needs one file.")
    assert "%kimi" not in chat.turns.last.inner_text()


def test_a_reply_that_never_began_is_not_called_cut(chat: Chat) -> None:
    chat.write("Never. <<fault 5007>>")
    chat.input.press("Enter")
    expect(chat.turns.last.locator(".kp-error")).to_be_visible()
    expect(chat.button("Ask again", inside=chat.turns.last)).to_be_visible()
    assert "Cut" not in chat.turns.last.inner_text()
