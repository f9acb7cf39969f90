"""Tools and typed replies in JupyterLab, as a person sees them; and no message is lost while an async tool runs."""

from __future__ import annotations

import pytest

from tests.browser.conftest import THEMES, picture
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TOOLS = '''import asyncio, time
import pandas as pd

def load(city: str, days: int = 3) -> pd.DataFrame:
    """Load the weather of a city."""
    print("loading", city)
    return pd.DataFrame({"day": range(days), "degrees": [20.5 + n for n in range(days)]})

def fails(reason: str):
    """Always fails."""
    raise ValueError(reason)

async def slowly(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return f"waited {seconds} s"
'''
ASKED = """%%kimi -t load,fails
How warm is it? <<tool load {"city": "Bern", "days": 4}>><<tool fails {"reason": "<img src=x onerror=alert(1)>"}>>"""
ROWS = """%%kimi people -f table -o "[name, age int, mood good|bad]"
Who? <<say {"rows": [{"name": "Ada", "age": 36, "mood": "good"}, {"name": "<b>Bob</b>", "age": 41, "mood": "bad"}]}>>"""
VALUE = """%%kimi person -o "name, age int"
Who? <<say {"name": "Ada", "age": 36}>>"""


def test_cards_and_rows_are_legible(opened, tab):
    notebook = opened(TOOLS, ASKED, ROWS, VALUE, "people")
    notebook.run_all()
    notebook.wait_idle()
    assert "CommandError" not in "".join(map(notebook.text, range(6)))
    assert notebook.text(3).split()[:6] == ["name", "age", "mood", "Ada", "36", "good"]
    for theme in THEMES:
        tab.theme(theme)
        for cell in (2, 3):
            shown = notebook.output(cell)
            assert shown.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
        assert contrast(notebook.output(2).locator("summary").first) >= 4.5
        assert contrast(notebook.output(3).locator("td").first) >= 4.5
    assert notebook.output(2).locator("img").count() == 0
    assert "loading Bern" in notebook.text(2)
    assert notebook.output(3).locator("td b").count() == 0
    tab.theme(THEMES[0])
    notebook.output(2).locator("summary").first.click()
    picture(tab, "tools")
    notebook.output(5).scroll_into_view_if_needed()
    picture(tab, "rows")


def test_run_all_loses_no_message_while_async_tools_run(opened):
    waiting = "%%kimi -t slowly\nWait. " + '<<tool slowly {"seconds": 1.5}>><<tool slowly {"seconds": 1.2}>>'
    notebook = opened(TOOLS, waiting, "print('after', 1)", waiting, "await asyncio.sleep(0.1); print('after', 2)")
    notebook.run_all()
    notebook.wait_idle()
    assert "after 1" in notebook.text(3)
    assert "after 2" in notebook.text(5)
    assert "waited 1.5 s" in notebook.text(4)
