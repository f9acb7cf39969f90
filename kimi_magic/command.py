"""What a `%kimi` line or a `%%kimi` cell asks for: text in, one frozen value out. No namespace, no shell, no I/O."""

from __future__ import annotations

import argparse
import ast
import difflib
import enum
import keyword
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from kimi_magic import settings
from kimi_magic.errors import CommandError
from kimi_magic.options import DEST_HELP, DETAILS, OPTIONS, WORDS

__all__ = [
    "Ask",
    "Chat",
    "Command",
    "Compact",
    "Context",
    "Drop",
    "Export",
    "Forget",
    "Fork",
    "History",
    "Import",
    "Journal",
    "Ledger",
    "Mcp",
    "Private",
    "Restore",
    "Resume",
    "SetBudget",
    "SetModel",
    "Show",
    "ShowSent",
    "ShowUsage",
    "Switch",
    "Use",
    "conversation_name",
    "parse_cell",
    "parse_line",
]


_MOST_ROWS = 10_000
_BY_FLAG = {flag: option for option in OPTIONS for flag in option.flags}


@dataclass(frozen=True, slots=True)
class Context:
    """What goes along with a question, and how closely it is looked at (see `context.Look`).

    `names` are expressions, as they were typed; `raw` says that braces in the question are text.
    """

    names: tuple[str, ...] = ()
    cells: str = ""
    failure: bool = False
    raw: bool = False
    rows: int | None = None
    columns: tuple[str, ...] = ()
    full: bool = False
    detail: str = "auto"

    @property
    def looked(self) -> dict[str, Any]:
        """The part of it that describers need."""
        looked = {"rows": self.rows, "columns": self.columns, "full": self.full}
        return looked | ({"pictures": False} if self.detail == "none" else {"detail": self.detail})


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a question. `options` holds settings for this ask alone, checked.

    `tools` are functions or their names, `out` a type or its spelling, `like` a table whose rows the reply has to be.
    """

    question: str
    dest: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    new: bool = False
    history: bool = True
    quiet: bool = False
    context: Context = Context()
    dry_run: bool = False
    session: str = ""
    tools: tuple[Any, ...] = ()
    out: Any = ""
    like: Any = None

    @property
    def typed(self) -> bool:
        """Whether the reply has to be of some type."""
        return (not (isinstance(self.out, str) and not self.out) and self.out is not None) or self.like is not None


@dataclass(frozen=True, slots=True)
class ShowSent:
    """Show what was sent for a turn of the conversation; 0 is the last question."""

    turn: int


@dataclass(frozen=True, slots=True)
class History:
    """List the turns in use, or every turn."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Restore:
    """Go on from this turn."""

    turn: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Hide this turn from the model."""

    turn: int


@dataclass(frozen=True, slots=True)
class Compact:
    """Summarise all but the last `keep` turns; without `go`, only show what that costs and saves."""

    keep: int = 2
    go: bool = False


@dataclass(frozen=True, slots=True)
class Fork:
    """Go on from here under this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Go on in the conversation of this name; empty lists them."""

    name: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with the kept conversation of this name; empty is the one that was used last."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """Open the panel, in the conversation of this name; empty is the one in use."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """Write the conversation to this file."""

    path: str


@dataclass(frozen=True, slots=True)
class Import:
    """Read a conversation from this file."""

    path: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Erase the conversation in use, or all of this notebook."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Private:
    """Make columns of a table private, or release names; without either, list what is private."""

    table: str = ""
    columns: tuple[str, ...] = ()
    released: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Show what left the kernel: this one, or every kernel that uses the store."""

    everything: bool = False


@dataclass(frozen=True, slots=True)
class Journal:
    """Tell of the journal, `save` what this kernel used of it to a file, `load` a file, or `clear` it.

    `everything` saves what belongs to replaced turns, too.
    """

    action: Literal["", "save", "load", "clear"] = ""
    path: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Mcp:
    """List the MCP servers, `add` one, or `remove` one.

    `words` are a program with its arguments, or one URL; `variables` (NAME or NAME=VALUE) go into its environment,
    `token` names the variable with its bearer token, `timeout` is in seconds, None for the usual ones.
    """

    action: Literal["", "add", "remove"] = ""
    name: str = ""
    words: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    token: str = ""
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Send questions to local, cloudflare, auto or a URL; empty shows where they go."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class SetModel:
    """Ask this model from now on; empty lists the known ones."""

    name: str


