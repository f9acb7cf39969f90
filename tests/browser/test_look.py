"""How a finished reply looks in JupyterLab, in both themes."""

from __future__ import annotations

import pytest

from tests.browser.conftest import THEMES, picture
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

READABLE = 4.5
"""Contrast that WCAG asks of text (AA); its figure for large or faint text is 3."""
FAINT = 3


@pytest.fixture
def shown(showcase):
    """A reply with all that Markdown has, as it stands in the page."""
    return showcase.output(1)


@pytest.mark.usefixtures("tab")
def test_blocks_of_markdown_are_elements(shown):
    assert shown.locator("table").first.locator("tr").count() == 3
    assert shown.locator("li li").all_inner_texts() == ["the axes", "the curve"]
    assert [item.inner_text()[:2].strip() for item in shown.locator("ul > li").all()] == ["☑︎", "☐"]
    assert shown.locator("h2, blockquote a, blockquote code, blockquote s").count() == 4
    assert shown.locator("strong").all_inner_texts() == ["重点。"]


def test_mathematics_is_typeset_in_every_notation_and_money_is_not(shown):
    shown.locator("mjx-container").nth(3).wait_for()
    assert shown.locator("mjx-container").count() == 4
    assert shown.locator("mjx-container[display=true]").count() == 2
    assert "The pair costs $5 and $10, and" in shown.inner_text()


@pytest.mark.parametrize("theme", THEMES)
def test_code_is_coloured_and_everything_is_readable(shown, tab, theme):
    tab.theme(theme)
    colours = shown.locator("pre").evaluate(
        "pre => [pre, ...pre.querySelectorAll('span')].map(each => getComputedStyle(each).color)"
    )
    assert len(set(colours)) >= 5
    assert colours.count(colours[0]) == 1
    for text in ("td", "li", "a", "p", "pre", "blockquote p"):
        assert contrast(shown.locator(text).first) >= READABLE, text
    for text in ("pre span.c", "pre span.k", "pre span.nf", "summary", ".kimi > details:last-child > summary"):
        assert contrast(shown.locator(text).first) >= FAINT, text


def test_thinking_is_folded_and_opens_on_a_click(shown, tab):
    thought = shown.get_by_text("One table, one list.")
    assert not thought.is_visible()
    shown.locator("summary").first.click()
    assert thought.is_visible()
    picture(tab, "markdown")
    shown.locator("summary").first.click()
    assert not thought.is_visible()


def test_the_footer_names_model_time_and_tokens_behind_the_badges(shown):
    badges = shown.locator(".kimi > details:last-child > summary > span").all_inner_texts()
    assert badges == ["local model", "no account set"]
    footer = shown.locator(".kimi > details:last-child > summary").inner_text()
    assert [fact.split()[-1] for fact in footer.split(" · ")[1:]][:2] == ["s", "in"]


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_of_it_is_wider_than_the_cell(shown, tab, theme):
    tab.theme(theme)
    assert shown.evaluate("node => node.scrollWidth - node.clientWidth") <= 0


def test_an_error_is_at_most_five_lines_and_readable(opened, tab):
    notebook = opened("%%kimi\n<<fault 10000>>", "%%kimi --nonsense\nHello")
    for cell, name in ((1, "AuthenticationError"), (2, "CommandError")):
        if cell == 1:
            notebook.run_all()
        else:
            notebook.run_cell(cell)
        notebook.wait_idle()
        [output] = notebook.outputs(cell)
        assert output["ename"] == name
        assert len(notebook.text(cell).strip().splitlines()) <= 5
        assert "Traceback" not in notebook.text(cell)
    for theme in THEMES:
        tab.theme(theme)
        shown = notebook.output(1)
        assert contrast(shown.locator("span").first) >= FAINT
        assert contrast(shown.locator("pre").first) >= READABLE
    picture(tab, "errors")


def test_an_empty_reply_says_what_to_do(opened, tab):
    notebook = opened(
        "%%kimi --max-tokens 20\n<<think I go on and on.>><<say >><<finish length>>",
        "%%kimi --max-tokens 20\n<<tokens 20>><<finish length>>",
        "%%kimi -f json\n<<say no json>>",
        "%%kimi\n<<tokens 200>><<fault cut after=60>>",
    )
    notebook.run_all()
    notebook.wait_idle()
    assert "thinking used the whole budget of 20 tokens" in notebook.text(1)
    assert "it reached 20 tokens" in notebook.text(2)
    assert "This is not valid JSON" in notebook.text(3)
    assert "this reply is not complete" in notebook.text(4)
    assert notebook.outputs(4)[-1]["ename"] == "BrokenReply"
    picture(tab, "notices")
