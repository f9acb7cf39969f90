"""What `%kimi` tells about itself: tables that show as HTML in a notebook and as text in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from typing import Any

from kimi_magic.bars import Bars
from kimi_magic.present import printable

__all__ = ["Report", "Whole"]

_PLAIN = "mathjax_ignore tex2jax_ignore"  # prices are no formulas
_STYLE = (
    "<style>.kimi-report table{border-collapse:collapse;margin:.2em 0}"
    ".kimi-report caption{caption-side:top;text-align:left;white-space:nowrap;font-weight:600;padding:.2em 0;"
    "color:inherit}"
    ".kimi-report td,.kimi-report th{text-align:left!important;vertical-align:top;padding:.2em 1.2em .2em 0!important;"
    "border:0;white-space:pre-wrap;font-variant-numeric:tabular-nums}"
    ".kimi-report td:first-child{white-space:nowrap}"
    ".kimi-report .note{color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText))}</style>"
)


class Whole(str):
    """A cell that is not broken over lines in a notebook, such as a number with its unit."""

    __slots__ = ()

    @property
    def html(self) -> str:
        """It as HTML."""
        return f'<span style="white-space:nowrap">{escape(self)}</span>'


@dataclass(frozen=True, slots=True)
class Report:
    """A titled table: `rows` of equally many cells, `columns` their heads (none for pairs), picture and note below.

    A cell is text; one that also has an attribute `html` is that in a notebook.
    """

    title: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    note: str = ""
    picture: Bars | None = None

    def __str__(self) -> str:
        lines = [line for row in (self.columns, *self.rows) if row for line in _lines(row)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        picture = str(self.picture) if self.picture else ""
        return printable("\n".join(part for part in (self.title, *table, picture, self.note) if part))

    def __repr__(self) -> str:
        return str(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002  # IPython's signature
        return {"text/html": self.html, "text/plain": str(self)}

    @property
    def html(self) -> str:
        """The table as HTML, with its stylesheet."""
        head = f"<thead>{_row(self.columns, 'th')}</thead>" if self.columns else ""
        body = "".join(_row(row, "td") for row in self.rows)
        lines = escape(self.note).replace("\n", "<br>")
        note = f'<div class="note">{lines}</div>' if self.note else ""
        table = f"<table><caption>{escape(self.title)}</caption>{head}<tbody>{body}</tbody></table>"
        picture = self.picture.html if self.picture else ""
        return f'{_STYLE}<div class="kimi-report {_PLAIN}">{table}{picture}{note}</div>'


def _lines(row: Sequence[str]) -> list[tuple[str, ...]]:
    """Spread a row with line breaks in its cells over as many lines."""
    return list(zip_longest(*(cell.split("\n") for cell in row), fillvalue=""))


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{getattr(cell, 'html', '') or escape(cell)}</{tag}>" for cell in cells) + "</tr>"
