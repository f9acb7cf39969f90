"""Anything that is no table, array, picture or figure: text, values, containers, code, models, any object at all."""

from __future__ import annotations

from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects import code, containers, nested, summaries
from kimi_magic.context.objects.saying import counted, first_line, legible, public_vars, said, static, type_name

__all__ = ["brief", "describe"]

_ATTRIBUTES, _METHODS = 40, 30


def describe(obj: object, look: Look) -> Description:
    """Describe any object: kind "text" for a str, "error" for an exception, else what it is or its type's name."""
    for known in (_text, _scalar, _failure, code.describe, summaries.describe, nested.describe, _plain):
        try:
            description = known(obj, look)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112  # the user's own class, at odds with itself: the next has less to ask
            continue
        if description is not None:
            return description
    return Description.of(look.word(type_name(obj)), look.text(legible(_last_words(obj))))


def brief(obj: object, look: Look) -> str:
    """Say in one line what an object is: its type, its size and a short value."""
    for known in (_brief_value, _brief_failure, code.brief, summaries.brief, nested.brief, _brief_plain):
        try:
            line = known(obj, look)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112
            continue
        if line is not None:
            return line
    return look.word(_last_words(obj), min(look.room, 160))


def _last_words(obj: object) -> str:
    """Say what can be said of what could not be looked into."""
    return f"<{type_name(obj)}, which cannot be read>" if containers.holds_values(obj) else said(obj)


def _text(obj: object, look: Look) -> Description | None:
    if not issubclass(type(obj), str) or containers.is_enum(obj):
        return None
    text = str.__str__(obj)
    sent = look.text(legible(text))
    cut = len(text) > look.room
    return Description.of(
        "text", sent, shape=counted(len(text), "character"), omitted="the middle of the text" if cut else ""
    )


def _scalar(obj: object, look: Look) -> Description | None:
    word = containers.scalar(obj)
    return None if word is None else Description.of(look.word(type_name(obj)), look.text(legible(word)))


def _failure(obj: object, look: Look) -> Description | None:
    from kimi_magic.context import failures

    return failures.describe_failure(obj, look) if isinstance(obj, BaseException) else None


def _plain(obj: object, look: Look) -> Description | None:
    """Describe an object by its own repr or, where it has none, by its public attributes."""
    kind = look.word(type_name(obj))
    if containers.holds_values(obj):
        return None
    attributes = public_vars(obj)
    if static(obj, "__repr__") is not object.__repr__ and not any(look.hides(name) for name in attributes):
        text = said(obj)
        return Description.of(
            kind, look.text(legible(text)), omitted="parts of its repr" if len(text) > look.room else ""
        )
    doc = first_line(static(obj, "__doc__")) if type(obj) is not object else ""
    lines = [f"{type_name(obj)} object" + (f": {doc}" if doc else "")]
    withheld = [name for name in attributes if look.hides(name)]
    shown = list(attributes.items())[:_ATTRIBUTES]
    room = max(40, (look.room - 400) // max(1, len(shown)))
    for name, value in shown:
        words = f"[private: {name}]" if name in withheld else kinds.brief(value, look.deeper(min(200, room)))
        lines.append(f"  {look.word(name)} = {words}")
    if len(attributes) > len(shown):
        lines.append(f"  … {len(attributes) - len(shown):,} more attributes …")
    methods = [name for name in _methods(type(obj)) if name not in attributes]
    if methods:
        more = f", … {len(methods) - _METHODS:,} more" if len(methods) > _METHODS else ""
        lines.append("methods: " + ", ".join(look.word(name) for name in methods[:_METHODS]) + more)
    shape = counted(len(attributes), "attribute")
    return Description.of(kind, look.text("\n".join(lines)), shape=shape, withheld=tuple(withheld))


def _methods(kind: type) -> list[str]:
    """Name the public methods that a class and its bases define, in their order, those of the class first."""
    found: dict[str, Any] = {}
    for cls in kind.__mro__[:-1]:
        found |= {name: value for name, value in vars(cls).items() if name not in found}
    return [name for name, value in found.items() if str(name)[:1] != "_" and callable(value)]


def _brief_value(obj: object, look: Look) -> str | None:
    name, room = type_name(obj), min(look.room, 160)
    if issubclass(type(obj), str) and not containers.is_enum(obj):
        text = str.__str__(obj)
        size = f", {len(text):,} characters" if len(text) > room // 2 else ""
        return f'{look.word(name)}{size} "{look.word(text, room)}"'
    word = containers.scalar(obj)
    if word is None:
        return None
    return word if obj is None or obj is ... else f"{look.word(name)} {look.word(word, room)}"


def _brief_failure(obj: object, look: Look) -> str | None:
    if not isinstance(obj, BaseException):
        return None
    return look.word(f"{type_name(obj)}: {said(obj, str)}", min(look.room, 160))


def _brief_plain(obj: object, look: Look) -> str | None:
    if containers.holds_values(obj):
        return None
    if static(obj, "__repr__") is object.__repr__ or any(look.hides(name) for name in public_vars(obj)):
        return f"{look.word(type_name(obj))} object"
    text, name = said(obj), type_name(obj)
    return look.word(text if text.startswith((name, "<")) else f"{name} {text}", min(look.room, 160))
