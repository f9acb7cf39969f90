"""What matplotlib has drawn in its axes: lines, bars, areas … and the data behind each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isclose
from typing import Any

from kimi_magic.context.figures.axes import along, categories, counts_periods, text_of
from kimi_magic.context.figures.chart import Drawn

__all__ = ["artists", "labels", "read"]

_MOST_PATHS = 1000  # of one area


def artists(axes: Any) -> list[Any]:
    """Give what shows data, in the order in which it was added; what belongs to bars or error bars, only as part."""
    members = {id(artist) for container in axes.containers for artist in _members(container)}
    loose = [*axes.lines, *axes.collections, *axes.patches, *axes.images, *axes.tables]
    return [*axes.containers, *(artist for artist in loose if id(artist) not in members)]


def _members(container: Any) -> Iterator[Any]:
    for member in container:
        if isinstance(member, tuple | list):
            yield from _members(member)
        elif member is not None:
            yield member
    if (whiskers := getattr(container, "errorbar", None)) is not None:
        yield from _members(whiskers)


def labels(artist: Any) -> list[str]:
    """Give the labels of an artist and of what it is made of: that of a histogram is on its first bar."""
    members = _members(artist) if isinstance(artist, tuple) else ()
    return list(dict.fromkeys(str(each.get_label()) for each in (artist, *members)))


def read(artist: Any, axes: Any) -> Drawn:
    """Read what an artist shows; may raise whatever an artist of somebody's own does."""
    reader = next((reader for test, reader in _READERS if hasattr(artist, test)), None)
    return Drawn(type(artist).__name__, str(artist.get_label())) if reader is None else reader(artist, axes)


def _bars(container: Any, axes: Any) -> Drawn:
    upright, label = container.orientation != "horizontal", _own_label(container)
    position, length = ("x", "y") if upright else ("y", "x")
    side, other = ("width", "height") if upright else ("height", "width")
    starts = [getattr(patch, f"get_{position}")() for patch in container.patches]
    ends = [start + getattr(patch, f"get_{side}")() for start, patch in zip(starts, container.patches, strict=True)]
    lengths = [float(getattr(patch, f"get_{other}")()) for patch in container.patches]
    axis = getattr(axes, f"{position}axis")
    touching = len(starts) > 1 and all(map(isclose, ends, starts[1:]))
    if touching and not categories(axis):
        return Drawn("histogram", label, {"from": along(starts, axis), "to": along(ends, axis), "height": lengths})
    middles = [(start + end) / 2 for start, end in zip(starts, ends, strict=True)]
    return Drawn("bars" if upright else "horizontal bars", label, {position: along(middles, axis), length: lengths})


def _own_label(container: Any) -> str:
    """Give its label, or that of its first bar; a name that begins with _ is matplotlib's own."""
    found = (str(each.get_label()) for each in (container, *container.patches[:1]))
    return next((label for label in found if not label.startswith("_")), "")


def _error_bars(container: Any, axes: Any) -> Drawn:
    line, _, whiskers = container.lines
    data = _line(line, axes).data if line is not None else {}
    letters = [letter for letter in "xy" if getattr(container, f"has_{letter}err")]
    for letter, segments in zip(letters, whiskers, strict=False):
        ends = [segment[:, "xy".index(letter)] for segment in segments.get_segments()]
        data[f"{letter} low"] = [float(end.min()) for end in ends]
        data[f"{letter} high"] = [float(end.max()) for end in ends]
    return Drawn("error bars", container.get_label(), data)


def _stems(container: Any, axes: Any) -> Drawn:
    return Drawn("stems", container.get_label(), _line(container.markerline, axes).data)


def _line(line: Any, axes: Any) -> Drawn:
    label = line.get_label()
    if hasattr(line, "get_data_3d"):
        return Drawn("line", label, dict(zip("xyz", line.get_data_3d(), strict=True)))
    x, y = line.get_xdata(orig=True), line.get_ydata(orig=True)
    if line.get_transform() == axes.get_yaxis_transform(which="grid"):
        return Drawn("horizontal line", label, {"y": y[:1]})
    if line.get_transform() == axes.get_xaxis_transform(which="grid"):
        return Drawn("vertical line", label, {"x": x[:1]})
    if counts_periods(axes.xaxis):
        x = along(x, axes.xaxis)
    alone = line.get_linestyle() in {"None", "", " "}
    return Drawn("points" if alone else "line", label, {"x": x, "y": y})


