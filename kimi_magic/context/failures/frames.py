"""Where an error was raised: frames of a traceback, whose they are, and their source.

A frame is the user's own (a cell, a file of the project, text that was executed) or a library's. Paths are written from
the working folder, from where packages lie, or from the home folder, never whole.
"""

from __future__ import annotations

import ast
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, TracebackType

__all__ = ["Frame", "Span", "block", "known_cells", "label", "package_of", "statement", "walked"]


@dataclass(frozen=True, slots=True)
class Span:
    """Lines (from 1) and, where known, columns in characters (from 0) of what failed; `end` counts the last one in."""

    first: int
    last: int
    start: int | None = None
    end: int | None = None


@dataclass(slots=True)
class Frame:
    """A frame of a traceback, which is not kept longer than its description takes; `times` it came in a recursion."""

    where: str
    function: str
    span: Span
    own: bool
    package: str
    source: list[str]
    code: CodeType
    traceback: TracebackType
    times: int = 1

    @property
    def line(self) -> str:
        """The source line where it stood, empty for none."""
        return self.source[self.span.first - 1] if 0 < self.span.first <= len(self.source) else ""


def known_cells() -> Mapping[str, int]:
    """Give the file names under which IPython has compiled cells, with their numbers; empty outside of IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    found: Mapping[str, int] = getattr(getattr(shell, "compile", None), "_filename_map", {})
    return found


def walked(traceback: TracebackType | None, cells: Mapping[str, int]) -> list[Frame]:
    """Give the frames from the outermost to where it was raised; those of a recursion once, at their last place."""
    places: dict[tuple[str, int, str], tuple[TracebackType, int]] = {}
    while traceback is not None:
        code = traceback.tb_frame.f_code
        key = (code.co_filename, traceback.tb_lineno, code.co_name)
        times = places.pop(key)[1] if key in places else 0
        places[key] = traceback, times + 1
        traceback = traceback.tb_next
    frames: list[Frame] = []
    body: list[str] = []
    for place, times in places.values():
        frames.append(_frame(place, cells, body, times))
        if frames[-1].own and (magic := _magic_body(frames[-1].source, frames[-1].span.first)):
            body = magic
    return frames


def _frame(traceback: TracebackType, cells: Mapping[str, int], body: list[str], times: int) -> Frame:
    code = traceback.tb_frame.f_code
    name = code.co_filename
    where, own, package = label(name, cells)
    source = (
        body
        if name.startswith(("<timed ", "<magic-timeit"))
        else linecache.getlines(name, traceback.tb_frame.f_globals)
    )
    function = (
        "" if code.co_name in ("<module>", "<cell line>") or code.co_name.startswith("<cell line") else code.co_name
    )
    return Frame(where, function, _span(traceback), own, package, source, code, traceback, times)


def _span(traceback: TracebackType) -> Span:
    """Find what was being evaluated; Python keeps columns in bytes."""
    line = max(1, traceback.tb_lineno or 1)
    code = traceback.tb_frame.f_code
    positions = list(code.co_positions()) if traceback.tb_lasti >= 0 else []
    at = traceback.tb_lasti // 2
    first, last, start, end = positions[at] if at < len(positions) else (None, None, None, None)
    if first is None or last is None or first > line or last < line:
        return Span(line, line)
    return Span(first, last, start, end)


def label(name: str, cells: Mapping[str, int]) -> tuple[str, bool, str]:
    """Write a file name for a reader; say whether the file is the user's own, else of which package."""
    if name in cells:
        return f"In [{cells[name]}]", True, ""
    if found := re.match(r"<ipython-input-(\d+)-", name):
        return f"In [{found[1]}]", True, ""
    if re.search(r"[\\/]ipykernel_\d+[\\/]", name):
        return "a cell", True, ""
    if name.startswith("<frozen "):
        inner = name.removeprefix("<frozen ").removesuffix(">")
        return inner, False, inner.partition(".")[0]
    if name.startswith("<"):
        return name, not name.startswith(("<__array_function__", "<decorator-gen")), ""
    return _file(name)


