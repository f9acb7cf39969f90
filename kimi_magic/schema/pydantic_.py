"""pydantic's door: imported on first use, asked for one type, its refusals told in the user's words."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError
from kimi_magic.schema.expression import is_type

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["adapter", "described", "pydantic", "refused", "type_name", "typed_dict"]

_INSTEAD = "Use a pydantic model, dataclass, TypedDict, Enum, Literal, or built-in types such as list[str]."
_PACKAGE = "pip install pydantic"


def pydantic() -> Any:
    """Import pydantic; raises CommandError where it is not installed."""
    try:
        import pydantic as module
    except ImportError:
        raise CommandError("Types and tools need pydantic.", hint=_PACKAGE) from None
    return module


def adapter(kind: Any, what: str = "") -> TypeAdapter[Any]:
    """Make the adapter of a type; raises CommandError for what pydantic does not know, named by `what`."""
    what = what or type_name(kind)
    if not is_type(kind) or kind is None or kind is type(None):
        raise CommandError(f"{what} is not a type of replies.", hint=_INSTEAD)
    with refused(what):
        made: TypeAdapter[Any] = pydantic().TypeAdapter(_accepted(kind, ()))
    return made


@contextmanager
def refused(what: str) -> Iterator[None]:
    """Say in a CommandError why pydantic has no schema for `what`."""
    errors = pydantic().errors
    try:
        yield
    except CommandError:
        raise
    except errors.PydanticUndefinedAnnotation as exc:
        raise CommandError(f"{what} names {exc.name!r}, which is not defined.", hint="Define it first.") from None
    except Exception as exc:  # noqa: BLE001  # a class may hook into pydantic with code of its own
        why = str(exc).partition("\n")[0].partition(". ")[0].partition("; ")[0].rstrip(".") or type(exc).__name__
        raise CommandError(f"{what} has no JSON Schema: {why}.", hint=_INSTEAD) from None


def type_name(kind: Any) -> str:
    """Name a type as a user wrote it."""
    if isinstance(kind, type) and typing.get_origin(kind) is None:
        return kind.__name__
    if not is_type(kind):
        return f"A value of type {type(kind).__name__}"
    while typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    text = repr(kind) if not isinstance(kind, type) and typing.get_origin(kind) is None else _dotless(kind)
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004  # one line


def _dotless(kind: Any) -> str:
    """Write an annotation without the modules that its names come from."""
    return re.sub(r"\b(?:\w+\.)+(?=[^\W\d])", "", inspect.formatannotation(kind))


def typed_dict(name: str, fields: Mapping[str, Any], **config: Any) -> Any:
    """Make a TypedDict whose keys may be any strings, with pydantic's settings for it."""
    return _typed_dict(name, {key: _accepted(kind, ()) for key, kind in fields.items()}, config)


def _typed_dict(name: str, fields: dict[str, Any], config: Mapping[str, Any]) -> Any:
    pydantic()
    from typing_extensions import TypedDict  # pydantic brings it

    make: Any = TypedDict
    made = make(name, fields)
    if config:
        made.__pydantic_config__ = config
    return made


def described(kind: Any, words: str = "", **more: Any) -> Any:
    """Annotate a type with a description and other facts of pydantic's Field."""
    facts = {**more, **({"description": words} if words else {})}
    return typing.Annotated[kind, pydantic().Field(**facts)] if facts else kind


def _accepted(kind: Any, inside: tuple[Any, ...]) -> Any:
    """Give the type as pydantic takes it: an Iterable as a list, because it would be checked only as it is read.

    Before Python 3.12 pydantic refuses typing.TypedDict, so that each is made anew; one that holds itself cannot be.
    """
    if type(kind).__name__ == "_TypedDictMeta" and type(kind).__module__ == "typing" and sys.version_info < (3, 12):
        return kind if any(kind is outer for outer in inside) else _remade(kind, (*inside, kind))
    arguments = typing.get_args(kind)
    if not arguments or typing.get_origin(kind) in (typing.Literal, Callable, typing.Annotated):
        if typing.get_origin(kind) is typing.Annotated:
            return typing.Annotated[(_accepted(arguments[0], inside), *kind.__metadata__)]
        return kind
    origin = list if typing.get_origin(kind) is Iterable else typing.get_origin(kind)
    accepted = tuple(_accepted(one, inside) for one in arguments)
    if origin is typing.get_origin(kind) and all(one is other for one, other in zip(accepted, arguments, strict=True)):
        return kind
    if origin in (typing.Required, typing.NotRequired):
        return origin[accepted[0]]
    return typing.Union[accepted] if origin in (typing.Union, UnionType) else origin[accepted]  # noqa: UP007


def _remade(kind: Any, inside: tuple[Any, ...]) -> Any:
    fields = {}
    for key, hint in typing.get_type_hints(kind, include_extras=True).items():
        # Where annotations are text, __required_keys__ knows nothing of NotRequired.
        said = typing.get_origin(hint) if typing.get_origin(hint) in (typing.Required, typing.NotRequired) else None
        accepted = _accepted(typing.get_args(hint)[0] if said else hint, inside)
        required = said is typing.Required or (said is None and key in kind.__required_keys__)
        fields[key] = accepted if required else typing.NotRequired[accepted]
    made = _typed_dict(kind.__name__, fields, getattr(kind, "__pydantic_config__", {}))
    made.__doc__ = kind.__doc__
    return made
