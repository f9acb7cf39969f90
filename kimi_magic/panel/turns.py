"""The questions of a panel: one is asked at a time, the others wait where everybody sees them."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from kimi_magic import render
from kimi_magic.errors import KimiError
from kimi_magic.panel import entries, question
from kimi_magic.panel.live import LiveReply
from kimi_magic.panel.question import Question

if TYPE_CHECKING:
    from kimi_magic.panel.transcript import Transcript
    from kimi_magic.panel.worker import Worker
    from kimi_magic.session import Session

__all__ = ["Turns"]

_TICK = 0.2


class Turns:
    """Asks questions in their order, on the worker's thread; the methods are for any other.

    `changed` is called whenever another one runs or waits, `sent` with one whose files need not be kept any longer.
    """

    def __init__(
        self,
        session: Session,
        transcript: Transcript,
        worker: Worker,
        changed: Callable[[], None],
        sent: Callable[[Question], None],
    ) -> None:
        self._session = session
        self._transcript = transcript
        self._worker = worker
        self._changed = changed
        self._sent = sent
        self._lock = threading.Lock()
        self._waiting: list[Question] = []
        self._failed: dict[str, Question] = {}
        self.running: Question | None = None

    @property
    def waiting(self) -> list[Question]:
        """Those whose turn has not come, in their order."""
        with self._lock:
            return list(self._waiting)

    def ask(self, asked: Question) -> None:
        """Put a question at the end of the queue."""
        with self._lock:
            self._waiting.append(asked)
        self._transcript.put(entries.asked(asked.id, asked.text, "", "queued"))
        self._worker.put(lambda: self._run(asked))
        self._changed()

    def again(self, id_: str) -> None:
        """Ask once more what has failed before there was a turn of it."""
        asked = self._failed.pop(id_, None)
        if asked is not None:
            self._transcript.remove(id_)
            self.ask(asked.again())

    def stop(self, id_: str = "") -> None:
        """End the question of this entry, or the one that runs or is about to."""
        with self._lock:  # one whose turn comes just now is the one or the other
            running = self.running
            next_ = self._waiting[:1] if running is None and not id_ else ()
            waiting = [one for one in self._waiting if one.id == id_ or one in next_]
        if running is not None and id_ in ("", running.id):
            # Closing a connection may take a moment, and the caller is a callback.
            threading.Thread(target=running.stop, name="kimi-panel-stop", daemon=True).start()
        for one in waiting:
            self._take_back(one)

    def _take_back(self, asked: Question) -> None:
        """Let a question that waits not be asked."""
        asked.stop()  # should its turn come now, it is not sent
        with self._lock:
            if asked not in self._waiting:
                return
            self._waiting.remove(asked)
        self._transcript.remove(asked.id)
        self._changed()

    def answer(self, id_: str, call: str, *, agreed: bool, always: bool) -> None:
        """Answer for a call that wants approval."""
        running = self.running
        if running is not None and running.id == id_:
            running.buttons.answer(call, agreed=agreed, always=always)

    def close(self) -> None:
        """End what runs, and ask nothing more."""
        for one in self.waiting:
            self._take_back(one)
        self.stop()

    def _run(self, asked: Question) -> None:
        with self._lock:
            if asked not in self._waiting:
                return
            self._waiting.remove(asked)
            self.running = asked
        self._changed()
        try:
            if self._has_turn(asked):
                self._ask(asked)
            else:
                self._transcript.remove(asked.id)
        except Exception as error:
            self._failed[asked.id] = asked
            self._transcript.change(asked.id, state="failed", line="", error=entries.failure(error))
            self._transcript.say(f"It failed: {entries.failure(error)['message']}")
            if asked.asking is None:
                self._transcript.refill(asked.text, asked.files)
            if not isinstance(error, KimiError):
                raise
        finally:
            self._transcript.release()
            self.running = None
            self._changed()

    def _has_turn(self, asked: Question) -> bool:
        """Wait until no question of a cell is on its way; whether it is still to be asked then."""
        while not asked.stopped.is_set():
            if self._session.wait_for_turn(_TICK):
                return not asked.stopped.is_set()
            self._transcript.change(asked.id, state="waiting", line="A question of a cell comes first.")
        return False

    def _ask(self, asked: Question) -> None:
        def looking(name: str) -> None:
            self._transcript.change(asked.id, state="looking", line=f"Looking at {name} …")

        self._transcript.hold(self._session.conversation, asked.turn.number if asked.turn is not None else 0)
        self._transcript.change(asked.id, state="looking", line="")
        asked.asking = asking = question.send(asked, looking)
        if asked.stopped.is_set():
            asking.close()
        try:
            asked.buttons.view = live = LiveReply(asked.id, self._transcript, asking.draft)
            with contextlib.suppress(KeyboardInterrupt):  # a tool has raised it
                render.play(asking, live)
        finally:
            asking.close()
            sys.stdout.flush()  # what a tool has printed on this thread was seen to stay in the kernel's buffer
            self._transcript.change(asked.id, turn=asking.number)
        if asking.reply.empty and asked.stopped.is_set():
            self._transcript.remove(asked.id)
            self._transcript.refill(asked.text, asked.files)
        else:
            self._sent(asked)
        self._transcript.say("Stopped." if asking.reply.cut else "The reply is complete.")
