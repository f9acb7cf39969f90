"""The one seam for all traffic: `Transport`. Over HTTP it speaks to Workers AI, an AI Gateway, or any compatible URL.

Every foreign error becomes one of ours here and nowhere else. What the service calls temporary is asked again, but only
as long as nothing of the reply has come, with a growing, jittered pause that the caller sees as an event.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import httpx_sse

from kimi_magic import wire
from kimi_magic.errors import (
    AuthenticationError,
    BrokenReply,
    Busy,
    KimiError,
    NetworkError,
    PlanError,
    QuotaError,
    RequestRefused,
    ServerFailure,
    SettingError,
    Stalled,
    TooLarge,
    UnknownModel,
)
from kimi_magic.events import Event, Metered, Retrying, Started
from kimi_magic.settings import Secret

__all__ = ["CLOUDFLARE", "Endpoint", "HttpTransport", "Limits", "Transport", "error_of"]

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
_GATEWAY_HOST = "gateway.ai.cloudflare.com"
_METERED_EVERY = 0.25
_LONGEST_PAUSE = 30.0
_LONGEST_RETRY_AFTER = 300.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

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

    @classmethod
    def workers_ai(cls, base: str, account: str, token: Secret, api: str, gateway: str = "") -> Endpoint:
        """Workers AI below `base` (…/client/v4); `api` is `run` or `chat`; a gateway is named in a header."""
        root = f"{base.rstrip('/')}/accounts/{account}/ai"
        headers = {"cf-aig-gateway-id": gateway} if gateway else {}
        if api == "chat":
            return cls(f"{root}/v1/chat/completions", "chat", token, headers)
        return cls(f"{root}/run/{{model}}", "run", token, headers)

    @classmethod
    def compatible(cls, url: str, key: Secret, token: Secret) -> Endpoint:
        """Any OpenAI-compatible URL, with or without `/chat/completions` at its end.

        The Cloudflare token goes to Cloudflare's gateway host alone; any other URL gets `key`.
        """
        parts = urlsplit(url)
        target = url if parts.path.endswith("/chat/completions") else f"{url}/chat/completions"
        if parts.hostname == _GATEWAY_HOST:
            if "/workers-ai" in parts.path:
                return cls(target, "chat", token)
            return cls(target, "chat", token, signs_as="cf-aig-authorization", model_prefix="workers-ai/")
        if key and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise SettingError(f"{url} is not encrypted, and a key would travel in the clear.", hint="Use https://.")
        return cls(target, "openai", key)

    @property
    def local(self) -> bool:
        """Whether it lies on this machine."""
        return urlsplit(self.url).hostname in _LOOPBACK

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

    async def close(self) -> None:
        """Close the connections."""


class HttpTransport:
    """A Transport over HTTP. One client with one pool, made on the loop that first uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: httpx.AsyncClient | None = None

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
            error = error_of(refused.failure)
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
                    await _read(response, emit)
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

    def _open(
        self, request: wire.Request, affinity: str, limits: Limits
    ) -> AbstractAsyncContextManager[httpx.Response]:
        endpoint = self.endpoint
        model = request.model
        if endpoint.model_prefix and model.startswith("@cf/"):
            request = replace(request, model=endpoint.model_prefix + model)
        return self.client.stream(
            "POST",
            endpoint.address(model),
            content=wire.encode(request, endpoint.dialect),
            headers={
                "accept": "text/event-stream",
                "content-type": "application/json",
                # Workers AI sends equal values to one instance, whose prefix cache is then warm.
                "x-session-affinity": affinity,
                **endpoint.sign(),
            },
            timeout=httpx.Timeout(None, connect=limits.connect),
        )

    @property
    def client(self) -> httpx.AsyncClient:
        """The client, made on first use."""
        if self._client is None:
            https = self.endpoint.url.startswith("https:")
            # An empty context trusts nobody and costs nothing; a real one costs 60 ms, which plain http need not pay.
            context = ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._client = httpx.AsyncClient(verify=context, trust_env=not self.endpoint.local)
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


