"""A small picture of numbers: one bar a row, made of coloured pieces. HTML for a notebook, block characters elsewhere.

It is made of spans with inline styles and plain colours: from a notebook that it does not trust a front end drops SVG,
stylesheets and theme variables. The colours have contrast on white and on black; what they mean is written out too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

__all__ = ["Bars"]

_COLOURS = ("#c2662d", "#2a8f86", "#5b7fd4", "#a06bb5")
_BLOCKS = "█▒▓░"
_WIDTH = 48
_PIXELS = 360
_PIECE = "display:inline-block;height:10px"
_SWATCH = "display:inline-block;width:10px;height:10px;margin-right:4px"
_LABEL = "display:inline-block;width:40px;text-align:right;padding-right:8px"
_MOST = 60


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of pieces: `kinds` names the pieces, each row is a label and the size of each piece (tokens).

    Of more than 60 rows the last ones are shown.
    """

    title: str
    kinds: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def _shown(self) -> Sequence[tuple[str, tuple[int, ...]]]:
        return self.rows[-_MOST:]

    @property
    def _longest(self) -> int:
        return max((sum(sizes) for _, sizes in self._shown), default=0) or 1

    def __str__(self) -> str:
        width = max((len(label) for label, _ in self._shown), default=0)
        key = "  ".join(f"{block} {kind}" for block, kind in zip(_BLOCKS, self.kinds, strict=False))
        lines = [f"{label:>{width}}  {self._bar(sizes)} {sum(sizes):,}" for label, sizes in self._shown]
        return "\n".join([f"{self.title}: {key}", *lines])

    def _bar(self, sizes: tuple[int, ...]) -> str:
        ends = _cumulated(sizes, _WIDTH / self._longest)
        return "".join(block * (end - begin) for block, (begin, end) in zip(_BLOCKS, ends, strict=False))

    @property
    def html(self) -> str:
        """The picture as HTML."""
        key = "".join(
            f'<span style="margin-right:14px;white-space:nowrap">'
            f'<span style="{_SWATCH};background-color:{colour}"></span>{escape(kind)}</span>'
            for colour, kind in zip(_COLOURS, self.kinds, strict=False)
        )
        rows = "".join(self._row(label, sizes) for label, sizes in self._shown)
        return (
            f'<div role="img" aria-label="{escape(self.title)}" style="margin:6px 0">'
            f'<div style="margin-bottom:4px"><span style="margin-right:14px">{escape(self.title)}</span>{key}</div>'
            f"{rows}</div>"
        )

    def _row(self, label: str, sizes: tuple[int, ...]) -> str:
        told = ", ".join(f"{size:,} {kind}" for size, kind in zip(sizes, self.kinds, strict=True))
        ends = _cumulated(sizes, _PIXELS / self._longest)
        pieces = "".join(
            f'<span style="{_PIECE};width:{end - begin}px;background-color:{colour}"></span>'
            for colour, (begin, end) in zip(_COLOURS, ends, strict=False)
            if end > begin
        )
        name = f'<span style="{_LABEL}">{escape(label)}</span>'
        bar = f'<span aria-hidden="true">{pieces}</span>'
        return f'<div style="white-space:nowrap;line-height:16px" title="{told}">{name}{bar} {sum(sizes):,}</div>'


def _cumulated(sizes: Sequence[int], scale: float) -> list[tuple[int, int]]:
    """Give where each piece begins and ends, rounded so that the whole bar has the right length."""
    ends = [0]
    total = 0
    for size in sizes:
        total += size
        ends.append(round(total * scale))
    return list(pairwise(ends))
