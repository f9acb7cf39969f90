"""What a reply has to be: the schema that is sent, and the check of what came back.

Services want an object at the root of a schema, so anything else is wrapped, as {"rows": […]} or {"value": …}, and
unwrapped again. A reply that the model did not wrap is taken as well.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError
from kimi_magic.schema import fields, json_schema, pydantic_, reading
from kimi_magic.schema import like as likes
from kimi_magic.schema.frame import frame, hints
from kimi_magic.schema.invalid import Invalid, reasons

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Output", "output"]

_VALUE = "value"
_AT_ONCE = 10_000
_ENOUGH = 100
_HOPELESS = 10_000
_MANY = (list, tuple, set, frozenset, Sequence, Collection, Iterable, AbstractSet)


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What a reply has to be.

    `schema` is the JSON Schema of the wrapped value and `name` a name for it, of letters, digits, - and _. `rows` says
    that the value is a list of objects.
    """

    name: str
    schema: json_schema.Json
    rows: bool
    _adapter: TypeAdapter[Any] = field(repr=False)
    _row: TypeAdapter[Any] | None = field(repr=False)
    _key: str = field(repr=False)
    _kind: Any = field(repr=False)
    _like: Any = field(repr=False)
    _fields: Mapping[str, Any] = field(repr=False)

    @property
    def instruction(self) -> str:
        """The schema in words, for a service that does not take one."""
        schema = json.dumps(self.schema, ensure_ascii=False, separators=(",", ":"))
        return f"Reply with JSON only: no words around it, no code fence. It must match this JSON Schema:\n{schema}"

    def parse(self, text: str) -> Any:
        """Give the value that a reply stands for; raises Invalid with the reasons where it is none."""
        why: Invalid | None = None
        for value in reading.found(text):
            for inner, root in self._unwrapped(value):
                try:
                    return self._checked(inner, root)
                except Invalid as exc:
                    why = why or exc
        raise why or Invalid(["the reply is empty"])

    def partial(self, text: str) -> list[Any]:
        """Give the valid rows that are complete in a reply which is still on its way; empty for what is no list."""
        return [row for row in self._elements(text) if not isinstance(row, Invalid)]

    def salvage(self, text: str) -> tuple[list[Any], list[str]]:
        """Give the valid rows of a reply, perhaps a cut one, and why others are not valid (`rows[2].age: …`)."""
        rows: list[Any] = []
        errors: list[str] = []
        for row in self._elements(text):
            if isinstance(row, Invalid):
                errors += row.reasons
            else:
                rows.append(row)
        if not rows and not errors:
            try:
                self.parse(text)
            except Invalid as exc:
                errors += exc.reasons
        return rows, errors

    @property
    def columns(self) -> Mapping[str, Any]:
        """Names and types of the columns that a whole reply fills: its fields, or "value" where it has none."""
        one: Any = self._kind
        return self._fields or {_VALUE: one if self._row is None else list[one]}

    def record(self, value: Any) -> Mapping[str, Any]:
        """Give what a whole reply puts into its `columns`."""
        if self._fields:
            return _record(value, self._adapter)
        return {_VALUE: self._adapter.dump_python(value, warnings=False)}

    def frame(self, rows: Sequence[Any]) -> Any:
        """Make a dataframe of rows that were checked: of the library of `like`, else pandas or polars."""
        row = self._row or self._adapter
        records = [_record(one, row) for one in rows]
        return frame(records, hints(self._kind) if self.rows or not self._row else {"value": self._kind}, self._like)

    def _checked(self, inner: Any, root: str) -> Any:
        """Check a value; of a very long list first each row, so that a million errors are not collected."""
        if self._row is not None and isinstance(inner, list) and len(inner) > _AT_ONCE:
            wrong = (row for row in _rows(self._row, inner, root) if isinstance(row, Invalid))
            if found := list(islice(wrong, _ENOUGH)):
                raise Invalid([reason for one in found for reason in one.reasons])
        return _valid(self._adapter, inner, root)

    def _unwrapped(self, value: Any) -> Iterator[tuple[Any, str]]:
        if not self._key:
            yield value, ""
        elif isinstance(value, dict) and self._key in value:
            yield value[self._key], self._key
        elif isinstance(value, dict) and len(value) == 1 and isinstance(inner := next(iter(value.values())), list):
            yield inner, next(iter(value))
            yield value, ""
        else:
            yield value, "" if not self._row else self._key

    def _elements(self, text: str) -> Iterator[Any]:
        """Give each complete row of a text, and an Invalid for what is not valid."""
        return _rows(self._row, reading.elements(text, self._key), self._key) if self._row else iter(())


