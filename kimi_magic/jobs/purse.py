"""A job's budget, and the kernel's: what is in flight is counted at the most that it can cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kimi_magic.books import Books, Hold
from kimi_magic.budget import Budget

if TYPE_CHECKING:
    from kimi_magic.jobs.keeping import Item

__all__ = ["Purse"]


class Purse:
    """Admits items as long as neither budget can be passed. Amounts are US dollars; `spent` is the job's so far."""

    def __init__(self, books: Books, budget: float | None, per_kernel: Budget | None, spent: float) -> None:
        self._books, self._kernels = books, per_kernel
        self._held: dict[int, float] = {}
        self._sum = 0.0
        self._hold = Hold()
        self.budget = budget
        self.spent = spent
        self.refused = False
        self._room: float | None = None

    def look(self) -> None:
        """See what the kernel's budget leaves, before items are admitted inside a transaction. Raises StoreError."""
        self._room = self._books.room(self._kernels)
        self.refused = False

    def admits(self, item: Item, bound: float, *, always: bool = False) -> bool:
        """Hold back the most an item can cost; False where a budget might be passed. `always`: it is out already."""
        if bound == 0.0:
            return True
        fits = self.budget is None or self.spent + self._sum + bound <= self.budget
        if not always and not (fits and self._books.reserve(self._hold, bound, self._room)):
            self.refused = True
            return False
        if always:
            self._books.reserve(self._hold, bound, None)
        self._held[item.n] = bound
        self._sum += bound
        return True

    def give_back(self, numbers: Iterable[int]) -> None:
        """Let go of what was held back for items."""
        given = sum(self._held.pop(n, 0.0) for n in numbers)
        self._sum = self._sum - given if self._held else 0.0
        self._books.reduce(self._hold, given)

    def close(self) -> None:
        """Let go of everything."""
        self.give_back(list(self._held))
        self._books.release(self._hold)
