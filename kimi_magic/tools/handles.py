"""Results that stay in the kernel: variables `kimi_1`, `kimi_2`, … of the user's namespace.

A handle is a variable and nothing else: deleting it frees the object, assigning to it changes what the model is handed.
A number is given once: what the model has been told of one object must not mean another.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

__all__ = ["is_handle", "keep", "missing", "recall"]

_lock = threading.Lock()
_HANDLE = re.compile(r"kimi_[1-9]\d{0,8}")
_MENTIONED = re.compile(r"\bkimi_([1-9]\d{0,5})\b")
_HIGHEST = "_kimi_highest_handle"
"""The variable with the highest number that a namespace has given, so that it lives as long as the handles do."""


def is_handle(word: str) -> bool:
    """Whether a text is the name of a handle, as far as its letters go."""
    return _HANDLE.fullmatch(word) is not None


def keep(value: object, namespace: MutableMapping[str, Any]) -> str:
    """Keep an object under the name that it has already, or under the next one, which no object has had."""
    with _lock:
        kept = {name: other for name, other in list(namespace.items()) if is_handle(name)}
        known = next((name for name, other in kept.items() if other is value), None)
        if known is not None:
            return known
        number = namespace[_HIGHEST] = max([_highest(namespace), *map(_number, kept)]) + 1
        name = f"kimi_{number}"
        namespace[name] = value
        return name


def recall(texts: Iterable[str], namespace: MutableMapping[str, Any]) -> None:
    """Take notice of the handles that a conversation names already, perhaps from before a restart."""
    with _lock:
        mentioned = [int(number) for text in texts for number in _MENTIONED.findall(text)]
        namespace[_HIGHEST] = max([_highest(namespace), *mentioned])


def missing(word: str, namespace: Mapping[str, Any]) -> str:
    """Say in words that there is no variable of this name, or none any more."""
    if is_handle(word) and _number(word) <= _highest(namespace):
        return f"{word} is no longer there"
    return f"there is no variable {word!r}"


def _number(name: str) -> int:
    return int(name.removeprefix("kimi_"))


def _highest(namespace: Mapping[str, Any]) -> int:
    number = namespace.get(_HIGHEST, 0)
    return number if isinstance(number, int) else 0
