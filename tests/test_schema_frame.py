"""Rows like those of a dataframe, and dataframes of rows: every usual dtype is kept."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator
from pydantic_core import to_jsonable_python

from kimi_magic.errors import CommandError
from kimi_magic.schema import Invalid, output
from tests.schema_corpus import DAY, Film, Mood, Pair, Person, Point

NOON = dt.datetime(2026, 2, 3, 12, 30, 1, 250_000)  # noqa: DTZ001  # a clock without a zone
HOUR = dt.timedelta(hours=1)

PANDAS: dict[str, Any] = {
    "int64": [1, -2],
    "int8": pd.array([1, -2], dtype="int8"),
    "uint64": pd.array([1, 2**64 - 1], dtype="uint64"),
    "nullable integers": pd.array([1, None], dtype="Int64"),
    "nullable small integers": pd.array([1, None], dtype="UInt8"),
    "float64": [1.5, None],
    "float32": pd.array([1.5, 2], dtype="float32"),
    "nullable floats": pd.array([1.5, None], dtype="Float64"),
    "bool": [True, False],
    "nullable bools": pd.array([True, None], dtype="boolean"),
    "text": ["a", "ü\n"],
    "text with nulls": ["a", None],
    "nullable text": pd.array(["a", None], dtype="string"),
    "text of pyarrow": pd.array(["a", None], dtype="string[pyarrow]"),
    "objects": pd.array(["a", "b"], dtype=object),
    "categories": pd.Categorical(["x", None], categories=["x", "y"]),
    "ordered categories": pd.Categorical(["x", "y"], categories=["y", "x"], ordered=True),
    "whole categories": pd.Categorical([1, 2]),
    "categories of floats": pd.Categorical([0.5, 1.5]),
    "many categories": pd.Categorical(["c7", "c99"], categories=[f"c{n}" for n in range(100)]),
    "times": pd.to_datetime([NOON, None]),
    "seconds": pd.array(["2026-02-03", "2026-02-04T05:06:07"], dtype="datetime64[s]"),
    "nanoseconds": pd.array(["2026-02-03", "2026-02-04"], dtype="datetime64[ns]"),
    "zoned times": pd.to_datetime([NOON, None]).tz_localize("Europe/Berlin"),
    "utc times": pd.to_datetime([NOON, NOON]).tz_localize("UTC"),
    "times with an offset": pd.to_datetime(["2026-02-03T12:00:00+02:00"] * 2),
    "durations": pd.to_timedelta([HOUR, None]),
    "dates": [DAY, None],
    "clocks": [dt.time(1, 2), dt.time(3)],
    "decimals": [Decimal("1.20"), Decimal("3.00")],
    "lists": [[1, "a"], []],
    "dicts": [{"a": 1}, {"b": None}],
    "integers of pyarrow": pd.array([1, None], dtype="int64[pyarrow]"),
    "lists of pyarrow": pd.array([[1], None], dtype=pd.ArrowDtype(pa.list_(pa.int8()))),
    "times of pyarrow": pd.array([NOON, None], dtype=pd.ArrowDtype(pa.timestamp("us"))),
    "dates of pyarrow": pd.array([DAY, None], dtype=pd.ArrowDtype(pa.date32())),
    "nothing": [None, None],
}

POLARS: dict[str, pl.Series] = {
    "i64": pl.Series([1, None]),
    "u8": pl.Series([1, 255], dtype=pl.UInt8),
    "i128": pl.Series([1, 2**100], dtype=pl.Int128),
    "f32": pl.Series([0.5, None], dtype=pl.Float32),
    "f64": pl.Series([0.1, 2.0]),
    "bool": pl.Series([True, None]),
    "text": pl.Series(["a", None]),
    "categorical": pl.Series(["x", "y"], dtype=pl.Categorical),
    "enum": pl.Series(["x", None], dtype=pl.Enum(["y", "x"])),
    "large enum": pl.Series(["c7", None], dtype=pl.Enum([f"c{n}" for n in range(100)])),
    "date": pl.Series([DAY, None]),
    "time": pl.Series([dt.time(1, 2, 3), None]),
    "datetime": pl.Series([NOON, None]),
    "milliseconds": pl.Series([NOON, None], dtype=pl.Datetime("ms")),
    "zoned": pl.Series([NOON, None]).dt.replace_time_zone("Europe/Berlin"),
    "utc": pl.Series([NOON, None]).dt.replace_time_zone("UTC"),
    "duration": pl.Series([HOUR, None]),
    "decimal": pl.Series(["1.20", None]).cast(pl.Decimal(10, 2)),
    "list": pl.Series([[1, None], None]),
    "array": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int8, 2)),
    "struct": pl.Series([{"a": 1, "b": "x"}, {"a": None, "b": None}]),
    "list of structs": pl.Series([[{"a": 1}], []]),
    "null": pl.Series([None, None]),
}


def written(records: list[dict[str, Any]]) -> str:
    return json.dumps({"rows": to_jsonable_python(records)})


def record(value: Any) -> Any:
    """Give a cell as plain Python."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value):  # noqa: PLR0124
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if isinstance(value, pd.Timedelta):
        return value.to_pytimedelta()
    return value.item() if hasattr(value, "item") else value


