"""One question asked from a cell or a script: sent, painted as it arrives, and delivered where it was wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel
from kimi_magic.command import Ask, Context, conversation_name
from kimi_magic.context.registry import Describe
from kimi_magic.errors import CommandError, Interrupted, InvalidReply, KimiError
from kimi_magic.execution import run_here

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.context.gathering import Gathered
    from kimi_magic.context.watching import Displays
    from kimi_magic.conversation import Conversation, Origin
    from kimi_magic.others import Others
    from kimi_magic.render import Waiting
    from kimi_magic.reply import Reply
    from kimi_magic.schema import Output
    from kimi_magic.sent import Sent
    from kimi_magic.session import Asking
    from kimi_magic.settings import Settings
    from kimi_magic.tools.toolbox import Toolbox

__all__ = [
    "ask",
    "assign",
    "delivered",
    "describe",
    "gathered",
    "origin_of",
    "output",
    "painted",
    "prepared",
    "preview",
    "private",
    "require_free",
    "run",
    "toolbox",
    "unpainted",
]

_DEST_FIRST = "Names are looked up in the notebook. A variable for the reply stands first: %%kimi answer -c df"

describe = Describe(kernel.guard)
"""What `kimi_magic.describe` is: it keeps back what a question of this kernel would keep back."""

_MANY_VALUES = 5_000_000
"""Values of a table that take seconds to learn, the first time."""

_CODE = (ModuleType, FunctionType, BuiltinFunctionType, type)
_painted: tuple[int, object] = (-1, None)
_delivered: dict[str, int] = {}
"""What a name was given last, by its id: a cell that runs again may put another in its place."""


def ask(  # only the text and objects are meant to be positional
    text: str,
    *objects: object,
    model: str | None = None,
    system: str | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    effort: str | None = None,
    rerun: str | None = None,
    timeout: float | str | None = None,
    rows: int | None = None,
    columns: Iterable[str] = (),
    full: bool = False,
    detail: str = "auto",
    cells: str = "",
    new: bool = False,
    history: bool = True,
    session: str = "",
    quiet: bool = False,
    tools: Iterable[Any] = (),
    approve: str | None = None,
    rounds: int | None = None,
    out: Any = "",
    like: Any = None,
) -> Reply:
    """Ask a question in the conversation of this kernel, as `%%kimi` does, and give the whole reply.

    `objects` go beside the question: dataframes, figures, images, anything; `rows`, `columns`, `full` and `detail` say
    how closely they are looked at, `cells` brings cells of the notebook ("2:5", "all"). The text is sent as it is.
    In a notebook or a terminal IPython the reply is painted as it arrives, unless `quiet`. `timeout` is in seconds
    or text such as "2m"; `rerun` ("replay", "ask", "always", "only") says what becomes of a request that was answered
    before; `new` begins a fresh conversation, `history=False` asks outside of it, `session` in another one of that
    name. `tools` are functions that the model may call, or their names, in at most `rounds` rounds; `approve` ("ask",
    "all", "none") is for those that want approval. `out` is a type that the reply has to be, or fields as
    "name, age int, tags list[str]"; `like` a dataframe whose rows it has to be: then `reply.value` is the value, and
    `reply.frame` the rows as a dataframe. Raises a KimiError that says what to do, InvalidReply where the reply is not
    what was asked for, and Interrupted (a KeyboardInterrupt that holds the cut reply) on Ctrl-C.
    """
    given = {
        "model": model,
        "system": system,
        "format": format,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "effort": effort,
        "rerun": rerun,
        "timeout": timeout,
        "approve": approve,
        "rounds": rounds,
    }
    options = {name: value for name, value in given.items() if value is not None}
    wanted = (columns,) if isinstance(columns, str) else tuple(columns)
    session = conversation_name(session, "session=") if session else ""
    context = Context(cells=cells, raw=True, rows=rows, columns=wanted, full=full, detail=detail)
    given_tools = (tools,) if isinstance(tools, str) or callable(tools) else tuple(tools)
    asked = Ask(text, "", options, new, history, quiet, context, session=session, tools=given_tools, out=out, like=like)
    return run(current_shell(), asked, objects)


def private(table: object, columns: Iterable[str]) -> None:
    """Keep columns of a table in the kernel: no path sends them, from now on, in this session.

    It holds for every table's column of such a name, so for copies and slices too, and distinctive values are kept
    back wherever they turn up. `table` may be None, for names alone. Raises CommandError for an unknown column.
    """
    kernel.guard().hide(table, (columns,) if isinstance(columns, str) else tuple(columns))


def current_shell() -> InteractiveShell | None:
    """Give the IPython shell that runs this, None in a plain script; never imports IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def run(
    shell: InteractiveShell | None,
    asked: Ask,
    objects: Sequence[object] = (),
    *,
    failure: BaseException | None = None,
    displays: Displays | None = None,
    others: Others | None = None,
    past: Conversation | None = None,
) -> Reply:
    """Ask, paint and deliver; see `ask`.

    `failure` is what `%kimi fix` explains, `displays` knows what cells displayed, `others` watches a cell that asks.
    Asked outside any conversation, it is asked after the `past`, if one is given.
    """
    try:
        values = kernel.resolve(asked.options)
        painted_on = None if asked.quiet else shell
        out, tools = output(shell, asked), toolbox(shell, asked, values)
        place = _place(shell, asked)
        with _waiting(painted_on, values, others) as waiting:
            gathered = _gathered(shell, asked, objects, values, failure, displays, waiting.at, place, past, out)
        with kernel.ask(gathered, values, past=past, **place, tools=tools, out=out) as asking:
            reply = _play(asking, painted_on, values, others, waiting)
    except InvalidReply:
        raise
    except Interrupted as stopped:
        if stopped.reply is not None:
            _deliver(shell, stopped.reply, asked)
        raise
    except KimiError as error:
        if error.reply is not None:
            _deliver(shell, error.reply, asked)
        raise
    except KeyboardInterrupt:  # before the first event, or while something was imported for it
        raise Interrupted from None
    _deliver(shell, reply, asked)
    return reply