def _file(name: str) -> tuple[str, bool, str]:
    """See `label`; a relative name that is no file here comes from where a compiled library was built."""
    path = Path(os.path.abspath(name))  # noqa: PTH100  # resolve() would follow links out of the project
    parts = path.parts
    for n, part in enumerate(parts):
        if part in ("site-packages", "dist-packages"):
            parts = tuple(item for item in parts[n + 1 :])
            return "/".join(parts), False, "/".join(parts[:-1][:2]) or parts[0]
    for home in _standard_library():
        if path.is_relative_to(home):
            inner = path.relative_to(home)
            return inner.as_posix(), False, inner.parts[0].removesuffix(".py")
    if path.is_relative_to(_OURS):
        return path.relative_to(_OURS.parent).as_posix(), False, _OURS.name
    if not Path(name).is_absolute() and not path.exists():
        return name.replace("\\", "/"), False, "/".join(Path(name).parts[:-1][:2]) or name
    return _relative(path), True, ""


_OURS = Path(__file__).parent.parent


@cache
def _standard_library() -> tuple[Path, ...]:
    return tuple({Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")})


def _relative(path: Path) -> str:
    for base, sign in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return sign + path.relative_to(base).as_posix()
    return path.name


def package_of(frames: list[Frame]) -> str:
    """Name the packages that a run of a library's frames goes through, in their order."""
    return ", ".join(dict.fromkeys(frame.package for frame in frames if frame.package))


def _magic_body(source: list[str], line: int) -> list[str]:
    """Give the text that a cell hands to `%%time` and its like, for the frame that this text becomes."""
    if not 0 < line <= len(source) or "run_cell_magic" not in source[line - 1]:
        return []
    call = next((node for node in ast.walk(_parsed("".join(source))) if isinstance(node, ast.Call)), None)
    last = call.args[-1] if call is not None and call.args else None
    text = last.value if isinstance(last, ast.Constant) else None
    return text.splitlines(keepends=True) if isinstance(text, str) else []


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def block(frame: Frame) -> tuple[int, int]:
    """Give the first and last line of the function a frame was in, or of its whole cell or file."""
    if not frame.function:
        return 1, len(frame.source)
    if frame.function.startswith("<"):  # a lambda or a comprehension says little without what is around it
        line, nodes = frame.span.first, ast.walk(_parsed("".join(frame.source)))
        functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        around = [node for node in functions if node.lineno <= line <= (node.end_lineno or 0)]
        inner = max(around, key=lambda node: node.lineno, default=None)
        return (1, len(frame.source)) if inner is None else (inner.lineno, inner.end_lineno or line)
    return frame.code.co_firstlineno, min(len(frame.source), max(_lines(frame.code), default=frame.span.last))


def _lines(code: CodeType) -> Iterator[int]:
    """Give the last lines of everything in a function, inner functions included."""
    yield from (last for _, last, _, _ in code.co_positions() if last is not None)
    yield from (line for _, _, line in code.co_lines() if line is not None)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _lines(inner)


def statement(frame: Frame) -> tuple[list[str], list[str]]:
    """Name the variables in the statement that failed, and their attributes (a.b), both in the order they stand in.

    Of a compound statement only the head counts. Where the source cannot be parsed every word of the line is a name.
    """
    nodes = [node for node in ast.walk(_parsed("".join(frame.source))) if isinstance(node, ast.stmt)]
    around = [node for node in nodes if node.lineno <= frame.span.first <= (node.end_lineno or node.lineno)]
    if not around:
        return list(dict.fromkeys(re.findall(r"(?<![\w.'\"])[^\W\d]\w*", frame.line))), []
    inner = max(around, key=lambda node: (node.lineno, node.col_offset))
    body = getattr(inner, "body", None)
    last = body[0].lineno - 1 if isinstance(body, list) and body else inner.end_lineno or inner.lineno
    found = [node for node in _walked(inner) if getattr(node, "lineno", 0) <= max(last, inner.lineno)]
    names = [node.id for node in found if isinstance(node, ast.Name)]
    dotted = [
        f"{node.value.id}.{node.attr}"
        for node in found
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    return list(dict.fromkeys(names)), list(dict.fromkeys(dotted))


def _walked(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree in the order of its source, statements inside left out."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _walked(child)
