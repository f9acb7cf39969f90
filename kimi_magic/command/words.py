"""`%kimi WORD …` → a command: one reader for each word that takes something."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Literal

from kimi_magic import settings
from kimi_magic.command.asks import line_ask, line_fix
from kimi_magic.command.jobs import line_job, line_jobs
from kimi_magic.command.lines import conversation_name, split, unquoted
from kimi_magic.command.servers import line_mcp
from kimi_magic.command.values import (
    Chat,
    Command,
    Compact,
    Drop,
    Export,
    Forget,
    Fork,
    History,
    Import,
    Journal,
    Ledger,
    Private,
    Restore,
    Resume,
    SetBudget,
    SetModel,
    Show,
    ShowSent,
    ShowUsage,
    Switch,
    Use,
)
from kimi_magic.errors import CommandError
from kimi_magic.options import WORDS

__all__ = ["parse_line"]


def parse_line(line: str) -> Command:
    """Parse `%kimi LINE`; raise CommandError or SettingError."""
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    return _READERS[word](rest) if word in _READERS else _show(word, rest)


def _line_use(rest: str) -> Use:
    return Use(str(settings.parse("endpoint", rest, "option")) if rest else "")


def _line_egress(rest: str) -> Ledger:
    if rest not in ("", "all"):
        raise CommandError(f"`%kimi egress` takes `all` or nothing, not {rest!r}.", hint="all: of every kernel")
    return Ledger(everything=rest == "all")


def _line_budget(rest: str) -> SetBudget:
    if rest:
        settings.parse("budget", rest, "option")
    return SetBudget(rest)


def _line_usage(rest: str) -> ShowUsage:
    words = rest.split()
    if not {*words} <= {"--plot", "--all"}:
        raise CommandError(
            f"`%kimi usage` takes --plot and --all, not {rest!r}.", hint="--plot: as a picture, too; --all: every turn"
        )
    return ShowUsage("--plot" in words, "--all" in words)


def _show(word: str, rest: str) -> Show:
    if word and word not in WORDS:
        near = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.5)
        meant = f"Did you mean `%kimi {near[0]}`?" if near else "To ask it: %kimi ask TEXT."
        raise CommandError(f"%kimi has no word {word!r}.", hint=f"{meant} `%kimi help` lists the words.")
    if rest:
        raise CommandError(
            f"`%kimi {word}` takes nothing after it, not {rest!r}.", hint="`%kimi help` lists the words."
        )
    return Show(word)


def _line_sent(text: str) -> ShowSent:
    return ShowSent(_turn(text, "sent") if text else 0)


def _turn(text: str, word: str) -> int:
    if not text.isdecimal() or not int(text):
        raise CommandError(
            f"{text!r} is no turn of the conversation." if text else f"`%kimi {word}` needs the number of a turn.",
            hint=f"`%kimi history` numbers them: %kimi {word} 2",
        )
    return int(text)


def _path(text: str, word: str) -> str:
    words = split(text)
    if len(words) != 1:
        raise CommandError(f"`%kimi {word}` needs one file.", hint=f'%kimi {word} notes.jsonl, or "my notes.jsonl"')
    return words[0]


def _line_forget(rest: str) -> Forget:
    if rest not in ("", "--all"):
        raise CommandError(f"`%kimi forget` takes --all or nothing, not {rest!r}.", hint="--all: all of this notebook")
    return Forget(everything=rest == "--all")


def _line_history(rest: str) -> History:
    if rest not in ("", "--all"):
        raise CommandError(f"`%kimi history` takes --all or nothing, not {rest!r}.", hint="--all: of every branch")
    return History(everything=rest == "--all")


def _line_compact(rest: str) -> Compact:
    words = rest.split()
    go = "--go" in words
    keep = [word for word in words if word != "--go"] or ["2"]
    if len(keep) != 1 or not keep[0].isdecimal():
        raise CommandError(
            f"`%kimi compact` takes how many turns to keep, and --go, not {rest!r}.", hint="%kimi compact 2"
        )
    return Compact(int(keep[0]), go)


def _line_private(rest: str) -> Private:
    words = split(rest)
    if words and words[0] == "--release":
        if not words[1:]:
            raise CommandError("--release needs the names of columns.", hint="%kimi private --release ssn")
        return Private(released=tuple(words[1:]))
    if words and words[0].startswith("-"):
        raise CommandError(f"There is no option {words[0]}.", hint="%kimi private df ssn email, or --release ssn")
    if len(words) == 1:
        raise CommandError("Which columns, of which table?", hint="The table first: %kimi private df ssn email")
    return Private(words[0], tuple(words[1:])) if words else Private()


def _line_journal(rest: str) -> Journal:
    action, _, path = rest.partition(" ")
    everything = action == "save" and path.endswith(" --all")
    path = unquoted(path.removesuffix(" --all" if everything else "").strip())
    if rest in ("", "clear"):
        return Journal("clear" if rest else "")
    if action not in _ACTIONS:
        raise CommandError(
            f"`%kimi journal` takes save FILE, load FILE, clear or nothing, not {rest!r}.",
            hint="%kimi journal save x.kimi.jsonl",
        )
    if not path.endswith(".jsonl"):
        raise CommandError(
            f"Recordings are in a file whose name ends with .jsonl, not {path!r}.",
            hint=f"%kimi journal {action} notebook.kimi.jsonl",
        )
    return Journal(_ACTIONS[action], path, everything)


_ACTIONS: Mapping[str, Literal["save", "load"]] = {"save": "save", "load": "load"}


_READERS: Mapping[str, Callable[[str], Command]] = {
    "ask": line_ask,
    "chat": lambda rest: Chat(conversation_name(rest, "%kimi chat") if rest else ""),
    "fix": line_fix,
    "sent": _line_sent,
    "history": _line_history,
    "compact": _line_compact,
    "restore": lambda rest: Restore(_turn(rest, "restore")),
    "drop": lambda rest: Drop(_turn(rest, "drop")),
    "fork": lambda rest: Fork(conversation_name(rest, "%kimi fork")),
    "switch": lambda rest: Switch(conversation_name(rest, "%kimi switch") if rest else ""),
    "resume": lambda rest: Resume(conversation_name(rest, "%kimi resume") if rest else ""),
    "export": lambda rest: Export(_path(rest, "export")),
    "import": lambda rest: Import(_path(rest, "import")),
    "forget": _line_forget,
    "private": _line_private,
    "egress": _line_egress,
    "journal": _line_journal,
    "jobs": line_jobs,
    "job": line_job,
    "mcp": line_mcp,
    "use": _line_use,
    "model": SetModel,
    "budget": _line_budget,
    "usage": _line_usage,
}
