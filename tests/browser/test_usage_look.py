"""Where the tokens went, as a person sees it: tables and pictures, trusted and not, in light and dark."""

from __future__ import annotations

import nbformat
import pytest

from tests.browser.conftest import THEMES, picture
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TABLE = "import pandas as pd; frame = pd.DataFrame({'n': range(300), 'm': ['word'] * 300})"
ASKED = [
    "%%kimi -q -c frame --full\n<<think Some thoughts.>><<tokens 300>>",
    "%%kimi -q\nAnd now? <<tokens 500>>",
    "%%kimi -q -m k2.7\nAnd this? <<tokens 60>>",
    "%%kimi -q\nAnd then? <<tokens 200>>",
]
COLOURS = """node => [...node.querySelectorAll('span[style*=background-color]')].filter(
    each => each.offsetWidth > 5 && getComputedStyle(each).backgroundColor !== 'rgba(0, 0, 0, 0)').length"""


def test_prefix_and_usage_are_legible_with_trust_and_without(opened, tab, lab):
    notebook = opened(TABLE, *ASKED, "%kimi prefix", "%kimi usage --plot", "%kimi budget $2/day")
    notebook.run_all()
    notebook.wait_idle()
    for cell in (6, 7):
        shown = notebook.output(cell)
        for theme in THEMES:
            tab.theme(theme)
            assert contrast(shown.locator("td").first) >= 4.5
            assert shown.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
        assert shown.evaluate(COLOURS) >= 8
    assert "the first of its conversation" in notebook.text(6)
    picture(tab, "usage")
    notebook.save()
    saved = lab.read(notebook.name)
    saved.metadata["sent_by"] = "somebody else"  # the signature fits no longer
    nbformat.write(saved, lab.root / "received-usage.ipynb")
    received = tab.open("received-usage.ipynb", kernel=False)
    assert not received.ask("panel => panel.content.model.cells.get(6).trusted")
    received.output(6).locator("table").wait_for()
    assert received.output(6).evaluate(COLOURS) >= 8
    picture(tab, "usage-untrusted")
    received.close(shutdown=False)
