"""An SVG → PNG, drawn by vl-convert in a process of its own, where that is installed.

vl-convert reads any file and fetches any address that an SVG names. So what names one is refused, and what is drawn is
written anew from what was checked.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

from kimi_magic.context.images import apart
from kimi_magic.context.images.pixels import check
from kimi_magic.errors import CommandError

__all__ = ["BEGINNING", "drawn", "words"]

BEGINNING = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*|<!DOCTYPE\s+svg[^>\[]*(?:\[.*?\]\s*)?>\s*)*<(?:\w+:)?svg[\s>/]",
    re.DOTALL,
)
"""What an SVG begins with."""

_SECONDS = 20
_SCRIPT = "import vl_convert\nout.write(vl_convert.svg_to_png(given.decode()))\nout.close()\n"
_INSIDE = re.compile(r"#|data:image/(?:png|jpe?g|gif|webp)[;,]", re.IGNORECASE)
_OUTSIDE = re.compile(r"@import|url\(\s*[\"']?\s*(?!#)[^\s\"')]", re.IGNORECASE)
_LENGTH = re.compile(r"\s*(\d*\.?\d+(?:[eE][+-]?\d+)?)\s*(px|pt|pc|mm|cm|in|em|ex|)\s*")
_UNITS = {"": 1, "px": 1, "pt": 4 / 3, "pc": 16, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96, "em": 16, "ex": 8}


def drawn(data: bytes, side: int) -> tuple[bytes, tuple[int, int]]:
    """Draw an SVG at most `side` pixels wide and high, as PNG; and give the size (width, height) that it itself has."""
    if find_spec("vl_convert") is None:
        raise CommandError(
            "an SVG has to be drawn before it is sent, and nothing here can draw it",
            hint="pip install vl-convert-python, or save it as PNG.",
        )
    harmless, size = _harmless(data, side)
    return apart.run(_SCRIPT, harmless, _SECONDS), size


def words(data: bytes) -> tuple[str, ...]:
    """Give the texts of an SVG, also those that no picture shows because they are HTML (foreignObject)."""
    texts = (each for each in _parsed(data).iter() if _local(str(each.tag)) in {"text", "foreignObject"})
    return tuple(filter(None, (" ".join("".join(text.itertext()).split()) for text in texts)))


def _parsed(data: bytes) -> Any:
    from xml.etree import ElementTree as ET

    if b"<!ENTITY" in data:
        raise CommandError("the SVG defines entities", hint="Save it as PNG.")
    return ET.fromstring(data)  # noqa: S314  # without entities, nothing grows


def _harmless(data: bytes, side: int) -> tuple[bytes, tuple[int, int]]:
    """Check that an SVG names nothing outside of itself; give it with a size of at most `side`, and its own size."""
    from xml.etree import ElementTree as ET

    root = _parsed(data)
    if any(map(_names_outside, root.iter())):
        raise CommandError("the SVG names other files or addresses, and nothing is fetched", hint="Save it as PNG.")
    width, height = _natural(root.get("width"), root.get("height"), root.get("viewBox"))
    size = round(width), round(height)
    check(size)
    _give_fonts(root)
    scale = min(1.0, side / max(width, height))
    root.attrib.setdefault("viewBox", f"0 0 {width:.6g} {height:.6g}")
    root.set("width", str(max(1, round(width * scale))))
    root.set("height", str(max(1, round(height * scale))))
    return ET.tostring(root), size


def _give_fonts(root: Any) -> None:
    """Let each text have a font that is there: of one whose fonts are all unknown, vl-convert draws nothing."""
    root.attrib.setdefault("font-family", "sans-serif")
    for element in root.iter():
        for name in {"font-family", "style"} & element.attrib.keys():
            value = element.attrib[name]
            element.set(name, _or_any(value) if name == "font-family" else _FONT.sub(_with_any, value))
        if _local(str(element.tag)) == "style" and element.text:
            element.text = _FONT.sub(_with_any, element.text)


_FONT = re.compile(r"((?<![\w-])font(?:-family)?\s*:)([^;{}!]+)", re.IGNORECASE)
_AS_ELSEWHERE = {"inherit", "initial", "unset", "revert", ""}


def _with_any(found: re.Match[str]) -> str:
    return found[1] + _or_any(found[2])


def _or_any(families: str) -> str:
    return families if families.strip().lower() in _AS_ELSEWHERE else f"{families.rstrip()}, sans-serif"


def _names_outside(element: Any) -> bool:
    """Whether an element refers to anything but parts of the SVG and pictures written in it; a link may."""
    if any(map(_OUTSIDE.search, (*element.attrib.values(), element.text or ""))):
        return True
    return _local(element.tag) != "a" and any(
        _local(name) in {"href", "src"} and not _INSIDE.match(value) for name, value in element.attrib.items()
    )


def _local(name: str) -> str:
    """Take the namespace off a name."""
    return name.rpartition("}")[2]


def _natural(width: str | None, height: str | None, box: str | None) -> tuple[float, float]:
    """Find the size of an SVG in pixels: its own, that of its viewBox, or what browsers take."""
    numbers = [float(number) for number in re.split(r"[\s,]+", (box or "").strip()) if _LENGTH.fullmatch(number)]
    across, down = numbers[2:4] if len(numbers) == 4 and min(numbers[2:]) > 0 else (300.0, 150.0)  # noqa: PLR2004
    wide, high = _pixels(width), _pixels(height)
    if wide is None:
        wide = across if high is None else high * across / down
    return wide, wide * down / across if high is None else high


def _pixels(length: str | None) -> float | None:
    found = _LENGTH.fullmatch(length or "")
    return float(found[1]) * _UNITS[found[2]] if found else None
