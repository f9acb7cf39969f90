"""`@kimi_magic.fn`: a typed function whose docstring is the question becomes a call to the model.

`{{ name }}` in the docstring is an argument; arguments that it does not name go beside the question. The return
annotation is what the reply has to be. Each call is asked on its own, outside of the conversation, and is recorded in
the journal like any question, so that the same call is replayed and a test needs no model.
"""

from __future__ import annotations

import ast
import functools
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from kimi_magic import cell, declaration, settings
from kimi_magic.command import Ask, Context
from kimi_magic.context import template
from kimi_magic.context.description import Description
from kimi_magic.context.gathering import Source
from kimi_magic.errors import CommandError, Interrupted, InvalidReply
from kimi_magic.events import TextDelta
from kimi_magic.mapping import mapped

if TYPE_CHECKING:
    from types import FunctionType

    from kimi_magic.asking import Asking
    from kimi_magic.reply import Reply

__all__ = ["Function", "fn"]

P = ParamSpec("P")
R = TypeVar("R")
_EVERY = 0.1
"""Seconds between two readings of rows that are on their way."""


@overload
def fn(function: Callable[P, R], /) -> Function[P, R]: ...
@overload
def fn(
    function: None = None,
    /,
    *,
    model: str | None = None,
    system: str | None = None,
    effort: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    tools: Iterable[Any] = (),
    rerun: str | None = None,
) -> Callable[[Callable[P, R]], Function[P, R]]: ...
def fn(
    function: Any = None,
    /,
    *,
    model: str | None = None,
    system: str | None = None,
    effort: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    tools: Iterable[Any] = (),
    rerun: str | None = None,
) -> Any:
    """Turn a function without a body into a call to the model; its docstring is the question.

        @kimi_magic.fn(model="k2.6")
        def mood(text: str) -> Literal["good", "bad"]:
            "What is the mood of {{ text }}?"

        mood("What a day!")       the value
        mood.map(df["text"])      a value for each; a series keeps its index and name
        mood.stream("…")          the reply as it arrives: pieces of text, or rows
        mood.reply("…")           the whole Reply

    `{{ }}` holds an argument, or an expression of arguments and globals; what it does not name goes beside the
    question, except for None. The reply has to be what the function is annotated to return, any type that `-o` takes;
    without one, and for str, it is text. The options are those of `kimi_magic.ask`. Also without parentheses:
    `@kimi_magic.fn`. Raises CommandError at once for what cannot be asked: no docstring, code in the body, `async`, a
    type that has no schema, an option's value.
    """
    options = {
        "model": model,
        "system": system,
        "effort": effort,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "rerun": rerun,
    }
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        settings.parse(name, value, "option")
    wanted = (tools,) if isinstance(tools, str) or callable(tools) else tuple(tools)
    if function is None:
        return lambda function: Function(function, given, wanted)
    return Function(function, given, wanted)


