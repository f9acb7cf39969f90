"""Works off what was queued: a few batches at the same time, a few items of each, in the background.

What was answered when the server ended is not asked again by the next one.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import Any

from .engine import Ask, Completion, Cut, Engine, Json, Refusal, check_messages
from .events import Events
from .queue_file import Batch, Made, QueueFile

BATCHES = 4
"""Worked on at the same time."""
OFTEN = 0.2
"""Seconds after which new answers are written down."""
LOOK = 1.0
"""Seconds after which it is looked for what another server of the same file has left behind."""
FAILED: Json = {"code": 5001, "message": "Model execution failed"}
INVALID: Json = {"code": 3030, "message": "1 validation error for VllmBatchRequest"}
log = logging.getLogger(__name__)


class Worker:
    """Answers batches by the engine; `parallel` items at the same time."""

    def __init__(self, engine: Engine, file: QueueFile, events: Events, parallel: int) -> None:
        self.engine = engine
        self.file = file
        self.events = events
        self.parallel = parallel
        self.room = asyncio.Semaphore(parallel)
        self.poked = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def look(self) -> None:
        """Begin to work, or wake whoever rests; on the server's loop."""
        self.poked.set()
        if not self.tasks:
            self.tasks = [asyncio.create_task(self.work()) for _ in range(BATCHES)]

    async def work(self) -> None:
        """Work off one batch after the other, for ever."""
        while True:
            try:
                if (batch := self.file.take()) is not None:
                    await self.work_off(batch)
                    continue
            except sqlite3.Error:  # a full disk, another server that writes: the batch stays where it is
                log.exception("The queue's file cannot be used; trying again")
            self.poked.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.poked.wait(), LOOK if self.file.shared else None)

    async def work_off(self, batch: Batch) -> None:
        """Answer all items that have no answer yet."""
        requests = json.loads(self.file.body(batch)).get("requests")
        if requests is None or "queue-failed" in batch.faults:
            self.end(batch, INVALID if requests is None else FAILED)
            return
        answered = self.file.answered(batch)
        todo = iter([n for n in range(len(requests)) if n not in answered])
        made: list[Made] = []
        keeping = asyncio.create_task(self.keep(batch, made))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.parallel, len(requests))):
                    group.create_task(self.answer(batch, requests, todo, made))
        finally:
            keeping.cancel()
        self.file.keep(batch, made)
        self.end(batch)

    async def keep(self, batch: Batch, made: list[Made]) -> None:
        """Write down what was answered, again and again; that also holds the batch."""
        while True:
            await asyncio.sleep(OFTEN)
            self.file.keep(batch, made)
            made.clear()

    def end(self, batch: Batch, failure: Json | None = None) -> None:
        """Mark a batch as ended, and tell."""
        self.file.end(batch, failure)
        self.events.tell(batch, "failed" if failure else "succeeded", failure)

    async def answer(self, batch: Batch, requests: list[Json], todo: Iterator[int], made: list[Made]) -> None:
        """Answer one item after the other, as long as there are any."""
        for n in todo:
            async with self.room:
                made.append(await self.element(batch, n, requests[n]))

    async def element(self, batch: Batch, n: int, request: Json) -> Made:
        """Answer one item."""
        error = FAILED
        body = {key: value for key, value in request.items() if key not in ("external_reference", "stream")}
        try:
            check_messages(body)
            answer = await self.engine.answer(Ask(batch.model, body, native=True, affinity=batch.affinity))
            if isinstance(answer, Completion):
                return made_of(n, request, {"result": answer.body, "success": True})
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message}
        except Cut:
            pass
        except Exception:
            log.exception("An item of a batch could not be answered")
        return made_of(n, request, {"result": {}, "success": False, "errors": [error]})


def made_of(n: int, request: Json, told: dict[str, Any]) -> Made:
    """Give the element of the finished list for one item."""
    usage = told["result"].get("usage", {})
    element = {"id": n, **told, "external_reference": request.get("external_reference")}
    body = json.dumps(element, ensure_ascii=False, separators=(",", ":"))
    return Made(n, body, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
