"""Async tools in a real JupyterLab: Run All ends, nothing is lost; cards fold and are readable."""

from __future__ import annotations

import pytest

from tests.browser.conftest import THEMES, picture
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

SET_UP = """
import asyncio
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from kimi_magic.messages import ToolCall as Call
from kimi_magic.tools import *
from kimi_magic.tools.asking import Asking
from kimi_magic.tools.toolbox import Toolbox
queue = asyncio.Queue()
await queue.put("filled")
async def take(seconds: float):
    await asyncio.sleep(seconds)
    return await queue.get()
def go(*calls):
    box = Toolbox(named([take], {}), globals(), Look(Guard()))
    return [one.text for one in box.run([Call("1", "take", call) for call in calls])]
"""
CARDS = """
from IPython.display import HTML, display
from kimi_magic.calls import Outcome
from kimi_magic.card import html
call = Call("1", "load", '{"path": "<b>a.csv</b>"}')
for state in ("done", "failed"):
    display(HTML(html(call, Outcome(call, "150 rows <script>document.title = 'gone'</script>", (), state, 1.2))))
"""


def test_run_all_ends_and_no_cell_is_left_waiting(opened):
    notebook = opened(
        SET_UP, "print(go('{\"seconds\": 1.5}'))", "print('three')", "await asyncio.sleep(0)\nprint('four')"
    )
    notebook.run_all()
    notebook.wait_idle()
    assert [notebook.text(cell).strip() for cell in (2, 3, 4)] == ["['filled']", "three", "four"]


def test_the_stop_button_ends_an_async_tool(opened):
    notebook = opened(SET_UP, "print('begun')\ngo('{\"seconds\": 600}')", "print('never')")
    notebook.run_all()
    notebook.wait_text(2, "begun")
    notebook.interrupt()
    notebook.wait_idle()
    assert "KeyboardInterrupt" in notebook.text(2)
    notebook.run_cell(1)
    notebook.wait_idle()


@pytest.mark.parametrize("theme", THEMES)
def test_cards_fold_and_are_readable(opened, tab, theme):
    tab.theme(theme)
    notebook = opened(SET_UP, CARDS)
    notebook.run_all()
    notebook.wait_idle()
    cards = notebook.output(2).locator("details")
    assert cards.count() == 2
    for n, state in enumerate(("done", "failed")):
        card = cards.nth(n)
        assert state in card.locator("summary").inner_text()
        assert "150 rows" not in card.inner_text()
        card.locator("summary").click()
        assert "150 rows <script>" in card.inner_text()
        for shown in (card.locator("summary"), card.locator("summary span").nth(1), card.locator("pre").nth(0)):
            assert contrast(shown) >= 4.5
        assert contrast(card.locator("summary span").nth(0)) >= 3.0  # the mark, which is a sign and no text
    assert notebook.output(2).locator("b", has_text="a.csv").count() == 0
    picture(tab, "cards", themes=(theme,))
