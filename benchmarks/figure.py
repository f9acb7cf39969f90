"""One figure: what was measured, beside a baseline that was measured in the same run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HEAD", "Figure"]

HEAD = "| figure | measured | baseline | ratio | limit | ok |\n|:--|--:|:--|--:|--:|:--|"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `baseline` is a number with its name; None as ratio, limit or ok is left blank."""

    name: str
    measured: str
    baseline: str = ""
    ratio: float | None = None
    limit: str = ""
    ok: bool | None = None

    @property
    def row(self) -> str:
        """Give it as a row of Markdown."""
        verdict = {True: "yes", False: "**no**", None: ""}[self.ok]
        cells = (self.name, self.measured, self.baseline, _ratio(self.ratio), self.limit, verdict)
        return f"| {' | '.join(cells)} |"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"1/{1 / ratio:.0f}"
