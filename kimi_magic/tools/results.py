"""What a function gave → what goes back to the model: text within its room, pictures, and a handle for the rest.

What JSON can say and the text holds whole needs no handle; a table, a picture, a model, a long list, 100 MB of text
stay in the kernel as a variable. All of it is described as for a question, so private columns and secrets stay here.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePath
from typing import Any

from kimi_magic.context import describers, kinds
from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.objects.containers import contents, holds_values, is_enum, scalar
from kimi_magic.context.objects.saying import counted, legible, type_name
from kimi_magic.errors import KimiError
from kimi_magic.messages import Part, Text
from kimi_magic.sent import Item
from kimi_magic.tools import handles
from kimi_magic.tools.running import MOST_YIELDED

__all__ = ["Answer", "answer", "words"]

_LEFT_OUT = "characters left out"
_DEPTH = 8
_SCALARS = (bool, int, float, type(None))
"""What says itself, where nobody has registered a describer for it: nothing has to be asked of it."""
_LEEWAY = 200
"""Characters that a description may have beyond its room, for a heading of its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The text for the model, its pictures with a line before each, the handle, and the entry for the ledger."""

    text: str
    parts: tuple[Part, ...]
    handle: str
    item: Item


def answer(source: str, value: object, look: Look, namespace: MutableMapping[str, Any], *, peek: bool) -> Answer:
    """Describe what the call `source` gave; `peek` says that the model has the tool of that name.

    A Description is taken as it is: that is how a tool says itself what is sent. Raises KeyboardInterrupt alone.
    """
    found, handle = _described(value, look), ""
    if not isinstance(value, Description) and _is_more_than_its_text(value, found):
        handle = handles.keep(value, namespace)
    text = "Done; it gave nothing." if value is None else found.text or "(an empty text)"
    if isinstance(value, list) and len(value) == MOST_YIELDED:
        text += f"\n[A generator is read up to {MOST_YIELDED:,} values.]"
    if handle:
        text = f"{text}\n\n{_how_to_go_on(handle, peek=peek)}"
    pictures: tuple[Part, ...] = ()
    for number, image in enumerate(found.images, 1):
        of = f"Picture {number}" if len(found.images) > 1 else "The picture"
        pictures += (Text(f"{of} that {source} gave{f' (it is {handle})' if handle else ''}:"), image)
        text += f"\n[{of} follows.]"
    text = text.strip()
    item = Item(
        look.word(source, 200),
        found.kind,
        (Text(text), *pictures),
        found.shape,
        found.columns,
        found.rows,
        found.withheld,
        found.omitted,
    )
    return Answer(text, pictures, handle, item)


def words(source: str, text: str, kind: str, look: Look) -> Answer:
    """Answer by a text of our own or of an error, cut to its room and guarded."""
    text = shortened(legible(look.text(text)), look.room, what=_LEFT_OUT)
    return Answer(text, (), "", Item(look.word(source, 200), kind, (Text(text),)))


def _described(value: object, look: Look) -> Description:
    try:
        if isinstance(value, Description):
            return _guarded(value, look)
        if isinstance(value, str) and not is_enum(value):
            return _text(str.__str__(value), look)
        if isinstance(value, PurePath):  # its name: a file is not read because its path was found
            return _text(str(value), look)
        if type(value) in _SCALARS and describers.find(type(value)) is None:
            return Description.of(look.word(type_name(value)), look.text(legible(scalar(value) or "")))
        if kinds.is_data(value) and not kinds.may_take_long(value):
            whole = kinds.describe(value, replace(look, full=True))
            if not whole.omitted:
                return _guarded(whole, look)
        return _guarded(kinds.describe(value, look), look)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # any object at all: the call itself went well
        reason = error.message if isinstance(error, KimiError) else type_name(error)
        return Description.of(type_name(value), look.text(f"<{type_name(value)}, which cannot be described: {reason}>"))


def _text(value: str, look: Look) -> Description:
    """Give a text as it is: guarded first, so that making characters visible has to go through no 100 MB of them."""
    text = shortened(legible(look.text(value)), look.room, what=_LEFT_OUT)
    omitted = "the middle of the text" if len(value) > look.room else ""
    return Description.of("text", text, shape=counted(len(value), "character"), omitted=omitted)


def _guarded(found: Description, look: Look) -> Description:
    """Guard all texts once more, as one: what a describer or a tool has put together itself."""
    texts = [part.text for part in found.parts if isinstance(part, Text)]
    cleaned = iter(look.guard.clean_pieces(texts)[0])
    parts = tuple(Text(next(cleaned)) if isinstance(part, Text) else part for part in found.parts)
    found = replace(found, parts=parts)
    if found.images and not look.pictures:
        found = replace(found, parts=(Text(f"{found.text}\n[picture left out]".strip()),), omitted="picture")
    if len(found.text) <= look.room + _LEEWAY:
        return found
    text = shortened(
        found.text, look.room, what=_LEFT_OUT
    )  # made by a tool that knew nothing of this reply's other calls
    return replace(found, parts=(Text(text), *found.images), omitted=found.omitted or "the middle of its text")


def _is_more_than_its_text(value: object, found: Description) -> bool:
    """Whether something is left in the kernel that the model has not seen whole, or cannot write down."""
    return bool(found.omitted) or _is_live(value, 0)


def _is_live(value: object, depth: int) -> bool:
    """Whether an object, or one that lies in it, is more than a text, a number and the like."""
    if value is None or isinstance(value, str | bytes) or _attempt(lambda: scalar(value)) is not None:
        return False
    if depth == _DEPTH or kinds.is_data(value) or not holds_values(value):
        return True
    inside = _attempt(lambda: contents(value))
    if inside is None:
        return True
    items = _attempt(lambda: list(islice(inside.first(), MOST_YIELDED))) or []
    return any(_is_live(one[1] if inside.pairs else one, depth + 1) for one in items)


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # the user's own class
        return None


def _how_to_go_on(handle: str, *, peek: bool) -> str:
    more = f' peek("{handle}") shows more of it.' if peek else ""
    return f'[It is kept as {handle}: give "{handle}" as an argument to hand it to another tool.{more}]'