def unpainted(asked: Ask, objects: Sequence[object] = (), out: Output | None = None) -> Asking:
    """Send a question and give its events: it is painted nowhere and delivered nowhere. See `ask` for what it raises.

    `out` is what the reply has to be. Use it in a `with` block, or call `close`.
    """
    shell = current_shell()
    values = kernel.resolve(asked.options)
    place, tools = _place(shell, asked), toolbox(shell, asked, values)
    gathered = _gathered(shell, asked, objects, values, None, None, _nobody, place, out=out)
    return kernel.ask(gathered, values, **place, tools=tools, out=out)


def gathered(
    asked: Ask,
    objects: Sequence[object],
    origin: Origin,
    *,
    failure: BaseException | None = None,
    displays: Displays | None = None,
    looking: Callable[[str], None],
) -> Gathered:
    """Put a question together that is asked at this place, on any thread: nothing is displayed for it.

    `failure` and `displays` are those of `run`; `looking` is told the name of what is looked at and may take long.
    """
    shell, values = current_shell(), kernel.resolve(asked.options)
    place = _place(shell, asked, origin)
    return _gathered(shell, asked, objects, values, failure, displays, looking, place, in_cell=False)


def _nobody(_: str) -> None:
    """Tell nobody what is looked at."""


def prepared(
    shell: InteractiveShell | None,
    asked: Ask,
    *,
    failure: BaseException | None = None,
    displays: Displays | None = None,
    past: Conversation | None = None,
) -> tuple[Settings, Gathered, Output | None, Toolbox | None]:
    """Put a question together, and give it with what it is asked with; nothing is sent."""
    try:
        values = kernel.resolve(asked.options)
        out, tools = output(shell, asked), toolbox(shell, asked, values)
        place = _place(shell, asked)
        with _waiting(shell, values, None) as waiting:
            gathered = _gathered(shell, asked, (), values, failure, displays, waiting.at, place, past, out)
        waiting.retract()
    except KeyboardInterrupt:
        raise Interrupted from None
    return values, gathered, out, tools


