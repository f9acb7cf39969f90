"""The model looks around in the kernel, and what is private stays there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kimi_magic.calls import Outcome
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from kimi_magic.errors import CommandError
from kimi_magic.messages import ToolCall as Call
from kimi_magic.tools import named
from kimi_magic.tools.kernel_tools import kernel_tools
from kimi_magic.tools.toolbox import Toolbox

SSN = [f"123-45-{n:04d}" for n in range(1_000)]


def double(x: int) -> int:
    """Double it."""
    return x * 2


@dataclass
class Person:
    name: str
    ssn: str


class Kernel:
    """A namespace, and the tools over it."""

    def __init__(self) -> None:
        df = pd.DataFrame({"n": range(1_000), "ssn": SSN, "city": ["Bonn", "Ulm"] * 500})
        self.namespace: dict[str, Any] = {
            "df": df,
            "copied": df.rename(columns={"ssn": "x"}),
            "by_ssn": df.set_index("ssn"),
            "by_city": df.set_index("city"),
            "turned": df.head(3).set_index("city").T,
            "pivoted": df.head(4).pivot_table(index="city", columns="ssn", values="n"),
            "polar": pl.from_pandas(df),
            "lazy": pl.from_pandas(df).lazy(),
            "arrow": pa.Table.from_pandas(df),
            "series": df["n"],
            "notes": pd.DataFrame(
                {"n": range(1_000), "note": [f"the number {ssn} of {n}" for n, ssn in enumerate(SSN)]}
            ),
            "numbers": np.arange(5_000).reshape(1_000, 5),
            "items": list(range(100_000)),
            "mapping": {"name": "Ann", "ssn": "999-99-9999", **{f"k{n}": n for n in range(30)}},
            "person": Person("Ann", "999-99-9999"),
            "text": "\n".join(f"line {n}" for n in range(1_000)),
            "nobody": SSN[3],
            "ssn": "999-99-9999",
            "double": double,
            "_hidden": 1,
            "In": [],
            "np": np,
        }
        guard = Guard()
        guard.hide(df, "ssn")
        self.asked: list[str] = []
        self.look = look = Look(guard)
        self.tools = kernel_tools(self.namespace, look, run=self.run)
        self.box = Toolbox(named("kernel", {}, {"kernel": self.tools}), self.namespace, look, ask=self.agree)

    def run(self, code: str) -> Any:
        def fail(value: Any) -> None:
            raise ValueError(value)

        async def later(*what: Any) -> Any:
            return fail(what[1]) if len(what) > 1 else what[0]

        if code.isidentifier() or code.startswith(("fail(", "later(")):
            return eval(code, {**self.namespace, "fail": fail, "later": later})  # noqa: S307
        return exec(code, self.namespace)  # noqa: S102

    def agree(self, _: Any, arguments: str) -> bool:
        self.asked.append(arguments)
        return "refuse" not in arguments

    def call(self, tool: str, /, **arguments: Any) -> Outcome:
        (outcome,) = self.box.run([Call("1", tool, json.dumps(arguments))])
        assert not any(value in outcome.text for value in [*SSN, "999-99-9999"])
        return outcome

    def sql(self, query: str) -> str:
        return self.call("sql", query=query).text


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_variables_are_listed_without_what_is_private(kernel: Kernel) -> None:
    outcome = kernel.call("list_variables")
    lines = outcome.text.splitlines()
    assert "ssn: [private]" in lines
    assert "df: DataFrame 1,000 × 3 [n int64, ssn str, city str]" in lines
    assert not {"_hidden", "In", "np"} & {line.partition(":")[0] for line in lines}
    assert outcome.item.withheld == ("ssn",)


def test_a_variable_is_described_as_closely_as_asked(kernel: Kernel) -> None:
    brief, full = (kernel.call("describe_variable", name="df", detail=detail) for detail in ("brief", "full"))
    assert len(brief.text) < 1_800 < len(full.text)
    assert full.item.withheld == ("ssn",)
    assert full.item.columns == ("n", "city")
    assert (full.handle, full.item.rows > 500) == ("", True)


@pytest.mark.parametrize("tool", ["describe_variable", "peek", "read_source"])
def test_private_hidden_and_unknown_names_are_refused(kernel: Kernel, tool: str) -> None:
    assert kernel.call(tool, name="ssn").text == "LookupError: 'ssn' is private"
    assert kernel.call(tool, name="_hidden").text == "LookupError: there is no variable '_hidden'"
    assert "there is series" in kernel.call(tool, name="serie").text


@pytest.mark.parametrize("name", ["df", "by_ssn", "by_city", "polar", "arrow", "series", "copied"])
def test_rows_of_any_table_are_shown(kernel: Kernel, name: str) -> None:
    text = kernel.call("peek", name=name, rows=2, start=-3).text
    assert text.startswith("[rows 997 to 998 of 1,000]\n")
    assert "997" in text.split("\n", 1)[1]
    assert "999" not in text.split("\n", 1)[1]


def test_columns_are_chosen_by_name(kernel: Kernel) -> None:
    assert kernel.call("peek", name="df", rows=1, columns=["city"]).text.endswith("city\nBonn")
    assert "has no column 'nix'" in kernel.call("peek", name="df", columns=["nix"]).text
    assert "no table" in kernel.call("peek", name="items", columns=["a"]).text


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        ("items", 99_998, "[items 99,998 to 99,999 of 100,000]\n[99998, 99999]"),
        ("mapping", 2, '[items 2 to 4 of 32]\n{"k0": 0, "k1": 1, "k2": 2}'),
        ("mapping", 0, '"ssn": "[private: ssn]"'),
        ("person", 0, "private: ssn"),
        ("numbers", -1, "[rows 999 to 999 of 1,000]"),
        ("text", 5, "[lines 5 to 7 of 1,000]\nline 5\nline 6\nline 7"),
        ("items", 500_000, "[none of 100,000 items]"),
        ("lazy", 0, "first 3 rows"),
        ("lazy", 5, "ValueError: this table is lazy"),
    ],
)
def test_parts_of_anything_are_shown(kernel: Kernel, name: str, start: int, said: str) -> None:
    assert said in kernel.call("peek", name=name, rows=3, start=start).text


def test_rows_have_to_make_sense(kernel: Kernel) -> None:
    assert kernel.call("peek", name="df", rows=0).state == "failed"
    assert kernel.call("peek", name="df", rows=10**9).state == "done"


def test_sources_are_read_and_nothing_else(kernel: Kernel) -> None:
    assert "return x * 2" in kernel.call("read_source", name="double").text
    assert kernel.call("read_source", name="df").text == "TypeError: df is a DataFrame, not a function or a class"


# What is private and no column any more

PEOPLE = pd.DataFrame({"age": [31, 42, 55], "gender": ["m", "f", "x"], "city": ["Bern", "Oslo", "Rome"]})
HOLDING: dict[str, Any] = {
    "ages": PEOPLE["age"].tolist(),
    "genders": ["f", "m"],
    "csv": PEOPLE.to_csv(),
    "bare": PEOPLE.to_csv(header=False),
    "printed": PEOPLE.to_string(),
    "records": repr(PEOPLE.to_dict("records")),
    "rows": PEOPLE.to_numpy().tolist(),
    "array": PEOPLE[["age"]].to_numpy(),
    "inside": {"rows": {"a": PEOPLE["age"].tolist()}},
}
HOLDING_NONE: dict[str, Any] = {
    "some": [1, 2, 3],
    "many": list(range(100)),
    "one": 42,
    "prose": "the agency of 31 people in Bern",
    "letters": list("abcdefghijklmnopqrstuvwxyz"),
    "cities": ["Bern", "Oslo"],
}


@pytest.fixture
def people(kernel: Kernel) -> Kernel:
    kernel.namespace |= {"people": PEOPLE, **HOLDING, **HOLDING_NONE}
    kernel.look.guard.hide(PEOPLE, ["age", "gender"])
    return kernel


@pytest.mark.parametrize("name", HOLDING)
def test_texts_and_lists_of_private_columns_are_withheld(people: Kernel, name: str) -> None:
    for outcome in (people.call("peek", name=name), people.call("describe_variable", name=name)):
        assert outcome.text.startswith(f"LookupError: {name!r} is withheld: it holds the private column ")
    assert f"{name}: [private]" in people.call("list_variables").text.splitlines()
    for code in (name, f"later({name})"):
        outcome = people.call("run_python", code=code)
        assert "withheld as a whole" in outcome.text
        assert (outcome.handle, len(outcome.item.withheld)) == ("", 1)
    for code in (f"fail({name})", f"later(fail, {name})"):
        assert "whose message is withheld" in people.call("run_python", code=code).text


@pytest.mark.parametrize("name", HOLDING_NONE)
def test_other_texts_and_lists_are_shown(people: Kernel, name: str) -> None:
    assert people.call("peek", name=name).state == "done"
    assert people.call("describe_variable", name=name).state == "done"
    assert f"{name}: [private]" not in people.call("list_variables").text
    assert "withheld" not in people.call("run_python", code=name).text


@pytest.mark.parametrize("name", ["In", "np"])
def test_what_is_not_listed_is_not_shown(kernel: Kernel, name: str) -> None:
    assert "there is no variable" in kernel.call("peek", name=name).text
    assert "there is no variable" in kernel.call("describe_variable", name=name).text


# SQL


def test_dataframes_are_queried_by_name_whatever_the_case(kernel: Kernel) -> None:
    outcome = kernel.call("sql", query="SELECT city, count(*) AS many FROM DF GROUP BY city ORDER BY city")
    assert "Bonn,500\nUlm,500" in outcome.text
    assert isinstance(kernel.namespace[outcome.handle], pd.DataFrame)
    assert outcome.item.columns == ("city", "many")


def test_rows_come_back_in_the_library_of_the_frame(kernel: Kernel) -> None:
    assert isinstance(kernel.call("sql", query="select n from polar").value, pl.DataFrame)
    assert isinstance(kernel.call("sql", query="select n from arrow").value, pa.Table)
    assert "499500" in kernel.sql("with a as (select n from df) select sum(n)::int as s from a")
    assert "n\n2\n1\n0\n" in kernel.sql("select d.n from df d join polar p using (n) where n < 3 order by 1 desc")


@pytest.mark.parametrize("frame", ["df", "copied", "by_ssn", "polar", "arrow", "by_city", "turned"])
def test_private_columns_are_not_there(kernel: Kernel, frame: str) -> None:
    outcome = kernel.call("sql", query=f"select * from {frame} limit 5")  # noqa: S608  # names of this test
    assert outcome.state == "done"
    assert not {"ssn", "x"} & set(outcome.item.columns)
    for column in ("ssn", '"SSN"', "x"):
        query = f"select substr(reverse({column}), 2) as harmless from {frame}"  # noqa: S608
        assert kernel.call("sql", query=query).state == "failed"


def test_a_name_that_is_no_usable_frame_does_not_matter_elsewhere(kernel: Kernel) -> None:
    assert "5" in kernel.sql("select 5 as lazy, 'pivoted' as series from df limit 1")
    assert "lazy is lazy" in kernel.sql("select * from lazy")


def test_a_column_whose_texts_hold_private_values_is_not_there(kernel: Kernel) -> None:
    outcome = kernel.call("sql", query="select reverse(note) as r from notes")
    assert outcome.state == "failed"
    assert "Private, and so not there: note." in outcome.text
    assert kernel.call("sql", query="select sum(n) from notes").state == "done"


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_one_row_of_many_with_a_private_value_keeps_a_column_back(kernel: Kernel, library: str) -> None:
    table = pd.DataFrame({"n": range(20_000), "note": [f"note {n}" for n in range(20_000)]})
    table.loc[12_345, "note"] = f"the number {SSN[7]}"
    make = {"pandas": pd.DataFrame, "polars": pl.from_pandas, "arrow": pa.Table.from_pandas}[library]
    kernel.namespace["long"] = make(table)
    outcome = kernel.call("sql", query="select reverse(note) as r from long where n = 12345")
    assert outcome.state == "failed"
    assert "Private, and so not there: note." in outcome.text
    assert "12345" in kernel.sql("select n from long where n = 12345")


def test_what_is_kept_back_is_said(kernel: Kernel) -> None:
    assert "Private, and so not there: ssn." in kernel.sql("select ssn from df")


def test_columns_named_by_private_values_cannot_be_queried(kernel: Kernel) -> None:
    assert "named by private values" in kernel.sql("select * from pivoted")


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('{file}')",
        "select * from read_text('{file}')",
        "select * from '{file}'",
        "select * from glob('{file}')",
        "select * from sniff_csv('{file}')",
        "copy (select 1) to '{file}.out'",
        "attach '{file}.db'",
        "export database '{file}.d'",
        "create table t as select 1",
        "insert into df values (1, 'a')",
        "delete from df",
        "install httpfs",
        "load '{file}'",
        "set enable_external_access = true",
        "select 1; select 2",
        "select * from 'https://example.org/x.csv'",
        "call pragma_version()",
        "selec",
        "",
        "select * from lazy",
        "select * from nobody",
        "select * from items",
        "select * from _hidden",
        "select * from SSN",
        "select * from np",
    ],
)
def test_sql_reads_dataframes_and_reaches_nothing_else(kernel: Kernel, query: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a,b\nopen,sesame\n", "utf-8")
    outcome = kernel.call("sql", query=query.replace("{file}", file.as_posix()))
    assert outcome.state == "failed"
    assert "sesame" not in outcome.text
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_an_unknown_frame_is_told_with_those_that_there_are(kernel: Kernel) -> None:
    assert "Dataframes: arrow, by_city, by_ssn" in kernel.sql("select * from nix")


def test_a_query_that_takes_too_long_is_stopped(kernel: Kernel) -> None:
    from dataclasses import replace

    tools = [replace(tool, timeout=0.3) for tool in kernel.tools]
    box = Toolbox(tools, kernel.namespace, Look(Guard()))
    query = "select sum(a.range * b.range) from range(300000) a, range(300000) b"
    (outcome,) = box.run([Call("1", "sql", json.dumps({"query": query}))])
    assert outcome.state == "timed out"


def test_without_duckdb_the_error_says_what_to_install() -> None:
    import subprocess
    import sys

    code = (
        "import sys\nsys.modules['duckdb'] = None\nfrom kimi_magic.tools.querying import select\n"
        "try:\n    select('select 1', {}, None)\nexcept Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(CommandError.__name__)
    assert "pip install 'kimi-magic[sql]'" in done.stdout


# Running code


def test_code_runs_only_after_it_was_shown_and_agreed_to(kernel: Kernel) -> None:
    code = "made = 5\nprint(made)"
    assert kernel.call("run_python", code=code).state == "done"
    assert kernel.asked == ["code =\n    made = 5\n    print(made)"]
    assert kernel.namespace["made"] == 5
    assert kernel.call("run_python", code="made = 'refuse'").state == "refused"
    assert kernel.namespace["made"] == 5


def test_code_asks_even_where_all_is_approved(kernel: Kernel) -> None:
    box = Toolbox(kernel.tools, kernel.namespace, Look(Guard()), policy="all")
    (outcome,) = box.run([Call("1", "run_python", '{"code": "made = 1"}')])
    assert (outcome.state, "made" in kernel.namespace) == ("refused", False)


def test_there_is_no_such_tool_where_code_cannot_be_run() -> None:
    assert "run_python" not in {tool.name for tool in kernel_tools({}, Look(Guard()))}


def test_many_answers_share_the_room(kernel: Kernel) -> None:
    calls = [Call(str(n), "peek", '{"name": "df", "rows": 900}') for n in range(40)]
    assert sum(len(outcome.text) for outcome in kernel.box.run(calls)) < 70_000
