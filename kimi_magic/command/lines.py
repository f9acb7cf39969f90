"""How a typed line is taken apart: words, quotes, expressions of Python, names."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence

from kimi_magic.errors import CommandError
from kimi_magic.options import OPTIONS

__all__ = ["BY_FLAG", "conversation_name", "joined", "leading_options", "split", "unquoted", "without_context"]

BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}
"""Every option, by each of its flags."""


def split(line: str) -> list[str]:
    """Split a line as a shell does; raises CommandError where a quote has no partner."""
    try:
        return shlex.split(line)
    except ValueError:
        raise CommandError(
            f"A quote in {line.strip()!r} has no partner.", hint="The question goes below the %%kimi line."
        ) from None


def conversation_name(text: str, word: str) -> str:
    """Check a name: one word, such as main.debug.fix, that can be typed again."""
    if not re.fullmatch(r"[\w][\w.-]{0,63}", text):
        raise CommandError(
            f"{word} takes a name of letters, digits, dots and dashes, not {text!r}.", hint="Such as main.debug"
        )
    return text


def without_context(line: str) -> tuple[list[str], list[str]]:
    """Take the expressions after -c out of a line, as they were typed: in them quotes and spaces belong to Python."""
    split(line)  # raises where a quote has no partner
    words: list[str] = []
    names: list[str] = []
    given, taking, begun = False, False, ""
    for match in _WORD.finditer(line):
        word = match[0]
        flag, equals, rest = word.partition("=")
        if flag in ("-c", "--context") and (equals or word == flag) and not begun:
            given, taking, word = True, True, rest
            if not rest:
                continue
        elif word.startswith("-") and not begun:
            taking = False
        if not taking:
            words += split(word)
            continue
        begun = f"{begun} {word}" if begun else word
        if _closed(begun):
            names += _each(unquoted(begun.rstrip(",")))
            begun = ""
    if given and not names and not begun:
        raise CommandError("-c needs the name of something that goes along.", hint="%%kimi -c df fig")
    return words, [*names, begun] if begun else names


def _each(expression: str) -> list[str]:
    """Take `df,fig` for two expressions; a tuple in brackets is one."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return [expression]
    if not isinstance(tree, ast.Tuple) or expression.strip().startswith("("):
        return [expression] if expression.strip() else []
    return [ast.get_source_segment(expression.strip(), part) or "" for part in tree.elts]


def _closed(text: str) -> bool:
    """Whether every bracket outside of quotes has its partner."""
    bare = re.sub(r"""(?:"(?:\\.|[^"\\])*"|'[^']*')""", "", text)
    return sum(map(bare.count, "([{")) <= sum(map(bare.count, ")]}"))


def unquoted(word: str) -> str:
    """Take away quotes around a whole expression, which a person writes for its spaces."""
    return split(word)[0] if re.fullmatch(r"""(?:"(?:\\.|[^"\\])*"|'[^']*')""", word) else word


_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")


def leading_options(text: str) -> tuple[list[str], str]:
    """Split `-m k2.6 What's up?` into its options and the rest, which is taken as it stands, quotes included."""
    words: list[str] = []
    position = 0
    awaits_value: str | bool = False
    for match in _WORD.finditer(text):
        flag, equals, _ = match[0].partition("=")
        if not awaits_value and not match[0].startswith("-"):
            break
        words += [unquoted(match[0])] if awaits_value == "many" else split(match[0])
        position = match.end()
        option = BY_FLAG.get(flag)
        takes_one = not awaits_value and option is not None and bool(option.metavar) and not equals
        awaits_value = takes_one and ("many" if option is not None and option.many else True)
    return words, text[position:].strip()


def joined(words: Sequence[str]) -> list[str]:
    """Join an option and a value such as -3: that argparse would take for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in BY_FLAG and re.match(r"-\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