@pytest.mark.parametrize("name", PANDAS)
def test_a_column_of_pandas_comes_back_as_it_was(name: str) -> None:
    table = pd.DataFrame({"a column": PANDAS[name], 7: [1, 2]})
    made = output(None, like=table)
    text = written([{"a column": record(cell), "7": 1 + n} for n, cell in enumerate(table["a column"])])
    Draft202012Validator.check_schema(made.schema)
    Draft202012Validator(made.schema).validate(json.loads(text))
    pd.testing.assert_frame_equal(made.frame(made.parse(text)), table)
    empty = made.frame([])
    assert empty.dtypes.equals(table.dtypes)
    assert len(empty) == 0


@pytest.mark.parametrize("name", POLARS)
def test_a_column_of_polars_comes_back_as_it_was(name: str) -> None:
    table = pl.DataFrame({"a column": POLARS[name], "n": [1, 2]})
    made = output(None, like=table)
    text = written(table.to_dicts())
    Draft202012Validator.check_schema(made.schema)
    Draft202012Validator(made.schema).validate(json.loads(text))
    back = made.frame(made.parse(text))
    assert back.schema == table.schema
    assert back.equals(table)
    assert made.frame([]).schema == table.schema


def test_nulls_are_allowed_where_the_column_has_some() -> None:
    for table in (pd.DataFrame({"a": ["x", "y"], "b": ["x", None]}), pl.DataFrame({"a": ["x", "y"], "b": ["x", None]})):
        properties = output(None, like=table).schema["properties"]["rows"]["items"]["properties"]
        assert properties == {"a": {"type": "string"}, "b": {"anyOf": [{"type": "string"}, {"type": "null"}]}}


def test_few_categories_are_choices_and_many_are_checked() -> None:
    few, many = (pd.DataFrame({"c": pd.Categorical([str(n) for n in range(count)])}) for count in (50, 51))
    made = output(None, like=few).schema["properties"]["rows"]["items"]["properties"]["c"]
    assert len(made["enum"]) == 50
    made = output(None, like=many)
    assert made.schema["properties"]["rows"]["items"]["properties"]["c"] == {"type": "string"}
    assert made.salvage('{"rows": [{"c": "7"}, {"c": "x"}]}') == (
        [{"c": "7"}],
        ['rows[1].c: must be one of the column\'s categories, not "x"'],
    )


