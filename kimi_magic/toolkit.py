"""What `%kimi tools` and `%kimi mcp` answer: the tools that -t can name, and the MCP servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel
from kimi_magic.errors import CommandError
from kimi_magic.report import Report

if TYPE_CHECKING:
    from kimi_magic.command import Mcp
    from kimi_magic.mcp.servers import Server
    from kimi_magic.tools import Tool

__all__ = ["mcp", "tools"]

_LONGEST = 100
_ADD = "%kimi mcp add NAME COMMAND ARGUMENTS, or NAME https://…, starts one."


def tools(namespace: dict[str, Any]) -> Report:
    """List every tool: the notebook's functions that are marked, the built-in ones, those of each MCP server."""
    from kimi_magic.context.description import Look

    sets = kernel.tool_sets(namespace, Look(kernel.guard()), lambda _: None)
    built_in = [(tool.name, tool) for tool in sets.pop("kernel")]
    served = [
        (f"{server.name}.{offer.own}", tool)
        for server in (kernel.servers().all if sets else ())
        for offer, tool in zip(server.tools, sets[server.name], strict=True)
    ]
    rows = tuple(
        (name, tool.name if tool.name not in name else "", _asks(tool), _first_line(tool))
        for name, tool in (*_marked(namespace), *built_in, *served)
    )
    note = (
        "-t NAME on a question; any function of the notebook can be named. -t kernel: all that look into the notebook"
    )
    note += f"; -t {next(iter(sets))}: all of that server." if sets else "."
    return Report("Tools", rows, ("name", "told the model as", "asks you", "what it does"), note=note)


def _marked(namespace: Mapping[str, Any]) -> list[tuple[str, Tool]]:
    """Find the functions that `@kimi_magic.tool` has marked."""
    from kimi_magic.tools.functions import marked

    found = ((name, marked(value)) for name, value in namespace.items() if not name.startswith("_"))
    return sorted((name, tool) for name, tool in found if tool is not None)


def _asks(tool: Tool) -> str:
    return {False: "", True: "yes", "always": "always"}[tool.approve]


def _first_line(tool: Tool) -> str:
    try:
        text = tool.description.strip().partition("\n")[0]
    except CommandError as error:  # a type without a schema
        return f"cannot be used: {error.message}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def mcp(asked: Mcp) -> Report:
    """Start an MCP server or end one; tell of that, or of all."""
    from kimi_magic.mcp import Target

    servers = kernel.servers()
    if asked.action == "add":
        target = Target(asked.words, asked.variables, asked.token, asked.timeout)
        for name, value in target.credentials().items():
            kernel.guard().know(value, name)
        return _offers(servers.add(asked.name, target))
    if asked.action == "remove":
        servers.remove(asked.name)
        return Report("", (), note=f"{asked.name} has ended.")
    rows = tuple(
        (
            server.name,
            server.target.shown,
            "runs" if server.alive else "has ended; the next call starts it",
            str(len(server.tools)),
        )
        for server in servers.all
    )
    columns = ("server", "where", "state", "tools")
    if not rows:
        return Report("", (), note=f"There is no MCP server. {_ADD}")
    return Report("MCP servers", rows, columns, note="%kimi tools lists what they offer.")


def _offers(server: Server) -> Report:
    rows = tuple((f"{server.name}.{offer.own}", offer.description.strip().partition("\n")[0]) for offer in server.tools)
    rows = tuple((name, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…") for name, text in rows)
    note = f"-t {server.name} on a question lets the model call them."
    if server.refused:
        note += f" Left out, for their schema is none: {', '.join(server.refused)}."
    return Report(f"{server.name} runs" if rows else "", rows, note=note if rows else f"{server.name} has no tools.")
