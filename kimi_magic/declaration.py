"""What a function says of itself that is to be asked: that it can be, and what its reply has to be."""

from __future__ import annotations

import ast
import dis
import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from types import FunctionType

    from kimi_magic.schema import Output

__all__ = ["output", "required"]

_NO_CODE = {"RESUME", "NOP", "COPY_FREE_VARS", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "CACHE"}
_EXAMPLE = 'def mood(text: str) -> str: "In one word, what is the mood of {{ text }}?"'


def required(function: Any) -> FunctionType:
    """Give the function; raises CommandError for what cannot be a question."""
    name = getattr(function, "__name__", type(function).__name__)
    if not inspect.isfunction(function):
        raise CommandError(f"fn takes a function, and {name} is a {type(function).__name__}.", hint=_EXAMPLE)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise CommandError(
            f"{name} is async, and a call to the model waits for its reply.", hint=f"Write it without async: def {name}"
        )
    if not (function.__doc__ or "").strip():
        raise CommandError(f"{name} has no docstring, which would be the question.", hint=_EXAMPLE)
    if _has_code(function):
        raise CommandError(
            f"{name} has code in its body, which would never run: the docstring is the question.",
            hint="Leave the docstring alone in it, and write a function around it for what comes before or after.",
        )
    return function


def _has_code(function: FunctionType) -> bool:
    """Whether it does anything but return None."""
    return any(
        step.opname not in _NO_CODE or (step.opname in ("LOAD_CONST", "RETURN_CONST") and step.argval is not None)
        for step in dis.get_instructions(function)
    )


def output(function: FunctionType) -> Output | None:
    """Read what it returns; None for text. Raises CommandError for what no reply can be."""
    wanted = function.__annotations__.get("return", str)
    if isinstance(wanted, str):  # a type, or fields: "name, age int"; in quotes where all annotations are text
        wanted = wanted.strip()
        wanted = str(ast.literal_eval(wanted)) if wanted[:1] in ("'", '"') else wanted
    if wanted in (str, "str"):
        return None
    from kimi_magic import schema

    if wanted is None or wanted == "None":
        raise CommandError(
            f"{function.__name__} returns None by its annotation, and a reply is text or a value.",
            hint="Annotate what the reply has to be: -> str, -> list[str], -> MyModel",
        )
    namespace = {**function.__globals__, **_locals()}
    if not isinstance(wanted, str):
        wanted = _resolved(function, wanted, namespace)
    return schema.output(wanted, namespace=namespace)


def _resolved(function: FunctionType, wanted: Any, namespace: dict[str, Any]) -> Any:
    """Look up what is named in quotes inside of a type, list["Row"]."""

    def stand_in() -> None: ...

    stand_in.__annotations__ = {"return": wanted}
    try:
        return typing.get_type_hints(stand_in, namespace, include_extras=True)["return"]
    except Exception as error:  # noqa: BLE001  # an annotation in quotes is code
        raise CommandError(
            f"What {function.__name__} returns cannot be read: {error}", hint="Define the type before the function."
        ) from None


def _locals() -> dict[str, Any]:
    """Give the local names of the code that defines the function."""
    frame = sys._getframe()  # noqa: SLF001  # frames are walked, none is kept
    while frame.f_back is not None and frame.f_globals["__name__"] in (__name__, "kimi_magic.function"):
        frame = frame.f_back
    return dict(frame.f_locals)
