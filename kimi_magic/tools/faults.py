"""An error of the user's function → a few lines that the model can act on."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any

from kimi_magic.context.objects.saying import said, type_name

__all__ = ["told"]

_LONGEST = 2_000
_LONGEST_LINE = 160


def told(error: BaseException, function: Callable[..., Any]) -> str:
    """Say type and message of an error, and the line of the function's own file where it came up."""
    message = said(error, str)
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]} … ({len(message):,} characters)"
    first = f"{type_name(error)}: {message}" if message else type_name(error)
    return "\n".join([first, *_place(error.__traceback__, function)])


def _place(traceback: TracebackType | None, function: Callable[..., Any]) -> list[str]:
    """Find the innermost frame of the file, or cell, that the function stands in; nobody can act on a line of ours."""
    ours = str(getattr(function, "__module__", "")).startswith("kimi_magic.")
    own = None if ours else _code(function)
    found: list[str] = []
    while traceback is not None and own is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == own.co_filename:
            line = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            shown = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …"
            found = [f"in {code.co_name}, line {traceback.tb_lineno}" + (f": {shown}" if shown else "")]
        traceback = traceback.tb_next
    return found


def _code(function: Any) -> CodeType | None:
    bare = inspect.unwrap(getattr(function, "func", function))
    bare = getattr(bare, "__func__", bare)
    if not inspect.isroutine(bare):  # an object that is called
        bare = getattr(type(bare), "__call__", None)  # noqa: B004  # the function itself is wanted
    code = getattr(bare, "__code__", None)
    return code if isinstance(code, CodeType) else None
