"""What is said of one column: how many values are missing and distinct, and their range or the commonest of them.

Over all rows or, of a long table, over evenly spread ones. Then nulls, least and greatest of values of fixed width are
still those of all rows; what is estimated carries a ~, a lower bound a ≥, and values have shares instead of counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from statistics import fmean, median
from typing import Any, TypeVar

from kimi_magic.context.description import Look
from kimi_magic.context.tables import dataframes, extent
from kimi_magic.context.tables.cells import Unreadable, cell, count, is_missing, number, percent, quoted, written

__all__ = ["Summary", "attempt", "is_vector", "ranged", "summarise"]

_TOP = 5
_EXAMPLES = 3
_FEW = 6
_WORTH_SAYING = 0.02
_SIMPLE = {str, bool, int, float, type(None)}
_ORDERED = (Real, Decimal, date, time, timedelta)
_ORDERED_PANDAS = {"Period", "Interval"}

Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Summary:
    """The cells that stand beside a column's name and dtype."""

    nulls: str
    distinct: str
    values: str


def attempt(call: Callable[[], Given]) -> Given | None:
    """Call what may fail in a foreign library; None where it does. Rust panics derive from BaseException."""
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001
        return None


def summarise(column: Any, rows: int, sample: Sequence[int] | None, look: Look) -> Summary:
    """Say what is in a column of so many rows; `sample` are the positions to look at, None for all."""
    if is_vector(column):
        return _by_array(column, sample, look)
    wrapped = None if isinstance(column, list) else dataframes.series(column)
    if wrapped is not None and (wrapped.dtype.is_numeric() or wrapped.dtype.is_temporal()):
        summary = attempt(lambda: _by_library(column, wrapped, rows, sample, look))
        if summary is not None:
            return summary
    return _by_value(dataframes.values(column, sample), _missing(column, wrapped), rows, look)


def _by_library(column: Any, wrapped: Any, rows: int, sample: Sequence[int] | None, look: Look) -> Summary:
    """Let its library reckon: numbers, dates and times."""
    part = wrapped if sample is None else dataframes.taken(wrapped, sample)
    if sample is None or extent.is_dense(column):
        whole, mark = extent.of_series(column, wrapped), ""
        nulls = _nulls(whole.missing, rows)
    else:
        whole, mark = extent.of_series(None, part), "~"
        nulls = "~" + percent(whole.missing, len(part))
    present = part.drop_nulls()
    numeric = wrapped.dtype.is_numeric()
    solid = present.filter(~present.is_nan()) if wrapped.dtype.is_float() else present
    distinct = int(solid.n_unique()) if len(solid) else 0
    if nan := len(present) - len(solid):
        nulls += f", NaN {count(nan) if sample is None else '~' + percent(nan, len(part))}"
    said = [mark + ranged(whole.least, whole.greatest, look)] if whole.least is not None else []
    if numeric and 0 < distinct <= _FEW:
        top = _top(list(Counter(solid.to_list()).items()), sample is not None, look)
        said = [top] if sample is None else [*said, top]
    elif numeric and distinct:
        said += [f"mean {number(float(solid.mean()))}", f"median {number(float(solid.median()))}"]
    return Summary(nulls, _distinct(distinct, len(solid), sample is not None), ", ".join(said))


def is_vector(column: Any) -> bool:
    """Whether it is an array of numpy itself."""
    return type(column).__module__.partition(".")[0] == "numpy"


def _by_array(column: Any, sample: Sequence[int] | None, look: Look) -> Summary:
    """Reckon with a vector of numpy."""
    found = dataframes.values(column, sample)
    if not extent.is_measured(column) or column.dtype.kind == "b":
        return _by_value(found, None, len(column), look)
    whole, present, sampled = extent.of_array(column), _present(found), sample is not None
    tally = list(Counter(present).items())
    said = [ranged(whole.least, whole.greatest, look)] if whole.least is not None else []
    if 0 < len(tally) <= _FEW:
        said = [*said[: int(sampled)], _top(tally, sampled, look)]
    elif tally and column.dtype.kind in "iuf":
        said += [f"mean {number(fmean(present))}", f"median {number(float(median(present)))}"]
    return Summary(_nulls(whole.missing, len(column)), _distinct(len(tally), len(present), sampled), ", ".join(said))


