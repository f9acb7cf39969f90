"""Carries requests and batches to a local server, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from kimi_magic import batch, wire
from kimi_magic.batch import Answer, Polled
from kimi_magic.events import TextDelta
from kimi_magic.messages import Message
from kimi_magic.settings import Secret
from kimi_magic.transport import Endpoint, HttpTransport, Limits
from tests.harness import loops

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local

T = TypeVar("T")
MODEL = "@cf/moonshotai/kimi-k2.6"
QUICK = Limits(connect=2, first=2, idle=2, retries=2, backoff=0.01)


def carried(local: Local, use: Callable[[HttpTransport], Awaitable[T]], api: str = "run") -> T:
    """What is done with a transport of its own."""

    async def whole() -> T:
        carrier = HttpTransport(Endpoint.workers_ai(local.url, "0" * 32, Secret(local.token), api))
        try:
            return await use(carrier)
        finally:
            await carrier.close()

    return loops.run(whole())


def asked(text: str, **more: Any) -> wire.Request:
    return wire.Request(MODEL, (Message.of("user", text),), **{"max_tokens": 100, **more})


def body_of(*texts: str) -> bytes:
    return batch.encode((f"job-{n}", asked(text)) for n, text in enumerate(texts))


async def until_over(carrier: HttpTransport, request_id: str) -> Polled:
    """Ask after a batch until it is done or has failed."""
    async with asyncio.timeout(10):
        while True:
            polled = await carrier.poll(MODEL, request_id, QUICK)
            if polled.status in ("done", "failed"):
                return polled
            await asyncio.sleep(0.01)


def batch_of(local: Local, *texts: str, affinity: str = "kimi-test") -> Polled:
    """Queue a batch and wait for its end."""

    async def use(carrier: HttpTransport) -> Polled:
        return await until_over(carrier, await carrier.submit(MODEL, body_of(*texts), affinity, QUICK))

    return carried(local, use)


def text_of(answer: Answer) -> str:
    return "".join(event.text for event in answer.events if isinstance(event, TextDelta))


def texts_by_reference(polled: Polled) -> dict[str, str]:
    return {answer.reference: text_of(answer) for answer in polled.answers}
