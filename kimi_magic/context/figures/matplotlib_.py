"""Charts of matplotlib: a figure, one of its axes, or an artist in it; looked at and drawn without anybody noticing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from math import isfinite
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.figures.artists import artists, labels, read
from kimi_magic.context.figures.axes import categories, moment, text_of
from kimi_magic.context.figures.chart import Chart, drawn_line, drawn_lines
from kimi_magic.context.figures.data import listed, named, quoted, said
from kimi_magic.context.figures.watch import Watch
from kimi_magic.context.images import longest_side
from kimi_magic.context.kinds import roots

__all__ = ["chart"]

_MOST_PIXELS = 6000  # of a side of a figure that is measured before it is drawn
_LEAST_DPI = 10  # with less, letters are smaller than a pixel, which FreeType refuses


def chart(obj: Any, look: Look) -> Chart | None:
    """Take a figure, one of its axes, an artist in it, or a grid of seaborn; None for anything else."""
    figure, axes = _figure_and_axes(obj)
    if figure is None:
        return None
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    count = len(_main_axes(figure))
    name = f"matplotlib {'axes of a ' if axes is not None else ''}figure, {width} × {height} px, {count} axes"
    title = figure.get_suptitle() if hasattr(figure, "get_suptitle") else ""
    return Chart(
        named(name, title, look),
        lambda look, watch: _lines(figure, axes, look, watch),
        lambda look: _saved(figure, axes, look),
    )


def _figure_and_axes(obj: Any) -> tuple[Any, Any]:
    """Find the figure that an object is or belongs to, and the one of several axes that it is; None for none."""
    libraries = roots(obj)
    if "seaborn" in libraries:
        obj = getattr(obj, "figure", None)
    elif not libraries & {"matplotlib", "mpl_toolkits"}:
        return None, None
    if isinstance(obj, tuple) and obj:
        obj = obj[0]  # bars, error bars and stems come as tuples of artists
    if not callable(getattr(obj, "get_figure", None)):
        return None, None
    figure = _root(obj)
    several = figure is not None and hasattr(obj, "get_xlim") and len(_main_axes(figure)) > 1
    return figure, obj if several else None


def _root(artist: Any) -> Any:
    try:
        return artist.get_figure(root=True)
    except TypeError:  # before matplotlib 3.10
        return artist if hasattr(artist, "savefig") else artist.figure


def _main_axes(figure: Any) -> list[Any]:
    """Give its axes without those that only hold a colour bar."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


@contextmanager
def _untouched(figure: Any) -> Iterator[None]:
    """Look at a figure, or draw it, without anybody noticing: no callback, no redrawing, no warning."""
    touched = [*figure.axes, figure]
    stale, callback = [artist.stale for artist in touched], figure.stale_callback
    figure.stale_callback = None
    try:
        with warnings.catch_warnings(), figure.canvas.callbacks.blocked():
            warnings.simplefilter("ignore")
            yield
    finally:
        for artist, was in zip(touched, stale, strict=True):
            artist.stale = was
        figure.stale_callback = callback


# Its picture


def _saved(figure: Any, axes: Any, look: Look) -> bytes:
    """Draw a figure, or one of its axes, at its own resolution or the one that fits."""
    file = BytesIO()
    with _untouched(figure):
        box = _box(figure, axes)
        longest = max(box.width, box.height)
        dpi = min(figure.dpi * (2 if look.detail == "high" else 1), longest_side(look) / longest)
        dpi = max(dpi, min(_LEAST_DPI, _MOST_PIXELS / longest))
        figure.savefig(file, format="png", dpi=dpi, bbox_inches=box, pil_kwargs={"compress_level": 1})
    return file.getvalue()


def _box(figure: Any, axes: Any) -> Any:
    """Find what to save, in inches: all that is drawn, unless something lies far outside."""
    whole = figure.bbox_inches
    if not _measurable(figure):
        return whole
    if axes is None:
        box = figure.get_tightbbox()
    else:
        box = axes.get_tightbbox().transformed(figure.dpi_scale_trans.inverted())
    sound = all(map(isfinite, box.extents)) and 0 < box.width < 3 * whole.width and 0 < box.height < 3 * whole.height
    return box.padded(0.1) if sound else whole


def _measurable(figure: Any) -> bool:
    """Whether a sheet of the figure's own size is small enough to measure on."""
    return bool(max(figure.bbox.width, figure.bbox.height) <= _MOST_PIXELS)


