"""A time limit for a function that runs on the calling thread.

When the time is over a second thread makes the first one raise `TimeIsUp`, and again every second for as long as that
is swallowed. The main thread is told by SIGINT, which also wakes what waits (sleep, sockets, locks, processes), without
SIGALRM, which Windows lacks and which belongs to the user; other threads are told by the interpreter
(PyThreadState_SetAsyncExc) once they run Python again. On either, a call into C that looks at no signal goes on to its
end, and only then is out of time. Ctrl-C stays what it is: KeyboardInterrupt.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

__all__ = ["TimeIsUp", "ctrl_c_raises", "limited"]

T = TypeVar("T")
_AGAIN = 1.0
_ON_ITS_WAY = 1.0
"""Seconds that a signal which was sent may take to arrive."""


class TimeIsUp(BaseException):
    """A function has used up its time. No Exception, so that what retries after errors lets it through."""


def limited(seconds: float | None, call: Callable[[], T]) -> T:
    """Call a function; raise TimeIsUp where it ends by an error after `seconds`, None for no limit.

    One that swallows TimeIsUp and gives a value in the end has given it; one that swallows Ctrl-C has not.
    """
    dog = _Watchdog(seconds)
    try:
        dog.start()
        return call()
    except KeyboardInterrupt:
        if dog.ctrl_c or not dog.barked:
            raise
        raise TimeIsUp from None
    except BaseException as error:
        if dog.barked and not dog.ctrl_c:
            raise TimeIsUp from error
        raise
    finally:
        dog.armed = False  # the interpreter looks for signals at calls: nothing can come before this line
        while True:
            try:
                dog.stop()
                break
            except TimeIsUp:
                continue
        if dog.late_ctrl_c or dog.ctrl_c:
            raise KeyboardInterrupt


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt on the main thread, whatever handler there is.

    That of a cell with a top-level await only asks the event loop, which waits for us.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        with suppress(ValueError):  # closed on another thread, by who has given it up
            signal.signal(signal.SIGINT, before or signal.default_int_handler)


class _Watchdog:
    """Watches the thread that made it."""

    def __init__(self, seconds: float | None) -> None:
        self.armed = self.barked = self.ctrl_c = self.late_ctrl_c = False
        self._seconds = seconds
        self._lock = threading.Lock()
        self._over = False
        self._unheard = False
        self._target = threading.get_ident()
        self._signals = threading.current_thread() is threading.main_thread()
        self._previous: Any = signal.getsignal(signal.SIGINT)

    def start(self) -> None:
        self.armed = True  # before its handler is there: Ctrl-C in between must not be put off
        if self._signals:
            signal.signal(signal.SIGINT, self._heard)
        if self._seconds is not None:
            _clock.add(self, time.monotonic() + self._seconds)

    def stop(self) -> None:
        """Watch no longer, once what was sent has arrived: it must hit nobody else."""
        _clock.remove(self)
        with self._lock:
            self._over = True
        if not self._signals:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), None)
            return
        deadline = time.monotonic() + _ON_ITS_WAY
        while self._unheard and time.monotonic() < deadline:
            time.sleep(0.001)
        # None: a handler that was not made in Python, which cannot be set again.
        signal.signal(signal.SIGINT, self._previous or signal.default_int_handler)

    def bark(self) -> None:
        """Tell the thread that its time is over, unless it has ended."""
        with self._lock:
            if not self._over:
                self._bark()

    def _bark(self) -> None:
        self.barked = self._unheard = True
        if not self._signals:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._target), ctypes.py_object(TimeIsUp))
        elif os.name == "nt":
            signal.raise_signal(signal.SIGINT)  # there it reaches the main thread from any other
        else:
            signal.pthread_kill(self._target, signal.SIGINT)

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a signal handler's
        if self._unheard:
            self._unheard = False
            if self.armed:
                raise TimeIsUp
        elif self.armed:
            self.ctrl_c = True
            raise KeyboardInterrupt
        else:
            self.late_ctrl_c = True


class _Clock:
    """One thread for all watchdogs. It sleeps until the first of them is due, so that a quick call never wakes it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[_Watchdog, float] = {}
        self._wakes = math.inf
        self._process = 0

    def add(self, dog: _Watchdog, at: float) -> None:
        if self._process != os.getpid():  # the first one, or after a fork, in which no thread survives
            self._changed, self._due = threading.Condition(), {}
            threading.Thread(target=self._run, name="kimi-watchdog", daemon=True).start()
            self._process = os.getpid()
        with self._changed:
            self._due[dog] = at
            if at < self._wakes:
                self._changed.notify()

    def remove(self, dog: _Watchdog) -> None:
        with self._changed:
            self._due.pop(dog, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                late = [dog for dog, at in self._due.items() if at <= now]
                self._due |= dict.fromkeys(late, now + _AGAIN)
                self._wakes = min(self._due.values(), default=math.inf)
                if not late:
                    self._changed.wait(None if self._wakes == math.inf else self._wakes - now)
            for dog in late:
                dog.bark()


_clock = _Clock()
