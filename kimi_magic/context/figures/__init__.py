"""Charts → a picture, and in words what is in them: titles, axes, and a digest of the data behind each line or bar.

Charts of matplotlib (seaborn's too), plotly and altair. The user's figure stays as it was, and nothing is fetched for
the picture. A chart that shows a private column has no picture, and no data where that column is.
"""

from __future__ import annotations

from kimi_magic.context import images
from kimi_magic.context.description import Description, Look
from kimi_magic.context.figures import altair_, matplotlib_, plotly_
from kimi_magic.context.figures.chart import Chart
from kimi_magic.context.figures.watch import Watch
from kimi_magic.errors import CommandError
from kimi_magic.messages import Image, Text

__all__ = ["brief", "describe"]


def describe(obj: object, look: Look) -> Description | None:
    """Give a chart's picture and what it shows in words; None for what is no chart."""
    chart = _chart(obj, look)
    if chart is None:
        return None
    watch = Watch(look)
    lines = chart.lines(look, watch)
    picture, note = _picture(chart, look, watch)
    text = look.text("\n".join([chart.name, *lines, *([f"[{note}]"] if note else [])]))
    parts = (Text(text),) if picture is None else (Text(text), picture)
    shape = chart.name if picture is None else images.size_in_words(picture)
    return Description("figure", parts, shape=shape, withheld=tuple(sorted(watch.names)))


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what chart it is; None for what is none."""
    chart = _chart(obj, look)
    return None if chart is None else chart.name


def _chart(obj: object, look: Look) -> Chart | None:
    return plotly_.chart(obj, look) or altair_.chart(obj, look) or matplotlib_.chart(obj, look)


def _picture(chart: Chart, look: Look, watch: Watch) -> tuple[Image | None, str]:
    """Give the picture, or None and why there is none."""
    if watch.reason or not look.pictures:
        return None, watch.reason
    try:
        return images.part(chart.draw(look), look), ""
    except CommandError as error:
        return None, look.word(f"no picture: {error.message}{f'; {error.hint}' if error.hint else ''}", 300)
    except Exception as error:  # noqa: BLE001  # a library's own way to fail at a chart of the user's
        return None, look.word(f"no picture: {type(error).__name__}: {error}", 300)
