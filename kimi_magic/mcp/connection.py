"""One MCP server while it is connected. Its whole life is one coroutine on the servers' loop; others wait for it."""

from __future__ import annotations

import contextlib
import logging
import math
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import IO, TYPE_CHECKING, Any, TypeVar

from kimi_magic.errors import CommandError
from kimi_magic.iothread import TICK, IOThread
from kimi_magic.mcp import refusals
from kimi_magic.mcp.target import Target

if TYPE_CHECKING:
    import anyio
    from mcp import Client
    from mcp.types import CallToolResult, Tool

__all__ = ["Connection", "Forgotten", "ServerEnded"]

T = TypeVar("T")
_FAREWELL = 6.0
"""Seconds that a program may take to end: `mcp` asks, then terminates, then kills it, two seconds apart."""
_NOT_FOUND = 404
"""What an address answers that knows nothing of this connection any longer."""
_MOST_PAGES = 100
_LONGEST = 300


class ServerEnded(Exception):
    """The server is gone. The message says why, as far as it is known."""


class Forgotten(ServerEnded):
    """The server does not know this connection: it was started anew. The call was not made."""


class Connection:
    """Starts a server when it is made; `tools` are there once that has worked."""

    def __init__(self, io: IOThread, name: str, target: Target) -> None:
        self._io, self._name, self._target = io, name, target
        self._client: Client | None = None
        self._scope: anyio.CancelScope | None = None
        self._closing = False
        self._why = ""
        self._garbage = ""
        self._status = 0
        self._errors: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115  # closed when the server has ended
        self._ready: Future[list[Tool]] = Future()
        self._life = io.submit(self._live())

    def opened(self) -> list[Tool]:
        """Wait until the server has started and said what it offers.

        Raises CommandError where it does not, and ends it; as does Ctrl-C.
        """
        try:
            return waited(self._ready, self._target.start)
        except TimeoutError:
            self.end()
            said = refusals.last_words(self._errors)
            raise refusals.silence(self._name, self._target, self._garbage, said) from None
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self._client is not None and not self._closing and not self._life.done()

    @property
    def over(self) -> bool:
        """Whether nothing is left of it."""
        return self._life.done()

    def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Call one of its tools, and wait for what it gives. Raises ServerEnded, and what `mcp` raises."""
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        client = self._client
        if client is None or not self.alive:
            raise ServerEnded(self._why or f"{self._name} has ended")
        future = self._io.submit(client.call_tool(tool, arguments))
        try:
            return waited(future)
        except MCPError as error:
            if self._target.url and self._status == _NOT_FOUND:
                self.end()
                raise Forgotten(str(error)) from None
            if error.code != CONNECTION_CLOSED:
                raise
            self.end()
            self.ended()
            raise ServerEnded(self._why or f"{self._name} has ended") from None
        finally:
            future.cancel()

    def end(self) -> None:
        """Begin to end it; returns at once."""
        self._closing = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, and everything on it
            self._io.loop.call_soon_threadsafe(self._leave)

    def ended(self) -> None:
        """Wait until it has ended, a few seconds at most."""
        with contextlib.suppress(Exception):
            self._life.result(_FAREWELL)

    def _leave(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def _live(self) -> None:
        """Start it, keep it, end it; never raises."""
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001  # whatever a program, a socket and `mcp` come up with
            first = refusals.first(error)
            self._why = f"{self._name} has ended: {str(first) or type(first).__name__}"
            if not self._ready.done():
                said = refusals.last_words(self._errors)
                self._ready.set_exception(refusals.refusal(first, self._name, self._target, self._status, said))
        finally:
            self._client = None
            self._errors.close()
            if not self._ready.done():
                self._ready.set_exception(CommandError(f"The MCP server {self._name} was not started."))

    async def _run(self) -> None:
        import anyio
        from mcp import Client

        if not (log := logging.getLogger("mcp")).handlers:  # else it complains of servers in somebody's cell
            log.addHandler(logging.NullHandler())
        with anyio.CancelScope() as self._scope:
            if self._closing:
                return
            over = anyio.Event()
            async with Client(self._transport(over), message_handler=self._hear, cache=None) as client:
                tools = await _offered(client)
                self._client = client
                self._ready.set_result(tools)
                await over.wait()
                self._client = None
                self._why = f"{self._name} has ended{refusals.last_words(self._errors)}"

    @contextlib.asynccontextmanager
    async def _transport(self, over: anyio.Event) -> AsyncIterator[Any]:
        """Connect the streams of the server; `over` is set when a program has ended."""
        import anyio
        from mcp import StdioServerParameters, stdio_client

        if self._target.url:
            async with self._address() as streams:
                yield streams
            return
        program, arguments = self._target.program
        parameters = StdioServerParameters(
            command=program, args=arguments, env=self._target.environment(), encoding_error_handler="replace"
        )
        # It is handed on to the program as a file, and nobody writes text into it here.
        async with stdio_client(parameters, self._errors) as (read, write), anyio.create_task_group() as group:  # type: ignore[arg-type]
            pass_on, received = anyio.create_memory_object_stream[Any](0)

            async def watch() -> None:
                async with pass_on:
                    async for message in read:
                        await pass_on.send(message)
                over.set()

            group.start_soon(watch)
            with pass_on, received:
                yield received, write
            group.cancel_scope.cancel()

    @contextlib.asynccontextmanager
    async def _address(self) -> AsyncIterator[Any]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        async def note(response: httpx2.Response) -> None:
            self._status = response.status_code

        timeout = httpx2.Timeout(self._target.start, read=self._target.call + 1)
        hooks: Any = {"response": [note]}
        async with (
            httpx2.AsyncClient(headers=self._target.headers(), timeout=timeout, event_hooks=hooks) as http,
            streamable_http_client(self._target.url, http_client=http) as streams,
        ):
            yield streams

    async def _hear(self, message: Any) -> None:
        """Notice what a server writes that is no message."""
        if isinstance(message, Exception) and not self._garbage:
            errors: list[Any] = getattr(message, "errors", list)()
            self._garbage = str(errors[0].get("input", "") if errors else message)[:_LONGEST]


async def _offered(client: Client) -> list[Tool]:
    """List its tools, page by page."""
    tools: list[Tool] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def waited(future: Future[T], longest: float = math.inf) -> T:
    """Wait so that Ctrl-C, and the time limit of a tool, come through on any thread.

    Raises TimeoutError after `longest` seconds.
    """
    deadline = time.monotonic() + longest
    while not future.done() and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return future.result(min(TICK, longest))
    return future.result(0)
