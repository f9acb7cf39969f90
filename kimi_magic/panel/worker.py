"""One thread that does what it is given, one thing after another, in the order in which it came."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable

__all__ = ["Worker"]


class Worker:
    """A daemon thread, begun with the first thing to do.

    What is printed there goes where the thread was made, as far as the kernel can tell (ipykernel 7). `failed` is told
    of what a thing raises, and the next one is done.
    """

    def __init__(self, name: str, failed: Callable[[Exception], None]) -> None:
        self._name = name
        self._failed = failed
        self._todo: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, thing: Callable[[], None]) -> None:
        """Do this once everything before it is done. Returns at once."""
        with self._lock:
            self._todo.put(thing)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._context.copy().run, args=(self._work,), name=self._name, daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Let the thread end after what it does now. What was put before is not done any more."""
        while not self._todo.empty():
            self._todo.get()
        self._todo.put(None)

    def _work(self) -> None:
        while (thing := self._todo.get()) is not None:
            try:
                thing()
            except Exception as error:  # noqa: BLE001  # whatever it is, the next thing is to be done
                self._failed(error)
