"""A Transport that sends a question to the service's queue and waits for the answer, or passes it on.

Each round is written ahead (`ahead`): one that was sent before a restart is only asked after. A lost network, a busy
service or a forgotten batch is no end: it goes on, and says what it waits for. In the concurrent lane, and where there
is no queue, the question is an ordinary request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from kimi_magic import batch, models, refusals
from kimi_magic.batch import Answer
from kimi_magic.errors import (
    BatchLost,
    BrokenReply,
    Busy,
    KimiError,
    NetworkError,
    ServerFailure,
    StoreError,
    Unqueueable,
)
from kimi_magic.events import Finished, Started
from kimi_magic.jobs.ahead import Ahead, Round
from kimi_magic.journal.packing import pack, to_json, unpack
from kimi_magic.messages import Usage
from kimi_magic.transport import Emit, Limits, Queueing
from kimi_magic.wire import Request

__all__ = ["Progress", "Queued"]

_FIRST, _LONGEST, _GROWTH = 0.2, 10.0, 1.4
_TICK = 0.5
"""Seconds: the pauses between two polls, and how soon another lane is noticed."""
_OFFLINE = 60.0
"""Longest pause, in seconds, while the service cannot be reached."""
_TRIES = 3
"""How often a round is sent where the service loses it, or fails at it for a time."""
_PASSING = (NetworkError, Busy, ServerFailure, BrokenReply)


@dataclass(slots=True)
class Progress:
    """How a question that is asked later stands. `wanted` is the lane asked for, `lane` the one in use.

    `at_service` says that the queue has it, `remark` what the user has to know. Written on the I/O thread; `wanted` by
    any.
    """

    wanted: str
    lane: str = ""
    at_service: bool = False
    waiting: bool = False
    remark: str = ""


class Queued:
    """See above. `tell` is called on the I/O thread whenever `progress` has changed."""

    def __init__(self, inner: Queueing, ahead: Ahead, progress: Progress, tell: Callable[[], None]) -> None:
        self._inner = inner
        self._ahead = ahead
        self._progress = progress
        self._tell = tell

    async def stream(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> None:
        """Send one request and emit its events, `Finished` last; see Transport."""
        if self._queues(request):
            try:
                if await self._through_queue(request, affinity, limits, emit):
                    return
            except Unqueueable as error:
                if self._progress.wanted == "queue":
                    raise
                self._now(remark=f"No queue: {error.message} It is asked as an ordinary request.")
        self._now(lane="concurrent", at_service=False, waiting=False)
        await self._inner.stream(request, affinity, limits, emit)

    def _queues(self, request: Request) -> bool:
        wanted = self._progress.wanted
        if wanted == "auto" and models.known(request.model).queue is False:
            self._now(remark=f"{request.model} has no queue. It is asked as an ordinary request.")
            return False
        return wanted != "concurrent"

    async def settle(self) -> None:
        """Nothing was put off."""
        await self._inner.settle()

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()

    def _now(self, **changes: object) -> None:
        for name, value in changes.items():
            setattr(self._progress, name, value)
        self._tell()

    async def _through_queue(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> bool:
        """Bring the reply from the queue; False where another lane is wanted by now."""
        known = await asyncio.to_thread(self._ahead.intend, request)
        self._now(lane="queue")
        if known.reply:
            emit(Started(known.request))
            for _, event in unpack(json.loads(known.reply)):
                emit(event)
            return True
        for attempt in range(1, _TRIES + 1):
            id_ = known.request or await self._submit(request, known, affinity, limits)
            known = Round(known.n, known.batch, id_)
            self._now(at_service=True)
            try:
                answer = await self._answer(request, known, limits)
            except BatchLost as lost:
                await asyncio.to_thread(self._ahead.submitted, known, "")
                known = Round(known.n, known.batch)
                if attempt == _TRIES:
                    raise
                self._now(remark=f"{lost.message} It was sent again.", at_service=False)
                continue
            if answer is None:
                return False
            if answer.failure is None:
                await self._deliver(answer, known, emit)
                return True
            await asyncio.to_thread(self._ahead.submitted, known, "")
            known = Round(known.n, known.batch)
            if attempt == _TRIES or not refusals.temporary(answer.failure, attempt):
                raise refusals.error_of(answer.failure)
            self._now(remark=f"The service failed at it ({answer.failure.message}); it was sent again.")
        raise AssertionError("every try returns or raises")

    async def _submit(self, request: Request, known: Round, affinity: str, limits: Limits) -> str:
        body = batch.encode([(self._ahead.reference(known), request)])
        pause = _FIRST
        while True:
            try:
                id_ = await self._inner.submit(request.model, body, affinity, limits)
            except _PASSING as error:
                pause = await self._wait_out(error, pause)
                continue
            await asyncio.to_thread(self._ahead.submitted, known, id_)
            return id_

    async def _answer(self, request: Request, known: Round, limits: Limits) -> Answer | None:
        """Ask until the batch is done; None where another lane is wanted by now."""
        pause = _FIRST
        while self._progress.wanted != "concurrent":
            try:
                polled = await self._inner.poll(request.model, known.request, limits, tools=bool(request.tools))
            except _PASSING as error:
                pause = await self._wait_out(error, pause)
                continue
            if self._progress.waiting:
                self._now(waiting=False, remark="")
            if polled.failure is not None:
                return Answer("", 0, (), polled.failure)
            if polled.status == "done":
                return _ours(polled.answers, self._ahead.reference(known))
            await self._sleep(pause)
            pause = min(_LONGEST, pause * _GROWTH)
        return None

    async def _wait_out(self, error: KimiError, pause: float) -> float:
        """Wait where the service cannot be reached for a time; give the next pause."""
        self._now(waiting=True, remark=f"{error.message} It is tried again in {max(1, round(pause))} s.")
        await self._sleep(pause)
        return min(_OFFLINE, pause * 2)

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not for long where another lane is wanted."""
        while seconds > 0 and self._progress.wanted != "concurrent":
            await asyncio.sleep(min(seconds, _TICK))
            seconds -= _TICK

    async def _deliver(self, answer: Answer, known: Round, emit: Emit) -> None:
        usage = next((event.usage for event in answer.events if isinstance(event, Finished)), Usage())
        packed = to_json(pack((0.0, event) for event in answer.events))
        with contextlib.suppress(StoreError):  # the reply is here: better shown than kept
            await asyncio.to_thread(self._ahead.answered, known, packed, usage)
        emit(Started(known.request))
        for event in answer.events:
            emit(event)


def _ours(answers: tuple[Answer, ...], reference: str) -> Answer:
    """Find the answer of the one item: by its reference, else by its place. An answer that is missing is lost."""
    for answer in answers:
        if answer.reference == reference or (not answer.reference and answer.index in (0, -1)):
            return answer
    raise BatchLost("The batch is done, and there is no answer in it.", hint="It can be sent again, and is paid again.")
