"""A card tells what was called, with what, and what came of it; hostile names and arguments are text."""

from __future__ import annotations

import base64

import pytest

from kimi_magic.calls import Outcome, interrupted
from kimi_magic.card import html, plain
from kimi_magic.messages import Image, Text
from kimi_magic.messages import ToolCall as Call

CALL = Call("functions.load:0", "load", '{"path": "a.csv"}')
HOSTILE = "<script>alert(1)</script>\"'&`$x$ \\(y\\) \x1b[31m\r\u202e</summary></details>"


def test_a_card_shows_name_arguments_state_time_and_result() -> None:
    shown = html(CALL, Outcome(CALL, "150 rows", (), "done", 1.23, handle="kimi_1"))
    for words in ("load", "{&quot;path&quot;: &quot;a.csv&quot;}", "done · 1.2 s · kept as kimi_1", "150 rows", "✓"):
        assert words in shown
    assert shown.startswith("<details ")
    assert shown.endswith("</details>")
    assert plain(CALL, Outcome(CALL, "150 rows", (), "done", 1.23)) == (
        '✓ load {"path": "a.csv"} · done · 1.2 s\n  150 rows'
    )


def test_a_call_without_an_outcome_is_running() -> None:
    assert "running" in html(CALL)
    assert plain(CALL) == '… load {"path": "a.csv"} · running'


@pytest.mark.parametrize("state", ["failed", "refused", "timed out", "unknown", "invalid", "interrupted"])
def test_every_other_state_is_marked(state: str) -> None:
    outcome = Outcome(CALL, "words", (), state)  # type: ignore[arg-type]  # each of them
    assert "✗" in html(CALL, outcome)
    assert plain(CALL, outcome).startswith("✗ load")
    assert state in html(CALL, outcome)


@pytest.mark.parametrize("make", [html, plain])
def test_hostile_words_are_text(make: object) -> None:
    call = Call(HOSTILE, HOSTILE, HOSTILE)
    shown = make(call, Outcome(call, HOSTILE, (Text(HOSTILE),), "done", 0.1))  # type: ignore[operator]
    assert "\x1b" not in shown
    assert "\r" not in shown
    if make is html:
        assert "<script" not in shown
        assert shown.count("<details") == shown.count("</details>") == 1
        assert shown.count("</summary>") == 1
        assert "mathjax_ignore" in shown
    else:
        assert len(shown.splitlines()) == 2


def test_pictures_are_shown() -> None:
    picture = Image(b"\x89PNG", "image/png", 1, 1)
    shown = html(CALL, Outcome(CALL, "", (Text("The picture:"), picture)))
    assert "data:image/png;base64," + base64.b64encode(picture.data).decode() in shown


def test_a_card_stays_small() -> None:
    call = Call("1", "f", "x" * 10_000_000)
    assert len(html(call, Outcome(call, "y" * 10_000_000))) < 60_000
    assert len(plain(call, Outcome(call, "y" * 10_000_000))) < 400


def test_an_interrupted_call_has_words_for_the_model() -> None:
    outcome = interrupted(CALL, 2.0)
    assert (outcome.state, outcome.seconds) == ("interrupted", 2.0)
    assert "The user stopped this" in outcome.text
