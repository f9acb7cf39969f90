"""`%kimi mcp …` → a command."""

from __future__ import annotations

import re
from typing import Any

from kimi_magic import settings
from kimi_magic.command.lines import split
from kimi_magic.command.values import Mcp
from kimi_magic.errors import CommandError

__all__ = ["line_mcp"]


def line_mcp(rest: str) -> Mcp:
    """Read what stands after `%kimi mcp`."""
    action, *words = split(rest) or [""]
    match action:
        case "":
            return Mcp()
        case "add":
            return _added_server(words)
        case "remove" if len(words) == 1:
            return Mcp("remove", words[0])
    raise CommandError(
        f"`%kimi mcp` takes add, remove NAME or nothing, not {rest!r}.", hint=f"{_MCP}; or a URL for the COMMAND"
    )


_MCP = "%kimi mcp add NAME COMMAND ARGUMENTS"


def _added_server(words: list[str]) -> Mcp:
    given: dict[str, Any] = {"variables": ()}
    while words and words[0].startswith("-"):
        if len(words) == 1:
            raise CommandError(f"{words[0]} needs a value.", hint=_MCP)
        _take_server_option(words.pop(0), words.pop(0), given)
    if len(words) < 2:  # noqa: PLR2004  # a name, and what to run
        raise CommandError("A server needs a name, and a command or a URL.", hint=_MCP)
    name, *words = words
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,30}", name) or name == "kernel":
        raise CommandError(f"{name!r} cannot be the name of a server.", hint="Up to 31 letters, digits, _ and -.")
    url = re.match(r"\w+://", words[0])
    if url and (len(words) > 1 or url[0] not in ("http://", "https://")):
        raise CommandError(f"{' '.join(words)!r} is no address of an MCP server.", hint="One that begins with https://")
    if given["variables"] and url:
        raise CommandError("--env is for a program; a server at an address has none.", hint="Is --token meant?")
    if given.get("token") and not url:
        raise CommandError("--token is for a server at an address.", hint=f"A program takes --env {given['token']}.")
    return Mcp("add", name, tuple(words), **given)


def _take_server_option(option: str, value: str, given: dict[str, Any]) -> None:
    match option:
        case "--env" if re.match(r"[^\W\d]\w*(=|$)", value):
            given["variables"] += (value,)
        case "--token" if value.isidentifier():
            given["token"] = value
        case "--timeout":
            given["timeout"] = settings.parse("timeout", value, "option")
        case _:
            raise CommandError(
                f"`%kimi mcp add` takes no {option} {value}.",
                hint="--env NAME or NAME=VALUE; --token NAME, of the variable that holds it; --timeout 120",
            )
