"""The one seam for all traffic: `Transport`. Over HTTP it speaks to Workers AI, an AI Gateway, or any compatible URL.

`endpoint` says where requests go and how they are signed there, `retrying` how long to wait and when to ask again,
`reading` turns what comes back into events, `http` does the sending. Every foreign error becomes one of ours here, and
no other leaves.
"""

from __future__ import annotations

from typing import Protocol

from kimi_magic import batch, wire
from kimi_magic.events import Event
from kimi_magic.transport.endpoint import Endpoint
from kimi_magic.transport.http import HttpTransport
from kimi_magic.transport.reading import Emit
from kimi_magic.transport.retrying import Limits

__all__ = ["Emit", "Endpoint", "HttpTransport", "Limits", "Queueing", "Transport"]


class Transport(Protocol):
    """What carries a request and brings the events of its reply."""

    async def stream(self, request: wire.Request, affinity: str, limits: Limits, emit: Emit) -> None:
        """Send one request and emit its events, `Finished` last; raise a KimiError where that cannot be."""

    async def settle(self) -> None:
        """Do what was put off until the question has its whole reply."""

    async def close(self) -> None:
        """Close the connections."""


class Queueing(Transport, Protocol):
    """A Transport that also carries what jobs send: whole replies, one by one or in batches."""

    async def complete(self, request: wire.Request, affinity: str, limits: Limits) -> tuple[Event, ...]:
        """Send one request and give the events of its whole reply, `Started` first and `Finished` last."""

    async def submit(self, model: str, body: bytes, affinity: str, limits: Limits) -> str:
        """Queue a batch, spelt by `batch`, and give the id to ask after it with."""

    async def poll(self, model: str, request_id: str, limits: Limits, *, tools: bool = False) -> batch.Polled:
        """Ask how a batch stands, with all answers once it is done."""

    async def reach(self) -> HttpTransport:
        """Give what really sends, once it can be reached: the server of a local model is started for it."""
