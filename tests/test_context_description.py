"""How a describer writes what is the user's: guarded first, then cut."""

from __future__ import annotations

import pytest

from kimi_magic.context.description import Look, shortened
from kimi_magic.context.guard import Guard

KEY = "sk-proj-" + "A1b2C3d4" * 6


@pytest.mark.parametrize("before", range(0, 60_000, 1_777))
def test_wherever_a_text_is_cut_no_half_of_a_secret_stays(before: int) -> None:
    look = Look(Guard())
    for after in (10, 4_000, 25_000, 90_000):
        text = look.text(f"{'x' * before} {KEY} {'y' * after}")
        assert len(text) <= look.room
        assert KEY[:16] not in text
        assert KEY[-16:] not in text


def test_a_cut_says_how_much_is_left_out() -> None:
    for size in (20_000, 200_000):
        text = Look(Guard(), room=1_000).text("z" * size)
        kept = text.count("z")
        assert f"[… {size - kept:,} characters left out …]" in text
        assert len(text) <= 1_000


def test_a_word_stays_on_its_line_and_shows_what_cannot_be_seen() -> None:
    look = Look(Guard())
    assert look.word("a\nb\x1b[31m\u202ec") == "a\\nb\\x1b[31m\\u202ec"
    assert look.word("abcdefghij", 5) == "ab…ij"


@pytest.mark.parametrize("longest", range(8))
def test_nothing_is_longer_than_it_may_be(longest: int) -> None:
    assert len(shortened("abcdefghijkl", longest)) <= max(1, longest)
