"""What a function can be called with, in words that a model can act on; what it was given, checked."""

from __future__ import annotations

import functools
import json
import socket
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from kimi_magic.errors import CommandError
from kimi_magic.schema import Invalid, Parameters, parameters
from tests import schema_corpus as corpus


def weather(city: str, days: Annotated[int, Field(le=7)] = 3, unit: corpus.Unit = corpus.Unit.METRE) -> None:
    """Look up
    the weather.

    It may rain.
    """


def reasons(made: Parameters, arguments: Any) -> tuple[str, ...]:
    with pytest.raises(Invalid) as caught:
        made.validate(arguments)
    return caught.value.reasons


KNOWN = 'weather takes city (string), days (integer, optional), unit ("m"|"ft", optional)'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{}", ["city: is missing; give string"]),
        ("", ["city: is missing; give string"]),
        ("null", ["city: is missing; give string"]),
        ('{"town": "Rome"}', ["city: is missing; give string", "town: is not a known name"]),
        ('{"city": null}', ["city: should be a valid string, not null"]),
        ('{"city": ["Rome"], "days": "many"}', [
            "city: should be a valid string, not an array",
            'days: should be a valid integer, not "many"',
        ]),
        ('{"city": "Rome", "days": 30}', ["days: should be less than or equal to 7, not 30"]),
        ('{"city": "Rome", "unit": "mile"}', ["unit: should be 'm' or 'ft', not \"mile\""]),
        ('{"city": "Rome"', ["the arguments are not JSON: it ends before its JSON does"]),
        ("city=Rome", ["the arguments are not JSON: there is none in it"]),
        ('["Rome"]', ["the arguments must be one JSON object"]),
        ("3", ["the arguments must be one JSON object"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_names_there_are(arguments: str, said: list[str]) -> None:
    assert reasons(parameters(weather), arguments) == (*said, KNOWN)


def test_values_are_converted_as_models_write_them() -> None:
    made = parameters(weather)
    assert made.validate('{"city": 10115, "days": "5", "unit": "ft"}') == (("10115", 5, corpus.Unit.FOOT), {})
    assert made.validate('"{\\"city\\": \\"Rome\\"}"') == (("Rome",), {})
    assert made.validate('```json\n{"city": "Rome"}\n```') == (("Rome",), {})
    assert made.validate({"city": "Rome"}) == (("Rome",), {})
    assert parameters(corpus.nothing).validate("") == ((), {})
    assert parameters(corpus.words).validate('{"ws": "[\\"a\\", \\"b\\"]"}') == ((["a", "b"],), {})
    assert parameters(corpus.text).validate('{"q": "[1]"}') == (("[1]",), {})
    assert reasons(parameters(corpus.words), '{"ws": "[1"}')[0] == 'ws: should be a valid array, not "[1"'
    assert "cannot be read" in reasons(made, {"city": object()})[0]


@given(st.text() | st.sampled_from(['{"city":', "{}", '"', "[", "NaN"]).map(lambda text: text * 3))
def test_any_text_raises_nothing_but_invalid(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parameters(weather).validate(text)
    assert caught.value.reasons[-1] == KNOWN


def test_a_function_says_its_name_and_what_it_does() -> None:
    made = parameters(weather)
    assert (made.name, made.description) == ("weather", "Look up the weather.")
    assert parameters(functools.partial(weather, days=1)).name == "weather"
    assert parameters(corpus.SHOP).name == "Shop"
    assert parameters(corpus.SHOP).description == "Buy."
    assert parameters(corpus.nothing).description == ""


def described(function: Callable[..., Any]) -> dict[str, str]:
    return {key: node.get("description", "") for key, node in parameters(function).schema["properties"].items()}


def test_parameters_are_described_by_annotations_and_docstrings() -> None:
    assert described(corpus.google) == {"city": "Where, as people write it.", "days": "How many: at most 7."}
    assert described(corpus.numpy) == {"x": "The first number.", "y": "The second."}
    assert described(corpus.sphinx) == {"a": "how often", "b": "in which way"}
    assert described(corpus.with_words) == {"city": "the city, in English"}
    assert described(corpus.stars) == {"n": "stars"}

    def both(a: Annotated[int, "own words"], b: Annotated[int, Field(description="its field")], c: corpus.Person):
        """Do.

        Args:
            a: other words
            b: other words
            c: who it is
        """

    assert described(both) == {"a": "own words", "b": "its field", "c": "who it is"}


def test_defaults_are_told_where_json_can_hold_them() -> None:
    properties = parameters(corpus.line).schema["properties"]
    assert properties["to"]["default"] == {"x": 1.0, "y": 0.0}
    assert parameters(corpus.mood_default).schema["properties"]["m"]["default"] == "bad"
    assert "default" not in parameters(corpus.infinite).schema["properties"]["x"]
    assert "default" not in parameters(corpus.unspeakable).schema["properties"]["marker"]


def test_a_default_of_none_allows_null() -> None:
    def old(a: int = None, b: Annotated[str, "what"] = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    assert parameters(old).validate('{"a": null, "b": null}') == ((None, None), {})
    assert described(old) == {"a": "", "b": "what"}


def test_what_has_no_schema_is_refused_by_name_or_not_offered() -> None:
    def send(data: bytes, line: socket.socket) -> None: ...

    def poll(seconds: int, line: socket.socket | None = None) -> None: ...

    with pytest.raises(CommandError, match=r"The parameter 'line' of send has no JSON Schema") as caught:
        parameters(send)
    assert "default" in caught.value.hint
    made = parameters(poll)
    assert list(made.schema["properties"]) == ["seconds"]
    assert made.validate('{"seconds": 1}') == ((1,), {})
    assert reasons(made, '{"seconds": 1, "line": null}')[0] == "line: is not a known name"


def test_what_cannot_be_called_or_read_is_refused() -> None:
    def undefined(a: Nothing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    def broken(a: "1 / 0") -> None: ...  # type: ignore[valid-type]  # noqa: UP037

    with pytest.raises(CommandError, match="names 'Nothing', which is not defined"):
        parameters(undefined)
    with pytest.raises(CommandError, match="cannot be read"):
        parameters(broken)
    for odd in (3, dict, "text"):
        with pytest.raises(CommandError, match="signature"):
            parameters(odd)  # type: ignore[arg-type]


def test_annotations_may_name_what_is_local() -> None:
    class Local(BaseModel):
        x: int

    def use(a: Local, b: list[Local] | None = None) -> None: ...

    made = parameters(use)
    assert made.validate('{"a": {"x": 1}}') == ((Local(x=1),), {})
    assert "Local" in made.schema["$defs"]


def test_annotations_may_name_what_a_namespace_or_a_closure_has() -> None:
    def make() -> Callable[..., Any]:
        class Hidden(BaseModel):
            x: int

        def use(a: Hidden) -> type[BaseModel]:  # noqa: ARG001
            return Hidden

        return use

    use = make()
    assert isinstance(parameters(use).validate('{"a": {"x": 1}}')[0][0], use(None))
    source = "def f(a: Elsewhere): ..."
    names: dict[str, Any] = {"__annotations__": {}}
    exec(compile(source, "cell", "exec", flags=0x1000000), names)  # noqa: S102  # a cell, its annotations as text
    with pytest.raises(CommandError, match="Elsewhere"):
        parameters(names["f"])
    assert parameters(names["f"], {"Elsewhere": int}).schema["properties"]["a"] == {"type": "integer"}


def test_names_that_were_not_offered_never_reach_the_function() -> None:
    made = parameters(corpus.connected)
    assert made.schema["additionalProperties"] is False
    assert reasons(made, '{"q": "x", "conn": true}')[0] == "conn: is not a known name"
    assert reasons(made, '{"q": "x", "shell": true}')[0] == "shell: is not a known name"


def test_other_names_are_taken_where_the_function_takes_them() -> None:
    def tag(text: str, conn: Callable[[], None] = print, /, **tags: int) -> None:
        """Tag a text.

        Args:
            tags: how much of what
        """

    made = parameters(tag)
    assert made.schema["additionalProperties"] == {"type": "integer", "description": "how much of what"}
    assert list(made.schema["properties"]) == ["text"]
    given = '{"text": "a", "good": "3", "tags": 4}'
    assert made.validate(given) == (("a", print), {"good": 3, "tags": 4})
    takes = "tag takes text (string), any other names (integer)"
    assert reasons(made, '{"text": "a", "good": "much"}') == ('good: should be a valid integer, not "much"', takes)
    assert reasons(made, '{"text": "a", "conn": 1}') == ("conn: is not a known name", takes)

    def paint(**colours: list[str]) -> None:
        """Paint."""

    assert parameters(paint).validate('{"sky": "[\\"blue\\"]"}') == ((), {"sky": ["blue"]})

    def connect(**connections: socket.socket) -> None:
        """Connect."""

    assert reasons(parameters(connect), '{"a": 1}') == ("a: is not a known name", "connect takes no arguments")


def test_a_million_unknown_names_are_ten_reasons() -> None:
    many = json.dumps({f"n{n}": n for n in range(100_000)})
    said = reasons(parameters(weather), many)
    assert said[-2:] == ("… and 99,991 more", KNOWN)
    assert len(said) == 12
