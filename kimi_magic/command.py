"""What a `%kimi` line or a `%%kimi` cell asks for: text in, one frozen value out. No namespace, no shell, no I/O."""

from __future__ import annotations

import argparse
import difflib
import enum
import keyword
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from kimi_magic import settings
from kimi_magic.errors import CommandError
from kimi_magic.options import DEST_HELP, OPTIONS, WORDS

__all__ = ["Ask", "Command", "SetModel", "Show", "Use", "parse_cell", "parse_line"]


_BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a question. `options` holds settings for this ask alone, checked."""

    question: str
    dest: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    new: bool = False
    history: bool = True
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """Send questions to local, cloudflare, auto or a URL; empty shows where they go."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class SetModel:
    """Ask this model from now on; empty lists the known ones."""

    name: str


class Show(enum.Enum):
    """A word that takes nothing: what it shows, or in the case of `reset` does."""

    STATUS = ""
    USAGE = "usage"
    RESET = "reset"
    CONFIG = "config"
    HELP = "help"


Command = Ask | Use | SetModel | Show


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{message[:1].upper()}{message[1:]}.", hint="`%%kimi?` lists the options.")


def _parser() -> _Parser:
    parser = _Parser(prog="%%kimi", add_help=False, allow_abbrev=False)
    parser.add_argument("dest", nargs="?", default="", metavar="DEST", help=DEST_HELP)
    for option in OPTIONS:
        parser.add_argument(*option.flags, **option.keywords)
    return parser


def parse_cell(line: str, cell: str) -> Ask:
    """Parse `%%kimi LINE` with its body, which is data; raise CommandError or SettingError."""
    return _ask(_split(line), _body(cell))


def _body(cell: str) -> str:
    """Drop the one line break with which IPython ends a cell's body; all else is the user's."""
    return cell.removesuffix("\n")


def parse_line(line: str) -> Command:
    """Parse `%kimi LINE`; raise CommandError or SettingError."""
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    match word:
        case "":
            return Show.STATUS
        case "ask":
            words, question = _leading_options(rest)
            return _ask(words, question)
        case "use":
            return Use(str(settings.parse("endpoint", rest, "option")) if rest else "")
        case "model":
            return SetModel(rest)
    if word not in WORDS:
        near = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.5)
        meant = f"Did you mean `%kimi {near[0]}`?" if near else "To ask it: %kimi ask TEXT."
        raise CommandError(f"%kimi has no word {word!r}.", hint=f"{meant} `%kimi help` lists the words.")
    if rest:
        raise CommandError(
            f"`%kimi {word}` takes nothing after it, not {rest!r}.", hint="`%kimi help` lists the words."
        )
    return Show(word)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise CommandError(
            f"A quote in {line.strip()!r} has no partner.", hint="The question goes below the %%kimi line."
        ) from None


_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")


def _leading_options(text: str) -> tuple[list[str], str]:
    """Split `-m k2.6 What's up?` into its options and the rest, which is taken as it stands, quotes included."""
    words: list[str] = []
    position = 0
    awaits_value = False
    for match in _WORD.finditer(text):
        flag, equals, _ = match[0].partition("=")
        if not awaits_value and not match[0].startswith("-"):
            break
        words += _split(match[0])
        position = match.end()
        option = _BY_FLAG.get(flag)
        awaits_value = not awaits_value and option is not None and bool(option.setting) and not equals
    return words, text[position:].strip()


def _ask(words: list[str], question: str) -> Ask:
    for word in words:
        flag = word.partition("=")[0]
        if flag == "-h" or (flag.startswith("--") and flag not in _BY_FLAG):
            near = difflib.get_close_matches(flag, _BY_FLAG, n=1, cutoff=0.75)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise CommandError(f"There is no option {flag}.", hint=f"{meant}`%%kimi?` lists the options.")
    found = vars(_parser().parse_args(words))
    options = {
        option.setting: settings.parse(option.setting, found[option.name], "option")
        for option in OPTIONS
        if option.setting and found[option.name] is not None
    }
    if not question.strip():
        raise CommandError("The question is empty.", hint="Write it below the %%kimi line, or after `%kimi ask`.")
    return Ask(
        question,
        dest=_destination(found["dest"]),
        options=options,
        new=found["new"],
        history=not found["no_history"],
        quiet=found["quiet"],
    )


def _destination(name: str) -> str:
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise CommandError(
            f"{name!r} cannot be a variable's name.",
            hint="The word after %%kimi receives the reply; the question goes below it.",
        )
    return name
