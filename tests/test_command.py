"""What can be typed, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic import command, options
from kimi_magic.command import Ask, parse_cell, parse_line
from kimi_magic.errors import CommandError, KimiError

VALUES = {
    "model": "k2.6",
    "system": "Be brief.",
    "format": "text",
    "max_tokens": "7",
    "temperature": "0.5",
    "top_p": "0.25",
    "effort": "low",
    "rerun": "always",
    "approve": "all",
    "rounds": "3",
    "timeout": "2m",
}


def test_the_body_is_the_question() -> None:
    assert parse_cell("", "What is {x}?\n") == Ask("What is {x}?")


def test_a_destination_comes_first() -> None:
    assert parse_cell("answer -q", "hi").dest == "answer"


@given(st.text().filter(str.strip))
def test_any_body_passes_unchanged(text: str) -> None:
    assert parse_cell("", text + "\n").question == text


@pytest.mark.parametrize("option", [option for option in options.OPTIONS if option.setting], ids=lambda o: o.name)
def test_every_option_with_a_value_becomes_a_setting(option: options.Option) -> None:
    for flag in option.flags:
        asked = parse_cell(f"{flag} '{VALUES[option.name]}'", "hi")
        assert list(asked.options) == [option.setting]


def test_flags_are_understood() -> None:
    assert parse_cell("--new", "hi").new
    assert not parse_cell("--no-history", "hi").history
    assert parse_cell("-q", "hi").quiet


def test_quotes_hold_a_value_together() -> None:
    assert parse_cell("""-s "Answer in one word, don't explain" """, "hi").options["system"].startswith("Answer in one")


@pytest.mark.parametrize(
    "line",
    ["--bogus", "--temperature 9", "--max-tokens 0", "--top-p x", "--effort huge", "--timeout soon", "-m", "1x", "for",
     "a b", "-s 'open", "--temp 1", "-f yaml"],
)  # fmt: skip
def test_a_wrong_line_is_refused_in_few_lines(line: str) -> None:
    with pytest.raises(KimiError) as caught:
        parse_cell(line, "hi")
    assert caught.value.hint
    assert len(caught.value._render_traceback_()) <= 5


@pytest.mark.parametrize("body", ["", " \n", "\n\n"])
def test_an_empty_question_is_refused(body: str) -> None:
    with pytest.raises(CommandError, match="empty"):
        parse_cell("", body)


def test_a_near_option_is_named() -> None:
    with pytest.raises(CommandError) as caught:
        parse_cell("--modle k2.6", "hi")
    assert "--model" in caught.value.hint


@pytest.mark.parametrize("text", ["What's up?", 'say "hi" -m no', "50% of $5 is {x}", "a -- b"])
def test_a_question_in_one_line_is_taken_as_it_stands(text: str) -> None:
    assert parse_line(f"ask {text}") == Ask(text)


def test_options_may_stand_before_a_question_in_one_line() -> None:
    asked = parse_line("ask -m k2.6 -s 'Be brief' --temperature=0.5 -q What's 2 - 1?")
    assert isinstance(asked, Ask)
    assert asked.question == "What's 2 - 1?"
    assert asked.options == {"model": "k2.6", "system": "Be brief", "temperature": 0.5}
    assert asked.quiet


@pytest.mark.parametrize("word", options.WORDS)
def test_every_word_is_understood_alone(word: str) -> None:
    if word in ("ask", "restore", "drop", "fork", "export", "import"):
        with pytest.raises(CommandError, match=r"empty|needs the number|takes a name|needs one file"):
            parse_line(word)
    else:
        assert parse_line(word) is not None


def test_an_unknown_word_names_the_nearest() -> None:
    with pytest.raises(CommandError) as caught:
        parse_line("usgae")
    assert "%kimi usage" in caught.value.hint


def test_a_word_that_takes_nothing_says_so() -> None:
    with pytest.raises(CommandError, match="takes nothing"):
        parse_line("reset all")


def test_a_place_is_checked_while_parsing() -> None:
    assert parse_line("use LOCAL") == command.Use("local")
    with pytest.raises(CommandError):
        parse_line("use ftp://example.org")


@given(st.text())
def test_any_line_gives_a_command_or_one_of_our_errors(line: str) -> None:
    for parse in (lambda: parse_line(line), lambda: parse_cell(line, "hi")):
        try:
            parse()
        except KimiError as error:
            assert error.message
