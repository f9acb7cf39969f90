"""How a call shows itself: name, arguments, result, time and state, folded; as safe HTML and as plain text.

Everything in it was written by the model or by a tool, so all of it is escaped. No display here.
"""

from __future__ import annotations

from html import escape

from kimi_magic import present
from kimi_magic.calls import Outcome
from kimi_magic.messages import Image, ToolCall

__all__ = ["brief", "html", "plain"]

_PLAIN = "mathjax_ignore tex2jax_ignore"
_FAINT = "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText))"
_GOOD = "color:var(--jp-success-color1,var(--vscode-testing-iconPassed,#2e7d32))"
_BAD = "color:var(--jp-error-color1,var(--vscode-errorForeground,#c62828))"
_BOX = (
    "margin:.4em 0;padding:.25em .7em;border:1px solid var(--jp-border-color2,GrayText);border-radius:.4em;"
    "font-size:.92em"
)
_LINE = "cursor:pointer;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
_CODE = "font-family:var(--jp-code-font-family,monospace)"
_LONGEST = 20_000
"""Characters of a result that a card shows; it holds what the model was told, which is rarely longer."""


def html(call: ToolCall, outcome: Outcome | None = None) -> str:
    """Give the card of a call, one that is still running where there is no outcome, as one piece of HTML."""
    mark, colour = _mark(outcome)
    name = escape(present.printable(call.name)) or "?"
    facts = escape(_facts(outcome))
    line = (
        f'<span style="{colour}">{mark}</span> <b style="{_CODE}">{name}</b> '
        f'<span style="{_CODE};{_FAINT}">{escape(brief(call.arguments))}</span> <span style="{_FAINT}">· {facts}</span>'
    )
    body = present.verbatim(_cut(call.arguments), "arguments")
    if outcome is not None:
        body += present.verbatim(_cut(outcome.text), "result")
        body += "".join(map(present.part, (part for part in outcome.parts if isinstance(part, Image))))
    return f'<details class="{_PLAIN}" style="{_BOX}"><summary style="{_LINE}">{line}</summary>{body}</details>'


def plain(call: ToolCall, outcome: Outcome | None = None) -> str:
    """Give the card for a terminal: one line, and a second one for what came of it."""
    mark, _ = _mark(outcome)
    first = f"{mark} {present.printable(call.name)} {brief(call.arguments, 60)} · {_facts(outcome)}"
    return first if outcome is None else f"{first}\n  {brief(outcome.text)}"


def _mark(outcome: Outcome | None) -> tuple[str, str]:
    if outcome is None:
        return "…", _FAINT
    return ("✓", _GOOD) if outcome.state == "done" else ("✗", _BAD)


def _facts(outcome: Outcome | None) -> str:
    if outcome is None:
        return "running"
    took = present.seconds(outcome.seconds) if outcome.seconds else ""
    kept = f"kept as {outcome.handle}" if outcome.handle else ""
    return " · ".join(fact for fact in (outcome.state, took, kept) if fact)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n[… {len(text) - _LONGEST:,} characters …]"


def brief(text: str, longest: int = 100) -> str:
    """Write a text in one line, with every character seen, cut in the middle."""
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in " ".join(text.split()))
    if len(line) <= longest:
        return line
    return f"{line[: longest // 2]} … {line[len(line) - longest // 2 + 3 :]}"
