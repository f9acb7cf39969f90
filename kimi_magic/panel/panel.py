"""One open panel: its widget, its workers, and how it follows the session that the cells use as well."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import KimiError
from kimi_magic.panel import entries, facts, slash
from kimi_magic.panel.actions import Actions
from kimi_magic.panel.attachments import LIMITS
from kimi_magic.panel.heard import Heard
from kimi_magic.panel.interrupts import Interrupts
from kimi_magic.panel.saved import Saved
from kimi_magic.panel.transcript import Transcript
from kimi_magic.panel.turns import Turns
from kimi_magic.panel.widget import ChatWidget
from kimi_magic.panel.worker import Worker

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.conversation import Conversation
    from kimi_magic.session import Session

__all__ = ["Panel"]


class Panel:
    """A chat in the notebook. It shows itself where a cell has it as its value; `close` takes it away.

    There is one for a session, however often it is shown: `opened.chat` gives it.
    """

    def __init__(self, session: Session, shell: InteractiveShell | None) -> None:
        self.session = session
        self.shell = shell
        self.tools: tuple[str, ...] = ()
        self.closed = False
        self._in_cell = False
        self.widget = ChatWidget(self._hear)
        self.transcript = Transcript(self.widget)
        self.asking = Worker("kimi-panel", self.failed)
        self.side = Worker("kimi-panel-side", self.failed)
        self.looking = Worker("kimi-panel-look", self.failed)
        self._actions = Actions(self)
        self.turns = Turns(session, self.transcript, self.asking, self.changed, self._actions.sent)
        self.saved = Saved(self.widget.model_id, self.transcript)
        self._interrupts = Interrupts(shell, self.turns.stop)
        self._numbers = itertools.count(1)
        self._stale = threading.Event()
        self.widget.change(commands=slash.COMMANDS, limits=LIMITS, later=True)
        session.watchers.append(self.changed)
        if shell is not None:
            shell.events.register("pre_run_cell", self._runs)
            shell.events.register("post_run_cell", self._ran)
        self._refresh()

    def __repr__(self) -> str:
        return f"Panel({self.session.conversation.name!r}{', closed' if self.closed else ''})"

    def _ipython_display_(self) -> None:
        """Show the conversation for those who will read the notebook, then the panel for who is here."""
        from IPython.display import display

        if self.closed:
            display({"text/plain": repr(self)}, raw=True)
            return
        self.saved.display(self.session.conversation)
        self.changed()
        view = {"model_id": self.widget.model_id, "version_major": 2, "version_minor": 0}
        words = "Kimi's panel opens when this cell runs, where the front end shows widgets."
        display({"application/vnd.jupyter.widget-view+json": view, "text/plain": words}, raw=True)

    def close(self) -> None:
        """End what runs in it, and take it away in every view."""
        self._end()
        self.widget.close()

    def _end(self) -> None:
        self.closed = True
        if self.changed in self.session.watchers:
            self.session.watchers.remove(self.changed)
        if self.shell is not None:
            for event, callback in (("pre_run_cell", self._runs), ("post_run_cell", self._ran)):
                with contextlib.suppress(ValueError):  # ended before, or taken away by somebody else
                    self.shell.events.unregister(event, callback)
        self.turns.close()
        for worker in (self.asking, self.side, self.looking):
            worker.close()

    def fresh_id(self, kind: str) -> str:
        """Give an id for an entry."""
        return f"{kind}-{next(self._numbers)}"

    def note(self, title: str, text: str, html: str = "", *, error: bool = False) -> None:
        """Tell something in the transcript."""
        self.transcript.put(entries.note(self.fresh_id("note"), title, text, html, error=error))
        self.transcript.say(f"{title} {text}" if error else title)

    def failed(self, error: Exception) -> None:
        """Tell what went wrong beside a question."""
        told = entries.failure(error)
        self.note(told["message"], told["hint"], error=True)
        if not isinstance(error, KimiError) and self.shell is not None:
            self.shell.log.error("The panel met an error.", exc_info=error)

    def changed(self) -> None:
        """Follow a change of the session or of the queue, soon; for any thread, and returns at once."""
        self._show_status()
        if not self._stale.is_set():
            self._stale.set()
            self.side.put(self._refresh)

    def _show_status(self) -> None:
        with self.widget.lock:  # what is told last has to be what is true last
            running = self.turns.running
            self._interrupts.wanted(now=running is not None)
            queue = [{"id": one.id, "text": one.text} for one in self.turns.waiting]
            told = {"attached": not self.session.closed, "running": running.id if running else "", "queue": queue}
            self.widget.change(status={**self.widget.status, **told})

    def _refresh(self) -> None:
        """Show what there is to show now."""
        self._stale.clear()
        if self.session.closed:
            self._end()
            return
        conversation = self.session.conversation
        self.transcript.follow(conversation)
        if not self.transcript.held and not self._left_to_cell(conversation):
            self.saved.update(conversation)
        empty = not self.transcript.entries
        where = facts.place()
        with self.widget.lock:
            self.widget.change(status={**self.widget.status, **where})
        self.widget.change(
            usage=facts.usage(self.session),
            choices=facts.choices(self.session, self.tools, self.shell),
            suggestions=facts.suggestions(self.shell) if empty else [],
        )
        self._show_status()

    def _runs(self, _: object) -> None:
        """Know that a cell runs."""
        self._in_cell = True

    def _ran(self, _: object) -> None:
        """Look at what a cell has left: there may be other tools, and other things to ask about.

        The saved transcript gets what it asked before it ends, on its own thread: without a front end nothing else is
        taken up.
        """
        self._in_cell = False
        if self.saved.lacks(self.session.conversation):
            self.saved.update(self.session.conversation)
        self.changed()

    def _left_to_cell(self, conversation: Conversation) -> bool:
        """Whether the running cell brings the last turn into the saved transcript."""
        return self._in_cell and any(turn.origin.count for turn in conversation.lived[-1:])

    def _hear(self, content: dict[str, Any], buffers: Sequence[bytes]) -> None:
        heard = Heard(content, buffers)
        if key := heard.text("key"):
            self.widget.tell("ack", key=key)
        if self.closed or self.session.closed:
            return
        action: Callable[[Heard], None] | None = self._actions.of(heard.kind)
        if action is not None:
            action(heard)
