"""Why a server did not start, or is gone: in the user's words, with the next step."""

from __future__ import annotations

from typing import IO

from kimi_magic.errors import CommandError
from kimi_magic.mcp.target import Target

__all__ = ["first", "last_words", "refusal", "silence"]

_QUOTED = 300


def refusal(error: BaseException, name: str, target: Target, status: int, said: str) -> CommandError:
    """Say why it did not start; `status` is what an address answered last, 0 for nothing, `said` its last words."""
    if isinstance(error, CommandError):
        return error
    return _address(error, target, status) if target.url else _program(error, name, target, said)


def _program(error: BaseException, name: str, target: Target, said: str) -> CommandError:
    program = target.words[0]
    if isinstance(error, FileNotFoundError):
        return CommandError(
            f"There is no program {program!r}.", hint="Is it installed, and on the PATH of this kernel?"
        )
    if isinstance(error, OSError):
        return CommandError(f"{program} cannot be run: {error.strerror or error}.", hint="Name a program.")
    hint = f"Does it run in a terminal? {target.shown}"
    return CommandError(f"{name} ended before it had started{said}.", hint=hint)


def _address(error: BaseException, target: Target, status: int) -> CommandError:
    if status in (401, 403):
        return CommandError(
            f"{target.shown} wants to know who asks (HTTP {status}).",
            hint="The name of a variable that holds a token: %kimi mcp add --token VARIABLE NAME URL",
        )
    answered = f" (HTTP {status})" if status else ""
    said = str(error) or type(error).__name__
    return CommandError(
        f"{target.shown} does not answer as an MCP server{answered}: {said}.",
        hint="Is the address whole? It often ends with /mcp.",
    )


def silence(name: str, target: Target, garbage: str, said: str) -> CommandError:
    """Say that it did not start in time; `garbage` is what it wrote that is no MCP, `said` its last words."""
    what = f"; it writes what is no MCP: {garbage!r}" if garbage else said
    return CommandError(
        f"{name} did not start in {target.start:g} s{what}.",
        hint="Where it has much to load first: %kimi mcp add --timeout 120 NAME COMMAND",
    )


def last_words(errors: IO[bytes]) -> str:
    """Quote the end of what a program wrote to its standard error; empty for nothing."""
    try:
        end = errors.seek(0, 2)
        errors.seek(max(0, end - _QUOTED))
        text = errors.read().decode("utf-8", "replace")
    except (OSError, ValueError):  # it is closed
        return ""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return f"; its last words: {' | '.join(lines[-3:])}" if lines else ""


def first(error: BaseException) -> BaseException:
    """Take the first error out of a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
