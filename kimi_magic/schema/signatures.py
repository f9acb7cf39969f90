"""The annotations of anything that can be called, names in them looked up."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from functools import partial
from typing import Any

from kimi_magic.errors import CommandError

__all__ = ["called", "hints", "inner"]


def inner(function: Any) -> Any:
    """Give the function whose name, annotations and docstring count: inside of partial, and of wrappers."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function)


def called(function: Any) -> Any:
    """Give the function that a call of an object runs."""
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004  # the function itself is wanted


def hints(function: Any, name: str, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Give the annotations of a callable, names in text looked up."""
    function = function.__init__ if inspect.isclass(function) else called(function)
    local = dict(namespace) | _locals_around(function)
    try:
        return typing.get_type_hints(function, localns=local, include_extras=True)
    except NameError as exc:
        raise CommandError(
            f"An annotation of {name} names {exc.name!r}, which is not defined.", hint="Define it before the function."
        ) from None
    except Exception as exc:  # noqa: BLE001  # an annotation that is text is code
        raise CommandError(
            f"The annotations of {name} cannot be read: {exc}", hint="An annotation is a type, or the name of one."
        ) from None


def _locals_around(function: Any) -> dict[str, Any]:
    """Give the names local to the code that defines a function: what it closes over, and while that code runs all."""
    found: dict[str, Any] = {}
    outer = getattr(function, "__qualname__", "").rpartition(".<locals>.")[0]
    frame = sys._getframe() if outer else None  # noqa: SLF001  # as pydantic does; frames are walked, none is kept
    while frame is not None:
        if frame.f_code.co_qualname == outer and frame.f_globals is getattr(function, "__globals__", None):
            found = dict(frame.f_locals)
            break
        frame = frame.f_back
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    for key, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            found.setdefault(key, cell.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return found
