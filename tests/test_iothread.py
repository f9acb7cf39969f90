"""The I/O thread: what it emits, how it ends, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic.iothread import IOThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Emit = Callable[[int], None]


@pytest.fixture
def io() -> Iterator[IOThread]:
    io = IOThread()
    yield io
    io.stop()


def test_items_come_in_order_and_the_feed_ends(io: IOThread) -> None:
    async def produce(emit: Emit) -> None:
        for number in range(1000):
            emit(number)

    assert [item for item in io.feed(produce) if item is not None] == list(range(1000))


def test_an_error_comes_after_what_was_emitted(io: IOThread) -> None:
    async def produce(emit: Emit) -> None:
        emit(1)
        raise ValueError("boom")

    feed = io.feed(produce)
    assert next(feed) == 1
    with pytest.raises(ValueError, match="boom"):
        next(feed)
    with pytest.raises(StopIteration):
        next(feed)


def test_a_waiting_caller_gets_a_tick(io: IOThread) -> None:
    async def produce(_emit: Emit) -> None:
        await asyncio.sleep(0.25)

    assert list(io.feed(produce)) == [None, None]


def test_closing_cancels_from_any_thread_and_ends_the_iteration(io: IOThread) -> None:
    ended = threading.Event()

    async def produce(emit: Emit) -> None:
        emit(1)
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    feed = io.feed(produce)
    assert next(feed) == 1
    threading.Thread(target=feed.close).start()
    start = time.perf_counter()
    assert all(item is None for item in feed)
    assert ended.wait(1)
    assert time.perf_counter() - start < 1


def test_nothing_runs_before_the_first_use() -> None:
    before = threading.active_count()
    IOThread().stop()
    assert threading.active_count() == before


def test_stopping_ends_the_thread_and_what_runs_there(io: IOThread) -> None:
    cancelled = threading.Event()

    async def forever(_emit: Emit) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    io.feed(forever)
    io.stop()
    assert cancelled.wait(2)


def test_it_starts_again_after_a_stop(io: IOThread) -> None:
    async def seven() -> int:
        return 7

    io.stop()
    assert io.submit(seven()).result(2) == 7


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_gets_a_thread_of_its_own(io: IOThread) -> None:
    async def seven() -> int:
        return 7

    io.submit(seven()).result(2)
    pid = os.fork()
    if pid == 0:
        answer: Any = 0
        try:
            answer = io.submit(seven()).result(2)
        finally:
            os._exit(0 if answer == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
