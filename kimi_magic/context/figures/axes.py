"""The axes of matplotlib: positions on them as what was plotted, words and times instead of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from sys import modules
from typing import Any

__all__ = ["along", "categories", "counts_periods", "moment", "text_of"]


def text_of(artist: Any) -> str:
    """Give the words of a text; none where there is no text."""
    return "" if artist is None else str(artist.get_text())


def categories(axis: Any) -> dict[float, str]:
    """Give the labels of an axis of words, by where they stand; empty for an axis of numbers."""
    formatter, locator = (type(each).__name__ for each in (axis.get_major_formatter(), axis.get_major_locator()))
    fixed = locator == "FixedLocator" and formatter in {"FixedFormatter", "FuncFormatter"}
    if formatter != "StrCategoryFormatter" and not fixed:
        return {}
    places, labels = axis.get_ticklocs(), axis.get_ticklabels()
    return {float(place): text for place, text in zip(places, map(text_of, labels), strict=False) if text}


def counts_periods(axis: Any) -> bool:
    """Whether pandas made an axis on which it counts days, months, seconds."""
    return type(axis.get_major_formatter()).__name__.startswith("TimeSeries")


def moment(value: float, axis: Any) -> Any:
    """Turn a number on an axis of dates into the time that it stands for."""
    if counts_periods(axis):
        return modules["pandas"].Period(ordinal=round(value), freq=axis.freq)
    converter = axis.get_converter() if hasattr(axis, "get_converter") else axis.converter
    if "Date" not in type(converter).__name__ or "matplotlib.dates" not in modules:
        return value
    return modules["matplotlib.dates"].num2date(value).replace(tzinfo=None)


def along(values: Iterable[Any], axis: Any) -> list[Any]:
    """Give positions on an axis as what was plotted."""
    numbers = [float(value) for value in values]
    if labels := categories(axis):
        return [labels.get(round(number, 6), number) for number in numbers]
    return [moment(number, axis) for number in numbers]
