"""Completion for `%kimi` lines and the first line of `%%kimi` cells: words, options, their values, model names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kimi_magic import command, models

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["candidates", "matcher"]

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
    options = {flag: option for option in command.OPTIONS for flag in option.flags}
    last = options.get(before[-1]) if before else None
    if last is not None and last.setting:
        return list(models.names()) if last.setting == "model" else list(last.choices)
    if cell:
        return [*options, *([] if before else names)]
    if not before:
        return list(command.WORDS)
    values: dict[str, list[str]] = {"use": list(_PLACES), "model": list(models.names()), "ask": list(options)}
    return values.get(before[0], [])


def matcher(shell: InteractiveShell) -> Callable[[CompletionContext], Any]:
    """Make the matcher that IPython asks, bound to the variables of `shell`."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()  # type: ignore[untyped-decorator]  # IPython's decorator has no types
    def kimi_matcher(context: CompletionContext) -> Any:
        line = (
            context.full_text.split("\n")[context.cursor_line][: context.cursor_position] if context.full_text else ""
        )
        names = tuple(name for name in shell.user_ns if not name.startswith("_"))
        word, found = candidates(line, names if context.cursor_line == 0 else ())
        completions = [SimpleCompletion(text=choice, type="kimi") for choice in found]
        return {"completions": completions, "matched_fragment": word, "suppress": bool(found)}

    return kimi_matcher  # type: ignore[no-any-return]
