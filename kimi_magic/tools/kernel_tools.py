"""The built-in tools, off unless a cell names them (`-t kernel`, or one of them): the model looks around in the kernel.

They read variables and nothing else, and what they give is described as for a question: private columns and names stay
here, and every answer carries what to enter in the ledger. `run_python` changes things, so it always asks.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from kimi_magic.context import kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects.saying import said, type_name
from kimi_magic.context.template import near_names
from kimi_magic.tools import handles, peeking, querying
from kimi_magic.tools.functions import Tool
from kimi_magic.tools.privacy import Private

__all__ = ["kernel_tools"]

_OF_IPYTHON = {"In", "Out", "exit", "quit", "get_ipython", "open"}
_ROOMS = {"brief": 1_500, "normal": 6_000, "full": 12_000}

Name = Annotated[str, "The name of a variable, such as df or kimi_1."]


def kernel_tools(
    namespace: MutableMapping[str, Any], look: Look, run: Callable[[str], object] | None = None
) -> tuple[Tool, ...]:
    """Make the tools that look into a namespace; `run` runs code in it and gives what to tell, None: no such tool."""
    looking = _Looking(namespace, look)
    functions = (looking.list_variables, looking.describe_variable, looking.peek, looking.sql, looking.read_source)
    tools = [Tool(function.__name__, function) for function in functions]
    if run is not None:
        running = run

        def run_python(code: Annotated[str, "Python, as it would stand in a cell."]) -> object:
            """Run Python code in the user's notebook. The user sees the code first and may refuse it."""
            return looking.shown(lambda: running(code))

        tools.append(Tool("run_python", run_python, approve="always", timeout=None))
    return tuple(tools)


class _Looking:
    """The tools as methods, so that they share the namespace and how closely it is looked at."""

    def __init__(self, namespace: MutableMapping[str, Any], look: Look) -> None:
        self._namespace = namespace
        self._look = look

    def list_variables(self) -> Description:
        """List the variables of the user's notebook, each with its type, its size and a short value."""
        names = [name for name in list(self._namespace) if self._is_shown(name)]
        private = Private(self._namespace, self._look)
        secret = {name for name in names if self._look.hides(name) or private.within(self._namespace[name])}
        lines, length, shown = [], 0, 0
        for name in sorted(names):
            line = f"{self._look.word(name)}: " + (
                "[private]" if name in secret else self._brief(self._namespace[name])
            )
            length += len(line) + 1
            if length > self._look.room - 40:
                lines.append(f"[… {len(names) - shown:,} more variables …]")
                break
            lines.append(line)
            shown += 1
        left = f"{len(names) - shown:,} variables" if shown < len(names) else ""
        withheld = tuple(sorted(map(self._look.word, secret)))
        text = "\n".join(lines) or "There are no variables yet."
        return Description.of("variables", text, shape=f"{len(names):,} variables", withheld=withheld, omitted=left)

    def describe_variable(self, name: Name, detail: Literal["brief", "normal", "full"] = "normal") -> Description:
        """Describe a variable of the user's notebook: a table by its columns, a function by its source, and so on."""
        value = self._value(name)
        look = peeking.with_room(self._look, min(self._look.room, _ROOMS[detail]), full=detail == "full")
        return kinds.describe(value, look)

    def peek(
        self,
        name: Name,
        rows: Annotated[int, "How many rows, items or lines."] = 10,
        columns: Annotated[list[str], "Which columns of a table; none means all."] = [],  # noqa: B006  # never changed
        start: Annotated[int, "Where to begin, counted from 0; below 0 from the end."] = 0,
    ) -> Description:
        """Show a part of a variable as it is: rows of a table or an array, items of a list or dict, lines of a text."""
        return peeking.part(self._value(name), self._look, rows=rows, columns=columns, start=start)

    def sql(self, query: Annotated[str, "One SELECT in DuckDB's SQL; tables are the dataframes, by name."]) -> object:
        """Query the dataframes of the user's notebook by SQL. Private columns are not there."""
        return querying.select(query, self._namespace, self._look)

    def read_source(self, name: Annotated[str, "The name of a function or a class."]) -> Description:
        """Give the source code of a function or class that is defined in the user's notebook."""
        value = self._value(name)
        if not callable(value):
            raise TypeError(f"{name} is a {type(value).__name__}, not a function or a class")
        return kinds.describe(value, self._look)

    def shown(self, run: Callable[[], object]) -> object:
        """Give what running code came to, or say that it holds what is private; awaitable where that is."""
        with self._guarded():
            value = run()
        return self._awaited(value) if inspect.isawaitable(value) else self._given(value)

    async def _awaited(self, value: Awaitable[object]) -> object:
        with self._guarded():
            found = await value
        return self._given(found)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep back an error whose message holds what is private."""
        try:
            yield
        except Exception as error:
            if column := Private(self._namespace, self._look).within(said(error, str)):
                what = f"{type_name(error)}, whose message is withheld: it holds the private column {column}"
                raise RuntimeError(what) from None
            raise

    def _given(self, value: object) -> object:
        if column := Private(self._namespace, self._look).within(value):
            text = f"Done. What it gave is withheld as a whole: it holds the private column {self._look.word(column)}."
            return Description.of("withheld", text, withheld=(self._look.word(column),))
        return value

    def _is_shown(self, name: object) -> bool:
        if not isinstance(name, str) or name.startswith("_") or name in _OF_IPYTHON:
            return False
        return not isinstance(self._namespace.get(name), type(sys))

    def _brief(self, value: object) -> str:
        return kinds.brief(value, peeking.with_room(self._look, 160))

    def _value(self, name: str) -> Any:
        if self._look.hides(name):
            raise LookupError(f"{name!r} is private")
        if name not in self._namespace or not self._is_shown(name):
            near = near_names(name, [one for one in self._namespace if self._is_shown(one)])
            there = f"; there is {', '.join(near)}" if near else ""
            raise LookupError(f"{handles.missing(name, self._namespace)}{there}")
        value = self._namespace[name]
        if kinds.is_data(value):
            self._look.guard.learn(value)
        if column := Private(self._namespace, self._look).within(value):
            raise LookupError(f"{name!r} is withheld: it holds the private column {self._look.word(column)}")
        return value
