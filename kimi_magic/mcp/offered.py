"""What a server offers → tools: its own schemas, which also check the arguments, under names that the service takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kimi_magic.context.description import shortened
from kimi_magic.schema.invalid import Invalid
from kimi_magic.schema.parameters import decoded
from kimi_magic.tools.functions import Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from mcp.types import Tool as McpTool

__all__ = ["Declared", "declared", "tool"]

_LONGEST_NAME = 64
_LONGEST_DESCRIPTION = 4_000


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """A tool as its server declares it; `schema`, `description` and `validate` are what a Tool wants of parameters.

    `own` is the name that its server knows, `name` the one that the model is told, `harmless` says that by the
    server's own word it changes nothing.
    """

    own: str
    name: str
    description: str
    schema: dict[str, Any]
    harmless: bool
    _validator: Validator = field(repr=False)

    def validate(self, arguments: str | Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check arguments by the server's schema; raises Invalid with words that a model can act on."""
        given = decoded(arguments)
        try:
            errors = list(self._validator.iter_errors(given))
        except Exception as error:  # noqa: BLE001  # a reference that leads nowhere; nothing is fetched
            raise Invalid([f"the server's schema cannot be used: {type(error).__name__}"]) from None
        if errors:
            raise Invalid([_reason(error) for error in errors], self._known)
        return (), given

    @property
    def _known(self) -> str:
        required = self.schema.get("required", ())
        names = [f"{name}{'' if name in required else ' (optional)'}" for name in self.schema["properties"]]
        return f"{self.name} takes {', '.join(names) or 'no arguments'}"


def _reason(error: Any) -> str:
    where = error.json_path.removeprefix("$").removeprefix(".")
    return f"{where}: {error.message}" if where else str(error.message)


def declared(server: str, tools: Sequence[McpTool]) -> tuple[tuple[Declared, ...], tuple[str, ...]]:
    """Read what a server offers; gives the tools, and the names of those whose schema is none."""
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    found: dict[str, Declared] = {}
    refused: list[str] = []
    for one in tools:
        schema = {"type": "object", "properties": {}} | dict(one.input_schema)
        kind = validator_for(schema)
        try:
            kind.check_schema(schema)
        except SchemaError:
            refused.append(one.name)
            continue
        name = _free(f"{server}_{one.name}", found)
        about = shortened(one.description or one.title or "", _LONGEST_DESCRIPTION, what="characters left out")
        harmless = bool(one.annotations and one.annotations.read_only_hint)
        # An empty registry: nothing that a schema refers to is fetched.
        found[name] = Declared(one.name, name, about, schema, harmless, kind(schema, registry=Registry()))
    return tuple(found.values()), tuple(refused)


def _free(name: str, taken: Mapping[str, object]) -> str:
    """Give a name that the service takes and that no other tool of the server has."""
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    ends = ("", *(f"_{n}" for n in range(2, len(taken) + 3)))
    return next(free for end in ends if (free := name[: _LONGEST_NAME - len(end)] + end) not in taken)


def tool(offer: Declared, call: Callable[[dict[str, Any]], object], timeout: float) -> Tool:
    """Make the Tool; the user is asked before each call, unless the server says that it only reads."""

    def function(**arguments: Any) -> object:
        return call(arguments)

    return Tool(offer.name, function, approve=not offer.harmless, timeout=timeout, declared=offer)
