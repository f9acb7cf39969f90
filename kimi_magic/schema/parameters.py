"""What a function can be called with: the JSON Schema of its arguments, and the check of those a model wrote.

The model gives arguments by name. `*args` is one array of its name; `**kwargs` allows any other names, with values of
its type. A parameter that has a default and a type without a schema, such as an open connection, is not offered.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NotRequired, Optional

from kimi_magic.errors import CommandError
from kimi_magic.schema import docstrings, json_schema, pydantic_, reading, signatures
from kimi_magic.schema.invalid import Invalid, reasons

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Parameters", "decoded", "parameters"]

_HINT = "Give it a type such as str, list[int], a pydantic model or a dataclass; or a default, and it is not offered."


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """The arguments of a function. `description` is the first paragraph of its docstring, `schema` a JSON Schema.

    `others` is the name of its **kwargs, empty where it takes no other names.
    """

    name: str
    description: str
    schema: json_schema.Json
    others: str
    _signature: inspect.Signature = field(repr=False)
    _adapter: TypeAdapter[Any] = field(repr=False)

    def validate(self, arguments: str | Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give what to call the function with, `(args, kwargs)`, converted to its types.

        Raises Invalid with words that a model can act on: which parameter, what is expected, which names there are.
        """
        from pydantic import ValidationError

        try:
            given = decoded(arguments)
            values = self._valid(given)
        except Invalid as exc:
            raise Invalid(exc.reasons, self._known) from None
        except ValidationError as exc:
            raise Invalid(map(self._expected, reasons(exc, given)), self._known) from None
        except Exception as exc:  # noqa: BLE001  # validators of the user's own; a deep nest
            raise Invalid([f"the arguments cannot be read: {type(exc).__name__}: {exc}"], self._known) from None
        bound = inspect.BoundArguments(self._signature, values)
        if any(
            kind.kind in (kind.POSITIONAL_ONLY, kind.VAR_POSITIONAL) for kind in self._signature.parameters.values()
        ):
            bound.apply_defaults()  # what stands before a positional argument has to be given too
        return bound.args, bound.kwargs

    def _valid(self, given: dict[str, Any]) -> Any:
        """Check arguments; one that is not valid may be JSON in a string, as some models write lists and objects."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(json.dumps(self._gathered(given)))
        except ValidationError as exc:
            places = (one["loc"] for one in exc.errors(include_url=False) if one["loc"])
            wrong = {str(loc[1] if loc[0] == self.others and len(loc) > 1 else loc[0]) for loc in places}
            again = {key: _once_more(value) if key in wrong else value for key, value in given.items()}
            if again == given:
                raise
            return self._adapter.validate_json(json.dumps(self._gathered(again)))

    def _gathered(self, given: dict[str, Any]) -> dict[str, Any]:
        """Put what has no parameter of its own into **kwargs; a parameter that is not offered takes nothing there."""
        if not self.others:
            return given
        others = {
            name: value
            for name, value in given.items()
            if name == self.others or name not in self._signature.parameters
        }
        own = {name: value for name, value in given.items() if name not in others}
        return {**own, self.others: others} if others else own

    @property
    def _known(self) -> str:
        required = self.schema.get("required", ())
        names = [
            f"{name} ({_words(self.schema, node)}{'' if name in required else ', optional'})"
            for name, node in self.schema["properties"].items()
        ]
        if self.others:
            others = self.schema["additionalProperties"]
            kind = _words(self.schema, others) if isinstance(others, dict) else "any value"
            names.append(f"any other names ({kind})")
        return f"{self.name} takes {', '.join(names) or 'no arguments'}"

    def _expected(self, reason: str) -> str:
        """Say of a missing argument what it should be."""
        name, _, what = reason.partition(": ")
        node = self.schema["properties"].get(name)
        return f"{reason}; give {_words(self.schema, node)}" if node is not None and what == "is missing" else reason


_THEY = "the arguments are"


def decoded(arguments: str | Mapping[str, Any]) -> Any:
    """Decode arguments, which some models encode twice; no text is no arguments. Raises Invalid for no JSON object."""
    if not isinstance(arguments, str):
        return dict(arguments)
    if not arguments.strip():
        return {}
    given = reading.found(arguments, _THEY)[0]
    if isinstance(given, str):
        given = reading.found(given, _THEY)[0] if given.strip() else {}
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise Invalid(["the arguments must be one JSON object"])
    return given


def _once_more(value: Any) -> Any:
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        with suppress(Invalid):
            return reading.found(value)[0]
    return value


_LONGEST = 60


def _words(schema: json_schema.Json, node: json_schema.Json) -> str:
    """Say in a few words what a value has to be."""
    node = json_schema.target(schema, node)
    if "enum" in node or "const" in node:
        values = "|".join(json.dumps(one, ensure_ascii=False) for one in node.get("enum", [node.get("const")]))
        return values if len(values) <= _LONGEST else f"{values[: _LONGEST - 1]}…"
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_words(schema, one) for one in node["anyOf"]))
    kind = str(node.get("type", "any value"))
    if kind == "array":
        return f"array of {_words(schema, node['items'])}" if node.get("items") else kind
    if kind == "object" and node.get("properties"):
        return f"object with {', '.join(node['properties'])}"
    return str(node.get("format", kind))


def parameters(function: Callable[..., Any], namespace: Mapping[str, Any] | None = None) -> Parameters:
    """Say what a function, a method, a class or any callable can be called with.

    Annotations that are text may name what is global to the function, local to the code that defines it while that
    runs, or in `namespace`. Raises CommandError for what cannot be called, and for a parameter without a schema.
    """
    inner = signatures.inner(function)
    name = str(getattr(inner, "__name__", type(inner).__name__))
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise CommandError(f"{name} has no signature to be read.", hint="Wrap it in a function of your own.") from None
    hints = signatures.hints(inner, name, namespace or {})
    text = inspect.getdoc(signatures.called(inner)) or inspect.getdoc(inner) or ""
    said = docstrings.about(text)
    fields, defaults, others = {}, {}, ""
    for key, parameter in signature.parameters.items():
        kind = _field(hints.get(key, Any), parameter, said.get(key, ""))
        many = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        optional = many or parameter.default is not parameter.empty
        if not _has_schema(kind, f"The parameter {key!r} of {name}", optional=optional):
            continue
        fields[key] = NotRequired[kind] if optional else kind
        if parameter.default is not parameter.empty:
            defaults[key] = parameter.default
        if parameter.kind is parameter.VAR_KEYWORD:
            others = key
    made = pydantic_.adapter(pydantic_.typed_dict("Arguments", fields, extra="forbid", coerce_numbers_to_str=True))
    schema = json_schema.json_schema(made, reply=False)
    schema.setdefault("properties", {})
    for key, default in defaults.items():
        if key in schema["properties"]:
            schema["properties"][key] = _with_default(schema["properties"][key], default)
    if others:
        schema["additionalProperties"] = _values_of(schema["properties"].pop(others))
    return Parameters(name, docstrings.summary(text), schema, others, signature, made)


def _field(kind: Any, parameter: inspect.Parameter, said: str) -> Any:
    """Give the type of a parameter with its description: its own, a text in Annotated, or the docstring's words."""
    words = ""
    if typing.get_origin(kind) is typing.Annotated:
        words = next((one for one in kind.__metadata__ if isinstance(one, str)), "")
        if any(getattr(one, "description", None) for one in kind.__metadata__):
            words = said = ""
    if parameter.kind is parameter.VAR_POSITIONAL:
        kind = list[kind]
    elif parameter.kind is parameter.VAR_KEYWORD:
        kind = dict[str, kind]
    elif parameter.default is None:
        kind = Optional[kind]  # noqa: UP045  # also of what has no `|`
    return pydantic_.described(kind, words or said)


def _values_of(node: json_schema.Json) -> json_schema.Json | bool:
    """Give the schema of the values of a dict, with what is said of that."""
    inner = node.get("additionalProperties", True)
    words = {"description": node["description"]} if "description" in node else {}
    if not words:
        return inner  # type: ignore[no-any-return]  # JSON
    if isinstance(inner, dict):
        return {**({"anyOf": [inner]} if "$ref" in inner else inner), **words}
    return words


def _has_schema(kind: Any, what: str, *, optional: bool) -> bool:
    try:
        with pydantic_.refused(what):
            json_schema.json_schema(pydantic_.adapter(kind, what), reply=False)
    except CommandError as exc:
        if not optional:
            raise CommandError(exc.message, hint=_HINT) from None
        return False
    return True


def _with_default(node: json_schema.Json, default: Any) -> json_schema.Json:
    """Tell the default where JSON can hold it."""
    from pydantic_core import to_jsonable_python

    try:
        value = json.loads(json.dumps(to_jsonable_python(default), allow_nan=False))
    except (TypeError, ValueError):
        return node
    if "$ref" in node:
        node = {"anyOf": [node]}
    return {**node, "default": value}
