"""Sends over HTTP, waits, and asks again.

What the service calls temporary is sent again, but only as long as nothing of the reply has come, after a pause that
the caller of a stream sees as an event.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from kimi_magic import batch, refusals, wire
from kimi_magic.errors import (
    AuthenticationError,
    BatchLost,
    BrokenReply,
    KimiError,
    NetworkError,
    RequestRefused,
    ServiceError,
    Stalled,
    TooLarge,
    Unqueueable,
)
from kimi_magic.events import Event, Retrying
from kimi_magic.transport.clients import Clients
from kimi_magic.transport.endpoint import CLOUDFLARES, Endpoint
from kimi_magic.transport.reading import Emit, Watched, read, read_value
from kimi_magic.transport.retrying import Limits, Refused, pause

__all__ = ["HttpTransport"]

T = TypeVar("T")
Read = Callable[[httpx.Response], Awaitable[T]]
_GONE = {404, 410}
_LOST = re.compile(r"(?i)\b(not found|unknown|no such|does not exist|expired|no longer)\b")


class HttpTransport:
    """A Transport over HTTP. Its connections are made on the loop that first uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        https = endpoint.url.startswith("https:")
        self._clients = Clients(https=https, trust_env=not endpoint.local)

    async def settle(self) -> None:
        """Nothing was put off."""

    async def reach(self) -> HttpTransport:
        """Give itself."""
        return self

    async def stream(self, request: wire.Request, affinity: str, limits: Limits, emit: Emit) -> None:
        """Send one request; see Transport. Emits Retrying before each pause, Started when the reply begins."""

        async def play(response: httpx.Response) -> None:
            await read(response, emit, tools=bool(request.tools))

        await self._insist(*self._question(request, stream=True), affinity, limits, play, emit)

    async def complete(self, request: wire.Request, affinity: str, limits: Limits) -> tuple[Event, ...]:
        """Send one request and give the events of its whole reply, `Started` first; raise a KimiError without one."""

        async def whole(response: httpx.Response) -> tuple[Event, ...]:
            events: list[Event] = []
            await read(response, events.append, tools=bool(request.tools))
            return tuple(events)

        return await self._insist(*self._question(request, stream=False), affinity, limits, whole)

    async def submit(self, model: str, body: bytes, affinity: str, limits: Limits) -> str:
        """Queue the batch that `batch.split` spelt and give its id; raise Unqueueable, TooLarge or another KimiError.

        After a NetworkError, BrokenReply or ServerFailure it is not known whether the service has taken the batch.
        """
        if len(body) >= batch.LIMIT:
            size, most = len(body) / 1e6, batch.LIMIT / 1e6
            raise TooLarge(
                f"A batch of {size:.1f} MB is more than the {most:g} MB that the service takes.",
                hint="Send less along with each row.",
            )
        return await self.post(self._queue(model), body, limits, batch.decode_submitted, affinity)

    async def poll(self, model: str, request_id: str, limits: Limits, *, tools: bool = False) -> batch.Polled:
        """Ask how a batch stands. A batch that failed as a whole is `failed`; one that is unknown raises BatchLost.

        `tools` as for a wire.Decoder. Any other KimiError says nothing about the batch: ask again later.
        """
        asking = batch.encode_poll(request_id)
        try:
            return await self.post(
                self._queue(model), asking, limits, lambda body: batch.decode_polled(body, tools=tools)
            )
        except ServiceError as error:
            if _lost(error):
                raise BatchLost(
                    f"The service does not know the batch {request_id} (any more): {error.message}",
                    hint="What is missing can be sent again, and is paid again.",
                    status=error.status,
                    code=error.code,
                    request_id=error.request_id,
                ) from None
            if isinstance(error, RequestRefused) and error.code is not None:
                failure = wire.Failure(error.message, error.code, error.status, error.request_id)
                return batch.Polled("failed", (), failure)
            raise

    async def post(self, url: str, body: bytes, limits: Limits, decode: Callable[[bytes], T], affinity: str = "") -> T:
        """Send JSON that is no question to a URL of this endpoint; `decode` raises wire.Failed. Raises a KimiError."""
        return await self._insist(url, body, affinity, limits, lambda response: read_value(response, decode))

    async def _insist(
        self, url: str, body: bytes, affinity: str, limits: Limits, take: Read[T], emit: Emit | None = None
    ) -> T:
        """Send until there is an answer, or no hope."""
        attempt = 1
        try:
            async with asyncio.timeout(limits.whole) as whole:
                while True:
                    try:
                        return await self._once(url, body, affinity, limits, take)
                    except Refused as refused:
                        seconds, error = pause(refused, attempt, limits), self._error(refused.failure)
                    if seconds is None:
                        raise error
                    attempt += 1
                    if emit is not None:
                        emit(Retrying(seconds, error.message, attempt, limits.retries + 1))
                    await asyncio.sleep(seconds)
        except TimeoutError:
            if not whole.expired():
                raise
            raise Stalled(
                f"The reply was not complete after {limits.whole:g} s.", hint="Give it longer with --timeout."
            ) from None

    def _error(self, failure: wire.Failure) -> KimiError:
        error = refusals.error_of(failure)
        if isinstance(error, AuthenticationError) and self.endpoint.signed_with != CLOUDFLARES:
            error.hint = f"Check {self.endpoint.signed_with}."
        return error

    async def _once(self, url: str, body: bytes, affinity: str, limits: Limits, take: Read[T]) -> T:
        heard = False
        try:
            async with asyncio.timeout(limits.first) as clock:
                async with (
                    self._clients.one() as client,
                    client.stream(
                        "POST", url, content=body, headers=self._headers(affinity), timeout=_only(limits.connect)
                    ) as response,
                ):

                    def touch() -> None:
                        nonlocal heard
                        heard = True
                        clock.reschedule(asyncio.get_running_loop().time() + limits.idle)

                    response.stream = Watched(response.stream, touch)
                    return await take(response)
        except TimeoutError:
            what, limit, name = (
                ("went silent", limits.idle, "idle") if heard else ("has not answered", limits.first, "first")
            )
            raise Stalled(
                f"{self._host} {what} for {limit:g} s.",
                hint=f"Ask again, or wait longer: %config KimiMagics.{name}_timeout = {2 * limit:g}",
            ) from None
        except httpx.HTTPError as exc:
            raise _network_error(exc, self._host, heard=heard) from exc

    def _question(self, request: wire.Request, *, stream: bool) -> tuple[str, bytes]:
        """Where a request goes, and how it is spelt there."""
        endpoint = self.endpoint
        url = endpoint.address(request.model)
        if endpoint.model_prefix and request.model.startswith("@cf/"):
            request = replace(request, model=endpoint.model_prefix + request.model)
        return url, wire.encode(request, endpoint.dialect, stream=stream)

    def _queue(self, model: str) -> str:
        if not self.endpoint.queues:
            raise Unqueueable(f"{self._host} takes no batches.", hint=refusals.ONE_BY_ONE)
        return f"{self.endpoint.address(model)}?queueRequest=true"

    def _headers(self, affinity: str) -> dict[str, str]:
        return {
            "accept": "text/event-stream, application/json",
            "content-type": "application/json",
            # Workers AI sends equal values to one instance, whose prefix cache is then warm.
            **({"x-session-affinity": affinity} if affinity else {}),
            **self.endpoint.sign(),
        }

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint.url).netloc

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.close()


def _only(connect: float) -> httpx.Timeout:
    return httpx.Timeout(None, connect=connect)


def _lost(error: ServiceError) -> bool:
    """Whether it is the batch that is unknown; how the service says so is not documented (wire.md §12).

    A page of some proxy is no such word: what is taken for lost is sent, and paid, again.
    """
    if error.message.startswith(wire.NO_JSON) or not (error.code is None or isinstance(error, RequestRefused)):
        return False
    return error.status in _GONE or bool(_LOST.search(error.message))


def _network_error(exc: httpx.HTTPError, host: str, *, heard: bool) -> KimiError:
    reason = str(exc) or type(exc).__name__
    if heard:
        return BrokenReply(
            f"The connection to {host} broke inside the reply: {reason}.",
            hint="Ask again.",
        )
    if isinstance(exc, httpx.ConnectTimeout):
        return NetworkError(f"{host} cannot be reached: no connection in time.", hint="Check the network or the proxy.")
    if isinstance(exc, httpx.ConnectError):
        return NetworkError(f"{host} cannot be reached: {reason}.", hint="Check the network, a proxy, or the endpoint.")
    return NetworkError(f"The connection to {host} broke: {reason}.", hint="Ask again; nothing of the reply had come.")
