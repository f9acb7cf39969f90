"""Replies that have to be of a type, over a real socket: asked again once, in JSON mode where a schema is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import kimi_magic
from kimi_magic import errors
from kimi_magic import kernel as ours
from tests.dialogues import messages_of, requires_answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Seen

pytestmark = pytest.mark.usefixtures("here")
ROWS = "[name, age int]"
ADA = '{"name": "Ada", "age": 36}'


def said(value: Any) -> str:
    """A directive that says this, as JSON unless it is text."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"<<say {text}>>"


def formats(seen: Seen) -> list[str]:
    """The form in which each request wanted its reply."""
    return [json.loads(str(request["body"])).get("response_format", {}).get("type") for request in seen.all()]


def test_a_reply_that_fits_is_the_value_and_takes_one_request(seen: Seen) -> None:
    reply = kimi_magic.ask(said(ADA), out="name, age int", new=True)
    assert reply.value == {"name": "Ada", "age": 36}
    assert formats(seen) == ["json_schema"]
    assert json.loads(str(seen.last()["body"]))["chat_template_kwargs"]["thinking"] is False


@pytest.mark.parametrize("first", ['{"name": "Ada", "age": "old"}', "I am sorry.", "", '{"name": "Ada"', "[" * 6_000])
def test_a_reply_that_does_not_fit_is_asked_for_once_more(first: str, seen: Seen) -> None:
    reply = kimi_magic.ask(f"My name is Ada. {said(first)}<<again {ADA}>>", out="name, age int", new=True)
    assert reply.value == {"name": "Ada", "age": 36}
    assert formats(seen) == ["json_schema"] * 2
    question, wrong, told = messages_of(seen.last())
    assert messages_of(seen.all()[0]) == [question]
    assert wrong["content"] == (first or "(nothing)")
    assert "not valid" in told["content"]
    assert "Ada" in kimi_magic.ask("What is my name?").text


def test_a_reply_that_does_not_fit_twice_keeps_what_is_valid_and_why_the_rest_is_not(seen: Seen) -> None:
    wrong = {"rows": [json.loads(ADA), {"name": "Bob"}, {"name": "Eve", "age": 7}, {"name": "X", "age": "old"}]}
    with pytest.raises(errors.InvalidReply) as caught:
        kimi_magic.ask(f"My name is Ada. {said('nonsense')}<<again {json.dumps(wrong)}>>", out=ROWS, new=True)
    error = caught.value
    assert [row["age"] for row in error.rows] == [36, 7]
    assert [reason.split(":")[0] for reason in error.errors] == ["rows[1].age", "rows[3].age"]
    assert error.reply.text == json.dumps(wrong)
    assert error.reply.rounds[0].text == "nonsense"
    assert len(seen.all()) == 2
    assert "Ada" in kimi_magic.ask("What is my name?").text
    assert len(messages_of(seen.last())) == 5


def test_a_second_reply_that_is_worse_loses_no_row_of_the_first(seen: Seen) -> None:
    first = {"rows": [json.loads(ADA), {"name": "Bob"}, {"name": "Eve", "age": 7}]}
    with pytest.raises(errors.InvalidReply, match="2 valid rows") as caught:
        kimi_magic.ask(f"{said(first)}<<again nonsense>>", out=ROWS, new=True)
    assert [row["age"] for row in caught.value.rows] == [36, 7]
    assert [reason.split(":")[0] for reason in caught.value.errors] == ["rows[1].age"]
    assert len(seen.all()) == 2


def test_a_reply_that_was_cut_names_the_limit_and_is_not_asked_for_again(seen: Seen) -> None:
    many = {"rows": [{"name": "Ada", "age": n} for n in range(50)]}
    with pytest.raises(errors.InvalidReply, match="cut at 40 tokens") as caught:
        kimi_magic.ask(said(many), out=ROWS, max_tokens=40, new=True)
    assert "--max-tokens" in str(caught.value)
    assert [row["age"] for row in caught.value.rows] == [0, 1, 2, 3, 4]
    assert len(seen.all()) == 1


@pytest.mark.parametrize("shape", ["refused", "unmet"])
def test_a_refused_schema_is_tried_once_and_that_is_remembered_for_the_model(shape: str, seen: Seen) -> None:
    question = f"<<fault schema shape={shape}>>{said(ADA)}"
    for model in ("k2.6", "k2.6", "k2.5"):
        assert kimi_magic.ask(question, out="name, age int", model=model, new=True).value["age"] == 36
    assert formats(seen) == ["json_schema", "json_object", "json_object", "json_schema", "json_object"]
    first, second, *_ = seen.all()
    assert messages_of(first) == messages_of(second)
    assert "JSON Schema" in messages_of(first)[0]["content"]


def test_what_json_mode_is_refused_too_is_raised_and_not_remembered(seen: Seen) -> None:
    with pytest.raises(errors.RequestRefused):
        kimi_magic.ask("<<fault 5004>>", out="name, age int", new=True)
    assert formats(seen) == ["json_schema", "json_object"]
    kimi_magic.ask(said(ADA), out="name, age int", new=True)
    assert formats(seen)[-1] == "json_schema"


def test_tools_come_first_and_then_the_value(seen: Seen) -> None:
    def age(name: str) -> int:
        """Look up how old somebody is."""
        return {"Ada": 36}[name]

    question = '<<tool age {"name": "Ada"}>><<tool age {"name": "Bob"}>><<then>>' + said("not yet") + f"<<again {ADA}>>"
    reply = kimi_magic.ask(question, tools=age, out="name, age int", new=True)
    assert (reply.value["age"], len(reply.rounds)) == (36, 2)
    assert [outcome.state for outcome in reply.calls] == ["done", "failed"]
    requires_answers(messages_of(seen.last()), 2)


def test_where_the_schema_was_refused_the_recording_is_still_found(
    here: pytest.MonkeyPatch, tmp_path: Path, seen: Seen
) -> None:
    def asked(rerun: str) -> Any:
        return kimi_magic.ask(
            f"<<fault schema>>{said('no')}<<again {ADA}>>", out="name, age int", rerun=rerun, new=True
        )

    here.setenv("KIMI_HOME", str(tmp_path))
    here.setenv("KIMI_RERUN", "replay")
    first = asked("replay")
    for rerun in ("replay", "only"):
        ours.close()
        reply = asked(rerun)
        assert (reply.value, reply.text) == (first.value, ADA)
        assert reply.recorded
    assert formats(seen) == ["json_schema", "json_object", "json_object"]
