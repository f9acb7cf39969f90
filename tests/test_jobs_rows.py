"""Rows of whatever holds them: read in pieces, taken by position, nothing copied that nobody asked about."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kimi_magic.errors import CommandError
from kimi_magic.jobs.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kimi_magic.jobs.rows import Rows

DAY = dt.date(2026, 2, 3)


def read(rows: Rows, *labels: Any, size: int = 2) -> list[dict[Any, Any]]:
    pieces = list(rows.pieces(labels, size))
    assert all(0 < len(piece) <= size for piece in pieces)
    return [row for piece in pieces for row in piece]


def column(rows: Rows, label: Any) -> list[Any]:
    return [row[label] for row in read(rows, label)]


TEXTS = {"text": ["a", "b", "c"], "n": [1, 2, 3]}

TABLES = {
    "pandas": pd.DataFrame(TEXTS),
    "polars": pl.DataFrame(TEXTS),
    "polars, lazy": pl.LazyFrame(TEXTS),
    "pyarrow": pa.table(TEXTS),
    "duckdb": duckdb.sql("select * from (values ('a', 1), ('b', 2), ('c', 3)) t(text, n)"),
    "dicts": [{"text": text, "n": n} for text, n in zip("abc", (1, 2, 3), strict=True)],
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_read_in_pieces_and_taken_in_order(name: str) -> None:
    rows = rows_of(TABLES[name])
    assert rows.columns == ("text", "n")
    assert rows.total == 3
    assert read(rows, "n", "text") == [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}, {"n": 3, "text": "c"}]
    assert len(read(rows, "n")) == 3, "they can be read again"
    taken = rows.taken([0, 2])
    assert type(taken).__module__.partition(".")[0] == rows.like
    assert [n.as_py() if rows.like == "pyarrow" else n for n in taken["n"]] == [1, 3]
    assert len(rows.taken(None)) == 3


def test_a_frame_keeps_its_library() -> None:
    assert {name: rows_of(table).like for name, table in TABLES.items()} == {
        "pandas": "pandas",
        "polars": "polars",
        "polars, lazy": "polars",
        "pyarrow": "pyarrow",
        "duckdb": "pyarrow",
        "dicts": "pandas",
    }


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (pd.Categorical(["x", None]), ["x", None]),
        (pd.to_datetime(["2026-02-03 12:00", None]), [pd.Timestamp("2026-02-03 12:00"), None]),
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (pd.array([True, None], dtype="boolean"), [True, None]),
        ([Decimal("1.20"), None], [Decimal("1.20"), None]),
        ([{"a": 1}, None], [{"a": 1}, None]),
        (["x", np.nan], ["x", None]),
        (pd.array([0.1, None], dtype="Float32"), [np.float32(0.1), None]),
        (pd.array([DAY, None], dtype=pd.ArrowDtype(pa.date32())), [DAY, None]),
    ],
)
def test_values_of_pandas_are_python_objects(made: Any, expected: list[Any]) -> None:
    found = column(rows_of(pd.DataFrame({"c": made})), "c")
    assert [None if pd.api.types.is_scalar(value) and pd.isna(value) else value for value in found] == expected


def test_numbers_of_32_bits_write_themselves_as_short_as_they_are() -> None:
    for table in (
        pd.DataFrame({"f": np.array([0.1, 0.3, np.nan], "float32")}),
        pl.DataFrame({"f": pl.Series([0.1, 0.3, None], dtype=pl.Float32)}),
    ):
        assert [str(value) for value in column(rows_of(table), "f")] == ["0.1", "0.3", "None"]


def test_labels_may_repeat_and_be_anything() -> None:
    table = pd.DataFrame([[1, 2, 3, 4, 5]], columns=["a", "a", 0, "größe 'x'", ("l", "r")])
    rows = rows_of(table)
    assert rows.columns == ("a", "a", 0, "größe 'x'", ("l", "r"))
    assert read(rows, 0, "größe 'x'", ("l", "r")) == [{0: 3, "größe 'x'": 4, ("l", "r"): 5}]


def test_labels_of_several_levels() -> None:
    table = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))
    assert read(rows_of(table), ("a", "y")) == [{("a", "y"): 2}]


@pytest.mark.parametrize("named", ["review", None])
def test_a_series_is_a_frame_of_one_column(named: str | None) -> None:
    for series in (pd.Series(["x", "y"], index=[7, 7], name=named), pl.Series(named, ["x", "y"])):
        rows = rows_of(series)
        assert rows.columns == (named or "value",)
        assert column(rows, named or "value") == ["x", "y"]
    assert list(rows_of(pd.Series(["x", "y"], index=[7, 7])).taken([1]).index) == [7]


def test_dicts_may_have_different_keys_and_come_from_a_generator() -> None:
    def given() -> Iterable[dict[str, Any]]:
        yield {"a": 1}
        yield {"b": "x", "a": None}
        yield {}

    rows = rows_of(given())
    assert rows.columns == ("a", "b")
    assert read(rows, "b", "a") == [{"b": None, "a": 1}, {"b": "x", "a": None}, {"b": None, "a": None}]
    assert rows.total == 3
    assert list(rows.taken([1, 2])["b"]) == ["x", None] or rows.taken([1, 2])["b"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "empty", [pd.DataFrame({"a": []}), pl.DataFrame({"a": []}), pa.table({"a": pa.array([], pa.string())}), []]
)
def test_no_rows(empty: Any) -> None:
    rows = rows_of(empty)
    assert rows.total == 0
    assert list(rows.pieces(rows.columns)) == []
    assert len(rows.taken(None)) == len(rows.taken([])) == 0


def test_a_frame_that_changes_meanwhile_is_the_one_that_was_given() -> None:
    table = pd.DataFrame({"a": [1, 2]})
    rows = rows_of(table)
    table["b"] = 0
    table.loc[0, "a"] = 9
    table.loc[2] = 0
    assert column(rows, "a") == [1, 2]
    assert list(rows.taken(None).columns) == ["a"]


@pytest.mark.parametrize(
    "data",
    [{"a": [1]}, b"a", 3, None, ["a", "b"], [{"a": 1}, "b"], np.array([1.5]), pd.Index(["a"])],
    ids=lambda data: type(data).__name__,
)
def test_anything_else_is_refused_with_what_can_be_given(data: Any) -> None:
    with pytest.raises(CommandError, match=r"dict|Rows are wanted") as error:
        rows_of(data)
    assert ".parquet" in error.value.hint


def test_a_dask_frame_is_not_collected_here() -> None:
    with pytest.raises(CommandError, match="on its workers"):
        rows_of(dd.from_pandas(pd.DataFrame({"a": [1]}), npartitions=1))


def test_a_lazy_frame_that_cannot_be_read_says_why() -> None:
    with pytest.raises(CommandError, match="ColumnNotFound"):
        rows_of(pl.LazyFrame({"a": [1]}).select("b"))


def test_a_large_frame_is_not_turned_into_dicts_at_once() -> None:
    rows = rows_of(pd.DataFrame({"n": np.arange(300_000), "m": np.arange(300_000)}))
    tracemalloc.start()
    assert sum(len(piece) for piece in rows.pieces(["n", "m"])) == 300_000
    assert tracemalloc.get_traced_memory()[1] < 12e6  # 10,000 rows of two integers, and those before them
    tracemalloc.stop()


# Files


def test_parquet_is_read_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["a", "b", None], "n": [1, 2, 3]}, index=["x", "x", "y"]).to_parquet(path)
    rows = rows_of(str(path))
    assert rows.columns == ("text", "n")
    assert rows.total == 3
    assert read(rows, "text") == [{"text": "a"}, {"text": "b"}, {"text": None}]
    taken = rows.taken([0, 2])
    assert list(taken.index) == ["x", "y"]
    assert list(taken["n"]) == [1, 3]


def test_a_large_parquet_file_stays_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"n": np.arange(1_000_000), "text": np.repeat("not asked about", 1_000_000)})
    pq.write_table(table, path, row_group_size=50_000)
    rows, before = rows_of(path), pa.total_allocated_bytes()
    most = 0
    for piece in rows.pieces(["n"]):
        most = max(most, pa.total_allocated_bytes() - before)
        assert len(piece) <= 10_000
    assert most < 4e6


def test_fields_of_csv_are_the_texts_that_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffid,text,größe\n007,"a, ""b""\nc",1.50\n\n,NA,\nshort\n', encoding="utf-8")
    rows = rows_of(path)
    assert rows.columns == ("id", "text", "größe")
    assert rows.total is None
    assert read(rows, "id", "größe", "text") == [
        {"id": "007", "größe": "1.50", "text": 'a, "b"\nc'},
        {"id": None, "größe": None, "text": "NA"},
        {"id": "short", "größe": None, "text": None},
    ]
    assert rows.total == 3
    assert list(rows.taken([0, 2])["id"]) == ["007", "short"]


def test_csv_comes_back_with_the_dtypes_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("n,text\n1,a\n2,b\n")
    assert rows_of(path).taken([1]).to_dict("list") == {"n": [2], "text": ["b"]}


def test_csv_that_the_library_reads_otherwise_comes_back_as_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("n\n1\n   \n3\n")  # pandas leaves out the line of blanks
    rows = rows_of(path)
    assert column(rows, "n") == ["1", "   ", "3"]
    assert rows.taken([1, 2]).to_dict("list") == {"n": ["   ", "3"]}
    assert len(rows.taken(None)) == 3


def test_a_field_of_csv_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"text\n{'x' * 500_000}\n")
    assert len(column(rows_of(path), "text")[0]) == 500_000


def test_a_file_that_changed_is_noticed(tmp_path: Path) -> None:
    for path in (tmp_path / "rows.csv", tmp_path / "rows.parquet"):
        write = {
            ".csv": lambda table, path=path: table.to_csv(path, index=False),
            ".parquet": lambda table, path=path: table.to_parquet(path),
        }[path.suffix]
        write(pd.DataFrame({"a": [1, 2]}))
        rows = rows_of(path)
        assert len(column(rows, "a")) == 2
        write(pd.DataFrame({"a": [1, 2, 3]}))
        with pytest.raises(CommandError, match="has 3 rows now; it had 2"):
            rows.taken([0])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.xlsx", b"", "neither .parquet nor .csv"),
        ("rows.csv", b"", "is empty"),
        ("rows.csv", b"a\n\xff\n", "UnicodeDecodeError"),
        ("rows.parquet", b"PAR1 no", "cannot be read"),
        ("gone.csv", None, "There is no file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=said):
        column(rows_of(tmp_path / name), "a")


def test_without_pyarrow_the_way_to_get_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"")
    code = (
        "import sys; sys.modules['pyarrow'] = None\nfrom kimi_magic.jobs.rows import rows_of\n"
        f"try: rows_of({str(tmp_path / 'rows.parquet')!r})\nexcept Exception as error: print(error.hint)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "pip install pyarrow\n"


def test_reading_rows_of_dicts_imports_no_dataframe_library() -> None:
    code = (
        "import sys\nfrom kimi_magic.jobs.rows import rows_of\nlist(rows_of([{'a': 1}]).pieces(['a']))\n"
        "print([name for name in ('pandas', 'polars', 'pyarrow', 'dask', 'numpy') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_a_table_that_is_changed_between_two_pieces_is_read_as_it_was() -> None:
    pandas, polars = pd.DataFrame(TEXTS), pl.DataFrame(TEXTS)
    dicts = [{"text": text} for text in "abc"]
    read = [rows_of(data).pieces(["text"], 2) for data in (pandas, polars, dicts)]
    assert {str(next(pieces)) for pieces in read} == {"[{'text': 'a'}, {'text': 'b'}]"}
    pandas.loc[2, "text"] = "x"
    polars[2, "text"] = "x"
    dicts[2]["text"] = "x"
    assert {str(next(pieces)) for pieces in read} == {"[{'text': 'c'}]"}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_that_is_changed_between_two_pieces_is_an_error(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{ending}"
    write = pd.DataFrame.to_csv if ending == "csv" else pd.DataFrame.to_parquet
    write(pd.DataFrame(TEXTS), path)
    pieces = rows_of(path).pieces(["text"], 2)
    next(pieces)
    write(pd.DataFrame({"text": ["x"] * 300, "n": range(300)}), path)
    with pytest.raises(CommandError, match=r"changed while it was read|cannot be read"):
        next(pieces)
