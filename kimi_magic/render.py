"""What paints a reply while it arrives: `play` drives a view with the events of one ask.

In a notebook finished blocks are displayed once and never sent again; only the live tail is, so bytes and time grow
with the reply and not with its square. A painting that would be too dear for what has arrived is put off. At the end
there is one output. Outputs that are not ours are never cleared: where there are some, the blocks stay as they are.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from kimi_magic import card, present
from kimi_magic.calls import Outcome
from kimi_magic.errors import Interrupted
from kimi_magic.events import Event, TextDelta
from kimi_magic.messages import ToolCall
from kimi_magic.models import LOCAL
from kimi_magic.values import table_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle

    from kimi_magic.others import Others
    from kimi_magic.reply import Draft, Reply
    from kimi_magic.session import Asking

__all__ = ["CellView", "QuietView", "StaticView", "TerminalView", "View", "Waiting", "play", "view_for"]

_EVERY = 0.1
_STATUS_EVERY = 0.4
"""Seconds between two paintings, of text and of what is waited for."""
_COST_FACTOR = 5
"""A painting that took t seconds is followed by a pause of at least this times t."""
_FREEZE = 1_500
"""Characters of finished blocks that get an output of their own."""
_BYTES_PER_CHARACTER = 28
_BYTES_TO_BEGIN = 8_000
_ENVELOPE = 900
"""A reply of n characters may cost n times the first and the second number; a message costs the third by itself."""
_SHORT_THINKING = 2_000
_LONG = 1.5
"""Seconds of looking at an object after which a view says so."""
_PATIENCE = 0.5
"""Seconds of silence after which a view says what it waits for."""


class View(Protocol):
    """What paints one reply."""

    def take(self, event: Event | Outcome) -> None:
        """Paint one event, or put it off."""

    def calling(self, call: ToolCall) -> None:
        """Show that a tool runs now, before it does: what it prints comes after."""

    def finish(self, reply: Reply) -> None:
        """Paint the end: the reply is whole, or cut."""


def play(asking: Asking, view: View) -> Reply:
    """Paint the events of a question until its reply is complete, and give the reply.

    Raises what the question raises, after what had arrived was painted; Interrupted on Ctrl-C.
    """
    if asking.tools is not None:
        asking.tools.starting = view.calling
    told: set[str] = set()
    try:
        with asking:
            for event in asking:
                view.take(event)
                told |= {event.call.id} if isinstance(event, Outcome) else set()
    except KeyboardInterrupt:
        reply = asking.reply
        raise Interrupted(None if reply.empty else reply) from None
    finally:
        for outcome in asking.reply.calls:
            if outcome.call.id not in told:  # it was stopped, or never begun
                view.take(outcome)
        view.finish(asking.reply)
    return asking.reply


def view_for(
    shell: InteractiveShell | None,
    draft: Draft,
    *,
    stream: bool,
    thinking: bool,
    others: Others | None,
    handle: DisplayHandle | None = None,
) -> View:
    """Choose the view: none in a script, text in a terminal, a live or a static output in a notebook.

    `others` watches a cell that is this one question, so that a long reply may become one output at its end; None for
    any other cell. `handle` is an output that is there already, and still empty.
    """
    if shell is None:
        return QuietView()
    if not hasattr(shell, "kernel"):
        return TerminalView(draft, sys.stdout.write, stream=stream, thinking=thinking)
    if not stream:
        return StaticView(thinking=thinking, handle=handle)
    return CellView(draft, thinking=thinking, others=others, handle=handle)


class Waiting:
    """Says what is looked at before a question is sent, once that takes long; its output is the reply's afterwards.

    Use it in a `with` block. Only the cell's thread may display, and it is busy then: so what may take long is
    displayed empty, and another thread writes into that.
    """

    def __init__(self, shell: InteractiveShell | None, *, stream: bool, others: Others | None) -> None:
        self._notebook = shell is not None and hasattr(shell, "kernel") and stream
        self._others = others
        self._name = ""
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.handle: DisplayHandle | None = None

    def at(self, name: str) -> None:
        """Note that this is looked at now, and may take long."""
        self._name = name
        if self._notebook and self._thread is None:
            (self._others.ours if self._others is not None else _call)(self._display)
            self._thread = threading.Thread(target=self._tell, name="kimi-waiting", daemon=True)
            self._thread.start()

    def _display(self) -> None:
        self.handle = _show({"text/plain": ""}, live=True)

    def _tell(self) -> None:
        begun = time.monotonic()
        while not self._done.wait(_LONG if time.monotonic() - begun < _LONG else 1.0):
            text = f"Looking at {self._name} … {time.monotonic() - begun:.0f} s"
            if self.handle is not None:
                self.handle.update({"text/html": present.page(present.status(text)), "text/plain": text}, raw=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        if error is not None:
            self.retract()

    def retract(self) -> None:
        """Take back what was said, where no reply follows in its place."""
        if self.handle is not None:
            self.handle.update({"text/plain": ""}, raw=True)


def _call(function: Callable[[], None]) -> None:
    function()


class QuietView:
    """Paints nothing."""

    def take(self, event: Event | Outcome) -> None:
        """Paint nothing."""

    def calling(self, call: ToolCall) -> None:
        """Paint nothing."""

    def finish(self, reply: Reply) -> None:
        """Paint nothing."""


class StaticView(QuietView):
    """One display, when the reply is complete. nbval compares the first display with the saved one."""

    def __init__(self, *, thinking: bool, handle: DisplayHandle | None = None) -> None:
        self._thinking = thinking
        self._handle = handle

    def finish(self, reply: Reply) -> None:
        """Display the reply, unless nothing came."""
        shown = reply if self._thinking else reply.without_thinking
        bundle = shown.bundle(shown.html) if _has_something(reply) else {"text/plain": ""}
        if self._handle is not None:
            self._handle.update(bundle, raw=True)
        elif _has_something(reply):
            _show(bundle)


class TerminalView:
    """Plain text as it arrives. Thinking is one line that is overwritten, and leaves its duration."""

    def __init__(self, draft: Draft, write: Callable[[str], Any], *, stream: bool, thinking: bool) -> None:
        self._draft = draft
        self._write = write
        self._held: list[TextDelta] | None = None if stream and draft.partial is None else []
        self._thinking = thinking
        self._status = ""
        self._tty = sys.stdout.isatty()
        self._last = ""

    def calling(self, call: ToolCall) -> None:
        """Say that a tool runs now."""
        self._say("")
        self._end_line()
        self._status = ""
        self._write(self._dim(card.plain(call)) + "\n")

    def take(self, event: Event | Outcome) -> None:
        """Write text at once, anything else to the line that is overwritten."""
        if isinstance(event, Outcome):
            self._say("")
            self._end_line()
            self._write(self._dim(card.plain(event.call, event)) + "\n")
        elif isinstance(event, TextDelta) and self._held is not None:
            self._held.append(event)
        elif isinstance(event, TextDelta):
            self._say("")
            if self._last == "" and self._thinking and self._draft.thinking_tail:
                self._write(self._dim(f"Thought for {present.seconds(self._draft.reply.timing.thinking)}") + "\n")
            self._write(present.printable(event.text))
            self._last = event.text[-1:] or self._last
            sys.stdout.flush()
        elif not self._draft.has_text:
            self._say(status_of(self._draft))

    def _end_line(self) -> None:
        self._write("" if self._last in ("", "\n") else "\n")
        self._last = ""

    def _say(self, status: str) -> None:
        if status == self._status or not self._tty:
            return
        self._status = status
        line = present.printable(status)[: shutil.get_terminal_size().columns - 1]
        self._write("\r\x1b[K" + (self._dim(line) if line else ""))
        sys.stdout.flush()

    def _dim(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._tty else text

    def finish(self, reply: Reply) -> None:
        """Write what was held back, the notice and the footer."""
        self._say("")
        held, self._held = (self._held or ()) if reply.value is None else (), None
        for event in held:
            self.take(event)
        if not _has_something(reply):
            return
        if reply.value is not None:
            self._write(f"{reply.plain}\n")
            self._last = "\n"
        end = "" if self._last in ("", "\n") else "\n"
        notice = "".join(f"{line}\n" for line in (reply.notice, reply.remark) if line)
        badges = "".join(f"[{badge}] " for badge in reply.badges)
        facts = self._dim(present.printable(badges + " · ".join(reply.facts)))
        self._write(f"{end}{notice}{facts}\n")
        sys.stdout.flush()


class CellView:
    """A live output in a notebook's cell."""

    def __init__(
        self, draft: Draft, *, thinking: bool, others: Others | None, handle: DisplayHandle | None = None
    ) -> None:
        # Imported while the request is on its way, so that the first token finds everything ready.
        from kimi_magic import markdown

        self._new_document = markdown.Document
        self._document = markdown.Document()
        self._draft = draft
        self._cards: dict[str, DisplayHandle | None] = {}
        # Blocks are a matter of Markdown; the other formats are painted as one text until they are complete.
        blocks = draft.format in ("markdown", "code") and draft.partial is None
        self._whole_text: list[str] | None = None if blocks else []
        self._thinking = thinking
        self._others = others
        self._handle = handle
        self._frozen = 0
        self._block: list[str] = []
        self._block_source: list[str] = []
        self._text = 0
        self._sent = 0
        self._due = 0.0
        self._status = ""
        self._changed = False

    def calling(self, call: ToolCall) -> None:
        """Show the card of a call that runs now."""
        self._end_segment()
        self._card(call, None)

    def _card(self, call: ToolCall, outcome: Outcome | None) -> None:
        bundle = {"text/html": present.page(card.html(call, outcome)), "text/plain": card.plain(call, outcome)}

        def send() -> None:
            handle = self._cards.get(call.id)
            if handle is None:
                self._cards[call.id] = _show(bundle, live=True)
            else:
                handle.update(bundle, raw=True)

        (self._others.ours if self._others is not None else _call)(send)

    def _end_segment(self) -> None:
        """Leave what was said before calls as it is; what is said after them gets an output of its own."""
        said = self._draft.round
        if self._handle is None and not (said.text or said.thinking):
            return
        html = "".join([self._opening(), *self._block, self._document.tail().html])
        if self._whole_text is not None:
            html = self._opening() + present.body("".join(self._whole_text), "text")
        if html:
            source = "".join(self._block_source) + self._document.tail().source or "".join(self._whole_text or ())
            self._put(present.style() + html, source)
        else:
            self._retract()
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._document = self._new_document()
        self._block, self._block_source = [], []
        if self._whole_text is not None:
            self._whole_text = []
        self._handle = None
        self._frozen = self._text = self._sent = 0
        self._due = 0.0
        self._status = ""
        self._changed = False

    def take(self, event: Event | Outcome) -> None:
        """Take one event; paint when it is time and something has changed."""
        if isinstance(event, Outcome):
            self._end_segment()
            self._card(event.call, event)
            return
        if isinstance(event, TextDelta):
            if not self._text:
                self._due = 0.0  # the first word waits for nothing
            (self._document.feed if self._whole_text is None else self._whole_text.append)(event.text)
            self._text += len(event.text)
            self._changed = True
        status = "" if self._draft.has_text else status_of(self._draft)
        if status != self._status:
            self._status = status
            self._changed = True
        if self._changed and (now := time.monotonic()) >= self._due:
            self._paint(now)

    def _paint(self, start: float) -> None:
        if not self._draft.has_text:
            self._put(present.status(self._status), self._status)
            self._sent = 0  # the budget is the text's
            self._due = start + _STATUS_EVERY
            return
        if self._whole_text is None:
            self._freeze()
            tail = self._document.tail()
            html, source = tail.html, "".join(self._block_source) + tail.source
        else:
            source = "".join(self._whole_text)
            html = self._partial(source)
        self._due = start + _EVERY
        pieces = [self._opening(_SHORT_THINKING), *self._block, html]
        size = sum(map(len, pieces)) + len(source) + _ENVELOPE
        if self._sent and self._sent + size > _BYTES_TO_BEGIN + _BYTES_PER_CHARACTER * self._text:
            return
        self._put("".join(pieces), source)
        self._due = start + max(_EVERY, _COST_FACTOR * (time.monotonic() - start))

    def _partial(self, source: str) -> str:
        """Show a reply that is no Markdown and still on its way: the rows that have come, or its text."""
        rows = self._draft.partial(source) if self._draft.partial is not None else []
        table = table_of(rows)
        return present.body(source, "text") if table is None else table.html

    def _freeze(self) -> None:
        """Give finished blocks an output of their own once there are enough of them."""
        for block in self._document.advance():
            self._block.append(block.html)
            self._block_source.append(block.source)
            if sum(map(len, self._block_source)) >= _FREEZE:
                # A page needs the stylesheet once; it holds for the live tail below as well.
                style = "" if self._frozen else present.style()
                self._put(style + self._opening() + "".join(self._block), "".join(self._block_source))
                self._block.clear()
                self._block_source.clear()
                self._handle = None
                self._frozen += 1

    def _opening(self, longest: int | None = None) -> str:
        """What stands above the text in the first output: the thinking, or its heading alone where it is too long."""
        if self._frozen or not self._thinking or not self._draft.has_text:
            return ""
        reply = self._draft.reply
        if longest is not None and len(reply.thinking) > longest:
            return present.status("Thinking done; it is shown here with the whole reply.")
        return present.thinking(reply.thinking, reply.timing.thinking)

    def _put(self, html: str, source: str) -> None:
        self._changed = False
        self._publish({"text/html": present.page(html), "text/plain": source})

    def _publish(self, bundle: dict[str, str]) -> None:
        self._sent += sum(map(len, bundle.values())) + _ENVELOPE
        if self._others is not None:
            self._others.ours(lambda: self._send(bundle))
        else:
            self._send(bundle)

    def _send(self, bundle: dict[str, str]) -> None:
        with _uninterrupted():  # an output that was sent and not noted would be sent again at the end
            if self._handle is None:
                self._handle = _show(bundle, live=True)
            else:
                self._handle.update(bundle, raw=True)

    def finish(self, reply: Reply) -> None:
        """Put the whole reply into one output; where others wrote into the cell, add only what is missing."""
        if not _has_something(reply):
            self._retract()
        elif not self._frozen:
            self._publish(self._whole(reply))
        elif self._others is not None and not self._others.seen and not self._cards:
            from IPython.display import clear_output

            clear_output(wait=True)
            self._handle = None
            self._publish(self._whole(reply))
        else:
            self._finish_blocks(reply)

    def _whole(self, reply: Reply) -> dict[str, str]:
        shown = reply if self._thinking else reply.without_thinking
        # The document has rendered nearly all of it already; the other formats are rendered now.
        markdown = self._whole_text is None and shown.value is None
        return shown.bundle(shown.html_around(self._document.html() if markdown else shown.body))

    def _finish_blocks(self, reply: Reply) -> None:
        tail = self._document.tail()
        end = present.notice(reply.notice) + reply.footer
        self._put("".join([*self._block, tail.html, end, present.style()]), "".join(self._block_source) + tail.source)

    def _retract(self) -> None:
        """Take back a status line that no reply followed: an empty output is invisible everywhere."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, which must be short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[Any] = []
    handler = signal.signal(signal.SIGINT, lambda *args: came.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came and callable(handler):
            handler(*came[-1])


def status_of(draft: Draft) -> str:
    """Say what a view waits for, in a few words; empty while there is nothing worth saying."""
    name = "the local model" if draft.model == LOCAL else draft.model.rpartition("/")[2]
    if draft.retry is not None:
        left, retry = draft.retry
        return f"Asking again in {math.ceil(left)} s (try {retry.attempt} of {retry.of}): {retry.reason}"
    if draft.thinking_tail:
        return f"Thinking … {draft.elapsed:.0f} s · {draft.thinking_tail}"
    if draft.elapsed < _PATIENCE:
        return ""
    return f"Waiting for {name} … {draft.elapsed:.0f} s"


def _has_something(reply: Reply) -> bool:
    return bool(not reply.empty or not reply.cut)


def _show(bundle: dict[str, str], *, live: bool = False) -> DisplayHandle | None:
    from IPython.display import display

    handle: DisplayHandle | None = display(bundle, raw=True, **({"display_id": True} if live else {}))
    return handle