@dataclass(frozen=True, slots=True)
class SetBudget:
    """Spend no more than this from now on: "$2", "$2/day" or "off"; empty shows the budget."""

    text: str


@dataclass(frozen=True, slots=True)
class ShowUsage:
    """Show tokens and cost, with a picture if wanted; of all turns, or the last of them."""

    plot: bool = False
    everything: bool = False


class Show(enum.Enum):
    """A word that takes nothing: what it shows, or in the case of `reset` does."""

    STATUS = ""
    PREFIX = "prefix"
    RESET = "reset"
    UNDO = "undo"
    TOOLS = "tools"
    CONFIG = "config"
    HELP = "help"


Turns = History | Compact | Restore | Drop | Fork | Switch | Resume | Export | Import | Forget
Command = (
    Ask | Chat | Use | SetModel | SetBudget | ShowSent | ShowUsage | Private | Ledger | Journal | Mcp | Turns | Show
)


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
    words, names = _without_context(line)
    return _ask(words, _body(cell), names)


def _body(cell: str) -> str:
    """Drop the one line break with which IPython ends a cell's body; all else is the user's."""
    return cell.removesuffix("\n")


def parse_line(line: str) -> Command:
    """Parse `%kimi LINE`; raise CommandError or SettingError."""
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    return _READERS[word](rest) if word in _READERS else _show(word, rest)


def _line_ask(rest: str) -> Ask:
    words, question = _leading_options(rest)
    return _ask(words, question)


def _line_fix(rest: str) -> Ask:
    words, question = _leading_options(rest)
    return _ask(words, question or _FIX, failure=True)


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


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise CommandError(
            f"A quote in {line.strip()!r} has no partner.", hint="The question goes below the %%kimi line."
        ) from None


_FIX = "This went wrong. Say why in a few words, then give the corrected code, whole, in one code block."


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
    words = _split(text)
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


def conversation_name(text: str, word: str) -> str:
    """Check a name: one word, such as main.debug.fix, that can be typed again."""
    if not re.fullmatch(r"[\w][\w.-]{0,63}", text):
        raise CommandError(
            f"{word} takes a name of letters, digits, dots and dashes, not {text!r}.", hint="Such as main.debug"
        )
    return text


def _line_private(rest: str) -> Private:
    words = _split(rest)
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
    path = _unquoted(path.removesuffix(" --all" if everything else "").strip())
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


def _line_mcp(rest: str) -> Mcp:
    action, *words = _split(rest) or [""]
    match action:
        case "":
            return Mcp()
        case "add":
            return _added_server(words)
        case "remove" if len(words) == 1:
            return Mcp("remove", words[0])
    raise CommandError(
        f"`%kimi mcp` takes add, remove NAME or nothing, not {rest!r}.", hint=f"{_MCP}; or a URL for the COMMAND"
    )


_MCP = "%kimi mcp add NAME COMMAND ARGUMENTS"


def _added_server(words: list[str]) -> Mcp:
    given: dict[str, Any] = {"variables": ()}
    while words and words[0].startswith("-"):
        if len(words) == 1:
            raise CommandError(f"{words[0]} needs a value.", hint=_MCP)
        _take_server_option(words.pop(0), words.pop(0), given)
    if len(words) < 2:  # noqa: PLR2004  # a name, and what to run
        raise CommandError("A server needs a name, and a command or a URL.", hint=_MCP)
    name, *words = words
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,30}", name) or name == "kernel":
        raise CommandError(f"{name!r} cannot be the name of a server.", hint="Up to 31 letters, digits, _ and -.")
    url = re.match(r"\w+://", words[0])
    if url and (len(words) > 1 or url[0] not in ("http://", "https://")):
        raise CommandError(f"{' '.join(words)!r} is no address of an MCP server.", hint="One that begins with https://")
    if given["variables"] and url:
        raise CommandError("--env is for a program; a server at an address has none.", hint="Is --token meant?")
    if given.get("token") and not url:
        raise CommandError("--token is for a server at an address.", hint=f"A program takes --env {given['token']}.")
    return Mcp("add", name, tuple(words), **given)


def _take_server_option(option: str, value: str, given: dict[str, Any]) -> None:
    match option:
        case "--env" if re.match(r"[^\W\d]\w*(=|$)", value):
            given["variables"] += (value,)
        case "--token" if value.isidentifier():
            given["token"] = value
        case "--timeout":
            given["timeout"] = settings.parse("timeout", value, "option")
        case _:
            raise CommandError(
                f"`%kimi mcp add` takes no {option} {value}.",
                hint="--env NAME or NAME=VALUE; --token NAME, of the variable that holds it; --timeout 120",
            )


