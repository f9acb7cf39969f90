"""Which rows are looked at: evenly spread ones for what is estimated, telling ones to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from kimi_magic.context.tables.cells import is_missing

__all__ = ["representative", "spread"]

_GOLDEN = 0.6180339887498949
_COMMON = 3


def spread(rows: int, wanted: int) -> list[int]:
    """Give positions of `wanted` rows out of `rows`, in order: one in each of as many equal stretches.

    Where in its stretch a row is taken moves on by the golden ratio, so that data with a period is sampled fairly;
    rows at equal distances would all be of one phase. The same sizes always give the same positions.
    """
    if wanted >= rows:
        return list(range(rows))
    return [(n * rows + int((n * _GOLDEN % 1) * rows)) // wanted for n in range(wanted)]


def representative(columns: Sequence[Sequence[Any]], rows: int, wanted: int) -> list[int]:
    """Choose rows that between them show most of what occurs in the columns; positions in order.

    Each column is a list of `rows` values. What counts is a missing value, a low, middle and high number, each of the
    commonest values and a rare one. Greedily the row that adds most is taken, of equals the first; when nothing is
    left to add, the others are evenly spread.
    """
    if wanted >= rows:
        return list(range(rows))
    features = _features(columns, rows)
    chosen: list[int] = []
    left, covered = list(range(rows)), 0
    while len(chosen) < wanted:
        best = max(left, key=lambda row: ((features[row] & ~covered).bit_count(), -row))
        if not features[best] & ~covered:
            break
        chosen.append(best)
        left.remove(best)
        covered |= features[best]
    more = wanted - len(chosen)
    return sorted([*chosen, *(left[(2 * n + 1) * len(left) // (2 * more)] for n in range(more))])


def _features(columns: Sequence[Sequence[Any]], rows: int) -> list[int]:
    """Give for each row the set of its features, as the bits of a number."""
    features, bit = [0] * rows, 1
    for values in columns:
        kinds: dict[str, int] = {}
        for row, feature in enumerate(_column_features(values)):
            if feature:
                if feature not in kinds:
                    kinds[feature], bit = bit, bit << 1
                features[row] |= kinds[feature]
    return features


def _column_features(values: Sequence[Any]) -> list[str]:
    present = [value for value in values if not is_missing(value)]
    try:
        name = _levels(present) if present and not isinstance(present[0], (str, bool)) else _commonness(present)
        return ["null" if is_missing(value) else name(value) for value in values]
    except Exception:  # noqa: BLE001  # values that cannot be compared or hashed: only nulls tell rows apart
        return ["null" if is_missing(value) else "some" for value in values]


def _levels(present: list[Any]) -> Any:
    """Tell low, middle and high values apart, by rank; raise where they have no order."""
    ranked = sorted(present)
    last = len(ranked) - 1
    low, below, above, high = (ranked[round(last * share)] for share in (0.1, 0.45, 0.55, 0.9))
    return lambda value: "low" if value <= low else "high" if value >= high else "middle" * (below <= value <= above)


def _commonness(present: list[Any]) -> Any:
    """Tell the commonest values apart, and a rare one."""
    counts = Counter(present)
    common = {value: f"common {n}" for n, (value, _) in enumerate(counts.most_common(_COMMON))}
    rare = min(counts.values(), default=0)
    return lambda value: common.get(value) or "rare" * (counts[value] == rare)
