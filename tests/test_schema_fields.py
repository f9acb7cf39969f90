"""A type in text: an expression of names that exist, or fields; nothing is ever evaluated."""

from __future__ import annotations

import datetime as dt
import types
from typing import Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from kimi_magic.errors import CommandError
from kimi_magic.schema import output
from kimi_magic.schema.expression import NotAType, resolved


class Row(BaseModel):
    name: str


class Outer:
    class Inner(BaseModel):
        x: int


BOX = types.ModuleType("box")
BOX.Row = Row
BOX.inner = types.ModuleType("box.inner")
BOX.inner.Row = Row
NAMES: dict[str, Any] = {"Row": Row, "Outer": Outer, "box": BOX, "datetime": dt, "date": "2026-02-03", "name": 1}


def schema(text: str) -> dict[str, Any]:
    return output(text, namespace=NAMES).schema


def fields(text: str) -> dict[str, Any]:
    return schema(text)["properties"]


def refusal(text: str) -> CommandError:
    with pytest.raises(CommandError) as caught:
        output(text, namespace=NAMES)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Row", Row),
        ("list[Row]", list[Row]),
        ("box.Row", Row),
        ("box.inner.Row | None", Optional[Row]),  # noqa: UP045  # what it gives
        ("Outer.Inner", Outer.Inner),
        ("date", dt.date),
        ("datetime.date", dt.date),
        ("dict[str, list[int]]", dict[str, list[int]]),
        ("tuple[int, ...]", tuple[int, ...]),
        ("Literal['a', 1, None]", Literal["a", 1, None]),  # noqa: PYI061  # as written
        ("Literal[-1, 'b c']", Literal[-1, "b c"]),
        ("Optional[Row]", Optional[Row]),  # noqa: UP045
        (" int ", int),
    ],
)
def test_names_of_the_namespace_and_the_built_in_ones_make_types(text: str, kind: Any) -> None:
    assert resolved(text, NAMES) == kind


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')",
        "Row()",
        "Row.__init__",
        "Row.__class__.__base__.__subclasses__()",
        "(lambda: int)()",
        "[int][0]",
        "int if 1 else str",
        "list[int()]",
        "Literal[print('x')]",
        "Literal[f'{1}']",
        "int.real",
        "str.join",
        "name.Row",
        "box.nothing",
        "int[str]",
        "list[...]x",
        "a" * 10_000 + "(",
        "(" * 4_000,
        "int|" * 1_000,
        "-" * 4_000 + "1",
    ],
)
def test_nothing_else_is_looked_at(text: str) -> None:
    with pytest.raises(NotAType):
        resolved(text, NAMES)
    with pytest.raises(CommandError):
        output(text, namespace=NAMES)


@given(st.text(alphabet="ab |,[]()'\"?:.intRow\n1-", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_type_or_refused(text: str) -> None:
    try:
        made = output(text, namespace=NAMES)
    except CommandError as exc:
        assert len(exc._render_traceback_()) <= 5
    else:
        assert made.schema["type"] == "object"


@pytest.mark.parametrize(
    "text", ["[" * 2_000 + "]" * 2_000, "list[" * 900 + "int" + "]" * 900, "[" * 400 + "int" + "]" * 400]
)
def test_a_type_that_nests_too_deeply_or_is_too_long_is_refused(text: str) -> None:
    assert len(refusal(text).message) < 300
    assert refusal("a, " * 5_000).message == "A type of 14,999 characters is too long."


def test_a_field_is_text_unless_it_says_otherwise() -> None:
    assert fields("name, age int") == {"name": {"type": "string"}, "age": {"type": "integer"}}
    assert fields("name,") == {"name": {"type": "string"}}
    assert fields("date, name: str") == {"date": {"type": "string"}, "name": {"type": "string"}}


def test_a_field_may_be_null_one_of_some_a_list_and_described() -> None:
    null = {"type": "null"}
    assert fields("a int?, b?, c: list[int]?") == {
        "a": {"anyOf": [{"type": "integer"}, null]},
        "b": {"anyOf": [{"type": "string"}, null]},
        "c": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, null]},
    }
    assert fields("m good|bad|'so, so', n 1|2|-3, o x | None") == {
        "m": {"type": "string", "enum": ["good", "bad", "so, so"]},
        "n": {"type": "integer", "enum": [1, 2, -3]},
        "o": {"anyOf": [{"const": "x", "type": "string"}, null]},
    }
    assert fields("a 'in metres, at most 9', b int? \"how often\", c x|'y z', d very good|bad")["a"] == {
        "type": "string",
        "description": "in metres, at most 9",
    }
    assert fields('b int? "how often", e')["b"]["description"] == "how often"
    assert fields("c x|'y z', d very good|bad") == {
        "c": {"type": "string", "enum": ["x", "y z"]},
        "d": {"type": "string", "enum": ["very good", "bad"]},
    }
    assert fields("tags list[red|green], rows list[Row]")["tags"]["items"] == {
        "type": "string",
        "enum": ["red", "green"],
    }


def test_brackets_around_it_ask_for_many() -> None:
    many = output("[name, age int]", namespace=NAMES)
    assert many.rows
    assert many.parse('{"rows": [{"name": "a", "age": "3"}]}') == [{"name": "a", "age": 3}]
    assert schema("[Row]") == schema("list[Row]")
    assert schema("[int]") == schema("list[int]")
    assert output("[[int]]").parse('{"value": [[1]]}') == [[1]]


def test_a_field_that_may_be_null_may_be_left_out_of_a_reply_but_is_asked_for() -> None:
    made = output("name, age int?")
    assert made.schema["required"] == ["name", "age"]
    assert made.parse('{"name": "a"}') == {"name": "a", "age": None}


def test_a_field_may_have_any_name() -> None:
    names = "class, json, _x, model_config, naïve, schema, copy, from"
    assert list(fields(names)) == names.split(", ")


def test_a_name_that_is_nothing_is_refused_with_what_is_near() -> None:
    assert str(refusal("Rwo")) == "'Rwo' is not a type.\nDid you mean Row?"
    assert str(refusal("name, age itn")) == "'itn' is not a type.\nDid you mean int?"
    assert refusal("[Sentiment]").message == "'Sentiment' is not a type."
    assert refusal("when date|soon").message == "'date' is a type and 'soon' is not."
    assert refusal("a, a int").message == "The field 'a' is given twice."
    assert refusal("a, 1b").message == "'1b' is not a field."
    assert refusal("").message == refusal("  ").message == refusal("[]").message == "No type is given."
    assert fields("when 'date'|soon")["when"] == {"type": "string", "enum": ["date", "soon"]}


def test_a_variable_that_is_no_type_is_said_to_be_a_value() -> None:
    assert refusal("name").hint == "It is a value of type int. Rows like those of a dataframe: like=name."


def test_a_variable_that_is_no_type_does_not_hide_the_type_of_its_name() -> None:
    assert fields("day date, at datetime")["day"] == {"type": "string", "format": "date"}
    assert fields("day date, at datetime")["at"] == {"type": "string", "format": "date-time"}
