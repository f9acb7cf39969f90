"""What comes back: a stream as it arrives or a whole reply, as events, or a value; a refusal is raised as `Refused`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import httpx
import httpx_sse

from kimi_magic import refusals, wire
from kimi_magic.events import Event, Started
from kimi_magic.transport.retrying import Refused

__all__ = ["Emit", "Watched", "read", "read_value"]

_METERED_EVERY = 0.25
_LONG = 200_000  # bytes; a batch of many answers would hold up the streams beside it

T = TypeVar("T")

Emit = Callable[[Event], None]


class Watched(httpx.AsyncByteStream):
    """A response's bytes, each arrival told to `touch`: a keep-alive comment is a sign of life too."""

    def __init__(self, stream: object, touch: Callable[[], None]) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101  # an async client gives no other
        self._stream = stream
        self._touch = touch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._touch()
            yield chunk

    async def aclose(self) -> None:
        """End the connection, or give it back."""
        await self._stream.aclose()


async def read(response: httpx.Response, emit: Emit, *, tools: bool) -> None:
    """Emit the events of a reply, `Started` first and `Finished` last."""
    await _accepted(response)
    request_id = _request_id(response)
    if "text/event-stream" in response.headers.get("content-type", ""):
        await _read_stream(response, request_id, emit, tools=tools)
    else:
        await _read_body(response, request_id, emit, tools=tools)


async def read_value(response: httpx.Response, decode: Callable[[bytes], T]) -> T:
    """Give what `decode`, which raises wire.Failed, makes of a whole answer; a long one is decoded on a thread."""
    await _accepted(response)
    body = await response.aread()
    try:
        return decode(body) if len(body) < _LONG else await asyncio.to_thread(decode, body)
    except wire.Failed as failed:
        failure = _identified(failed.failure, _request_id(response))
        raise Refused(failure, response.headers.get("retry-after")) from None


async def _accepted(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        failure = wire.decode_failure(response.status_code, response.headers, await response.aread())
        raise Refused(failure, response.headers.get("retry-after"))


def _request_id(response: httpx.Response) -> str:
    return response.headers.get("cf-ai-req-id") or response.headers.get("cf-ray") or ""


async def _read_stream(response: httpx.Response, request_id: str, emit: Emit, *, tools: bool) -> None:
    decoder = wire.Decoder(tools=tools)
    emit(Started(request_id))
    begun = False
    metered = time.monotonic()
    try:
        async for frame in httpx_sse.EventSource(response).aiter_sse():
            if not frame.data:
                continue
            for event in decoder.feed(frame.data, frame.event):
                begun = True
                emit(event)
            if time.monotonic() - metered > _METERED_EVERY:
                metered = time.monotonic()
                emit(decoder.meter)
        emit(decoder.end())
    except asyncio.CancelledError:
        emit(decoder.meter)
        raise
    except wire.Failed as failed:
        failure = _identified(failed.failure, request_id)
        if not begun and failure.code is not None:
            raise Refused(failure, None) from None
        emit(decoder.meter)
        raise refusals.error_of(failure, broken=True) from None


async def _read_body(response: httpx.Response, request_id: str, emit: Emit, *, tools: bool) -> None:
    """Read a whole reply, or an error under HTTP 200; either may come although a stream was asked for."""
    try:
        events = wire.decode_body(await response.aread(), tools=tools)
    except wire.Failed as failed:
        raise Refused(_identified(failed.failure, request_id), response.headers.get("retry-after")) from None
    emit(Started(request_id))
    for event in events:
        emit(event)


def _identified(failure: wire.Failure, request_id: str) -> wire.Failure:
    return wire.Failure(failure.message, failure.code, failure.status, request_id or failure.request_id)
