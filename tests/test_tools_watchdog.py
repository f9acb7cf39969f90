"""A function that takes too long is made to stop, whatever it waits for, and nobody else is hit."""

from __future__ import annotations

import asyncio
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kimi_magic.tools.watchdog import TimeIsUp, limited

LONG = 60.0


def spins() -> None:
    while True:
        pass


def retries() -> None:
    while True:
        try:
            time.sleep(LONG)
        except Exception:  # noqa: BLE001, S112  # what is tested: that it does not catch this
            continue


def swallows_twice() -> None:
    for _ in range(2):
        try:
            time.sleep(LONG)
        except BaseException:  # noqa: BLE001, S112
            continue
    time.sleep(LONG)


def listens() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.accept()


def sleep_in_a_loop(seconds: float) -> None:
    """As `asyncio.run` does; the browser tests, in the same process, leave a loop that counts as running."""
    left = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.sleep(seconds))
    finally:
        loop.close()
        asyncio._set_running_loop(left)


WAITING: list[Callable[[], Any]] = [
    lambda: time.sleep(LONG),
    spins,
    retries,
    swallows_twice,
    listens,
    lambda: queue.Queue[int]().get(),
    lambda: threading.Event().wait(),
    lambda: subprocess.run([sys.executable, "-c", f"import time; time.sleep({LONG})"], check=True),
    lambda: sleep_in_a_loop(LONG),
]


@pytest.mark.parametrize("waits", WAITING)
def test_whatever_waits_on_the_main_thread_is_stopped(waits: Callable[[], Any]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TimeIsUp):
        limited(0.1, waits)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_runs_python_on_another_thread_is_stopped() -> None:
    found: list[str] = []

    def work() -> None:
        try:
            limited(0.1, spins)
        except TimeIsUp:
            found.append("up")
        found.append(str(sum(range(100_000))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert found == ["up", "4999950000"]


def test_an_error_that_the_interruption_became_is_out_of_time() -> None:
    def wraps() -> None:
        try:
            time.sleep(LONG)
        except BaseException as error:
            raise RuntimeError("interrupted") from error

    with pytest.raises(TimeIsUp):
        limited(0.1, wraps)


def test_a_value_that_comes_in_time_or_after_all_is_given() -> None:
    def late() -> int:
        try:
            time.sleep(LONG)
        except TimeIsUp:
            return 5
        return 0

    assert limited(LONG, lambda: 3) == 3
    assert limited(None, lambda: 4) == 4
    assert limited(0.1, late) == 5


@pytest.mark.parametrize("seconds", [None, LONG])
def test_ctrl_c_stays_ctrl_c(seconds: float | None) -> None:
    def pressed() -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(LONG)

    with pytest.raises(KeyboardInterrupt):
        limited(seconds, pressed)


@pytest.mark.parametrize("seconds", [None, LONG])
@pytest.mark.parametrize("error", [None, ValueError])
def test_ctrl_c_that_is_swallowed_is_still_ctrl_c(seconds: float | None, error: type[Exception] | None) -> None:
    def swallows() -> int:
        try:
            signal.raise_signal(signal.SIGINT)
            time.sleep(LONG)
        except BaseException:  # noqa: BLE001, S110  # what is tested: that it does not end here
            pass
        if error is not None:
            raise error
        return 5

    with pytest.raises(KeyboardInterrupt):
        limited(seconds, swallows)


@pytest.mark.parametrize("seconds", [None, LONG])
def test_ctrl_c_gets_through_a_handler_that_only_asks_the_loop(seconds: float | None) -> None:
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    try:
        with pytest.raises(KeyboardInterrupt):
            limited(seconds, lambda: signal.raise_signal(signal.SIGINT))
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [1]


def test_an_error_of_the_function_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        limited(LONG, lambda: 1 / 0)


def test_limits_lie_inside_of_each_other() -> None:
    with pytest.raises(TimeIsUp):
        limited(0.1, lambda: limited(LONG, spins))


def test_a_function_that_ends_just_then_harms_nobody() -> None:
    found = set()
    for n in range(300):
        try:
            found.add(limited(0.001 + n % 10 / 10_000, lambda: time.sleep(0.0012) or "done"))  # type: ignore[func-returns-value]
        except TimeIsUp:
            found.add("up")
        for _ in range(10):
            time.sleep(0)  # where a late one would land
    assert found <= {"done", "up"}
