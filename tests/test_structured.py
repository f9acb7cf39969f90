"""Typed replies on a cell, in a real kernel, as the server sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

DEFINED = """
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypedDict
import pandas as pd
from pydantic import BaseModel

class Visit(BaseModel):
    city: Literal["Bern", "Oslo"]
    nights: int

@dataclass
class Mood:
    tone: str

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

class Place(TypedDict):
    name: str

stock = pd.DataFrame({"tea": pd.Categorical(["green", "black"]), "boxes": pd.array([3, None], dtype="Int64")})
"""


@pytest.fixture
def types(kernel: Kernel) -> Kernel:
    cell = kernel.run(DEFINED)
    assert cell.ok, cell.text
    return kernel


def body(seen: Seen) -> dict[str, Any]:
    return dict(json.loads(str(seen.last()["body"])))


@pytest.mark.parametrize(
    ("out", "said", "value"),
    [
        ("Visit", '{"city": "Bern", "nights": "2"}', "Visit(city='Bern', nights=2)"),
        ("list[Visit]", '{"rows": [{"city": "Oslo", "nights": 1}]}', "[Visit(city='Oslo', nights=1)]"),
        ("Mood", '{"tone": "good"}', "Mood(tone='good')"),
        ("Colour", '{"value": "blue"}', "<Colour.BLUE: 'blue'>"),
        ("Place", '{"name": "here"}', "{'name': 'here'}"),
        ("dict[str, int]", '{"a": 1}', "{'a': 1}"),
        ("Literal['a', 'b']", '{"value": "b"}', "'b'"),
        (
            '"name, age int, tags list[str]"',
            '{"name": "x", "age": 3, "tags": []}',
            "{'name': 'x', 'age': 3, 'tags': []}",
        ),
        ('"[n int]"', '{"rows": [{"n": 1}, {"n": 2}]}', "[{'n': 1}, {'n': 2}]"),
    ],
)
def test_the_value_lands_in_the_variable(types: Kernel, seen: Seen, out: str, said: str, value: str) -> None:
    word = out if out.startswith('"') else f'"{out}"'
    cell = types.run(f"%%kimi value -o {word}\nGo. <<say {said}>>")
    assert cell.ok, cell.text
    assert types.value("repr(value)") == value
    sent = body(seen)
    assert sent["response_format"]["type"] == "json_schema"
    assert sent["response_format"]["json_schema"]["name"]
    assert sent["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}


@pytest.mark.parametrize("stream", [True, False])
def test_a_single_value_is_shown_bare(types: Kernel, stream: bool) -> None:  # noqa: FBT001  # a parameter of pytest
    types.run(f"%config KimiMagics.stream = {stream}")
    cell = types.run('%%kimi -o "Literal[\'a\', \'b\']"\n<<say {"value": "b"}>>')
    assert cell.ok, cell.text
    assert cell.text == "b"
    assert ">b<" in cell.html
    assert "value" not in cell.html.partition("<details")[0]


def test_rows_become_a_dataframe_with_the_dtypes_of_another(types: Kernel) -> None:
    said = '{"rows": [{"tea": "black", "boxes": 4}, {"tea": "green", "boxes": null}]}'
    cell = types.run(f"%%kimi more -f table -o like=stock\nGo. <<say {said}>>")
    assert cell.ok, cell.text
    assert types.run(f"%%kimi more -f table -o like=stock\nGo. <<say {said}>>").ok  # the cell may run again
    assert "CommandError" in types.run("%%kimi stock -f table -o like=stock\nGo.").text
    assert types.value("bool((more.dtypes == stock.dtypes).all())") is True
    assert types.value("more['boxes'].tolist()[0]") == 4
    assert ">black</td>" in cell.html


def test_rows_appear_while_they_stream(types: Kernel) -> None:
    said = json.dumps({"rows": [{"n": number} for number in range(40)]})
    cell = types.run(f'%%kimi rows -o "[n int]"\nGo. <<rate 150>><<say {said}>>')
    tables = [
        message["content"]["data"]["text/html"].count("<tr>")
        for message in cell.messages
        if message["msg_type"] in ("display_data", "update_display_data")
    ]
    assert tables[-1] > 40
    assert len({count for count in tables if 1 < count < 41}) > 1


def test_what_does_not_fit_is_raised_with_what_is_valid(types: Kernel) -> None:
    said = '{"rows": [{"n": 1}, {"n": "x"}]}'
    cell = types.run(f'%%kimi rows -o "[n int]"\nGo. <<say {said}>> <<again {said}>>')
    assert not cell.ok
    assert "InvalidReply" in cell.text
    assert cell.text.count("\n") <= 5
    code = f"""
import kimi_magic
try:
    kimi_magic.ask('''Go. <<say {said}>> <<again {said}>>''', out="[n int]", quiet=True)
except kimi_magic.InvalidReply as error:
    found = error
"""
    types.run(code)
    assert types.value("(found.rows, len(found.errors), found.reply.text)") == ([{"n": 1}], 1, said)


@pytest.mark.parametrize(("out", "told"), [("Vist", "Visit"), ("print", "print"), ('"a b c d"', "field")])
def test_a_type_that_cannot_be_is_told_before_anything_is_sent(types: Kernel, seen: Seen, out: str, told: str) -> None:
    cell = types.run(f"%%kimi -o {out}\nGo.")
    assert "CommandError" in cell.text
    assert told in cell.text
    assert seen.all() == []


def test_private_columns_are_in_no_schema(types: Kernel, seen: Seen) -> None:
    types.run("%kimi private stock tea")
    cell = types.run("%%kimi more -o like=stock\nGo.")
    assert cell.ok, cell.text
    assert "green" not in json.dumps(body(seen))
    types.run("%kimi private --release tea")


def test_nothing_may_be_a_value(types: Kernel) -> None:
    assert types.run('%%kimi nobody -o "Optional[Mood]"\nGo. <<say null>>').ok
    assert types.value("nobody is None") is True


@pytest.mark.parametrize("name", ["pd", "Visit", "helper"])
def test_code_is_not_replaced_by_a_value(types: Kernel, seen: Seen, name: str) -> None:
    types.run("def helper(): ...")
    assert "CommandError" in types.run(f"%%kimi {name} -o Visit\nGo.").text
    assert seen.all() == []


@pytest.mark.parametrize(
    ("out", "said", "table"),
    [
        ("name, age int", {"name": "Ada", "age": 36}, {"name": ["Ada"], "age": [36]}),
        ("int", {"value": 4}, {"value": [4]}),
        ("list[int]", {"value": [4, 5]}, {"value": [4, 5]}),
    ],
)
def test_a_table_of_one_object_has_one_row(
    types: Kernel, out: str, said: dict[str, object], table: dict[str, list[object]]
) -> None:
    cell = types.run(f'%%kimi single -f table -o "{out}"\nGo. <<say {json.dumps(said)}>>')
    assert cell.ok, cell.text
    assert types.value("single.to_dict('list')") == table


def test_a_table_needs_rows(types: Kernel, seen: Seen) -> None:
    assert "-o" in types.run("%%kimi rows -f table\nGo.").text
    assert seen.all() == []