def test_whole_numbers_beyond_the_column_are_not_valid() -> None:
    for table in (pd.DataFrame({"n": pd.array([1], dtype="int8")}), pl.DataFrame({"n": pl.Series([1], dtype=pl.Int8)})):
        with pytest.raises(Invalid, match=r"rows\[0\].n: must be from -128 to 127, not 300"):
            output(None, like=table).parse('{"rows": [{"n": 300}]}')


def test_times_move_to_the_zone_of_their_column() -> None:
    table = pd.DataFrame({"z": pd.to_datetime([NOON]).tz_localize("Europe/Berlin"), "n": [NOON]})
    made = output(None, like=table)
    utc, bare = "2026-02-03T11:00:00Z", "2026-02-03T12:00:00"
    for zoned, naive in ((utc, bare), (bare, "2026-02-03T12:00:00Z")):
        (row,) = made.parse(json.dumps({"rows": [{"z": zoned, "n": naive}]}))
        assert row["z"].isoformat() == "2026-02-03T12:00:00+01:00"
        assert row["n"].isoformat() == "2026-02-03T12:00:00"


def test_a_clock_without_a_zone_loses_that_of_the_format() -> None:
    for table in (pd.DataFrame({"t": [dt.time(1)]}), pl.DataFrame({"t": [dt.time(1)]})):
        made = output(None, like=table)
        assert made.parse('{"rows": [{"t": "12:30:00Z"}]}') == [{"t": dt.time(12, 30)}]


def test_private_columns_are_left_out_altogether() -> None:
    for table in (
        pd.DataFrame({"name": ["a"], "ssn": pd.Categorical(["123-45-6789"])}),
        pl.DataFrame({"name": ["a"], "ssn": pl.Series(["123-45-6789"], dtype=pl.Categorical)}),
    ):
        made = output(None, like=table, private=lambda column: column == "ssn")
        assert "ssn" not in made.instruction
        assert "123" not in made.instruction
        assert list(made.frame(made.parse('{"rows": [{"name": "b", "ssn": "1"}]}')).columns) == ["name"]
        with pytest.raises(CommandError, match="no column"):
            output(None, like=table, private=lambda _: True)


