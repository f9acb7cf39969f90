"""A function's parameters, and how the model hands it what JSON cannot hold.

An argument may be the name of a handle (`kimi_1`, a result that stayed in the kernel) wherever the parameter takes no
text; it is passed as the live object. A parameter whose type has no JSON form at all (a DataFrame) takes the name of
any variable that holds such an object. Only a whole argument is looked up, never what lies inside of one.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from kimi_magic import schema
from kimi_magic.context.objects.saying import type_name
from kimi_magic.errors import CommandError
from kimi_magic.schema import pydantic_
from kimi_magic.tools import handles

if TYPE_CHECKING:
    from kimi_magic.tools.functions import Tool

__all__ = ["Bound", "Named", "Taken", "bound", "read"]


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


def read(taken: Taken) -> schema.Parameters:
    """Give a function's parameters as the model sees them: what JSON cannot hold is a name."""
    if not taken.live:
        return schema.parameters(taken.function)
    live = {name: taken.hints[name] for name in taken.live}
    named = {name: Annotated[_name_of(hint), _asks_for(_classes(hint))] for name, hint in live.items()}
    return schema.parameters(_like(taken, named))


@dataclass(frozen=True, slots=True)
class Bound:
    """Arguments that fit; `names` are those that were given by the name of a live object, with that name."""

    arguments: inspect.BoundArguments
    names: Mapping[str, str]

    @property
    def shown(self) -> dict[str, Any]:
        """What a person is shown: a live object by its name and type, what stands in **kwargs by its name."""
        given = dict(self.arguments.arguments)
        for parameter in self.arguments.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name, {})
        named = {name: Named(f"{word} (a {type_name(given[name])})") for name, word in self.names.items()}
        return {**given, **named}


class Named(str):
    """What stands for a live object, and is no text of the model's."""

    __slots__ = ()


def bound(tool: Tool, text: str, namespace: Mapping[str, Any]) -> Bound:
    """Check the arguments of a call, and put live objects in the place of their names.

    Raises schema.Invalid, in words for the model, for what is not JSON or does not fit.
    """
    parameters = tool.parameters
    if tool.declared is not None:
        return _handed_on(tool, text, namespace)
    hints, signature, live = tool.taken.hints, tool.taken.signature, tool.taken.live
    given = _decoded(text)
    found: dict[str, object] = {}
    names: dict[str, str] = {}
    for name, word in (given or {}).items():
        parameter = signature.parameters.get(name)
        if parameter is None or parameter.kind is parameter.VAR_POSITIONAL or not isinstance(word, str):
            continue
        if name not in live and handles.is_handle(word) and str not in _members(hints.get(name, Any)):
            found[name] = _fitting(name, word, _found(name, word, (), namespace), hints.get(name, Any))
            names[name] = word
    if found:
        loose = {**{name: _name_of(hints[name]) for name in live}, **dict.fromkeys(found, Any)}
        parameters = schema.parameters(_like(tool.taken, loose))
    args, kwargs = parameters.validate(text if given is None else given)
    checked = signature.bind(*args, **kwargs)
    for name in live & {name for name, word in checked.arguments.items() if word is not None}:
        names[name] = checked.arguments[name]
        found[name] = _found(name, names[name], _classes(hints[name]), namespace)
    checked.arguments.update(found)
    return Bound(checked, names)


def _handed_on(tool: Tool, text: str, namespace: Mapping[str, Any]) -> Bound:
    """Check the arguments of a tool that is elsewhere: it can be given the text of a handle, no other object."""
    given, names = _decoded(text), {}
    for name, word in (given or {}).items():
        if isinstance(word, str) and handles.is_handle(word):
            if word not in namespace:
                raise schema.Invalid([f"{name}: {handles.missing(word, namespace)}"])
            if not isinstance(namespace[word], str):
                what = type_name(namespace[word])
                raise schema.Invalid([f"{name}: {word} is a {what}, and this tool can only be handed text"])
            names[name] = word
    whole = {name: namespace[word] for name, word in names.items()}
    args, kwargs = tool.parameters.validate(text if given is None else given | whole)
    return Bound(inspect.signature(tool.function).bind(*args, **kwargs), names)


def _name_of(hint: Any) -> Any:
    """Give the type of the name of what JSON cannot hold."""
    return str | None if type(None) in _members(hint) else str


def _decoded(text: str) -> dict[str, Any] | None:
    """Decode arguments, which some models encode twice; None where `schema` has to find out what they are."""
    given: Any = text
    for _ in range(2):
        try:
            given = json.loads(given) if isinstance(given, str) else given
        except (ValueError, RecursionError):
            return None
    return given if isinstance(given, dict) else None


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


def _found(parameter: str, word: str, wanted: tuple[type, ...], namespace: Mapping[str, Any]) -> object:
    if word.startswith("_") or word not in namespace:
        near = [name for name, value in namespace.items() if not name.startswith("_") and isinstance(value, wanted)]
        there = f"; there is {', '.join(sorted(near)[:8])}" if near else ""
        raise schema.Invalid([f"{parameter}: {handles.missing(word, namespace)}{there}"])
    value = namespace[word]
    if wanted and not isinstance(value, wanted):
        raise schema.Invalid([f"{parameter}: {word} is a {type_name(value)}, not a {_named(wanted)}"])
    return value


def _fitting(parameter: str, word: str, value: object, hint: Any) -> object:
    """Give a live object that is of the type, as it is, or what JSON makes of it; raises Invalid for any other."""
    from pydantic import ValidationError

    try:
        adapter = pydantic_.adapter(hint)
    except CommandError:  # JSON cannot hold it, or it is no type at all
        return _found(parameter, word, _classes(hint), {word: value})
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        try:
            return adapter.validate_python(value)
        except ValidationError:
            what = pydantic_.type_name(hint)
            raise schema.Invalid([f"{parameter}: {word} is a {type_name(value)}, not {what}"]) from None
    return value


def _asks_for(classes: tuple[type, ...]) -> str:
    return f"The name of a variable that holds a {_named(classes)}, such as kimi_1."


def _named(classes: tuple[type, ...]) -> str:
    return " or ".join(cls.__name__ for cls in classes if cls is not type(None))


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


def _members(hint: Any) -> set[Any]:
    """Take Annotated, Optional and Union apart."""
    if get_origin(hint) is Annotated:
        return _members(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return {member for part in get_args(hint) for member in _members(part)}
    return {hint}


def _classes(hint: Any) -> tuple[type, ...]:
    return tuple(sorted((one for one in _members(hint) if isinstance(one, type)), key=lambda cls: cls.__qualname__))


def _has_no_json(hint: Any) -> bool:
    """Whether it is made of classes that have no JSON form, and None."""
    classes = {one for one in _members(hint) if one is not type(None)}
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


def _like(taken: Taken, others: Mapping[str, Any]) -> Callable[..., Any]:
    """Make a stand-in of the same signature with some other annotations, for its schema alone."""

    def stand_in() -> None: ...

    function, signature, hints = taken.function, taken.signature, {**taken.hints, **others}
    parameters = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in signature.parameters.values()]
    stand_in.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    stand_in.__annotations__ = hints
    stand_in.__doc__ = inspect.getdoc(function)
    stand_in.__name__ = getattr(function, "__name__", "function")
    stand_in.__module__ = getattr(function, "__module__", None) or __name__
    return stand_in
