"""Tables of every library and dtype: what is said of them, what fits, and what never leaves."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.io.plugins import register_io_source

from kimi_magic.context import tables
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from kimi_magic.context.tables.sampling import representative, spread
from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "Zanzibar-Quokka-77"
ODD_NAMES = ["a|b", "new\nline", "`tick`", "\x1b[31m", "\u202eevil", "", " padded ", "1", "None", "\ud800", "名前"]
ODD_LABELS = [*ODD_NAMES, 0, 1.5, None, ("x", 1), dt.date(2020, 1, 1), True, b"bytes"]


def look(*private: str, **wishes: Any) -> Look:
    guard = Guard()
    if private:
        guard.hide(None, private)
    return Look(guard, **wishes)


def described(obj: object, *private: str, **wishes: Any) -> Description:
    description = tables.describe(obj, look(*private, **wishes))
    assert description is not None
    return description


def line(text: str, begin: str) -> str:
    """The line of the table of columns that is about this one."""
    return next(each for each in text.splitlines() if each.startswith(f"| {begin}"))


@pytest.fixture
def people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": [f"Person {n}" for n in range(100)],
            "age": [20 + n % 50 for n in range(100)],
            "height": [1.5 + n / 200 if n % 10 else None for n in range(100)],
            "city": pd.Categorical(["Oslo", "Rome", "Lima", "Oslo"] * 25),
            "member": [n % 3 == 0 for n in range(100)],
            "since": pd.date_range("2020-01-01", periods=100, tz="Europe/Berlin"),
            "ssn": [f"078-05-{1000 + n}" for n in range(100)],
        }
    )


# What is said


def test_a_table_is_described_by_columns_and_telling_rows(people: pd.DataFrame) -> None:
    found = described(people)
    assert found.text.startswith("pandas DataFrame: 100 rows × 7 columns\n")
    assert "10 (10 %)" in line(found.text, "height")
    assert "1.505 … 1.995, mean 1.75, median 1.75" in line(found.text, "height")
    assert "Oslo ×50, Rome ×25, Lima ×25" in line(found.text, "city")
    assert "True ×34, False ×66" in line(found.text, "member") or "False ×66, True ×34" in line(found.text, "member")
    assert "2020-01-01 00:00:00+01:00 … 2020-04-09 00:00:00+02:00" in line(found.text, "since")
    assert "| 100 (all) | e.g. Person 0, Person 1, Person 2 |" in " ".join(line(found.text, "name").split())
    assert (found.kind, found.shape, found.rows, found.omitted) == ("table", "100 rows × 7 columns", 6, "")
    assert found.columns == tuple(people.columns)


def test_the_rows_shown_have_a_gap_and_both_ends(people: pd.DataFrame) -> None:
    rows = described(people).text.split("rows that show")[1]
    assert "NaN" in rows
    assert all(city in rows for city in ("Oslo", "Rome", "Lima"))
    assert "True" in rows
    assert "False" in rows


def test_as_many_rows_as_asked_for(people: pd.DataFrame) -> None:
    assert described(people, rows=17).rows == 17
    assert described(people, rows=0).rows == 0
    assert described(people.head(8)).rows == 8
    assert described(people, rows=10**9).rows == 100
    assert 100 < described(pd.DataFrame({"n": range(1_000_000)}), rows=10**9).rows < 2_000


def test_rows_that_do_not_fit_are_said_to_be_left_out(people: pd.DataFrame) -> None:
    found = described(people, rows=100, room=3_000)
    assert 0 < found.rows < 100
    assert f"{100 - found.rows} of 100 rows" in found.omitted
    assert f"[… {100 - found.rows} of 100 rows left out for lack of room …]" in found.text


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_libraries_agree_on_the_figures(library: str) -> None:
    data = {"n": [1, 2, 3, 4, 5, 6, 7, None], "word": ["a", "b", "a", None, "a", "b", "c", "a"]}
    table = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[library](data)
    text = described(table).text
    assert text.startswith(library)
    assert "1 (12 %)" in line(text, "n ")
    assert "1 … 7, mean 4, median 4" in line(text, "n ")
    assert "a ×4, b ×2, c ×1" in line(text, "word")


def test_a_record_batch_and_arrays_of_arrow_are_tables_and_columns() -> None:
    assert "2 rows × 1 column" in described(pa.RecordBatch.from_pydict({"a": [1, 2]})).text
    assert described(pa.array([1, 2, 3])).kind == "column"
    assert described(pa.chunked_array([["x"], ["y"]])).rows == 2


def test_nan_is_not_null_where_the_library_tells_them_apart() -> None:
    text = described(pl.DataFrame({"x": [1.0, float("nan"), None, float("inf"), 2.0, 3.0, 4.0, 5.0, 6.0]})).text
    assert "1 (11 %), NaN 1" in line(text, "x")


def test_a_sampled_table_says_what_is_estimated() -> None:
    rows = 60_000
    frame = pd.DataFrame({f"c{n}": np.arange(rows) % (n + 2) for n in range(12)} | {"object": [object] * rows})
    frame.loc[59_999, "c3"] = 777
    text = described(frame).text
    assert "evenly spread rows" in text
    assert "0 … 777" in line(text, "c3")  # the one that a sample would have missed
    assert line(text, "c11 ").count("≥ 13") == 1  # the phase of periodic data is not sampled
    assert "~0 %" in line(text, "object")


def test_ranges_of_a_long_matrix_are_estimated_because_its_columns_lie_far_apart() -> None:
    matrix = np.tile(np.arange(10.0), (600_000, 1))
    frame = pd.DataFrame(matrix, copy=False)
    assert "~3 … 3" in line(described(frame).text, "3 ")
    assert "~" not in line(described(frame.head(1_000)).text, "3 ")


def test_evenly_spread_rows_are_distinct_in_order_and_of_every_phase() -> None:
    for rows, wanted in [(1, 1), (10, 3), (1_000_003, 997), (10, 50), (0, 5)]:
        found = spread(rows, wanted)
        assert len(found) == min(rows, wanted)
        assert found == sorted(set(found))
        assert all(0 <= n < rows for n in found)
    assert len({n % 400 for n in spread(10_000_000, 25_000)}) == 400


def test_telling_rows_cover_nulls_ends_common_and_rare_values() -> None:
    numbers = [None if n == 31 else n for n in range(100)]
    words = ["rare" if n == 62 else "common" for n in range(100)]
    chosen = representative([numbers, words], 100, 5)
    assert {31, 62} <= set(chosen)
    assert any(n <= 10 for n in chosen)
    assert any(n >= 89 for n in chosen)
    assert chosen == sorted(set(chosen))


def test_an_index_that_says_something_is_described_and_shown(people: pd.DataFrame) -> None:
    text = described(people.set_index("name")).text
    assert "index: name, str, Person 0 … Person 99 (first … last)" in text
    assert "| row | name" in text
    text = described(people.set_index(["city", "age"])).text
    assert "index: city, category[3], 3 different" in text
    assert "index: age, int64, 50 different" in text
    assert "index" not in described(people).text


def test_labels_of_several_levels_are_written_as_python_has_them() -> None:
    frame = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["top", None]))
    text = described(frame).text
    assert line(text, "('a', 1)")
    assert "column levels: top, None" in text


def test_columns_of_one_name_are_each_described() -> None:
    frame = pd.DataFrame([[1, "x"], [2, "y"]], columns=["same", "same"])
    text = described(frame).text
    assert text.count("\n| same") == 2
    assert "int64" in text
    assert "x ×1, y ×1" in text


def test_a_column_and_an_index_are_described_on_their_own(people: pd.DataFrame) -> None:
    found = described(people["city"].value_counts())
    assert (found.kind, found.shape, found.rows) == ("column", "3 values", 3)
    assert "| 0   | Oslo" in found.text
    assert described(people.index).kind == "index"
    assert described(pd.Index(["a", "b"], name="letters")).columns == ("letters",)
    assert "2 rows × 2 columns" in described(pd.MultiIndex.from_tuples([(1, "a"), (2, "b")])).text
    assert described(pl.Series("x", [1, 2])).shape == "2 values"


def test_a_table_of_narwhals_is_that_of_its_library() -> None:
    assert described(nw.from_native(pl.DataFrame({"a": [1]}))).text.startswith("polars DataFrame")
    assert described(nw.from_native(pd.DataFrame({"a": [1]}))).text.startswith("pandas DataFrame")
    assert described(nw.from_native(pl.Series([1]), series_only=True)).kind == "column"


def test_what_is_no_table_is_left_to_others() -> None:
    for obj in (pd.Timestamp("2020"), pd.NaT, pl.col("a"), pa.scalar(1), pa.schema([]), duckdb, pd.DataFrame, 5, [1]):
        assert tables.describe(obj, look()) is None
        assert tables.brief(obj, look()) is None
    assert tables.describe(pd.DataFrame({"a": [1]}).groupby("a"), look()) is None


def test_one_line_says_type_shape_and_beginning(people: pd.DataFrame) -> None:
    line = tables.brief(people, look("ssn"))
    assert line is not None
    assert line.startswith("DataFrame 100 × 7 [name str, age int64, height float64, city category[3], member bool, ")
    assert tables.brief(people["age"], look()) == "Series 100 int64 age [20, 21, 22, 23, 24, …]"
    assert tables.brief(people["ssn"], look("ssn")) == "Series 100 str ssn (private: withheld)"
    assert tables.brief(pl.LazyFrame({"a": [1]}), look()) == "LazyFrame ? × 1 [a Int64]"


# What is lazy


def test_a_lazy_frame_is_not_computed_beyond_its_first_rows() -> None:
    asked: list[int | None] = []

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None
    ) -> Iterator[pl.DataFrame]:
        del columns, predicate, batch
        asked.append(rows)
        yield pl.DataFrame({"n": range(rows or 0), "word": ["x"] * (rows or 0)})

    source = register_io_source(read, schema={"n": pl.Int64, "word": pl.String})
    found = described(source)
    assert found.shape == "rows not counted (lazy) × 2 columns"
    assert (found.rows, asked) == (0, [])
    assert "not read unasked" in found.text
    found = described(source, rows=6)
    assert (found.rows, asked) == (6, [6])
    assert "first 6 rows" in found.text


def test_a_relation_of_duckdb_shows_schema_and_first_rows() -> None:
    relation = duckdb.sql(
        "select i as n, {'ssn': 'secret', 'x': i} as s, 'a'::ENUM('a', 'b') as ssn from range(10) t(i)"
    )
    found = described(relation, "ssn", rows=6)
    assert "rows not counted (lazy) × 3 columns" in found.text
    assert "ENUM (private: withheld)" in found.text
    assert "{'ssn': (private), 'x': 0}" in found.text
    assert "secret" not in found.text
    assert (found.rows, found.withheld) == (6, ("ssn",))


def test_of_a_dask_table_one_partition_is_read() -> None:
    read: list[int] = []

    def part(n: int) -> pd.DataFrame:
        read.append(n)
        return pd.DataFrame({"n": [n] * 4, "word": ["x"] * 4})

    meta = pd.DataFrame({"n": pd.Series(dtype="int64"), "word": pd.Series(dtype="str")})
    table = dd.from_map(part, range(5), meta=meta)
    found = described(table)
    assert "dask DataFrame: rows not counted (lazy) × 2 columns" in found.text
    assert (found.rows, read) == (0, [])
    assert described(table, rows=6).rows == 4
    assert set(read) == {0}
    assert described(table["word"]).kind == "column"


def test_a_lazy_table_that_fails_still_has_its_schema() -> None:
    found = described(pl.LazyFrame({"n": [1]}).select(pl.col("n").map_batches(lambda _: 1 / 0, return_dtype=pl.Int64)))
    assert "Int64" in found.text
    assert found.rows == 0


# What fits


def test_ten_thousand_columns_are_summarised_and_more_can_be_asked_for() -> None:
    frame = pd.DataFrame({f"c{n}": [n, n + 1.5] if n % 2 else [n, n] for n in range(10_000)})
    found = described(frame, "c9999")
    assert len(found.text) <= 12_000
    assert "more columns: " in found.text
    assert "Choose with --columns" in found.text
    assert "private: withheld: c9999 float64" in found.text
    assert 20 < len(found.columns) < 1_000
    assert f"{10_000 - len(found.columns):,} columns in detail" in found.omitted
    assert described(frame, columns=("c9998", "c1")).columns == ("c9998", "c1")


def test_a_column_that_there_is_not_is_an_error_with_near_names(people: pd.DataFrame) -> None:
    with pytest.raises(CommandError) as error:
        described(people, columns=("heigth",))
    assert "height" in error.value.hint


def test_columns_asked_for_are_found_by_label_of_any_level() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=[("a", "x"), ("a", "y"), 7])
    assert described(frame, columns=("x", "7")).columns == ("('a', 'x')", "7")


@pytest.mark.parametrize("room", [60, 200, 500, 2_000])
def test_any_room_is_kept(people: pd.DataFrame, room: int) -> None:
    for wishes in ({}, {"full": True}, {"rows": 50}, {"columns": ("name", "age")}):
        assert len(described(people, "ssn", room=room, **wishes).text) <= max(room, 100)


def test_all_data_is_csv_that_reads_back() -> None:
    frame = pd.DataFrame({"a,b": ['say "hi"', "two\nlines", ""], "n": [1.5, None, 0.1 + 0.2]}, index=["x", "y", "z"])
    text = described(frame, full=True).text
    rows = list(csv.reader(io.StringIO(text.split("\n\n")[1])))
    assert rows == [
        ["index", "a,b", "n"],
        ["x", 'say "hi"', "1.5"],
        ["y", "two\nlines", ""],
        ["z", "", "0.30000000000000004"],
    ]


def test_csv_that_does_not_fit_is_cut_between_rows_and_says_so(people: pd.DataFrame) -> None:
    people["name"] = "two\nlines, and more"
    found = described(people, "ssn", full=True, room=2_000)
    body = found.text[found.text.index("name,age") : found.text.index("[…")]
    rows = list(csv.reader(io.StringIO(body)))
    assert len(rows) == found.rows + 1
    assert all(len(row) == 6 for row in rows)
    assert found.omitted == f"{100 - found.rows} rows"
    assert f"[… {100 - found.rows} rows left out for lack of room …]" in found.text


def test_all_data_of_a_huge_table_does_not_convert_it() -> None:
    frame = pd.DataFrame({"n": np.arange(3_000_000), "word": "x" * 50})
    found = described(frame, full=True)
    assert len(found.text) <= 12_000
    assert found.rows > 100


# What is private


def test_a_private_column_is_named_and_nothing_more(people: pd.DataFrame) -> None:
    for wishes in ({}, {"full": True}, {"rows": 100}, {"columns": ("ssn", "age")}):
        found = described(people, "ssn", **wishes)
        assert "078-05" not in found.text
        assert "ssn" not in found.columns
        assert found.withheld == ("ssn",)
        assert "private: withheld" in found.text


def test_a_private_column_is_withheld_under_another_name_too(people: pd.DataFrame) -> None:
    guard = Guard()
    guard.hide(people, ["ssn"])
    renamed = people.rename(columns={"ssn": "code"})
    for obj in (renamed, renamed["code"], pl.from_pandas(renamed)):
        found = tables.describe(obj, Look(guard))
        assert found is not None
        assert "078-05" not in found.text
        assert found.withheld == ("code",)


def test_private_levels_rows_and_labels_stay(people: pd.DataFrame) -> None:
    people["ssn"] = [f"{MARKER}-{n}" for n in range(100)]
    objects = (
        people.set_index("ssn"),
        people.set_index(["ssn", "city"]),
        people.set_index("ssn")["age"],
        people["ssn"],
        people.iloc[0],
        people.iloc[:3].T,
        people.head(4).pivot_table(index="name", columns="ssn", values="age"),
        people.groupby("ssn")["age"].mean(),
        pd.Index(people["ssn"]),
        pd.MultiIndex.from_frame(people[["ssn", "age"]]),
        people["ssn"].value_counts(),
        people.style,
        dd.from_pandas(people.set_index("ssn"), npartitions=2, sort=False),
        pd.concat({"a": people[["age", "ssn"]]}, axis=1),
        pd.DataFrame({"nested": [{"ssn": f"{MARKER}-1"}, [{"ssn": f"{MARKER}-2"}]]}),
        pd.DataFrame({"table": [people.head(2)], "row": [people.iloc[0]]}),
        people.astype({"ssn": "category"}),
    )
    for obj in objects:
        for wishes in ({}, {"full": True}, {"rows": 50}):
            assert MARKER not in described(obj, "ssn", **wishes).text
        line = tables.brief(obj, look("ssn"))
        assert line is not None
        assert MARKER not in line


def test_the_categories_in_a_private_columns_dtype_stay() -> None:
    frame = pl.DataFrame({"ssn": ["a"], "n": [1]}, schema={"ssn": pl.Enum(["a", MARKER]), "n": pl.Int8})
    for obj in (frame, frame.lazy(), frame["ssn"]):
        assert MARKER not in described(obj, "ssn").text
        assert MARKER not in str(tables.brief(obj, look("ssn")))


# What is odd


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=range(3)),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": []}, dtype="datetime64[ns]"),
        pl.DataFrame(),
        pa.table({}),
    ],
)
def test_empty_tables_have_a_shape(frame: Any) -> None:
    found = described(frame)
    assert "rows × " in found.text
    assert found.rows == 0
    assert described(frame, full=True).rows == 0


def odd_columns() -> dict[str, Any]:
    """Three values of every dtype that pandas has, and of objects that are hard to compare."""
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    return {
        "period": pd.period_range("2020", periods=3, freq="M"),
        "interval": pd.interval_range(0, 3),
        "sparse": pd.arrays.SparseArray([0, 0, 1.5]),
        "complex": [1 + 2j, 2, None],
        "bytes": [b"a|b", b"\xff\x00", None],
        "decimal": [decimal.Decimal("1.5"), decimal.Decimal("NaN"), None],
        "delta": pd.to_timedelta([1, 2, None], unit="s"),
        "zones": [dt.datetime(2020, 1, 1, tzinfo=dt.UTC), pd.Timestamp("2020", tz="Asia/Tokyo"), None],
        "mixed": [1, "1", True],
        "unhashable": [{"a": [1]}, [1, 2], {3}],
        "cyclic": [cyclic, cyclic, None],
        "arrays": [np.array([1, 2]), np.eye(2), np.array(5)],
        "huge": [10**5000, 1, -1],
        "inf": [np.inf, -np.inf, np.nan],
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "boolean": pd.array([True, None, False], dtype="boolean"),
        "float": pd.array([1.5, None, np.inf], dtype="Float64"),
        "ordered": pd.Categorical(["lo", "hi", None], categories=["lo", "hi"], ordered=True),
        "arrow": pd.array([[1], None, [2, 3]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        "struct": pd.array([{"a": 1}, None, {"a": 2}], dtype=pd.ArrowDtype(pa.struct({"a": pa.int64()}))),
        "dates": [dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
        "ids": [uuid.UUID(int=1), uuid.UUID(int=2), None],
        "na": [pd.NA, None, np.nan],
        "text": pd.Series(["a|b", "x\ny", "\x1b[31m\u202e\ud800"], dtype=object),
        "types": [int, len, object()],
        "half": np.array([1, 2, 3], dtype="float16"),
        "unsigned": np.array([2**64 - 1, 0, 1], dtype="uint64"),
    }


def test_every_dtype_is_legible() -> None:
    frame = pd.DataFrame(odd_columns())
    text = described(frame, room=50_000).text
    assert "2020-01 … 2020-03" in text or "2020-01 ×1" in text
    assert "<unreadable" not in text
    assert "0x" not in text
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert all(each.startswith("| ") and each.endswith(" |") for each in text.splitlines() if "\\|" in each)
    for name in frame.columns:
        assert described(frame[name]).text
        assert described(frame[[name]], full=True).rows == 3
        assert tables.brief(frame[name], look())


class Hostile:
    """An object whose every method raises."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


