"""Charts of plotly: read from their JSON, drawn by kaleido in a process of its own."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.figures.chart import Chart, Drawn, drawn_line, drawn_lines
from kimi_magic.context.figures.data import listed, named, quoted, said
from kimi_magic.context.figures.watch import Watch
from kimi_magic.context.images import apart, longest_side
from kimi_magic.context.kinds import is_a
from kimi_magic.errors import CommandError

__all__ = ["chart"]

_SECONDS = 20.0
_UNSEEN = {"customdata", "hovertext", "ids", "meta", "uid", "selectedpoints", "colorscale", "domain"}
_HOVER = re.compile(r"(?:^|>)([^<>=]+)=(?!%\{(?:customdata|hovertext))")
_AXIS = re.compile(r"[xyz]axis\d*")
_PACKED = {"f8": "d", "f4": "f", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
_SCRIPT = """\
import asyncio, json
from kaleido import Kaleido, PageGenerator
page = PageGenerator(mathjax=False)
rule = "default-src 'none'; script-src file: 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
rule += "img-src data: blob:; font-src data:; worker-src blob:"
page.header = page.header.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{rule}">')
given = json.loads(given)
async def draw():
    async with Kaleido(page_generator=page) as browser:
        return await browser.calc_fig(given["figure"], opts=given["options"])
out.write(asyncio.run(draw()))
out.close()
"""
"""Draws in the browser that kaleido finds; the page loads plotly's own script and can fetch nothing else."""


def chart(figure: Any, look: Look) -> Chart | None:
    """Take a plotly figure; None for anything else."""
    if not is_a(figure, "plotly", "BaseFigure"):
        return None
    count = len(figure.data)
    name = f"plotly figure, {count} trace{'' if count == 1 else 's'}"
    return Chart(
        named(name, figure.layout.title.text, look),
        lambda look, watch: _lines(figure, look, watch),
        lambda look: _exported(figure, look),
    )


def _lines(figure: Any, look: Look, watch: Watch) -> list[str]:
    layout = {key: value for key, value in figure.layout.to_plotly_json().items() if key != "template"}
    traces = [trace.to_plotly_json() for trace in figure.data]
    arrays = [dict(_arrays(trace)) for trace in traces]
    names = [str(trace.get("name") or "") for trace in traces]
    texts = [text for text in _texts(layout) if text]
    private = watch.labels(texts) | watch.values(texts) | watch.values([name for name in names if name])
    closed = [private | _private(trace, data, watch) for trace, data in zip(traces, arrays, strict=True)]

    def line(number: int) -> str:
        drawn = Drawn(_kind(traces[number], look), "" if private else names[number], arrays[number])
        return drawn_line(drawn, look, private=closed[number])

    return _layout_lines(layout, look, tell=not watch.names) + drawn_lines(range(len(traces)), line)


def _private(trace: dict[str, Any], data: dict[str, Any], watch: Watch) -> bool:
    labels = [trace.get("name") or "", *_HOVER.findall(str(trace.get("hovertemplate", "")))]
    return any([watch.labels(labels), *(watch.label(name) or watch.values(values) for name, values in data.items())])


def _kind(trace: dict[str, Any], look: Look) -> str:
    kind = look.word(trace.get("type", "trace"))
    return f"{kind} ({look.word(trace['mode'])})" if "mode" in trace else kind


def _arrays(trace: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give each array of a trace that shows in the picture, by its name (`x`, `marker.color`)."""
    for key, value in trace.items():
        if key in _UNSEEN:
            continue
        if isinstance(value, dict) and "bdata" not in value:
            yield from _arrays(value, f"{path}{key}.")
        elif key == "dimensions":
            yield from ((str(each.get("label")), _values(each["values"])) for each in value if "values" in each)
        elif isinstance(value, dict | list | tuple) or hasattr(value, "ravel"):
            yield path + key, _values(value)


def _values(values: Any) -> Sequence[Any]:
    """Read an array, plotly's packed ones too."""
    if isinstance(values, dict):
        code: Any = _PACKED[values["dtype"]]
        values = memoryview(b64decode(values["bdata"])).cast(code)
    return listed(values)


def _texts(layout: Any) -> Iterator[str]:
    """Give each text that a layout shows: titles of axes, legends and colour bars, annotations, labels of ticks."""
    if isinstance(layout, list | tuple):
        for each in layout:
            yield from _texts(each)
    elif isinstance(layout, dict):
        for key, value in layout.items():
            if key in {"text", "title"} and isinstance(value, str):
                yield value
            elif key == "ticktext":
                yield from map(str, value)
            else:
                yield from _texts(value)


def _layout_lines(layout: dict[str, Any], look: Look, *, tell: bool) -> list[str]:
    """Say which axes, legends and texts there are; only where `tell`, what could be of a private column's values."""
    scenes = {f"{key} ": layout[key] for key in layout if key.startswith("scene")}
    lines = [
        _axis(place + key.replace("axis", ""), axis, look, tell=tell)
        for place, part in {"": layout, **scenes}.items()
        for key, axis in part.items()
        if _AXIS.fullmatch(key)
    ]
    for key, name in (("legend", "legend"), ("coloraxis", "colour bar")):
        part = layout.get(key, {})
        title = part.get("colorbar", part).get("title", {}).get("text")
        lines += [named(name, title, look)] if title else []
    texts = [str(each["text"]) for each in layout.get("annotations", ()) if each.get("text")]
    lines += [quoted("texts", texts, look)] if texts and tell else []
    return [f"  {line}" for line in lines]


def _axis(name: str, axis: dict[str, Any], look: Look, *, tell: bool) -> str:
    words = [named(name, axis.get("title", {}).get("text"), look)]
    if axis.get("type", "linear") != "linear":
        words.append(f"{look.word(axis['type'])} scale")
    if tell and axis.get("range") is not None:
        words.append(" to ".join(said(value, look) for value in axis["range"]))
    return ", ".join(words)


def _exported(figure: Any, look: Look) -> bytes:
    if find_spec("kaleido") is None:
        raise CommandError("plotly needs kaleido for one", hint='pip install "kaleido>=1"')
    wide, high = figure.layout.width or 700, figure.layout.height or 500
    scale = min(2.0 if look.detail == "high" else 1.0, longest_side(look) / max(wide, high))
    options = {"format": "png", "width": wide, "height": high, "scale": scale}
    given = {"figure": json.loads(figure.to_json(validate=False)), "options": options}
    try:
        return apart.run(_SCRIPT, json.dumps(given).encode(), _SECONDS)
    except CommandError as error:
        hint = "" if "KaleidoError" in error.message else "kaleido 1 or newer draws it, with Chrome or Chromium"
        raise CommandError(error.message, hint=hint) from error
