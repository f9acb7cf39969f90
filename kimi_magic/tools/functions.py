"""A function → Tool: `@kimi_magic.tool`, and what a Tool knows of its function."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from kimi_magic.tools.taken import Taken

__all__ = ["Approve", "Tool", "attribute", "marked", "tool"]

Function = TypeVar("Function", bound=Callable[..., Any])
Approve = bool | Literal["always"]
"""Whether the user is asked before a call; "always" even where everything else was approved beforehand."""

_MARK = "__kimi_tool__"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_USUAL_TIMEOUT = 60.0


@dataclass(frozen=True)
class Tool:
    """A function that the model may call, under a name that the service takes: 1 to 64 letters, digits, _ and -.

    `timeout` is in seconds, None for no limit. Its schema is read from the function when it is first asked for, unless
    its parameters are `declared`: then they are checked as that says, and the function takes them by name.
    Raises CommandError for a name or a timeout that cannot be.
    """

    name: str
    function: Callable[..., Any]
    approve: Approve = False
    timeout: float | None = _USUAL_TIMEOUT
    declared: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CommandError(
                f"{self.name[:80]!r} cannot be the name of a tool.",
                hint='Use 1 to 64 of a-z, A-Z, 0-9, _ and -: @tool(name="…").',
            )
        number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if self.timeout is not None and not (number and self.timeout > 0):
            raise CommandError(f"The timeout of {self.name} is {self.timeout!r}.", hint="Give seconds, or None.")

    @classmethod
    def of(cls, function: Callable[..., Any], name: str = "") -> Tool:
        """Give the Tool of a function: as `@tool` made it, else under its own name, or `name`."""
        kept = attribute(function, _MARK)
        if isinstance(kept, Tool):  # of a method, the function that was decorated has no self yet
            return kept if kept.function is function else cls(kept.name, function, kept.approve, kept.timeout)
        return cls(name or _own_name(function), function)

    @cached_property
    def parameters(self) -> Any:
        """What the function takes, as `kimi_magic.schema` reads it; raises CommandError for a type without a schema."""
        if self.declared is not None:
            return self.declared
        from kimi_magic.tools import arguments

        return arguments.read(self.taken)

    @cached_property
    def taken(self) -> Taken:
        """What its function takes."""
        from kimi_magic.tools.taken import Taken

        return Taken.by(self.function)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return self.parameters.schema  # type: ignore[no-any-return]

    @property
    def description(self) -> str:
        """What the model is told that it does: its docstring."""
        return self.parameters.description  # type: ignore[no-any-return]

    @property
    def asynchronous(self) -> bool:
        """Whether it runs on the kernel's event loop."""
        function = _bare(self.function)
        return any(
            check(one)
            for check in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
            for one in (function, getattr(type(function), "__call__", None))  # noqa: B004  # an object that is called
        )


@overload
def tool(function: Function, /) -> Function: ...
@overload
def tool(
    function: None = None, /, *, name: str | None = None, approve: bool = False, timeout: float | None = _USUAL_TIMEOUT
) -> Callable[[Function], Function]: ...
def tool(
    function: Any = None, /, *, name: str | None = None, approve: bool = False, timeout: float | None = _USUAL_TIMEOUT
) -> Any:
    """Let the model call a function, which stays what it is.

    Its docstring and its type hints tell the model what it does and takes. `approve` asks the user before each call,
    with the arguments shown; `timeout` is in seconds, None for no limit. Also without parentheses: `@kimi_magic.tool`.

        @kimi_magic.tool(approve=True)
        def order(item: str, pieces: int = 1) -> str:
            "Order something from the shop."
    """
    if function is None:
        return functools.partial(_marked, name=name, approve=approve, timeout=timeout)
    return _marked(function, name=name, approve=approve, timeout=timeout)


def _marked(function: Any, *, name: str | None, approve: bool, timeout: float | None) -> Any:
    if isinstance(function, type) or not callable(function):
        what = "a class" if isinstance(function, type) else f"a {type(function).__name__}"
        raise CommandError(f"A tool is a function, and this is {what}.", hint="Write a function around it.")
    made = Tool(name or _own_name(function), function, approve, timeout)
    try:
        setattr(function, _MARK, made)
    except (AttributeError, TypeError):
        what = "built into Python" if inspect.isbuiltin(function) else f"a {type(function).__name__}"
        raise CommandError(
            f"{made.name} cannot be marked as a tool: it is {what}.", hint="Write a function around it."
        ) from None
    return function


def marked(value: object) -> Tool | None:
    """Give the Tool that `@kimi_magic.tool` has made of a function; None for anything else."""
    try:
        kept = value.__dict__.get(_MARK)
    except Exception:  # noqa: BLE001  # any object of the user's
        return None
    return kept if isinstance(kept, Tool) else None


def _own_name(function: Any) -> str:
    bare = _bare(function)
    return str(attribute(bare, "__name__") or type(bare).__name__)


def attribute(value: object, name: str) -> Any:
    """Give an attribute of any object of the user's, None where it has none or fails."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001  # its own __getattr__
        return None


def _bare(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
