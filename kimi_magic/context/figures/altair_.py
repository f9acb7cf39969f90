"""Charts of altair: read from their Vega-Lite, drawn by vl-convert in a process of its own."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from sys import modules
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Look
from kimi_magic.context.figures.chart import Chart
from kimi_magic.context.figures.data import named, span
from kimi_magic.context.figures.watch import Watch
from kimi_magic.context.images import apart
from kimi_magic.errors import CommandError

__all__ = ["chart"]

_MOST_ROWS = 50_000  # of its data: beyond, drawing takes minutes
_FIRST_ROWS = 1000  # of longer data, that are looked at
_SECONDS = 20.0
_VIEWS = ("layer", "hconcat", "vconcat", "concat")
_NO_LABELS = {"type", "mark", "name", "$schema", "datasets", "config", "params"}
_SCRIPT = """\
import json, vl_convert
given = json.loads(given)
out.write(vl_convert.vegalite_to_svg(given["chart"], vl_version=given["version"], allowed_base_urls=[]).encode())
out.close()
"""


def chart(obj: Any, look: Look) -> Chart | None:
    """Take an altair chart; None for anything else."""
    if not kinds.is_a(obj, "altair", "TopLevelMixin"):
        return None
    title = obj.title if isinstance(getattr(obj, "title", None), str) else ""
    specified = cache(lambda: _specified(obj))
    return Chart(
        named(f"altair {type(obj).__name__}", title, look),
        lambda look, watch: _lines(obj, specified(), look, watch),
        lambda _: _converted(obj, specified()),
    )


# The chart itself


def _parts_of(chart: Any) -> Iterator[Any]:
    """Give the charts that a chart is made of, itself first."""
    yield chart
    for name in (*_VIEWS, "spec"):
        inner = getattr(chart, name, None)
        for each in inner if isinstance(inner, list) else [inner]:
            if _is_chart(each):
                yield from _parts_of(each)


def _is_chart(obj: object) -> bool:
    return kinds.is_a(obj, "altair", "VegaLiteSchema")


def _tables_of(chart: Any) -> list[Any]:
    """Give the dataframes that it shows, each once."""
    found = (getattr(each, "data", None) for each in _parts_of(chart))
    tables = [data for data in found if hasattr(data, "columns") or hasattr(data, "column_names")]
    return list({id(data): data for data in tables}.values())


def _too_long(chart: Any) -> bool:
    return any(len(data) > _MOST_ROWS for data in _tables_of(chart))


def _specified(chart: Any) -> dict[str, Any]:
    """Give its Vega-Lite; of a very long table, only the first thousand rows are in it."""
    with warnings.catch_warnings(), modules["altair"].data_transformers.enable("default", max_rows=None):
        warnings.simplefilter("ignore")
        return (_shortened(chart) if _too_long(chart) else chart).to_dict()  # type: ignore[no-any-return]


def _shortened(chart: Any) -> Any:
    import narwhals as nw

    short = chart.copy(deep=False)
    if (data := getattr(short, "data", None)) is not None and hasattr(data, "__len__") and len(data) > _MOST_ROWS:
        short.data = nw.from_native(data, eager_only=True).head(_FIRST_ROWS).to_native()
    for name in (*_VIEWS, "spec"):
        inner = getattr(short, name, None)
        if isinstance(inner, list):
            setattr(short, name, [_shortened(each) for each in inner])
        elif _is_chart(inner):
            setattr(short, name, _shortened(inner))
    return short


# What it shows


def _lines(chart: Any, spec: dict[str, Any], look: Look, watch: Watch) -> list[str]:
    watch.labels(_strings(spec))
    lines = [line for view, rows in _views(spec, spec.get("datasets", {})) for line in _view(view, rows, look, watch)]
    lines += [f"data: {kinds.brief(data, look.deeper(500))}" for data in _tables_of(chart)]
    lines += [f"ranges are those of the first {_FIRST_ROWS:,} rows"] if _too_long(chart) else []
    return [f"  {line}" for line in lines]


def _strings(spec: Any) -> Iterator[str]:
    """Give each text in a chart that may name a column: fields, titles, expressions."""
    if isinstance(spec, str):
        yield spec
    elif isinstance(spec, list):
        for each in spec:
            yield from _strings(each)
    elif isinstance(spec, dict):
        for key, value in spec.items():
            if key not in _NO_LABELS and not (key == "values" and isinstance(value, list)):
                yield from _strings(value)


def _views(
    spec: dict[str, Any], sets: dict[str, Any], rows: list[Any] | None = None
) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Give each view that has a mark, with the rows that it shows."""
    data = spec.get("data") or {}
    if "values" in data or "name" in data:
        found = data.get("values", sets.get(str(data.get("name"))))
        rows = found if isinstance(found, list) else []
    if "mark" in spec:
        yield spec, rows or []
    inner = [each for name in _VIEWS for each in spec.get(name, ())]
    for each in [*inner, *([spec["spec"]] if "spec" in spec else [])]:
        yield from _views(each, sets, rows)


