"""One call for each value of a column or list: equal values once, in order, and nothing lost where it is stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.errors import CommandError, Interrupted, KimiError
from kimi_magic.progress import Progress

__all__ = ["mapped"]

_PLAIN = {str, int, float, bool, list, dict, date, datetime, Decimal, type(None)}
"""Types that a dataframe library may make a column of its own kind from."""


def mapped(call: Callable[[Any, Callable[[], None]], Any], values: Iterable[Any], what: str) -> Any:
    """Give what `call(value, tick)` gives for each value: a list, or for a series one with its index and name.

    Missing values of a series stay missing, None, and are not asked. Where a call raises a KimiError, or the user
    stops it, the error has what was done in `done`, with None for the others. Raises CommandError for what is no
    column or list.
    """
    _require_many(values)
    given, missing = _listed(values)
    keys = [None if gone else _key(value, n) for n, (value, gone) in enumerate(zip(given, missing, strict=True))]
    found: dict[Any, Any] = {}

    def done() -> Any:
        return _like(values, [found.get(key) for key in keys])

    progress = Progress(len({key for key in keys if key is not None}), what)
    try:
        for key, value in zip(keys, given, strict=True):
            if key is not None and key not in found:
                found[key] = call(value, progress.tick)
                progress.done += 1
                progress.tick()
    except KeyboardInterrupt as stopped:
        told = f"Stopped after {progress.text.partition(': ')[2].partition(' ·')[0]}; run again, it goes on from there."
        raise Interrupted(getattr(stopped, "reply", None), done(), told) from None
    except KimiError as error:
        error.done = done()
        raise
    finally:
        progress.finish()
    return done()


def _require_many(values: Any) -> None:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise CommandError(
            f".map takes a column or a list of values, and this is a {type(values).__name__}.",
            hint="For one value call the function.",
        )
    if any(kinds.is_a(values, root, "DataFrame") for root in ("pandas", "polars")):
        raise CommandError(".map takes one column, and this is a whole table.", hint='Name one: .map(df["text"])')


def _listed(values: Any) -> tuple[list[Any], list[bool]]:
    """Give the values as Python's own, and which of them are missing."""
    if kinds.is_a(values, "pandas", "Series"):
        return values.tolist(), values.isna().tolist()
    if kinds.is_a(values, "polars", "Series"):
        return values.to_list(), values.is_null().to_list()
    listed = list(values)
    return listed, [False] * len(listed)


def _key(value: Any, number: int) -> Any:
    """Give what equal values have in common; what cannot be compared safely is like no other."""
    try:
        hash(value)
    except TypeError:
        return (number,)
    return (type(value), value)


def _like(values: Any, results: list[Any]) -> Any:
    plain = all(type(result) in _PLAIN for result in results)
    if kinds.is_a(values, "pandas", "Series"):
        series = sys.modules["pandas"].Series
        return series(results, index=values.index, name=values.name, dtype=None if plain and results else object)
    if kinds.is_a(values, "polars", "Series"):
        polars = sys.modules["polars"]
        try:
            return polars.Series(values.name, results, dtype=None if plain else polars.Object)
        except (TypeError, ValueError, OverflowError, polars.exceptions.PolarsError):
            return polars.Series(values.name, results, dtype=polars.Object)
    return results