def preview(
    shell: InteractiveShell | None,
    asked: Ask,
    *,
    failure: BaseException | None = None,
    displays: Displays | None = None,
    past: Conversation | None = None,
) -> Sent:
    """Give what `run` would send, and send nothing."""
    values, gathered, _, tools = prepared(shell, asked, failure=failure, displays=displays, past=past)
    try:
        sent = kernel.preview(gathered, values, past=past, **_place(shell, asked), tools=tools)
    except KeyboardInterrupt:
        raise Interrupted from None
    assign(shell, asked.dest, sent)
    return sent


def _gathered(
    shell: InteractiveShell | None,
    asked: Ask,
    objects: Sequence[object],
    values: Settings,
    failure: BaseException | None,
    displays: Displays | None,
    at: Callable[[str], None],
    place: Mapping[str, Any],
    past: Conversation | None = None,
    out: Output | None = None,
    *,
    in_cell: bool = True,
) -> Gathered:
    """Look up what the question names, and put it together."""
    from kimi_magic.context import failures, kinds, notebook, template
    from kimi_magic.context.description import Description
    from kimi_magic.context.gathering import Source, named

    context = asked.context
    namespace = _namespace(shell)
    require_free(shell, asked.dest)
    _learn(namespace, at)
    beside = [Source(name, template.value_of(name, namespace, _DEST_FIRST)) for name in context.names]
    beside += named(objects, namespace)
    if context.cells:
        wanted = notebook.parse_cells(context.cells)
        beside.append(
            Source(
                f"cells {context.cells}",
                describe=lambda look: notebook.describe_cells(shell, wanted, look, displays, asking=in_cell),
            )
        )
    if failure is not None:
        beside.append(Source(type(failure).__name__, describe=lambda look: failures.describe_failure(failure, look)))
    if out is not None:
        beside.append(Source("form of the reply", describe=lambda _: Description.of("schema", out.instruction)))
    pieces: str | list[str | Source] = asked.question
    if not context.raw and isinstance(asked.question, str):
        pieces = [
            Source(piece.source, template.value_of(piece.source, namespace))
            if isinstance(piece, template.Expression)
            else piece
            for piece in template.split(asked.question)
        ]

    def looking(source: Source) -> None:
        if kinds.may_take_long(source.value):
            at(source.name)

    return kernel.gather(
        pieces,
        beside,
        values,
        context.looked,
        dry=asked.dry_run,
        past=past,
        **place,
        looking=looking,
    )


def require_free(shell: InteractiveShell | None, dest: str) -> None:
    """Raise CommandError where a reply would take the place of data or of code of the user's."""
    from kimi_magic.context import kinds

    held = _namespace(shell).get(dest)
    if (kinds.is_data(held) or isinstance(held, _CODE)) and id(held) != _delivered.get(dest):
        raise CommandError(
            f"{dest} holds a {type(held).__name__}, and the reply would take its place.",
            hint=f"The reply needs a name of its own. To send {dest} along: %%kimi -c {dest}",
        )


def _namespace(shell: InteractiveShell | None) -> dict[str, Any]:
    return shell.user_ns if shell is not None else vars(sys.modules["__main__"])


def output(shell: InteractiveShell | None, asked: Ask) -> Output | None:
    """Say what the reply has to be; None for any text."""
    if not asked.typed:
        if asked.options.get("format") == "table":
            raise CommandError("A table is made of rows.", hint='Ask for them: -o "[name, age int]", or -o like=df.')
        return None
    from kimi_magic import schema
    from kimi_magic.context import template

    out, like = asked.out, asked.like
    if isinstance(out, str) and out.replace(" ", "").startswith("like="):
        out, like = "", template.value_of(out.partition("=")[2].strip(), _namespace(shell))
    return schema.output(out or None, like, _namespace(shell), private=kernel.guard().hides)


