"""Some requests as one piece of work for an executor, in another thread, process or machine.

It is pickled whole, the credential inside it: that travels to the worker and is written nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from kimi_magic.errors import KimiError
from kimi_magic.events import Finished, TextDelta
from kimi_magic.messages import Usage
from kimi_magic.settings import Secret
from kimi_magic.transport import Endpoint, HttpTransport, Limits
from kimi_magic.wire import Request

__all__ = ["MOST", "Chunk", "Told", "answer"]

MOST = 64
"""Workers of an executor that are kept busy, at most."""
Told = tuple[str, str, Usage, Exception | None]
"""What came of a request: its text, the reason of its end, what it used, or the error."""


@dataclass(frozen=True)
class Chunk:
    """Requests that are sent at once from one worker."""

    endpoint: Endpoint = field(repr=False)
    requests: Sequence[Request] = field(repr=False)
    affinity: str
    limits: Limits

    def __getstate__(self) -> dict[str, Any]:
        """Give what is pickled: a Secret alone would leave itself out."""
        plain = {one.name: getattr(self.endpoint, one.name) for one in fields(self.endpoint) if one.name != "secret"}
        return {**self.__dict__, "endpoint": plain, "secret": self.endpoint.secret.reveal()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the endpoint again."""
        endpoint = Endpoint(**state["endpoint"], secret=Secret(state.pop("secret")))
        self.__dict__.update({**state, "endpoint": endpoint})


def answer(work: Chunk) -> list[Told]:
    """Send the requests of a chunk and give what came of each, in their order."""
    return asyncio.run(_answered(work))


async def _answered(work: Chunk) -> list[Told]:
    transport = HttpTransport(replace(work.endpoint))
    try:
        return list(await asyncio.gather(*(_one(transport, request, work) for request in work.requests)))
    finally:
        await transport.close()


async def _one(transport: HttpTransport, request: Request, work: Chunk) -> Told:
    try:
        events = await transport.complete(request, work.affinity, work.limits)
    except KimiError as error:
        return "", "", Usage(), error
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    last = events[-1] if events else None
    if isinstance(last, Finished):
        return text, last.reason, last.usage, None
    return text, "cut", Usage(), None