def _view(view: dict[str, Any], rows: list[Any], look: Look, watch: Watch) -> Iterator[str]:
    """Say of one view its mark, its channels, its transforms, and the data of each field."""
    mark = view["mark"]["type"] if isinstance(view["mark"], dict) else view["mark"]
    title = view.get("title")
    yield named(f"{mark} mark", title if isinstance(title, str) else "", look)
    encodings = [
        (channel, each)
        for channel, encoding in view.get("encoding", {}).items()
        for each in (encoding if isinstance(encoding, list) else [encoding])
    ]
    for channel, encoding in encodings:
        yield f"  {channel}: {_encoding(encoding, look)}"
    for transform in view.get("transform", ()):
        yield f"  transform: {look.word(json.dumps(transform, ensure_ascii=False, default=str))}"
    for name in dict.fromkeys(each["field"] for _, each in encodings if isinstance(each.get("field"), str)):
        values = [row[name] for row in rows if isinstance(row, dict) and name in row]
        private = watch.label(name) | watch.values(values)
        if values:
            yield f"  {look.word(name)}: " + ("data withheld" if private else span(values, look, mean=True))


def _encoding(encoding: dict[str, Any], look: Look) -> str:
    """Say what a channel shows: `mean of price (quantitative), binned, "Price"`."""
    name = encoding.get("field", encoding.get("datum", encoding.get("value", "")))
    word = look.word(name if not isinstance(name, dict) else json.dumps(name))
    how = [encoding[key] for key in ("aggregate", "timeUnit") if isinstance(encoding.get(key), str)]
    words = " of ".join(filter(None, [*how, word]))
    words += f" ({encoding['type']})" if "type" in encoding else ""
    words += ", binned" if encoding.get("bin") else ""
    return named(words, encoding.get("title"), look)


# Its picture


def _converted(chart: Any, spec: dict[str, Any]) -> bytes:
    if find_spec("vl_convert") is None:
        raise CommandError("altair needs vl-convert for one", hint="pip install vl-convert-python")
    if _too_long(chart):
        hint = "aggregate the data before the chart does"
        raise CommandError(f"its data has more than {_MOST_ROWS:,} rows", hint=hint)
    if _addressed(spec):
        raise CommandError("its data or pictures lie at an address, and nothing is fetched", hint="load them first")
    version = re.search(r"v\d+\.\d+", str(spec.get("$schema")))
    given = {"chart": spec, "version": version[0] if version else None}
    return apart.run(_SCRIPT, json.dumps(given, default=str).encode(), _SECONDS)


def _addressed(spec: Any) -> bool:
    """Whether anything in a chart is to be fetched."""
    if isinstance(spec, list):
        return any(map(_addressed, spec))
    if not isinstance(spec, dict):
        return False
    return "url" in spec or any(_addressed(value) for key, value in spec.items() if key not in {"datasets", "values"})
