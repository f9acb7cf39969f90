"""A function's parameters, and how the model hands it what JSON cannot hold.

An argument may be the name of a handle (`kimi_1`, a result that stayed in the kernel) wherever the parameter takes no
text; it is passed as the live object. A parameter whose type has no JSON form at all (a DataFrame) takes the name of
any variable that holds such an object. Only a whole argument is looked up, never what lies inside of one.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from kimi_magic import schema
from kimi_magic.context.objects.saying import type_name
from kimi_magic.errors import CommandError
from kimi_magic.schema import pydantic_
from kimi_magic.tools import handles
from kimi_magic.tools.taken import Taken, classes, members

if TYPE_CHECKING:
    from kimi_magic.tools.functions import Tool

__all__ = ["Bound", "Named", "bound", "read"]


def read(taken: Taken) -> schema.Parameters:
    """Give a function's parameters as the model sees them: what JSON cannot hold is a name."""
    if not taken.live:
        return schema.parameters(taken.function)
    live = {name: taken.hints[name] for name in taken.live}
    named = {name: Annotated[_name_of(hint), _asks_for(classes(hint))] for name, hint in live.items()}
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
    others: dict[str, object] = {}
    names: dict[str, str] = {}
    for name, word in (given or {}).items():
        own = name in signature.parameters and name != parameters.others
        parameter = signature.parameters.get(name if own else parameters.others)
        if parameter is None or parameter.kind is parameter.VAR_POSITIONAL or not isinstance(word, str):
            continue
        hint = hints.get(parameter.name, Any)
        if name not in live and handles.is_handle(word) and str not in members(hint):
            (found if own else others)[name] = _fitting(name, word, _found(name, word, (), namespace), hint)
            names[name] = word
    if found:
        loose = {**{name: _name_of(hints[name]) for name in live}, **dict.fromkeys(found, Any)}
        parameters = schema.parameters(_like(tool.taken, loose))
    args, kwargs = parameters.validate(
        text if given is None else {name: value for name, value in given.items() if name not in others}
    )
    checked = signature.bind(*args, **kwargs, **others)
    for name in live & {name for name, word in checked.arguments.items() if word is not None}:
        names[name] = checked.arguments[name]
        found[name] = _found(name, names[name], classes(hints[name]), namespace)
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
    return str | None if type(None) in members(hint) else str


def _decoded(text: str) -> dict[str, Any] | None:
    """Decode arguments, which some models encode twice; None where `schema` has to find out what they are."""
    given: Any = text
    for _ in range(2):
        try:
            given = json.loads(given) if isinstance(given, str) else given
        except (ValueError, RecursionError):
            return None
    return given if isinstance(given, dict) else None


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
        return _found(parameter, word, classes(hint), {word: value})
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
