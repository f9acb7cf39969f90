"""A finished notebook elsewhere: opened without a kernel and without trust, as a web page, and in Notebook 7."""

from __future__ import annotations

import nbformat
import pytest
from nbconvert import HTMLExporter

from tests.browser.conftest import ARTEFACTS, LOAD, MARKDOWN, picture, say
from tests.browser.test_look import FAINT, READABLE
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_a_saved_reply_shows_without_a_kernel_and_without_trust(lab, tab, showcase):
    saved = lab.read(showcase.name)
    saved.metadata["sent_by"] = "somebody else"  # the signature fits no longer
    nbformat.write(saved, lab.root / "received.ipynb")
    notebook = tab.open("received.ipynb", kernel=False)
    shown = notebook.output(1)
    shown.locator("mjx-container").nth(3).wait_for()
    assert notebook.ask("panel => panel.sessionContext.session") is None
    assert not notebook.ask("panel => panel.content.model.cells.get(1).trusted")
    assert shown.locator("table").first.locator("tr").count() == 3
    assert "{" not in shown.inner_text()
    assert not shown.get_by_text("One table, one list.").is_visible()
    assert len(set(shown.locator("pre span").evaluate_all("all => all.map(each => getComputedStyle(each).color)"))) >= 4
    picture(tab, "untrusted")
    notebook.close(shutdown=False)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_saved_reply_is_legible_as_a_web_page_without_a_network(lab, browser, showcase, tmp_path, theme):
    page = tmp_path / "finished.html"
    page.write_text(HTMLExporter(template_name="lab", theme=theme).from_notebook_node(lab.read(showcase.name))[0])
    tab = browser.tab(page.as_uri())
    shown = tab.page.locator(".kimi")
    assert shown.locator("table").first.locator("tr").count() == 3
    assert "{" not in shown.locator("h2, p").first.inner_text()
    for text in ("td", "p", "pre", "a"):
        assert contrast(shown.locator(text).first) >= READABLE, text
    for text in ("pre span.k", "summary"):
        assert contrast(shown.locator(text).first) >= FAINT, text
    tab.screenshot(ARTEFACTS / f"nbconvert-{theme}.png")
    assert not [url for url in tab.foreign if "cdnjs" not in url]
    tab.close()


def test_notebook_7_streams_and_shows_the_same(lab, browser):
    lab.write("seven.ipynb", LOAD, f"%%kimi\n{say(MARKDOWN)}<<rate 150>>")
    notebook = browser.notebook7(lab, "seven.ipynb")
    notebook.watch(1)
    notebook.run_all()
    notebook.wait_idle()
    assert len({sight.text for sight in notebook.seen(1) if sight.running}) >= 4
    [output] = notebook.outputs(1)
    assert set(output["data"]) == {"text/html", "text/plain"}
    shown = notebook.output(1)
    shown.locator("mjx-container").nth(3).wait_for()
    assert shown.locator("table").first.locator("tr").count() == 3
    assert notebook.tab.foreign == []
    picture(notebook.tab, "notebook7")
    notebook.close()
    notebook.tab.close()
