"""A question that was asked and whose reply comes later: one job, its thread, its outputs.

The question is sent on the cell's thread, so that what cannot be asked is an error there. A thread of its own takes
the reply, runs tools, and does at the end what a cell does: it updates the output, gives the variable its value and
the conversation its turn. What is asked stands in the store until then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kimi_magic import atprompt, kernel, lateragain
from kimi_magic.conversation import Conversation
from kimi_magic.errors import CommandError, KimiError, StoreError
from kimi_magic.jobs import page
from kimi_magic.jobs.ahead import Ahead
from kimi_magic.jobs.asked import Asked, read_turn, written_turn
from kimi_magic.jobs.keeping import Keeping, Lost
from kimi_magic.jobs.kept import Counts, Kept
from kimi_magic.jobs.queued import Progress, Queued
from kimi_magic.jobs.standing import ENDED, Standing, State
from kimi_magic.lateragain import Question
from kimi_magic.laterplaces import Outputs, Variable
from kimi_magic.messages import Usage
from kimi_magic.reply import Reply

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.session import Asking

__all__ = ["Later", "here", "leave_all"]

_HEARTBEAT = 10.0
"""Seconds between two renewals of the lease, a third of it."""
_AGAIN = 0.5
"""Seconds between two paintings of how it stands."""
_FAREWELL = 3.0
_PATIENCE = 5.0
"""Seconds in which a recorded reply is there, so that it is displayed at once and not filled in."""
here: dict[str, Later] = {}
"""Those that this kernel has asked or taken up, by their ids."""


class Later:
    """A question whose reply comes later: a job of one item. `dest` is the variable that receives it."""

    def __init__(self, shell: InteractiveShell | None, keeping: Keeping, job: Kept) -> None:
        self._shell = shell
        self._keeping = keeping
        self._kept = job
        self._asked = Asked.read(job.spec)
        self._progress = Progress(job.lane or "auto")
        self._outputs = Outputs(shell, self._bundle)
        self._variable = Variable(shell, self._asked.dest, job.id, typed=self._asked.typed)
        self._callbacks: list[Callable[[Standing], None]] = []
        self._over = threading.Event()
        self._cancelled = self._lost = self._changed = False
        self._asking: Asking | None = None
        self._conversation: Conversation | None = None
        self.state: State = job.state
        self.remark = job.remark
        self.reply: Reply | None = None

    @property
    def id(self) -> str:
        """The name of the job."""
        return self._kept.id

    @property
    def dest(self) -> str:
        """The variable that receives the reply; empty for none."""
        return self._asked.dest

    @property
    def value(self) -> object:
        """What the reply stands for, where a type was asked for; None as long as there is none."""
        return self.reply.value if self.reply is not None else None

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return self.reply.usage if self.reply is not None else self._kept.usage

    @property
    def cost(self) -> float | None:
        """US dollars; None for no known price."""
        return self.reply.cost if self.reply is not None else self._kept.cost

    @property
    def lane(self) -> str:
        """The lane that was asked for: queue, concurrent or auto. It may be set while it waits."""
        return self._progress.wanted

    @lane.setter
    def lane(self, lane: str) -> None:
        self._progress.wanted = lane

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        progress, over = self._progress, self.state in ENDED
        state: State = "waiting" if progress.waiting and not over else self.state
        queued = not over and progress.at_service
        lane = progress.lane or (self._kept.lane if over else progress.wanted).replace("auto", "")
        return replace(
            self._kept.standing,
            state=state,
            lane=lane,
            remark=self.remark or progress.remark,
            done=int(self.state == "done"),
            failed=int(self.state == "stopped"),
            queued=int(queued),
            running=int(not (over or queued)),
            pending=int(self.state == "cancelled"),
            oldest=time.time() - self._kept.began if queued else None,
            usage=self.usage,
            cost=self.cost,
        )

    # What the cell's thread does

    def ask(self, question: Question, *, anyway: bool = True) -> None:
        """Send it, and wait for the reply on a thread of its own. Raises what a question raises.

        The variable is given something to hold `anyway`, or only where it holds nothing of the user's.
        """
        ahead = Ahead(self._keeping, self._kept.number, self.id)
        self._conversation = question.conversation
        self._asking = asking = kernel.ask(
            question.gathered,
            question.values,
            history=False,
            past=self._asked.past(question.conversation) if question.conversation is not None else None,
            tools=question.tools,
            out=question.out,
            later=lambda inner: Queued(inner, ahead, self._progress, self._note),
        )
        here[self.id] = self
        self.promise(anyway=anyway)
        for work in (self._run, self._beat):
            threading.Thread(target=work, args=(asking,), name=f"kimi-later-{self.id}", daemon=True).start()
        if asking.draft.recorded:
            self.wait(_PATIENCE)
        if self.reply is not None and self.reply.recorded:  # nothing had to be sent: there is no job to list
            self.discard()

    def again(self) -> None:
        """Ask what the store has, in this kernel. Raises a KimiError where that cannot be."""
        question = lateragain.again(self._shell, self._asked)
        self.state, self.remark, self.reply = "running", "", None
        self._cancelled = self._lost = False
        self._progress = Progress(self._progress.wanted)
        self._over.clear()
        self.ask(question, anyway=False)

    def show(self, *, quiet: bool = False) -> None:
        """Show it here: the reply, or what stands in its place until it comes; `quiet` shows nothing in this cell."""
        self._outputs.show(quiet=quiet)

    def _ipython_display_(self) -> None:
        self._outputs.show_as_value()

    def __repr__(self) -> str:
        return f"Later({self.id}, {page.states(self.standing)})"

    def wait(self, timeout: float | None = None) -> Later:
        """Wait for the reply, at most `timeout` seconds; Ctrl-C ends the waiting, not the job."""
        self._over.wait(timeout)
        return self

    def cancel(self) -> Later:
        """Wait no longer. What the service's queue has it will answer, and bill; nobody will look at it."""
        if self.state in ENDED:
            return self
        self._cancelled = True
        if self._asking is not None:
            self._asking.close()
            self.wait(_HEARTBEAT)
        else:
            self._require_mine()
            self.state = "cancelled"
            self._keep(Reply(), None)
        return self

    def _require_mine(self) -> None:
        if not self._keeping.acquire(self._kept.number):
            raise CommandError(f"Another kernel works on job {self.id}.", hint="%kimi jobs shows it.")

    def leave(self) -> None:
        """Let go of it: it stays in the store as it is, for the next kernel, or for this one to take up."""
        if self.state not in ENDED and self._asking is not None:
            self._asking.close()
            self.wait(_FAREWELL)

    def retry(self) -> Later:
        """Ask again what failed or was cancelled; one that still runs goes on."""
        if self.state in ("cancelled", "stopped"):
            self._require_mine()
            self.again()
        return self

    def discard(self) -> None:
        """Erase what was never sent."""
        here.pop(self.id, None)
        with suppress(StoreError):
            self._keeping.forget(self._kept.number)

    def let_go(self) -> None:
        """Undo the beginning: nothing was sent. What an earlier kernel has sent stays in the store."""
        with suppress(StoreError):
            if self._keeping.batches(self._kept.number):
                self._keeping.release(self._kept.number)
            else:
                self.discard()

    def forget(self) -> None:
        """Cancel it and erase it from the store; its turn in the conversation stays."""
        self.cancel()
        here.pop(self.id, None)
        self._keeping.forget(self._kept.number)

    def on_change(self, callback: Callable[[Standing], None]) -> Callable[[], None]:
        """Call this on the job's thread when something changes, and at the end; give what ends that."""
        self._callbacks.append(callback)

        def leave() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return leave

    def deliver(self) -> None:
        """Give the variable the reply of an earlier kernel, where it holds nothing of the user's."""
        if self.reply is not None:
            self._variable.receive(self.reply, late=True)

    def promise(self, *, anyway: bool) -> None:
        """Put something into the variable that says that the reply is not there yet."""
        self._variable.promise(f"asked at {self._at}", anyway=anyway)

    @property
    def _at(self) -> str:
        return time.strftime("%H:%M:%S", time.localtime(self._kept.began))

    def postpone(self, error: KimiError) -> None:
        """Leave it for another time, where it cannot be taken up now."""
        self.state, self.remark = "waiting", f"{error.message} {error.hint} Then: %kimi jobs"
        self._keeping.release(self._kept.number)

    # What its own thread does

    def _note(self) -> None:
        self._changed = True

    def _run(self, asking: Asking) -> None:
        try:
            self._finish(asking, self._followed(asking))
        finally:
            if self.state not in ENDED:
                here.pop(self.id, None)
            self._asking = None
            self._paint()
            self._over.set()

    def _followed(self, asking: Asking) -> KimiError | None:
        """Take the reply, and give the error that ended it."""
        due = time.monotonic()
        try:
            with asking:
                for _ in asking:
                    if self._changed and (now := time.monotonic()) > due:
                        self._changed, due = False, now + _AGAIN
                        self._paint()
        except KimiError as error:
            return error
        except Exception as error:  # noqa: BLE001  # a thread of its own: nobody else could tell
            return KimiError(f"{type(error).__name__}: {error}")
        return None

    def _finish(self, asking: Asking, error: KimiError | None) -> None:
        if self._lost:
            self.state, self.remark = "elsewhere", "Another kernel has taken it over."
        elif self._cancelled:
            self._end("cancelled", asking)
        elif error is not None:
            self._end("stopped", asking, error)
        elif asking.reply.cut:  # the session was closed: the job waits in the store
            with suppress(StoreError):
                self._keeping.release(self._kept.number)
        else:
            self._end("done", asking)

    def _beat(self, asking: Asking) -> None:
        """Keep the lease, whatever the other thread is busy with."""
        while not self._over.wait(_HEARTBEAT):
            with suppress(StoreError):  # another time
                if not self._keeping.renew(self._kept.number):
                    self._lost = True
                    asking.close()
                    return

    def _end(self, state: State, asking: Asking, error: KimiError | None = None) -> None:
        """Do what a cell does at the end of a question."""
        reply = replace(asking.reply, remark=self._story(asking.reply))
        if error is not None:
            self.remark = " ".join(filter(None, (f"{error.message.removesuffix('.')}.", error.hint)))
        if state == "done":
            self.remark = ""
            self.reply = reply = self._placed(asking, reply)
            self._variable.receive(reply)
        else:
            self._variable.give_up(f"asked at {self._at}", state)
        self.state = state
        self._keep(reply, asking)
        told = f"{self.dest} holds the reply." if self.dest else f"%kimi job {self.id} shows the reply."
        atprompt.add(self._shell, f"Job {self.id} is done: {told}" if state == "done" else f"Job {self.id}: {state}.")

    def _story(self, reply: Reply) -> str:
        """Say when it was asked, and how it was answered."""
        if reply.recorded:
            return reply.remark
        lane = f" through the {self._progress.lane} lane" if self._progress.lane else ""
        took = page.time_(time.time() - self._kept.began)
        told = f"Asked at {self._at}, answered {took} later{lane} (job {self.id})."
        return " ".join(filter(None, (told, self._progress.remark, reply.remark)))

    def _placed(self, asking: Asking, reply: Reply) -> Reply:
        """Give the conversation its turn, and the reply as it is in it."""
        conversation, asked = self._conversation, self._asked
        turn = replace(asking.turn, reply=reply, origin=asked.turn.origin, parent=asked.parent)
        if conversation is None or not turn.messages:
            return reply
        try:
            kernel.current().place(conversation, turn, asked.head)
        except StoreError as error:
            return replace(reply, remark=f"{reply.remark} Its turn is not kept on disk: {error.message}")
        return reply

    def _keep(self, reply: Reply, asking: Asking | None) -> None:
        done = self.state == "done"
        self._kept = replace(
            self._kept,
            state=self.state,
            remark=self.remark,
            lane=self._progress.lane,
            ended=time.time(),
            counts=Counts(1, 1, int(done), done=int(done), failed=int(not done)),
            usage=reply.usage,
            cost=reply.cost,
            reply=written_turn(replace(asking.turn, reply=reply)) if done and asking is not None else "",
        )
        try:
            self._keeping.step(lambda connection: self._keeping.hold(connection, self._kept))
            self._keeping.release(self._kept.number)
        except (KimiError, Lost) as error:
            self.remark = f"How it ended is not kept: {error}"

    def _paint(self) -> None:
        self._outputs.update()
        for callback in list(self._callbacks):
            callback(self.standing)

    def _bundle(self) -> dict[str, Any]:
        if self.reply is not None and self.state == "done":
            return self.reply.bundle(self.reply.html)
        return page.asked(self.standing, self.dest)

    def restore(self) -> None:
        """Take from the store how it stands, with the reply, of a job that another kernel has or had."""
        if self.state not in ENDED:
            self.state = "waiting" if self._kept.free else "elsewhere"
            self.remark = "No kernel works on it: %kimi jobs takes it up." if self._kept.free else ""
        self._over.set()
        if self._kept.reply:
            reply = read_turn(self._kept.reply).reply
            self.reply = lateragain.with_value(self._shell, self._asked, reply)


def leave_all() -> None:
    """Let go of every job that waits: the session ends."""
    for one in list(here.values()):
        one.leave()
