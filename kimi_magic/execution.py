"""Running code that the model wrote, in the user's notebook: only what the user has read and agreed to comes here."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import sys
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["run_here"]


def run_here(shell: InteractiveShell, code: str) -> object:
    """Run code in the user's namespace, its output in this cell; give what it printed, and the value of its last line.

    Code with a top-level await gives an awaitable of that, for the event loop on which cells run.
    """
    tree = ast.parse(shell.transform_cell(code))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    steps = [_compiled(tree, "exec")]
    if isinstance(last, ast.Expr):
        steps.append(_compiled(ast.Expression(last.value), "eval"))
    if any(map(_awaits, steps)):
        return _awaited(steps, shell.user_ns)
    with _printing(shell.user_ns) as printed:
        for step in steps:
            value = eval(step, shell.user_ns)  # noqa: S307  # see the module's docstring
    return _given(printed, value)


def _compiled(tree: ast.Module | ast.Expression, mode: str) -> CodeType:
    made: CodeType = compile(tree, "<run_python>", mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return made


def _awaits(step: CodeType) -> bool:
    return bool(step.co_flags & inspect.CO_COROUTINE)


async def _awaited(steps: list[CodeType], namespace: dict[str, Any]) -> object:
    with _printing(namespace) as printed:
        for step in steps:
            value = eval(step, namespace)  # noqa: S307  # see the module's docstring
            if _awaits(step):
                value = await value
    return _given(printed, value)


def _given(printed: io.StringIO, value: object) -> object:
    said = printed.getvalue()
    if value is None:
        return said or None
    return {"printed": said, "value": value} if said else value


@contextlib.contextmanager
def _printing(namespace: dict[str, Any]) -> Iterator[io.StringIO]:
    """Keep what is printed, and let `exit()` end the code and not the kernel."""
    kept = {name: namespace[name] for name in ("exit", "quit") if name in namespace}
    namespace.update(dict.fromkeys(kept, sys.exit))
    printed = _Printed(sys.stdout)
    try:
        with contextlib.redirect_stdout(printed):
            yield printed
    finally:
        namespace.update({name: value for name, value in kept.items() if namespace.get(name) is sys.exit})


class _Printed(io.StringIO):
    """Keeps what is printed, and lets it through."""

    def __init__(self, through: TextIO) -> None:
        super().__init__()
        self._through = through

    def write(self, text: str) -> int:
        """Write it there and here."""
        self._through.write(text)
        return super().write(text)