async def _read(response: httpx.Response, emit: Emit) -> None:
    if response.status_code != httpx.codes.OK:
        failure = wire.decode_failure(response.status_code, response.headers, await response.aread())
        raise _Refused(failure, response.headers.get("retry-after"))
    request_id = response.headers.get("cf-ai-req-id") or response.headers.get("cf-ray") or ""
    if "text/event-stream" in response.headers.get("content-type", ""):
        await _read_stream(response, request_id, emit)
    else:
        await _read_body(response, request_id, emit)


async def _read_stream(response: httpx.Response, request_id: str, emit: Emit) -> None:
    decoder = wire.Decoder()
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
                emit(Metered(decoder.usage))
        emit(decoder.end())
    except wire.Failed as failed:
        failure = _identified(failed.failure, request_id)
        if not begun and failure.code is not None:
            raise _Refused(failure, None) from None
        emit(Metered(decoder.usage))
        raise error_of(failure, broken=True) from None


async def _read_body(response: httpx.Response, request_id: str, emit: Emit) -> None:
    """Read JSON that came although a stream was asked for: a whole reply, or an error under HTTP 200."""
    try:
        events = wire.decode_body(await response.aread())
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


_ONCE = {8005}
_RETRIED = {3001, 3007, 3008, 3021, 3040, 3043, 3046}
_NEVER = {3036, 4006}
_RETRIED_STATUS = {408, 409, 429}
_SERVER_FAILURE = 500


def _temporary(failure: wire.Failure, attempt: int) -> bool:
    if failure.code in _NEVER or "daily free allocation" in failure.message:
        return False
    if failure.code in _ONCE:
        return attempt == 1
    if failure.code in _RETRIED:
        return True
    return failure.status in _RETRIED_STATUS or (failure.status or 0) >= _SERVER_FAILURE


def _pause(refused: _Refused, attempt: int, limits: Limits) -> float | None:
    """Seconds until the next attempt, or None where there is to be none."""
    if attempt > limits.retries or not _temporary(refused.failure, attempt):
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


_AGAIN = "The service asked for patience; ask again in a minute."
_SIGN_IN = "Check CLOUDFLARE_API_TOKEN: it needs the permission Workers AI, and to belong to CLOUDFLARE_ACCOUNT_ID."
_PLAN = "Upgrade to Workers Paid or add credit, or choose another model: %kimi model NAME, %kimi use local."
_MODEL = "`%kimi model` lists the models known here."
_SMALLER = "Begin a new conversation with --new, shorten the question, or lower --max-tokens."
_REQUEST = "The message above says what the service minds; the conversation is unchanged."
_STATUS_PAGE = "It failed on the service's side; ask again later."