def toolbox(shell: InteractiveShell | None, asked: Ask, values: Settings) -> Toolbox | None:
    """Give what answers calls of the tools that a question names; None for none."""
    if not asked.tools:
        return None
    from kimi_magic.tools.asking import Asking as Approving

    if asked.later is not None:  # on another thread, where nobody is asked, and the user's cells run meanwhile
        return kernel.toolbox(asked.tools, values, _namespace(shell))
    run_code = (lambda code: run_here(shell, code)) if shell is not None else None
    return kernel.toolbox(asked.tools, values, _namespace(shell), approval=Approving(), run=run_code)


def _place(shell: InteractiveShell | None, asked: Ask, origin: Origin | None = None) -> dict[str, Any]:
    """Say where in a conversation the question goes."""
    # Outside any conversation no cell has asked before.
    origin = (origin or origin_of(shell)) if asked.history else None
    return {"new": asked.new, "history": asked.history, "name": asked.session, "origin": origin}


def origin_of(shell: InteractiveShell | None) -> Origin:
    """Say which run of which cell this is, as far as the front end tells the kernel."""
    from kimi_magic.conversation import Origin

    parent: dict[str, Any] = getattr(shell, "get_parent", dict)() or {}
    cell = parent.get("metadata", {}).get("cellId", "")
    run = parent.get("header", {}).get("msg_id", "")
    # Once it is counted, `execution_count` may be the next cell's already.
    counted = parent.get("content", {}).get("store_history", True)
    count = getattr(getattr(shell, "displayhook", None) if counted else None, "prompt_count", 0)
    count = count or getattr(shell, "execution_count", 0)
    return Origin(str(cell or ""), str(run), count if run else 0)


def _learn(namespace: Mapping[str, Any], at: Callable[[str], None]) -> None:
    """Make the values of private columns known, in whatever table of the notebook they stand by now."""
    from kimi_magic.context import kinds

    guard = kernel.guard()
    for name, value in list(namespace.items()) if guard.names else ():
        if kinds.is_data(value):
            size = getattr(value, "size", 0)
            if isinstance(size, int) and size > _MANY_VALUES:
                at(name)
            guard.learn(value)


def _waiting(shell: InteractiveShell | None, values: Settings, others: Others | None) -> Waiting:
    from kimi_magic import render

    return render.Waiting(shell, stream=values.stream, others=others)


def _play(
    asking: Asking, shell: InteractiveShell | None, values: Settings, others: Others | None, waiting: Waiting
) -> Reply:
    from kimi_magic import render

    whole = bool(asking.draft.recorded) and values.replay_pace == "at once"
    view = render.view_for(
        shell,
        asking.draft,
        stream=values.stream and not whole,
        thinking=values.thinking,
        others=others,
        handle=waiting.handle,
    )
    return render.play(asking, view)


def _deliver(shell: InteractiveShell | None, reply: Reply, asked: Ask) -> None:
    """Put a reply where it is wanted: its value, where a type was asked for, and then only once it is there."""
    global _painted  # noqa: PLW0603  # one cell runs at a time, and only the last reply can be its value
    if shell is None:
        return
    _painted = (shell.execution_count, reply)
    if not asked.typed or not reply.cut:
        assign(shell, asked.dest, delivered(reply, typed=asked.typed))
    if reply.format == "code" and reply.code and not reply.cut:
        shell.set_next_input(reply.code)


def delivered(reply: Reply, *, typed: bool) -> object:
    """Give what a variable gets of a reply: the reply, or where a type was asked for its value."""
    if not typed:
        return reply
    return reply.frame if reply.format == "table" and reply.frame is not None else reply.value


def assign(shell: InteractiveShell | None, dest: str, value: object) -> None:
    """Give a variable of the notebook its value; nothing where there is no name."""
    if shell is not None and dest:
        shell.push({dest: value})
        _delivered[dest] = id(value)


def painted(shell: Any, reply: object) -> bool:
    """Whether this very cell has painted this reply, so that it need not be shown again as the cell's value."""
    count, last = _painted
    return last is reply and bool(count == shell.execution_count)
