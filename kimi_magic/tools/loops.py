"""Async functions on the event loop where the user's connections live, while a synchronous caller waits.

The one place that uses nest-asyncio2: on a thread whose loop is running already (a notebook's cell) the loop is driven
from inside, applied the first time that happens. From another thread the work is submitted to the kernel's loop, which
gets to it between two cells. Without a kernel it runs on IPython's own loop, or on one that is kept for the thread.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from kimi_magic.tools.running import MOST_YIELDED, Ran
from kimi_magic.tools.watchdog import TimeIsUp, limited

__all__ = ["Unavailable", "Work", "together"]

T = TypeVar("T")
_TICK = 0.1
_GRACE = 2.0
"""Seconds that a cancelled function has for closing what it holds."""


class Unavailable(Exception):
    """This thread's event loop cannot be driven from inside."""


@dataclass(frozen=True, slots=True)
class Work:
    """An async function to call, or one that gives something to be awaited, and its time limit in seconds."""

    call: Callable[[], Any]
    timeout: float | None


def together(works: Sequence[Work], stopped: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, Ran]]:
    """Run async functions at the same time; give the position of each and what became of it, as they end.

    KeyboardInterrupt, `stopped()`, closing the iterator and cancelling the task that waits here cancel what still runs,
    and wait for it, two seconds at most.
    A function that goes on after being cancelled is left to itself. Raises Unavailable before anything has begun.
    """
    drive = _driver(stopped)
    waiting = asyncio.current_task() if _running() is not None else None
    before = waiting.cancelling() if waiting is not None else 0
    tasks: dict[asyncio.Task[Ran], int] = {}
    limits = [work.timeout for work in works if work.timeout is not None]
    # The loop answers every tenth of a second; where it does not, an async function blocks it.
    blocked = max(limits) + _GRACE if len(limits) == len(works) else None
    try:
        with suppress(TimeIsUp):  # stopped before the loop had time for it
            drive(_begin(works, tasks), None)
        while tasks and not stopped() and not _cancelled_since(waiting, before):
            try:
                done = drive(_some(tasks), blocked)
            except TimeIsUp:
                continue
            for task in done:
                yield tasks.pop(task), task.result()
        if _cancelled_since(waiting, before) and _kernel_loop() is not None:
            raise KeyboardInterrupt
    finally:
        if _kernel_loop() is not None:
            _take_back(waiting, before)
        if tasks:
            with suppress(TimeIsUp):
                drive(_end(tasks), _GRACE * 2)


async def _begin(works: Sequence[Work], tasks: dict[asyncio.Task[Ran], int]) -> None:
    for number, work in enumerate(works):
        tasks[asyncio.get_running_loop().create_task(_ran(work))] = number


async def _some(tasks: dict[asyncio.Task[Ran], int]) -> list[asyncio.Task[Ran]]:
    done, _ = await asyncio.wait(tasks, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
    return [task for task in tasks if task in done]


async def _end(tasks: dict[asyncio.Task[Ran], int]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_GRACE + _TICK)


async def _ran(work: Work) -> Ran:
    """Run one function under its limit; a task of its own can be left behind where it will not end."""
    began = time.perf_counter()
    task = asyncio.get_running_loop().create_task(_value(work.call))
    try:
        done, _ = await asyncio.wait({task}, timeout=work.timeout)
    except asyncio.CancelledError:
        await _cancelled(task)
        raise
    if not done:
        await _cancelled(task)
    seconds = time.perf_counter() - began
    if not done and (not task.done() or task.cancelled() or task.exception() is not None):
        return Ran(seconds, timed_out=True)
    if task.cancelled():
        return Ran(seconds, error=asyncio.CancelledError("it was cancelled"))
    error = task.exception()
    if isinstance(error, _Exited):
        error = error.__cause__
    if isinstance(error, TimeIsUp):
        return Ran(seconds, timed_out=True)
    return Ran(seconds, error=error) if error is not None else Ran(seconds, task.result())


async def _value(call: Callable[[], Any]) -> Any:
    try:
        value = call()
        if inspect.isasyncgen(value):
            return await _collected(value)
        return await value if inspect.isawaitable(value) else value
    except SystemExit as error:  # it would end the loop, and with it the kernel
        raise _Exited(str(error)) from error


class _Exited(Exception):
    """A tool called sys.exit."""


async def _collected(values: Any) -> list[Any]:
    found: list[Any] = []
    try:
        async for value in values:
            found.append(value)
            if len(found) == MOST_YIELDED:
                break
    finally:
        await values.aclose()
    return found


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=_GRACE)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain of it


