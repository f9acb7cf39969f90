"""The result of a job as a frame: the input's index, order, columns and library, and the replies beside them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from kimi_magic.context.guard import Guard
from kimi_magic.errors import CommandError
from kimi_magic.jobs.frame import Outcome, result
from kimi_magic.jobs.question import Question
from kimi_magic.jobs.rows import rows_of
from kimi_magic.schema import output
from tests.schema_corpus import DAY, Mood, Pair, Point
from tests.test_schema_frame import PANDAS, POLARS

if TYPE_CHECKING:
    from pathlib import Path


class Sentiment(BaseModel):
    mood: Literal["good", "bad"]
    score: int
    sure: bool | None = None


class Words(RootModel[list[str]]):
    pass


@dataclass
class When:
    day: str
    hours: float


OUT = output(Sentiment)
GOOD, BAD = '{"mood": "good", "score": 3, "sure": true}', '{"mood": "bad", "score": 0}'
FAILED = Outcome(error="Busy: try later")


def odd() -> pd.DataFrame:
    """A frame in which everything is odd that can be."""
    table = pd.DataFrame(
        {
            "text": ["a", "b", None, "d"],
            "kind": pd.Categorical(["x", None, "y", "x"], categories=["z", "y", "x"]),
            "when": pd.to_datetime(["2026-02-03", None, "2026-02-04", "2026-02-05"]).tz_localize("Europe/Berlin"),
            "n": pd.array([1, None, 3, 4], dtype="Int8"),
            "money": [Decimal("1.20"), None, Decimal(3), Decimal(4)],
            "nested": [{"a": 1}, [1], None, "x"],
        }
    )
    return table.set_axis(["i", "i", "j", "i"])


def test_finished_rows_keep_index_order_and_columns() -> None:
    table = odd()
    made = result(rows_of(table), [Outcome(GOOD), None, FAILED, Outcome(BAD)], OUT)
    pd.testing.assert_frame_equal(made[table.columns], table.iloc[[0, 2, 3]])
    assert list(made.columns) == [*table.columns, "mood", "score", "sure", "kimi_error"]
    assert made["mood"].tolist() == ["good", np.nan, "bad"]
    assert made["mood"].dtype == pd.CategoricalDtype(["good", "bad"])
    assert made["score"].tolist() == [3, pd.NA, 0]
    assert made["score"].dtype == "Int64"
    assert made["sure"].tolist() == [True, pd.NA, pd.NA]
    assert made["kimi_error"].isna().tolist() == [True, False, True]
    assert made["kimi_error"].iloc[1] == "Busy: try later"
    pd.testing.assert_frame_equal(table, odd())


@pytest.mark.parametrize("name", PANDAS)
def test_any_column_of_pandas_is_asked_about_and_kept(name: str) -> None:
    table = pd.DataFrame({"a column": PANDAS[name], 7: [1, 2]}, index=["i", "i"])
    rows = rows_of(table)
    question = Question("{{ a column }} {{ 7 }}", rows.columns, Guard())
    texts = [text for piece in rows.pieces(question.columns) for text in question.texts(piece)]
    assert [text[-4:] for text in texts] == ["7: 1", "7: 2"]
    assert not any(odd in text for text in texts for odd in ("<", "NaN", "NaT", "None", "0x"))
    pd.testing.assert_frame_equal(result(rows, [Outcome("x"), Outcome("y")])[table.columns], table)
    pd.testing.assert_frame_equal(result(rows, [None, Outcome("y")])[table.columns], table.iloc[[1]])


@pytest.mark.parametrize("name", POLARS)
def test_any_column_of_polars_is_asked_about_and_kept(name: str) -> None:
    table = pl.DataFrame({"a column": POLARS[name], "n": [1, 2]})
    for given_as in (table, table.to_arrow()) if name not in ("i128", "array") else (table,):
        rows = rows_of(given_as)
        question = Question("{{ a column }} {{ n }}", rows.columns, Guard())
        texts = [text for piece in rows.pieces(question.columns) for text in question.texts(piece)]
        assert [text[-4:] for text in texts] == ["n: 1", "n: 2"]
        assert not any(odd in text for text in texts for odd in ("<", "NaN", "None", "0x"))
        made = result(rows, [Outcome("x"), Outcome("y")])
        assert made.select(list(rows.columns)).equals(given_as)


def test_everything_keeps_unfinished_rows_as_missing() -> None:
    table = odd()
    made = result(rows_of(table), [None, Outcome(BAD)], OUT, everything=True)
    pd.testing.assert_frame_equal(made[table.columns], table)
    assert made["score"].tolist() == [pd.NA, 0, pd.NA, pd.NA]
    assert made["kimi_error"].isna().all()


def test_no_missing_reply_no_nullable_dtype_unless_asked_for() -> None:
    rows, outcomes = rows_of(pd.DataFrame({"a": [1]})), [Outcome(GOOD)]
    assert result(rows, outcomes, OUT)["score"].dtype == "int64"
    assert result(rows, outcomes, OUT, nullable=True)["score"].dtype == "Int64"


def test_replies_without_a_type_are_text() -> None:
    for table in (pd.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1, 2]}), pa.table({"a": [1, 2]})):
        made = result(rows_of(table), [Outcome("Good."), Outcome()])
        assert list(getattr(made, "column_names", made.columns)) == ["a", "reply", "kimi_error"]
        replies = made["reply"].to_pylist() if isinstance(made, pa.Table) else list(made["reply"])
        assert [reply if isinstance(reply, str) else None for reply in replies] == ["Good.", None]


def test_a_frame_of_polars_stays_one() -> None:
    table = pl.DataFrame({"a": [1, 2, 3], "day": [DAY, None, DAY]})
    for given_as in (table, table.lazy()):
        made = result(rows_of(given_as), [Outcome(GOOD), None, FAILED], OUT)
        assert made.select("a", "day").equals(table[[0, 2]])
        assert made["mood"].dtype == pl.Enum(["good", "bad"])
        assert made["score"].to_list() == [3, None]
        assert made["kimi_error"].to_list() == [None, "Busy: try later"]


def test_a_table_of_pyarrow_stays_one() -> None:
    table = pa.table({"a": [1, 2, 3], "day": [DAY, None, DAY]})
    made = result(rows_of(table), [Outcome(GOOD), None, FAILED], OUT)
    assert made.select(["a", "day"]).equals(table.take([0, 2]))
    assert made.schema.field("mood").type == pa.dictionary(pa.int32(), pa.string())
    assert made.schema.field("score").type == pa.int64()
    assert made.select(["mood", "score", "sure", "kimi_error"]).to_pylist() == [
        {"mood": "good", "score": 3, "sure": True, "kimi_error": None},
        {"mood": None, "score": None, "sure": None, "kimi_error": "Busy: try later"},
    ]


def test_values_that_a_table_of_pyarrow_cannot_hold_are_text() -> None:
    made = result(rows_of(pa.table({"a": [1]})), [Outcome(value=2**70)], output(int))
    assert made["value"].to_pylist() == [str(2**70)]


def test_several_levels_of_index_and_labels() -> None:
    index = pd.MultiIndex.from_tuples([("x", 1), ("x", 1), ("y", 2)], names=["l", None])
    labels = pd.MultiIndex.from_tuples([("a", "p"), ("a", "q"), ("mood", "r")])
    table = pd.DataFrame(np.arange(9).reshape(3, 3), index=index, columns=labels)
    made = result(rows_of(table), [Outcome(GOOD), None, Outcome(BAD)], OUT)
    pd.testing.assert_index_equal(made.index, index[[0, 2]])
    assert list(made.columns) == [*labels, ("kimi_mood", ""), ("score", ""), ("sure", ""), ("kimi_error", "")]
    assert made["score"].tolist() == [3, 0]


def test_names_that_are_taken_get_a_prefix() -> None:
    for table in (
        pd.DataFrame({"mood": [1], "kimi_mood": 2, "kimi_error": 3}),
        pl.DataFrame({"mood": [1], "kimi_mood": [2], "kimi_error": [3]}),
    ):
        made = result(rows_of(table), [Outcome(GOOD)], OUT)
        assert list(made.columns) == [*table.columns, "kimi_kimi_mood", "score", "sure", "kimi_kimi_error"]
        assert made["mood"][0] == 1
    assert "kimi_0" not in result(rows_of(pd.DataFrame({0: [1]})), [Outcome("x")]).columns


def test_labels_that_repeat_are_kept() -> None:
    table = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert list(result(rows_of(table), [Outcome("x")]).columns) == ["a", "a", "reply", "kimi_error"]


@pytest.mark.parametrize(
    ("wanted", "text", "columns"),
    [
        (int, '{"value": 3}', {"value": 3}),
        (Literal["a", "b"], '{"value": "a"}', {"value": "a"}),
        (Mood, '{"value": "good"}', {"value": "good"}),
        (list[str], '{"value": ["a", "b"]}', {"value": ["a", "b"]}),
        (list[Sentiment], f'{{"rows": [{BAD}]}}', {"value": [{"mood": "bad", "score": 0, "sure": None}]}),
        (dict[str, int], '{"x": 1}', {"value": {"x": 1}}),
        (Words, '["a"]', {"value": ["a"]}),
        (When, '{"day": "Monday", "hours": 1.5}', {"day": "Monday", "hours": 1.5}),
        (Point, '{"x": 1, "y": 2}', {"x": 1, "y": 2}),
        (Pair, '{"left": 1}', {"left": 1, "right": "r"}),
        ("mood good|bad, why str?", '{"mood": "bad", "why": null}', {"mood": "bad", "why": None}),
    ],
    ids=str,
)
def test_a_type_becomes_its_fields_or_one_value(wanted: Any, text: str, columns: dict[str, Any]) -> None:
    out = output(wanted)
    made = result(rows_of(pl.DataFrame({"a": [1]})), [Outcome(value=out.parse(text))], out).drop("a", "kimi_error")
    assert made.columns == list(out.columns)
    assert made.to_dicts() == [columns]
    assert result(rows_of(pd.DataFrame({"a": [1]})), [Outcome(text)], out).shape == (1, 2 + len(out.columns))


def test_a_text_that_is_not_what_was_asked_for_is_an_error_of_its_row() -> None:
    made = result(rows_of(pd.DataFrame({"a": [1, 2]})), [Outcome("I cannot say."), Outcome(GOOD)], OUT)
    assert "not JSON" in made["kimi_error"].iloc[0]
    assert made["score"].tolist() == [pd.NA, 3]


def test_an_empty_frame_has_the_columns_and_their_dtypes() -> None:
    for table in (pd.DataFrame({"a": []}), pl.DataFrame({"a": []}), pa.table({"a": pa.array([], pa.string())})):
        made = result(rows_of(table), [], OUT)
        assert list(getattr(made, "column_names", made.columns)) == ["a", "mood", "score", "sure", "kimi_error"]
        assert len(made) == 0
    assert result(rows_of(pd.DataFrame({"a": [1]})), [None], OUT).shape == (0, 5)
    assert result(rows_of(pd.DataFrame({"a": []})), [], OUT)["score"].dtype == "int64"


def test_a_series_becomes_a_frame_with_its_name() -> None:
    made = result(rows_of(pd.Series(["x", "y"], index=[5, 5], name="review")), [Outcome("a"), Outcome("b")])
    assert list(made.columns) == ["review", "reply", "kimi_error"]
    assert list(made.index) == [5, 5]
    unnamed = result(rows_of(pd.Series(["x"])), [Outcome('{"value": 1}')], output(int))
    assert list(unnamed.columns) == ["value", "kimi_value", "kimi_error"]


def test_dicts_become_a_frame_of_the_library_in_use(tmp_path: Path) -> None:
    code = (
        "{}\nfrom kimi_magic.jobs.rows import rows_of\nfrom kimi_magic.jobs.frame import *\n"
        "made = result(rows_of([{{'a': 1}}, {{'b': 'x'}}]), [Outcome('p'), Outcome('q')])\n"
        "print(type(made).__module__.partition('.')[0], list(made.columns), made['a'][0], made['reply'][1])"
    )
    for library in ("pandas", "polars"):
        told = subprocess.run(
            [sys.executable, "-c", code.format(f"import {library}")],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert told.stdout.split()[0] == library
        assert "['a', 'b', 'reply', 'kimi_error'] 1" in told.stdout
        assert told.stdout.endswith("q\n")


def test_files_become_frames(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2, 3]}, index=["x", "y", "z"])
    table.to_parquet(tmp_path / "rows.parquet")
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.reset_index(drop=True).to_parquet(tmp_path / "plain.parquet")
    (tmp_path / "blank.csv").write_text("a\n1\n \n3\n")
    for name, index in (("rows.parquet", ["x", "z"]), ("plain.parquet", [0, 2]), ("rows.csv", [0, 2])):
        rows = rows_of(tmp_path / name)
        made = result(rows, [Outcome("p"), None, Outcome("q")])
        assert made["a"].tolist() == [1, 3]
        assert made["reply"].tolist() == ["p", "q"]
        assert list(made.index) == index
        assert len(result(rows, [Outcome("p")], everything=True)) == 3
    for data in (tmp_path / "blank.csv", [{"a": 1}, {"a": 2}, {"a": 3}]):
        assert list(result(rows_of(data), [Outcome("p"), None, Outcome("q")]).index) == [0, 2]


def test_more_replies_than_rows_are_not_put_beside_the_wrong_ones() -> None:
    with pytest.raises((CommandError, IndexError)):
        result(rows_of(pd.DataFrame({"a": [1]})), [Outcome("a"), Outcome("b")], everything=True)


@given(st.lists(st.sampled_from([Outcome(GOOD), Outcome(BAD), FAILED, Outcome(), None])))
def test_each_reply_stands_beside_its_own_row(outcomes: list[Outcome | None]) -> None:
    table = pd.DataFrame({"n": range(len(outcomes))}, index=["same"] * len(outcomes))
    made = result(rows_of(table), outcomes, OUT)
    finished = [n for n, outcome in enumerate(outcomes) if outcome is not None]
    assert made["n"].tolist() == finished
    for n, mood, error in zip(made["n"], made["mood"], made["kimi_error"], strict=True):
        outcome = outcomes[n]
        assert outcome is not None
        assert (mood if isinstance(mood, str) else None) == {GOOD: "good", BAD: "bad"}.get(outcome.text or "")
        assert (error if isinstance(error, str) else None) == outcome.error
