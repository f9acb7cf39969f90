"""Events about batches, pulled from a Cloudflare Queue over HTTP and acknowledged there (wire.md §5).

They tell when a batch has ended, so that it need not be asked for again and again; its answers are still fetched by
asking. The queue should serve nothing else: messages that are no such event are left in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from kimi_magic import wire
from kimi_magic.errors import AuthenticationError, RequestRefused, SettingError, UnknownModel
from kimi_magic.transport import HttpTransport, Limits

__all__ = ["MOST", "Kind", "Notice", "ack", "decode_pulled", "pull"]

T = TypeVar("T")
MOST = 100
"""Messages that one pull can bring."""
Kind = Literal["queued", "succeeded", "failed"]
_KINDS: dict[str, Kind] = {f"cf.workersAi.model.batch.{kind}": kind for kind in get_args(Kind)}
_WRAPPINGS = 4
_SUBSCRIBE = "It takes an HTTP pull consumer and a subscription to workersAi.model: batch.succeeded, batch.failed."


@dataclass(frozen=True, slots=True)
class Notice:
    """One event about the batch `request_id`; `message` says why it failed. `lease` is what to acknowledge it by."""

    request_id: str
    kind: Kind
    lease: str
    message: str = ""


async def pull(
    transport: HttpTransport, queue: str, limits: Limits, *, most: int = MOST, hidden: float = 30.0
) -> list[Notice]:
    """Take events from the queue with this id, at most `most`, oldest first; at once, also where there are none.

    Nobody else gets them for `hidden` seconds (12 hours at most); those that are not acknowledged then come again.
    Raises SettingError where there is no such queue, or another KimiError.
    """
    asking = {"batch_size": most, "visibility_timeout_ms": round(hidden * 1000)}
    return await _post(transport, queue, "pull", asking, limits, decode_pulled)


async def ack(
    transport: HttpTransport, queue: str, notices: Iterable[Notice], limits: Limits, *, again: Iterable[Notice] = ()
) -> int:
    """Drop events from the queue, let those `again` come once more at once; give how many were dropped.

    One whose lease is over is not dropped: it comes again. Raises as `pull` does.
    """
    asking = {
        "acks": [{"lease_id": notice.lease} for notice in notices],
        "retries": [{"lease_id": notice.lease} for notice in again],
    }
    return await _post(transport, queue, "ack", asking, limits, _decode_acked)


async def _post(
    transport: HttpTransport,
    queue: str,
    what: str,
    asking: dict[str, Any],
    limits: Limits,
    decode: Callable[[bytes], T],
) -> T:
    url = f"{transport.endpoint.messages(queue)}/{what}"
    try:
        return await transport.post(url, wire.canonical(asking), limits, decode)
    except AuthenticationError as error:
        error.hint = "The token needs the permission Queues, Read and Edit, too."
        raise
    except (UnknownModel, RequestRefused) as error:
        raise SettingError(
            f"The queue {queue!r} cannot be read: {error.message}",
            hint=_SUBSCRIBE,
            status=error.status,
            code=error.code,
            request_id=error.request_id,
        ) from None


def decode_pulled(body: bytes) -> list[Notice]:
    """Read the events in an answer; raise wire.Failed where it is none. Messages that are no events are left out."""
    result = _result(body)
    messages = result.get("messages") if isinstance(result, dict) else result
    if not isinstance(messages, list):
        raise wire.Failed(wire.Failure(f"The queue answered without messages: {str(result)[:80]}"))
    return [notice for message in messages if (notice := _notice(message)) is not None]


def _decode_acked(body: bytes) -> int:
    result = _result(body)
    count = result.get("ackCount") if isinstance(result, dict) else None
    return count if isinstance(count, int) else 0


def _result(body: bytes) -> Any:
    frame = wire.decode_object(body)
    if frame.get("success") is False or frame.get("errors"):
        raise wire.Failed(wire.failure_in(frame))
    return frame.get("result")


def _notice(message: Any) -> Notice | None:
    lease = message.get("lease_id") if isinstance(message, dict) else None
    event = _event(message.get("body")) if isinstance(lease, str) else None
    if event is None:
        return None
    payload, kind = event.get("payload"), _KINDS.get(str(event.get("type")))
    if kind is None or not isinstance(payload, dict) or not isinstance(payload.get("requestId"), str):
        return None
    return Notice(payload["requestId"], kind, str(lease), str(payload.get("message") or ""))


def _event(body: Any) -> dict[str, Any] | None:
    """Read a message's body: an object, perhaps wrapped in JSON, base64 or both; None for anything else."""
    for _ in range(_WRAPPINGS):
        if not isinstance(body, str):
            break
        body = _unwrapped(body)
    return body if isinstance(body, dict) else None


def _unwrapped(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return None