_BY_CODE: Mapping[int, tuple[type[KimiError], str]] = {
    1000: (AuthenticationError, _SIGN_IN),
    2001: (SettingError, "Check the setting `gateway`: the account has no AI Gateway of that name."),
    2009: (AuthenticationError, "The AI Gateway wants a token of its own account."),
    2021: (PlanError, "Add credit for Unified Billing in the dashboard, or use a model that starts with @cf/."),
    2044: (PlanError, "Store the provider's key in the AI Gateway, or allow Unified Billing."),
    3001: (ServerFailure, _STATUS_PAGE),
    3003: (RequestRefused, _REQUEST),
    3006: (TooLarge, _SMALLER),
    3007: (ServerFailure, _STATUS_PAGE),
    3008: (ServerFailure, _STATUS_PAGE),
    3021: (Busy, "This account asked too often: paid models allow 20 requests a minute, others 300."),
    3023: (PlanError, "Cloudflare has blocked this account for Workers AI; its support can say why."),
    3030: (RequestRefused, _REQUEST),
    3036: (QuotaError, "It starts again at 00:00 UTC; Workers Paid goes on; or: %kimi use local."),
    3039: (RequestRefused, _REQUEST),
    3040: (Busy, _AGAIN),
    3041: (PlanError, _PLAN),
    3042: (UnknownModel, _MODEL),
    3043: (ServerFailure, _STATUS_PAGE),
    3046: (ServerFailure, _STATUS_PAGE),
    4006: (QuotaError, "It starts again at 00:00 UTC; Workers Paid goes on; or: %kimi use local."),
    5001: (ServerFailure, _STATUS_PAGE),
    5004: (RequestRefused, _REQUEST),
    5005: (RequestRefused, _REQUEST),
    5006: (RequestRefused, _REQUEST),
    5007: (UnknownModel, _MODEL),
    5016: (PlanError, "Accept the model's terms in the dashboard first."),
    5018: (PlanError, _PLAN),
    5019: (RequestRefused, _REQUEST),
    5021: (TooLarge, _SMALLER),
    5028: (UnknownModel, "The model was retired; %kimi model kimi-k2.6 is its successor."),
    5035: (PlanError, _PLAN),
    7000: (SettingError, "Check the endpoint: `%kimi config` shows it."),
    7001: (SettingError, "Check the endpoint: `%kimi config` shows it."),
    7003: (SettingError, "Check CLOUDFLARE_ACCOUNT_ID: 32 characters of 0-9 and a-f."),
    8001: (RequestRefused, _REQUEST),
    8005: (ServerFailure, _STATUS_PAGE),
    8006: (RequestRefused, _REQUEST),
    8007: (RequestRefused, _REQUEST),
    8008: (RequestRefused, _REQUEST),
    9106: (AuthenticationError, _SIGN_IN),
    10000: (AuthenticationError, _SIGN_IN),
}

_BY_STATUS: Mapping[int, tuple[type[KimiError], str]] = {
    401: (AuthenticationError, _SIGN_IN),
    402: (PlanError, _PLAN),
    403: (AuthenticationError, _SIGN_IN),
    404: (UnknownModel, "Neither this model nor this path is known there; `%kimi config` shows the endpoint."),
    408: (ServerFailure, _STATUS_PAGE),
    410: (UnknownModel, "The model was retired."),
    413: (TooLarge, _SMALLER),
    429: (Busy, _AGAIN),
}


def error_of(failure: wire.Failure, *, broken: bool = False) -> KimiError:
    """Make our error of what a server said. `broken`: it came inside a reply that had begun."""
    kind, hint = _BY_CODE.get(failure.code or 0, (None, ""))
    if kind is None:
        kind, hint = _BY_STATUS.get(failure.status or 0, (None, ""))
    if kind is None:
        server = (failure.status or 0) >= _SERVER_FAILURE
        kind, hint = (ServerFailure, _STATUS_PAGE) if server else (RequestRefused, _REQUEST)
    if "daily free allocation" in failure.message:
        kind, hint = _BY_CODE[4006]
    if failure.code == 8007 and "context length" in failure.message:  # noqa: PLR2004  # a passed-through 400
        kind, hint = TooLarge, _SMALLER
    if broken:
        kind, hint = BrokenReply, "What had arrived is kept, marked as cut. Ask again."
    return kind(failure.message, hint=hint, status=failure.status, code=failure.code, request_id=failure.request_id)


def _network_error(exc: httpx.HTTPError, host: str, *, heard: bool) -> KimiError:
    reason = str(exc) or type(exc).__name__
    if heard:
        return BrokenReply(
            f"The connection to {host} broke inside the reply: {reason}.",
            hint="What had arrived is kept, marked as cut. Ask again.",
        )
    if isinstance(exc, httpx.ConnectTimeout):
        return NetworkError(f"{host} cannot be reached: no connection in time.", hint="Check the network or the proxy.")
    if isinstance(exc, httpx.ConnectError):
        return NetworkError(f"{host} cannot be reached: {reason}.", hint="Check the network, a proxy, or the endpoint.")
    return NetworkError(f"The connection to {host} broke: {reason}.", hint="Ask again; nothing of the reply had come.")
