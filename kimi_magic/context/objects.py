"""Anything that has no kind of its own."""

from __future__ import annotations

from kimi_magic.context.description import Description, Look

__all__ = ["brief", "describe"]


def describe(obj: object, look: Look) -> Description | None:
    """Describe any object."""
    return Description.of(type(obj).__name__, look.text(repr(obj)))


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what it is."""
    return f"{type(obj).__name__} {look.word(repr(obj))}"
