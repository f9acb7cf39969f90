"""The MCP servers of this kernel: added, listed, called and ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kimi_magic.context.description import Look
from kimi_magic.errors import CommandError
from kimi_magic.iothread import IOThread
from kimi_magic.mcp import offered, results
from kimi_magic.mcp.connection import Connection, Forgotten, ServerEnded
from kimi_magic.mcp.target import Target

if TYPE_CHECKING:
    from mcp.types import CallToolResult

    from kimi_magic.context.guard import Guard
    from kimi_magic.tools import Tool

__all__ = ["Server", "Servers"]


Record = Callable[["Server", str, dict[str, Any]], None]


@dataclass(slots=True)
class Server:
    """A server that was added: what it offers, and the names of tools whose schema is none."""

    name: str
    target: Target
    connection: Connection
    tools: tuple[offered.Declared, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether it runs; where it does not, the next call starts it again."""
        return self.connection.alive


class Servers:
    """All of them. Their connections live on one loop in one thread, which begins with the first.

    `record` is told what is sent to a server's tool, just before that.
    """

    def __init__(self, record: Record = lambda *_: None) -> None:
        self._record = record
        self._io = IOThread()
        self._lock = threading.RLock()
        self._servers: dict[str, Server] = {}
        self._connections: list[Connection] = []  # also those that have not ended yet

    @property
    def all(self) -> tuple[Server, ...]:
        """Each server, in the order in which they were added."""
        return tuple(self._servers.values())

    def add(self, name: str, target: Target) -> Server:
        """Start a server, or one anew that has this name; raises CommandError where it does not start."""
        try:
            from mcp import Client  # noqa: F401  # an older mcp has none
        except ImportError:
            raise CommandError("MCP servers need mcp 2.0 or later.", hint='pip install "kimi-magic[mcp]"') from None
        if target.url:
            target.headers()
        else:
            target.environment()
        with self._lock:
            server = Server(name, target, self._connected(name, target))
            server.tools, server.refused = offered.declared(name, server.connection.opened())
            before = self._servers.pop(name, None)
            self._servers[name] = server
        if before is not None:
            before.connection.end()
        return server

    def _connected(self, name: str, target: Target) -> Connection:
        connection = Connection(self._io, name, target)
        self._connections = [*(one for one in self._connections if not one.over), connection]
        return connection

    def remove(self, name: str) -> None:
        """End a server and forget it; raises CommandError where there is none of this name."""
        if name not in self._servers:
            known = ", ".join(self._servers)
            raise CommandError(
                f"There is no MCP server {name!r}.", hint=f"There is {known}." if known else "`%kimi mcp` lists them."
            )
        connection = self._servers.pop(name).connection
        connection.end()
        connection.ended()

    def sets(self, look: Look) -> dict[str, tuple[Tool, ...]]:
        """Give the tools of each server, by its name; `look` says how what they give is described."""
        return {server.name: tuple(self._tool(server, offer, look) for offer in server.tools) for server in self.all}

    def _tool(self, server: Server, offer: offered.Declared, look: Look) -> Tool:
        def call(arguments: dict[str, Any]) -> object:
            arguments = {name: _guarded(value, look.guard) for name, value in arguments.items()}
            self._record(server, offer.own, arguments)
            return results.given(self._called(server, offer.own, arguments), look)

        return offered.tool(offer, call, server.target.call)

    def _called(self, server: Server, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        try:
            return self._running(server).call(tool, arguments)
        except Forgotten:
            return self._running(server).call(tool, arguments)

    def _running(self, server: Server) -> Connection:
        """Give the connection to a server; one that has ended since it was called last is started again."""
        with self._lock:
            if self._servers.get(server.name) is not server:
                raise ServerEnded(f"the user has removed {server.name}")
            if not server.alive:
                server.connection = self._connected(server.name, server.target)
                server.connection.opened()
            return server.connection

    def close(self) -> None:
        """End all of them, and the thread; waits for that a few seconds at most."""
        with self._lock:
            connections, self._connections = self._connections, []
            self._servers = {}
        for connection in connections:
            connection.end()
        for connection in connections:
            connection.ended()
        self._io.stop()


def _guarded(value: Any, guard: Guard) -> Any:
    """Keep private values and secrets back, in every text of an argument."""
    match value:
        case str():
            return guard.clean(value)
        case list():
            return [_guarded(one, guard) for one in value]
        case dict():
            return {name: _guarded(one, guard) for name, one in value.items()}
    return value
