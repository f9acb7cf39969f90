"""Cells of this session, for `--cells`: what was run, and what came of it as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects.saying import counted, legible, unaddressed
from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from kimi_magic.context.watching import Displays

__all__ = ["Cells", "describe_cells", "parse_cells"]

_WORDS = "Such as 3, 2:5, 1,4:6, -3: (the last three), or all."
_ITEM = re.compile(r"(?P<first>\d+)?\s*(?P<to>[:-])?\s*(?P<last>\d+)?")
_ANSI = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")
_ORDER = {"stream": 0, "display_data": 1, "execute_result": 2}  # which came first is known of each kind alone


@dataclass(frozen=True, slots=True)
class Cells:
    """Which cells are meant: ranges of the numbers in their prompts, both ends in; None for an open end.

    A negative first number counts from the last cell.
    """

    ranges: tuple[tuple[int | None, int | None], ...]
    spec: str

    def numbers(self, last: int) -> list[int]:
        """Give the numbers of these cells in a session of so many; raise CommandError for one that does not exist."""
        found: dict[int, None] = {}
        for first, end in self.ranges:
            start = 1 if first is None else max(1, last + 1 + first) if first < 0 else first
            stop = last if end is None else end
            if not last or start > last or stop > last or not start or start > stop:
                raise CommandError(f"--cells {self.spec}: {_exist(last)}", hint=_WORDS)
            found |= dict.fromkeys(range(start, stop + 1))
        return sorted(found)


def _exist(last: int) -> str:
    if last < 1:  # or a front end that keeps no history
        return "no cell has run before this one."
    return "there is one cell so far, 1." if last == 1 else f"the cells so far are 1 to {last:,}."


def parse_cells(spec: str) -> Cells:
    """Read `all`, `3`, `2:5` or `2-5` (both ends in), `-3:` (the last three), or a list; else raise CommandError."""
    items = [item.strip() for item in spec.split(",")]
    return Cells(tuple(_range(item, spec) for item in items), spec)


def _range(item: str, spec: str) -> tuple[int | None, int | None]:
    if item.lower() in ("all", ":"):
        return None, None
    if found := re.fullmatch(r"-\s*([1-9]\d{0,8})\s*:", item):
        return -int(found[1]), None
    found = _ITEM.fullmatch(item)
    if found is None or not (found["first"] or found["last"]) or len(item) > 24:  # noqa: PLR2004  # no such numbers
        raise CommandError(f"--cells {spec}: {item!r} names no cells.", hint=_WORDS)
    first = int(found["first"]) if found["first"] else None
    last = int(found["last"]) if found["last"] else None
    if found["to"] is None:
        return first, first
    if found["to"] == "-" and (first is None or last is None):
        raise CommandError(f"--cells {spec}: {item!r} has one end only.", hint=_WORDS)
    return first, last


def describe_cells(
    shell: Any, spec: str | Cells, look: Look, displays: Displays | None = None, *, asking: bool = True
) -> Description:
    """Describe cells of a shell's session: their inputs and the text of their outputs, what is rich by its type.

    The room is shared among them; what is shorter than its share leaves the rest to others. The cell that runs is left
    out where it is `asking`. `displays` knows what a kernel's cells have displayed. Raises CommandError.
    """
    cells = parse_cells(spec) if isinstance(spec, str) else spec
    history = getattr(shell, "history_manager", None)
    if history is None:
        raise CommandError("--cells: there is no notebook here, so there are no cells.")
    numbers = cells.numbers(int(shell.displayhook.prompt_count) - asking)
    pieces = [piece for number in numbers for piece in _cell(shell, history, number, displays)]
    cleaned = [look.guard.clean(text) for _, text in pieces]
    rooms = _shares([len(text) for text in cleaned], look.room - sum(len(head) + 2 for head, _ in pieces))
    texts = [_within(text, room) for text, room in zip(cleaned, rooms, strict=True)]
    blocks = [f"{head}\n{text}" if text else head for (head, _), text in zip(pieces, texts, strict=True)]
    cut = sum(short != whole for short, whole in zip(texts, cleaned, strict=True))
    return Description.of(
        "cells",
        look.text("\n".join(blocks)),
        shape=counted(len(numbers), "cell"),
        omitted=f"the middle of {counted(cut, 'long input or output', 'long inputs and outputs')}" if cut else "",
    )


def _cell(shell: Any, history: Any, number: int, displays: Displays | None) -> Iterator[tuple[str, str]]:
    """Give the pieces of a cell: a heading and a text each."""
    source = _input(shell, history, number)
    yield f"In [{number}]:", legible(source.rstrip())
    for kind, text in _outputs(history, number, displays):
        head = f"Out [{number}]:" if kind == "execute_result" else f"Error of [{number}]:" if kind == "error" else ""
        yield head or f"Output of [{number}]:", legible(text.strip("\n"))


def _input(shell: Any, history: Any, number: int) -> str:
    """Find what was typed: `_i3`, or by its place, which is another one where cells were not kept."""
    known = shell.user_ns.get(f"_i{number}") if isinstance(getattr(shell, "user_ns", None), dict) else None
    if isinstance(known, str):
        return known
    raw = history.input_hist_raw
    return str(raw[number]) if number < len(raw) else ""


def _outputs(history: Any, number: int, displays: Displays | None) -> Iterator[tuple[str, str]]:
    """Give the kind and text of each output; neighbours of one kind together, those that repeat once."""
    found: list[tuple[str, str]] = []
    displayed = [("display_data", text) for text in map(_bundle, displays.of(number) if displays is not None else ())]
    for kind, text in sorted([*_each_output(history, number), *displayed], key=lambda output: _ORDER[output[0]]):
        if found and kind == found[-1][0] == "stream":
            found[-1] = kind, found[-1][1] + text
        elif (kind, text) not in found[-1:]:
            found.append((kind, text))
    if not found and number in (reprs := getattr(history, "output_hist_reprs", None) or {}):
        found = [("execute_result", _text(reprs[number]))]
    yield from found
    error = (getattr(history, "exceptions", None) or {}).get(number)
    if isinstance(error, dict):
        words = re.sub(r"\(\d{5,}\.py, line", "(line", _text(f"{error.get('ename')}: {error.get('evalue')}"))
        yield "error", unaddressed(words)


def _each_output(history: Any, number: int) -> Iterator[tuple[str, str]]:
    outputs = getattr(history, "outputs", None) or {}
    for output in outputs.get(number, ()) if number in outputs else ():
        kind = output.output_type if output.output_type in _ORDER else "stream"
        text = _bundle(output.bundle)
        if text:
            yield kind, text


def _bundle(bundle: Any) -> str:
    """Write a bundle of an output as text: its text, or its type by name."""
    if not isinstance(bundle, dict):
        return ""
    if "stream" in bundle:
        return _overwritten(_text(bundle["stream"]))
    plain = _text(bundle.get("text/plain", bundle.get("text/markdown", "")))
    pictures = [kind for kind in bundle if isinstance(kind, str) and kind.startswith(("image/", "video/", "audio/"))]
    if pictures:
        return f"[{pictures[0]} output{': ' + plain if plain else ''}]"
    if plain.startswith("<IPython.core.display."):
        plain = ""  # what stands there for those who cannot show it
    return plain or "".join(f"[{kind} output]" for kind in [kind for kind in bundle if kind != "text/plain"][:1])


def _text(value: Any) -> str:
    """Join what a front end would join, without what a terminal would obey."""
    if isinstance(value, list | tuple):
        value = "".join(map(str, value))
    return _ANSI.sub("", value if isinstance(value, str) else json.dumps(value, default=repr))


def _overwritten(text: str) -> str:
    """Apply carriage returns, so that of a progress bar its last state stays."""
    if "\r" not in text:
        return text
    return "\n".join(
        next((part for part in reversed(line.split("\r")) if part), "")
        for line in text.replace("\r\n", "\n").split("\n")
    )


def _shares(sizes: list[int], room: int) -> list[int]:
    """Share room fairly: what needs less than its share gets what it needs, and the rest is shared again."""
    shares = [0] * len(sizes)
    left, order = max(0, room), sorted(range(len(sizes)), key=lambda n: sizes[n])
    for n, index in enumerate(order):
        shares[index] = min(sizes[index], left // (len(sizes) - n))
        left -= shares[index]
    return shares


def _within(text: str, room: int) -> str:
    """Cut the middle out of an input or output that is longer than its share."""
    if len(text) <= room:
        return text
    left = room - 40
    if left < 40:  # noqa: PLR2004  # nothing legible
        return f"[… {len(text):,} characters …]"
    head, tail = left - left // 3, left // 3
    return f"{text[:head]}\n[… {len(text) - head - tail:,} characters left out …]\n{text[-tail:]}"