def test_objects_that_raise_do_not_keep_the_rest_from_being_described() -> None:
    found = described(pd.DataFrame({"bad": [Hostile(), Hostile(), None], "good": [1, 2, 3]}))
    assert "Hostile" in found.text
    assert "1 ×1, 2 ×1, 3 ×1" in line(found.text, "good")


def test_odd_labels_keep_the_layout() -> None:
    frame = pd.DataFrame([range(len(ODD_LABELS))] * 12, columns=pd.Index(ODD_LABELS, dtype=object))
    text = described(frame).text
    assert all(char.isprintable() for char in text.replace("\n", ""))
    columns = text.split("\n\n")[1].splitlines()
    assert len(columns) == len(ODD_LABELS) + 2
    assert "| '1' " in text
    assert "| 'None' " in text
    assert "| None " in text
    assert "| '' " in text
    assert described(frame, full=True).rows == 12


def test_values_beyond_python_are_read_as_text() -> None:
    frame = pl.DataFrame({"when": pl.Series([2**62, 0]).cast(pl.Datetime("us"))})
    text = described(frame).text
    assert "148108" in text


def test_display_options_change_nothing(people: pd.DataFrame) -> None:
    before = described(people).text
    options = ("display.precision", 1, "display.max_colwidth", 5, "display.width", 10)
    with pd.option_context(*options), np.printoptions(precision=1, threshold=1), pl.Config(tbl_rows=1):
        assert described(people).text == before


