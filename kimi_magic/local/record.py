"""What arrived, for tests: each request with its exact body, and when and how it ended.

`GET /scripted/requests` lists it and `DELETE` clears it; of very many requests, or very long ones, the oldest are
dropped. Only the scripted engine has it. Of what a person asks a real model nothing is written down but batches, by
the queue: questions until they are answered, replies for a week.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/scripted/requests"
MOST, LONGEST = 20_000, 50_000_000
"""Requests that are kept, and characters of all their bodies together."""


@dataclass(slots=True)
class Entry:
    """One request."""

    n: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    """Lower-case names; the value of `authorization` is replaced by "present"."""
    body: str = ""
    received: float = field(default_factory=time.time)
    """Unix seconds, when its headers were read."""
    closed: float | None = None
    """Unix seconds, when its answer was complete or its client had gone."""
    ended: str | None = None
    """complete | client-closed | fault"""


class Log:
    """The requests since the start or the last clearing."""

    def __init__(self, on_clear: Callable[[], None]) -> None:
        self.entries: deque[Entry] = deque()
        self.size = 0
        self.on_clear = on_clear
        self.count = 0

    def routes(self) -> list[Route]:
        """Return the routes that show and clear the log."""
        return [Route(PATH, self.show, methods=["GET"]), Route(PATH, self.clear, methods=["DELETE"])]

    async def show(self, _request: Request) -> Response:
        """List what arrived."""
        return JSONResponse([asdict(entry) for entry in self.entries])

    async def clear(self, _request: Request) -> Response:
        """Forget what arrived, and with it how often each fault has struck."""
        self.entries.clear()
        self.size = 0
        self.on_clear()
        return JSONResponse([])

    def watch(self, app: ASGIApp) -> ASGIApp:
        """Wrap `app` so that each of its requests is recorded."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] == PATH:
                await app(scope, receive, send)
            else:
                await self.follow(app, scope, receive, send)

        return watched

    async def follow(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request to its end and write down what happened."""
        entry = self.open(scope)
        body = bytearray()

        async def receive_noted() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                end(entry, "client-closed")
            elif message.get("body"):
                body.extend(message["body"])
            if not message.get("more_body"):
                self.keep(entry, body.decode("utf-8", "replace"))
            return message

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                end(entry, "fault" if scope.get("fault") else "complete")
            await send(message)

        try:
            await app(scope, receive_noted, send_noted)
        finally:
            end(entry, "fault")

    def keep(self, entry: Entry, body: str) -> None:
        """Add the body, and drop what is too much."""
        self.size += len(body) - len(entry.body)
        entry.body = body
        while len(self.entries) > 1 and (len(self.entries) > MOST or self.size > LONGEST):
            self.size -= len(self.entries.popleft().body)

    def open(self, scope: Scope) -> Entry:
        """Start the entry of a request."""
        headers: dict[str, Any] = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if "authorization" in headers:
            headers["authorization"] = "present"
        self.count += 1
        entry = Entry(self.count, scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)
        self.entries.append(entry)
        return entry


def end(entry: Entry, how: str) -> None:
    """Note the end, unless an earlier one was noted."""
    if entry.ended is None:
        entry.closed = time.time()
        entry.ended = how