# Which loop, and how it is driven


class _Drive(Protocol):
    """Runs a coroutine to its end from this thread; raises TimeIsUp where that takes longer than `limit` seconds."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], limit: float | None) -> T: ...


def _driver(stopped: Callable[[], bool]) -> _Drive:
    running = _running()
    kernel = _kernel_loop()
    if kernel is not None and kernel is not running and kernel.is_running():
        return lambda coroutine, limit: _there(kernel, coroutine, limit, stopped)
    if running is not None:
        _make_nestable(running)
        return lambda coroutine, limit: _here(running, coroutine, limit)
    own = _own_loop()
    return lambda coroutine, limit: _here(own, coroutine, limit)


def _here(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], limit: float | None) -> T:
    task = loop.create_task(coroutine)
    main = threading.current_thread() is threading.main_thread()
    try:
        while True:
            try:
                return limited(limit if main else None, lambda: loop.run_until_complete(task))
            except SystemExit:  # of a task that a tool has started and left
                if task.done():
                    raise
    finally:
        if not task.done():
            task.cancel()


def _there(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], limit: float | None, stopped: Callable[[], bool]
) -> T:
    """Run it on another thread's loop, which may be busy with a cell: only who was stopped does not wait for that."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    waited = 0.0
    try:
        while True:
            with suppress(TimeoutError):
                return future.result(_TICK)
            if future.done():
                return future.result()
            waited += _TICK if stopped() else 0.0
            if waited > (limit or _GRACE):
                raise TimeIsUp
    finally:
        future.cancel()


def _cancelled_since(task: asyncio.Task[Any] | None, before: int) -> bool:
    """Whether the task that waits here was cancelled meanwhile.

    That is how a cell with a top-level await hears of a Ctrl-C that came just before.
    """
    return task is not None and task.cancelling() > before


def _take_back(task: asyncio.Task[Any] | None, before: int) -> None:
    """Take back the cancelling of a cell, which has had its KeyboardInterrupt: ipykernel answers no cancelled cell."""
    while task is not None and task.cancelling() > before:
        task.uncancel()
        if not task.cancelling():  # until Python 3.13 it would still be cancelled at its next step
            with suppress(AttributeError):  # a task made in C, before the loop was patched
                task._must_cancel = False  # type: ignore[attr-defined]  # noqa: SLF001  # of asyncio's own Task


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _kernel_loop() -> asyncio.AbstractEventLoop | None:
    """Give the loop that the cells of this kernel run on; None outside of a kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    loop = getattr(getattr(getattr(shell, "kernel", None), "io_loop", None), "asyncio_loop", None)
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def _make_nestable(loop: asyncio.AbstractEventLoop) -> None:
    import nest_asyncio2

    try:
        nest_asyncio2.apply(loop)
    except ValueError:
        raise Unavailable(
            f"an async tool cannot run while {type(loop).__module__}.{type(loop).__qualname__} is running here"
        ) from None


_kept = threading.local()


def _own_loop() -> asyncio.AbstractEventLoop:
    """Give the loop of a thread without one: IPython's, where cells with a top-level await run, or one of our own."""
    helpers = sys.modules.get("IPython.core.async_helpers")
    if helpers is not None and threading.current_thread() is threading.main_thread():
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            return helpers.get_asyncio_loop()  # type: ignore[no-any-return]  # IPython has no types for it
    runner: asyncio.Runner | None = getattr(_kept, "runner", None)
    if runner is None:
        runner = _kept.runner = asyncio.Runner()
        atexit.register(runner.close)
    return runner.get_loop()