def _scatter(collection: Any, axes: Any) -> Drawn:
    if hasattr(collection, "_offsets3d"):  # there is no public way to the third
        xyz = collection._offsets3d  # noqa: SLF001
        return Drawn("points", collection.get_label(), dict(zip("xyz", xyz, strict=True)))
    offsets = collection.get_offsets()
    data: dict[str, Any] = {"x": along(offsets[:, 0], axes.xaxis), "y": along(offsets[:, 1], axes.yaxis)}
    if (colours := collection.get_array()) is not None:
        data["colour"] = colours
    return Drawn("points", collection.get_label(), data)


_KINDS = {"QuadMesh": "mesh", "LineCollection": "lines", "QuadContourSet": "contours"}


def _cells(collection: Any, axes: Any) -> Drawn:
    """Read areas and bundles of lines: what colours them, or what space they take."""
    kind, label = _KINDS.get(type(collection).__name__, "area"), collection.get_label()
    if (values := collection.get_array()) is not None:
        return Drawn(kind, label, {"value": values})
    if hasattr(collection, "t_direction"):
        return _band(collection, axes)
    corners = [point for path in collection.get_paths()[:_MOST_PATHS] for point in path.vertices]
    data = {"x": along((x for x, _ in corners), axes.xaxis), "y": along((y for _, y in corners), axes.yaxis)}
    return Drawn(kind, label, data)


def _band(collection: Any, axes: Any) -> Drawn:
    """Read what `fill_between` fills: each outline is a corner, one curve, a corner, the other curve backwards."""
    position, height = ("x", "y") if collection.t_direction == "x" else ("y", "x")
    places: list[float] = []
    curves: tuple[list[float], list[float]] = ([], [])
    for path in collection.get_paths()[:_MOST_PATHS]:
        points = path.vertices if position == "x" else path.vertices[:, ::-1]
        count = (len(points) - 3) // 2
        one, other = points[1 : count + 1], points[count + 2 : 2 * count + 2][::-1]
        places += one[:, 0].tolist()
        curves[0].extend(one[:, 1].tolist())
        curves[1].extend(other[:, 1].tolist())
    axis, other_axis = getattr(axes, f"{position}axis"), getattr(axes, f"{height}axis")
    data = {f"{height} {number}": along(curve, other_axis) for number, curve in enumerate(curves, 1)}
    return Drawn("area", collection.get_label(), {position: along(places, axis), **data})


def _raster(image: Any, _: Any) -> Drawn:
    values = image.get_array()
    left, right, bottom, top = image.get_extent()
    where = f"x {left:.4g} to {right:.4g}, y {bottom:.4g} to {top:.4g}"
    return Drawn("image", image.get_label(), {"value": values}, f"{' × '.join(map(str, values.shape))}, {where}")


def _table(table: Any, _: Any) -> Drawn:
    columns: dict[str, list[str]] = {}
    for (_row, column), cell in sorted(table.get_celld().items()):
        columns.setdefault(f"column {column + 1}", []).append(text_of(cell.get_text()))
    return Drawn("table", table.get_label(), columns)


def _wedge(patch: Any, _: Any) -> Drawn:
    return Drawn("slice", patch.get_label(), {"share": [(patch.theta2 - patch.theta1) / 360]})


def _patch(patch: Any, axes: Any) -> Drawn:
    path = patch.get_patch_transform().transform_path(patch.get_path())
    x, y = path.vertices[:, 0], path.vertices[:, 1]
    return Drawn(type(patch).__name__, patch.get_label(), {"x": along(x, axes.xaxis), "y": along(y, axes.yaxis)})


# By what only they have; the first that fits.
_READERS: tuple[tuple[str, Callable[[Any, Any], Drawn]], ...] = (
    ("datavalues", _bars),
    ("has_xerr", _error_bars),
    ("stemlines", _stems),
    ("get_xdata", _line),
    ("get_extent", _raster),
    ("get_celld", _table),
    ("theta1", _wedge),
    ("get_patch_transform", _patch),
    ("levels", _cells),
    ("legend_elements", _scatter),
    ("get_paths", _cells),
)
