"""A type written as text, `list[Row]`, looked up in the user's namespace. Nothing is evaluated: no calls, no code."""

from __future__ import annotations

import ast
import typing
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

__all__ = ["KNOWN", "NotAType", "is_type", "resolved"]

KNOWN: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, bytes, list, dict, tuple, set, frozenset)},
    **{kind.__name__: kind for kind in (date, datetime, time, timedelta, Decimal, UUID)},
    "Any": Any,
    "Annotated": Annotated,
    "Literal": Literal,
    "Optional": Optional,
    "Union": Union,
}
"""What a name means that the user has not given to a type of his own."""


class NotAType(Exception):
    """The text is no type; `name` is the name in it that means nothing, empty where the text is no expression."""

    def __init__(self, what: str, name: str = "") -> None:
        super().__init__(what)
        self.name = name


def is_type(value: object) -> bool:
    """Whether it can stand for a type: a class, or something that typing made."""
    if value is None or isinstance(value, type | NewType) or typing.get_origin(value) is not None:
        return True
    return type(value).__module__ in ("typing", "typing_extensions")


def resolved(text: str, namespace: Mapping[str, Any]) -> Any:
    """Give the type that a text names: names, attributes, subscripts, `|`, None and literals. Raises NotAType."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _Reader(namespace).type(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NotAType(f"{text!r} is not a type") from None


class _Reader:
    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = namespace

    def type(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(name):
                return self.named(name)
            case ast.Constant(None):
                return None
            case ast.Attribute(inner, name):
                return self.attribute(inner, name)
            case ast.BinOp(left, ast.BitOr(), right):
                return Union[self.type(left), self.type(right)]  # noqa: UP007  # also of what has no `|` of its own
            case ast.Subscript(of, index):
                return self.subscript(self.type(of), index)
        raise NotAType(f"{ast.unparse(node)!r} is not a type")

    def named(self, name: str) -> Any:
        for names in (self.namespace, KNOWN):
            if name in names and is_type(names[name]):
                return names[name]
        raise NotAType(f"{name!r} is not a type", name)

    def attribute(self, inner: ast.expr, name: str) -> Any:
        text = ast.unparse(inner)
        holder = self.namespace.get(text) if isinstance(inner, ast.Name) else None
        if not isinstance(holder, ModuleType):
            holder = self.module(inner) if isinstance(inner, ast.Attribute) else self.type(inner)
        found = getattr(holder, name, Ellipsis) if isinstance(holder, type | ModuleType) else Ellipsis
        if found is Ellipsis or not is_type(found):
            raise NotAType(f"{text}.{name} is not a type", name)
        return found

    def module(self, node: ast.Attribute) -> Any:
        """Give what a dotted name means that may be a module in a module, or a class in a class."""
        match node.value:
            case ast.Name(name) if isinstance(self.namespace.get(name), ModuleType):
                holder = self.namespace[name]
            case ast.Attribute() as inner:
                holder = self.module(inner)
            case other:
                holder = self.type(other)
        found = getattr(holder, node.attr, None) if isinstance(holder, type | ModuleType) else None
        if not isinstance(found, type | ModuleType):
            raise NotAType(f"{ast.unparse(node)} is not a type", node.attr)
        return found

    def subscript(self, of: Any, index: ast.expr) -> Any:
        items = index.elts if isinstance(index, ast.Tuple) else [index]
        if of is Literal:
            inner = tuple(ast.literal_eval(item) for item in items)
        elif of is Annotated:
            inner = (self.type(items[0]), *(ast.literal_eval(item) for item in items[1:]))
        else:
            inner = tuple(
                ... if isinstance(item, ast.Constant) and item.value is ... else self.type(item) for item in items
            )
        if not (hasattr(of, "__class_getitem__") or of in (Literal, Annotated, Optional, Union) or _is_generic(of)):
            raise NotAType(f"{of!r} takes no types in brackets")
        try:
            return of[inner if len(inner) != 1 else inner[0]]
        except (TypeError, AttributeError) as exc:
            raise NotAType(str(exc)) from None


def _is_generic(of: object) -> bool:
    return typing.get_origin(of) is not None or type(of).__module__ in ("typing", "typing_extensions")