def _rows(kind: TypeAdapter[Any], elements: Iterable[Any], root: str) -> Iterator[Any]:
    """Give each element checked, and an Invalid for one that is not valid; of a hopeless list not all."""
    wrong = 0
    for n, element in enumerate(elements):
        yield (row := _row(kind, element, f"{root}[{n}]"))
        wrong += isinstance(row, Invalid)
        if wrong == _HOPELESS:
            yield Invalid([f"{root}[{n + 1}]: is not read, nor is the rest: too much is wrong"])
            return


def _row(kind: TypeAdapter[Any], element: Any, place: str) -> Any:
    if isinstance(element, reading.Garbled):
        return Invalid([f"{place}: {element.what}"])
    try:
        return _valid(kind, element, place)
    except Invalid as exc:
        return exc


def _valid(kind: TypeAdapter[Any], data: Any, root: str) -> Any:
    """Check decoded JSON; as text again, because pydantic takes more from JSON than from Python objects."""
    from pydantic import ValidationError

    try:
        return kind.validate_json(json.dumps(data))
    except ValidationError as exc:
        raise Invalid(reasons(exc, data, root)) from None
    except Exception as exc:  # noqa: BLE001  # validators of the user's own; a deep nest
        raise Invalid([f"{root or 'the value'}: {type(exc).__name__}: {exc}"]) from None


def _record(row: Any, kind: TypeAdapter[Any]) -> Mapping[str, Any]:
    if isinstance(row, tuple) and hasattr(row, "_asdict"):
        return dict(row._asdict())
    made = kind.dump_python(row, warnings=False)
    return made if isinstance(made, dict) else {"value": made}


def output(
    wanted: object,
    like: object = None,
    namespace: Mapping[str, Any] | None = None,
    *,
    private: Callable[[object], bool] = lambda _: False,
) -> Output:
    """Say what a reply has to be: a type, a text that names or describes one (`fields`), or rows like a dataframe's.

    `namespace` is where names in a text are looked up; columns that are `private` are left out of `like`. Raises
    CommandError for what no reply can be.
    """
    table = None
    if like is not None:
        if wanted is not None:
            raise CommandError("A type is given, and a dataframe to be like.", hint="Give one of the two.")
        kept = likes.columns(like, private)
        wanted = list[likes.row(like, set(kept.values()))]  # type: ignore[misc]  # made at run time
        table = like
    elif isinstance(wanted, str):
        try:
            wanted = fields.written(wanted, namespace or {})
        except RecursionError:
            raise CommandError("The type is nested too deeply.", hint="Define it in Python.") from None
    what = pydantic_.type_name(wanted)
    with pydantic_.refused(what):
        whole = pydantic_.adapter(wanted)
        schema = json_schema.json_schema(whole, reply=True)
        kind = _item(wanted)
        row = None if kind is None else pydantic_.adapter(kind)
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    rows = row is not None and json_schema.is_object(definitions, schema.get("items", {}))
    key = "" if schema.get("type") == "object" else "rows" if rows else "value"
    if key:
        schema = {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", what).strip("_")[:64] or "value"
    named = hints(wanted) if kind is None and not key else {}
    kind = wanted if kind is None else kind
    return Output(name, {**schema, **definitions}, rows, whole, row, key, kind, table, named)


def _item(kind: Any) -> Any:
    """Give the type of the elements, where a type is that of any number of equal ones; else None."""
    while (alias := type(kind).__name__ == "TypeAliasType") or typing.get_origin(kind) is typing.Annotated:
        kind = kind.__value__ if alias else typing.get_args(kind)[0]
    arguments = [one for one in typing.get_args(kind) if one is not ...]
    return arguments[0] if typing.get_origin(kind) in _MANY and len(arguments) == 1 else None
