"""Measure the figures named on the command line, or all, and print them as one Markdown table."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.figure import HEAD

NAMES = (
    "load",
    "first_paint",
    "drain",
    "bytes",
    "interrupt",
    "lab_lag",
    "panel_stream",
    "panel_open",
    "describe",
    "photo",
    "replay",
    "tool_round",
    "twenty_turns",
    "many_turns",
    "kills",
    "jobs_rows",
    "jobs_overhead",
    "jobs_kills",
)


def main(wanted: list[str]) -> None:
    """Print one row a figure, as soon as it is known."""
    if unknown := set(wanted) - set(NAMES):
        raise SystemExit(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    print(HEAD, flush=True)
    for name in wanted or NAMES:
        for figure in import_module(f"benchmarks.{name}").measure():
            print(figure.row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
