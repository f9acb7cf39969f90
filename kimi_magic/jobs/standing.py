"""A job at one moment: what every view of it shows. A frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kimi_magic.messages import Usage

__all__ = ["ENDED", "Estimate", "Kind", "Lane", "Standing", "State"]

Kind = Literal["cell", "map"]
Lane = Literal["auto", "queue", "concurrent"]
State = Literal["pilot", "asking", "running", "waiting", "done", "cancelled", "stopped", "elsewhere"]
"""pilot: the first items run alone; asking: the pilot is over, and the user has to say yes; waiting: for the network,
the store or the service, `remark` says which; stopped: by its budget or an error that no item can pass; elsewhere:
another kernel works on it."""
ENDED: tuple[State, ...] = ("done", "cancelled", "stopped")
"""States in which nothing more happens by itself."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the rest of a job is expected to take, from its pilot: each as (low, expected, high), a 95 % interval.

    `cost` is in US dollars, None where there is no price; `seconds` is the time left; `items` how many are left.
    """

    items: int
    cost: tuple[float, float, float] | None
    seconds: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """A job at one moment.

    `total` counts rows, and so do `done` (answered), `failed`, `queued` (at the service's queue), `running` (being
    answered now) and `pending`, which together make `total`; `same` is how many rows are equal to others, which are
    asked once. `began` and `ended` are in seconds since 1970. `oldest` is the age in seconds of the oldest queued item,
    `rate` items a second in the last minute, `left` seconds to the end as far as that can be told. `cost` and `budget`
    are in US dollars, None for unknown and for none. `lane` is the one in use: queue or concurrent. `remark` says what
    the user has to know: a lane fell back, the budget is reached, what is wrong.
    """

    id: str
    title: str
    kind: Kind
    state: State
    lane: str
    remark: str
    total: int
    done: int
    failed: int
    queued: int
    running: int
    pending: int
    same: int
    began: float
    ended: float | None
    oldest: float | None
    rate: float
    left: float | None
    usage: Usage
    cost: float | None
    budget: float | None
    estimate: Estimate | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ENDED