def _by_value(found: list[Any], missing: int | None, rows: int, look: Look) -> Summary:
    """Reckon with Python objects: texts, categories, truth values, and anything else."""
    sampled = len(found) < rows
    present = _present(found)
    if missing is None and sampled:
        nulls = "~" + percent(len(found) - len(present), len(found))
    else:
        nulls = _nulls(len(found) - len(present) if missing is None else missing, rows)
    kinds = Counter(map(type, present))
    if set(kinds) == {Unreadable}:
        return Summary(nulls, "", "<unreadable>")
    tally = _tally(present, set(kinds), look)
    said = [", ".join(_kind(kind, n, look) for kind, n in kinds.most_common(_TOP))] if len(kinds) > 1 else []
    ends = attempt(lambda: _ends(present)) if len(tally) > _FEW else None
    said.append(ranged(*ends, look) if ends else _top(tally, sampled, look))
    return Summary(nulls, _distinct(len(tally), len(present), sampled), "; ".join(said))


def _present(found: list[Any]) -> list[Any]:
    """Leave out what stands for no value."""
    if set(map(type, found)) <= _SIMPLE:
        return [value for value in found if value is not None and value == value]  # noqa: PLR0124  # NaN is not itself
    return [value for value in found if not is_missing(value)]


def _kind(kind: type, n: int, look: Look) -> str:
    return f"{look.word(kind.__name__)} {count(n)}"


def ranged(least: Any, greatest: Any, look: Look) -> str:
    """Write from where to where values go."""
    return f"{cell(least, look)} … {cell(greatest, look)}"


def _missing(column: Any, wrapped: Any) -> int | None:
    """Count nulls over all rows where that is cheap; None where every object would have to be looked at."""
    if wrapped is None or str(wrapped.dtype) in {"Object", "Unknown"}:
        return None
    if getattr(getattr(column, "dtype", None), "storage", "") == "python":
        return None
    return attempt(lambda: extent.missing(wrapped))


def _tally(present: list[Any], kinds: set[type], look: Look) -> list[tuple[Any, int]]:
    """Count equal values, in the order in which they first appear; what cannot be hashed is counted by its text."""
    if len(kinds) == 1 and kinds <= _SIMPLE:
        return list(Counter(present).items())
    seen: dict[Any, list[Any]] = {}
    for value in present:
        key: Any = (type(value), value)
        try:
            entry = seen.setdefault(key, [value, 0])
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  # unhashable, or a comparison that raises or gives no truth value
            entry = seen.setdefault((type(value), written(value, look, 100)), [value, 0])
        entry[1] += 1
    return [(value, n) for value, n in seen.values()]


def _ends(present: list[Any]) -> tuple[Any, Any] | None:
    """Give the least and the greatest of values of one ordered kind; None for texts and other things."""
    ordered = all(isinstance(value, _ORDERED) and not isinstance(value, bool) for value in present)
    if ordered or {type(value).__name__ for value in present} <= _ORDERED_PANDAS:
        return min(present), max(present)
    return None


def _top(tally: list[tuple[Any, int]], sampled: bool, look: Look) -> str:  # noqa: FBT001
    """Write the commonest values with their counts or shares, or examples where each occurs once."""
    total = sum(n for _, n in tally)
    most = max((n for _, n in tally), default=0)
    if len(tally) > _FEW and (most == 1 or (sampled and most < total * _WORTH_SAYING)):
        return "e.g. " + ", ".join(quoted(value, look) for value, _ in tally[:_EXAMPLES])
    shown = sorted(tally, key=lambda entry: -entry[1])[: _TOP + 1 if len(tally) == _TOP + 1 else _TOP]
    said = [f"{quoted(value, look)} {percent(n, total) if sampled else '×' + count(n)}" for value, n in shown]
    more = len(tally) - len(shown)
    return ", ".join(said) + (f", … {count(more)} more" if more else "")


def _nulls(missing: int, rows: int) -> str:
    return f"{count(missing)} ({percent(missing, rows)})" if missing else "0"


def _distinct(distinct: int, present: int, sampled: bool) -> str:  # noqa: FBT001
    if sampled:
        return f"≥ {count(distinct)}"
    return f"{count(distinct)} (all)" if distinct == present > 1 else count(distinct)
