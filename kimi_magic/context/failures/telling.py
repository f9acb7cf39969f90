"""Errors in words: the message, the user's lines, values, libraries' frames in brief, and what came before."""

from __future__ import annotations

import linecache
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Look, shortened
from kimi_magic.context.failures.frames import Frame, Span, block, label, package_of, statement, walked
from kimi_magic.context.objects.saying import counted, legible, said, static

__all__ = ["tell"]

_LONGEST_LINE = 240
_CELL_FILE = re.compile(r"(?<![^\s'\"(])[^\s'\"(]{0,200}[\\/]ipykernel_\d+[\\/]\d+\.py")


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much is told. `whole` lines of the failing function, or `around` the failing one; `value` in characters."""

    whole: int
    around: int
    frames: int
    names: int
    value: int
    chained: int


_DETAILS = (
    _Detail(whole=40, around=8, frames=8, names=12, value=200, chained=4),
    _Detail(whole=24, around=5, frames=5, names=8, value=120, chained=3),
    _Detail(whole=10, around=3, frames=3, names=5, value=80, chained=2),
    _Detail(whole=3, around=1, frames=2, names=3, value=60, chained=1),
    _Detail(whole=1, around=0, frames=1, names=0, value=60, chained=0),
)
_LEAVES = 10


def tell(error: BaseException, look: Look, cells: Mapping[str, int]) -> tuple[str, str, tuple[str, ...]]:
    """Tell of an error as closely as there is room for; also what was omitted, and which private names withheld."""
    for detail in _DETAILS:
        teller = _Teller(look, cells, detail)
        text = "\n".join(teller.told(error))
        if len(text) <= look.room:
            break
    return text, "" if detail is _DETAILS[0] else "the wider surroundings", tuple(sorted(teller.withheld))


class _Teller:
    """Tells of errors in so much detail."""

    def __init__(self, look: Look, cells: Mapping[str, int], detail: _Detail) -> None:
        self.look = look
        self.cells = cells
        self.detail = detail
        self.withheld: set[str] = set()

    def told(self, error: BaseException) -> Iterator[str]:
        """Tell of an error, then of those it came from."""
        yield from self.one(error)
        seen, chained = {id(error)}, 0
        words, before = _before(error)
        while before is not None and id(before) not in seen:
            seen.add(id(before))
            if chained == self.detail.chained:
                yield "\n[… further errors that it came from …]"
                return
            chained += 1
            yield f"\n{words}"
            yield from self.one(before)
            words, before = _before(before)

    def one(self, error: BaseException, *, alone: bool = True) -> Iterator[str]:
        """Tell of one error: message, notes, source; `alone` with the values, else with its last line."""
        yield self.headline(error)
        yield from self.notes(error)
        if isinstance(error, SyntaxError):
            yield from self.syntax(error)
        frames = _relevant(walked(error.__traceback__, self.cells))
        if isinstance(error, SyntaxError) and not any(frame.own for frame in frames):
            frames = []  # those of the compiler
        if alone and frames:
            yield from self.frames(frames, getattr(error, "name", None) if isinstance(error, NameError) else None)
        else:
            yield from (f"  {line}" for line in self.last(frames))
        if isinstance(error, BaseExceptionGroup):
            yield from self.leaves(error)

    def headline(self, error: BaseException) -> str:
        """Write type and message."""
        words = error.msg if isinstance(error, SyntaxError) and isinstance(error.msg, str) else said(error, str)
        words = self.look.text(legible(self._homeless(words)), max(100, min(2_000, self.look.room // 3)))
        kind = type(error)
        module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
        name = self.look.word(f"{module}{kind.__qualname__}")
        return f"{name}: {words}" if words else name

    def notes(self, error: BaseException) -> Iterator[str]:
        """Write what was added to an error by `add_note`."""
        notes = getattr(error, "__notes__", ())
        for note in notes[:5] if isinstance(notes, list) else ():
            words = note if isinstance(note, str) else said(note)
            yield f"Note: {self.look.text(legible(self._homeless(words)), 400)}"

    def _homeless(self, text: str) -> str:
        """Take out of a message what differs between machines and processes."""
        text = _CELL_FILE.sub(lambda found: label(found[0], self.cells)[0], text)
        home = str(Path.home())
        return text if len(home) < 4 else re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)  # noqa: PLR2004  # "/"

    def syntax(self, error: SyntaxError) -> Iterator[str]:
        """Show what could not be read as Python."""
        name, line = error.filename or "<string>", error.lineno or 1
        where = label(name, self.cells)[0]
        source = linecache.getlines(name)
        if not source and error.text:
            source = [""] * (line - 1) + error.text.splitlines()
        yield f"\n{self.look.word(where, 120)}, line {line}:"
        start = None if not error.offset or error.offset < 1 else error.offset - 1
        end = error.end_offset - 1 if error.end_offset and error.end_lineno in (None, line) else None
        if start is not None and (end is None or end <= start):
            end = start + 1
        yield from self.source(source, Span(line, line, start, end), 1, len(source), in_bytes=False)

    def frames(self, frames: list[Frame], unknown: str | None) -> Iterator[str]:
        """Show the user's frames, the last one with the whole of its function, and count the libraries'.

        `unknown` is the name that a NameError is about.
        """
        own = [frame for frame in frames if frame.own]
        dropped = own[1 : len(own) - self.detail.frames + 1] if len(own) > self.detail.frames else []
        skipped = {id(frame) for frame in dropped}
        for ours, run in groupby((frame for frame in frames if id(frame) not in skipped), lambda frame: frame.own):
            members = list(run)
            if not ours:
                yield from self.libraries(members, last=members[-1] is frames[-1])
                continue
            for frame in members:
                yield from self.frame(frame, whole=frame is own[-1], unknown=unknown)
                if dropped and frame is own[0]:
                    yield f"\n[… {counted(len(dropped), 'more frame')} of the user's own …]"

    def last(self, frames: list[Frame]) -> Iterator[str]:
        """Show in two lines at most where an error came from."""
        own = [frame for frame in frames if frame.own][-1:]
        for frame in [*own, *(frames[-1:] if not own or frames[-1] is not own[0] else [])]:
            yield f"{self.place(frame)}: {self.look.word(frame.line.strip(), _LONGEST_LINE)}".rstrip(": ")

    def place(self, frame: Frame) -> str:
        """Write where a frame stood."""
        name = f", in {self.look.word(frame.function)}" if frame.function else ""
        times = f" ({frame.times:,} times)" if frame.times > 1 else ""
        return f"{self.look.word(frame.where, 120)}, line {frame.span.first}{name}{times}"

    def libraries(self, frames: list[Frame], *, last: bool) -> Iterator[str]:
        """Count frames of libraries; where the error was raised in one, name the line."""
        passed = frames[:-1] if last else frames
        counts, packages = sum(frame.times for frame in passed), package_of(passed)
        if counts:
            yield f"\n[… {counted(counts, 'frame')} in {self.look.word(packages, 120) or 'a library'} …]"
        if last:
            code = self.look.word(frames[-1].line.strip(), _LONGEST_LINE)
            yield f"{'' if counts else chr(10)}{self.place(frames[-1])}" + (f": {code}" if code else "")

    def frame(self, frame: Frame, *, whole: bool, unknown: str | None) -> Iterator[str]:
        """Show a frame of the user's own: its source and the values of what is named in it."""
        yield f"\n{self.place(frame)}:" if frame.line else f"\n{self.place(frame)} (its source is not at hand)"
        if frame.line:
            first, last = block(frame) if whole else (frame.span.first, frame.span.first)
            yield from self.source(frame.source, frame.span, first, last)
        yield from self.values(frame, self.detail.names if whole else self.detail.names // 3, unknown)

    def source(self, source: list[str], span: Span, first: int, last: int, *, in_bytes: bool = True) -> Iterator[str]:
        """Show lines with their numbers, the failing one marked; all from first to last where these are few."""
        if last - first + 1 > self.detail.whole:
            first, last = max(first, span.first - self.detail.around), min(last, span.first + self.detail.around)
        lines = [line.rstrip("\r\n") for line in source[first - 1 : last]]
        cleaned = [legible(line) for line in self.look.guard.clean("\n".join(lines)).split("\n")]
        if len(cleaned) != len(lines):  # a secret of several lines
            yield from (shortened(line, _LONGEST_LINE) for line in cleaned)
            return
        width = len(str(last))
        for number, (line, raw) in enumerate(zip(cleaned, lines, strict=True), first):
            failing = number == span.first
            yield f"{'>' if failing else ' '} {number:{width}} {shortened(line, _LONGEST_LINE)}".rstrip()
            if failing and line == raw and len(line) <= _LONGEST_LINE:
                yield from _carets(line, span, width, in_bytes=in_bytes)

    def values(self, frame: Frame, most: int, unknown: str | None) -> Iterator[str]:
        """Say what the names in the failing statement stood for."""
        names, dotted = statement(frame) if most else ([], [])
        found = frame.traceback.tb_frame.f_locals, frame.traceback.tb_frame.f_globals
        shown = 0
        for name in [*names, *dotted]:
            value = _looked_up(name, *found)
            line = self.value(name, value) if value is not _MISSING else "is not defined" if name == unknown else ""
            if not line:
                continue
            if shown == most:
                yield "    … more names …"
                return
            shown += 1
            yield f"    {self.look.word(name)} {line}"

    def value(self, name: str, value: object) -> str:
        """Write what a name stood for; empty for modules, classes and functions, which their names tell."""
        kind = type(value)
        if issubclass(kind, types.ModuleType | type | _FUNCTIONS):
            return ""
        last = name.rpartition(".")[2]
        if self.look.hides(last):
            self.withheld.add(self.look.word(last))
            return f"= [private: {self.look.word(last)}]"
        return f"= {kinds.brief(value, self.look.deeper(self.detail.value))}"

    def leaves(self, group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
        """Show the errors of a group, one after the other."""
        found = list(_leaves(group))
        for n, error in enumerate(found[:_LEAVES], 1):
            yield f"\n[{n} of {len(found)}]"
            yield from self.one(error, alone=n == 1)
        if len(found) > _LEAVES:
            yield f"[… {len(found) - _LEAVES:,} more errors …]"


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _before(error: BaseException) -> tuple[str, BaseException | None]:
    if error.__cause__ is not None:
        return "It was raised because of:", error.__cause__
    return "It was raised while this was handled:", None if error.__suppress_context__ else error.__context__


_RUNNERS = ("IPython", "ipykernel", "kimi_magic", "asyncio")


def _relevant(frames: list[Frame]) -> list[Frame]:
    """Leave out what ran the user's code: it is the same for every cell."""
    first = next((n for n, frame in enumerate(frames) if frame.own), len(frames))
    runners = [frame.package.partition("/")[0] in _RUNNERS for frame in frames[:first]]
    return frames[first:] if all(runners) else frames


_FUNCTIONS = types.FunctionType | types.BuiltinFunctionType | types.MethodType


class _Missing:
    """No such name."""


_MISSING = _Missing()


def _looked_up(name: str, names: Mapping[str, Any], others: Mapping[str, Any]) -> object:
    """Look a name up, or an attribute that lies in the object itself (a.b); nothing is computed for it."""
    base, _, attribute = name.partition(".")
    value = names.get(base, others.get(base, _MISSING))
    if not attribute or value is _MISSING:
        return value if not attribute else _MISSING
    if isinstance(value, types.ModuleType | type) or static(value, "__dict__") is None:
        return _MISSING
    try:
        return object.__getattribute__(value, "__dict__").get(attribute, _MISSING)
    except (AttributeError, TypeError):
        return _MISSING


def _carets(line: str, span: Span, width: int, *, in_bytes: bool) -> Iterator[str]:
    """Underline what failed in a line, where that is not all of it."""
    if span.start is None:
        return
    start, end = span.start, span.end if span.last == span.first and span.end is not None else None
    if in_bytes:
        data = line.encode("utf-8", "surrogatepass")
        start = len(data[:start].decode("utf-8", "ignore"))
        end = None if end is None else len(data[:end].decode("utf-8", "ignore"))
    end = len(line) if end is None else min(end, len(line) + 1)
    if start >= end or (in_bytes and not line[:start].strip() and not line[end:].strip()):
        return
    before = "".join("\t" if char == "\t" else " " for char in line[:start])
    yield f"  {'':{width}} {before}{'^' * (end - start)}"
