"""The JSON in what a model wrote is found, whatever stands around it; whatever it is, only Invalid is raised."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from kimi_magic.schema import Invalid, Output, output
from kimi_magic.schema.reading import found


class Row(BaseModel):
    name: str
    age: int | None = None
    tags: list[str] = []
    inner: Row | None = None


class Fussy(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        return {1: 1}[n]


ROWS = output(list[Row])
ONE = output(Row)
WORDS = output(list[str])
NUMBERS = output(list[float])
OUTPUTS = [ROWS, ONE, WORDS, NUMBERS, output("good|bad"), output(dict[str, int])]

TREES = st.recursive(
    st.builds(Row, name=st.text(), age=st.none() | st.integers(-(2**70), 2**70), tags=st.lists(st.text(), max_size=3)),
    lambda inner: st.builds(Row, name=st.text(), inner=inner),
    max_leaves=3,
)
NOISE = st.lists(
    st.sampled_from(
        [
            *'{}[]",: \n\\`',
            '{"rows": [',
            '{"name": "a"}',
            '"',
            "```json",
            "NaN",
            "-",
            "1e999",
            "\ufeff",
            "\ud800",
            "null",
        ]
    )
    | st.text(max_size=3),
    max_size=30,
).map("".join)


def reasons(made: Output, text: str) -> tuple[str, ...]:
    with pytest.raises(Invalid) as caught:
        made.parse(text)
    assert str(caught.value) == "\n".join(caught.value.reasons)
    return caught.value.reasons


@settings(deadline=None)
@given(st.lists(TREES, max_size=4), st.data())
def test_any_beginning_of_a_valid_reply_gives_the_first_rows(rows: list[Row], data: st.DataObject) -> None:
    indent = data.draw(st.sampled_from([None, 2]))
    text = json.dumps({"rows": [row.model_dump() for row in rows]}, indent=indent)
    assert ROWS.parse(text) == rows
    assert ROWS.salvage(text) == (rows, [])
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    some = ROWS.partial(cut)
    assert some == rows[: len(some)]
    kept, errors = ROWS.salvage(cut)
    assert kept == some
    assert errors or kept == rows


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)), st.lists(st.text()), st.data())
def test_any_beginning_of_a_list_of_values_gives_the_first_values(
    floats: list[float], texts: list[str], data: st.DataObject
) -> None:
    for made, values in ((NUMBERS, floats), (WORDS, texts)):
        text = json.dumps({"value": values})
        assert made.parse(text) == made.partial(text) == values
        some = made.partial(text[: data.draw(st.integers(0, len(text)))])
        assert some == values[: len(some)]


def test_a_row_is_there_as_soon_as_it_is_complete() -> None:
    text = '{"rows": [{"name": "a", "inner": {"name": "b"}}, {"name": "}, {"}]}'
    grown = [len(ROWS.partial(text[:n])) for n in range(len(text) + 1)]
    first, second = text.index("}}") + 2, text.index('}, {"}') + 6
    assert [grown.index(1), grown.index(2)] == [first, second]
    assert [row.name for row in ROWS.partial(text)] == ["a", "}, {"]


def test_a_number_is_there_when_no_digit_can_follow() -> None:
    assert NUMBERS.partial('{"value": [1, 23') == [1]
    assert NUMBERS.partial('{"value": [1, 23,') == [1, 23]
    assert NUMBERS.partial('{"value": [1, 23]') == [1, 23]


@settings(deadline=None, max_examples=300)
@given(st.text() | NOISE)
def test_any_text_raises_nothing_but_invalid(text: str) -> None:
    for made in OUTPUTS:
        try:
            made.parse(text)
        except Invalid as exc:
            assert 0 < len(exc.reasons) <= 11
            assert all(len(line) <= 240 and "\n" not in line for line in exc.reasons)
        rows, errors = made.salvage(text)
        assert made.partial(text) == rows
        assert all(isinstance(line, str) for line in errors)


ROW = '{"rows": [{"name": "a"}]}'


@pytest.mark.parametrize(
    "text",
    [
        ROW,
        f"\ufeff {ROW}\n",
        f"```json\n{ROW}\n```",
        f"Here they are:\n\n```\n{ROW}\n```\nIs there more that I can do?",
        f"In the form {{x}}, see [1] and [0, 1): {ROW}",
        f'Not {{"rows": []}} but {ROW}.',
        '[{"name": "a"}]',
        'As a list: [{"name": "a"}] :)',
        '{"people": [{"name": "a"}]}',
        '{"rows": [{"name": "a"}], "note": "one row"}',
        '{"rows": [{"name": "b", "name": "a"}]}',
        '{"rows": [{"name": "a", "age": NaN}]}',
        '{"rows": [{"name": "a", "age": -Infinity}]}',
        '{"rows": [{"name": "a", "age": 1e999}]}',
    ],
)
def test_what_models_write_around_json_is_tolerated(text: str) -> None:
    assert ROWS.parse(text) == [Row(name="a")]
    assert "NaN" in text or ROWS.partial(text)[-1:] in ([Row(name="a")], [])


def test_a_line_end_inside_of_a_string_is_tolerated() -> None:
    assert (
        ROWS.parse('{"rows": [{"name": "a\nb"}]}') == ROWS.partial('{"rows": [{"name": "a\nb"}') == [Row(name="a\nb")]
    )


def test_a_value_that_was_not_wrapped_is_taken() -> None:
    assert output(int).parse(" 7 ") == 7
    assert output("good|bad").parse('"bad"') == "bad"
    assert output(str | None).parse("null") is None


def test_a_part_of_a_cut_reply_is_never_taken_for_the_whole() -> None:
    text = '{"name": "outer", "inner": {"name": "inner"}'
    assert reasons(ONE, text) == ("the reply is not JSON: it ends before its JSON does",)
    assert ONE.parse(text + "}").name == "outer"


def test_reasons_name_the_place_and_what_was_expected() -> None:
    assert reasons(ROWS, '{"rows": [{"name": 1, "age": "x"}, {"tags": [1, "b"]}, 3, {"name": "", "inner": []}]}') == (
        "rows[0].name: should be a valid string, not 1",
        'rows[0].age: should be a valid integer, not "x"',
        "rows[1].name: is missing",
        "rows[1].tags[0]: should be a valid string, not 1",
        "rows[2]: should be an object, not 3",
        "rows[3].inner: should be an object, not []",
    )
    assert reasons(output(int | list[int]), '{"value": "x"}') == (
        'value: should be a valid integer, not "x"; or should be a valid array, not "x"',
    )
    assert reasons(output(dict[str, int]), '{"a b": null}') == ("['a b']: should be a valid integer, not null",)
    assert reasons(output("good|bad"), '{"value": "fine"}') == ("value: should be 'good' or 'bad', not \"fine\"",)
    assert reasons(WORDS, "I would rather not.") == ("the reply is not JSON: there is none in it",)
    assert reasons(WORDS, "") == ("the reply is not JSON: there is none in it",)


def test_reasons_are_ten_and_a_count() -> None:
    many = reasons(NUMBERS, json.dumps({"value": ["x" * 1000] * 50}))
    assert len(many) == 11
    assert many[-1] == "… and 40 more"
    assert all(len(line) < 200 for line in many)


def test_a_validator_that_fails_is_a_reason() -> None:
    assert output(Fussy).parse('{"n": 1}').n == 1
    assert reasons(output(Fussy), '{"n": 2}') == ("the value: KeyError: 2",)
    assert output(list[Fussy]).salvage('{"rows": [{"n": 2}, {"n": 1}]}') == ([Fussy(n=1)], ["rows[0]: KeyError: 2"])


def test_salvage_keeps_the_valid_rows_and_says_what_is_wrong_with_others() -> None:
    text = '{"rows": [{"name": "a"}, {"name": "he said "hi" to", "x": [1]}, {"age": 1}, {"name": "d"}, {"name": "e'
    rows, errors = ROWS.salvage(text)
    assert [row.name for row in rows] == ["a", "d"]
    assert errors == [
        "rows[1]: is not JSON: Expecting ',' delimiter at line 1, column 45",
        "rows[2].name: is missing",
        "rows[4]: is cut: the reply ends in it",
    ]
    assert ROWS.salvage('{"rows": [{"name": "a"}, ')[1] == ["rows[1]: is missing: the reply ends before its array does"]
    assert ROWS.salvage("sorry") == ([], ["the reply is not JSON: there is none in it"])


def test_a_key_given_twice_has_its_last_value_and_others_are_let_go() -> None:
    assert ONE.parse('{"name": "a", "name": "b", "surname": "c"}') == Row(name="b")


BOMBS = {
    "arrays": "[" * 2_000_000,
    "objects": "{" * 2_000_000,
    "nested objects": '{"a":' * 2_000_000,
    "closers": "[" + "}," * 2_000_000,
    "openers in strings": '{"x ' * 500_000,
    "rows that nest": '{"rows":' + "[" * 2_000_000,
    "one number": '{"value":[' + "1" * 2_000_000 + "]}",
    "escapes": '{"value": ["' + '\\"' * 2_000_000,
    "small objects": "{} " * 1_000_000,
    "wrong rows": '{"rows":[' + "1," * 500_000 + "1]}",
    "garbled rows": '{"rows":[' + '{"name":"a"b"},' * 300_000 + "]}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str) -> None:
    for made in (ROWS, WORDS, ONE):
        assert reasons(made, BOMBS[name])
        assert made.partial(BOMBS[name]) == []


def test_a_reply_of_ten_megabytes_is_read() -> None:
    rows = [{"name": "x" * 40, "age": n, "tags": ["a", "b"], "inner": None} for n in range(90_000)]
    text = json.dumps({"rows": rows})
    assert len(text) > 9_000_000
    assert len(ROWS.parse(text)) == len(ROWS.partial(text)) == 90_000
    assert len(ROWS.partial(text[:-100])) == 89_999


def test_json_as_deep_as_a_value_may_be_is_read() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert output(Any).parse(json.dumps({"value": deep})) == deep
    assert found(json.dumps(deep)) == [deep]


def test_an_output_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROWS.name = "x"  # type: ignore[misc]
