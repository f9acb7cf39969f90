"""What a function takes, read from it once: its annotations, its signature, and what of it has no JSON form."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["Taken", "classes", "members"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a function takes, read from it once: its annotations, its signature, and which arguments are live objects.

    A function that cannot be read takes nothing; `read` says what is wrong with it.
    """

    function: Callable[..., Any]
    hints: Mapping[str, Any]
    signature: inspect.Signature
    live: frozenset[str]

    @classmethod
    def by(cls, function: Callable[..., Any]) -> Taken:
        """Read a function."""
        hints = _hints(function)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            signature = inspect.Signature()
        return cls(function, hints, signature, frozenset(_live(signature, hints)))


def _live(signature: inspect.Signature, hints: Mapping[str, Any]) -> set[str]:
    """Name the parameters that JSON cannot hold and that have to be given, or may be None."""
    return {
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.name in hints
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and (parameter.default is None or parameter.default is parameter.empty)
        and _has_no_json(hints[parameter.name])
    }


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Give the annotations of its parameters, resolved where they can be; `schema` tells of those that cannot."""
    try:
        hints = get_type_hints(_annotated(function), include_extras=True)
    except Exception:  # noqa: BLE001  # a name that is not defined, an annotation that is no type
        return {}
    hints.pop("return", None)
    return hints


def _annotated(function: Any) -> Any:
    function = inspect.unwrap(function) if not hasattr(function, "func") else function.func
    return function if inspect.isroutine(function) else type(function).__call__


def members(hint: Any) -> set[Any]:
    """Take Annotated, Optional and Union apart."""
    if get_origin(hint) is Annotated:
        return members(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return {member for part in get_args(hint) for member in members(part)}
    return {hint}


def classes(hint: Any) -> tuple[type, ...]:
    """Give the classes that an annotation is made of, by name."""
    return tuple(sorted((one for one in members(hint) if isinstance(one, type)), key=lambda cls: cls.__qualname__))


def _has_no_json(hint: Any) -> bool:
    """Whether it is made of classes that have no JSON form, and None."""
    classes = {one for one in members(hint) if one is not type(None)}
    return bool(classes) and all(isinstance(one, type) and not _has_schema(one) for one in classes)


@lru_cache(256)
def _has_schema(cls: type) -> bool:
    if cls.__module__ == "builtins" or is_typeddict(cls):
        return True
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        TypeAdapter(cls).json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema):
        return False
    except Exception:  # noqa: BLE001  # `schema` says what is wrong with it
        return True
    return True
