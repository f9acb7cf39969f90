"""Request bytes and reply frames, taken apart with literals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kimi_magic import wire
from kimi_magic.events import Event, Finished, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.messages import Image, Message, Text, Usage

HELLO = (Message.of("system", "Be brief."), Message.of("user", "Grüße, 你好 {x} %s $1"))
REQUEST = wire.Request("@cf/moonshotai/kimi-k2.6", HELLO, 100)


def decode(*frames: str) -> tuple[str, str, Finished]:
    """Feed frames to their end: text, thinking, and the last event."""
    decoder = wire.Decoder()
    events = [event for frame in frames for event in decoder.feed(frame)]
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thinking = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    return text, thinking, decoder.end()


def chunk(delta: dict[str, Any] | None = None, **more: Any) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta or {}, **more}]})


STOP = chunk(finish_reason="stop")


def test_a_request_has_one_spelling() -> None:
    assert (
        wire.encode(REQUEST, "run")
        == (
            '{"max_completion_tokens":100,"messages":[{"content":"Be brief.","role":"system"},'
            '{"content":"Grüße, 你好 {x} %s $1","role":"user"}],"stream":true,"stream_options":{"include_usage":true}}'
        ).encode()
    )


def test_the_model_stands_in_the_body_where_the_path_does_not_name_it() -> None:
    assert json.loads(wire.encode(REQUEST, "chat"))["model"] == REQUEST.model
    assert json.loads(wire.encode(REQUEST, "openai"))["max_tokens"] == 100


def test_every_parameter_reaches_the_body() -> None:
    request = wire.Request("m", HELLO, 5, temperature=0.5, top_p=0.25, effort="low")
    body = json.loads(wire.encode(request, "run"))
    assert (body["temperature"], body["top_p"], body["reasoning_effort"]) == (0.5, 0.25, "low")


def test_thinking_is_switched_off_under_both_names() -> None:
    body = json.loads(wire.encode(wire.Request("m", HELLO, 5, effort="off"), "run"))
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
    assert "reasoning_effort" not in body


@given(st.text())
def test_any_text_passes_unchanged(text: str) -> None:
    body = json.loads(wire.encode(wire.Request("m", (Message.of("user", text),), 1), "run"))
    assert body["messages"][0]["content"] == text


def test_a_reply_in_both_reasoning_fields_is_read_once() -> None:
    frame = chunk({"reasoning": "hm", "reasoning_content": "hm"})
    assert decode(frame, chunk({"content": "Hi"}), STOP)[:2] == ("Hi", "hm")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thinking_is_read_from_either_field(name: str) -> None:
    assert decode(chunk({name: "hm"}), STOP)[1] == "hm"


def test_usage_is_a_running_total_and_the_last_one_counts() -> None:
    counts = [{"prompt_tokens": 2051, "completion_tokens": n, "total_tokens": 2051 + n} for n in (1, 2, 134)]
    frames = [json.dumps({"choices": [{"delta": {"content": "x"}}], "usage": usage}) for usage in counts]
    assert decode(*frames, STOP)[2].usage == Usage(input=2051, output=134)


def test_a_last_frame_with_neurons_alone_keeps_the_counts() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}
    frames = [STOP, json.dumps({"choices": [], "usage": usage}), '{"response":"","usage":{"neurons":2.8}}', "[DONE]"]
    assert decode(*frames)[2].usage == Usage(input=3, cached=2, output=4, neurons=2.8)


def test_usage_inside_the_choice_counts() -> None:
    assert decode(chunk(finish_reason="stop", usage={"prompt_tokens": 7}))[2].usage.input == 7


def test_cached_tokens_are_found_at_the_top_level_too() -> None:
    frame = json.dumps({"choices": [], "usage": {"prompt_tokens": 94, "cached_tokens": 90}})
    assert decode(STOP, frame)[2].usage.cached == 90


def test_older_models_frames_are_read_and_done_ends_them() -> None:
    assert decode('{"response":"Hel","p":"ab"}', '{"response":"lo"}', "[DONE]")[0] == "Hello"


def test_text_in_both_shapes_of_one_frame_is_not_doubled() -> None:
    assert decode('{"response":"Hi","choices":[{"delta":{"content":"Hi"}}]}', STOP)[0] == "Hi"


def test_line_separators_and_unknown_keys_pass() -> None:
    frame = json.dumps(
        {"choices": [{"delta": {"content": "a\u2028b", "x": 1}, "token_ids": None}], "p": "abc"}, ensure_ascii=False
    )
    assert decode(frame, STOP)[0] == "a\u2028b"


@pytest.mark.parametrize(
    ("given_reason", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("function_call", "tool_calls"),
        ("new", "stop"),
    ],
)
def test_reasons_are_understood(given_reason: str, reason: str) -> None:
    assert decode(chunk(finish_reason=given_reason))[2].reason == reason


@pytest.mark.parametrize("frames", [(chunk({"content": "Hi"}),), (chunk({"content": "Hi"}), "[DONE]"), ()])
def test_a_stream_without_a_reason_was_cut(frames: tuple[str, ...]) -> None:
    with pytest.raises(wire.Failed, match="in the middle"):
        decode(*frames)


@pytest.mark.parametrize(
    "frame",
    [
        '{"error":{"message":"AiError: Boom","code":3043}}',
        '{"error":[{"message":"Boom","code":3043}]}',
        '{"errors":[{"message":"AiError: Ai: Boom (82a04848)","code":"3043"}],"success":false}',
        '{"success":false,"errors":[{"message":"3043: Boom"}]}',
    ],
)
def test_an_error_inside_a_stream_is_read_in_every_shape(frame: str) -> None:
    with pytest.raises(wire.Failed) as caught:
        decode(frame)
    assert (caught.value.failure.message, caught.value.failure.code) == ("Boom", 3043)


@pytest.mark.parametrize("frame", ["{", "nonsense", "[1]", '"text"'])
def test_a_garbage_frame_is_told_as_such(frame: str) -> None:
    with pytest.raises(wire.Failed, match=r"not JSON|no object"):
        decode(frame)


def test_tool_calls_open_once_and_empty_finalisers_open_none() -> None:
    decoder = wire.Decoder()
    fragments = [
        {"index": 0, "id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a":'}},
        {"index": 0, "function": {"arguments": "1}"}},
        {"id": None, "type": None, "index": 0, "function": {"name": None, "arguments": ""}},
        {"id": None, "type": None, "index": 1, "function": {"name": None, "arguments": ""}},
    ]
    events = [event for fragment in fragments for event in decoder.feed(chunk({"tool_calls": [fragment]}))]
    assert events == [
        ToolCallDelta(0, "functions.f:0", "f", ""),
        ToolCallDelta(0, "", "", '{"a":'),
        ToolCallDelta(0, "", "", "1}"),
    ]


def called(*fragments: dict[str, Any], tools: bool = False) -> list[tuple[str, str, str]]:
    """Feed fragments of calls; id, name and arguments of each call that they make."""
    decoder = wire.Decoder(tools=tools)
    return made(event for fragment in fragments for event in decoder.feed(chunk({"tool_calls": [fragment]})))


def made(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    """The calls that events make."""
    calls: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            call = calls.setdefault(event.index, [event.id, event.name, ""])
            call[2] += event.arguments
    return [(id_, name, arguments) for id_, name, arguments in calls.values()]


def fragment(arguments: Any = "", *, name: str = "", **more: Any) -> dict[str, Any]:
    return {"function": {"name": name or None, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    "fragments",
    [
        [fragment(name="f"), fragment("1"), fragment(name="g"), fragment("2"), fragment()],  # no index, no id
        [fragment("1", name="f", index=0, id="a"), fragment("2", name="g", index=0, id="b")],  # one index for both
        [fragment(name="f", index=0), fragment(name="g", index=1), fragment("2", index=1), fragment("1", index=0)],
        [fragment("1", name="f", index=0), fragment(name="f", index=0), fragment("2", name="g", index=1)],  # repeated
        [fragment(1, name="f"), fragment(2, name="g")],
        [{"name": "f", "arguments": 1}, {"name": "g", "arguments": 2}],  # as older models have it
        [fragment(name="f", index=0), fragment("1"), fragment(name="g", index=1), fragment("2")],
    ],
)
def test_two_calls_are_told_apart_in_every_shape(fragments: list[dict[str, Any]]) -> None:
    assert [call[1:] for call in called(*fragments)] == [("f", "1"), ("g", "2")]


def test_the_same_tool_is_called_twice_where_ids_or_indices_differ() -> None:
    twice = [("a", "f", "1"), ("b", "f", "2")]
    assert called(fragment("1", name="f", id="a"), fragment("2", name="f", id="b")) == twice
    assert called(*(fragment(n, name="f", index=0, id=id_) for n, id_ in (("1", "a"), ("2", "b")))) == twice
    assert [call[2] for call in called(fragment({}, name="f"), fragment({}, name="f"))] == ["{}", "{}"]


def test_arguments_of_no_call_and_empty_fragments_are_left_out() -> None:
    assert called(fragment("1"), fragment(index=3), fragment("1", index=4), {"id": None, "function": None}) == []


LEAKED = (
    'So:<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a": "<|"}'
    "<|tool_call_end|> <|tool_call_begin|> functions.g:1 <|tool_call_argument_begin|>{}<|tool_call_end|>"
    "<|tool_calls_section_end|>"
)


def read(*texts: str, field: str = "content", tools: bool = True) -> tuple[str, list[tuple[str, str, str]]]:
    """Feed the pieces of a text: what is left of it, and the calls."""
    decoder = wire.Decoder(tools=tools)
    events = [event for text in texts for event in decoder.feed(chunk({field: text}))] + decoder.feed(STOP)
    return "".join(event.text for event in events if isinstance(event, TextDelta | ThinkingDelta)), made(events)


@pytest.mark.parametrize("field", ["content", "reasoning_content"])
@given(cuts=st.sets(st.integers(0, len(LEAKED))))
def test_leaked_control_tokens_are_calls_however_the_text_is_cut(field: str, cuts: set[int]) -> None:
    pieces = [LEAKED[a:b] for a, b in pairwise([0, *sorted(cuts), len(LEAKED)])]
    calls = [("functions.f:0", "f", '{"a": "<|"}'), ("functions.g:1", "g", "{}")]
    assert read(*pieces, field=field) == ("So:", calls)


def test_control_tokens_are_text_where_no_tool_was_declared() -> None:
    assert read(LEAKED, tools=False) == (LEAKED, [])


@given(st.lists(st.sampled_from(["<", "<|", "tool_call", "s_section", "_begin", "_argument", "|>", " ", "a<b", "\n"])))
def test_text_that_is_like_a_control_token_stays_as_it_is(texts: list[str]) -> None:
    whole = "".join(texts)
    assume(not re.search(r"<\|tool_call(s?_section)?(_argument)?_begin\|>", whole))
    assert read(*texts) == (whole, [])


@given(st.lists(st.sampled_from([*re.split(r"(<\|.*?\|>)", LEAKED), "<|", "tool_call"])))
def test_control_tokens_in_any_order_are_survived(texts: list[str]) -> None:
    text, calls = read(*texts)
    assert len(text) + sum(len(arguments) for *_, arguments in calls) <= len("".join(texts))


def test_only_what_may_become_a_control_token_waits() -> None:
    decoder = wire.Decoder(tools=True)
    assert decoder.feed(chunk({"content": "a < b, a <|> b <|tool_c"})) == [TextDelta("a < b, a <|> b ")]
    assert decoder.feed(chunk({"content": "x"})) == [TextDelta("<|tool_cx")]


def test_a_call_without_arguments_or_without_an_end_is_a_call() -> None:
    assert read("<|tool_call_begin|>functions.f:0<|tool_call_end|>ok") == ("ok", [("functions.f:0", "f", "")])
    cut = read("<|tool_call_begin|>f<|tool_call_argument_begin|>{<|tool_call_begin|>g<|tool_call_argument_begin|>1")
    assert cut == ("", [("f", "f", "{"), ("g", "g", "1")])
    assert read("see <|tool_call_begin|>f") == ("see <|tool_call_begin|>f", [])


def test_a_whole_reply_is_read_for_calls_too() -> None:
    body = {"choices": [{"message": {"content": LEAKED}, "finish_reason": "stop"}]}
    assert len(made(wire.decode_body(json.dumps(body).encode(), tools=True))) == 2
    old = {"result": {"response": None, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}, "success": True}
    assert made(wire.decode_body(json.dumps(old).encode())) == [("", "f", '{"a": 1}')]


def test_half_a_character_cannot_keep_the_conversation_from_going_on() -> None:
    assert decode('{"choices":[{"delta":{"content":"\\ud83d\\ude00 \\uD83d"}}]}', STOP)[0] == "😀 \ufffd"
    arguments = json.dumps({"a": "\ud83d"})
    assert called(fragment(arguments, name="f"), fragment({"a": "\ud83d"}, name="g")) == [
        ("", "f", arguments),
        ("", "g", '{"a": "\ufffd"}'),
    ]


COMPLETION = {"model": "m", "choices": [{"message": {"content": "Hi", "reasoning": "hm"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "body",
    [
        COMPLETION,
        {"result": COMPLETION, "success": True, "errors": []},
        {"result": {"response": "Hi"}, "success": True},
    ],
)
def test_a_whole_reply_is_read_bare_enveloped_and_legacy(body: dict[str, Any]) -> None:
    events = wire.decode_body(json.dumps(body).encode())
    assert TextDelta("Hi") in events
    assert isinstance(events[-1], Finished)


def test_a_refusal_under_http_200_is_a_failure() -> None:
    with pytest.raises(wire.Failed) as caught:
        wire.decode_body(b'{"success":false,"errors":[{"code":3040,"message":"Capacity temporarily exceeded"}]}')
    assert caught.value.failure.code == 3040


def test_the_words_of_the_model_server_are_taken_out_of_its_json() -> None:
    inner = json.dumps({"object": "error", "message": "Too many tokens: 263925", "code": 400})
    message = f"AiError: AiError: {inner} (82a04848-1111-2222-3333-444455556666)"
    body = json.dumps({"errors": [{"message": message, "code": 8007}], "success": False, "result": {}})
    failure = wire.decode_failure(400, {}, body.encode())
    assert failure == wire.Failure("Too many tokens: 263925", 8007, 400, "82a04848-1111-2222-3333-444455556666")


def test_the_request_id_comes_from_the_headers_first() -> None:
    headers = {"cf-ai-req-id": "one", "cf-ray": "two"}
    assert wire.decode_failure(500, headers, b"{}").request_id == "one"


def test_a_page_of_html_becomes_a_line() -> None:
    failure = wire.decode_failure(502, {}, b"<html><title>502</title> <h1>Bad Gateway</h1>")
    assert failure.message == "The server answered without JSON: 502 Bad Gateway"


@given(st.binary(max_size=200), st.integers(400, 599))
def test_any_body_of_a_refusal_is_survived(body: bytes, status: int) -> None:
    assert wire.decode_failure(status, {}, body).status == status


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "delta",
                        "content",
                        "usage",
                        "error",
                        "response",
                        "finish_reason",
                        "tool_calls",
                        "function",
                        "result",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_in_a_frame_gives_events_or_a_failure(frame: Any) -> None:
    decoder = wire.Decoder()
    try:
        decoder.feed(json.dumps(frame))
        decoder.end()
    except wire.Failed as failed:
        assert failed.failure.message


def test_a_picture_stands_where_it_was_put_as_a_data_url() -> None:
    picture = Image(b"\x89PNG...", "image/png", 2, 1, "high")
    message = Message("user", (Text("Look: "), picture, Text("What is it?")))
    body = json.loads(wire.encode(wire.Request("m", (message,), 5), "run"))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look: "},
        {"type": "image_url", "image_url": {"detail": "high", "url": "data:image/png;base64,iVBORy4uLg=="}},
        {"type": "text", "text": "What is it?"},
    ]


def test_without_pictures_content_is_plain_text() -> None:
    message = Message("user", (Text("a"), Text("b")))
    body = json.loads(wire.encode(wire.Request("m", (message,), 5), "run"))
    assert body["messages"][0]["content"] == "ab"
