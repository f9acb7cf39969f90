"""What a reply can be, what it cannot be, and how that is said."""

from __future__ import annotations

import collections.abc
import enum
import socket
import typing
from typing import Any, Generic, TypeVar

import pandas as pd
import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import core_schema

from kimi_magic.errors import CommandError
from kimi_magic.schema import Output, output
from tests.schema_corpus import Customer, Film, Node

T = TypeVar("T")


class Closed(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    line: socket.socket


class Forward(BaseModel):
    to: Nowhere  # type: ignore[name-defined]  # noqa: F821  # that is the test


class Endless(Generic[T]):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(Endless)


class Hooked:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise KeyError(source)


def function(x: int) -> int:
    return x


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (function, "A value of type function is not a type"),
        (len, "A value of type builtin_function_or_method is not a type"),
        (socket, "A value of type module is not a type"),
        (None, "None is not a type"),
        (type(None), "NoneType is not a type"),
        (5, "A value of type int is not a type"),
        ([str], "A value of type list is not a type"),
        ({"name": str}, "A value of type dict is not a type"),
        (pd.DataFrame({"secret": [1]}), "A value of type DataFrame is not a type"),
        (socket.socket, "socket has no JSON Schema: Unable to generate"),
        (list[socket.socket], "list[socket] has no JSON Schema"),
        (dict[str, range], "dict[str, range] has no JSON Schema"),
        (type, "type has no JSON Schema"),
        (collections.abc.Callable, "Callable has no JSON Schema"),
        (collections.abc.Callable[[int], str], "Callable[[int], str] has no JSON Schema"),
        (Closed, "Closed has no JSON Schema"),
        (Forward, "Forward"),
        (Endless, "Endless has no JSON Schema"),
        (Endless[int], "has no JSON Schema"),
        (Hooked, "Hooked has no JSON Schema"),
        (pd.DataFrame, "DataFrame has no JSON Schema"),
        (list["Unheard"], "list['Unheard'] has no JSON Schema"),  # type: ignore[name-defined]  # noqa: F821
    ],
)
def test_a_type_without_a_schema_is_refused_by_name_with_what_to_use(wanted: Any, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        output(wanted)
    assert words in caught.value.message
    assert "pydantic model" in caught.value.hint or "Define" in caught.value.hint
    assert "secret" not in str(caught.value)
    assert len(caught.value.message) < 250


def test_a_definition_stands_where_it_is_used_once_and_apart_where_twice() -> None:
    made = output(Customer).schema
    assert set(made["$defs"]) == {"Address", "Mood"}
    assert made["properties"]["mood"] == {"$ref": "#/$defs/Mood"}
    assert made["properties"]["other"] == {"anyOf": [{"$ref": "#/$defs/Mood"}], "description": "the other mood"}
    assert "$defs" not in output(list[Film]).schema
    assert output(Node).schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


def test_definitions_that_use_each_other_twice_do_not_grow() -> None:
    kind: Any = BaseModel
    for n in range(30):
        kind = type(f"Level{n}", (BaseModel,), {"__annotations__": {"a": kind, "b": kind}, "__module__": __name__})
    assert len(str(output(kind).schema)) < 10_000


def test_all_is_asked_for_and_nothing_has_a_default() -> None:
    class Settings(BaseModel):
        a: int = 1
        b: list[int] = Field(default_factory=list)
        c: str | None = None

    made = output(Settings)
    assert made.schema["required"] == ["a", "b", "c"]
    assert "default" not in str(made.schema)
    assert made.parse("{}") == Settings()
    assert output(Film).schema["required"] == ["title", "year"]


def test_members_are_named_where_their_values_say_nothing() -> None:
    class Mood(enum.Enum):
        GOOD = enum.auto()
        BAD = enum.auto()

    made = output(Mood).schema["properties"]["value"]
    assert made == {"type": "integer", "enum": [1, 2], "description": "1: GOOD, 2: BAD"}
    assert "description" not in output(enum.Enum("Word", {"A": "a"})).schema["properties"]["value"]


def test_a_reference_to_somewhere_else_is_let_go() -> None:
    class Far(BaseModel):
        x: int = Field(json_schema_extra={"$ref": "https://example.com/schema"})

    assert output(Far).schema["properties"]["x"] == {"type": "integer"}


def test_dicts_whose_keys_are_known_have_them_as_properties() -> None:
    class Key(enum.Enum):
        A = "a"
        B = "b"

    for keys in (Key, typing.Literal["a", "b"]):
        made = output(dict[keys, int])  # type: ignore[valid-type]
        assert list(made.schema["properties"]) == ["a", "b"]
        assert made.schema["additionalProperties"] is False
        assert "propertyNames" not in str(made.schema)
        assert len(made.parse('{"a": 1}')) == 1


def test_patterns_and_formats_that_services_refuse_become_words() -> None:
    class Code(BaseModel):
        model_config = ConfigDict(regex_engine="python-re")

        a: str = Field(pattern=r"[a-z]+")
        b: str = Field(pattern=r"^(?=x)[a-z]+$", description="a code")
        c: str = Field(pattern=r"^[a-z]+$")
        e: str = Field(pattern=r"^[^a]b$")
        d: str = Field(json_schema_extra={"format": "phone"})

    made = output(Code).schema["properties"]
    assert made == {
        "a": {"type": "string", "description": "matches the regular expression [a-z]+"},
        "b": {"type": "string", "description": "a code (matches the regular expression ^(?=x)[a-z]+$)"},
        "c": {"type": "string", "pattern": "^[a-z]+$"},
        "e": {"type": "string", "pattern": "^[^a]b$"},
        "d": {"type": "string"},
    }


def test_a_property_may_be_named_like_a_keyword_of_schemas() -> None:
    made = output("title, default int, format, required")
    assert list(made.schema["properties"]) == ["title", "default", "format", "required"]
    assert made.parse('{"title": "a", "default": 1, "format": "", "required": "x"}')["default"] == 1


def test_names_are_short_and_say_the_type() -> None:
    names = [output(kind).name for kind in (Node, list[Node], int, str | None, "a, b int", typing.Literal["x", "y"])]
    assert names == ["Node", "list_Node", "int", "str_None", "Row", "Literal_x_y"]
    assert output(typing.Literal["ä"]).name == "Literal"
    assert output(enum.Enum("Ü", ["A"])).name == "value"


def test_a_type_and_a_dataframe_are_one_too_many() -> None:
    with pytest.raises(CommandError, match="A type is given, and a dataframe"):
        output(int, like=pd.DataFrame({"a": [1]}))


def test_an_output_shows_what_it_is() -> None:
    assert repr(output(int)).startswith("Output(name='int', schema={'type': 'object'")
    assert isinstance(output(int), Output)


class Called(typing.NamedTuple):
    """A NamedTuple as pydantic knew it before 2.14: a call."""

    a: int
    b: str = "x"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        kinds = [core_schema.int_schema(), core_schema.with_default_schema(core_schema.str_schema(), default="x")]
        arguments = [core_schema.arguments_parameter(name, kind) for name, kind in zip(cls._fields, kinds, strict=True)]
        made = core_schema.arguments_schema(arguments, metadata={"pydantic_js_prefer_positional_arguments": True})
        return core_schema.call_schema(made, cls)


def test_a_named_tuple_has_names_with_older_pydantic_too() -> None:
    made = output(Called)
    assert made.schema["properties"] == {"a": {"type": "integer"}, "b": {"type": "string"}}
    assert made.schema["required"] == ["a", "b"]
    assert made.parse('{"a": 1, "b": "y"}') == Called(1, "y")
