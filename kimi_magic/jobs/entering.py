"""The rows of a map on their way into the store: the first piece at once, the others while the job is under way.

A thread of its own reads them and writes their questions; the job enters those on its own thread, as all else of it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kimi_magic.errors import CommandError, KimiError, StoreError
from kimi_magic.jobs.keeping import Lost
from kimi_magic.jobs.rows import PIECE

if TYPE_CHECKING:
    from kimi_magic.jobs.question import Question
    from kimi_magic.jobs.rows import Rows

__all__ = ["Entering"]

T = TypeVar("T")
Keyed = Sequence[tuple[str, str]]
_AGAIN = 1.0
"""Seconds after which a store that was locked is tried again."""
_TICK = 0.2


class _Taker(Protocol):
    def enter(self, entering: Entering, rows: Keyed) -> list[int]: ...
    def entered(self, entering: Entering) -> None: ...
    def not_entered(self, entering: Entering, error: KimiError) -> None: ...


class Entering:
    """Rows that are entered piece by piece.

    `places` are those of the rows' items, 0 for a row that holds nothing to ask about; they grow until it is `whole`.
    `error` says why it never will be. `joins` says that a round is joined which has been begun.
    """

    def __init__(self, job: str, rows: Rows, asked: Question) -> None:
        self.places = array("q")
        self.whole = self.joins = False
        self.error: KimiError | None = None
        self._rows, self._asked = rows, asked
        self._pieces = rows.pieces(asked.columns)
        self._start = hashlib.blake2b(job.encode(), digest_size=16)
        self._stopped, self._ended = threading.Event(), threading.Event()

    def __str__(self) -> str:
        total = self._rows.total
        return f"{len(self.places):,}{'' if total is None else f' of {total:,}'} rows are entered."

    def take(self, enter: Callable[[Keyed], list[int]]) -> None:
        """Enter one piece. Raises CommandError for what cannot be read or asked, and where there are no rows."""
        piece = next(self._pieces, [])
        texts = self._asked.texts(piece)
        keyed = [(self._key(text), text) for text in texts if text]
        found = iter(enter(keyed) if keyed else ())
        self.places.extend(next(found) if text else 0 for text in texts)
        self.whole = len(piece) < PIECE or len(self.places) == self._rows.total
        if not len(self.places):
            raise CommandError("There are no rows.", hint="The data is empty.")

    def begin(
        self, job: _Taker, do: Callable[[Callable[[], object]], object], ended: Callable[[Entering], None]
    ) -> None:
        """Let `job` take the rest, by what `do` does on its thread; `ended` is called last, on a thread of this."""
        self._thread = threading.Thread(target=self._run, args=(job, do, ended), name="kimi-rows", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Enter nothing more."""
        self._stopped.set()

    def wait(self, timeout: float = float("inf")) -> Entering:
        """Wait until nothing more is entered, at most `timeout` seconds."""
        until = time.monotonic() + timeout
        while not self._ended.wait(_TICK) and time.monotonic() < until:
            pass  # in short steps, so that Ctrl-C gets through everywhere
        return self

    def require(self) -> None:
        """Raise what kept the rows from being entered."""
        if self.error is not None:
            raise self.error.with_traceback(None)

    def _run(
        self, job: _Taker, do: Callable[[Callable[[], object]], object], ended: Callable[[Entering], None]
    ) -> None:
        def enter(rows: Keyed) -> list[int]:
            found: Any = self._insist(lambda: do(partial(job.enter, self, rows)))
            return found  # type: ignore[no-any-return]  # what the job gives

        try:
            while not self.whole:
                self.take(enter)
            self._insist(lambda: do(partial(job.entered, self)))
        except _Stopped:
            pass
        except Exception as error:  # noqa: BLE001  # whatever reading raises is told by the job
            self.error = _told(error)
            if not self._stopped.is_set():
                do(partial(job.not_entered, self, self.error))
        finally:
            self._pieces = iter(())  # closes a file
            self._ended.set()
            ended(self)

    def _insist(self, errand: Callable[[], T]) -> T:
        """Do it until the store lets it, or this is stopped."""
        while not self._stopped.is_set():
            try:
                return errand()
            except StoreError:
                self._stopped.wait(_AGAIN)
            except Lost:
                if not self._stopped.is_set():
                    raise
        raise _Stopped

    def _key(self, text: str) -> str:
        key = self._start.copy()
        key.update(text.encode("utf-8", "surrogatepass"))
        return key.hexdigest()


class _Stopped(Exception):
    """Nobody wants the rest."""


def _told(error: Exception) -> KimiError:
    if isinstance(error, KimiError):
        return error
    if isinstance(error, Lost):
        return CommandError(
            "Another kernel has taken this job over before all rows were entered.", hint="The same map again goes on."
        )
    return CommandError(f"The rows cannot be read: {type(error).__name__}: {error}", hint="Map the same again.")
