"""Completion for `%kimi` lines and `%%kimi` cells: words, options, their values, model names, and live objects.

Live objects are offered after -c, after `%kimi private`, and inside of `{{ }}`; after a dot IPython says what there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kimi_magic import models
from kimi_magic.options import JOB_ACTIONS, OPTIONS, WORDS

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext

__all__ = ["candidates", "complete", "expression", "functions", "live"]

_NOT_OFFERED = (ModuleType,)
_ACTIONS = {"journal": ["save", "load", "clear"], "mcp": ["add", "remove"]}
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
    if last is not None and last.metavar:
        return list(models.names()) if last.setting == "model" else list(last.choices)
    if cell:
        return [*options, *([] if before else names)]
    if not before:
        return list(WORDS)
    if before[0] == "job":
        return _jobs() if len(before) == 1 else list(JOB_ACTIONS) if not before[2:] else []
    if before[0] in _ACTIONS:
        return _ACTIONS[before[0]] if len(before) == 1 else []
    values: dict[str, list[str]] = {
        "use": list(_PLACES),
        "model": list(models.names()),
        "ask": list(options),
        "usage": ["--plot", "--all"],
        "jobs": ["--all", "notify"],
    }
    return values.get(before[0], [])


def expression(text: str) -> str | None:
    """Give the expression that is being typed at the end of `text`, which ends inside of `{{ }}`; None outside."""
    inside = text[text.rfind("{{") + 2 :] if "{{" in text else "}}"
    if "}}" in inside:
        return None
    return _NAME_AT_END.search(inside)[0]  # type: ignore[index]  # it matches the empty text, too


_NAME_AT_END = re.compile(r"[\w.]*$")


def _context_word(line: str) -> str | None:
    """Give what is being typed after -c or -t, or as the table after `%kimi private`; None elsewhere."""
    typed = re.match(r"\s*%{1,2}kimi\s", line)
    if typed is None:
        return None
    words = re.findall(r"\S+", line)
    before = words if line[-1:].isspace() else words[:-1]
    after_context = _option(before) in (*_CONTEXT, *_TOOLS, *_OUT) and (before == words or words[-1][:1] != "-")
    after_private = before[1:] == ["private"]
    return _NAME_AT_END.search(line)[0] if after_context or after_private else None  # type: ignore[index]  # see above


_CONTEXT, _TOOLS, _OUT = ("-c", "--context", "--map"), ("-t", "--tools"), ("-o", "--out")


def _option(words: list[str]) -> str:
    """Give the last option of a line."""
    return next((word for word in reversed(words) if word.startswith("-")), "")


def _tools() -> list[str]:
    """Give the sets of tools, and the tools of servers."""
    from kimi_magic import kernel

    return kernel.tool_words()


def _jobs() -> list[str]:
    """Give the ids of this notebook's jobs, where they can be read."""
    from kimi_magic import jobwords
    from kimi_magic.errors import KimiError

    try:
        return jobwords.ids()
    except KimiError:
        return []


def live(
    word: str,
    namespace: Mapping[str, Any],
    attributes: Callable[[str], Iterable[str]],
    wanted: Callable[[object], bool] = lambda _: True,
) -> list[str]:
    """Give the names that `word` can become: variables that are `wanted`, and after a dot what `attributes` finds."""
    if "." in word:
        return sorted(attributes(word))
    return sorted(
        name
        for name, value in namespace.items()
        if name.startswith(word)
        and (word or not name.startswith("_"))
        and not isinstance(value, _NOT_OFFERED)
        and wanted(value)
    )


def functions(namespace: Mapping[str, Any]) -> list[str]:
    """Give the names of functions, which a tool may be."""
    return sorted(name for name, value in namespace.items() if not name.startswith("_") and _is_function(value))


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, type) and getattr(value, "__module__", None) != "IPython"


def _columns(line: str, namespace: Mapping[str, Any]) -> list[str]:
    """Give the columns of the table in `%kimi private TABLE …`."""
    words = line.split()
    if words[1:2] != ["private"] or len(words) < 3 or (len(words) == 3 and not line[-1:].isspace()):  # noqa: PLR2004  # %kimi private TABLE
        return []
    columns = getattr(namespace.get(words[2]), "columns", ())
    return [str(name) for name in columns]


def complete(context: CompletionContext, shell: Any) -> Any:
    """Answer IPython: what can stand at the cursor, and whether the other completions are to be left out."""
    from IPython.core.completer import SimpleCompletion

    lines = context.full_text.split("\n")
    line = lines[context.cursor_line][: context.cursor_position]
    word, found = _found(context.cursor_line, line, lines, shell)
    completions = [SimpleCompletion(text=choice, type="kimi") for choice in found]
    return {"completions": completions, "matched_fragment": word, "suppress": bool(found)}


def _found(number: int, line: str, lines: list[str], shell: Any) -> tuple[str, list[str]]:
    namespace: Mapping[str, Any] = shell.user_ns
    ours = lines[0].lstrip().startswith("%%kimi")
    word = _context_word(line) if number == 0 or line.lstrip().startswith("%kimi") else None
    if word is None and (ours or line.lstrip().startswith(("%kimi ask", "%kimi fix"))):
        before = lines[1:number] if ours else []
        word = expression("\n".join([*before, line])) if number or not ours else None
    if word is not None:
        option = _option(line.split())
        if option in _TOOLS:
            tools = [name for name in _tools() if name.startswith(word)]
            own = {name: value for name, value in namespace.items() if name not in shell.user_ns_hidden}
            return word, sorted({*live(word, own, shell.Completer.attr_matches, _is_function), *tools})
        if option in _OUT:
            return word, live(word, namespace, shell.Completer.attr_matches, lambda value: isinstance(value, type))
        return word, live(word, namespace, shell.Completer.attr_matches)
    names = tuple(name for name in namespace if not name.startswith("_"))
    if columns := _columns(line, namespace):
        typed = "" if line[-1:].isspace() else line.rsplit(maxsplit=1)[-1]
        return typed, sorted(name for name in columns if name.startswith(typed))
    return candidates(line, names if number == 0 else ())
