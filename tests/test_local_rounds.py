"""The scripted engine in dialogues with tools: rounds, and the shapes that calls come in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic.local.directives import SHAPES

from .local_server import RUN, body_for, error_of, frames_of, serving, text_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

TWO = """<<tool f {"a": 1}>><<tool g {"b": [2, 3]}>>"""


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with serving("--engine", "scripted") as client:
        yield client


def answered(script: str, *rounds: str) -> list[dict[str, Any]]:
    """A question, and what each round gave: the calls' names, space between."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": script}]
    for names in rounds:
        messages.append({"role": "assistant", "content": "", "tool_calls": [{"id": name} for name in names.split()]})
        messages += [{"role": "tool", "tool_call_id": name, "content": f"{name} is done"} for name in names.split()]
    return messages


def next_of(server: httpx.Client, messages: list[dict[str, Any]], **more: Any) -> tuple[str | None, list[str]]:
    """What is said and called next."""
    answer = server.post(RUN, json={"messages": messages, **more})
    message = answer.json()["result"]["choices"][0]["message"]
    return message["content"], [call["function"]["name"] for call in message["tool_calls"]]


def test_a_round_follows_the_results_of_the_one_before(server: httpx.Client) -> None:
    script = "<<tool a>><<tool b>><<beside Let me see.>><<then>><<tool c>><<then>><<say Done.>>"
    assert next_of(server, answered(script)) == ("Let me see.", ["a", "b"])
    assert next_of(server, answered(script, "a b")) == (None, ["c"])
    assert next_of(server, answered(script, "a b", "c")) == ("Done.", [])
    assert next_of(server, [*answered(script, "a b", "c"), {"role": "user", "content": "<<tool d>>"}]) == (None, ["d"])


def test_without_words_the_results_are_said(server: httpx.Client) -> None:
    said, _ = next_of(server, answered("<<tool a>><<then>><<tool b>>", "a", "b"))
    assert said == "The tools answered: a is done; b is done"


def test_forever_ends_only_where_no_tool_may_be_called(server: httpx.Client) -> None:
    script = "<<tool a>><<then>><<tool b>><<forever>><<say At last.>>"
    assert next_of(server, answered(script, *["b"] * 20)) == (None, ["b"])
    assert next_of(server, answered(script, *["b"] * 20), tool_choice="none") == ("At last.", [])


def test_pictures_that_follow_results_are_no_question(server: httpx.Client) -> None:
    picture = {"role": "user", "content": [{"type": "text", "text": "The result of a:"}]}
    assert next_of(server, [*answered("<<tool a>><<then>><<say Nice.>>", "a"), picture])[0] == "Nice."


def test_a_better_reply_can_be_asked_for(server: httpx.Client) -> None:
    told = [{"role": "assistant", "content": "x"}, {"role": "user", "content": "This is not valid: …"}]
    assert next_of(server, [*answered("<<say x>><<again y>>"), *told])[0] == "y"
    assert next_of(server, [*answered("<<say x>><<again y>>"), told[0], *answered("<<say z>>")])[0] == "z"


def test_a_fault_strikes_in_its_own_round(server: httpx.Client) -> None:
    script = "<<tool a>><<then>><<fault 3040>>"
    assert next_of(server, answered(script))[1] == ["a"]
    answer = server.post(RUN, json={"messages": answered(script, "a")})
    assert error_of(answer)[:2] == (429, 3040)


def calls_in(frames: list[Any]) -> list[dict[str, Any]]:
    """Every fragment, in order."""
    deltas = [frame["choices"][0]["delta"] for frame in frames if frame != "[DONE]" and frame.get("choices")]
    return [fragment for delta in deltas for fragment in delta.get("tool_calls", ())]


