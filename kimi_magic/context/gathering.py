"""A question and all that it brings along → one message, with a record of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import Any

from kimi_magic import models
from kimi_magic.context import kinds
from kimi_magic.context.description import ROOM, Description, Look
from kimi_magic.errors import CommandError, TooLarge
from kimi_magic.messages import Message, Part, Text
from kimi_magic.sent import Item

__all__ = ["Gathered", "Source", "gather", "named"]

_INLINE = 200
"""Characters of a description that may stand in the middle of a sentence."""
_PICTURES = 450_000
"""Bytes of all pictures of a question together: as base64 they are 600 kB, at worst 150,000 tokens (`models`)."""
_LEAST_ROOM = 400
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Source:
    """An object that goes along. `describe` is given where its kind does not say how (an error, cells)."""

    name: str
    value: object = None
    describe: Callable[[Look], Description] | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """A question as it is sent, and its parts: what stands beside it first, then the question."""

    message: Message
    items: tuple[Item, ...]


def named(values: Sequence[object], namespace: Mapping[str, Any]) -> list[Source]:
    """Name objects that were passed as values by the variables that hold them; a Source has its name."""
    names = {id(value): name for name, value in reversed(list(namespace.items())) if not name.startswith("_")}
    return [
        value if isinstance(value, Source) else Source(names.get(id(value), f"value {n}"), value)
        for n, value in enumerate(values, 1)
    ]


def gather(
    question: str | Sequence[str | Source],
    beside: Sequence[Source],
    look: Look,
    *,
    room: int,
    dense: float = 2.5,
    looking: Callable[[Source], None] = lambda _: None,
) -> Gathered:
    """Put a question together: what stands beside it, then its text, where objects stand in it.

    `room` is the most tokens it may have, `dense` how many characters of a table are one at the least; `looking` is
    told what is described next. Raises TooLarge, naming each part with its size, for what does not fit, and
    CommandError for what cannot be described, and for an empty question.
    """
    if not isinstance(question, (str, list, tuple)):
        raise CommandError(f"The question is {type(question).__name__}, not text.", hint="Pass a string.")
    pieces = [question] if isinstance(question, str) else list(question)
    if all(isinstance(piece, str) and not piece.strip() for piece in pieces):
        raise CommandError("The question is empty.", hint="Write it below the %%kimi line.")
    sources = [piece for piece in (*beside, *pieces) if isinstance(piece, Source)]
    describe = partial(_described, looking=looking)
    look = _shared(look, len(sources), sum(len(piece) for piece in pieces if isinstance(piece, str)), int(room * dense))
    items = [Item("question", "question", ())]
    pairs: list[tuple[int, Part]] = []  # which item a part belongs to, in the order of the message
    for source in beside:
        _add(items, pairs, *_block(source, describe(source, look), look))
    for n, piece in enumerate(pieces):
        if isinstance(piece, str):
            pairs.append((0, Text(piece)))
            continue
        description = describe(piece, look)
        if _stands_inline(description):
            _add(items, pairs, _item(piece, description, look), description.parts)
        else:
            before = "".join(part.text for _, part in pairs if isinstance(part, Text))
            after = pieces[n + 1] if n + 1 < len(pieces) else ""
            item, parts = _block(piece, description, look)
            opening = "" if before.endswith("\n") or not before else "\n"
            closing = "" if isinstance(after, str) and after.startswith("\n") else "\n"
            _add(items, pairs, item, (Text(opening), *parts[:-1], Text(_END + closing)))
    pairs = _cleaned(pairs, look)
    gathered = [replace(item, parts=tuple(part for owner, part in pairs if owner == n)) for n, item in enumerate(items)]
    _require_room(gathered, room)
    return Gathered(Message("user", _merged(part for _, part in pairs)), (*gathered[1:], gathered[0]))


def _shared(look: Look, objects: int, question: int, room: int) -> Look:
    """Share what room there is, in characters, among the objects of a question."""
    if not objects:
        return look
    characters = max(_LEAST_ROOM, (room - question) // objects)
    pictures = min(look.picture_room, _PICTURES // objects, max(4_000, room // objects))
    return replace(look, room=characters if look.full else min(ROOM, characters), picture_room=pictures)


def _described(source: Source, look: Look, looking: Callable[[Source], None]) -> Description:
    looking(source)
    description = kinds.describe(source.value, look) if source.describe is None else source.describe(look)
    if description.images and not look.pictures:
        texts = [part for part in description.parts if isinstance(part, Text)]
        return replace(description, parts=(*texts, Text("[picture left out]")), omitted="picture")
    return description


def _add(items: list[Item], pairs: list[tuple[int, Part]], item: Item, parts: Iterable[Part]) -> None:
    pairs += [(len(items), part) for part in parts]
    items.append(item)


def _item(source: Source, found: Description, look: Look) -> Item:
    return Item(
        look.word(source.name, _LONGEST_NAME),
        found.kind,
        (),
        found.shape,
        found.columns,
        found.rows,
        found.withheld,
        found.omitted,
    )


def _stands_inline(found: Description) -> bool:
    """Whether it is text that may stand in a sentence: the user's own text always, of other kinds what is short."""
    if found.images:
        return False
    return found.kind == "text" or (len(found.text) <= _INLINE and "\n" not in found.text)


_END = "</context>"


def _block(source: Source, found: Description, look: Look) -> tuple[Item, tuple[Part, ...]]:
    """Put a description between marks, so that the model can tell it from the question."""
    item = _item(source, found, look)
    parts: list[Part] = [Text(f'<context name="{escape(item.source)}">\n')]
    for part in found.parts:
        parts += [Text(f"{part.text}\n")] if isinstance(part, Text) else [part, Text("\n")]
    return item, (*parts, Text(f"{_END}\n\n"))


def _cleaned(pairs: list[tuple[int, Part]], look: Look) -> list[tuple[int, Part]]:
    """Guard the message as one text, so that nothing slips through between two parts."""
    texts = [part.text for _, part in pairs if isinstance(part, Text)]
    cleaned = iter(look.guard.clean_pieces(texts)[0])
    return [(owner, Text(next(cleaned)) if isinstance(part, Text) else part) for owner, part in pairs]


def _merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Join neighbouring texts: a message without pictures is one text."""
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, Text) and merged and isinstance(merged[-1], Text):
            merged[-1] = Text(merged[-1].text + part.text)
        else:
            merged.append(part)
    return tuple(merged)


def _require_room(items: Sequence[Item], room: int) -> None:
    least = sum(models.estimate_messages([Message("user", item.parts)])[0] for item in items)
    if least <= room:
        return
    sizes = ", ".join(
        f"{item.source} about {item.tokens:,}" for item in sorted(items, key=lambda item: -item.tokens)[:6]
    )
    raise TooLarge(
        f"This does not fit beside the conversation so far: there is room for {room:,} tokens. It has: {sizes}.",
        hint="Send less of the largest (--rows, --columns, --detail low), shorten the conversation with %kimi compact, "
        "or begin anew with --new.",
    )