# Any table at all

ROWS = st.integers(0, 12)
WORDS = st.text(max_size=12) | st.sampled_from(["", "null", "a|b", "x" * 500])
NUMBERS = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1e308])
MOMENTS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))  # noqa: DTZ001  # what tables mostly have
OBJECTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | NUMBERS
    | WORDS
    | st.binary(max_size=5)
    | MOMENTS
    | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3) | st.tuples(inner),
    max_leaves=5,
)
PANDAS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "Int32": st.none() | st.integers(-(2**31), 2**31 - 1),
    "float64": st.none() | NUMBERS,
    "float32": st.floats(width=32),
    "Float64": st.none() | NUMBERS,
    "bool": st.booleans(),
    "boolean": st.none() | st.booleans(),
    "complex128": st.complex_numbers(),
    "str": st.none() | WORDS,
    "string[python]": st.none() | WORDS,
    "object": OBJECTS,
    "category": st.none() | st.sampled_from(["a", "b", "c"]),
    "datetime64[ns]": st.none() | MOMENTS,
    "datetime64[s, UTC]": st.none() | MOMENTS,
    "timedelta64[us]": st.none() | st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
    "period[D]": st.none() | st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)).map(str),
    "Sparse[float64]": st.floats(),
}
POLARS = {
    pl.Int64: st.none() | st.integers(-(2**63), 2**63 - 1),
    pl.UInt8: st.none() | st.integers(0, 255),
    pl.Float64: st.none() | NUMBERS,
    pl.Float32: st.none() | st.floats(width=32),
    pl.Boolean: st.none() | st.booleans(),
    pl.String: st.none() | WORDS.filter(lambda text: text.isprintable()),
    pl.Binary: st.none() | st.binary(max_size=5),
    pl.Date: st.none() | st.dates(),
    pl.Datetime("us"): st.none() | st.datetimes(),
    pl.Datetime("ns", "Asia/Tokyo"): st.none() | MOMENTS,
    pl.Duration("us"): st.none() | st.timedeltas(dt.timedelta(-1000), dt.timedelta(1000)),
    pl.Time: st.none() | st.times(),
    pl.Categorical: st.none() | st.sampled_from(["a", "b", "c"]),
    pl.Decimal(20, 2): st.none() | st.decimals(-1000, 1000, places=2),
    pl.List(pl.Int64): st.none() | st.lists(st.integers(-9, 9), max_size=3),
    pl.Struct({"a": pl.Int64, "ssn": pl.String}): st.none() | st.fixed_dictionaries({"a": st.integers(-9, 9)}),
    pl.Null: st.none(),
}
HIDDEN = "ssn"


