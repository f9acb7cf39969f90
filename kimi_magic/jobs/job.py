"""One job as the user holds it: how it stands, its results so far, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kimi_magic.jobs.standing import Standing
from kimi_magic.messages import Usage

__all__ = ["Job"]


class Job:
    """A job of this kernel. All methods may be called from any thread; `wait` from the cell's."""

    id: str

    @property
    def standing(self) -> Standing:
        """How the job stands now."""
        raise NotImplementedError

    def df(self, *, everything: bool = False) -> Any:
        """Give the finished rows now, like the input: its index, order and columns, and the typed output columns.

        Failed rows have their reason in `kimi_error`. With `everything` unfinished rows are there too, as missing.
        """
        raise NotImplementedError

    @property
    def errors(self) -> Any:
        """The failed rows: row, reason."""
        raise NotImplementedError

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return self.standing.usage

    @property
    def cost(self) -> float | None:
        """US dollars so far; None where no price is known."""
        return self.standing.cost

    def wait(self, timeout: float | None = None) -> Job:
        """Wait for the end, at most `timeout` seconds; Ctrl-C ends the waiting, not the job."""
        raise NotImplementedError

    def answer(self, *, yes: bool) -> Job:
        """Answer the question of the pilot (state asking): go on, or cancel."""
        raise NotImplementedError

    def cancel(self) -> Job:
        """Send nothing more; what is done stays."""
        raise NotImplementedError

    def retry(self) -> Job:
        """Ask again what failed, and go on with a job that was cancelled or stopped."""
        raise NotImplementedError

    def forget(self) -> None:
        """Cancel it and erase it from the store."""
        raise NotImplementedError

    def open(self, row: int = 0) -> Any:
        """Go on with this row (its position, or of a cell's job its reply) as the conversation of this kernel."""
        raise NotImplementedError

    @property
    def reply(self) -> Any:
        """The Reply of a cell's job; None as long as there is none. For a map use `df`."""
        raise NotImplementedError

    @property
    def value(self) -> Any:
        """The value that a cell's job was asked for."""
        raise NotImplementedError

    @property
    def lane(self) -> str:
        """The lane that was asked for: queue, concurrent or auto. It may be set while the job runs."""
        raise NotImplementedError

    @lane.setter
    def lane(self, lane: str) -> None:
        raise NotImplementedError

    def on_change(self, callback: Callable[[Standing], None]) -> Callable[[], None]:
        """Call this on the runner's thread at most four times a second, and at the end; give what ends that."""
        raise NotImplementedError
