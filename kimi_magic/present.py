"""How a reply looks: thinking, body, notice and footer as safe HTML, and the same as plain text. No display here.

Whatever the model wrote passes through `markdown` (which sanitises) or is escaped. The stylesheet uses the front end's
theme variables, with fallbacks for places that have none.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Sequence
from html import escape

from kimi_magic.messages import Image, Part

__all__ = [
    "body",
    "dollars",
    "footer",
    "notice",
    "page",
    "part",
    "plain",
    "printable",
    "remark",
    "seconds",
    "status",
    "style",
    "thinking",
    "titled",
    "verbatim",
]

# MathJax 3 and 4, then 2: what was only escaped is no formula, whatever dollars and backslashes it holds.
_PLAIN = "mathjax_ignore tex2jax_ignore"
# Inline and short: a live output is sent many times, and a front end drops the stylesheets of a notebook it does not
# trust. The names are those of JupyterLab's and VS Code's themes; the last value serves a page that has neither.
_FAINT = "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText))"
_SUMMARY = f"cursor:pointer;{_FAINT}"
_THOUGHT = (
    "white-space:pre-wrap;overflow-wrap:anywhere;margin:.4em 0 0;padding:0 0 0 .9em;"
    f"border-left:2px solid var(--jp-border-color2,GrayText);{_FAINT}"
)
_STATUS = f"font-size:.92em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;{_FAINT}"
_FOOTER = f"font-size:.85em;margin-top:.7em;font-variant-numeric:tabular-nums;{_FAINT}"
_BADGE = "border:1px solid;border-radius:.8em;padding:0 .6em;margin-right:.6em;white-space:nowrap"
_NOTICE = "margin:.7em 0 0;padding:.2em .8em;border-left:3px solid var(--jp-warn-color1,#b26a00)"
_VERBATIM = (
    "white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0;padding:.5em .8em;max-height:32em;overflow:auto;"
    "border-left:2px solid var(--jp-border-color2,GrayText)"
)
_PICTURE = "display:block;max-width:100%;max-height:24em"
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere"


def style() -> str:
    """Give the stylesheet of the Markdown, for a final output; its rules hold inside `.kimi` only."""
    from kimi_magic import markdown

    return f"<style>{markdown.STYLE}</style>"


def page(*pieces: str) -> str:
    """Put pieces of HTML into the one box that the stylesheet knows."""
    return f'<div class="kimi">{"".join(pieces)}</div>'


def thinking(text: str, took: float) -> str:
    """Give the thinking, which took so many seconds, folded; empty for none."""
    if not text.strip():
        return ""
    summary = f"Thought for {seconds(took)}"
    inner = f'<div class="{_PLAIN}" style="{_THOUGHT}">{escape(text.strip())}</div>'
    return f'<details style="margin-bottom:.6em"><summary style="{_SUMMARY}">{summary}</summary>{inner}</details>'


def body(text: str, form: str) -> str:
    """Give a whole reply in one of the formats of `settings.FORMATS`."""
    from kimi_magic import markdown

    if form == "json" and not _pretty(text):
        return f'<pre class="{_PLAIN}" style="{_TEXT}">{escape(text)}</pre>'
    if form == "text":
        return f'<div class="{_PLAIN}" style="{_TEXT}">{escape(text)}</div>'
    if form == "json":
        return markdown.to_html(f"```json\n{_pretty(text)}\n```")
    if form == "html":
        return f'<div class="{_PLAIN}">{markdown.clean(unfenced(text))}</div>'
    return markdown.to_html(text)


def status(text: str) -> str:
    """Give the line that stands below a reply while it is on its way."""
    return f'<div class="{_PLAIN}" style="{_STATUS}">{escape(text)}</div>'


def notice(text: str) -> str:
    """Give a remark that the reader must not miss; empty for none."""
    return f'<div class="{_PLAIN}" style="{_NOTICE}">{escape(text)}</div>' if text else ""


def remark(text: str) -> str:
    """Give a line that stands above the footer."""
    return f'<div class="{_PLAIN}" style="{_FOOTER}">{escape(text)}</div>'


def footer(facts: Sequence[str], badges: Sequence[str], saw: str = "") -> str:
    """Give the last line: badges, then facts; `saw` is HTML that folds out of it."""
    pills = "".join(f'<span style="{_BADGE}">{escape(badge)}</span> ' for badge in badges)
    line = f"{pills}{escape(' · '.join(facts))}"
    if not saw:
        return f'<div class="{_PLAIN}" style="{_FOOTER}">{line}</div>'
    summary = f'<summary style="cursor:pointer">{line}</summary>'
    return f'<details class="{_PLAIN}" style="{_FOOTER}">{summary}{saw}</details>'


def verbatim(text: str, title: str = "") -> str:
    """Give a text exactly as it is, under a title."""
    shown = f'<pre class="{_PLAIN}" style="{_VERBATIM}">{escape(printable(text))}</pre>'
    return titled(title, shown) if title else shown


def part(shown: Part) -> str:
    """Give a part of a message exactly as it is: a text, or a picture."""
    if not isinstance(shown, Image):
        return verbatim(shown.text)
    source = f"data:{escape(shown.media_type)};base64,{base64.b64encode(shown.data).decode()}"
    return f'<img alt="{escape(repr(shown))}" style="{_PICTURE}" src="{source}">'


def plain(parts: Iterable[Part]) -> str:
    """Give parts as text for a terminal; a picture is named."""
    return printable("\n".join(one.text if not isinstance(one, Image) else f"[{one!r}]" for one in parts))


def titled(title: str, html: str) -> str:
    """Put a title above a piece of HTML."""
    return f'<div class="{_PLAIN}" style="{_FAINT};margin:.6em 0 .2em">{escape(title)}</div>{html}'


def dollars(amount: float) -> str:
    """Write US dollars: four digits after the point, and more where less than two of them would say anything."""
    digits = 4 if amount <= 0 else min(max(4, 1 - math.floor(math.log10(amount))), 9)
    return f"${amount:.{digits}f}"


def seconds(time: float) -> str:
    """Write a duration as a person would: <0.1 s, 0.4 s, 12 s, 2 min 5 s."""
    if time < 0.05:  # noqa: PLR2004  # where 0.0 s would be
        return "<0.1 s"
    if time < 9.95:  # noqa: PLR2004  # below ten a tenth matters
        return f"{time:.1f} s"
    minutes, rest = divmod(round(time), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# What a terminal would obey, made visible: control pictures for the old ones, one mark for the rest.
_OBEYED = (
    {n: 0x2400 + n for n in range(32) if chr(n) not in "\n\t"} | {127: 0x2421} | dict.fromkeys(range(128, 160), 0xFFFD)
)


def printable(text: str) -> str:
    """Give text that a terminal shows and does not obey: of all control characters only line ends and tabs stay."""
    return text.translate(_OBEYED)


def unfenced(text: str) -> str:
    """Take away a code fence around the whole text, which models add unasked."""
    lines = text.strip().splitlines()
    fenced = len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```"
    return "\n".join(lines[1:-1]) if fenced else text.strip()


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(unfenced(text)), indent=2, ensure_ascii=False)
    except ValueError:
        return ""
