"""How a job looks: a Standing becomes HTML and text that say the same."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic.errors import CommandError
from kimi_magic.jobs import page
from kimi_magic.jobs.pending import Pending, awaits
from kimi_magic.jobs.standing import Estimate, Standing
from kimi_magic.messages import Usage

NOW = 1_790_000_000.0
RUNNING = Standing(
    "k3f9a1", "Classify: {{ review }}", "map", "running", "queue", "", 1000, 612, 3, 200, 8, 177, 41,
    NOW - 95, None, 41.0, 6.4, 61.0, Usage(520_000, 460_000, 31_000), 0.1234, 2.0,
)  # fmt: skip
STILL = {"queued": 0, "running": 0, "oldest": None, "left": None, "rate": 0.0}
DONE = replace(RUNNING, state="done", done=997, pending=0, ended=NOW, **STILL)  # type: ignore[arg-type]  # as they stand


def words(html: str) -> str:
    """The text that a reader sees, in one line."""

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            found.append(data)

    found: list[str] = []
    Reader().feed(html)
    return " ".join(" ".join(found).split())


@pytest.mark.parametrize("say", [lambda s: page.plain(s, NOW), lambda s: words(page.html(s, NOW))])
def test_every_figure_is_told(say) -> None:
    told = say(RUNNING)
    facts = ("612 done", "3 failed", "200 at the service", "8 running", "177 pending", "61 % of 1,000 rows",
             "41 equal to others", "6.4 rows/s", "about 1 min 1 s left", "the oldest at the service for 41 s",
             "$0.12 of $2.00", "88 % of the input cached", "lane: queue", "1 min 35 s so far", "k3f9a1")  # fmt: skip
    for fact in facts:
        assert fact in told, fact


def test_the_end_tells_what_can_be_done_and_nothing_that_is_over() -> None:
    told = page.plain(DONE, NOW)
    assert "done, 3 failed" in told
    assert "%kimi job k3f9a1 retry" in told
    for gone in ("left", "so far", "as of", "rows/s"):
        assert gone not in told


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("stopped", "retry goes on"),
        ("cancelled", "retry goes on"),
        ("asking", "cancel ends it"),
        ("elsewhere", "%kimi jobs"),
    ],
)
def test_each_state_has_its_next_step(state, step) -> None:
    assert step in page.next_step(replace(RUNNING, state=state))
    assert page.next_step(RUNNING) == ""


def test_the_pilot_tells_cost_and_time_with_their_intervals() -> None:
    told = page.estimated(Estimate(980, (0.91, 1.03, 1.19), (300, 420, 610)))
    assert "980 rows: about $1.03 ($0.91 to $1.19) and 7 min 0 s (5 min 0 s to 10 min 10 s)" in told
    assert "95 %" in told
    assert "no known price" in page.estimated(Estimate(1, None, (1, 2, 3)))


def test_nothing_is_nothing() -> None:
    empty = replace(DONE, total=0, done=0, failed=0, same=0, usage=Usage(), cost=None, budget=None)
    assert "no rows" in page.plain(empty, NOW)
    assert "$" not in page.plain(empty, NOW)


def test_hostile_titles_and_remarks_stay_text() -> None:
    hostile = replace(RUNNING, title="<script>alert(1)</script>\x1b[2J", remark="<img src=x onerror=alert(1)>")
    for html in (page.html(hostile, NOW), page.asked(hostile)["text/html"]):
        assert "<script" not in html
        assert "<img" not in html
    assert "\x1b" not in page.plain(hostile, NOW)
    assert "\x1b" not in page.asked(hostile)["text/plain"]


counts = st.integers(0, 2_000_000)


@given(counts, counts, counts, counts, counts)
def test_the_bar_always_has_its_width_and_shows_each_piece(done, failed, queued, running, pending) -> None:
    rows = (done, failed, queued, running, pending)
    standing = replace(
        RUNNING, total=sum(rows), done=done, failed=failed, queued=queued, running=running, pending=pending
    )
    bar = page.Bar(standing, 20, 160)
    assert len(bar) == 20
    assert ";width:160px" in bar.html
    widths = [float(width) for width in re.findall(r";width:([\d.]+)%", bar.html)]
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert min(widths) > 0
    if sum(rows):
        assert len(widths) == sum(count > 0 for count in rows)


def test_all_of_it_is_100_percent_and_nothing_less_is() -> None:
    assert "99 % of" in page.plain(replace(RUNNING, total=1_000_000, done=999_999, failed=0), NOW)


def test_a_cell_that_waits_says_what_was_asked_and_what_receives_it() -> None:
    cell = replace(RUNNING, kind="cell", title="What is it?", total=1, queued=1)
    told = page.asked(cell, "answer")
    for fact in ("The reply comes later", "What is it?", "in the service's queue", "answer receives it", "k3f9a1"):
        assert fact in told["text/plain"]
        assert fact.replace("'", "&#x27;") in told["text/html"]
    assert "No reply: cancelled" in page.asked(replace(cell, state="cancelled"))["text/plain"]


def test_what_holds_the_place_of_a_reply_says_so_whatever_is_done_with_it() -> None:
    pending = Pending("k3f9a1", "asked at 12:00:00")
    assert "not there yet" in repr(pending)
    assert "not there yet" in str(pending)
    for use in (
        lambda p: p.text,
        len,
        list,
        lambda p: p + "",
        lambda p: p["a"],
        lambda p: p(),
        bool,
        lambda p: "x" in p,
    ):
        with pytest.raises(CommandError, match="not there yet") as caught:
            use(pending)
        assert "%kimi job k3f9a1 wait" in caught.value.hint
    assert not hasattr(pending, "_repr_html_")
    assert awaits(pending, "k3f9a1")
    assert not awaits(pending, "other")
    assert not awaits("text", "k3f9a1")
