"""Events about batches: how a queue's messages are read, and a real consumer at the local server's queues."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kimi_magic import errors, notices, wire
from kimi_magic.local import launch
from kimi_magic.notices import Notice, decode_pulled
from kimi_magic.settings import Secret
from kimi_magic.transport import Endpoint, HttpTransport
from tests.batches import MODEL, QUICK, body_of, carried, until_over
from tests.harness import loops

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

EVENT = {
    "type": "cf.workersAi.model.batch.failed",
    "source": {"type": "workersAi.model", "modelName": MODEL},
    "payload": {"requestId": "768f", "message": "Model execution failed", "internalCode": 5001, "httpCode": 500},
    "metadata": {"accountId": "0", "eventSchemaVersion": 1},
}
TEXT = json.dumps(EVENT)
FAILED = Notice("768f", "failed", "lease", "Model execution failed")


def message(body: Any, lease: Any = "lease") -> dict[str, Any]:
    return {"body": body, "id": "1", "timestamp_ms": 1, "attempts": 1, "metadata": {}, "lease_id": lease}


def sent(result: Any, **more: Any) -> bytes:
    return json.dumps({"success": True, "errors": [], "messages": [], "result": result, **more}).encode()


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "body", [in_base64(TEXT), TEXT, json.dumps(TEXT), in_base64(json.dumps(TEXT)), json.dumps(in_base64(TEXT)), EVENT]
)
def test_a_body_is_read_in_every_spelling_that_was_seen(body: Any) -> None:
    assert decode_pulled(sent({"message_backlog_count": 1, "messages": [message(body)]})) == [FAILED]
    assert decode_pulled(sent([message(body)])) == [FAILED]


@pytest.mark.parametrize("body", ["hello", "5", "null", "", in_base64("hello"), "{}", '{"type": 5}', None, 5, [], "=="])
def test_what_is_no_event_is_left_alone(body: Any) -> None:
    assert decode_pulled(sent({"messages": [message(body), message(EVENT)]})) == [FAILED]


@pytest.mark.parametrize(
    "event",
    [
        {**EVENT, "type": "cf.r2.bucket.created"},
        {**EVENT, "type": "cf.workersAi.model.batch.sleeping"},
        {**EVENT, "payload": {}},
        {**EVENT, "payload": None},
        {**EVENT, "payload": {"requestId": 5}},
    ],
)
def test_other_events_are_left_alone(event: dict[str, Any]) -> None:
    assert decode_pulled(sent({"messages": [message(event)]})) == []


@pytest.mark.parametrize("one", [None, 5, {}, message(EVENT, None)])
def test_what_is_no_message_is_left_alone(one: Any) -> None:
    assert decode_pulled(sent({"messages": [one]})) == []


@pytest.mark.parametrize("body", [b"<html>", sent(None), sent({}), sent({}, success=False)])
def test_an_answer_without_messages_has_failed(body: bytes) -> None:
    with pytest.raises(wire.Failed):
        decode_pulled(body)


def subscribed(local: Local, queue: str, *events: str) -> None:
    """Make a queue by putting events into it."""
    body = {
        "name": "test",
        "enabled": True,
        "source": {"type": "workersAi.model", "model_name": MODEL},
        "destination": {"type": "queues.queue", "queue_id": queue},
        "events": [f"batch.{event}" for event in events or ("queued", "succeeded", "failed")],
    }
    url = f"{local.url}/accounts/0/event_subscriptions/subscriptions"
    answer = httpx.post(url, json=body, headers={"authorization": f"Bearer {local.token}"})
    assert answer.json()["success"], answer.text


def with_batch(local: Local, text: str, use: Callable[[HttpTransport, str], Awaitable[Any]]) -> Any:
    """Queue a batch, wait for its end, and use the transport."""

    async def whole(carrier: HttpTransport) -> Any:
        request_id = await carrier.submit(MODEL, body_of(text), "a", QUICK)
        await until_over(carrier, request_id)
        return await use(carrier, request_id)

    return carried(local, whole)


def test_events_are_pulled_once_and_acknowledged(server: Local) -> None:
    subscribed(server, "q-once", "succeeded")

    async def use(carrier: HttpTransport, request_id: str) -> None:
        (notice,) = await notices.pull(carrier, "q-once", QUICK)
        assert (notice.request_id, notice.kind, notice.message) == (request_id, "succeeded", "")
        assert await notices.pull(carrier, "q-once", QUICK) == []
        assert await notices.ack(carrier, "q-once", [notice], QUICK) == 1
        assert await notices.ack(carrier, "q-once", [notice], QUICK) == 0

    with_batch(server, "<<say a>>", use)


def test_what_is_not_acknowledged_comes_again(server: Local) -> None:
    subscribed(server, "q-again", "succeeded")

    async def use(carrier: HttpTransport, request_id: str) -> None:
        (first,) = await notices.pull(carrier, "q-again", QUICK, hidden=0.1)
        await asyncio.sleep(0.15)
        (second,) = await notices.pull(carrier, "q-again", QUICK)
        assert (second.request_id, second.lease == first.lease) == (request_id, False)
        assert await notices.ack(carrier, "q-again", [first], QUICK) == 0
        assert await notices.ack(carrier, "q-again", [], QUICK, again=[second]) == 0
        (third,) = await notices.pull(carrier, "q-again", QUICK)
        assert await notices.ack(carrier, "q-again", [third], QUICK) == 1
        assert await notices.pull(carrier, "q-again", QUICK) == []

    with_batch(server, "<<say a>>", use)


def test_a_failed_batch_is_told_with_its_reason(server: Local) -> None:
    subscribed(server, "q-failed")

    async def use(carrier: HttpTransport, request_id: str) -> None:
        first, second = await notices.pull(carrier, "q-failed", QUICK)
        assert first.kind == "queued"
        assert (second.request_id, second.kind, second.message) == (request_id, "failed", "Model execution failed")

    with_batch(server, "<<fault queue-failed>>", use)


@pytest.mark.parametrize("shape", ["base64", "plain", "double"])
def test_each_spelling_arrives(server: Local, shape: str) -> None:
    subscribed(server, f"q-{shape}", "succeeded")

    async def use(carrier: HttpTransport, request_id: str) -> None:
        (notice,) = await notices.pull(carrier, f"q-{shape}", QUICK)
        assert (notice.request_id, notice.kind) == (request_id, "succeeded")

    with_batch(server, f"<<fault queue-event shape={shape}>>", use)


def test_events_may_not_come_at_all(server: Local) -> None:
    subscribed(server, "q-none")

    async def use(carrier: HttpTransport, _request_id: str) -> None:
        assert await notices.pull(carrier, "q-none", QUICK) == []

    with_batch(server, "<<fault queue-event shape=none>>", use)


def test_a_pull_brings_no_more_than_wanted(server: Local) -> None:
    subscribed(server, "q-many", "queued")

    async def use(carrier: HttpTransport, request_id: str) -> None:
        ids = [request_id, *[await carrier.submit(MODEL, body_of("<<say b>>"), "a", QUICK) for _ in range(6)]]
        found = [await notices.pull(carrier, "q-many", QUICK, most=most) for most in (3, 3, 100)]
        assert [[notice.request_id for notice in some] for some in found] == [ids[:3], ids[3:6], ids[6:]]

    with_batch(server, "<<say a>>", use)


def test_the_requests_are_the_documented_ones(server: Local, seen: Seen) -> None:
    subscribed(server, "q-once", "succeeded")

    async def use(carrier: HttpTransport) -> None:
        await notices.pull(carrier, "q-once", QUICK, most=50, hidden=6)
        await notices.ack(carrier, "q-once", [FAILED], QUICK, again=[FAILED])

    carried(server, use)
    pulled, acked = seen.all()[-2:]
    assert str(pulled["path"]).endswith("/queues/q-once/messages/pull")
    assert json.loads(str(pulled["body"])) == {"batch_size": 50, "visibility_timeout_ms": 6000}
    assert str(acked["path"]).endswith("/queues/q-once/messages/ack")
    assert json.loads(str(acked["body"])) == {"acks": [{"lease_id": "lease"}], "retries": [{"lease_id": "lease"}]}


def test_a_queue_that_is_not_there_is_a_setting_to_mend(server: Local) -> None:
    with pytest.raises(errors.SettingError, match="nowhere") as caught:
        carried(server, lambda carrier: notices.pull(carrier, "nowhere", QUICK))
    assert "HTTP pull consumer" in caught.value.hint


@pytest.mark.parametrize("queue", ["../../ai/run/local", "a b", "", "q?x=1", "q#", "é"])
def test_what_is_no_id_of_a_queue_is_never_part_of_an_address(server: Local, seen: Seen, queue: str) -> None:
    with pytest.raises(errors.SettingError, match="not the id of a queue"):
        carried(server, lambda carrier: notices.pull(carrier, queue, QUICK))
    assert seen.all() == []


def test_a_token_without_the_permission_is_told_which(server: Local) -> None:
    stranger = launch.Local(server.url, "wrong", server.model, server.context, server.process)
    with pytest.raises(errors.AuthenticationError, match="Queues"):
        carried(stranger, lambda carrier: notices.pull(carrier, "q", QUICK))


def test_outside_of_cloudflare_there_are_no_queues() -> None:
    endpoint = Endpoint.compatible("https://example.org/v1", Secret(""), Secret(""))
    with pytest.raises(errors.SettingError, match="Cloudflare"):
        loops.run(notices.pull(HttpTransport(endpoint), "q", QUICK))
