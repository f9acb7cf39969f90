"""The panel through what happens around it: busy cells, second views, reloads, restarts, long replies, saved files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.chat import KIMI, OPEN, Chat, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.browser import Browser, LabTab
    from tests.harness.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.usefixtures("tab")]

SLEEP = "import time\ntime.sleep(20)"
HOLD = "x = sum(range(2 * 10**8))"  # one call into C: no other thread of the kernel runs meanwhile
MANY = "import kimi_magic\nfor n in range(45): kimi_magic.ask(f'Question {n} <<say Reply {n}.>>', quiet=True)"


@pytest.fixture(scope="module")
def shared(lab_tab: LabTab, lab: Lab) -> Iterator[Chat]:
    chat = opened(lab_tab, lab, "panel-life.ipynb", SLEEP, HOLD, OPEN, MANY, setup=KIMI)
    yield chat
    chat.notebook.close()


def test_it_answers_while_a_cell_runs(shared: Chat) -> None:
    notebook = shared.notebook
    notebook.run_cell(2)
    notebook.wait("(panel, cell) => panel.content.widgets[cell].promptNode.innerText.includes('*')", 2)
    turn = shared.ask("Are you there? <<say Yes, I am.>>")
    assert shared.reply(turn) == "Yes, I am."
    shared.input.press_sequentially("/fo")
    expect(shared.options).to_contain_text(["/fork"])
    shared.write("")
    assert notebook.running(2)
    notebook.wait_idle()
    assert not notebook.running(2)


def test_it_says_so_where_it_has_to_wait(shared: Chat) -> None:
    notebook = shared.notebook
    notebook.run_cell(3)
    notebook.wait("(panel, cell) => panel.content.widgets[cell].promptNode.innerText.includes('*')", 3)
    shared.page.wait_for_timeout(300)  # the kernel has begun with it
    shared.write("And now? <<say Now, too.>>")
    shared.input.press("Enter")
    expect(shared.panel.locator(".kp-notice")).to_contain_text("The notebook is busy")
    expect(shared.turns.last).to_contain_text("Now, too.", timeout=60_000)
    expect(shared.panel.locator(".kp-notice")).to_be_hidden()
    notebook.wait_idle()


def test_a_second_view_shows_the_same(shared: Chat) -> None:
    shared.notebook.run_cell(4)
    shared.notebook.wait_idle()
    second = Chat(shared.notebook, 4)
    expect(second.turns).to_have_count(shared.turns.count())
    second.ask("In the second. <<tokens 100>><<rate 100>>")
    expect(shared.turns.last).to_contain_text("In the second.")
    shown = [view.turns.last.locator(".kp-pieces").text_content() for view in (shared, second)]
    assert shown[0] == shown[1] != ""


def test_earlier_turns_come_when_the_reader_goes_there(shared: Chat) -> None:
    shared.notebook.run_cell(5)
    shared.notebook.wait_idle()
    expect(shared.turns.last).to_contain_text("Reply 44.")
    shared.notebook.run_cell(1)  # the panel anew: it begins with the last screens
    shared.notebook.wait_idle()
    expect(shared.turns.last).to_contain_text("Reply 44.")
    shared.log.evaluate("node => { node.scrollTop = 0; }")
    expect(shared.turns.filter(has_text="Are you there?")).to_have_count(1)
    assert shared.turns.count() >= 45


def test_a_reply_of_80_kb_stands_there_whole(shared: Chat) -> None:
    turn = shared.ask("All. <<tokens 20000>>", done=False)
    expect(turn.locator(".kp-reply .kp-foot")).to_contain_text("20,000 out", timeout=60_000)
    assert turn.locator("table").count() > 50
    assert len(shared.reply(turn)) > 60_000
    assert shared.log.evaluate("node => node.scrollHeight - node.scrollTop - node.clientHeight < 40")


def test_a_reload_in_mid_stream_loses_nothing(browser: Browser, lab: Lab) -> None:
    tab = browser.lab(lab)
    chat = opened(tab, lab, "panel-reload.ipynb", setup=KIMI)
    turn = chat.ask("Slowly. <<tokens 9000>><<rate 150>>", done=False)
    expect(turn.locator(".kp-block").first).to_be_visible()
    chat.notebook.save()
    tab.close()
    tab = browser.lab(lab)
    chat = Chat(tab.open("panel-reload.ipynb"))
    turn = chat.turns.first
    expect(turn.locator(".kp-block").first).to_be_visible()
    seen = turn.locator(".kp-block").count()
    expect(turn.locator(".kp-block").nth(seen)).to_be_visible()  # another one came
    chat.button("Stop the reply").click()
    chat.wait_done(turn)
    said = "".join(turn.locator(".kp-block").all_text_contents())
    assert said.startswith("Part 1")
    assert said.count("Part 2: ") == 1
    chat.notebook.close()
    tab.close()


def test_a_restart_greys_the_panel_until_its_cell_runs_again(lab_tab: LabTab, lab: Lab) -> None:
    chat = opened(lab_tab, lab, "panel-restart.ipynb", setup="%config KimiMagics.resume = 'auto'")
    chat.ask("Remember me. <<say I shall.>>")
    chat.notebook.save()
    chat.notebook.ask("panel => panel.sessionContext.restartKernel()")
    expect(chat.panel.locator(".kp-notice")).to_contain_text("lost its kernel")
    expect(chat.input).to_be_disabled()
    expect(chat.turns.first).to_contain_text("I shall.")
    chat.notebook.wait_connected()
    for cell in (0, 1):
        chat.notebook.run_cell(cell)
        chat.notebook.wait_idle()
    expect(chat.turns.first).to_contain_text("I shall.")
    expect(chat.panel.locator(".kp-notice")).to_be_hidden()
    chat.ask("Still there? <<say Yes.>>")
    expect(chat.turns).to_have_count(2)
    chat.notebook.close()


def test_the_saved_file_shows_the_conversation_without_a_kernel(lab_tab: LabTab, lab: Lab) -> None:
    chat = opened(lab_tab, lab, "panel-saved.ipynb")
    chat.ask("For later readers. <<say Hello, **reader**.>>")
    static = chat.notebook.output(1).locator(".kimi-panel-static")
    expect(static.get_by_text("reader", exact=True)).to_have_count(1)
    expect(static).to_be_hidden()
    chat.notebook.save()
    chat.notebook.close()
    notebook = lab_tab.open("panel-saved.ipynb", kernel=False)
    expect(notebook.output(1).locator("strong")).to_have_text("reader")
    assert "For later readers." in notebook.text(1)
    notebook.close(shutdown=False)
