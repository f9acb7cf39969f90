"""The one seam for all traffic: `Transport`. Over HTTP it speaks to Workers AI, an AI Gateway, or any compatible URL.

Every foreign error becomes one of ours here, and no other leaves. What the service calls temporary is asked again, but
only as long as nothing of the reply has come, with a growing, jittered pause that the caller sees as an event.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import httpx_sse

from kimi_magic import refusals, wire
from kimi_magic.errors import AuthenticationError, BrokenReply, KimiError, NetworkError, SettingError, Stalled
from kimi_magic.events import Event, Retrying, Started
from kimi_magic.settings import LOOPBACK, Secret

__all__ = ["Endpoint", "HttpTransport", "Limits", "Transport"]

_CLOUDFLARES = "CLOUDFLARE_API_TOKEN"
_GATEWAY_HOST = "gateway.ai.cloudflare.com"
_METERED_EVERY = 0.25
_LONGEST_PAUSE = 30.0
_LONGEST_RETRY_AFTER = 300.0

_address = lru_cache(maxsize=32)(httpx.URL)

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go and how they are spelt and signed there. Its repr shows no credential."""

    url: str
    dialect: wire.Dialect
    secret: Secret
    headers: Mapping[str, str] = field(default_factory=dict)
    signs_as: str = "authorization"
    model_prefix: str = ""
    signed_with: str = _CLOUDFLARES

    @classmethod
    def workers_ai(
        cls,
        base: str,
        account: str,
        token: Secret,
        api: str,
        gateway: str = "",
        signed_with: str = _CLOUDFLARES,
    ) -> Endpoint:
        """Workers AI below `base` (…/client/v4); `api` is `run` or `chat`; a gateway is named in a header."""
        root = f"{base.rstrip('/')}/accounts/{account}/ai"
        headers = {"cf-aig-gateway-id": gateway} if gateway else {}
        if api == "chat":
            return cls(f"{root}/v1/chat/completions", "chat", token, headers, signed_with=signed_with)
        return cls(f"{root}/run/{{model}}", "run", token, headers, signed_with=signed_with)

    @classmethod
    def compatible(cls, url: str, key: Secret, token: Secret) -> Endpoint:
        """Any OpenAI-compatible URL, with or without `/chat/completions` at its end.

        The Cloudflare token goes to Cloudflare's gateway host alone; any other URL gets `key`.
        """
        parts = urlsplit(url)
        secret = token if parts.hostname == _GATEWAY_HOST else key
        if secret and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise SettingError(f"{url} is not encrypted, and a key would travel in the clear.", hint="Use https://.")
        target = url if parts.path.endswith("/chat/completions") else f"{url}/chat/completions"
        if parts.hostname == _GATEWAY_HOST:
            if "/workers-ai" in parts.path:
                return cls(target, "chat", token)
            return cls(target, "chat", token, signs_as="cf-aig-authorization", model_prefix="workers-ai/")
        return cls(target, "openai", key, signed_with="KIMI_API_KEY")

    @property
    def local(self) -> bool:
        """Whether it lies on this machine."""
        return urlsplit(self.url).hostname in LOOPBACK

    def address(self, model: str) -> str:
        """The URL for a request to `model`."""
        return self.url.replace("{model}", model)

    def sign(self) -> dict[str, str]:
        """All headers that this endpoint wants, the credential among them."""
        signed = {self.signs_as: f"Bearer {self.secret.reveal()}"} if self.secret else {}
        return {**self.headers, **signed}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds, and how often to ask again. `backoff` is the first pause."""

    connect: float = 10.0
    first: float = 120.0
    idle: float = 60.0
    whole: float | None = None
    retries: int = 4
    backoff: float = 1.0


class Transport(Protocol):
    """What carries a request and brings the events of its reply."""

    async def stream(self, request: wire.Request, affinity: str, limits: Limits, emit: Emit) -> None:
        """Send one request and emit its events, `Finished` last; raise a KimiError where that cannot be."""

    async def settle(self) -> None:
        """Do what was put off until the question has its whole reply."""

    async def close(self) -> None:
        """Close the connections."""


class HttpTransport:
    """A Transport over HTTP. One client with one pool, made on the loop that first uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: httpx.AsyncClient | None = None
        self._headers = httpx.Headers()

    async def settle(self) -> None:
        """Nothing was put off."""

    async def stream(self, request: wire.Request, affinity: str, limits: Limits, emit: Emit) -> None:
        """Send one request; see Transport. Emits Retrying before each pause, Started when the reply begins."""
        attempt = 1
        try:
            async with asyncio.timeout(limits.whole) as whole:
                while (pause := await self._try(request, affinity, limits, emit, attempt)) is not None:
                    await asyncio.sleep(pause)
                    attempt += 1
        except TimeoutError:
            if not whole.expired():
                raise
            raise Stalled(
                f"The reply was not complete after {limits.whole:g} s.", hint="Give it longer with --timeout."
            ) from None

    async def _try(
        self, request: wire.Request, affinity: str, limits: Limits, emit: Emit, attempt: int
    ) -> float | None:
        """Make one attempt. None when the reply is whole, else the pause in seconds before the next attempt."""
        try:
            await self._once(request, affinity, limits, emit)
        except _Refused as refused:
            error = refusals.error_of(refused.failure)
            if isinstance(error, AuthenticationError) and self.endpoint.signed_with != _CLOUDFLARES:
                error.hint = f"Check {self.endpoint.signed_with}."
            pause = _pause(refused, attempt, limits)
            if pause is None:
                raise error from None
            emit(Retrying(pause, error.message, attempt + 1, limits.retries + 1))
            return pause
        return None

    async def _once(self, request: wire.Request, affinity: str, limits: Limits, emit: Emit) -> None:
        heard = False
        try:
            async with asyncio.timeout(limits.first) as clock:
                async with self._open(request, affinity, limits) as response:

                    def touch() -> None:
                        nonlocal heard
                        heard = True
                        clock.reschedule(asyncio.get_running_loop().time() + limits.idle)

                    response.stream = _Watched(response.stream, touch)
                    await _read(response, emit, tools=bool(request.tools))
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

    @asynccontextmanager
    async def _open(self, request: wire.Request, affinity: str, limits: Limits) -> AsyncIterator[httpx.Response]:
        endpoint, client = self.endpoint, self.client
        url = _address(endpoint.address(request.model))
        if endpoint.model_prefix and request.model.startswith("@cf/"):
            request = replace(request, model=endpoint.model_prefix + request.model)
        headers = self._headers.copy()
        # Workers AI sends equal values to one instance, whose prefix cache is then warm.
        headers["x-session-affinity"] = affinity
        # The client would parse the address and merge the headers again for each request.
        sent = httpx.Request(
            "POST",
            url,
            headers=headers,
            content=wire.encode(request, endpoint.dialect),
            extensions={"timeout": httpx.Timeout(None, connect=limits.connect).as_dict()},
        )
        response = await client.send(sent, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    @property
    def client(self) -> httpx.AsyncClient:
        """The client, made on first use."""
        if self._client is None:
            https = self.endpoint.url.startswith("https:")
            # An empty context trusts nobody and costs nothing; a real one costs 60 ms, which plain http need not pay.
            context = ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._client = httpx.AsyncClient(verify=context, trust_env=not self.endpoint.local)
            own = {"accept": "text/event-stream", "content-type": "application/json", **self.endpoint.sign()}
            self._headers = httpx.Headers({**self._client.headers, **own})
        return self._client

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint.url).netloc

    async def close(self) -> None:
        """Close the pool."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class _Watched(httpx.AsyncByteStream):
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
        await self._stream.aclose()


async def _read(response: httpx.Response, emit: Emit, *, tools: bool) -> None:
    if response.status_code != httpx.codes.OK:
        failure = wire.decode_failure(response.status_code, response.headers, await response.aread())
        raise _Refused(failure, response.headers.get("retry-after"))
    request_id = response.headers.get("cf-ai-req-id") or response.headers.get("cf-ray") or ""
    if "text/event-stream" in response.headers.get("content-type", ""):
        await _read_stream(response, request_id, emit, tools=tools)
    else:
        await _read_body(response, request_id, emit, tools=tools)


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
            raise _Refused(failure, None) from None
        emit(decoder.meter)
        raise refusals.error_of(failure, broken=True) from None


async def _read_body(response: httpx.Response, request_id: str, emit: Emit, *, tools: bool) -> None:
    """Read JSON that came although a stream was asked for: a whole reply, or an error under HTTP 200."""
    try:
        events = wire.decode_body(await response.aread(), tools=tools)
    except wire.Failed as failed:
        raise _Refused(_identified(failed.failure, request_id), response.headers.get("retry-after")) from None
    emit(Started(request_id))
    for event in events:
        emit(event)


def _identified(failure: wire.Failure, request_id: str) -> wire.Failure:
    return wire.Failure(failure.message, failure.code, failure.status, request_id or failure.request_id)


class _Refused(Exception):  # never leaves this file
    def __init__(self, failure: wire.Failure, retry_after: str | None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after = retry_after


def _pause(refused: _Refused, attempt: int, limits: Limits) -> float | None:
    """Seconds until the next attempt, or None where there is to be none."""
    if attempt > limits.retries or not refusals.temporary(refused.failure, attempt):
        return None
    asked = _retry_after(refused.retry_after)
    if asked is not None:
        return asked if asked <= _LONGEST_RETRY_AFTER else None
    jitter = random.uniform(0.5, 1.5)  # noqa: S311  # spreads clients, protects nothing
    pause = min(_LONGEST_PAUSE, limits.backoff * 2.0 ** (attempt - 1) * jitter)
    if refused.failure.code == 3021:  # noqa: PLR2004  # the limit is per minute: no use before the next one
        pause = max(pause, limits.backoff * (60 - time.time() % 60))
    return pause


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number, or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


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
