"""One question on its way: what is sent, round by round, the events that come, and how it is stopped."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from kimi_magic import request as compose
from kimi_magic.books import Hold
from kimi_magic.calls import Outcome, Round, calling, interrupted, plain_id, plain_name
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError, InvalidReply, KimiError, NotRecorded, RequestRefused
from kimi_magic.events import Event, Idle
from kimi_magic.iothread import Feed
from kimi_magic.messages import Message, Text, ToolCall
from kimi_magic.models import Model
from kimi_magic.reply import Draft, Reply
from kimi_magic.sent import Item, Sent
from kimi_magic.settings import Settings
from kimi_magic.transport import Emit, Limits, Transport
from kimi_magic.wire import Form, Function, Request, canonical

if TYPE_CHECKING:
    from kimi_magic.journal import Replay
    from kimi_magic.schema import Output
    from kimi_magic.session import Session

__all__ = ["Answering", "Asking", "Plan"]

_LAST_WORDS = 0.05
"""Seconds that a cut reply waits for what it has cost; the connection closes in a third of that."""
_LEAST_ROUND = 1_000
_LEAST_RESULT = 100
"""Characters: with less for the results of a round the reply has to come, and no result gets less."""
_PATIENCE = 1.0
"""Seconds that an earlier round may still take to be written down."""


class Answering(Protocol):
    """What answers tool calls: `tools.toolbox.Toolbox` does. `starting` is told of each call just before it begins.

    `room` is how many characters the results of the next `run` may have together.
    """

    starting: Callable[[ToolCall], None]
    room: int

    @property
    def functions(self) -> tuple[Function, ...]:
        """What a request declares, sorted by name."""

    def run(self, calls: Sequence[ToolCall]) -> Iterator[Outcome]:
        """Answer each call of one reply, as they end."""

    def stop(self) -> None:
        """End what runs, from any thread."""

    def recall(self, texts: Iterable[str]) -> None:
        """Take notice of what earlier calls were answered: a handle that is named there is no other object's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What stays the same through the rounds of one ask, and what becomes of its reply.

    `record` is told what is sent to `endpoint`, just before that; where `replay` gives what replays a round, nothing is
    sent, recorded or billed. The reply completes the `turn`, unless `keep` is false; with `aside` it is asked in
    another conversation than the one in use, which stays in use; `nested` is one that a tool asks, while the question
    that called it has the turn.
    """

    conversation: Conversation
    turn: Turn
    settings: Settings
    model: Model
    transport: Transport
    endpoint: str
    charged: bool
    badges: tuple[str, ...]
    record: Callable[[Sent], None] | None
    replay: Callable[[Request], Replay | None] | None
    tools: Answering | None
    out: Output | None
    keep: bool
    aside: bool
    nested: bool


class Asking:
    """A question that was sent: its events as they come, the reply so far, and the way to stop it.

    Iterate it once. It ends with an error of ours, or when the reply is complete, or after `close` on any thread. Tools
    that the model calls run in `next`, on the thread that iterates; each then gives its Outcome in place of an event.
    `number` is that of its turn once it has ended, 0 before, and for a reply that the conversation does not keep.
    """

    def __init__(self, session: Session, plan: Plan, items: tuple[Item, ...], remark: str) -> None:
        self._session = session
        self._plan = plan
        self._lock = threading.Lock()
        self._closed = False
        self.number = 0
        self._hold: Hold | None = None
        self._running: Iterator[Outcome] | None = None
        self._calls: tuple[ToolCall, ...] = ()
        self._outcomes: list[Outcome] = []
        self._ending: list[Feed[Event]] = []
        self._left = 0
        self._full = False
        self._mended = False
        self._salvaged: tuple[list[Any], list[str]] = ([], [])
        self._schema = (plan.endpoint, plan.model.id) not in session.schemaless
        self._said = plan.conversation.messages(plan.turn.parent) + plan.turn.opening
        if plan.tools is not None:
            plan.tools.recall(message.text for message in self._said if message.role == "tool")
        self.draft = Draft(plan.model.id, 0, plan.settings.format, remark=remark)
        self.draft.partial = plan.out.partial if plan.out is not None else None
        self._send(partial(compose.sent, plan.conversation.seen(plan.turn.parent), plan.turn.opening, items))

    def _send(self, describe: Callable[[Request, str, bool], Sent]) -> None:
        """Send what was said so far, or replay it. Raises what `Session.ask` does."""
        self._describe = describe
        plan, draft, books = self._plan, self.draft, self._session.books
        wanted, found = self._found(self._request())
        charged = plan.charged and found is None
        request, hold = books.admit(wanted, plan.settings.budget, charged=charged)
        try:
            sent = describe(request, plan.endpoint if found is None else "replayed from the journal", charged)
            if plan.record is not None and found is None:
                plan.record(sent)
            if draft.sent is None:
                self._session.last_sent = draft.sent = sent
            draft.charged, draft.recorded = charged, found.recorded if found is not None else ""
            draft.badges = (*(found.badges if found is not None else ()), *plan.badges)
            draft.max_tokens = request.max_tokens
            draft.budget = str(plan.settings.budget) if request.max_tokens < wanted.max_tokens else ""
            self._feed = self._flow(found or plan.transport, request)
        except BaseException:
            books.release(hold)
            raise
        self.request, self._hold = request, hold

    def _request(self) -> Request:
        plan = self._plan
        functions = plan.tools.functions if plan.tools is not None else ()
        rounds = sum(bool(each.outcomes) for each in self.draft.rounds)
        final = bool(functions) and (self._full or rounds >= plan.settings.rounds)
        form = None
        if plan.out is not None:
            form = Form(plan.out.name, canonical(plan.out.schema).decode()) if self._schema else Form()
        return compose.request(self._said, plan.settings, plan.model, functions, form, final=final)

    def _found(self, request: Request) -> tuple[Request, Replay | None]:
        """Give what replays a request; where its schema was refused at the time, JSON mode was recorded instead."""
        replay = self._plan.replay
        if replay is None or request.form is None or not request.form.schema:
            return request, replay(request) if replay is not None else None
        plain = replace(request, form=Form())
        try:
            found = replay(request)
            instead = replay(plain) if found is None else None
        except NotRecorded:
            with contextlib.suppress(NotRecorded):
                self._schema, instead = False, replay(plain)
                return plain, instead
            raise
        self._schema = instead is None
        return (plain, instead) if instead is not None else (request, found)

    def _flow(self, transport: Transport, request: Request) -> Feed[Event]:
        settings, affinity = self._plan.settings, self._plan.conversation.affinity
        limits = Limits(
            settings.connect_timeout, settings.first_timeout, settings.idle_timeout, settings.timeout, settings.retries
        )
        return self._flow_of(lambda emit: transport.stream(request, affinity, limits, emit))

    def _flow_of(self, produce: Callable[[Emit], Coroutine[Any, Any, None]]) -> Feed[Event]:
        return self._session._io.feed(produce)  # noqa: SLF001  # the two are one thing in two lifetimes

    @property
    def reply(self) -> Reply:
        """The reply so far; whole once the events have ended."""
        return self.draft.reply

    @property
    def turn(self) -> Turn:
        """The turn that the reply completes."""
        return replace(self._plan.turn, reply=self.reply)

    @property
    def arriving(self) -> bool:
        """Whether it has not ended, and is not running tools either."""
        return not self._closed and self._running is None

    @property
    def tools(self) -> Answering | None:
        """What answers the calls of this question."""
        return self._plan.tools

    def __iter__(self) -> Asking:
        return self

    def __next__(self) -> Event | Outcome:
        try:
            while (event := self._step()) is None:
                pass
        except KimiError as error:
            self.close()
            if error.reply is None and not self.reply.empty:
                error.reply = self.reply
                error.hint = f"What had arrived is kept, marked as cut. {error.hint}"
            raise
        except StopIteration:
            self.close()
            raise
        return event

    def _step(self) -> Event | Outcome | None:
        """Give what happens next; None where another round was begun. Raises StopIteration at the end."""
        if self._running is not None:
            outcome = next(self._running, None)
            if outcome is None:
                self._next_round()
            else:
                self._outcomes.append(outcome)
            return outcome
        if self.draft.ended and self._runs_calls():
            self._ending.append(self._feed)  # the connection's last words, and the journal's, need not be waited for
            return None
        try:
            event = next(self._feed) or Idle()
        except RequestRefused:
            if not self._without_schema():
                raise
            return None
        except StopIteration:
            if not self._mends():
                raise
            return None
        self.draft.add(event)
        return event

    def _without_schema(self) -> bool:
        """Ask again in JSON mode where a service has refused the schema; the question holds it in words."""
        form, draft = self.request.form, self.draft
        if form is None or not form.schema or draft.round.text or draft.round.thinking:
            return False
        self._settle()
        self._schema = False
        self._send(self._describe)
        return True

    def _runs_calls(self) -> bool:
        """Begin to run the tools that the model has called, if it has."""
        done, answering = self.draft.round, self._plan.tools
        if self._closed or answering is None or done.finish not in ("tool_calls", "stop") or self.request.final:
            return False
        self._calls = _numbered(done.tool_calls, self._said)
        if not self._calls:
            return False
        self._settle()
        answering.room = self._room(done)
        self._running = answering.run(self._calls)
        return True

    def _room(self, done: Reply) -> int:
        """How many characters the results may have: half of what is left, so that there is room for another round."""
        plan, usage = self._plan, done.usage
        said = (*self._said, calling(done.text, done.thinking, self._calls))
        functions = plan.tools.functions if plan.tools is not None else ()
        left = compose.left(said, plan.settings, plan.model, functions, used=usage.input + usage.output)
        self._full = left // 2 < _LEAST_ROUND
        least = _LEAST_RESULT * len(self._calls)
        self._left = max(left, least)
        return max(left // 2, least)

    def _next_round(self) -> None:
        """Send the results of the calls."""
        if self._closed:
            raise StopIteration
        self._finish_calls()
        self._say(tuple(outcome.item for outcome in self.draft.rounds[-1].outcomes))

    def _mends(self) -> bool:
        """Check the reply where a type was asked for; ask once for a better one. Raises InvalidReply."""
        out, done = self._plan.out, self.draft.round
        if out is None or self._closed or done.cut:
            return False
        if self.request.form is not None and not self.request.form.schema:
            self._session.schemaless.add((self._plan.endpoint, self.request.model))
        from kimi_magic.schema import Invalid

        try:
            self.draft.value = out.parse(done.text)
            with contextlib.suppress(CommandError):  # neither pandas nor polars is there
                self.draft.frame = out.frame(self.draft.value) if out.rows else None
        except Invalid as reason:
            if self._mended or done.finish == "length":
                raise self._invalid(out, reason) from None
            self._mended = True
            self._salvaged = out.salvage(done.text)
            self._settle()
            told = f"This is not valid:\n{reason}\nWrite all of it again, as JSON that fits, and nothing else."
            self.draft.again(Round(done.text, done.thinking, (), told))
            self._say((Item("what was wrong", "text", (Text(told),)),))
            return True
        return False

    def _invalid(self, out: Output, reason: Exception) -> InvalidReply:
        done = self.draft.round
        rows, errors = max(out.salvage(done.text), self._salvaged, key=lambda found: len(found[0]))
        cut = f" It was cut at {done.max_tokens:,} tokens." if done.finish == "length" else ""
        hint = "Raise --max-tokens." if cut else "The reply is in .reply; ask again, or for a simpler type."
        if out.rows:
            hint = f"{len(rows)} valid rows are in .rows, what is wrong with the others in .errors. {hint}"
        error = InvalidReply(f"The reply is not {out.name}.{cut} {reason}", hint=hint)
        error.reply, error.rows, error.errors = self.reply, rows, errors
        return error

    def _say(self, items: tuple[Item, ...]) -> None:
        """Send what the last round adds to what was said."""
        before, self._said = self._said, self._said + self.draft.rounds[-1].messages
        new = self._said[len(before) :]

        def describe(request: Request, endpoint: str, charged: bool) -> Sent:  # noqa: FBT001  # as _send calls it
            return Sent(new[-1], items, before + new[:-1], (), "", request.model, endpoint, charged, request.max_tokens)

        self._send(describe)

    def _finish_calls(self) -> None:
        """Put the outcomes in the order of the calls, and answer those that were not run."""
        self._running = None
        if not self._calls:
            return
        done = {outcome.call.id: outcome for outcome in self._outcomes}
        outcomes = tuple(done.get(call.id) or interrupted(call) for call in self._calls)
        outcomes = compose.fitted(outcomes, self._left)
        last = self.draft.round
        self._calls = ()
        self._outcomes.clear()
        self.draft.again(Round(last.text, last.thinking, outcomes))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        # Ctrl-C can come between the sending and the `with`; then nobody else can give the turn back.
        if hasattr(self, "_feed"):
            self.close()

    def _settle(self, *, more: bool = True) -> None:
        """Count what this round has used."""
        if self._hold is not None:
            hold, self._hold = self._hold, None
            self._session._count(self._plan, self.request, self.draft.round, hold, more=more)  # noqa: SLF001  # see above

    def close(self) -> None:
        """End it: a reply that is not complete is cut, stays in the conversation, and its connection is closed."""
        if self._plan.tools is not None:
            self._plan.tools.stop()
        with self._lock:  # held to the end: who comes second finds everything done
            if self._closed:
                return
            self._closed = True
            try:
                until = time.monotonic() + (_PATIENCE if self.draft.ended else _LAST_WORDS)
                for feed in self._ending:
                    deque(feed.rest(max(0.0, until - time.monotonic())), maxlen=0)
                    feed.close()
                self._feed.close()
                for event in self._feed.rest(_LAST_WORDS):
                    self.draft.add(event)
                if self.draft.round.finish in ("tool_calls", "cut"):  # no round comes after it that would do this
                    settling: Feed[Event] = self._flow_of(lambda _: self._plan.transport.settle())
                    deque(settling.rest(_PATIENCE), maxlen=0)
            finally:
                self.draft.stop()
                try:
                    self._settle(more=False)
                    self._finish_calls()
                finally:
                    self.number = self._session._ended(self._plan, self.reply)  # noqa: SLF001  # see above


def _numbered(calls: tuple[ToolCall, ...], said: tuple[Message, ...]) -> tuple[ToolCall, ...]:
    """Give each call an id of its own: Kimi begins anew with functions.NAME:0 in every reply (wire.md §2.4)."""
    taken = {call.id for message in said for call in message.calls}
    numbers = itertools.count(sum(len(message.calls) for message in said))
    numbered = []
    for call, number in zip(calls, numbers, strict=False):
        own = call.id if plain_id(call.id) else ""
        for more in itertools.count(number):
            if own and own not in taken:
                break
            own = f"functions.{plain_name(call.name)}:{more}"
        taken.add(own)
        numbered.append(replace(call, id=own))
    return tuple(numbered)