@pytest.mark.parametrize(
    ("like", "words"),
    [
        (3, "like= is a int, which is not a dataframe"),
        (pd.Series([1]), "like= is a Series, which is not a dataframe"),
        (pl.Series([1]), "like= is a Series, which is not a dataframe"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "Two columns are named '1'"),
        (pd.DataFrame({"p": pd.period_range("2026", periods=2, freq="M")}), "The column 'p' is period"),
        (pd.DataFrame({"c": [1j]}), "The column 'c' is complex128"),
        (pd.DataFrame({"b": [b"a"]}), "The column 'b' is object"),
        (pl.DataFrame({"b": [b"a"]}), "The column 'b' is Binary"),
        (pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "The column 'o' is Object"),
        (pd.DataFrame(), "no column"),
        (pl.DataFrame(), "no column"),
    ],
)
def test_what_no_row_can_be_like_is_refused_by_name(like: Any, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        output(None, like=like)
    assert words in str(caught.value)
    assert caught.value.hint


def test_columns_of_two_levels_and_lazy_and_other_frames_work() -> None:
    wide = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    made = output(None, like=wide)
    names = list(made.schema["properties"]["rows"]["items"]["properties"])
    pd.testing.assert_frame_equal(made.frame([dict.fromkeys(names, 3)]), wide * 0 + 3)
    lazy = pl.LazyFrame({"a": [1], "b": ["x"]})
    assert (
        output(None, like=lazy)
        .frame([{"a": None, "b": "y"}])
        .equals(pl.DataFrame({"a": pl.Series([None], dtype=pl.Int64), "b": ["y"]}))
    )
    arrow = pa.table({"a": [1, None], "b": [0.5, 1.5]})
    assert output(None, like=arrow).frame([{"a": None, "b": 1.0}]).dtypes.astype(str).to_dict() == {
        "a": "Int64",
        "b": "float64",
    }


FIELDS = "name, n int, m int?, x float, ok bool, ok2 bool?, day date, at datetime, mood good|bad, tags list[str]"
ROW = {
    "name": "a",
    "n": 1,
    "m": None,
    "x": 1,
    "ok": True,
    "ok2": None,
    "day": "2026-02-03",
    "at": "2026-02-03T12:00:00Z",
}
ROW |= {"mood": "bad", "tags": ["x"]}
TEXT = str(pd.Series(["a"]).dtype)


def test_fields_have_proper_dtypes_in_pandas() -> None:
    made = output(f"[{FIELDS}]")
    table = made.frame(made.parse(written([ROW])))
    assert table.dtypes.astype(str).to_dict() == {
        "name": TEXT,
        "n": "int64",
        "m": "Int64",
        "x": "float64",
        "ok": "bool",
        "ok2": "boolean",
        "day": "datetime64[us]",
        "at": "datetime64[us, UTC]",
        "mood": "category",
        "tags": "object",
    }
    assert list(table["mood"].cat.categories) == ["good", "bad"]
    empty = made.frame([])
    assert list(empty.columns) == list(table.columns)
    assert empty["x"].dtype == "float64"


def test_rows_of_classes_make_dataframes() -> None:
    people = [Person(name="Ada", age=36, tags=["x"])]
    assert output(list[Person]).frame(people).to_dict("records")[0] | {"email": None} == people[0].model_dump()
    assert output(Person).frame(people[0]).shape == (1, 4)
    assert output(list[Point]).frame([Point(1.0, 2.0)]).to_dict("list") == {"x": [1.0], "y": [2.0]}
    assert output(list[Pair]).frame([Pair(1, "x")]).to_dict("list") == {"left": [1], "right": ["x"]}
    films = output(list[Film]).frame(
        [{"title": "Solaris", "year": 1972}, {"title": "Stalker", "year": 1979, "rating": 8.1}]
    )
    assert films["rating"].tolist()[1] == 8.1
    assert films["year"].dtype == "int64"
    assert output(list[Mood]).frame([Mood.BAD])["value"].tolist() == ["bad"]
    assert output(list[int]).frame([1, 2])["value"].tolist() == [1, 2]


def test_numbers_that_fit_no_dtype_are_kept() -> None:
    assert output("[n int]").frame([{"n": 2**80}])["n"].tolist() == [2**80]


PROGRAM = """
import json, sys
HIDDEN
from kimi_magic.schema import output
assert "pydantic" not in sys.modules or sys.modules["pydantic"] is None
made = output(FIELDS)
assert not {"pandas", "polars", "narwhals", "numpy"} & {name for name, found in sys.modules.items() if found}
table = made.frame(made.parse(json.dumps({"rows": [json.loads(ROW)]})))
print(type(table).__module__.split(".")[0], *(str(dtype) for dtype in table.dtypes), sep="; ")
"""


def alone(hidden: str) -> str:
    """Run it in a Python of its own, where some packages are not installed."""
    program = PROGRAM.replace("HIDDEN", hidden).replace("FIELDS", repr(f"[{FIELDS}]"))
    program = program.replace("ROW", repr(json.dumps(ROW)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_without_pandas_it_is_polars_and_without_either_it_is_said() -> None:
    assert alone("").startswith(f"pandas; {TEXT}; int64; Int64; float64; bool; boolean; datetime64[us]; ")
    shown = alone("sys.modules['pandas'] = None").strip()
    assert shown.startswith("polars; String; Int64; Int64; Float64; Boolean; Boolean; Date; Datetime(")
    assert shown.endswith("; Enum(categories=['good', 'bad']); List(String)")
    assert "CommandError: A table needs pandas or polars." in alone(
        "sys.modules['pandas'] = sys.modules['polars'] = None"
    )
    assert "CommandError: Types and tools need pydantic." in alone("sys.modules['pydantic'] = None")
