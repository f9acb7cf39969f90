"""The JSON Schema of a type, as services take it and models read it best: closed, short, the same bytes each time.

Kept within what llama.cpp's grammars, xgrammar (vLLM) and OpenAI's strict mode have in common: no oneOf, nothing
beside a $ref, no patterns and formats that make them refuse. A definition that is used once stands where it is used;
one that is used twice, or in itself, stays under $defs, so that a schema never grows by it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from kimi_magic.schema.pydantic_ import pydantic

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Json", "is_object", "json_schema", "target"]

Json = dict[str, Any]

_REF = "#/$defs/"
_FORMATS = {"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_UNHEARD = {"title", "discriminator", "uniqueItems", "contentMediaType", "contentEncoding", "deprecated", "writeOnly"}
_DECIMAL = {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?$"}
_NO_GRAMMAR = re.compile(r"\(\?|\\[1-9bBAZzkpP]|(?<=[^\\\[])[$^].|^[^^]|[^$]$|\\\$$")
"""Look-around, back references, anchors inside of a pattern, and patterns that match a part of the text only."""


def json_schema(adapter: TypeAdapter[Any], *, reply: bool) -> Json:
    """Give the schema of a type; of a `reply` every property is required and nothing has a default.

    A property of a TypedDict that is NotRequired stays so.
    """
    schema = adapter.json_schema(schema_generator=_generator(reply), mode="validation")
    definitions = schema.pop("$defs", {})
    tight = {_REF + name: _tightened(one, reply=reply) for name, one in definitions.items()}
    return _placed(_tightened(schema, reply=reply), tight)


def target(schema: Json, node: Json) -> Json:
    """Follow a node's $ref."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].removeprefix(_REF)]
    return node


def is_object(schema: Json, node: Json) -> bool:
    """Whether all that a node allows are objects."""
    node = target(schema, node)
    some = node.get("anyOf", [])
    return node.get("type") == "object" or (len(some) > 0 and all(is_object(schema, one) for one in some))


@cache
def _generator(reply: bool) -> Any:  # noqa: FBT001  # a key of a cache
    from pydantic.json_schema import GenerateJsonSchema

    pydantic()

    class Generator(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # pydantic's

        def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001  # pydantic's
            has_default = field["schema"]["type"] == "default"
            return (reply and has_default) or bool(super().field_is_required(field, total))

        def named_tuple_schema(self, schema: Any) -> Any:
            """Describe a NamedTuple by its names; pydantic takes it so as well."""
            made = self.kw_arguments_schema(schema["fields"], None)
            return {**made, "required": list(made["properties"])} if reply else made

        def arguments_schema(self, schema: Any) -> Any:
            """Do the same before pydantic 2.14, to which a NamedTuple is a call."""
            return self.named_tuple_schema({"fields": schema["arguments_schema"]})

        def enum_schema(self, schema: Any) -> Any:
            """Name the members where their values say nothing, as those of auto() do."""
            made = super().enum_schema(schema)
            if not all(isinstance(value, int) for value in made.get("enum", [""])):
                return made
            names = ", ".join(f"{member.value}: {member.name}" for member in schema["members"])
            said = made.get("description")
            return {**made, "description": f"{said} ({names})" if said else names}

        def decimal_schema(self, schema: Any) -> Any:  # noqa: ARG002  # pydantic's
            """Describe a Decimal as text: as a number it would lose digits."""
            return dict(_DECIMAL)

        def bytes_schema(self, schema: Any) -> Any:  # noqa: ARG002  # pydantic's
            return {"type": "string"}

    return Generator


def _tightened(node: Any, *, reply: bool) -> Any:
    """Make one schema, and all in it, closed and short."""
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if key not in _UNHEARD and not (reply and key == "default")}
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")
    if node.get("format") not in _FORMATS:
        node.pop("format", None)
    if "pattern" in node and _NO_GRAMMAR.search(node["pattern"]):
        words = f"matches the regular expression {node.pop('pattern')}"
        node["description"] = f"{node['description']} ({words})" if "description" in node else words
    if "properties" in node:
        node.setdefault("additionalProperties", False)
    if not node.get("$ref", _REF).startswith(_REF):
        del node["$ref"]  # no service fetches one
    if "$ref" in node and len(node) > 1:
        node["anyOf"] = [{"$ref": node.pop("$ref")}]
    return _mapped(node, lambda inner: _tightened(inner, reply=reply))


_MAPS = ("properties", "patternProperties")
_LISTS = ("anyOf", "allOf", "prefixItems")
_ONE = ("items", "additionalProperties", "propertyNames", "not")


def _mapped(node: Json, change: Callable[[Any], Any]) -> Json:
    """Change every schema that stands directly in this one."""
    out = dict(node)
    for key in _MAPS:
        if key in out:
            out[key] = {name: change(inner) for name, inner in out[key].items()}
    for key in _LISTS:
        if key in out:
            out[key] = [change(inner) for inner in out[key]]
    for key in _ONE:
        if isinstance(out.get(key), dict):
            out[key] = change(out[key])
    return out


def _refs(node: Json) -> Iterator[str]:
    found: list[str] = []

    def look(inner: Json) -> Json:
        if "$ref" in inner:
            found.append(inner["$ref"])
        return _mapped(inner, look)

    look(node)
    yield from found


def _placed(root: Json, definitions: dict[str, Json]) -> Json:
    """Put definitions that are used once where they are used, and a definition that is the root at the root."""
    uses = Counter(ref for node in (root, *definitions.values()) for ref in _refs(node))
    inner = {ref: set(_refs(node)) for ref, node in definitions.items()}
    once = {ref for ref, count in uses.items() if count == 1 and not _reaches(ref, ref, inner)}

    def place(node: Json) -> Json:
        if "$ref" in node and node["$ref"] in once:
            return place(definitions[node["$ref"]])
        if len(node.get("anyOf", ())) == 1 and node["anyOf"][0].get("$ref") in once:
            words = {key: value for key, value in node.items() if key != "anyOf"}
            return {**place(definitions[node["anyOf"][0]["$ref"]]), **words}
        if isinstance(keys := node.get("propertyNames"), dict):
            return place(_spelled(node, definitions.get(keys.get("$ref", ""), keys)))
        return _mapped(node, place)

    if "$ref" in root:
        root = {**definitions[root["$ref"]]}
    placed = place(root)
    kept = {ref.removeprefix(_REF): place(node) for ref, node in definitions.items() if ref not in once}
    used = {ref.removeprefix(_REF) for node in (placed, *kept.values()) for ref in _refs(node)}
    kept = {name: node for name, node in kept.items() if name in used}
    return {**placed, "$defs": kept} if kept else placed


def _spelled(node: Json, keys: Json) -> Json:
    """Spell out the properties of a dict whose keys are known; grammars know nothing of propertyNames."""
    inner = node.get("additionalProperties", {})
    node = {key: value for key, value in node.items() if key != "propertyNames"}
    names = [keys["const"]] if "const" in keys else keys.get("enum", ())
    if not names or not all(isinstance(name, str) for name in names):
        return node
    return {**node, "properties": dict.fromkeys(names, inner), "additionalProperties": False}


def _reaches(start: str, goal: str, inner: dict[str, set[str]]) -> bool:
    seen: set[str] = set()
    open_ = list(inner[start])
    while open_:
        ref = open_.pop()
        if ref == goal:
            return True
        if ref not in seen:
            seen.add(ref)
            open_ += inner[ref]
    return False
