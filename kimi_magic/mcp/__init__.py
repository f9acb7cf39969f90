"""MCP servers, whose tools the model may call: programs of this machine (stdio) and addresses (streamable HTTP).

`servers` keeps those of this kernel, each with a `connection` on an event loop in a thread of its own; `offered` makes
what a server offers into tools, and `results` what its tools give into text and pictures. The official package `mcp`
speaks the protocol, and is imported on first use.
"""

from kimi_magic.mcp.servers import Servers
from kimi_magic.mcp.target import Target

__all__ = ["Servers", "Target"]
