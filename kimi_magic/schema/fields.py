"""The short form: `name, age int?, mood good|bad "how it sounds"` is one row, `[name, age int]` many.

A field is its name, then its type (str where none is given), `?` where it may be null, and a description in quotes.
A colon after the name is fine: `name: str, age: int`. A type is any type expression, whose names may be the user's
own, `a|b|c` for one of some words, or `list[...]` of either. A text that is one type is that type. Rows are dicts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, Optional

from kimi_magic.errors import CommandError
from kimi_magic.schema.expression import KNOWN, NotAType, is_type, resolved
from kimi_magic.schema.pydantic_ import described, typed_dict

__all__ = ["written"]

_HINT = "A type that exists: Row, list[Row]. Or fields: name, age int, mood good|bad, tags list[str]."
_LONGEST = 5_000
_SHOWN = 80
_PIECE = re.compile(r"\"[^\"]*\"|'[^']*'|.", re.DOTALL)
_NAME = re.compile(r"([^\W\d]\w*)\s*(\?)?\s*(:)?\s*")
_NAMED = re.compile(r"[^\W\d]\w*(?:\s*[?:]|\s+[^|\s])")
_ABOUT = re.compile(r"(?:\"([^\"]*)\"|'([^']*)')$")
_LIST = re.compile(r"list\s*\[(.*)\]", re.DOTALL)


def written(text: str, namespace: Mapping[str, Any]) -> Any:
    """Give the type that a text stands for; raises CommandError for one that says nothing."""
    text = text.strip()
    if len(text) > _LONGEST:
        raise CommandError(f"A type of {len(text):,} characters is too long.", hint="Define it in Python.")
    if text[:1] == "[" and text[-1:] == "]":
        return list[written(text[1:-1], namespace)]  # type: ignore[misc]  # made at run time
    if not text:
        raise CommandError("No type is given.", hint=_HINT)
    try:
        return resolved(text, namespace)
    except NotAType:
        parts = _parts(text)
        if len(parts) == 1 and not text.endswith(",") and not _NAMED.match(text):
            return _type(text, namespace)
    fields: dict[str, Any] = {}
    for part in parts:
        name, kind = _field(part, namespace)
        if name in fields:
            raise CommandError(f"The field {name!r} is given twice.", hint=_HINT)
        fields[name] = kind
    return typed_dict("Row", fields)


def _parts(text: str, mark: str = ",") -> list[str]:
    """Split at marks that stand outside of quotes and brackets; a mark at the end opens no part."""
    parts, depth = [""], 0
    for piece in _PIECE.findall(text):
        depth += (piece in "[(") - (piece in "])")
        if piece == mark and depth <= 0:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in (parts if parts[-1].strip() or len(parts) == 1 else parts[:-1])]


def _field(text: str, namespace: Mapping[str, Any]) -> tuple[str, Any]:
    if (head := _NAME.match(text)) is None:
        raise CommandError(f"{text!r} is not a field.", hint=_HINT)
    rest, about = text[head.end() :], ""
    if (words := _ABOUT.search(rest)) and not rest[: words.start()].rstrip().endswith("|"):
        rest, about = rest[: words.start()].rstrip(), words[1] or words[2] or ""
    optional = bool(head[2]) or rest.endswith("?")
    kind = _type(rest.removesuffix("?").strip() or "str", namespace)
    if optional:
        return head[1], described(Optional[kind], about, default=None)  # noqa: UP045  # also of what has no `|`
    return head[1], described(kind, about)


def _type(text: str, namespace: Mapping[str, Any]) -> Any:
    """Give a type expression, a choice of words, or a list of either."""
    try:
        return resolved(text, namespace)
    except NotAType as exc:
        unknown = exc
    if inner := _LIST.fullmatch(text):
        return list[_type(inner[1].strip(), namespace)]  # type: ignore[misc]  # made at run time
    words = _parts(text, "|")
    if len(words) > 1 and all(words):
        return _choice(words, namespace)
    near = get_close_matches(unknown.name or text, [*KNOWN, *(n for n in namespace if is_type(namespace[n]))], 1)
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    hint = f"Did you mean {near[0]}?" if near else _HINT
    if text in namespace:
        hint = f"It is a value of type {type(namespace[text]).__name__}. Rows like those of a dataframe: like={text}."
    raise CommandError(f"{shown!r} is not a type.", hint=hint)


def _choice(words: list[str], namespace: Mapping[str, Any]) -> Any:
    given = [word for word in words if word not in ("None", "null")]
    for word in given:
        try:
            resolved(word, namespace)
        except NotAType:
            continue
        other = next((one for one in given if one != word), "…")
        raise CommandError(f"{word!r} is a type and {other!r} is not.", hint=f"Quote what is a word: '{word}'|{other}.")
    whole = all(re.fullmatch(r"-?\d{1,18}", word) for word in given)
    values = tuple(int(word) if whole else word.strip("\"'") for word in given)
    choice = Literal[values]  # type: ignore[valid-type]  # made at run time
    return choice if len(given) == len(words) else Optional[choice]  # noqa: UP045  # made at run time
