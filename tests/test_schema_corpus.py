"""Every type and every signature of the corpus has a schema that its own values obey, and the values come back."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic_core import to_jsonable_python

from kimi_magic.schema import output, parameters
from tests import schema_corpus as corpus

NAMES = vars(corpus)
VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL


def dumped(name: str) -> Any:
    """Write the value of an example as the model would, wrapped."""
    wanted, value = corpus.OUTPUTS[name]
    made = output(wanted, namespace=NAMES)
    data = corpus.DUMPED.get(name)
    if data is None:
        data = to_jsonable_python(value) if not isinstance(value, bytes) else value.decode()
    key = list(made.schema.get("properties", {}))
    return {key[0]: data} if key in (["rows"], ["value"]) else data


def schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Give all objects in a schema, and the schema."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from schemas(inner)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(corpus.OUTPUTS) >= 40
    assert len({str(inspect.signature(one[0])) for one in corpus.CALLS}) >= 60


@pytest.mark.parametrize("name", corpus.OUTPUTS)
def test_a_value_obeys_the_schema_and_comes_back(name: str) -> None:
    wanted, value = corpus.OUTPUTS[name]
    made = output(wanted, namespace=NAMES)
    Draft202012Validator.check_schema(made.schema)
    data = dumped(name)
    Draft202012Validator(made.schema).validate(data)
    back = made.parse(json.dumps(data))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("name", corpus.OUTPUTS)
def test_a_schema_is_closed_short_and_always_the_same(name: str) -> None:
    wanted, _ = corpus.OUTPUTS[name]
    made = output(wanted, namespace=NAMES)
    assert made.schema["type"] == "object"
    assert json.dumps(made.schema) == json.dumps(output(wanted, namespace=NAMES).schema)
    for node in schemas(made.schema):
        assert not {"title", "oneOf", "discriminator", "default", "uniqueItems"} & set(node) or "type" not in node
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            assert "additionalProperties" in node
        if "$ref" in node:
            assert set(node) == {"$ref"}
            assert node["$ref"].removeprefix("#/$defs/") in made.schema["$defs"]
    assert json.dumps(made.schema, separators=(",", ":")) in made.instruction
    assert set(made.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert 0 < len(made.name) <= 64


MANY = {"list", "typing List", "Sequence", "Iterable", "list of one to three", "set", "frozenset", "tuple of many"}
MANY |= {"list of choices", *(name for name in corpus.OUTPUTS if "rows" in name)}


@pytest.mark.parametrize("name", corpus.OUTPUTS)
def test_a_list_is_read_element_by_element(name: str) -> None:
    wanted, value = corpus.OUTPUTS[name]
    made = output(wanted, namespace=NAMES)
    text = json.dumps(dumped(name))
    assert made.rows is ("rows" in name)
    assert made.salvage(text) == (list(value) if name in MANY else [], [])
    assert made.partial(text) == (list(value) if name in MANY else [])


@pytest.mark.parametrize(("function", "arguments", "args", "kwargs"), corpus.CALLS)
def test_a_function_is_called_with_what_its_schema_allows(
    function: Callable[..., Any], arguments: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    made = parameters(function)
    Draft202012Validator.check_schema(made.schema)
    Draft202012Validator(made.schema).validate(arguments)
    signature = inspect.signature(function)
    called = [
        signature.bind(*given, **named) for given, named in (made.validate(json.dumps(arguments)), (args, kwargs))
    ]
    assert called[0] == called[1]
    assert made.validate(arguments) == made.validate(json.dumps(arguments))
    assert json.dumps(made.schema) == json.dumps(parameters(function).schema)
    known = signature.parameters
    free = [name for name in made.schema["properties"] if known[name].default is inspect.Parameter.empty]
    assert made.schema.get("required", []) == [name for name in free if known[name].kind is not VAR_POSITIONAL]