def test_kimis_ids_are_the_same_again_in_every_reply(server: httpx.Client) -> None:
    ids = [call["id"] for call in calls_in(frames_of(server, TWO)) if call.get("id")]
    assert ids == ["functions.f:0", "functions.g:1"]
    assert [call["id"] for call in calls_in(frames_of(server, TWO)) if call.get("id")] == ids


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.startswith("leaked")])
def test_every_shape_carries_the_same_calls(server: httpx.Client, shape: str) -> None:
    frames = frames_of(server, f"{TWO}<<calls {shape}>>")
    fragments = calls_in(frames)
    assert [fragment["function"]["name"] for fragment in fragments if fragment.get("type")] == (["f", "g"])
    pieces = [fragment["function"]["arguments"] for fragment in fragments]
    if shape == "object-arguments":
        assert pieces == [{"a": 1}, {"b": [2, 3]}]
    else:
        assert sorted("".join(pieces)) == sorted('{"a": 1}{"b": [2, 3]}')
    assert frames[-3]["choices"][0]["finish_reason"] == ("stop" if shape == "stop" else "tool_calls")
    whole = server.post(RUN, json=body_for(f"{TWO}<<calls {shape}>>")).json()["result"]["choices"][0]["message"]
    arguments = [call["function"]["arguments"] for call in whole["tool_calls"]]
    decoded = [json.loads(one) if isinstance(one, str) else one for one in arguments]
    assert decoded == [{"a": 1}, {"b": [2, 3]}]


def test_what_each_shape_is_known_by(server: httpx.Client) -> None:
    def fragments(shape: str) -> list[dict[str, Any]]:
        return calls_in(frames_of(server, f"{TWO}<<calls {shape}>>"))

    assert not any("index" in fragment for fragment in fragments("no-index"))
    assert {fragment["index"] for fragment in fragments("same-index")} == {0}
    assert not any(fragment.get("id") for fragment in fragments("no-ids"))
    assert all(fragment["function"]["name"] for fragment in fragments("name-repeated"))
    assert [fragment["index"] for fragment in fragments("interleaved")][:4] == [0, 1, 0, 1]
    assert {len(fragment["function"]["arguments"]) for fragment in fragments("every-character")} == {0, 1}
    assert [fragment["index"] for fragment in fragments("null-finaliser")][-3:] == [0, 1, 2]


@pytest.mark.parametrize(("shape", "key"), [("leaked", "content"), ("leaked-thinking", "reasoning_content")])
def test_control_tokens_stand_in_the_text(server: httpx.Client, shape: str, key: str) -> None:
    frames = frames_of(server, f'<<tool f {{"a": 1}}>><<beside So:>><<think hm>><<calls {shape}>>')
    assert text_in(frames, key).endswith(
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"
        '{"a": 1}<|tool_call_end|><|tool_calls_section_end|>'
    )
    assert calls_in(frames) == []
    assert frames[-3]["choices"][0]["finish_reason"] == "stop"


def test_old_frames_carry_calls_as_objects(server: httpx.Client) -> None:
    called = [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {"b": [2, 3]}}]
    assert frames_of(server, f"{TWO}<<frames legacy>>")[0]["tool_calls"] == called
    assert server.post(RUN, json=body_for(f"{TWO}<<frames legacy>>")).json()["result"]["tool_calls"] == called


SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def test_a_schema_can_be_refused_in_both_ways(server: httpx.Client) -> None:
    body = body_for("<<say {}>><<fault schema>>", response_format=SCHEMA)
    assert error_of(server.post(RUN, json=body))[:2] == (400, 8001)
    unmet = server.post(RUN, json=body_for("<<say {}>><<fault schema shape=unmet>>", response_format=SCHEMA))
    assert (unmet.status_code, unmet.json()["success"]) == (200, False)
    assert "JSON Mode couldn't be met" in unmet.text


@pytest.mark.parametrize("more", [{}, {"response_format": {"type": "json_object"}}])
def test_nothing_else_is_refused_with_it(server: httpx.Client, more: dict[str, Any]) -> None:
    assert next_of(server, answered("<<say {}>><<fault schema>>"), **more)[0] == "{}"
