"""How the panel looks and reads: both themes, narrow and wide, for eyes, ears and keyboards; and hostile replies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.chat import KIMI, Chat, opened
from tests.browser.conftest import ARTEFACTS, MARKDOWN, THEMES, picture, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.browser import LabTab
    from tests.harness.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.usefixtures("tab")]

SETUP = '''import kimi_magic, pandas as pd
wine = pd.DataFrame({"alcohol": [12.1, 13.2, 14.3], "cultivar": list("abc")})

@kimi_magic.tool(approve=True)
def load(city: str) -> str:
    """Load the weather of a city."""
    return f"20 degrees in {city}"
'''
HOSTILE = """<script>window.owned = 1</script><img src=x onerror="window.owned = 2">

![logo](http://192.0.2.1/logo.png) [go](javascript:window.owned=3) [out](https://example.org/a)

<style>body { display: none }</style> <iframe src="http://192.0.2.1/"></iframe>

```html"><img src=x onerror=window.owned=4>
<img src=x onerror=window.owned=5>
```

$\\href{javascript:window.owned=6}{x}$
"""
_SAID = """node => {
    const said = window.kimiSaid = [];
    new MutationObserver(() => said.push(node.innerText.trim())).observe(node, {childList: true, subtree: true});
}"""


@pytest.fixture(scope="module")
def opened_chat(lab_tab: LabTab, lab: Lab) -> Iterator[Chat]:
    chat = opened(lab_tab, lab, "panel-look.ipynb", setup=f"{KIMI}\n{SETUP}")
    yield chat
    chat.notebook.close()


@pytest.fixture
def chat(opened_chat: Chat) -> Iterator[Chat]:
    """The panel, seen whole."""
    opened_chat.panel.scroll_into_view_if_needed()
    yield opened_chat
    opened_chat.page.emulate_media(reduced_motion="no-preference", forced_colors="none")


def test_an_empty_panel_is_legible(chat: Chat, tab: LabTab) -> None:
    picture(tab, "panel-empty")
    for theme in THEMES:
        tab.theme(theme)
        assert chat.problems() == []


def test_a_conversation_is_legible_in_both_themes(chat: Chat, tab: LabTab) -> None:
    chat.ask(f"Which of {{{{ wine }}}} differ?\n{say(MARKDOWN)}<<think One table, one list.>>")
    chat.button("Tools").click()
    chat.panel.get_by_role("checkbox", name="load").check()
    chat.button("Tools").click()
    turn = chat.ask('How warm is it? <<tool load {"city": "Bern"}>><<say It is mild.>>', done=False)
    wanted = turn.get_by_role("group", name="Run load?")
    expect(wanted).to_be_visible()
    picture(tab, "panel-approval")
    for theme in THEMES:
        tab.theme(theme)
        assert chat.problems() == []
    chat.button("Allow", inside=wanted).click()
    chat.wait_done(turn)
    chat.log.evaluate("node => { node.scrollTop = 0; }")
    picture(tab, "panel")
    for summary in chat.turns.locator("summary").all():
        summary.click()
    for theme in THEMES:
        tab.theme(theme)
        assert chat.problems() == []
    chat.log.evaluate("node => { node.scrollTop = node.scrollHeight; }")
    picture(tab, "panel-open")


def test_menus_search_and_preview_are_legible(chat: Chat, tab: LabTab) -> None:
    chat.input.press_sequentially("What is {{ ")
    expect(chat.options.first).to_be_visible()
    assert chat.problems() == []
    picture(tab, "panel-completion")
    chat.input.press("Escape")
    chat.write("What is {{ wine }}?")
    chat.button("What goes along").click()
    chat.button("Search the transcript").click()
    chat.panel.get_by_role("searchbox").fill("mean")
    expect(chat.panel.locator(".kp-find output")).to_contain_text("of")
    expect(chat.panel.get_by_role("region", name="Preview")).to_contain_text("tokens")
    for theme in THEMES:
        tab.theme(theme)
        assert chat.problems() == []
    picture(tab, "panel-search")
    chat.button("Close the search").click()
    chat.button("What goes along").click()
    chat.write("")


def test_it_fits_where_it_is_narrow(chat: Chat, tab: LabTab) -> None:
    size = tab.page.viewport_size
    tab.page.set_viewport_size({"width": 520, "height": 860})
    expect(chat.panel).to_be_visible()
    overflow = (
        "node => [...node.querySelectorAll('.kp-head, .kp-log, .kp-composer')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert max(chat.panel.evaluate(overflow)) <= 0
    picture(tab, "panel-narrow")
    tab.page.set_viewport_size(size)


def test_everything_is_reached_and_seen_by_keyboard(chat: Chat, tab: LabTab) -> None:
    chat.write("By keyboard <<say Yes.>>")
    chat.input.press("Enter")
    expect(chat.turns.last).to_contain_text("Yes.")
    names = []
    chat.panel.get_by_label("Conversation", exact=True).focus()
    for _ in range(80):
        name, outline = tab.page.evaluate(
            "() => [document.activeElement.getAttribute('aria-label') || document.activeElement.innerText,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        names.append(name)
        if name == "Question":
            break
        assert outline != "none", name
        tab.page.keyboard.press("Tab")
    wanted = [
        "Conversation",
        "Effort",
        "Tools",
        "Search the transcript",
        "Transcript",
        "Copy this reply",
        "Ask again",
        "Question",
    ]
    assert set(wanted) <= set(names)


def test_ears_hear_sentences(chat: Chat, tab: LabTab) -> None:
    live = chat.panel.locator(".kp-unseen[role=status]")
    chat.ask("Before. <<say Nothing.>>")
    expect(live).to_contain_text("complete")
    live.evaluate(_SAID)
    chat.ask("Tell. <<rate 30>><<say The first sentence is here. The second one, too.\n\nAnd a third one, at last.>>")
    tab.page.wait_for_function("() => /third one, at last[^]*complete/.test(window.kimiSaid.join(' '))")
    said = [each for each in tab.page.evaluate("() => window.kimiSaid") if each]
    assert len(said) <= 4
    assert all(each.endswith(".") for each in said)
    assert "The first sentence is here. The second one, too." in " ".join(said)
    assert " ".join(said).count("And a third one, at last.") == 1


def test_motion_and_colours_follow_the_readers_wishes(chat: Chat, tab: LabTab) -> None:
    tab.page.emulate_media(reduced_motion="reduce", forced_colors="active")
    turn = chat.ask("Slowly. <<first 2>><<say Done.>>", done=False)
    status = turn.locator(".kp-status")
    expect(status).to_be_visible()
    assert status.evaluate("node => getComputedStyle(node, '::before').animationName") == "none"
    chat.wait_done(turn)
    ARTEFACTS.mkdir(exist_ok=True)
    tab.screenshot(ARTEFACTS / "panel-forced-colors.png")


def test_a_hostile_reply_runs_and_loads_nothing(chat: Chat, tab: LabTab) -> None:
    turn = chat.ask(f"{say(HOSTILE)}<<think <img src=x onerror=window.owned=7>. >><<rate 150>>")
    assert tab.page.evaluate("() => window.owned") is None
    assert tab.foreign == []
    reply = turn.locator(".kp-reply")
    assert reply.locator("script, iframe, style, img, object, embed").count() == 0
    links = reply.locator(".kp-piece a")
    for link in links.all():
        assert re.match("https?://", link.get_attribute("href"))
        assert link.get_attribute("target") == "_blank"
        assert "noopener" in link.get_attribute("rel")
    assert links.count() == 3  # the image, the iframe's bare address, and the one that is a link
    assert "<script>" in chat.reply(turn)
    chat.panel.locator("input[type=file]").set_input_files(
        [{"name": "<img src=x onerror=window.owned=8>.txt", "mimeType": "text/plain", "buffer": b"x"}]
    )
    expect(chat.panel.locator(".kp-composer .kp-chip")).to_contain_text("1 line")
    chat.panel.locator(".kp-composer .kp-chip button").click()
    assert tab.page.evaluate("() => window.owned") is None
