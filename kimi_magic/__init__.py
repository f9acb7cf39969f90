"""Kimi inside the notebook kernel: `%load_ext kimi_magic`, then `%%kimi`.

The flow, in one line: cell text → `command` → `context` (objects become parts) → `session` (the conversation) → `wire`
(canonical bytes) → `transport`, with the `journal` in front of it → events → `render`. One thread does all input and
output; everything above it is a plain generator.

    reply = kimi_magic.ask("What is a prefix cache?")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.cell import ask, describe, private
    from kimi_magic.errors import Interrupted, InvalidReply, KimiError
    from kimi_magic.function import fn
    from kimi_magic.jobs.job import Job
    from kimi_magic.panel import chat
    from kimi_magic.planning import job
    from kimi_magic.reply import Reply
    from kimi_magic.rowwise import map  # noqa: A004  # what it is
    from kimi_magic.tools import tool

__all__ = [
    "Interrupted",
    "InvalidReply",
    "Job",
    "KimiError",
    "Reply",
    "ask",
    "chat",
    "describe",
    "fn",
    "job",
    "load_ipython_extension",
    "map",
    "private",
    "tool",
    "unload_ipython_extension",
]
__version__ = "0.1.0"

_HOMES = {
    "ask": "cell",
    "chat": "panel",
    "Interrupted": "errors",
    "KimiError": "errors",
    "Reply": "reply",
    "describe": "cell",
    "fn": "function",
    "InvalidReply": "errors",
    "Job": "jobs.job",
    "job": "planning",
    "map": "rowwise",
    "private": "cell",
    "tool": "tools",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add `%kimi` and `%%kimi` to a shell; silent, without network or files, and once only."""
    from kimi_magic import magics

    magics.load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take everything away again and close the session."""
    from kimi_magic import magics

    magics.unload(shell)
