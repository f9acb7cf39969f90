"""Completion for `%kimi` lines and the first line of `%%kimi` cells: words, options, their values, model names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kimi_magic import models
from kimi_magic.options import OPTIONS, WORDS

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

__all__ = ["candidates", "complete"]

_PLACES = ("local", "cloudflare", "auto", "https://")


def candidates(line: str, names: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    """Give the word that is being typed at the end of `line`, and what it can become; nothing outside of ours.

    `line` is the text up to the cursor; `names` are variables that may be a destination.
    """
    match = re.match(r"\s*(%{1,2})kimi\s", line)
    if match is None:
        return "", []
    typed = line[match.end() :]
    before, word = typed.split(), ""
    if typed and not typed[-1].isspace():
        word = before.pop()
    found = _after(match[1] == "%%", before, names)
    return word, sorted(
        {choice for choice in found if choice.startswith(word) and (word or not choice.startswith("__"))}
    )


def _after(cell: bool, before: list[str], names: tuple[str, ...]) -> list[str]:  # noqa: FBT001  # private
    options = {flag: option for option in OPTIONS for flag in option.flags}
    last = options.get(before[-1]) if before else None
    if last is not None and last.setting:
        return list(models.names()) if last.setting == "model" else list(last.choices)
    if cell:
        return [*options, *([] if before else names)]
    if not before:
        return list(WORDS)
    values: dict[str, list[str]] = {"use": list(_PLACES), "model": list(models.names()), "ask": list(options)}
    return values.get(before[0], [])


def complete(context: CompletionContext, namespace: Iterable[str]) -> Any:
    """Answer IPython: what can stand at the cursor, and whether the other completions are to be left out."""
    from IPython.core.completer import SimpleCompletion

    lines = context.full_text.split("\n")
    line = lines[context.cursor_line][: context.cursor_position]
    names = tuple(name for name in namespace if not name.startswith("_"))
    word, found = candidates(line, names if context.cursor_line == 0 else ())
    completions = [SimpleCompletion(text=choice, type="kimi") for choice in found]
    return {"completions": completions, "matched_fragment": word, "suppress": bool(found)}