# What it shows


def _lines(figure: Any, one: Any, look: Look, watch: Watch) -> list[str]:
    with _untouched(figure):
        if _measurable(figure):
            with suppress(Exception):  # drawing the picture says what is wrong
                figure.draw_without_rendering()  # arrows and ticks get their sizes only now
        # What is private is known before the first word: a shared axis tells the limits of another's data.
        private = {axes: _private(axes, watch) for axes in figure.axes}
        _watch_titles(figure, watch)
        lines = [_legend_line(legend, look) for legend in figure.legends]
        shown = _main_axes(figure) if one is None else [one]
        for number, axes in enumerate(shown, 1):
            name = f"axes {number}" if len(shown) > 1 else "axes"
            lines += _axes_lines(name, axes, look, private=private[axes], limits=not watch.names)
        return lines


def _watch_titles(figure: Any, watch: Watch) -> None:
    """Look at the texts and legends that stand beside the axes of a figure."""
    for each in [figure, *getattr(figure, "subfigs", ())]:
        watch.labels(map(text_of, (*each.texts, getattr(each, "_suptitle", None))))
    watch.values(list(map(text_of, figure.texts)))
    for legend in figure.legends:
        watch.labels(_legend(legend))
        watch.values(_legend(legend)[1:])


def _private(axes: Any, watch: Watch) -> bool:
    """Whether anything that these axes show is private: a name in any text, the values of any artist."""
    texts = dict.fromkeys(map(text_of, axes.findobj(lambda artist: hasattr(artist, "set_text"))))
    legend = axes.get_legend()
    together = [list(map(text_of, axes.texts)), [] if legend is None else _legend(legend)[1:]]
    together += [list(categories(axis).values()) for axis in (axes.xaxis, axes.yaxis)]
    found = [watch.labels(texts), *map(watch.values, together)]
    for artist in artists(axes):
        try:
            drawn = read(artist, axes)
            found.append(watch.labels({drawn.label: 0, **dict.fromkeys(labels(artist))}))
            shown = [listed(values) for values in drawn.data.values()]
            # The corners of an area, before matplotlib 3.10, include those on its base.
            shown += [[value for value in values if value] for values in shown if drawn.kind == "area"]
            found += map(watch.values, shown)
        except Exception:  # noqa: BLE001  # an artist of somebody's own
            watch.unsure = True
    return any(found)


def _axes_lines(name: str, axes: Any, look: Look, *, private: bool, limits: bool) -> list[str]:
    def line(artist: Any) -> str:
        try:
            return drawn_line(read(artist, axes), look, private=private)
        except Exception:  # noqa: BLE001  # an artist of somebody's own
            return look.word(type(artist).__name__)

    kind = "" if axes.name == "rectilinear" else f" ({look.word(axes.name)})"
    sides = [_side(letter, axes, look, limits=limits) for letter in "xyz" if hasattr(axes, f"{letter}axis")]
    lines = [named(f"{name}{kind}:", axes.get_title(), look), *(f"  {side}" for side in sides)]
    lines += drawn_lines(artists(axes), line)
    if (legend := axes.get_legend()) is not None:
        lines.append(f"  {_legend_line(legend, look)}")
    texts = [text for text in map(text_of, axes.texts) if text]
    return [*lines, "  " + quoted("texts", texts, look)] if texts and not private else lines


def _side(letter: str, axes: Any, look: Look, *, limits: bool) -> str:
    """Say of one axis its label, its scale, and from where to where it goes."""
    axis = getattr(axes, f"{letter}axis")
    words = [named(letter, axis.get_label_text(), look)]
    if axis.get_scale() != "linear":
        words.append(f"{axis.get_scale()} scale")
    if not limits:
        return ", ".join(words)
    if labels := categories(axis):
        words.append(quoted("labels", list(labels.values()), look))
    elif type(axis.get_major_formatter()).__name__ != "NullFormatter":
        low, high = getattr(axes, f"get_{letter}lim")()
        words.append(f"{said(moment(low, axis), look)} to {said(moment(high, axis), look)}")
    return ", ".join(words)


def _legend(legend: Any) -> list[str]:
    return [text_of(legend.get_title()), *map(text_of, legend.get_texts())]


def _legend_line(legend: Any, look: Look) -> str:
    title, *entries = _legend(legend)
    return quoted(named("legend", title, look) + ":", entries, look)
