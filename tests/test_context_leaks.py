"""No value of a private column and no secret reaches the bytes of a request, on any path from an object to the wire."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

SETUP = """
import dataclasses, datetime, io, json, logging, types
import duckdb, numpy as np, pandas as pd, polars as pl, pyarrow as pa, xarray as xr
import dask.dataframe as dd
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
import kimi_magic

N = 40
people = pd.DataFrame({
    "city": ["Oslo", "Rome", "Lima", "Bonn"] * (N // 4),
    "ssn": [f"078-05-{1120 + 7 * n}" for n in range(N)],
    "email": [f"user{n}.doe@mail{n % 3}.example.org" for n in range(N)],
    "salary": [5000117 + 13007 * n for n in range(N)],
    "rate": [0.123457 + 0.0101011 * n for n in range(N)],
    "born": pd.date_range("1961-03-05", periods=N, freq="173D"),
    "age": range(20, 20 + N),
})
more = people.assign(ssn=people.ssn.str.replace("078", "079"))
keys = pd.DataFrame({"city": ["Oslo", "Rome"], "ssn": ["078-05-1120", "078-05-1127"], "n": [1, 2]})
@dataclasses.dataclass
class Person:
    name: str
    ssn: str
@dataclasses.dataclass
class Holder:
    data: object
class Mine:
    def __init__(self): self.people = people; self.first = people.ssn[0]
    def __repr__(self): return f"Mine({self.first}, {self.people.head(2)})"
class Spoken:
    def _repr_llm_(self): return people.to_string()
def shown():
    figure, axes = plt.subplots()
    return figure, axes
f_named, a = shown(); a.plot(people.age, people.salary, label="salary"); a.set_ylabel("salary"); a.legend()
f_unnamed, a = shown(); a.plot(people.age, people.salary.to_numpy())
f_bars, a = shown(); a.bar(people.ssn[:5].tolist(), people.age[:5])
f_title, a = shown(); a.set_title("All about 078-05-1120"); a.plot([1, 2, 3])
f_scatter, a = shown(); people.plot.scatter(x="age", y="rate", ax=a)
"""

PRIVATE = ["ssn", "email", "salary", "rate", "born"]

EXPRESSIONS = """
people
people.copy()
people.head(3)
people[people.age > 30]
people.sort_values('salary')
people.set_index('ssn')
people.set_index(['city', 'ssn'])
people.T
people.reset_index()
people[['ssn']]
people['ssn']
people.ssn.head()
people.salary
people.rate
people.born
people.ssn.unique()
people.ssn.tolist()
people.salary.tolist()
list(people.ssn)[:3]
set(people.ssn)
people.ssn.value_counts()
people.ssn.astype('category')
people.groupby('city').salary.max()
people.groupby('ssn').size()
people.groupby('ssn').age.mean().reset_index()
people.merge(keys, on='city')
people.pivot_table(index='ssn', values='age')
people.pivot_table(columns='ssn', values='age')
people.melt(id_vars='ssn')
people.stack()
people.to_dict()
people.to_dict('records')
people.to_dict('list')
people.to_numpy()
people.to_records()
people[['salary', 'age']].to_numpy()
people.values.tolist()
people.to_csv()
people.to_json()
people.to_string()
people.to_html()
people.to_markdown
repr(people)
people.to_json(orient='records', lines=True)
people.iloc[0]
people.iloc[0].to_dict()
people.loc[3, 'ssn']
people.loc[3, 'salary']
people.columns
people.set_index('ssn').index
people.dtypes
people.ssn.iloc[5:7].item
pl.from_pandas(people)
pl.from_pandas(people).lazy()
pl.from_pandas(people)['ssn']
pl.from_pandas(people).rows()
pl.from_pandas(people).to_dicts()[:2]
pl.from_pandas(people).select(pl.struct('ssn', 'age'))
pa.Table.from_pandas(people)
pa.Table.from_pandas(people).to_pylist()[:2]
pa.Table.from_pandas(people)['ssn']
duckdb.from_df(people)
duckdb.sql('select ssn, age from people')
dd.from_pandas(people, npartitions=2)
xr.Dataset.from_dataframe(people)
xr.Dataset.from_dataframe(people)['ssn']
people.set_index('ssn').age.to_xarray()
Person('x', '078-05-1120')
[Person('x', '078-05-1120')]
Holder(people)
Holder({'deep': [people.ssn[0]]})
{'a': {'b': [people]}}
{'ssn': ['078-05-1120']}
{'078-05-1120': 1}
Mine()
Spoken()
types.SimpleNamespace(p=people)
f'the first is {people.ssn[0]} with {people.salary[0]}'
f'{people.salary[0]:,} {people.rate[0]!r}'
people.ssn[0].encode()
io.StringIO(people.to_csv())
ValueError(people.ssn[0])
people.born[2]
people.born[2].date()
people.born.dt.strftime('%Y-%m-%d %H:%M').tolist()
people.style
people.describe(include='all')
people.agg(['min', 'max'])
people.quantile(numeric_only=True)
pd.concat([people, more])
people.query('age > 21').to_dict('index')
json.dumps(people.to_dict('records'), default=str)
json.loads(people.to_json())
people.email.str.upper().head
f_named
f_unnamed
f_bars
f_title
f_scatter
f_named.axes[0]
(people, people.ssn)
people.to_dict('split')
""".strip().splitlines()

MODES = ["", "--full", "--rows 3 --columns age,ssn,salary"]


@pytest.fixture(scope="module", autouse=True)
def hidden(warm_kernel: Kernel) -> None:
    cell = warm_kernel.run(SETUP)
    assert cell.ok, cell.text
    assert warm_kernel.run(f"%kimi private people {' '.join(PRIVATE)}").ok


@pytest.fixture(scope="module")
def values(hidden: None, warm_kernel: Kernel) -> list[str]:
    """Every spelling of a private value that must not be found."""
    del hidden
    found: list[str] = warm_kernel.value(
        "[str(v) for c in ('ssn', 'email', 'salary', 'rate') for v in people[c]]"
        " + [f'{v:,}' for v in people.salary] + [str(v) for v in people.born] + [v.isoformat() for v in people.born]"
        " + [str(v.date()) for v in people.born] + [str(float(v)) for v in people.salary]"
    )
    return found


def leaked(text: str, values: list[str]) -> list[str]:
    """The values that stand in a text as words of their own."""
    return [value for value in values if re.search(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\d)", text)]


def texts(seen: Seen) -> str:
    """All text that arrived, pictures left out."""
    messages = json.loads(str(seen.last()["body"]))["messages"]
    parts = [
        part
        for message in messages
        for part in (message["content"] if isinstance(message["content"], list) else [{"text": message["content"]}])
    ]
    return "\n".join(part.get("text", "") for part in parts)


def test_the_search_for_values_finds_them(values: list[str]) -> None:
    assert len(values) > 200
    assert leaked("a 078-05-1120, and 5,000,117.", values) == ["078-05-1120", "5,000,117"]
    assert leaked("1078-05-1120 5000117.25", values) == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_private_value_is_sent(kernel: Kernel, seen: Seen, values: list[str], expression: str) -> None:
    for mode in MODES:
        cell = kernel.run(
            f"%%kimi -q --new -m k2.6 {mode} -c {json.dumps(expression)}\n<<say ok>> and {{{{ {expression} }}}}"
        )
        if "--columns" in mode and cell.reply.get("ename") == "CommandError":
            continue  # this object has no such columns
        assert cell.ok, cell.text
        assert leaked(texts(seen), values) == []


@pytest.mark.parametrize("figure", ["f_named", "f_unnamed", "f_bars", "f_title", "f_scatter"])
def test_a_picture_of_private_values_is_withheld(kernel: Kernel, seen: Seen, figure: str) -> None:
    assert kernel.run(f"%%kimi -q --new -m k2.6 -c {figure}\n<<say ok>>").ok
    assert "data:image" not in str(seen.last()["body"])
    assert "withheld" in texts(seen)


def test_a_picture_of_other_values_is_sent(kernel: Kernel, seen: Seen) -> None:
    kernel.run("f_other, a = shown(); a.plot(people.age, people.age ** 2)")
    assert kernel.run("%%kimi -q --new -m k2.6 -c f_other\n<<say ok>>").ok
    assert "data:image" in str(seen.last()["body"])


def test_cells_and_errors_hold_no_private_value(kernel: Kernel, seen: Seen, values: list[str]) -> None:
    count = kernel.run("print(people.head()); people.tail(3)").reply["execution_count"]
    assert kernel.run(f"%%kimi -q --new --cells {count}\n<<say ok>>").ok
    assert "city" in texts(seen)
    assert leaked(texts(seen), values) == []
    kernel.run(
        "def look(frame, key):\n    first = frame.ssn[0]\n    return frame.set_index('ssn').loc[key, first]\n"
        "look(people, '078-05-1127')"
    )
    assert kernel.run("%kimi fix -q --new <<say ok>>").ok
    assert "KeyError" in texts(seen)
    assert leaked(texts(seen), values) == []
    kernel.run("raise ValueError(f'no row for {people.ssn[2]} who earns {people.salary[2]}')")
    assert kernel.run("%kimi fix -q --new <<say ok>>").ok
    assert leaked(texts(seen), values) == []


def test_the_ledger_and_what_kimi_saw_hold_none_either(kernel: Kernel, values: list[str]) -> None:
    cell = kernel.run("%%kimi --new -c people\n<<say ok>> 078-05-1120")
    shown = json.dumps(cell.messages, default=str)
    for code in ("%kimi sent", "%kimi egress", "%kimi private"):
        shown += json.dumps(kernel.run(code).messages, default=str)
    asked = shown.replace("<<say ok>> 078-05-1120", "")  # the cell's own source, echoed by the kernel
    assert leaked(asked, values) == []


SECRETS = {
    "OpenAI": "sk-proj-" + "Ab3dEf6hIj9lMn2pQr5tUv8x" * 2,
    "Anthropic": "sk-ant-api03-" + "Zy8xWv7uTs6rQp5oNm4lKj3i" * 2,
    "AWS": "AKIAIOSFODNN7EXAMPLQ",
    "GitHub": "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "environment": "correct-horse-7431-battery",
    "database": "s3cr3tPassw0rd",
}
KEY_BODY = "MIIEpAIBAAKCAQEA7bq3v1sTqY0xkD9QmJ2b5d3sX8y4nQ2R7u1wV6zA9cE5gH8j"

SECRET_EXPRESSIONS = """
secrets_
list(secrets_.values())
str(secrets_)
json.dumps(secrets_)
json.dumps(json.dumps(secrets_))
pd.DataFrame({'s': list(secrets_.values())})
pd.Series(secrets_)
pl.DataFrame({'s': list(secrets_.values())})
np.array(list(secrets_.values()))
Holder(secrets_)
'\\n'.join(secrets_.values())
Person('x', secrets_['OpenAI'])
{'a' * 3000: secrets_['OpenAI']}
'x' * 11950 + ' ' + secrets_['OpenAI'] + ' ' + 'y' * 9000
pd.DataFrame({'long': ['z' * 60 + ' ' + s for s in secrets_.values()]})
url
pem
{'k': pem}
[pem.encode()]
dict(os.environ)
ValueError(url)
types.SimpleNamespace(token=secrets_['AWS'], url=url)
uses_a_key
pd.DataFrame(columns=list(secrets_.values()))
logging.LogRecord('n', 20, 'p', 1, url, (), None)
""".strip().splitlines()


@pytest.fixture(scope="module")
def planted(hidden: None, warm_kernel: Kernel) -> list[str]:
    del hidden
    code = (
        f"import os\nos.environ['MY_API_TOKEN'] = {SECRETS['environment']!r}\nsecrets_ = {SECRETS!r}\n"
        f"url = 'postgresql://admin:{SECRETS['database']}@db.example.org:5432/prod'\ndel secrets_['database']\n"
        f"pem = '-----BEGIN RSA PRIVATE KEY-----\\n{KEY_BODY}\\n{KEY_BODY[::-1]}\\n-----END RSA PRIVATE KEY-----\\n'\n"
        f"def uses_a_key():\n    return connect(api_key={SECRETS['OpenAI']!r})\n"
    )
    cell = warm_kernel.run(code)
    assert cell.ok, cell.text
    return [*SECRETS.values(), KEY_BODY, KEY_BODY[::-1]]


def pieces(secret: str) -> list[str]:
    """A secret, and the halves that a cut in its middle would leave."""
    half = len(secret) // 2
    return [secret, secret[:half], secret[half:]] if half > 12 else [secret]


@pytest.mark.parametrize("expression", SECRET_EXPRESSIONS)
def test_no_secret_is_sent(kernel: Kernel, seen: Seen, planted: list[str], expression: str) -> None:
    for mode in ("", "--full"):
        code = f"%%kimi -q --new {mode} -c {json.dumps(expression)}\n<<say ok>> {{{{ {expression} }}}}"
        cell = kernel.run(code)
        assert cell.ok, cell.text
        body = str(seen.last()["body"])
        assert [piece for secret in planted for piece in pieces(secret) if piece in body] == []
        assert any(mark in body for mark in ("[redacted: ", "[private: ssn]", "characters left out"))


def test_a_secret_in_a_cell_an_error_or_a_question_is_not_sent(kernel: Kernel, seen: Seen, planted: list[str]) -> None:
    count = kernel.run("print(url, secrets_)\npem").reply["execution_count"]
    kernel.run(
        "def connect(url, key):\n    raise ConnectionError(f'cannot reach {url}')\nconnect(url, secrets_['OpenAI'])"
    )
    for code in (
        f"%%kimi -q --new --cells {count}\n<<say ok>>",
        "%kimi fix -q --new <<say ok>>",
        f"%%kimi -q --new\nIs {SECRETS['GitHub']} a good key, and {SECRETS['environment']}? <<say ok>>",
        f"%%kimi -q --new -s 'Use {SECRETS['JWT']}'\n<<say ok>>",
    ):
        assert kernel.run(code).ok
        body: Any = str(seen.last()["body"])
        assert [piece for secret in planted for piece in pieces(secret) if piece in body] == []
        assert "[redacted: " in body
