"""`%%kimi` with its body, and the words that ask a question in one line → an Ask."""

from __future__ import annotations

import argparse
import difflib
import keyword
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from kimi_magic import settings
from kimi_magic.command.jobs import later
from kimi_magic.command.lines import BY_FLAG, conversation_name, joined, leading_options, without_context
from kimi_magic.command.values import Ask, Context
from kimi_magic.errors import CommandError
from kimi_magic.options import DEST_HELP, DETAILS, OPTIONS

__all__ = ["line_ask", "line_fix", "parse_cell"]

_MOST_ROWS = 10_000
_FIX = "This went wrong. Say why in a few words, then give the corrected code, whole, in one code block."


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
    words, names = without_context(line)
    return _ask(words, _body(cell), names)


def _body(cell: str) -> str:
    """Drop the one line break with which IPython ends a cell's body; all else is the user's."""
    return cell.removesuffix("\n")


def line_ask(rest: str) -> Ask:
    """Read what stands after `%kimi ask`."""
    words, question = leading_options(rest)
    return _ask(words, question)


def line_fix(rest: str) -> Ask:
    """Read what stands after `%kimi fix`."""
    words, question = leading_options(rest)
    return _ask(words, question or _FIX, failure=True)


def _ask(words: list[str], question: str, names: Sequence[str] = (), *, failure: bool = False) -> Ask:
    for word in words:
        flag = word.partition("=")[0]
        if flag == "-h" or (flag.startswith("--") and flag not in BY_FLAG):
            near = difflib.get_close_matches(flag, BY_FLAG, n=1, cutoff=0.75)
            meant = f"Did you mean {near[0]}? " if near else ""
            raise CommandError(f"There is no option {flag}.", hint=f"{meant}`%%kimi?` lists the options.")
    found = vars(_parser().parse_args(joined(words)))
    options = {
        option.setting: settings.parse(option.setting, found[option.name], "option")
        for option in OPTIONS
        if option.setting and found[option.name] is not None
    }
    if not question.strip():
        raise CommandError("The question is empty.", hint="Write it below the %%kimi line, or after `%kimi ask`.")
    names = (*names, *(found["context"] or ()))
    if failure:
        options.setdefault("format", "code")
    return Ask(
        question,
        dest=_destination(found["dest"]),
        options=options,
        new=found["new"],
        history=not found["no_history"],
        quiet=found["quiet"],
        context=_context(names, found, failure=failure),
        dry_run=found["dry_run"],
        session=conversation_name(found["session"], "--session") if found["session"] is not None else "",
        tools=tuple(name for word in found["tools"] or () for name in word.split(",") if name.strip()),
        out=found["out"] or "",
        later=later(found, names),
    )


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
