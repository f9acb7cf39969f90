"""Why a text is not the value that was asked for, in lines short enough to be sent back to the model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["Invalid", "reasons"]

_MOST = 10
_LONGEST = 240
_SHOWN = 60


class Invalid(Exception):
    """What the model wrote is not what was asked for.

    `reasons` are at most ten lines `path: what`, the count of more, and what else there is to say (`also`).
    """

    def __init__(self, reasons: Iterable[str], also: str = "") -> None:
        found = list(dict.fromkeys(reasons))
        more = [f"… and {len(found) - _MOST:,} more"] if len(found) > _MOST else []
        self.reasons = tuple(map(_short, [*found[:_MOST], *more, *([also] if also else [])]))
        super().__init__("\n".join(self.reasons))


def _short(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def reasons(error: ValidationError, data: Any, root: str = "") -> list[str]:
    """Say what pydantic found wrong with `data` (decoded JSON), as `path: what`; `root` is the path of `data` itself.

    Several complaints at one place (the members of a union) are one line.
    """
    found: dict[str, list[str]] = {}
    for one in error.errors(include_url=False, include_context=False):
        whats = found.setdefault(_path(_located(one["loc"], data, one["type"]), root), [])
        what = _what(one["type"], one["msg"], one["input"])
        if what not in whats:
            whats.append(what)
    return [f"{where}: {'; or '.join(whats)}" if where else "; or ".join(whats) for where, whats in found.items()]


def _what(kind: str, message: str, given: Any) -> str:
    if kind == "missing":
        return "is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not a known name"
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ").removeprefix("Input ")
    return f"{message.partition(', unable to')[0]}, not {_shown(given)}"


def _shown(value: Any) -> str:
    if isinstance(value, list | dict) and value:
        return "an array" if isinstance(value, list) else "an object"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _located(loc: Sequence[int | str], data: Any, kind: str = "") -> list[int | str]:
    """Keep of pydantic's location what leads through `data`: it names the members of unions too."""
    kept: list[int | str] = []
    for n, step in enumerate(loc):
        if step in (data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()):
            data = data[step]
        elif not (kind.startswith("missing") and n == len(loc) - 1):
            continue
        kept.append(step)
    return kept


def _path(steps: Sequence[int | str], root: str = "") -> str:
    """Write a place as people do: `rows[2].age`; a key that is not a word stands in brackets and quotes."""
    out = root
    for step in steps:
        if isinstance(step, str) and step.isidentifier():
            out += f".{step}" if out else step
        else:
            out += f"[{step!r}]"
    return out
