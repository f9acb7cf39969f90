"""The one thread that drives all jobs of a kernel, and tells those who look at them.

It gives each job its turn, then waits until one of them hears something or wants another.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from kimi_magic.errors import StoreError
from kimi_magic.jobs.keeping import Keeping
from kimi_magic.jobs.meter import Pace
from kimi_magic.jobs.notified import Notified
from kimi_magic.jobs.plan import Plan
from kimi_magic.jobs.standing import Standing
from kimi_magic.jobs.work import Work

if TYPE_CHECKING:
    from kimi_magic.jobs.entering import Entering

__all__ = ["Runner"]

T = TypeVar("T")
Callback = Callable[[Standing], None]
_TOLD_EVERY = 0.25
_GATHERS = 0.01
"""Seconds between two rounds of turns: what comes in them is entered together."""
_FAREWELL = 5.0


class Runner:
    """Jobs of this kernel, by id."""

    def __init__(self, keeping: Keeping) -> None:
        self.keeping = keeping
        self.works: dict[str, Work] = {}
        self.changed = threading.Condition()
        self.beginning = threading.RLock()  # held while a map puts its rows into the store
        self._enterings: set[Entering] = set()
        self._callbacks: dict[str, list[Callback]] = {}
        self._told: dict[str, tuple[float, Standing]] = {}
        self._paces: dict[str, Pace] = {}
        self._notified: dict[str, Notified] = {}
        self._errands: list[tuple[Callable[[], object], Future[object]]] = []
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def pace(self, place: str, limit: float | None) -> Pace:
        """Give the pace of all jobs that ask one place."""
        pace = self._paces.setdefault(place, Pace(limit))
        pace.limit = limit
        return pace

    def wake(self) -> None:
        """Let the jobs have their turns now."""
        self._woken.set()

    def start(self, id_: str, plan: Plan, begin: Callable[[Work], None] = lambda _: None) -> None:
        """Work on a job from now on, if no other kernel does; first do what `begin` does, on the jobs' thread.

        A job that is worked on already goes on with its own plan.
        """

        def take() -> None:
            work = self.works.get(id_)
            if work is None or work.standing.over:
                kept = self.keeping.find(id_)
                if kept is None:
                    return
                work = self.works[id_] = Work(self.keeping, kept, plan, self.wake)
            begin(work)

        self.do(take)

    def enter(self, id_: str, entering: Entering) -> None:
        """Let a job that is just opened with them enter the rest of its rows; on the jobs' thread."""
        self._enterings.add(entering)
        entering.begin(self.works[id_], self.do, self._enterings.discard)

    def wait_entered(self, id_: str) -> None:
        """Wait until a job of this kernel has entered the rows that it is about to."""
        work = self.works.get(id_)
        entering = None if work is None else work.entering
        if entering is not None:
            entering.wait()

    @property
    def closed(self) -> bool:
        """Whether its session is closed."""
        return self._closed

    def active(self, id_: str) -> bool:
        """Whether this kernel works on a job; one that is seen to have ended may still have to be let go."""
        work = self.works.get(id_)
        return work is not None and self.do(lambda: work.owned)

    def do(self, errand: Callable[[], T]) -> T:
        """Run a function on the jobs' thread, between two turns, and give what it gives."""
        if threading.current_thread() is self._thread:
            return errand()
        future: Future[object] = Future()
        with self._lock:
            self._errands.append((errand, future))
            if self._thread is None or not self._thread.is_alive():
                self._closed = False
                self._thread = threading.Thread(target=self._run, name="kimi-jobs", daemon=True)
                self._thread.start()
        self.wake()
        return future.result()  # type: ignore[return-value]  # it is the errand's own

    def standing(self, id_: str) -> Standing | None:
        """How a job of this kernel stands; None for one that is not here."""
        work = self.works.get(id_)
        return None if work is None else work.standing

    def on_change(self, id_: str, callback: Callback) -> Callable[[], None]:
        """Call this on the jobs' thread when a job has changed, at most four times a second, and at its end."""
        self._callbacks.setdefault(id_, []).append(callback)

        def off() -> None:
            if callback in self._callbacks.get(id_, ()):
                self._callbacks[id_].remove(callback)

        return off

    def _run(self) -> None:
        while not self._closed:
            wait = self._round()
            if wait > 0 and not self._closed:
                self._woken.wait(min(wait, 60.0))
            self._woken.clear()
            time.sleep(_GATHERS)
        self._errands_now()

    def _round(self) -> float:
        self._errands_now()
        wait = float("inf")
        for work in list(self.works.values()):
            try:
                wait = min(wait, work.turn())
            except Exception as error:  # noqa: BLE001  # one job's trouble must not end the others
                work.fail(error)
            wait = min(wait, self._tell(work.standing))
        wait = min(wait, self._notices())
        return wait if not self._errands else 0.0

    def _notices(self) -> float:
        """Hear of batches that have ended, where a queue tells of them; give the seconds until the next time."""
        wait = float("inf")
        for work in list(self.works.values()):
            queue = work.plan.notify
            if queue and work.batches:
                if queue not in self._notified:
                    self._notified[queue] = Notified(work.plan, self._hint, self.wake)
                wait = min(wait, self._notified[queue].turn())
                work.not_notified(self._notified[queue].trouble)
        return wait

    def _hint(self, requests: Collection[str]) -> set[str]:
        """Ask at once about batches that have ended; give those that need no further notice."""
        known = {one for work in self.works.values() for one in work.hint(requests)}
        rest = set(requests) - known
        with suppress(StoreError):  # they come again
            known |= self.keeping.ended(rest) if rest else set()
        return known

    def _errands_now(self) -> None:
        with self._lock:
            errands, self._errands = self._errands, []
        for errand, future in errands:
            try:
                future.set_result(errand())
            except BaseException as error:  # noqa: BLE001  # it is raised where it was asked for
                future.set_exception(error)

    def _tell(self, standing: Standing) -> float:
        """Tell how a job stands, where that is news; give the seconds until it may be told again."""
        at, before = self._told.get(standing.id, (0.0, None))
        now = time.monotonic()
        pressing = before is None or standing.state != before.state or (standing.over and standing != before)
        if standing.over and not pressing:
            return float("inf")
        if not pressing and now - at < _TOLD_EVERY:
            return _TOLD_EVERY - (now - at)
        self._told[standing.id] = (now, standing)
        for callback in list(self._callbacks.get(standing.id, ())):
            try:
                callback(standing)
            except Exception as error:  # noqa: BLE001  # a view's trouble must not end the job
                with suppress(Warning):  # where warnings are errors
                    warnings.warn(f"A job's view failed: {type(error).__name__}: {error}", stacklevel=2)
        with self.changed:
            self.changed.notify_all()
        return float("inf") if standing.over else 1.0

    def drop(self, id_: str) -> None:
        """Work on a job no more; another kernel may."""

        def leave() -> None:
            work = self.works.pop(id_, None)
            if work is not None:
                work.let_go()

        self.do(leave)

    def close(self) -> None:
        """Let go of all jobs and end the thread; another kernel, or the next one, goes on."""
        if self._thread is None or not self._thread.is_alive():
            return
        for entering in list(self._enterings):
            entering.stop()
            entering.wait(_FAREWELL)  # before the thread that it needs ends

        def leave() -> None:
            for notified in self._notified.values():
                notified.close()
            self._notified.clear()
            for work in self.works.values():
                work.let_go()
            self.works.clear()
            self._closed = True
            self.wake()

        self.do(leave)
        self._thread.join(_FAREWELL)
        with self.changed:
            self.changed.notify_all()
