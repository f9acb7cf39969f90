"""The queue as its clients see it: takes batches, and says how each stands.

A batch is `queued`, then `running`, then a list of answers under `responses`; shapes and limits are those of the true
service, as far as they are known.
"""

import json
import uuid
from typing import Any

from . import queue_faults
from .engine import Ask, Cut, Engine, Json, Refusal, bad_input, check_messages, refused
from .events import Events
from .guard import envelope
from .queue_file import Batch, QueueFile
from .queue_work import Worker


class Queue:
    """The batches of one server; `parallel` of their items are answered at the same time."""

    def __init__(self, engine: Engine, file: QueueFile, parallel: int) -> None:
        self.engine = engine
        self.file = file
        self.events = Events(file)
        self.worker = Worker(engine, file, self.events, parallel)

    def begin(self) -> None:
        """Go on with what an earlier server has left; on the server's loop."""
        if self.file.shared:
            self.worker.look()

    def submit(self, model: str, raw: bytes, body: Json, affinity: str) -> bytes:
        """Take a batch and give its id. Raises `Refusal`, and `Cut` where the id is never told."""
        request_id = str(uuid.uuid4())
        if not any(card.queue for card in self.engine.catalogue() if card.name == model):
            raise queue_faults.unqueueable(request_id)
        requests = body.get("requests")
        if requests is None:
            check_messages(body)  # one bare question is taken, and fails later
            requests = []
        elif not isinstance(requests, list) or not requests or not all(isinstance(one, dict) for one in requests):
            raise bad_input("type at '/requests' not met: array of objects")
        faults = self.struck(model, raw, requests, affinity)
        if (refusal := queue_faults.refusal(faults, model, request_id)) is not None:
            raise refusal
        batch = self.file.add(model, affinity, raw, len(requests), faults)
        self.events.tell(batch, "queued")
        self.worker.look()
        if "queue-cut" in faults:
            raise Cut(reset=False)
        return packed({"status": "queued", "request_id": batch.id, "model": model})

    def struck(self, model: str, raw: bytes, requests: list[Json], affinity: str) -> dict[str, Any]:
        """Look for faults; nearly always there is none, and nothing to read once more."""
        if queue_faults.PREFIX.encode() not in raw:
            return {}
        return self.engine.queue_faults([Ask(model, one, native=True, affinity=affinity) for one in requests])

    def poll(self, id_: object, model: str) -> bytes:
        """Say how a batch stands. Raises `Refusal` for one that is not known."""
        batch = self.file.find(id_) if isinstance(id_, str) else None
        if batch is None:
            raise lost(id_)
        self.file.polled(batch)
        faults = batch.faults
        if "queue-forgotten" in faults and batch.polls >= (faults["queue-forgotten"]["after"] or 0):
            self.file.forget(batch)
            raise lost(id_)
        if "queue-busy" in faults and batch.polls < (faults["queue-busy"]["after"] or 1):
            raise refused(429, 3040, "Capacity temporarily exceeded, please try again.", str(uuid.uuid4()), fault=True)
        if batch.state in ("queued", "running"):
            return packed({"status": batch.state, "request_id": batch.id, "model": model})
        if batch.state == "failed":
            told = {**batch.failure, "message": f"AiError: AiError: {batch.failure['message']} ({uuid.uuid4()})"}
            return packed({"status": "error", "request_id": batch.id, "model": model}, told)
        return self.finished(batch)

    def finished(self, batch: Batch) -> bytes:
        """Put the finished list together, text by text: it may be long."""
        answers = queue_faults.listed(self.file.answers(batch), batch.faults)
        prompt, completion = self.file.tokens(batch)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        name = "results" if "queue-results" in batch.faults else "responses"
        head, tail = packed({name: [], "usage": usage}).split(b"[]", 1)
        return b"".join((head, b"[", ",".join(answers).encode(), b"]", tail))


def lost(id_: object) -> Refusal:
    """Make the refusal of an id that is not known; how the true service words it is not documented."""
    return refused(404, 8001, f"Request {id_} not found", str(uuid.uuid4()))


def packed(result: Json, error: Json | None = None) -> bytes:
    """Give what is sent, in its envelope."""
    return json.dumps(envelope(result, errors=[error] if error else None), ensure_ascii=False).encode()
