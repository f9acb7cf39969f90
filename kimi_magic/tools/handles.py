"""Results that stay in the kernel: variables `kimi_1`, `kimi_2`, … of the user's namespace.

A handle is a variable and nothing else: deleting it frees the object, assigning to it changes what the model is handed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, MutableMapping
from itertools import count
from typing import Any

__all__ = ["is_handle", "keep"]

_lock = threading.Lock()
_HANDLE = re.compile(r"kimi_[1-9]\d{0,8}")


def is_handle(word: str) -> bool:
    """Whether a text is the name of a handle, as far as its letters go."""
    return _HANDLE.fullmatch(word) is not None


def keep(value: object, namespace: MutableMapping[str, Any]) -> str:
    """Keep an object under the name that it has already, or under the next one that is free."""
    with _lock:
        known = next((name for name, other in _kept(namespace).items() if other is value), None)
        if known is not None:
            return known
        name = next(name for n in count(1) if (name := f"kimi_{n}") not in namespace)
        namespace[name] = value
        return name


def _kept(namespace: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in list(namespace.items()) if is_handle(name)}