@st.composite
def pandas_frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(ROWS)
    kinds = draw(st.lists(st.sampled_from(sorted(PANDAS)), max_size=6))
    columns = [draw(st.lists(PANDAS[kind], min_size=rows, max_size=rows)) for kind in kinds]
    made = [pd.Series(values, dtype=kind) for kind, values in zip(kinds, columns, strict=True)]
    frame = pd.concat(made, axis=1) if made else pd.DataFrame(index=range(rows))
    frame[HIDDEN] = pd.Series([f"{MARKER}-{n}" for n in range(rows)], dtype="str")
    labels = draw(st.lists(st.sampled_from(ODD_LABELS) | WORDS, min_size=len(kinds), max_size=len(kinds)))
    frame.columns = pd.Index([*labels, HIDDEN], dtype=object)
    if draw(st.booleans()) and rows:
        frame.index = pd.Index(draw(st.lists(WORDS | st.integers(), min_size=rows, max_size=rows)), dtype=object)
    return frame


@st.composite
def polars_frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(ROWS)
    kinds = draw(st.lists(st.sampled_from(list(POLARS)), max_size=6))
    columns = {
        f"{n} {draw(st.sampled_from(['', 'x|y', '`']))}": pl.Series(
            draw(st.lists(POLARS[kind], min_size=rows, max_size=rows)), dtype=kind
        )
        for n, kind in enumerate(kinds)
    }
    return pl.DataFrame({**columns, HIDDEN: [f"{MARKER}-{n}" for n in range(rows)]})


