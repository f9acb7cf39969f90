"""The options of a question that becomes a job, and `%kimi jobs …`, `%kimi job ID …` → a command."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kimi_magic import settings
from kimi_magic.command.values import JobDo, Jobs, Later, Notify
from kimi_magic.errors import CommandError
from kimi_magic.options import JOB_ACTIONS, LANES

__all__ = ["later", "line_job", "line_jobs"]

_OF_MAPS = ("budget", "pilot", "rate", "concurrency", "yes")
_NOT_FOR_MAPS = (
    "tools", "approve", "rounds", "cells", "columns", "rows", "detail", "full", "raw", "session", "new", "dry_run",
    "later", "top_p", "format", "timeout",
)  # fmt: skip
"""What each row would have to have of its own, or what makes no sense for thousands of them."""
_MOST_ROWS = 10_000


def later(found: Mapping[str, Any], names: Sequence[str]) -> Later | None:
    """Read the options that make a job of a question; None where there are none. Raises CommandError."""
    data, lane = found["map"], found["lane"]
    if not data and not found["later"]:
        given = next((name for name in ("lane", *_OF_MAPS) if found[name]), "")
        if given:
            raise CommandError(
                f"--{given} is for a job.", hint="--map TABLE asks for every row; --later asks without waiting."
            )
        return None
    wrong = _OF_MAPS if not data else _NOT_FOR_MAPS
    for name in wrong:
        if found[name]:
            flag = f"--{name.replace('_', '-')}"
            raise CommandError(
                f"{flag} does not go with --map." if data else f"{flag} is for a map.",
                hint="`%%kimi?` lists the options." if data else "--map TABLE asks for every row of a table.",
            )
    if data and names:
        raise CommandError(
            "-c does not go with --map: each row brings its own values.", hint="Name columns: {{ column }}"
        )
    if lane is not None and lane not in LANES:
        raise CommandError(f"--lane takes {', '.join(LANES)}, not {lane!r}.", hint="`%%kimi?` lists the options.")
    return Later(
        data or "",
        lane or "auto",
        _budget(found["budget"]),
        int(_number(found["pilot"], "pilot", 1, _MOST_ROWS) or 0),
        _number(found["rate"], "rate", 1, 100_000, whole=False),
        int(_number(found["concurrency"], "concurrency", 1, 1_000) or 0) or None,
        found["yes"],
    )


def _budget(text: str | None) -> str:
    if not text:
        return ""
    budget = settings.parse("budget", text, "option")
    if budget is None or budget.per == "day":
        raise CommandError(f"--budget takes an amount such as $2, not {text!r}.", hint="It holds for this job.")
    return str(budget)


def _number(text: str | None, name: str, least: int, most: int, *, whole: bool = True) -> float | None:
    if text is None:
        return None
    plain = text.replace(",", "").replace("_", "")
    if not re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", plain, re.ASCII) or not least <= float(plain) <= most:
        what = "a whole number" if whole else "a number"
        raise CommandError(
            f"--{name} takes {what} from {least} to {most:,}, not {text!r}.", hint="`%%kimi?` lists the options."
        )
    return float(plain)


def line_jobs(rest: str) -> Jobs | Notify:
    """Read what stands after `%kimi jobs`."""
    word, _, value = rest.partition(" ")
    if word == "notify":
        return _notify(value.strip())
    if rest not in ("", "--all"):
        raise CommandError(
            f"`%kimi jobs` takes --all, notify QUEUE_ID or nothing, not {rest!r}.",
            hint="--all: of every notebook; one job: %kimi job ID",
        )
    return Jobs(everything=rest == "--all")


def _notify(queue: str) -> Notify:
    if queue == "off":
        return Notify("")
    if not queue:
        raise CommandError("`%kimi jobs notify` needs the id of a Cloudflare Queue, or off.", hint=_WHERE)
    return Notify(str(settings.parse("notify_queue", queue, "option")))


_WHERE = "The dashboard shows it under Queues: 32 characters of 0-9 and a-f."


def line_job(rest: str) -> JobDo:
    """Read what stands after `%kimi job`."""
    id_, _, action = rest.partition(" ")
    action = action.strip() or "show"
    if id_ in JOB_ACTIONS and action in ("show", *JOB_ACTIONS):
        raise CommandError(
            f"{id_!r} is no job; its id comes first.", hint=f"%kimi job ID {id_}; %kimi jobs lists them."
        )
    if action not in JOB_ACTIONS:
        near = difflib.get_close_matches(action, JOB_ACTIONS, n=1, cutoff=0.5)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise CommandError(
            f"`%kimi job ID` takes {', '.join(JOB_ACTIONS)}, not {action!r}.", hint=f"{meant}%kimi job {id_} wait"
        )
    return JobDo(id_, action)  # type: ignore[arg-type]  # one of JOB_ACTIONS
