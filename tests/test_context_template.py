"""`{{ expression }}`: found, evaluated once, and everything else left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic.context.template import Expression, near_names, split, value_of
from kimi_magic.errors import CommandError


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("What is in {{ df }}?", ["What is in ", Expression("df"), "?"]),
        ("{{df}}{{ fig }}", [Expression("df"), Expression("fig")]),
        ('{{ d["}}"] }}', [Expression('d["}}"]')]),
        ("{{ {1: {2: 3}} }}", [Expression("{1: {2: 3}}")]),
        ("{{ {1: 2}}}", [Expression("{1: 2}")]),
        ("{{ f(\n  1,\n  2) }}", [Expression("f(\n  1,\n  2)")]),
        ("{{ [x for x in y if x] }}", [Expression("[x for x in y if x]")]),
        ("{{ df  # all of it\n }}", [Expression("df  # all of it")]),
        ("a {{ without an end", ["a {{ without an end"]),
        ("}} {{", ["}} {{"]),
        ("{{ a }\n}", ["{{ a }\n}"]),
        ('{"a": {"b": 1}} and {x} and ${y}', ['{"a": {"b": 1}} and {x} and ${y}']),
        ("", []),
    ],
)
def test_expressions_are_found(body: str, found: list[str | Expression]) -> None:
    assert split(body) == found


@pytest.mark.parametrize("body", ["{{ df. }}", "{{ }}", "{{ a b }}", "{{ x = 1 }}", "{{ import os }}"])
def test_braces_without_an_expression_are_an_error_that_names_the_way_out(body: str) -> None:
    with pytest.raises(CommandError) as caught:
        split(body)
    assert "--raw" in caught.value.hint


@given(st.text(alphabet=st.characters() | st.sampled_from("{}$% \n"), min_size=1))
def test_text_without_double_braces_is_one_piece(text: str) -> None:
    assert split(text.replace("{{", "{")) == [text.replace("{{", "{")]


@given(st.lists(st.text(alphabet="ab }\n'\""), max_size=4))
def test_text_and_expressions_together_give_the_body_again(texts: list[str]) -> None:
    body = "{{x}}".join(f" {text}" for text in texts)
    again = "".join("{{x}}" if isinstance(piece, Expression) else piece for piece in split(body))
    assert again == body


NAMESPACE: dict[str, Any] = {
    "frame": [1, 2, 3],
    "figure": {"a": {"b": "{{ frame }}"}},
    "Out": {3: "three"},
    "In": ["", "1 + 1"],
    "_": 7,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("source", "value"),
    [("frame[1]", 2), ("Out[3]", "three"), ("In[1]", "1 + 1"), ("_", 7), ("len(frame)", 3), ("frame.count(1)", 1),
     ("figure['a']['b']", "{{ frame }}"), ("nothing", None), ("[x * 2 for x in frame]", [2, 4, 6]), ("1 +\n1", 2)],
)  # fmt: skip
def test_any_expression_has_its_value(source: str, value: object) -> None:
    assert value_of(source, NAMESPACE) == value


def test_an_unknown_name_lists_what_is_near() -> None:
    with pytest.raises(CommandError, match="no variable 'fraem'") as caught:
        value_of("fraem.head()", NAMESPACE)
    assert "frame" in caught.value.hint


def test_an_unknown_attribute_lists_what_is_near() -> None:
    with pytest.raises(CommandError) as caught:
        value_of("frame.cuont(1)", NAMESPACE)
    assert "count" in caught.value.hint


def test_what_an_expression_raises_is_told_in_few_lines_and_kept() -> None:
    with pytest.raises(CommandError, match="frame\\[9\\] raised IndexError") as caught:
        value_of("frame[9]", NAMESPACE)
    assert isinstance(caught.value.__cause__, IndexError)
    assert len(caught.value._render_traceback_()) <= 5


def test_ctrl_c_in_an_expression_passes() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        value_of("stop()", {"stop": stop})


def test_near_names_do_not_mind_case_and_leave_private_ones_out() -> None:
    assert near_names("DF", ["df", "_df", "dg"]) == ["df"]
    assert near_names("zzz", ["df"]) == []