WISHES = st.fixed_dictionaries(
    {},
    optional={
        "rows": st.integers(0, 30),
        "full": st.booleans(),
        "room": st.integers(100, 12_000),
        "columns": st.just((HIDDEN,)),
    },
)


def hold(frame: Any, copy: Any, wishes: dict[str, Any]) -> None:
    """What is true of any table, however it is looked at."""
    found = described(frame, HIDDEN, **wishes)
    assert len(found.text) <= wishes.get("room", 12_000)
    assert MARKER not in found.text
    assert HIDDEN not in found.columns
    assert found.withheld[:1] == (HIDDEN,) or HIDDEN in found.withheld
    assert "could not be read" not in found.text
    assert described(frame, HIDDEN, **wishes) == found
    assert described(copy, HIDDEN, **wishes) == found
    assert found.text.isascii() or found.text.encode()
    assert all(char.isprintable() or char in "\n\t" or wishes.get("full") for char in found.text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(frame=pandas_frames(), wishes=WISHES)
def test_any_pandas_table_is_described_within_its_room_and_without_what_is_private(
    frame: pd.DataFrame, wishes: dict[str, Any]
) -> None:
    hold(frame, frame.copy(deep=True), wishes)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(frame=polars_frames(), wishes=WISHES, lazy=st.booleans())
def test_any_polars_table_is_described_within_its_room_and_without_what_is_private(
    frame: pl.DataFrame,
    wishes: dict[str, Any],
    lazy: bool,  # noqa: FBT001  # drawn by name
) -> None:
    hold(frame.lazy() if lazy else frame, frame.clone().lazy() if lazy else frame.clone(), wishes)


def test_the_text_is_the_same_in_every_process() -> None:
    """Six processes, each with another hash seed; the benchmark does the same a thousand times."""
    seeds = (1, 2, 3, 77, 4_096, 1_000_000)
    command = [sys.executable, "-m", "benchmarks.describe", "text"]
    environments = [{**os.environ, "PYTHONHASHSEED": str(seed)} for seed in seeds]
    runs = [subprocess.run(command, env=env, capture_output=True, text=True, check=True) for env in environments]
    assert len({run.stdout for run in runs}) == 1
    assert len(runs[0].stdout.strip()) == 64
