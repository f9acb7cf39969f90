"""What the profiler says of each request: appended conversations never break, and each kind of break is named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic.messages import Image, Message, Text, Usage
from kimi_magic.prefix import Break, Entry, Prefix, profile
from kimi_magic.sent import Item
from kimi_magic.wire import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

K26 = "@cf/moonshotai/kimi-k2.6"
LONG = "A sentence of some words that goes on and on. " * 100


def asked(*texts: str, system: str = "", affinity: str = "a", model: str = K26, cached: int | None = None) -> Entry:
    """A request of these questions and replies in turn; the service counted a token for four characters."""
    said = [Message.of("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts)]
    messages = ([Message.of("system", system)] if system else []) + said
    tokens = sum(len(message.text) for message in messages) // 4 + 10
    usage = Usage(tokens, tokens if cached is None else cached, 5)
    return Entry(Request(model, tuple(messages), 100), affinity, (), usage)


def broke(*log: Entry) -> Break | None:
    return profile(log)[-1].broke


def words(*log: Entry) -> str:
    return str(broke(*log))


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=8), st.text())
def test_a_conversation_that_is_only_appended_to_never_breaks(turns: list[tuple[str, str]], system: str) -> None:
    log = []
    said: list[str] = []
    for question, reply in turns:
        log.append(asked(*said, question, system=system))
        said += [question, reply]
    found = profile(log)
    assert [one.broke for one in found] == [None] * len(log)
    assert [one.earlier for one in found] == [None, *range(len(log) - 1)]
    assert all(one.share == 1 for one in found[1:])
    assert [one.bytes for one in found] == sorted(one.bytes for one in found)


@given(st.lists(st.text(max_size=6), min_size=3, max_size=7), st.integers(0, 5), st.text(max_size=6))
def test_any_change_of_what_was_sent_is_found(said: list[str], at: int, text: str) -> None:
    said = said if len(said) % 2 else said[:-1]
    at %= len(said)
    before, now = asked(*said), asked(*said[:at], text, *said[at + 1 :], "reply", "question")
    found = broke(before, now)
    assert (found is None) == (text == said[at])
    assert found is None or re.match(rf"turns? {at // 2 + 1}\b", found.part)


def test_the_part_and_the_way_are_named() -> None:
    base = asked("one", "1", "two", "2", "three")
    assert words(asked("one", system="A"), asked("one", "1", "two", system="B", cached=0)) == (
        "system message changed, ≈ 3 tokens read again"
    )
    assert words(base, asked("one", "1", "two", "II", "three", "3", "four")).startswith("turn 2's reply changed")
    assert words(base, asked("one", "1", "two!", "2", "three")).startswith("turn 2's question changed")
    assert words(base, asked("one", "1", "new", "n", "two", "2", "three")).startswith("turn 2's question inserted")
    assert words(base, asked("one", "1", "three", "3", "four")).startswith("turn 2 removed")
    assert words(base, asked("one", "1", "two", "2", "three", system="S")).startswith("system message inserted")
    assert words(asked("one", system="S"), asked("one", "1", "two")).startswith("system message removed")


def test_a_question_asked_anew_on_a_branch_reads_nothing_but_itself_again() -> None:
    found = broke(asked("one", "1", "two"), asked("one", "1", "deux"))
    assert found == Break("changed", "turn 2's question")


def test_a_shorter_request_that_was_read_already_breaks_nothing() -> None:
    assert broke(asked("one", "1", "two"), asked("one")) is None


def test_the_best_earlier_request_counts_not_the_last() -> None:
    log = [asked("one"), asked("one", "1", "two"), asked("one", "1", "aside"), asked("one", "1", "two", "2", "three")]
    found = profile(log)[-1]
    assert (found.earlier, found.broke) == (1, None)


def block(name: str, text: str) -> Item:
    return Item(name, "table", (Text(f'<context name="{name}">\n{text}\n</context>\n\n'),))


def question(*items: Item, text: str = "What is odd?") -> Entry:
    """A request whose question brings parts along."""
    parts = tuple(part for item in items for part in item.parts)
    joined = "".join(part.text for part in parts if isinstance(part, Text))
    images = tuple(part for part in parts if isinstance(part, Image))
    first = Message("user", (Text(joined + text), *images))
    own = Item("question", "question", (Text(text),))
    return Entry(Request(K26, (first,), 100), "a", (*items, own), Usage(500, 0, 1))


def picture(data: bytes) -> Item:
    return Item("fig", "figure", (Image(data, "image/png", 1, 1), Text("a figure")))


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ((block("df", "1, 2"), block("ex", "x")), (block("df", "1, 3"), block("ex", "x")), "df changed"),
        ((block("df", "1, 2"), block("ex", "x")), (block("ex", "x"),), "df removed"),
        ((block("ex", "x"),), (block("df", "1, 2"), block("ex", "x")), "df inserted"),
        ((picture(b"a"),), (picture(b"b"),), "fig changed"),
    ],
)
def test_the_part_of_a_question_is_named(before: tuple[Item, ...], now: tuple[Item, ...], told: str) -> None:
    assert words(question(*before), question(*now)) == f"turn 1's question, its part {told}"


def test_the_text_of_a_question_is_no_part_of_it() -> None:
    df = block("df", "1, 2")
    assert words(question(df), question(df, text="Why?")) == "turn 1's question changed"


def test_another_affinity_another_model_and_an_eviction_are_told_apart() -> None:
    first = asked(LONG)
    assert words(first, asked(LONG, "ok", "why?", affinity="b", cached=0)).startswith("other affinity, ≈ 1,")
    assert words(first, asked(LONG, "ok", "why?", model="moonshotai/kimi-k3", cached=0)).startswith(
        "model changed, ≈ 1,"
    )
    late = replace(asked(LONG, "ok", "why?", cached=0), time=600.0)
    assert words(first, late).startswith("evicted, 10 min later, ≈ 1,")
    assert broke(asked("hi"), asked("hi", affinity="b")) is None  # nothing to speak of


def test_nothing_was_read_again_that_the_service_says_it_found() -> None:
    assert broke(asked(LONG), asked(LONG, "ok", "why?", model="moonshotai/kimi-k3")) is None
    assert broke(asked(LONG), asked(LONG, "ok", "why?", affinity="b")) is None
    assert words(asked("one", LONG, "two"), asked("eins", LONG, "two")) == "turn 1's question changed"


def test_turns_have_the_numbers_that_history_gives_them() -> None:
    base = replace(asked("one", "1", "two", "2", "three", "3", "four"), turns=(4, 5, 7, 8))
    assert words(base, replace(asked("two", "2", "three", "3", "more"), turns=(5, 7, 9))).startswith("turn 4 removed")
    assert words(base, replace(asked("three", "3", "more"), turns=(7, 9))).startswith("turns 4 to 5 removed")
    later = replace(asked("one", "1", "zwei"), turns=(4, 9))
    assert words(base, later) == "turn 5's question changed"
    assert profile([base, later])[-1].turn == 9


def test_the_reply_that_the_service_holds_too_was_possible() -> None:
    first = asked(LONG)
    found = profile([first, asked(LONG, LONG, "why?", cached=first.usage.input + 900)])[-1]
    assert found.tokens == first.usage.input + 900
    assert found.share == 1


def test_whole_blocks_are_no_eviction() -> None:
    first = asked(LONG)
    assert broke(first, asked(LONG, "ok", "why?", cached=first.usage.input - 200)) is None


def test_a_changed_effort_is_named_where_less_was_found() -> None:
    late = asked(LONG, "ok", "why?", cached=0)
    changed = replace(late, request=replace(late.request, effort="low"))
    assert words(asked(LONG), changed).startswith("effort changed, ≈ 1,")


def test_without_a_count_of_the_service_there_is_no_share() -> None:
    unknown = replace(asked("hi", "ho", "hm"), usage=Usage())
    found = profile([asked("hi"), unknown])[-1]
    assert (found.share, found.broke) == (None, None)
    assert isinstance(found, Prefix)


@pytest.fixture
def table(kernel: Kernel) -> Iterator[None]:
    assert kernel.run("import pandas as pd; frame = pd.DataFrame({'n': range(500), 'm': ['word'] * 500})").ok
    yield
    kernel.run("del frame")


@pytest.mark.usefixtures("table")
def test_twenty_turns_that_start_with_a_table_stay_cached(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("%%kimi -q -c frame --full\nWhat is it?").ok
    for n in range(19):
        assert kernel.run(f"%%kimi -q\nAnd {n}?").ok
    cell = kernel.run("p = %kimi prefix\np")
    assert len(seen.all()) == 20
    shares = kernel.value("[int(row[5].strip('≈ %')) for row in p.rows[1:]]")
    assert min(shares) >= 95
    assert set(kernel.value("[row[6] for row in p.rows]")) == {"the first of its conversation", ""}
    assert 'role="img"' in cell.html
    assert "█" in cell.text


@pytest.mark.usefixtures("table")
def test_what_broke_it_is_told_in_a_kernel(kernel: Kernel) -> None:
    kernel.run("%%kimi -q -m k2.6 -c frame --full\nWhat is it?")
    kernel.run("%%kimi -q -m k2.7 \nAnd now?")
    kernel.run("%%kimi -q -m k2.6 --no-history -c frame --full\nWhat is it?")
    told = kernel.value("[row[6] for row in get_ipython().run_line_magic('kimi', 'prefix').rows]")
    # The scripted server finds what another model has read: then nothing broke.
    assert [text.partition(",")[0] for text in told] == ["the first of its conversation", "", "other affinity"]


def test_what_was_dropped_or_resumed_is_told_in_a_kernel(kernel: Kernel) -> None:
    kernel.run(f"%kimi ask -q one {LONG}\n%kimi ask -q two\n%kimi undo\n%kimi ask -q three\n%kimi drop 1")
    kernel.run("%kimi ask -q four")
    told = kernel.value("[(row[1], row[6]) for row in get_ipython().run_line_magic('kimi', 'prefix').rows]")
    assert told[2][0] == "3"
    assert told[3][1].startswith("turn 1 removed")
    kernel.run("%reload_ext kimi_magic\n%kimi resume\n%kimi ask -q five")
    told = kernel.value("[(row[1], row[6]) for row in get_ipython().run_line_magic('kimi', 'prefix').rows]")
    assert [tuple(row) for row in told] == [("5", "its conversation's first in this kernel")]


def test_nothing_asked_is_told(kernel: Kernel) -> None:
    assert "Nothing was asked yet" in kernel.run("%kimi prefix").text


def test_tools_that_come_and_go_are_told(kernel: Kernel) -> None:
    kernel.run("def load(): ...\ndef plot(): ...")
    long = "word " * 600
    for tools in ("-t load", "-t load,plot", "-t plot", ""):
        kernel.run(f"%%kimi -q {tools}\n{long}")
    told = kernel.value("[row[6] for row in get_ipython().run_line_magic('kimi', 'prefix').rows]")
    assert [text.partition(",")[0] for text in told] == [
        "the first of its conversation",
        "tool plot inserted",
        "tool load removed",
        "tool plot removed",
    ]
