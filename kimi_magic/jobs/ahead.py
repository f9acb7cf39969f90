"""What a cell's job writes ahead: each of its rounds, before it is sent, with the service's id as soon as there is one.

A round is an item of the job, and a batch of its own. Its key is the hash of its canonical request, so that the same
question, asked again after a restart, finds what was sent for it, or the reply that had come.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from sqlite3 import Connection

from kimi_magic import wire
from kimi_magic.jobs.keeping import Keeping
from kimi_magic.jobs.kept import DONE, Answered
from kimi_magic.messages import Usage
from kimi_magic.wire import Request

__all__ = ["Ahead", "Round"]


@dataclass(frozen=True, slots=True)
class Round:
    """One round: its place in the job, its batch, the service's id (empty until known), its reply (empty for none)."""

    n: int
    batch: int
    request: str = ""
    reply: str = ""


class Ahead:
    """The rounds of one job in the store. Everything raises StoreError where the store does."""

    def __init__(self, keeping: Keeping, number: int, job: str) -> None:
        self._keeping = keeping
        self._number = number
        self._job = job

    def intend(self, request: Request) -> Round:
        """Note that this is to be sent, or give what is known of it since an earlier time."""
        key = hashlib.sha256(f"{self._job}\n".encode() + wire.encode(request, "chat")).hexdigest()
        for batch in self._keeping.batches(self._number):
            for item in self._keeping.in_batch(self._number, batch.number):
                if item.question == key:
                    return Round(item.n, batch.number, batch.request)
        [n] = self._keeping.add(self._number, 1, [(key, key)])
        state, reply, _ = self._keeping.results(self._number, [n])[n]
        if state == DONE and reply:
            return Round(n, 0, "", reply)
        return Round(n, self._claim(n))

    def _claim(self, n: int) -> int:
        def claim(connection: Connection) -> int:
            _, batch, _ = self._keeping.claim(connection, self._number, 1, n - 1, 1, lambda _: True, queue=True)
            return batch.number if batch is not None else 0

        return int(self._keeping.step(claim))

    def reference(self, known: Round) -> str:
        """Give what the service is to call the round: the same each time that it is sent."""
        return f"{self._job}-{known.n}"

    def submitted(self, known: Round, request: str) -> None:
        """Note the service's id; empty where it knows it no longer."""
        self._keeping.submitted(known.batch, request)

    def answered(self, known: Round, reply: str, usage: Usage) -> None:
        """Keep the reply of a round."""
        done = [Answered(known.n, DONE, reply, usage=usage)]
        self._keeping.step(lambda connection: self._keeping.settle(connection, self._number, done))