class Function(Generic[P, R]):
    """A function that asks the model; `fn` makes it. It has the signature and the docstring of the one it was."""

    def __init__(self, function: Callable[P, R], options: Mapping[str, object], tools: tuple[Any, ...]) -> None:
        self._function: FunctionType = declaration.required(function)
        self._options, self._tools = options, tools
        self._signature = inspect.signature(function)
        question = inspect.cleandoc(function.__doc__ or "")
        self._pieces = template.split(question)
        self._named = {name for piece in self._pieces if not isinstance(piece, str) for name in _names(piece.source)}
        self._out = declaration.output(self._function)
        self._owner: tuple[Any, ...] = ()
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask, and give the value. Raises a KimiError, InvalidReply among them; Interrupted on Ctrl-C."""
        value: R = self._value(self._reply(self._given(args, kwargs)))
        return value

    def reply(self, *args: P.args, **kwargs: P.kwargs) -> Reply:
        """Ask, and give the whole Reply: its text, usage, the value in `.value`, rows in `.frame`."""
        return self._reply(self._given(args, kwargs))

    def stream(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        """Ask when it is first iterated, and give what arrives: pieces of text, or of a list its elements.

        Anything else is given once, whole. Other questions may be asked meanwhile; closing the iterator ends the reply.
        """
        return self._arriving(self._given(args, kwargs))

    def map(self, values: Iterable[Any], /, **more: Any) -> Any:
        """Ask for each value of the first parameter, one after another; `more` are the others, the same for all.

        Gives the values in their order: a list; for a pandas or polars Series one with its index and name, in which
        what was missing stays missing. Equal values are asked once. After two seconds a bar shows how far it is.
        Ctrl-C raises Interrupted, an error what it is; either has what was done in `.done`, and since every reply is
        recorded, running it again goes on from there.
        """
        first = next((p.name for p in list(self._signature.parameters.values())[len(self._owner) :]), "")
        if not first:
            raise CommandError(f"{self._name} takes no argument to map.", hint="Give it one.")

        def one(value: Any, tick: Callable[[], None]) -> Any:
            return self._value(self._reply(self._given((value,), more), tick))

        return mapped(one, values, self._name)

    def __get__(self, owner: Any, kind: type | None = None) -> Function[..., R]:
        """Bind it as a method; what it belongs to is sent only where the docstring names it."""
        if owner is None:
            return self
        bound: Function[..., R] = object.__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound._owner = (owner,)
        mine = list(self._signature.parameters.values())[1:]
        bound.__signature__ = self._signature.replace(parameters=mine)  # type: ignore[attr-defined]
        return bound

    def __repr__(self) -> str:
        return f"<kimi_magic.fn {self._name}{self._signature}>"

    @property
    def _name(self) -> str:
        return self._function.__name__

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Give each argument by its name; raises TypeError as a call of the function would."""
        try:
            bound = self._signature.bind(*self._owner, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}() {error}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    @contextmanager
    def _asked(self, given: dict[str, Any]) -> Iterator[Asking]:
        """Ask, and close it at the end; a Ctrl-C becomes Interrupted, with what had arrived."""
        beside = [_source(name, value) for name, value in self._beside(given) if value is not None]
        asked = Ask(
            self._question(given),  # type: ignore[arg-type]  # looked up already
            options=self._options,
            history=False,
            quiet=True,
            context=Context(raw=True),
            tools=self._tools,
        )
        asking = None
        try:
            with cell.unpainted(asked, beside, self._out) as asking:
                yield asking
        except Interrupted:
            raise
        except KeyboardInterrupt:
            reply = asking.reply if asking is not None else None
            raise Interrupted(None if reply is None or reply.empty else reply) from None

    def _question(self, given: Mapping[str, Any]) -> list[str | Source]:
        # What looks names up ends here: a stream that held the globals would hold the variable that holds the stream.
        namespace = {**self._function.__globals__, **given}
        hint = f"{{{{ }}}} holds an argument of {self._name}, or what is global to it."
        return [
            piece if isinstance(piece, str) else _inline(piece.source, template.value_of(piece.source, namespace, hint))
            for piece in self._pieces
        ]

    def _beside(self, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Give the arguments that the docstring does not name."""
        for n, parameter in enumerate(self._signature.parameters.values()):
            name = parameter.name
            if name in self._named or (n == 0 and (self._owner or name in ("self", "cls"))):
                continue
            if parameter.kind is parameter.VAR_KEYWORD:
                yield from given[name].items()
            elif parameter.kind is not parameter.VAR_POSITIONAL or given[name]:
                yield name, given[name]

    def _reply(self, given: dict[str, Any], tick: Callable[[], None] = lambda: None) -> Reply:
        with self._asked(given) as asking:
            for _ in asking:
                tick()
        return asking.reply

    def _value(self, reply: Reply) -> Any:
        if self._out is not None:
            return reply.value
        if reply.finish == "length":
            error = InvalidReply(
                f"The reply of {self._name} was cut at {reply.max_tokens:,} tokens.",
                hint=f"Raise max_tokens; {self._name}.reply(…) gives it as far as it came.",
            )
            error.reply = reply
            raise error
        return reply.text

    def _arriving(self, given: dict[str, Any]) -> Iterator[Any]:
        out, told, due = self._out, 0, 0.0
        with self._asked(given) as asking:
            for event in asking:
                if out is None:
                    if isinstance(event, TextDelta):
                        yield event.text
                elif (now := time.monotonic()) >= due:
                    due = now + _EVERY
                    for element in out.partial(asking.draft.round.text)[told:]:
                        told += 1
                        yield element
        if out is not None:
            value = asking.reply.value
            yield from list(value)[told:] if isinstance(value, list | tuple | set | frozenset) else [value]


def _inline(source: str, value: Any) -> str | Source:
    """Put a text into the question as it is, whole; anything else is described."""
    return value if isinstance(value, str) else Source(source, value)


def _source(name: str, value: Any) -> Source:
    if isinstance(value, str):
        return Source(name, describe=lambda _: Description.of("text", value))
    return Source(name, value)


def _names(source: str) -> set[str]:
    """Name the variables of an expression."""
    tree = ast.parse(f"({source}\n)", mode="eval")
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
