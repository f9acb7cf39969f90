"""The question of a row: the same beginning for all, its own values behind, and nothing private in either."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kimi_magic
from kimi_magic import kernel
from kimi_magic.context.guard import Guard
from kimi_magic.errors import CommandError
from kimi_magic.jobs.question import Question
from kimi_magic.jobs.rows import rows_of

if TYPE_CHECKING:
    from tests.conftest import Seen

COLUMNS = ("review", "year", "größe 'x'", "two words", 0, ("l", "r"))


class Mood(Enum):
    GOOD = "good"


def ask(text: str, *columns: Any) -> Question:
    return Question(text, columns or COLUMNS, Guard())


def said(value: Any) -> str:
    """Give how a value is written."""
    return ask("{{ review }}").of({"review": value}).removeprefix("review:").removeprefix(" ")


def test_the_instruction_comes_first_and_the_values_behind() -> None:
    question = ask("Classify {{ review }} of {{year}}.\nOne word; {{ review }} only.")
    assert question.columns == ("review", "year")
    assert question.shared == "Classify {review} of {year}.\nOne word; {review} only.\n\n"
    assert question.of({"review": "Good.", "year": 1999}) == "review: Good.\nyear: 1999"


def test_labels_are_found_as_they_are_written() -> None:
    question = ask("{{ größe 'x' }} {{two words}} {{ 0 }} {{ ('l', 'r') }} {{ \"review\" }}")
    assert question.columns == ("größe 'x'", "two words", 0, ("l", "r"), "review")
    assert question.shared.startswith("{größe 'x'} {two words} {0} {('l', 'r')} {review}")
    assert ask("{{ 0 }}", 0, "0").columns == ("0",), "the text is nearer than the number"


def test_the_only_column_is_also_called_value() -> None:
    for rows in (rows_of(pd.Series(["x"], name="review")), rows_of(pd.Series(["x"]))):
        question = Question("{{ value }}", rows.columns, Guard())
        assert question.of(next(rows.pieces(question.columns))[0]).endswith(": x")
    with pytest.raises(CommandError, match="no column 'value'"):
        ask("{{ value }}")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("Classify the review.", "names no column", "{{ review }}"),
        ("Classify {{ reviw }}", "no column 'reviw'", "Did you mean 'review'?"),
        ("{{ review.upper() }}", "no column 'review.upper()'", "review"),
        ("{{ }} {{ review }}", "{{ }} names no column", "{{ review }}"),
    ],
)
def test_what_is_no_column_is_named_with_the_nearest(text: str, message: str, hint: str) -> None:
    with pytest.raises(CommandError) as error:
        ask(text)
    assert message in error.value.message
    assert hint in error.value.hint


def test_a_label_that_repeats_is_refused_where_it_is_used() -> None:
    assert ask("{{ b }}", "a", "a", "b").columns == ("b",)
    with pytest.raises(CommandError, match="Two columns are named 'a'"):
        ask("{{ a }}", "a", "a", "b")


def test_other_braces_are_text() -> None:
    assert ask('{"a": {"b": 1}} {x} }} {{ review }}').shared == '{"a": {"b": 1}} {x} }} {review}\n\n'


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_value_is_data(value: str) -> None:
    for text in (value, f"{{{{ {value} }}}}", "{{ review }}"):
        assert said(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (2.0, "2.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (np.float32(0.1), "0.1"),
        (np.float64(0.1), "0.1"),
        (np.int64(3), "3"),
        (True, "True"),
        (Decimal("1.20"), "1.20"),
        (dt.date(2026, 2, 3), "2026-02-03"),
        (dt.datetime(2026, 2, 3, 4, 5), "2026-02-03 04:05:00"),  # noqa: DTZ001
        (pd.Timestamp("2026-02-03"), "2026-02-03"),
        (np.datetime64("2026-02-03"), "2026-02-03"),
        (Mood.GOOD, "Mood.GOOD"),
        (b"\x00", "b'\\x00'"),
        ({"a": [1, None, 0.5], "b": {"ü": (1, 2)}}, '{"a": [1, null, 0.5], "b": {"ü": [1, 2]}}'),
        ({3: {"y", "x"}}, '{"3": ["x", "y"]}'),
        (np.array([[1, 2], [3, 4]]), "[[1, 2], [3, 4]]"),
        (np.array(["2026-02-03"], "datetime64[D]"), '["2026-02-03"]'),
        (list(range(50)), str(list(range(50)))),
        ([float("nan"), pd.NaT], "[null, null]"),
        ("a\ud800b", "a\ufffdb"),
        ("two\nlines", "two\nlines"),
        (10**5000, "<integer of 16,610 bits>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_written_whole_and_the_same_each_time(value: Any, text: str) -> None:
    assert said(value) == text


def test_a_value_that_holds_itself_is_written() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    assert said(endless).startswith("[1, [1, ")


def test_an_object_has_no_address() -> None:
    assert "0x" not in said(object())


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NaT, pd.NA])
def test_missing_values_say_nothing_and_a_row_without_any_is_not_asked(missing: Any) -> None:
    question = ask("{{ review }} {{ year }}")
    assert question.of({"review": missing, "year": 1999}) == "review:\nyear: 1999"
    assert question.of({"review": missing, "year": missing}) == ""
    assert question.of({}) == ""
    assert question.of({"review": "", "year": missing}) == "review:\nyear:", "an empty text is a value"


def test_lines_of_a_value_do_not_look_like_other_columns() -> None:
    question = ask("{{ review }} {{ year }}")
    text = question.of({"review": "Good.\nyear: 1850\r\nreally", "year": 1999})
    assert text == "review:\n  Good.\n  year: 1850\n  really\nyear: 1999"


# What stays in the kernel


def test_private_columns_are_refused_by_name() -> None:
    guard = Guard()
    guard.hide(None, ["ssn"])
    for text, columns in (("{{ ssn }}", ["ssn", "b"]), ("{{ ssn_x }}", ["ssn_x"]), ("{{ value }}", ["SSN"])):
        with pytest.raises(CommandError, match="is private"):
            Question(text, columns, guard)
    assert Question("{{ b }}", ["ssn", "b"], guard).columns == ("b",)


def test_private_columns_are_refused_by_their_values_whatever_they_are_called() -> None:
    guard = Guard()
    guard.hide(pd.DataFrame({"ssn": ["078-05-1120", "219-09-9999", "457-55-5462"]}), ["ssn"])
    question = Question("{{ code }}", ["code"], guard)
    with pytest.raises(CommandError, match="holds values of 'ssn'"):
        question.texts([{"code": "078-05-1120"}, {"code": "219-09-9999"}, {"code": "457-55-5462"}])
    assert question.texts([{"code": "a"}, {"code": None}]) == ["code: a", ""]
    assert question.of({"code": "it is 078-05-1120"}) == "code: it is [private: ssn]"
    assert Question("{{ code }}, not 078-05-1120", ["code"], guard).shared == "{code}, not [private: ssn]\n\n"


def test_private_keys_inside_of_values_are_withheld() -> None:
    guard = Guard()
    guard.hide(None, ["ssn"])
    question = Question("{{ who }}", ["who"], guard)
    assert question.of({"who": {"name": "Ann", "more": [{"SSN": 12}]}}) == (
        'who: {"name": "Ann", "more": [{"SSN": "(private)"}]}'
    )


def test_secrets_are_redacted_also_by_the_name_of_their_column() -> None:
    question = ask("{{ note }} {{ password }}", "note", "password")
    text = question.of({"note": "use ghp_" + "a1B2" * 9, "password": "Tr0ub4dor&3"})
    assert text == "note: use [redacted: API key]\npassword: [redacted: password]"


def test_it_shows_its_instruction() -> None:
    assert repr(ask("Classify {{ review }}")) == "Question('Classify {review}')"


# In a map


@pytest.mark.usefixtures("here")
def test_what_is_private_in_any_table_and_every_credential_stays_here(seen: Seen) -> None:
    people = pd.DataFrame({"ssn": ["078-05-1120", "219-09-9999", "457-55-5462"]})
    kimi_magic.private(None, ["ssn"])
    token = "t0k3n" * 6
    kernel.configure("api_key", token)
    try:
        texts = [f"<<say ok>> of 219-09-9999 with {token}", "<<say ok>> of 457-55-5462"]
        job = kimi_magic.map(people.assign(note=[*texts, None]), "Repeat: {{ note }}", lane="concurrent").wait(30)
        assert job.df()["reply"].tolist()[:2] == ["ok", "ok"]
    finally:
        kernel.configure("api_key", None)
        kernel.guard().release(["ssn"])
    sent = str(seen.all())
    assert sent.count("[private: ssn]") == 2
    assert "[redacted: value of api_key]" in sent
    assert not any(secret in sent for secret in (token, "219-09", "457-55"))
