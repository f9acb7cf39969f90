"""What a person does in the panel: writing, watching a reply come, stopping, branches, files, search."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import TimeoutError, expect  # noqa: A004  # Playwright's own

from tests.browser.chat import KIMI, Chat, opened
from tests.browser.conftest import MARKDOWN, say

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
_DROP = """(node, [name, media, text]) => {
    const files = new DataTransfer();
    files.items.add(new File([text], name, {type: media}));
    for (const type of ["dragover", "drop"]) {
        node.dispatchEvent(new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true}));
    }
}"""
_PASTE = """(node, bytes) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add(new File([new Uint8Array(bytes)], "image.png", {type: "image/png"}));
    node.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def opened_chat(lab_tab: LabTab, lab: Lab) -> Iterator[Chat]:
    chat = opened(lab_tab, lab, "panel-writing.ipynb", "", "", setup=f"{KIMI}\n{SETUP}")
    yield chat
    chat.notebook.close()


@pytest.fixture
def chat(opened_chat: Chat) -> Chat:
    """The panel with an empty conversation."""
    if (stop := opened_chat.button("Stop the reply")).is_visible():
        with suppress(TimeoutError):  # what a test has left running may end by itself
            stop.click(timeout=2_000)
    if opened_chat.turns.count():
        opened_chat.clear()
    opened_chat.write("")
    return opened_chat


def test_an_empty_panel_suggests_what_is_worth_asking(chat: Chat) -> None:
    chat.button("What is in wine?").click()
    assert "{{ wine }}" in chat.input.input_value()


