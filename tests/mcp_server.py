"""A real MCP server for tests: `python mcp_server.py` on stdio, `python mcp_server.py PORT` at an address."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from io import BytesIO
from typing import Any

from mcp.server.mcpserver import Image, MCPServer
from mcp.types import ToolAnnotations
from PIL import Image as Pillow

READS = ToolAnnotations(read_only_hint=True)
server = MCPServer("demo")


@server.tool(annotations=READS)
def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    With more to say.
    """
    print("noise on standard error", file=sys.stderr, flush=True)
    return a + b


@server.tool(annotations=READS)
def environment() -> dict[str, str]:
    """Give all of the environment."""
    return dict(os.environ)


@server.tool()
def write(path: str) -> str:
    """Write a file."""
    return f"wrote {path}"


@server.tool(annotations=READS)
def fail() -> str:
    """Fail."""
    raise ValueError("no such thing")


@server.tool(annotations=READS)
def leave() -> str:
    """End the server in the middle of a call."""
    print("I leave now", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool(annotations=READS)
async def hang() -> str:
    """Take ten minutes."""
    await asyncio.sleep(600)
    return ""


@server.tool(annotations=READS)
def long(characters: int) -> str:
    """Say much."""
    return "x" * characters


@server.tool(annotations=READS, structured_output=False)
def picture() -> list[Any]:
    """Give a picture, with words."""
    file = BytesIO()
    Pillow.new("RGB", (40, 30), "red").save(file, "PNG")
    return ["A red one:", Image(data=file.getvalue(), format="png")]


@server.tool(annotations=READS, structured_output=False)
def broken_picture() -> list[Any]:
    """Give a picture that is none."""
    return [Image(data=base64.b64decode("AAAA"), format="png")]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
