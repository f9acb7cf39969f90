"""What running a function came to, and running one that is not async: on this thread, under its time limit."""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kimi_magic.tools.watchdog import TimeIsUp, limited

__all__ = ["MOST_YIELDED", "Ran", "run"]

MOST_YIELDED = 1_000
"""Values that are taken from a generator, which is what a tool that yields gives: their list."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A function that has ended: what it gave, or the error, or out of time; `seconds` is how long that took."""

    seconds: float
    value: Any = None
    error: BaseException | None = None
    timed_out: bool = False


def run(call: Callable[[], Any], timeout: float | None) -> Ran:
    """Call a function and give what became of it; nothing but KeyboardInterrupt gets out."""
    began = time.perf_counter()
    try:
        value = limited(timeout, lambda: _whole(call()))
    except KeyboardInterrupt:
        raise
    except TimeIsUp as error:
        return Ran(time.perf_counter() - began, error=error, timed_out=True)
    except BaseException as error:  # noqa: BLE001  # SystemExit too: a tool does not end the kernel
        return Ran(time.perf_counter() - began, error=error)
    return Ran(time.perf_counter() - began, value)


def _whole(value: Any) -> Any:
    """Give the values of a generator, as many as are taken; anything else as it is."""
    if not inspect.isgenerator(value):
        return value
    try:
        return list(itertools.islice(value, MOST_YIELDED))
    finally:
        value.close()
