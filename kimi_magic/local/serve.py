"""The socket: bound to 127.0.0.1 before the model is loaded, served by uvicorn, quiet, and quick to end."""

import asyncio
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: closing sends RST instead of FIN."""


class Connection(H11Protocol):
    """A connection that a route can end abruptly: `scope["state"]["connection"].cut()`."""

    def __init__(self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], **more: Any) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, **more)
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        super().connection_lost(exc)
        self.lost.set()

    async def cut(self, *, reset: bool) -> None:
        """Send what is buffered and close; with `reset`, drop the connection as a crashed peer would."""
        if reset:
            raw = cast("socket.socket", self.transport.get_extra_info("socket"))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        else:
            self.transport.close()
        await self.lost.wait()


class Server(uvicorn.Server):
    """Says when it really serves."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        self.on_ready()


def bind(port: int) -> socket.socket:
    """Take the port (0: a free one). Raises OSError when it is in use."""
    # the protocol is named, because asyncio turns Nagle off only where it sees TCP
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this option lets two servers share a port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
        taken.listen(128)
    except BaseException:
        taken.close()
        raise
    return taken


def serve(app: ASGIApp, taken: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until a signal ends it; Ctrl-C raises KeyboardInterrupt once all is closed."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=0,
    )
    logging.getLogger("uvicorn.error").addFilter(worth_telling)
    Server(config, on_ready).run(sockets=[taken])


def worth_telling(entry: logging.LogRecord) -> bool:
    """Keep mistakes of ours in the log, and leave out that an end of the server ends its answers too."""
    cancelled = entry.exc_info is not None and isinstance(entry.exc_info[1], asyncio.CancelledError)
    return not cancelled and not entry.getMessage().startswith("Cancel ")


def end_with_parent(stdin: int) -> None:
    """End this process as soon as the parent's end of stdin closes, however the parent died."""

    def watch() -> None:
        while os.read(stdin, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
