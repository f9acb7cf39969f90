"""A budget: the most US dollars that may be spent, by this kernel or in one day by all kernels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Budget"]

_SPELT = re.compile(r"\$?\s*(\d{1,9}(?:\.\d*)?|\.\d+)(?:\s*(?:/|a|per)\s*(day|kernel))?")


@dataclass(frozen=True, slots=True)
class Budget:
    """`dollars` that may be spent: for the life of this kernel, or per local day over all kernels of this store."""

    dollars: float
    per: Literal["kernel", "day"] = "kernel"

    @classmethod
    def parse(cls, text: str) -> Budget | None:
        """Read "$2", "0.50", "$2/day", or "off" for none; raise ValueError."""
        words = text.strip().lower()
        if words in ("off", "none"):
            return None
        found = _SPELT.fullmatch(words)
        if found is None:
            raise ValueError("is not a budget such as $2, $0.50/day or off")
        return cls(float(found[1]), "day" if found[2] == "day" else "kernel")

    def __str__(self) -> str:
        cents = f"{self.dollars:.2f}" if round(self.dollars, 2) == self.dollars else f"{self.dollars:.9g}"
        return f"${cents}/day" if self.per == "day" else f"${cents}"

    @property
    def scope(self) -> str:
        """What it holds for, in words."""
        return "today, over all kernels" if self.per == "day" else "this kernel"
