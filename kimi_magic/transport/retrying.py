"""How long to wait, and when to ask again: what the service calls temporary, with a growing, jittered pause."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

from kimi_magic import refusals, wire

__all__ = ["Limits", "Refused", "pause"]

_LONGEST_PAUSE = 30.0
_LONGEST_RETRY_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds, and how often to ask again. `backoff` is the first pause."""

    connect: float = 10.0
    first: float = 120.0
    idle: float = 60.0
    whole: float | None = None
    retries: int = 4
    backoff: float = 1.0


class Refused(Exception):  # never leaves this package
    """What the server refused with; `retry_after` is the header's value."""

    def __init__(self, failure: wire.Failure, retry_after: str | None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after = retry_after


def pause(refused: Refused, attempt: int, limits: Limits) -> float | None:
    """Seconds until the next attempt, or None where there is to be none."""
    if attempt > limits.retries or not refusals.temporary(refused.failure, attempt):
        return None
    asked = _retry_after(refused.retry_after)
    if asked is not None:
        return asked if asked <= _LONGEST_RETRY_AFTER else None
    jitter = random.uniform(0.5, 1.5)  # noqa: S311  # spreads clients, protects nothing
    seconds = min(_LONGEST_PAUSE, limits.backoff * 2.0 ** (attempt - 1) * jitter)
    if refused.failure.code == 3021:  # noqa: PLR2004  # the limit is per minute: no use before the next one
        seconds = max(seconds, limits.backoff * (60 - time.time() % 60))
    return seconds


def _retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number, or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