def test_enter_sends_and_shift_enter_breaks_the_line(chat: Chat) -> None:
    chat.input.press_sequentially("one")
    chat.input.press("Shift+Enter")
    chat.input.press_sequentially("two")
    composing = {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    chat.input.dispatch_event("keydown", composing)  # chooses a word of an input method
    assert chat.input.input_value() == "one\ntwo"
    chat.input.press("Enter")
    expect(chat.turns.locator(".kp-bubble")).to_have_text("one\ntwo")
    assert chat.input.input_value() == ""
    chat.wait_done(chat.turns.first)


def test_up_brings_back_what_was_asked(chat: Chat) -> None:
    for text in ("first <<say a>>", "second <<say b>>"):
        chat.ask(text)
    chat.input.press("ArrowUp")
    assert chat.input.input_value() == "second <<say b>>"
    chat.input.press("ArrowUp")
    assert chat.input.input_value() == "first <<say a>>"
    chat.input.press("ArrowDown")
    chat.input.press("ArrowDown")
    assert chat.input.input_value() == ""


def test_the_notebooks_shortcuts_stay_out(chat: Chat) -> None:
    before = chat.notebook.sources()
    chat.input.press_sequentially("dd aa bb x")
    chat.button("Search the transcript").focus()
    chat.page.keyboard.type("dda")
    assert chat.notebook.sources() == before
    assert chat.input.input_value() == "dd aa bb x"


def test_a_reply_comes_piece_by_piece_and_what_is_finished_stays(chat: Chat) -> None:
    turn = chat.ask(f"{say(MARKDOWN)}<<think One table, one list.>><<rate 60>>", done=False)
    block = turn.locator(".kp-block").first
    expect(block).to_be_visible()
    block.evaluate("node => { node.firstElementChild.dataset.seen = 'once'; }")
    expect(chat.button("Stop the reply")).to_be_visible()
    chat.wait_done(turn)
    expect(turn.locator("[data-seen=once]")).to_have_count(1)
    expect(turn.locator("table td").first).to_have_text("height")
    expect(turn.locator(".kp-code .highlight .k").first).to_have_text(re.compile("def"))
    expect(turn.locator("mjx-container")).to_have_count(4)
    thinking = turn.locator("details.kp-thinking")
    expect(thinking).to_have_js_property("open", value=False)
    thinking.locator("summary").click()
    expect(thinking.get_by_text("One table, one list.")).to_be_visible()
    expect(turn.locator(".kp-status")).to_have_count(0)


def test_it_follows_the_end_until_the_reader_scrolls_up(chat: Chat) -> None:
    turn = chat.ask("Long. <<tokens 900>><<rate 300>>", done=False)
    at_end = "node => node.scrollHeight - node.scrollTop - node.clientHeight < 40"
    chat.page.wait_for_function("node => node.scrollTop > 200", arg=chat.log.element_handle())
    assert chat.log.evaluate(at_end)
    chat.log.hover()
    chat.page.mouse.wheel(0, -300)
    end = chat.button("Go to the end")
    expect(end).to_be_visible()
    stood = chat.log.evaluate("node => node.scrollTop")
    length = len(turn.inner_text())
    chat.page.wait_for_function(
        "([node, length]) => node.innerText.length > length + 200", arg=[turn.element_handle(), length]
    )
    assert abs(chat.log.evaluate("node => node.scrollTop") - stood) < 5
    end.click()
    chat.wait_done(turn)
    assert chat.log.evaluate(at_end)
    expect(end).to_be_hidden()


def test_stop_ends_a_reply_and_keeps_what_came(chat: Chat) -> None:
    turn = chat.ask("All of it. <<tokens 4000>><<rate 100>>", done=False)
    expect(turn.locator(".kp-tail")).to_contain_text("Part 1")
    chat.button("Stop the reply").click()
    chat.wait_done(turn)
    assert len(chat.reply(turn)) < 4000
    assert "Stopped" in turn.inner_text() or "cut" in turn.inner_text().lower()
    expect(chat.button("Stop the reply")).to_be_hidden()


def test_asking_again_makes_a_branch_and_arrows_go_between(chat: Chat) -> None:
    turn = chat.ask("Which? <<say Here.>>")
    chat.button("Ask again", inside=turn).click()
    version = chat.turns.get_by_role("group", name="Version 2 of 2")
    expect(version).to_be_visible()
    chat.wait_done(chat.turns.first)
    chat.button("Earlier version").click()
    expect(chat.turns.get_by_role("group", name="Version 1 of 2")).to_be_visible()
    expect(chat.turns).to_have_count(1)


def test_a_question_is_edited_and_asked_from_there(chat: Chat) -> None:
    first = chat.ask("Name a colour. <<say Red.>>")
    chat.ask("And another. <<say Blue.>>")
    chat.button("Edit this question and ask from here", inside=first).click()
    assert chat.input.input_value() == "Name a colour. <<say Red.>>"
    chat.write("Name a metal. <<say Zinc.>>")
    chat.input.press("Enter")
    expect(chat.turns.locator(".kp-bubble")).to_have_text(["Name a metal. <<say Zinc.>>"])
    chat.wait_done(chat.turns.first)
    chat.button("Earlier version").click()
    expect(chat.turns).to_have_count(2)
    assert chat.questions()[1] == "And another. <<say Blue.>>"


def test_a_call_waits_for_allow_or_refuse(chat: Chat) -> None:
    chat.button("Tools").click()
    chat.panel.get_by_role("checkbox", name="load").check()
    ask = 'How warm? <<tool load {"city": "Bern"}>><<say Done.>>'
    for answer, state in (("Allow", "done"), ("Refuse", "refused")):
        turn = chat.ask(ask, done=False)
        wanted = turn.get_by_role("group", name="Run load?")
        expect(wanted).to_be_visible()
        expect(turn.locator(".kp-card pre")).to_contain_text("Bern")
        chat.button(answer, inside=wanted).click()
        chat.wait_done(turn)
        card = turn.locator(".kp-card")
        expect(card).to_contain_text(state)
        card.locator("summary").click()
        shown = "20 degrees in Bern" if answer == "Allow" else "did not agree"
        expect(card.locator("pre").get_by_text(shown).first).to_be_visible()
    chat.panel.get_by_role("checkbox", name="load").uncheck()
    chat.button("Tools").click()


def test_files_are_chosen_pasted_and_dropped_and_checked(chat: Chat, seen) -> None:
    chat.panel.locator("input[type=file]").set_input_files(
        [{"name": "notes.txt", "mimeType": "text/plain", "buffer": b"one\ntwo\n"}]
    )
    chips = chat.panel.locator(".kp-composer .kp-chip")
    expect(chips.first).to_contain_text("2 lines")
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(picture, "PNG")
    chat.input.evaluate(_PASTE, list(picture.getvalue()))
    expect(chips.nth(1)).to_contain_text("64 × 48")
    expect(chips.nth(1).locator("img")).to_be_visible()
    chat.panel.locator(".kp-box").evaluate(_DROP, ["trick.png", "image/png", "\0\1\2"])
    expect(chips.nth(2)).to_contain_text("neither a picture nor text")
    chat.button("Leave trick.png out").click()
    expect(chips).to_have_count(2)
    turn = chat.ask("What are these? <<say A text and a picture.>>")
    expect(chips).to_have_count(0)
    expect(turn.locator(".kp-attached")).to_contain_text("notes.txt")
    sent = str(seen.last())
    assert "one\\\\ntwo" in sent or "one\\ntwo" in sent
    assert "data:image" in sent


def test_objects_are_picked_and_what_goes_along_is_shown_before(chat: Chat) -> None:
    chat.input.press_sequentially("Describe ")
    chat.button("Insert a live object").click()
    option = chat.options.filter(has_text="wine")
    expect(option).to_contain_text("3 × 2")
    chat.input.press_sequentially("wi")
    expect(chat.options).to_have_count(1)
    chat.input.press("Tab")
    chat.input.press_sequentially("in a word.")
    assert chat.input.input_value() == "Describe {{ wine }} in a word."
    chat.button("What goes along").click()
    preview = chat.panel.get_by_role("region", name="Preview")
    expect(preview.locator("li").filter(has_text="wine")).to_contain_text("tokens")
    expect(chat.panel.locator(".kp-estimate")).to_contain_text("tokens")
    chat.button("What goes along").click()


def test_copy_and_insert(chat: Chat, tab: LabTab) -> None:
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    turn = chat.ask(say("Look:\n\n```python\nprint(1 + 1)\n```\n"))
    chat.button("Copy code (python)", inside=turn).click()
    assert tab.page.evaluate("navigator.clipboard.readText()") == "print(1 + 1)\n"
    chat.button("Copy this reply", inside=turn).click()
    assert tab.page.evaluate("navigator.clipboard.readText()").startswith("Look:\n\n```python")
    before = len(chat.notebook.sources())
    insert = chat.button("Put code (python) into a cell below", inside=turn)
    insert.click()
    insert.click()
    sources = chat.notebook.sources()
    assert sources[2] == "print(1 + 1)"  # the empty one below the panel
    assert len(sources) == before + 1
    assert sources[2:4] == ["print(1 + 1)"] * 2


def test_slash_commands_complete_and_tell(chat: Chat) -> None:
    chat.input.press_sequentially("/he")
    expect(chat.options).to_have_count(1)
    expect(chat.options).to_contain_text("/help")
    chat.input.press("Enter")
    assert chat.input.input_value().strip() == "/help"
    chat.input.press("Enter")
    expect(chat.turns.last).to_contain_text("/fix")
    chat.write("/nonsense")
    chat.input.press("Enter")
    expect(chat.turns.last).to_contain_text("/nonsense")


def test_model_effort_and_conversation_are_switched(chat: Chat) -> None:
    chat.choose("Effort", "high")
    chat.ask("A turn of main. <<say yes>>")
    chat.write("/fork side")
    chat.input.press("Escape")
    chat.input.press("Enter")
    menu = chat.panel.get_by_label("Conversation", exact=True)
    expect(menu).to_have_value("side")
    expect(chat.panel.get_by_label("Effort", exact=True)).to_have_value("high")
    chat.choose("Effort", "auto")


def test_what_was_used_stands_below(chat: Chat) -> None:
    chat.ask("Count. <<say one two three>>")
    expect(chat.panel.locator(".kp-usage")).to_contain_text(re.compile(r"[\d,]+ of [\d,]+ tokens"))


def test_questions_wait_in_a_queue_and_can_be_taken_back(chat: Chat) -> None:
    turn = chat.ask("Slow. <<tokens 2000>><<rate 200>>", done=False)
    for text in ("second <<say 2>>", "third <<say 3>>"):
        chat.write(text)
        chat.input.press("Enter")
    queue = chat.panel.get_by_role("list", name="Questions that wait").get_by_role("listitem")
    expect(queue).to_have_count(2)
    chat.button("Take back: third <<say 3>>").click()
    expect(queue).to_have_count(1)
    chat.button("Stop the reply").click()
    chat.wait_done(turn)
    expect(chat.turns).to_have_count(2)
    chat.wait_done(chat.turns.last)
    assert chat.questions()[-1] == "second <<say 2>>"


def test_search_finds_and_goes_from_match_to_match(chat: Chat) -> None:
    chat.ask("one <<say The quick brown fox.>>")
    chat.ask(f"two {say('A fox in `code` and a **fox**.')}")
    chat.button("Search the transcript").click()
    search = chat.panel.get_by_role("searchbox")
    count = chat.panel.locator(".kp-find output")
    search.press_sequentially("fox")
    expect(count).to_have_text(re.compile(r"\d of \d"))
    found = int(count.inner_text().split()[-1])
    assert found >= 4
    assert chat.page.evaluate("CSS.highlights.get('kimi-found').size") == found
    at = int(count.inner_text().split()[0])
    search.press("Enter")
    expect(count).to_have_text(f"{at % found + 1} of {found}")
    search.fill("no such words")
    expect(count).to_have_text("no match")
    search.press("Escape")
    expect(search).to_be_hidden()


def test_cells_and_panel_share_one_conversation(chat: Chat) -> None:
    chat.ask("My name is Ada. <<say Hello, Ada.>>")
    notebook = chat.notebook
    notebook.ask(
        "(panel, text) => panel.content.widgets[3].model.sharedModel.setSource(text)",
        "%%kimi\nFrom a cell. <<say I know you.>>",
    )
    notebook.run_cell(3)
    notebook.wait_idle()
    expect(chat.turns).to_have_count(2)
    expect(chat.turns.last).to_contain_text("I know you.")
    expect(chat.turns.last.locator(".kp-origin")).to_have_text(re.compile(r"In \[\d+\]"))


def test_a_question_is_asked_for_later_as_a_job(chat: Chat) -> None:
    chat.write("Take your time. <<say It took a while.>>")
    chat.button("Ask later, as a job").click()
    expect(chat.log).to_contain_text("Asked for later")
    expect(chat.turns.first).to_contain_text("It took a while.")
    assert chat.questions() == ["Take your time. <<say It took a while.>>"]
    chat.write("/jobs")
    chat.input.press("Escape")
    chat.input.press("Enter")
    expect(chat.log).to_contain_text("Take your time.")
