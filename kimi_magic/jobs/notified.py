"""Hears from a Cloudflare Queue which batches have ended, so that they need not be asked about again and again.

One queue is pulled once for all jobs of the kernel; what is about no batch of theirs is left in it for others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future

from kimi_magic import notices
from kimi_magic.errors import KimiError
from kimi_magic.jobs.plan import Plan

__all__ = ["Notified"]

_EVERY = 2.0
_LONGEST = 60.0


class Notified:
    """One queue of notices; `told` is called with the ids of batches that ended, and gives those that are known."""

    def __init__(
        self, plan: Plan, told: Callable[[Collection[str]], Collection[str]], wake: Callable[[], None]
    ) -> None:
        self._plan, self._told, self._wake = plan, told, wake
        self._pulling: Future[list[notices.Notice]] | None = None
        self._due, self._pause = 0.0, _EVERY
        self.trouble = ""

    def turn(self) -> float:
        """Pull, where that is due, and pass on what came; give the seconds until the next turn."""
        if self._pulling is not None and self._pulling.done():
            self._heard(self._pulling)
            self._pulling = None
        now = time.monotonic()
        if self._pulling is None and self._due <= now:
            self._pulling = self._plan.io.submit(self._pull())
            self._pulling.add_done_callback(lambda _: self._wake())
        return _EVERY if self._pulling is not None else max(0.0, self._due - now)

    async def _pull(self) -> list[notices.Notice]:
        transport = await self._plan.transport.reach()
        return await notices.pull(transport, self._plan.notify, self._plan.limits)

    def _heard(self, pulled: Future[list[notices.Notice]]) -> None:
        if pulled.cancelled():
            return
        error = pulled.exception()
        if error is not None:
            told = error.message if isinstance(error, KimiError) else str(error)
            self.trouble = f"Notices cannot be read, so the batches are polled: {told}"
            self._pause = min(_LONGEST, 2 * self._pause)
        else:
            found = pulled.result()
            known = self._told([one.request_id for one in found])
            self.trouble, self._pause = "", 0.0 if known else _EVERY
            if found:
                self._plan.io.submit(self._ack(found, known))
        self._due = time.monotonic() + self._pause

    async def _ack(self, found: list[notices.Notice], known: Collection[str]) -> None:
        """Drop what is dealt with. What cannot be dropped comes again, and is then about no batch that is asked for."""
        transport = await self._plan.transport.reach()
        mine = [one for one in found if one.request_id in known]
        others = [one for one in found if one.request_id not in known]
        await notices.ack(transport, self._plan.notify, mine, self._plan.limits, again=others)

    def close(self) -> None:
        """Pull no more."""
        if self._pulling is not None:
            self._pulling.cancel()
