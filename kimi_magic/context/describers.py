"""Describers that others have registered for their classes: in this kernel, or by an entry point of a package.

An entry point of the group `kimi_magic.describers` has a class's dotted name for its name and is loaded only when an
object of that class is met: `"mylib.Thing" = "mylib.kimi:describe_thing"`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Describer", "add", "find", "remove"]

GROUP = "kimi_magic.describers"

Describer = Callable[..., Any]
"""Takes the object, and the Look where it has a second parameter; gives text, a Description or another object."""

_added: dict[type | str, Describer] = {}


def add(kind: type | str, describer: Describer) -> None:
    """Register a describer for a class or its dotted name, in place of any other; raise CommandError for neither."""
    if not isinstance(kind, type) and "." not in str(kind):
        raise CommandError(
            f"{kind!r} is neither a class nor the dotted name of one.", hint='Such as MyType, or "mylib.MyType".'
        )
    if not callable(describer):
        raise CommandError(f"{describer!r} cannot describe: it is no function.", hint="Give a function of the object.")
    _added[kind] = describer


def remove(kind: type | str) -> None:
    """Take a registered describer away again; raise CommandError where there is none."""
    if _added.pop(kind, None) is None:
        raise CommandError(f"No describer is registered for {kind!r}.", hint=f"There are: {_names() or 'none'}.")


def _names() -> str:
    return ", ".join(sorted(kind if isinstance(kind, str) else kind.__qualname__ for kind in _added))


def find(kind: type) -> Describer | None:
    """Give the describer of a class or the nearest of its bases: one that was registered, else a package's."""
    for cls in kind.__mro__:
        for known, describer in _added.items():
            if known is cls or (isinstance(known, str) and _is(cls, known)):
                return describer
    if kind.__module__ == "builtins":
        return None
    for cls in kind.__mro__[:-1]:
        for entry in _entry_points():
            if _is(cls, entry.name):
                return _load(entry)
    return None


def _is(cls: type, name: str) -> bool:
    """Whether a dotted name is that of a class, or one by which its library gives it out; imports nothing."""
    if name == f"{cls.__module__}.{cls.__qualname__}":
        return True
    module, _, last = name.rpartition(".")
    return getattr(sys.modules.get(module), "__dict__", {}).get(last) is cls


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)))


def _load(entry: EntryPoint) -> Describer:
    package = entry.dist.name if entry.dist is not None else entry.value
    try:
        describer = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CommandError(
            f"The describer of {entry.name}, from the package {package}, cannot be loaded: {type(error).__name__}.",
            hint=f"Update or remove {package}; its entry point is {entry.value}.",
        ) from error
    if not callable(describer):
        raise CommandError(f"The describer of {entry.name}, from the package {package}, is no function.")
    return describer  # type: ignore[no-any-return]  # any callable
