"""Whether a value that was read from a file is what its type says, all the way down: for frozen values of ours."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["fits"]


def fits(value: Any, type_: Any) -> bool:
    """Whether a value is of this type: a dataclass, a tuple, a union, a Literal or a plain one.

    Every number of our values is finite and at least 0, so that is asked as well.
    """
    origin, inner = get_origin(type_), get_args(type_)
    if type_ in (Any, object):
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        return isinstance(value, tuple) and _each_fits(value, inner)
    if isinstance(type_, type) and is_dataclass(type_):
        types = _types(type_)
        return isinstance(value, type_) and all(
            fits(getattr(value, one.name), types[one.name]) for one in fields(type_)
        )
    if type_ in (int, float):
        number = isinstance(value, (int, type_)) and not isinstance(value, bool)
        return number and 0 <= value < math.inf
    return isinstance(value, type_)


def _each_fits(value: tuple[Any, ...], types: tuple[Any, ...]) -> bool:
    if types[1:] == (...,):
        return all(fits(one, types[0]) for one in value)
    return len(value) == len(types) and all(map(fits, value, types))


@cache
def _types(type_: type) -> dict[str, Any]:
    return get_type_hints(type_)
