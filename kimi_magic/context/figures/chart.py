"""What a chart of any library is made into, and how the things that are drawn in it are said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kimi_magic.context.description import Look
from kimi_magic.context.figures.data import digest, named
from kimi_magic.context.figures.watch import Watch

__all__ = ["Chart", "Drawn", "drawn_line", "drawn_lines"]

_MOST = 30  # things in one chart, or in one axes, that are said

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of any library: its name in words, what it shows in lines, and how to draw it as an image file."""

    name: str
    lines: Callable[[Look, Watch], list[str]]
    draw: Callable[[Look], bytes]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One thing in a chart: its kind, its label, its data by name, and what is to be said besides."""

    kind: str
    label: str
    data: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def drawn_line(drawn: Drawn, look: Look, *, private: bool) -> str:
    """Say what a thing shows; of a private one, only what it is."""
    name = named(drawn.kind, drawn.label, look)
    if private:
        return f"{name}: data withheld"
    told = [drawn.note] if drawn.note else []
    told += [digest(drawn.data, look)] if drawn.data else []
    return f"{name}: {'; '.join(told)}" if told else name


def drawn_lines(things: Sequence[Thing], line: Callable[[Thing], str]) -> list[str]:
    """Give the lines of the first things, indented, and say how many more there are."""
    lines = [f"  {line(thing)}" for thing in things[:_MOST]]
    return [*lines, f"  … and {len(things) - _MOST} more"] if len(things) > _MOST else lines