_READERS: Mapping[str, Callable[[str], Command]] = {
    "ask": _line_ask,
    "chat": lambda rest: Chat(conversation_name(rest, "%kimi chat") if rest else ""),
    "fix": _line_fix,
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
    "mcp": _line_mcp,
    "use": _line_use,
    "model": SetModel,
    "budget": _line_budget,
    "usage": _line_usage,
}


def _without_context(line: str) -> tuple[list[str], list[str]]:
    """Take the expressions after -c out of a line, as they were typed: in them quotes and spaces belong to Python."""
    _split(line)  # raises where a quote has no partner
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
            words += _split(word)
            continue
        begun = f"{begun} {word}" if begun else word
        if _closed(begun):
            names += _each(_unquoted(begun.rstrip(",")))
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


def _unquoted(word: str) -> str:
    """Take away quotes around a whole expression, which a person writes for its spaces."""
    return _split(word)[0] if re.fullmatch(r"""(?:"(?:\\.|[^"\\])*"|'[^']*')""", word) else word


_WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\S)+""")


def _leading_options(text: str) -> tuple[list[str], str]:
    """Split `-m k2.6 What's up?` into its options and the rest, which is taken as it stands, quotes included."""
    words: list[str] = []
    position = 0
    awaits_value: str | bool = False
    for match in _WORD.finditer(text):
        flag, equals, _ = match[0].partition("=")
        if not awaits_value and not match[0].startswith("-"):
            break
        words += [_unquoted(match[0])] if awaits_value == "many" else _split(match[0])
        position = match.end()
        option = _BY_FLAG.get(flag)
        takes_one = not awaits_value and option is not None and bool(option.metavar) and not equals
        awaits_value = takes_one and ("many" if option is not None and option.many else True)
    return words, text[position:].strip()


def _ask(words: list[str], question: str, names: Sequence[str] = (), *, failure: bool = False) -> Ask:
    for word in words:
        flag = word.partition("=")[0]
        if flag == "-h" or (flag.startswith("--") and flag not in _BY_FLAG):
            near = difflib.get_close_matches(flag, _BY_FLAG, n=1, cutoff=0.75)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise CommandError(f"There is no option {flag}.", hint=f"{meant}`%%kimi?` lists the options.")
    found = vars(_parser().parse_args(_joined(words)))
    options = {
        option.setting: settings.parse(option.setting, found[option.name], "option")
        for option in OPTIONS
        if option.setting and found[option.name] is not None
    }
    if not question.strip():
        raise CommandError("The question is empty.", hint="Write it below the %%kimi line, or after `%kimi ask`.")
    if failure:
        options.setdefault("format", "code")
    return Ask(
        question,
        dest=_destination(found["dest"]),
        options=options,
        new=found["new"],
        history=not found["no_history"],
        quiet=found["quiet"],
        context=_context((*names, *(found["context"] or ())), found, failure=failure),
        dry_run=found["dry_run"],
        session=conversation_name(found["session"], "--session") if found["session"] is not None else "",
        tools=tuple(name for word in found["tools"] or () for name in word.split(",") if name.strip()),
        out=found["out"] or "",
    )


def _joined(words: Sequence[str]) -> list[str]:
    """Join an option and a value such as -3: that argparse would take for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in _BY_FLAG and re.match(r"-\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _context(names: tuple[str, ...], found: Mapping[str, Any], *, failure: bool) -> Context:
    rows = found["rows"]
    if rows is not None and not (rows.isdecimal() and int(rows) <= _MOST_ROWS):
        raise CommandError(
            f"--rows takes a whole number from 0 to {_MOST_ROWS:,}, not {rows!r}.", hint="--full sends all."
        )
    detail = found["detail"] or "auto"
    if detail not in ("auto", *DETAILS):
        raise CommandError(f"--detail takes {', '.join(DETAILS)}, not {detail!r}.", hint="`%%kimi?` lists the options.")
    columns = tuple(name.strip() for name in (found["columns"] or "").split(",") if name.strip())
    return Context(
        names=names,
        cells=found["cells"] or "",
        failure=failure,
        raw=found["raw"],
        rows=None if rows is None else int(rows),
        columns=columns,
        full=found["full"],
        detail=detail,
    )


def _destination(name: str) -> str:
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise CommandError(
            f"{name!r} cannot be a variable's name.",
            hint="The word after %%kimi receives the reply; the question goes below it.",
        )
    return name
