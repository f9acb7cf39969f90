"""How a job looks at one moment: a bar of all its rows, its figures and the next step; as HTML and as plain text.

As in `bars`, the bar is made of spans with plain colours: an untrusted notebook keeps nothing else. What the colours
mean is written out beside them. A title is the user's, a remark may be the service's: both are escaped. No display
here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Self

from kimi_magic import present
from kimi_magic.jobs.standing import Estimate, Standing, State

__all__ = ["Bar", "asked", "bundle", "counts", "estimated", "facts", "html", "plain", "states", "time_"]

_PLAIN = "mathjax_ignore tex2jax_ignore"
_FAINT = "color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText))"
_BOX = "margin:4px 0;font-variant-numeric:tabular-nums;line-height:1.5"
_CODE = "font-family:var(--jp-code-font-family,monospace)"
_FRAME = (
    "display:inline-block;max-width:100%;overflow:hidden;white-space:nowrap;line-height:0;border-radius:3px;"
    "margin:4px 0"
)
_PIECE = "display:inline-block;height:12px"
_SWATCH = "display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:4px"
_COUNT = "margin-right:14px;white-space:nowrap"
_PIXELS = 480
_LEAST = 3
"""Pixels of a piece that is not empty: one failed row of a million has to be seen."""
_WIDTH = 40
_CENTS = 0.1
"""Dollars from which on cents are enough."""
_LONGEST = 120
_KINDS = (
    ("done", "done", "#2a8f86", "█"),
    ("failed", "failed", "#c2662d", "✗"),
    ("queued", "at the service", "#5b7fd4", "▓"),
    ("running", "running", "#a06bb5", "▒"),
    ("pending", "pending", "#8885", "░"),
)
"""Of each kind of row: its field in Standing, its name, its colour, its block. Pending rows are faint."""
_STATES: Mapping[State, str] = {
    "pilot": "the pilot runs",
    "asking": "waits for your yes",
    "running": "running",
    "waiting": "waits",
    "done": "done",
    "cancelled": "cancelled",
    "stopped": "stopped",
    "elsewhere": "runs in another kernel",
}


def states(standing: Standing) -> str:
    """Say in words how the job stands."""
    if standing.state == "done" and standing.failed:
        return f"done, {standing.failed:,} failed"
    if standing.kind == "cell" and standing.state == "running":
        return "in the queue" if standing.queued else "asked"
    return _STATES[standing.state]


def counts(standing: Standing) -> tuple[str, ...]:
    """Give the rows of each kind, without those that are none: "620 done", "3 failed"."""
    given = ((getattr(standing, name), what) for name, what, _, _ in _KINDS)
    return tuple(f"{count:,} {what}" for count, what in given if count)


def facts(standing: Standing, now: float | None = None) -> tuple[str, ...]:
    """Give what else there is to say, in short: times, rate, cost of the budget, share of cached tokens, lane."""
    now = time.time() if now is None else now
    usage = standing.usage
    took = max(0.0, (standing.ended or now) - standing.began)
    cached = f"{100 * usage.cached / usage.input:.0f} % of the input cached" if usage.cached and usage.input else ""
    known = (
        f"{standing.same:,} equal to others" if standing.same else "",
        _rate(standing.rate) if standing.rate and not standing.over else "",
        f"about {time_(standing.left)} left" if standing.left is not None and not standing.over else "",
        f"the oldest at the service for {time_(standing.oldest)}" if standing.oldest is not None else "",
        _money(standing),
        cached,
        _lane(standing),
        f"took {time_(took)}" if standing.over else f"{time_(took)} so far",
        "" if standing.over else f"as of {time.strftime('%H:%M:%S', time.localtime(now))}",
    )
    return tuple(fact for fact in known if fact)


def next_step(standing: Standing) -> str:
    """Say what can be done now; empty for nothing."""
    id_ = standing.id
    match standing.state:
        case "asking":
            return f"%kimi job {id_} retry goes on; cancel ends it, and keeps the pilot's rows."
        case "cancelled" | "stopped":
            return f"%kimi job {id_} retry goes on; what is done is kept."
        case "done" if standing.failed:
            return f"job.errors says why rows failed; %kimi job {id_} retry asks them again."
        case "elsewhere":
            return "It is shown here as that kernel goes on; %kimi jobs takes it over once that kernel has ended."
    return ""


def estimated(estimate: Estimate) -> str:
    """Say what the rest is expected to take, each with its 95 % interval."""
    low, likely, high = estimate.seconds
    when = f"{time_(likely)} ({time_(low)} to {time_(high)})"
    rows = f"The other {estimate.items:,} rows: " if estimate.items != 1 else "The other row: "
    if estimate.cost is None:
        return f"{rows}about {when}, at no known price. In brackets: 95 % intervals."
    least, cost, most = map(_dollars, estimate.cost)
    return f"{rows}about {cost} ({least} to {most}) and {when}. In brackets: 95 % intervals."


def bundle(standing: Standing, now: float | None = None) -> dict[str, str]:
    """Give the job as an output: HTML for a notebook, text for everything else."""
    return {"text/html": html(standing, now), "text/plain": plain(standing, now)}


def html(standing: Standing, now: float | None = None) -> str:
    """Give the job as one piece of HTML."""
    about = f'<span style="{_FAINT}">{escape(_title(standing))} · job </span>'
    head = f'<div><b>{escape(states(standing))}</b> {about}<span style="{_CODE}">{escape(standing.id)}</span></div>'
    key = "".join(
        f'<span style="{_COUNT}"><span style="{_SWATCH};background-color:{colour}"></span>'
        f"{getattr(standing, name):,} {what}</span>"
        for name, what, colour, _ in _KINDS
        if getattr(standing, name)
    )
    key = f'<div><span style="{_COUNT}">{escape(_share(standing))}</span>{key}</div>'
    more = f'<div style="{_FAINT};font-size:.92em">{escape(" · ".join(facts(standing, now)))}</div>'
    estimate = present.notice(estimated(standing.estimate)) if standing.estimate and standing.state == "asking" else ""
    remark = present.notice(_line(standing.remark))
    step = present.remark(next_step(standing))
    inner = f"{head}<div>{_bar(standing)}</div>{key}{more}{estimate}{remark}{step}"
    return present.page(f'<div class="{_PLAIN}" style="{_BOX}">{inner}</div>')


class Bar(str):
    """The bar as text; `html` is the same for a notebook."""

    __slots__ = ("html",)
    html: str

    def __new__(cls, standing: Standing, width: int = _WIDTH, pixels: int = _PIXELS) -> Self:
        """Draw it so many characters wide, or pixels."""
        bar = super().__new__(cls, _blocks(standing, width))
        bar.html = _bar(standing, pixels)
        return bar


def _bar(standing: Standing, pixels: int = _PIXELS) -> str:
    pieces = "".join(
        f'<span style="{_PIECE};width:{100 * width / pixels:.4g}%;background-color:{colour}"></span>'
        for width, (_, _, colour, _) in zip(_widths(standing, pixels, _LEAST), _KINDS, strict=True)
        if width
    )
    label = escape(", ".join((_share(standing), *counts(standing))))
    return f'<span role="img" aria-label="{label}" style="{_FRAME};width:{pixels}px">{pieces}</span>'


def _widths(standing: Standing, whole: int, least: int) -> list[int]:
    """Share out the bar: what is not empty gets at least so much, and the largest piece gives that away."""
    rows = [getattr(standing, name) for name, _, _, _ in _KINDS]
    if not any(rows):
        return [0, 0, 0, 0, whole]
    widths = [max(least, round(whole * count / sum(rows))) if count else 0 for count in rows]
    widths[widths.index(max(widths))] += whole - sum(widths)
    return widths


def plain(standing: Standing, now: float | None = None) -> str:
    """Give the job as text: the same as the HTML, line by line."""
    asking = standing.estimate is not None and standing.state == "asking"
    lines = (
        f"job {standing.id}, {states(standing)}: {_title(standing)}",
        f"{_blocks(standing, _WIDTH)} {_share(standing)} · {' · '.join(counts(standing))}".removesuffix(" · "),
        " · ".join(facts(standing, now)),
        estimated(standing.estimate) if asking and standing.estimate is not None else "",
        _line(standing.remark),
        next_step(standing),
    )
    return present.printable("\n".join(line for line in lines if line))


def _blocks(standing: Standing, width: int) -> str:
    return "".join(block * n for n, (_, _, _, block) in zip(_widths(standing, width, 1), _KINDS, strict=True))


def asked(standing: Standing, dest: str = "") -> dict[str, str]:
    """Give what stands in the place of a reply that comes later: what is asked, how it stands, what can be done."""
    head = "The reply comes later" if not standing.over else f"No reply: {_STATES[standing.state]}"
    at = time.strftime("%H:%M:%S", time.localtime(standing.began))
    place = {"queue": "sent to the queue", "concurrent": "an ordinary request, running"}.get(standing.lane, "")
    place = "in the service's queue" if standing.queued else place
    known = (
        f"asked at {at}",
        _lane(standing),
        "" if standing.over else place,
    )
    facts_ = [fact for fact in (*known, f"{dest} receives it" if dest and not standing.over else "") if fact]
    id_ = standing.id
    step = f"%kimi job {id_} retry asks again." if standing.over else f"%kimi job {id_} wait, or cancel."
    title, remark = _title(standing), _line(standing.remark)
    shown = (
        f'<div class="{_PLAIN}" style="{_BOX}"><div><b>{escape(head)}</b> <span style="{_FAINT}">“{escape(title)}” · '
        f'job </span><span style="{_CODE}">{escape(id_)}</span></div>'
        f'<div style="{_FAINT};font-size:.92em">{escape(" · ".join([*facts_, step]))}</div>'
        f"{present.notice(remark)}</div>"
    )
    text = "\n".join(line for line in (f"{head}: “{title}”, job {id_}", " · ".join([*facts_, step]), remark) if line)
    return {"text/html": present.page(shown), "text/plain": present.printable(text)}


def _share(standing: Standing) -> str:
    """Say how much of it is answered; 100 % is all of it and nothing less."""
    if standing.kind == "cell":
        return "one question"
    ended = standing.done + standing.failed
    if not standing.total:
        return "no rows"
    of = f"{standing.total:,} row{'' if standing.total == 1 else 's'}"
    return f"{100 * ended // standing.total} % of {of}"


def _title(standing: Standing) -> str:
    title = _line(standing.title)
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1]}…"


def _line(text: str) -> str:
    return present.printable(" ".join(text.split()))


def _lane(standing: Standing) -> str:
    return f"lane: {standing.lane}" if standing.lane not in ("", "auto") else ""


def _rate(rate: float) -> str:
    return f"{rate:,.0f} rows/s" if rate >= 10 else f"{rate:.1f} rows/s" if rate >= 1 else f"{60 * rate:.1f} rows/min"  # noqa: PLR2004  # what can be read


def _money(standing: Standing) -> str:
    if standing.cost is None:
        return "" if standing.budget is None else f"budget ${standing.budget:,.2f}, of what has a price"
    spent = _dollars(standing.cost)
    return spent if standing.budget is None else f"{spent} of ${standing.budget:,.2f}"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= _CENTS else present.dollars(amount)


def time_(seconds: float) -> str:
    """Write a duration, also one of hours."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours:,} h {rest // 60} min" if hours else present.seconds(seconds)
