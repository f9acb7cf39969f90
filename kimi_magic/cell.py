"""One question asked from a cell or a script: sent, painted as it arrives, and delivered where it was wanted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kimi_magic import kernel
from kimi_magic.errors import Interrupted, KimiError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.others import Others
    from kimi_magic.reply import Reply
    from kimi_magic.session import Asking
    from kimi_magic.settings import Settings

__all__ = ["ask", "painted", "run"]

_painted: tuple[int, object] = (-1, None)


def ask(  # only the text is meant to be positional
    text: str,
    *,
    model: str | None = None,
    system: str | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
    max_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    effort: str | None = None,
    timeout: float | str | None = None,
    new: bool = False,
    history: bool = True,
    quiet: bool = False,
) -> Reply:
    """Ask a question in the conversation of this kernel, as `%%kimi` does, and give the whole reply.

    In a notebook or a terminal IPython the reply is painted as it arrives, unless `quiet`. `timeout` is in seconds
    or text such as "2m"; `new` begins a fresh conversation; `history=False` asks outside of it. Raises a KimiError
    that says what to do, and Interrupted (a KeyboardInterrupt that holds the cut reply) on Ctrl-C.
    """
    given = {
        "model": model,
        "system": system,
        "format": format,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "effort": effort,
        "timeout": timeout,
    }
    options = {name: value for name, value in given.items() if value is not None}
    return run(current_shell(), text, options, new=new, history=history, quiet=quiet)


def current_shell() -> InteractiveShell | None:
    """Give the IPython shell that runs this, None in a plain script; never imports IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def run(
    shell: InteractiveShell | None,
    text: str,
    options: Mapping[str, object],
    *,
    dest: str = "",
    new: bool = False,
    history: bool = True,
    quiet: bool = False,
    others: Others | None = None,
) -> Reply:
    """Ask, paint and deliver; see `ask`. `others` watches a cell that is this question alone."""
    try:
        values = kernel.resolve(options)
        with kernel.ask(text, values, new=new, history=history) as asking:
            reply = _play(asking, None if quiet else shell, values, others)
    except Interrupted as stopped:
        if stopped.reply is not None:
            _deliver(shell, stopped.reply, dest)
        raise
    except KimiError as error:
        if error.reply is not None:
            _deliver(shell, error.reply, dest)
        raise
    except KeyboardInterrupt:  # before the first event, or while something was imported for it
        raise Interrupted from None
    _deliver(shell, reply, dest)
    return reply


def _play(asking: Asking, shell: InteractiveShell | None, values: Settings, others: Others | None) -> Reply:
    from kimi_magic import render

    view = render.view_for(shell, asking.draft, stream=values.stream, thinking=values.thinking, others=others)
    return render.play(asking, view)


def _deliver(shell: InteractiveShell | None, reply: Reply, dest: str) -> None:
    global _painted  # noqa: PLW0603  # one cell runs at a time, and only the last reply can be its value
    if shell is None:
        return
    _painted = (shell.execution_count, reply)
    if dest:
        shell.push({dest: reply})
    if reply.format == "code" and reply.code and not reply.cut:
        shell.set_next_input(reply.code)


def painted(shell: Any, reply: object) -> bool:
    """Whether this very cell has painted this reply, so that it need not be shown again as the cell's value."""
    count, last = _painted
    return last is reply and bool(count == shell.execution_count)
