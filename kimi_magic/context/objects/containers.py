"""What lies in a dict, list, set or record, taken by its base class: a subclass's own methods are never called."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.objects.saying import canonical, counted, said, static, type_name

__all__ = ["Contents", "Mark", "contents", "holds_values", "is_enum", "scalar"]


def holds_values(obj: object) -> bool:
    """Whether its own repr would show what lies in it, under names that may be private."""
    made = any(static(obj, name) is not None for name in ("__dataclass_fields__", "__attrs_attrs__", "model_fields"))
    return made or issubclass(type(obj), (dict, set, frozenset, list, tuple, deque))


def is_enum(obj: object) -> bool:
    """Whether it is a member of an enum, which may be a str or an int as well."""
    return issubclass(type(obj), Enum)


def scalar(obj: object) -> str | None:
    """Write a number, a date, a member of an enum and the like as Python does; None for anything else."""
    kind = type(obj)
    if obj is None or kind is bool or obj is Ellipsis or obj is NotImplemented:
        return repr(obj)
    if is_enum(obj):
        return f"{type_name(obj)}.{obj._name_}" if obj._name_ else said(obj)  # type: ignore[attr-defined]  # of Enum
    if issubclass(kind, int):
        return _integer(obj)  # type: ignore[arg-type]  # checked on the type, for proxies lie about theirs
    if issubclass(kind, float):
        return float.__repr__(obj)
    if any(cls.__module__ == "numpy" and cls.__name__ == "generic" for cls in kind.__mro__):
        value = obj.item()  # type: ignore[attr-defined]  # of numpy.generic
        odd = type(value) is kind or kind.__name__ in ("datetime64", "timedelta64")  # whose items may be bare numbers
        return said(obj, str) if odd else scalar(value)
    if kinds.roots(obj) & {"datetime", "decimal", "fractions", "uuid", "pathlib"} or issubclass(kind, complex | range):
        return said(obj, str)
    return None


def _integer(number: int) -> str:
    try:
        return int.__repr__(number)
    except ValueError:  # Python refuses to write more than some thousand digits
        return f"an integer of {number.bit_length():,} bits"


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in a container: `pairs` has keys, `label` is the type where an object is shown as one would be."""

    shape: str
    size: int
    first: Any
    last: Any
    pairs: bool = False
    label: str = ""


def contents(obj: object) -> Contents | None:
    """Look into a container or a record; None for anything else."""
    kind = type(obj)
    if issubclass(kind, Enum | type):
        return None
    if (record := _record(obj)) is not None:
        label = "" if issubclass(kind, tuple | dict) else type_name(obj)
        return _listed(record, counted(len(record), "field"), pairs=True, label=label)
    if issubclass(kind, dict):
        base: Any = OrderedDict if issubclass(kind, OrderedDict) else dict
        items = base.items(obj)
        return Contents(counted(len(items), "key"), len(items), items.__iter__, items.__reversed__, pairs=True)
    if issubclass(kind, set | frozenset):
        members = sorted(obj, key=canonical)  # type: ignore[call-overload]  # a set
        return _listed(members, counted(len(members), "item"))
    if issubclass(kind, list | tuple):
        return _listed(obj, counted(_length(obj), "item"))
    if issubclass(kind, deque):
        queue: Any = obj
        size = deque.__len__(queue)
        return Contents(counted(size, "item"), size, lambda: deque.__iter__(queue), lambda: deque.__reversed__(queue))
    if kind.__name__ in ("dict_keys", "dict_values", "dict_items") and kind.__module__ == "builtins":
        return _listed(tuple(obj), counted(len(obj), "item"))  # type: ignore[arg-type]  # views
    return None


def _length(obj: Any) -> int:
    return list.__len__(obj) if issubclass(type(obj), list) else tuple.__len__(obj)


def _listed(items: Any, shape: str, *, pairs: bool = False, label: str = "") -> Contents:
    """Take a list or tuple by its base class, whatever a subclass does."""
    base: Any = list if issubclass(type(items), list) else tuple
    size = _length(items)
    return Contents(
        shape,
        size,
        lambda: base.__iter__(items),
        lambda: (base.__getitem__(items, n) for n in range(size - 1, -1, -1)),
        pairs,
        label,
    )


def _record(obj: object) -> list[tuple[str, object]] | None:
    """Give the fields of a dataclass, a pydantic model, an attrs object or a named tuple; None for anything else.

    Fields whose author left them out of the repr keep their value.
    """
    names: Iterable[tuple[str, bool]]
    if type(obj).__name__ in ("SimpleNamespace", "Namespace") and kinds.roots(obj) <= {"types", "argparse"}:
        return list(vars(obj).items())
    if issubclass(type(obj), tuple) and isinstance(found := static(obj, "_fields"), tuple):
        return list(zip(map(str, found), tuple.__iter__(obj), strict=False))  # type: ignore[arg-type]
    if static(obj, "__dataclass_fields__") is not None and is_dataclass(obj):
        names = [(field.name, field.repr) for field in fields(obj)]
    elif "pydantic" in kinds.roots(obj) and (model := _pydantic_fields(obj)) is not None:
        names = model
    elif (found := static(obj, "__attrs_attrs__")) is not None:
        names = [(field.name, bool(field.repr)) for field in found]
    else:
        return None
    return [(name, _field(obj, name) if shown else Mark("left out of its repr")) for name, shown in names]


def _pydantic_fields(obj: object) -> list[tuple[str, bool]] | None:
    for name in ("__pydantic_fields__", "__fields__"):
        found = static(obj, name)
        if isinstance(found, dict):
            fields = [
                (key, getattr(field, "repr", True) and not getattr(field, "exclude", None))
                for key, field in found.items()
            ]
            extra = getattr(obj, "__pydantic_extra__", None) or {}
            return [*fields, *((key, True) for key in extra)]
    return None


def _field(obj: object, name: str) -> object:
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        extra = getattr(obj, "__pydantic_extra__", None)
        return extra[name] if isinstance(extra, dict) and name in extra else Mark("not set")


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands for a field that has no value to show."""

    words: str
