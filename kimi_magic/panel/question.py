"""A question that was asked in the panel: how it is put together, where it goes, and the tools that it brings."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from kimi_magic import cell, kernel
from kimi_magic.command import Ask
from kimi_magic.context import template
from kimi_magic.context.description import Description
from kimi_magic.context.gathering import Gathered, Source
from kimi_magic.conversation import Origin, Turn
from kimi_magic.errors import CommandError
from kimi_magic.messages import Message, Part, Text
from kimi_magic.panel import surroundings, tooling
from kimi_magic.panel.approval import Buttons

if TYPE_CHECKING:
    from kimi_magic.later import Later
    from kimi_magic.sent import Item, Sent
    from kimi_magic.session import Asking
    from kimi_magic.settings import Settings
    from kimi_magic.tools.toolbox import Toolbox

__all__ = ["Question", "gathered", "preview", "send", "submit"]


@dataclass(eq=False, slots=True)
class Question:
    """What is asked, in the entry `id`: the `text` that was typed, what it asks, and what goes beside it.

    `files` are the keys of those among the `objects` that the front end has sent. It takes the place of the `turn`.
    With `verbatim` the question of that turn goes once more, exactly as it went; otherwise what stood beside it goes
    along again.
    """

    id: str
    text: str
    ask: Ask
    objects: tuple[Source, ...] = ()
    files: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    turn: Turn | None = None
    verbatim: bool = False
    buttons: Buttons = field(default_factory=Buttons)
    asking: Asking | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def again(self) -> Question:
        """Give the same question, not asked yet."""
        return Question(
            self.id, self.text, self.ask, self.objects, self.files, self.tools, self.turn, verbatim=self.verbatim
        )

    def stop(self) -> None:
        """End it, on any thread: one that is not sent yet will not be, a reply that is arriving is cut."""
        self.stopped.set()
        if self.asking is not None and self.asking.tools is not None:
            self.asking.tools.stop()
        self.buttons.stop()
        if self.asking is not None:
            self.asking.close()


def send(question: Question, looking: Callable[[str], None]) -> Asking:
    """Put it together and send it; see `cell.ask` for what that raises."""
    values = kernel.resolve(question.ask.options)
    if values.rerun == "ask":  # there is no cell here that could be asked in; what is replayed says so
        values = replace(values, rerun="replay")
    put = gathered(question, looking)
    tools = _toolbox(question, values)
    return kernel.ask(put, values, origin=_origin(question), tools=tools)


def submit(question: Question) -> Later:
    """Put it together and ask it as a job; see `later.begin` for what that raises."""
    from kimi_magic import later

    values = kernel.resolve(question.ask.options)
    put = gathered(question, lambda _: None)
    asked = replace(question.ask, tools=question.tools)
    prepared = later.Prepared(values, put, None, _toolbox(question, values), _origin(question))
    return later.submit(cell.current_shell(), asked, prepared, "auto")


def preview(question: Question) -> Sent:
    """Give what would be sent, and send nothing."""
    values = kernel.resolve(question.ask.options)
    put = gathered(replace(question, ask=_unevaluated(question.ask)), lambda _: None)
    return kernel.preview(put, values, origin=_origin(question), tools=_toolbox(question, values))


def _toolbox(question: Question, values: Settings) -> Toolbox | None:
    return tooling.toolbox(question.tools, values, question.buttons, question.stopped.is_set)


def _unevaluated(ask: Ask) -> Ask:
    """Leave out what would have to be computed: somebody may still be typing it, and it may change things."""
    if ask.context.raw or not isinstance(ask.question, str):
        return ask
    namespace = getattr(cell.current_shell(), "user_ns", {})

    def source(expression: str) -> Source:
        if _only_looks_up(expression):
            return Source(expression, template.value_of(expression, namespace))
        return Source(
            expression, describe=lambda _: Description.of("expression", "…", omitted="computed when it is sent")
        )

    pieces = template.split(ask.question)
    found = [source(piece.source) if isinstance(piece, template.Expression) else piece for piece in pieces]
    return replace(ask, question=cast("str", found))


def _only_looks_up(expression: str) -> bool:
    return all(isinstance(node, _LOOKING_UP) for node in ast.walk(ast.parse(expression.strip(), mode="eval")))


_LOOKING_UP = (
    *(ast.Expression, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Slice, ast.Tuple, ast.List),
    *(ast.Load, ast.UnaryOp, ast.USub),
)


def gathered(question: Question, looking: Callable[[str], None]) -> Gathered:
    """Look up what the question names, and put it together."""
    if question.turn is not None and question.verbatim:
        return _again(question.turn)
    put = cell.gathered(
        question.ask,
        question.objects,
        _origin(question),
        failure=_failure() if question.ask.context.failure else None,
        displays=surroundings.displays(),
        looking=looking,
    )
    return put if question.turn is None else _with(_beside(question.turn), put)


def _origin(question: Question) -> Origin:
    """Say where it goes: to the end, or where the turn stands that it replaces, whose cell it goes on to belong to."""
    if question.turn is None:
        return Origin()
    return replace(question.turn.origin, run=question.id, count=0, replaces=question.turn.number)


def _again(turn: Turn) -> Gathered:
    found = kernel.private_in([turn.question.text])
    if found:
        raise CommandError(
            f"This question holds values of {', '.join(found)}, which are private now.",
            hint="Ask anew, without them; or, if that is meant, %kimi private --release NAME.",
        )
    items = turn.reply.sent.items if turn.reply.sent is not None else ()
    return Gathered(turn.question, tuple(item for item in items if item.kind != "tool"))


def _beside(turn: Turn) -> tuple[Item, ...]:
    """Find what stood beside a question: it is between marks, and comes first."""
    items = turn.reply.sent.items if turn.reply.sent is not None else ()
    return tuple(
        item
        for item in items
        if item.parts and isinstance(item.parts[0], Text) and item.parts[0].text.startswith("<context name=")
    )


def _with(items: tuple[Item, ...], put: Gathered) -> Gathered:
    """Put what stood beside the earlier question before the new one."""
    if found := kernel.private_in(part.text for item in items for part in item.parts if isinstance(part, Text)):
        raise CommandError(
            f"What went beside this question holds values of {', '.join(found)}, which are private now.",
            hint="Ask anew, without it.",
        )
    parts: list[Part] = []
    for part in (*(part for item in items for part in item.parts), *put.message.parts):
        if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + part.text)
        else:
            parts.append(part)
    return Gathered(Message("user", tuple(parts)), (*items, *put.items))


def _failure() -> BaseException:
    found = surroundings.last_failure()
    if found is None:
        raise CommandError("No cell has failed yet.", hint="Ask anything else.")
    return found
