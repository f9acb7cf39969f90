"""The panel of this kernel's session: opened once, shown as often as a cell asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kimi_magic import cell, kernel
from kimi_magic.command import conversation_name
from kimi_magic.conversation import Conversation
from kimi_magic.errors import CommandError

if TYPE_CHECKING:
    from kimi_magic.panel.panel import Panel

__all__ = ["chat"]

_open: Panel | None = None


def chat(name: str = "") -> Panel:
    """Open the panel, a chat in the notebook that shares the conversation of its cells; show it as a cell's value.

    After a restart of the kernel it goes on in the notebook's last conversation; with a `name` in the one of that name,
    begun where there is none. Called again it gives the same panel: a second view of it. Raises CommandError outside of
    a notebook.
    """
    global _open  # noqa: PLW0603  # there is one session, too
    shell = cell.current_shell()
    if not hasattr(shell, "kernel"):
        raise CommandError("The panel needs a notebook.", hint="Here, ask with %kimi ask TEXT or kimi_magic.ask(TEXT).")
    session = kernel.current()
    _go_to(conversation_name(name, "%kimi chat") if name else "")
    if _open is None or _open.closed or _open.session is not session:
        from kimi_magic.panel.panel import Panel

        _open = Panel(session, shell)
    return _open


def _go_to(name: str) -> None:
    """Go on in the conversation of this name, here or kept; without a name, in the last one if none was begun."""
    session = kernel.current()
    if name and name in session.conversations:
        session.use(session.conversations[name])
    elif name or not any(one.tree for one in session.conversations.values()):
        found = kernel.resume(name)
        if found is not None:
            session.use(found)
        elif name:
            session.switch(Conversation(name))
