"""`kimi_magic.describe`: what is sent of an object, and how others say what is sent of theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kimi_magic.context import describers, kinds
from kimi_magic.context.description import ROOM, Description, Look
from kimi_magic.context.guard import Guard

__all__ = ["Describe"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Describe:
    """Gives what is sent of an object; `register` says how objects of a class are described.

    `guard` makes the guard that is asked what is private. A describer is a function of the object (and of the `Look`,
    where it takes two) that gives text, a `Description`, or another object that stands for it.

        @kimi_magic.describe.register(Measurement)
        def _(measurement):
            return measurement.to_frame()
    """

    def __init__(self, guard: Callable[[], Guard] = Guard) -> None:
        self.guard = guard

    def __call__(
        self,
        obj: object,
        *,
        rows: int | None = None,
        columns: Sequence[str] | str = (),
        full: bool = False,
        room: int = ROOM,
    ) -> Description:
        """Describe an object as it is for a question: in at most `room` characters of text, and its pictures."""
        wanted = (columns,) if isinstance(columns, str) else tuple(columns)
        look = Look(self.guard(), rows=rows, columns=wanted, full=full, room=room)
        return kinds.describe(obj, look)

    def register(self, kind: type | str, describer: Function | None = None) -> Any:
        """Describe objects of a class, or of the class with a dotted name, by a function; also a decorator."""
        if describer is None:
            return lambda function: self.register(kind, function)
        describers.add(kind, describer)
        return describer

    def unregister(self, kind: type | str) -> None:
        """Describe objects of a class as before; raises CommandError where nothing was registered for it."""
        describers.remove(kind)
