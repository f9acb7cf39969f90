"""The door: only this machine's own names, only the bearer of the token, only bodies of a bearable size.

The Host header is checked so that a web page whose name was re-pointed at 127.0.0.1 (DNS rebinding) gets nothing. No
CORS header is ever sent, so no page of another origin can read an answer.
"""

import hmac
import secrets
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .engine import Refusal

MAX_BODY = 10_000_000
"""Bytes that a request has to stay under; the service's limit is 10 MB."""
HOSTS = frozenset({"127.0.0.1", "localhost"})


def envelope(
    result: Any, *, errors: list[dict[str, Any]] | None = None, messages: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Wrap in Cloudflare's envelope; with `errors` it tells of failure."""
    return {"result": result, "success": not errors, "errors": errors or [], "messages": messages or []}


def new_ray() -> str:
    """Return a fresh `cf-ray`: 16 hex digits and the data centre, which here is this machine."""
    return f"{secrets.token_hex(8)}-LOC"


class Guard:
    """Lets through to `app` only who may pass, and gives each answer its `cf-ray`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("cf-ray", new_ray())
            await send(message)

        if (refusal := self.objection(Headers(scope=scope))) is None:
            await self.app(scope, receive, send_marked)
            return
        body = envelope(None, errors=[{"code": refusal.code, "message": refusal.message}])
        try:
            await body_of(receive)  # an answer to a half-read request can get lost on its way
        except Refusal:
            body["errors"].append({"code": 3006, "message": "Request is too large"})
        await JSONResponse(body, refusal.status)(scope, receive, send_marked)

    def objection(self, headers: Headers) -> Refusal | None:
        """Return why this request may not pass, or None."""
        if headers.get("host", "").rpartition(":")[0] not in HOSTS and headers.get("host") not in HOSTS:
            return Refusal(421, 7003, "This server answers only to the names 127.0.0.1 and localhost")
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            return Refusal(400, 9106, 'Missing or malformed "Authorization" header')
        if not hmac.compare_digest(token.encode(), self.token):
            return Refusal(401, 10000, "Authentication error")
        return None


async def body_of(receive: Receive) -> bytes:
    """Read the whole body; one that is too large is read to its end, but not kept, so that the refusal arrives."""
    kept = bytearray()
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        piece = message.get("body", b"")
        size += len(piece)
        if size < MAX_BODY:
            kept += piece
        more = message.get("more_body", False)
    if size >= MAX_BODY:
        raise Refusal(413, 3006, "AiError: Request is too large")
    return bytes(kept)
