"""How fast a job is, how fast it may be, and what its pilot says of the rest."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence

from kimi_magic.jobs.standing import Estimate

__all__ = ["Pace", "Rate", "expected"]

_WINDOW = 60.0
"""Seconds over which a rate is taken."""


class Rate:
    """Rows answered in the last minute. It may be looked at from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._done: deque[tuple[float, int]] = deque()

    def add(self, rows: int) -> None:
        """Count rows that were answered just now."""
        now = self._clock()
        if self._done and now - self._done[-1][0] < 1.0:
            at, before = self._done.pop()
            self._done.append((at, before + rows))
        else:
            self._done.append((now, rows))
        while now - self._done[0][0] > _WINDOW:
            self._done.popleft()

    @property
    def value(self) -> float:
        """Rows a second."""
        now = self._clock()
        rows = sum(rows for at, rows in list(self._done) if now - at <= _WINDOW)
        return rows / max(1.0, min(_WINDOW, now - self._began))


class Pace:
    """How many requests may be sent now, of `limit` in any minute; None for no limit."""

    def __init__(self, limit: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._sent: deque[tuple[float, int]] = deque()
        self._sum = 0

    @property
    def room(self) -> int:
        """How many may be sent now."""
        if self.limit is None:
            return 1 << 30
        while self._sent and self._clock() - self._sent[0][0] >= _WINDOW:
            self._sum -= self._sent.popleft()[1]
        return max(0, int(max(1.0, self.limit)) - self._sum)

    @property
    def wait(self) -> float:
        """Seconds until there is room."""
        return 0.0 if self.room or not self._sent else max(0.0, self._sent[0][0] + _WINDOW - self._clock())

    def took(self, number: int) -> None:
        """Count requests that are sent now."""
        if self.limit is not None and number:
            self._sent.append((self._clock(), number))
            self._sum += number


def expected(costs: Sequence[float], took: float, asked: int, left: int) -> Estimate:
    """Say what `left` items will take, from the costs of a pilot's and the seconds that its `asked` items `took`.

    The 95 % interval is that of a sum of further items: their own scatter, and that of the pilot's mean. How much
    longer the items of one pilot took than the others' is not known, so the time scatters as the cost does, and by a
    third at least.
    """
    cost, spread = _sum(costs, left)
    rate = took / max(1, asked) * left
    share = max(1 / 3, spread / cost if cost else 0.0)
    money = (max(0.0, cost - spread), cost, cost + spread) if costs else None
    low, likely, high = (round(rate * part, 2) for part in (max(0.0, 1 - share), 1, 1 + share))
    return Estimate(left, money, (low, likely, high))


def _sum(sample: Sequence[float], left: int) -> tuple[float, float]:
    """Give what further items come to, and half the width of its 95 % interval."""
    if not sample:
        return 0.0, 0.0
    mean = statistics.fmean(sample)
    if len(sample) == 1:
        return mean * left, mean * left
    deviation = statistics.stdev(sample)
    return mean * left, _student(len(sample) - 1) * deviation * math.sqrt(left + left**2 / len(sample))


def _student(freedom: int) -> float:
    """Give the 97.5 % quantile of Student's distribution (within 2 % from two degrees of freedom on)."""
    z = 1.959964
    if freedom <= 2:  # noqa: PLR2004  # the series is too short there
        return (12.706, 4.303)[freedom - 1]
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return float(z + sum(term / freedom ** (n + 1) for n, term in enumerate(terms)))
