"""The one thread that does input and output: its event loop, and the queue from it to whoever waits.

A magic is synchronous and must stay interruptible; a panel must go on while a cell blocks. So all traffic runs on a
private loop in one daemon thread, and the caller takes what arrives from a queue (measured against nested loops and
synchronous clients: an interrupt reaches the caller in about 30 ms and closes the connection within 15 ms).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

__all__ = ["Feed", "IOThread"]

T = TypeVar("T")
Produce = Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]
"""A coroutine function that hands what it makes to the function that it is given."""
TICK = 0.1
"""Seconds after which a waiting caller gets None, so that it can move a clock."""

_FAREWELL = 2.0
_END = object()


class Feed(Generic[T]):
    """What a coroutine emits on the I/O thread, for one caller on another thread.

    Iterating gives each item, None when nothing came for a tenth of a second, and at the end raises what the coroutine
    raised. `close()` may be called from any thread, at any time; it cancels the coroutine and does not wait for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, produce: Produce[T]) -> None:
        # A queue and not a pipe: SimpleQueue.get is woken by a signal, and put never blocks the loop.
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._over = False
        try:
            loop.call_soon_threadsafe(self._begin, produce)
        except BaseException:  # Ctrl-C on the way back: the loop may have begun already, and nobody could stop it
            self.close()
            raise

    def _begin(self, produce: Produce[T]) -> None:
        if self._closed:
            self._items.put((_END, None))
            return
        self._task = self._loop.create_task(produce(self._items.put))
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._items.put((_END, None if task.cancelled() else task.exception()))

    def __iter__(self) -> Feed[T]:
        return self

    def __next__(self) -> T | None:
        if self._over:
            raise StopIteration
        try:
            item = self._items.get(timeout=TICK)
        except queue.Empty:
            return None
        if isinstance(item, tuple) and item and item[0] is _END:
            self._over = True
            if item[1] is not None:
                raise item[1]
            raise StopIteration
        return item  # type: ignore[no-any-return]  # the queue also carries the end mark

    def close(self) -> None:
        """End the coroutine, and with it its connection."""
        if self._over:
            return
        self._closed = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, and everything on it
            self._loop.call_soon_threadsafe(self._cancel)

    def rest(self, patience: float) -> Iterator[T]:
        """Give what is still there, up to the end, waiting for that at most `patience` seconds; raises nothing."""
        deadline = time.monotonic() + patience
        while not self._over:
            try:
                item = self._items.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if isinstance(item, tuple) and item and item[0] is _END:
                self._over = True
            else:
                yield item

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class IOThread:
    """One daemon thread that runs one event loop, started on first use and again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None or self._loop.is_closed() or self._pid != os.getpid():
                self._loop, self._thread = _start()
                self._pid = os.getpid()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there; its result can be waited for from any other thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def feed(self, produce: Produce[T]) -> Feed[T]:
        """Run `produce(emit)` there and give what it emits."""
        return Feed(self.loop, produce)

    def stop(self, *closing: Coroutine[Any, Any, None]) -> None:
        """Run what closes connections, then end the loop and its thread; what still runs there is cancelled.

        Waits for that, two seconds at most.
        """
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or self._pid != os.getpid() or loop.is_closed():
            for coroutine in closing:
                coroutine.close()
            return
        ending = asyncio.run_coroutine_threadsafe(_all(closing), loop)
        with contextlib.suppress(TimeoutError):
            ending.result(timeout=_FAREWELL)
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join(_FAREWELL)


async def _all(coroutines: tuple[Coroutine[Any, Any, None], ...]) -> None:
    await asyncio.gather(*coroutines, return_exceptions=True)


def _start() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.call_soon(ready.set)
        try:
            loop.run_forever()
        finally:
            _wind_down(loop)

    thread = threading.Thread(target=run, name="kimi-io", daemon=True)
    thread.start()
    ready.wait()
    return loop, thread


def _wind_down(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
