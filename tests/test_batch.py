"""Batches without a network: how they are spelt and split, and every shape that comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic import batch, wire
from kimi_magic.batch import Answer, Polled
from kimi_magic.events import Finished, TextDelta
from kimi_magic.messages import Image, Message, Text, Usage

MODEL = "@cf/moonshotai/kimi-k2.6"
SHARED = (Message.of("system", "Be brief. “Ja”"), Message.of("user", "Hello"), Message.of("assistant", "Hi 👋\u2028"))
TOOL = wire.Function("f", "Does it.", '{"properties":{},"type":"object"}')


def request(text: str, shared: tuple[Message, ...] = SHARED, **more: Any) -> wire.Request:
    return wire.Request(MODEL, (*shared, Message.of("user", text)), **{"max_tokens": 64, **more})


def plainly(items: list[tuple[str, wire.Request]]) -> bytes:
    """The batch as the ordinary encoder spells its items."""
    elements = [
        {**json.loads(wire.encode(one, "run", stream=False)), "external_reference": reference}
        for reference, one in items
    ]
    return wire.canonical({"requests": elements})


SETTINGS: list[dict[str, Any]] = [
    {},
    {"effort": "off"},
    {"effort": "high", "temperature": 0.0, "top_p": 0.5},
    {"form": wire.Form("x", '{"type":"object"}')},
    {"tools": (TOOL,), "final": True},
    {"max_tokens": 9},
]


@pytest.mark.parametrize("more", SETTINGS)
def test_what_is_spliced_is_what_the_plain_encoder_writes(more: dict[str, Any]) -> None:
    items = [(f"job-{n}", request(f"row {n}", **more)) for n in range(3)]
    assert batch.encode(items) == plainly(items)


def test_items_that_share_nothing_are_spelt_right_too() -> None:
    picture = Message("user", (Text("see"), Image(b"png", "image/png", 1, 1)))
    items = [(f"job-{n}", request(f"row {n}", SHARED[: n % 4], **more)) for n, more in enumerate(SETTINGS * 2)]
    items.append(("picture", wire.Request(MODEL, (picture,), 5)))
    assert batch.encode(items) == plainly(items)


@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from(SETTINGS)), min_size=1, max_size=5))
def test_any_text_is_spelt_as_the_plain_encoder_does(rows: list[tuple[str, str, dict[str, Any]]]) -> None:
    items = [(reference, request(text, **more)) for reference, text, more in rows]
    try:
        expected = plainly(items)
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            batch.encode(items)
    else:
        assert batch.encode(items) == expected


def test_no_item_asks_for_a_stream_and_none_names_its_model() -> None:
    (element,) = json.loads(batch.encode([("job-1", request("row"))]))["requests"]
    assert element.keys() == {"external_reference", "max_completion_tokens", "messages"}


@pytest.mark.parametrize("limit", [400, 1000, 5000])
def test_batches_stay_under_the_limit_and_hold_every_item_once_and_in_order(limit: int) -> None:
    items = [(f"job-{n}", request("x" * (n % 50))) for n in range(100)]
    payloads = list(batch.split(items, limit=limit))
    assert all(len(payload.body) < limit for payload in payloads)
    assert [reference for payload in payloads for reference in payload.references] == [name for name, _ in items]
    assert [e for p in payloads for e in json.loads(p.body)["requests"]] == json.loads(plainly(items))["requests"]


def test_no_batch_could_have_taken_the_next_item() -> None:
    items = [(f"job-{n}", request("x" * (n % 50))) for n in range(100)]
    for payload in list(batch.split(items, limit=1000))[:-1]:
        following = items[int(payload.references[-1][4:]) + 1]
        assert len(payload.body) + len(next(batch.spell([following]))) + 1 >= 1000


def test_a_batch_has_as_many_items_as_wanted_at_most() -> None:
    items = [(f"job-{n}", request("row")) for n in range(7)]
    assert [len(payload.references) for payload in batch.split(items, most=3)] == [3, 3, 1]


def test_an_item_that_is_too_large_is_alone() -> None:
    items = [("a", request("row")), ("large", request("x" * 2000)), ("b", request("row"))]
    payloads = list(batch.split(items, limit=1000))
    assert [payload.references for payload in payloads] == [("a",), ("large",), ("b",)]
    assert len(payloads[1].body) >= 1000


def test_nothing_is_split_into_nothing() -> None:
    assert list(batch.split([])) == []


def sent(result: Any, **more: Any) -> bytes:
    return json.dumps({"result": result, "success": True, "errors": [], "messages": [], **more}).encode()


def test_the_id_of_a_batch_is_read() -> None:
    assert batch.decode_submitted(sent({"status": "queued", "request_id": "768f", "model": MODEL})) == "768f"


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", sent({}), sent(None), sent({"request_id": 5}), sent({}, success=False), b'{"error":"no"}'],
)
def test_a_submission_without_an_id_has_failed(body: bytes) -> None:
    with pytest.raises(wire.Failed):
        batch.decode_submitted(body)


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_batch_that_waits_says_so(status: Any) -> None:
    assert batch.decode_polled(sent({"status": status, "request_id": "768f"})) == Polled(status)


COMPLETION = {
    "id": "chatcmpl-1",
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
}
GOOD = (TextDelta("good"), Finished("stop", Usage(9, 4, 2), MODEL))


@pytest.mark.parametrize("key", ["responses", "results"])
def test_the_finished_list_is_read_under_either_name_and_in_any_order(key: str) -> None:
    elements = [
        {"id": 2, "result": COMPLETION, "success": True, "external_reference": "job-2"},
        {"id": 0, "result": COMPLETION, "success": True, "external_reference": None},
    ]
    assert batch.decode_polled(sent({key: elements, "usage": {}})) == Polled(
        "done", (Answer("job-2", 2, GOOD, None), Answer("", 0, GOOD, None))
    )


@pytest.mark.parametrize(
    "result",
    [
        {"response": "good", "usage": COMPLETION["usage"], "model": MODEL},
        {"result": {"response": "good", "usage": COMPLETION["usage"], "model": MODEL}},
        {"result": COMPLETION},
    ],
)
def test_older_shapes_of_an_answer_are_read(result: Any) -> None:
    (answer,) = batch.decode_polled(sent({"responses": [{"id": 0, "result": result, "success": True}]})).answers
    assert answer == Answer("", 0, GOOD, None)


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ({"success": False, "result": {}, "errors": [{"code": 8005, "message": "Internal server error"}]}, 8005),
        ({"success": False, "result": None, "error": {"code": 8005, "message": "x"}}, 8005),
        ({"success": False, "result": {"errors": [{"code": 8005, "message": "x"}]}}, 8005),
        ({"success": False, "result": {"error": "AiError: 8005: Internal server error"}}, 8005),
        ({"success": False, "error": "it broke"}, None),
        ({"success": False}, None),
        ({"success": True, "result": None}, None),
        ({"success": True, "result": {"choices": []}}, None),
        ({"success": True, "result": {"choices": [{"message": {"content": "cut"}, "finish_reason": None}]}}, None),
        ({"success": True, "result": {"choices": "what?"}}, None),
        ({}, None),
    ],
)
def test_whatever_is_no_good_answer_is_a_failure_of_that_item_alone(element: Any, code: int | None) -> None:
    good = {"id": 1, "result": COMPLETION, "success": True, "external_reference": "job-1"}
    polled = batch.decode_polled(sent({"responses": [{"id": 0, "external_reference": "job-0", **element}, good]}))
    failed, fine = polled.answers
    assert (failed.reference, failed.index, failed.events) == ("job-0", 0, ())
    assert failed.failure is not None
    assert failed.failure.code == code
    assert fine.failure is None


@pytest.mark.parametrize("element", [None, 5, "text", []])
def test_an_element_that_is_no_object_does_not_spoil_the_rest(element: Any) -> None:
    good = {"id": 1, "result": COMPLETION, "success": True, "external_reference": "job-1"}
    strange, fine = batch.decode_polled(sent({"responses": [element, good]})).answers
    assert (strange.reference, strange.index) == ("", -1)
    assert strange.failure is not None
    assert fine.events == GOOD


@pytest.mark.parametrize(
    ("result", "more", "code"),
    [
        ({"status": "error", "error": {"code": 5001, "message": "Model execution failed"}}, {}, 5001),
        ({"status": "error"}, {"success": False, "errors": [{"code": 3030, "message": "1 validation error"}]}, 3030),
        ({"status": "failed", "message": "no"}, {}, None),
        ({"status": "sleeping"}, {}, None),
        ({"status": ["queued"]}, {}, None),
        ({}, {}, None),
        (None, {}, None),
        ({"responses": None}, {}, None),
    ],
)
def test_any_other_state_is_a_failed_batch(result: Any, more: dict[str, Any], code: int | None) -> None:
    polled = batch.decode_polled(sent(result, **more))
    assert polled.status == "failed"
    assert polled.failure is not None
    assert polled.failure.code == code
    assert polled.failure.message


def test_a_refusal_without_a_state_is_about_the_asking() -> None:
    with pytest.raises(wire.Failed) as caught:
        batch.decode_polled(sent({}, success=False, errors=[{"code": 3040, "message": "Capacity"}]))
    assert caught.value.failure.code == 3040


def test_calls_that_leak_into_the_text_are_found_where_tools_were_declared() -> None:
    text = (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{}"
        "<|tool_call_end|><|tool_calls_section_end|>"
    )
    leaked = {**COMPLETION, "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    body = sent({"responses": [{"id": 0, "result": leaked, "success": True}]})
    assert isinstance(batch.decode_polled(body).answers[0].events[0], TextDelta)
    assert not isinstance(batch.decode_polled(body, tools=True).answers[0].events[0], TextDelta)
