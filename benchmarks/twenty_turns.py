"""A session of 20 turns with the real local model, begun with a description of a dataframe; a peer's beside it.

`%%kimi -c df` opens the session in a real kernel, with about 1,000 tokens; 19 short questions follow, each in a cell of
its own, with replies of at most 12 tokens at temperature 0. The peer is chatlas, through `ChatOpenAICompletions` at the
same server's `/ai/v1`, in a kernel too: the same questions, its first message opened by pandas' own text of the table
(`describe`, `head`), as its users write it. Three sessions of each, turn about, each in a server and a kernel of its
own, so that no session finds a prefix warm that it has not sent itself.

Cached: the tokens that the server reports as cached at turns 2 to 20, as a share of the possible, which is what the
request before had as input and output. That is the most that a server can have kept, so the share errs downwards.

First token: from sending a question to the first text of its reply, in seconds (ours as `reply.timing` has it). The 2nd
and the 20th turn are run five times each in a session, with the same five questions, each run taking the place of the
one before: the server still has all that came before that turn, and only the question is new. Given are medians.

llama.cpp finds a prefix by its tokens and does not look at `x-session-affinity`, so that whoever only ever appends is
served as well as we are; what the header is worth at Workers AI is not measured here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.figure import Figure
from benchmarks.stage import call, kernel, server

SESSIONS = 3
CACHED = 0.95
SLOWER = 1.5
LIMITS = {"max_tokens": 12, "temperature": 0}
OPENING = "What does this table hold?"
REPEATED = (
    "Which column has the widest range?",
    "Which column would you plot first?",
    "Which column has the fewest values?",
    "Which column would you drop first?",
    "Which column has the largest mean?",
)
"""Asked at the 2nd turn and at the 20th; the last one stays."""
BETWEEN = (
    "How many rows are there?",
    "Which columns hold numbers?",
    "Is the temperature plausible?",
    "What unit could the pressure have?",
    "How often does it rain?",
    "Which station is named first?",
    "What does the humidity tell?",
    "Are there missing values?",
    "How strong is the wind?",
    "What period do the days cover?",
    "Is there any snow?",
    "What is the mean temperature?",
    "How would you group the rows?",
    "Name one thing to check.",
    "What plot shows the wind best?",
    "Does rain follow low pressure?",
    "Say it in one word.",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a turn: seconds to the first text, and tokens as the server counted them."""

    first: float
    input: int
    cached: int
    output: int


Ask = Callable[[int, str], Turn]
"""Asks as the turn of this number, which takes the place of an earlier run of it."""


@dataclass(slots=True)
class Session:
    """What was measured: the path that stayed, one turn a place, and every run of the 2nd and of the 20th."""

    path: list[Turn]
    second: list[Turn]
    last: list[Turn]

    @property
    def cached(self) -> int:
        """Tokens reported as cached, from the 2nd turn on."""
        return sum(turn.cached for turn in self.path[1:])

    @property
    def possible(self) -> int:
        """The most that could have been, from the 2nd turn on."""
        return sum(turn.input + turn.output for turn in self.path[:-1])


def measure() -> Iterator[Figure]:
    """Give the cached share and the first token, ours and the peer's."""
    pairs = [(_session(_ours), _session(_peers)) for _ in range(SESSIONS)]
    ours, peers = ([pair[side] for pair in pairs] for side in (0, 1))
    share, theirs = _share(ours), _share(peers)
    yield Figure(
        "20 turns about a dataframe: cached, of the possible",
        f"{share:.1%} of {ours[0].possible:,} tokens",
        f"{theirs:.1%} of {peers[0].possible:,} tokens chatlas",
        share / theirs if theirs else None,
        f"{CACHED:.0%}",
        share >= CACHED,
    )
    yield _slower("First token at the 20th turn", ours, limit=SLOWER)
    yield _slower("First token at the 20th turn, chatlas", peers)
    yield _beside("First token at the 2nd turn", *(_firsts(side, "second") for side in (ours, peers)))
    yield _beside("First token at the 20th turn", *(_firsts(side, "last") for side in (ours, peers)))


def _slower(name: str, sessions: list[Session], limit: float | None = None) -> Figure:
    second, last = _firsts(sessions, "second"), _firsts(sessions, "last")
    return Figure(
        name,
        f"{last * 1e3:.0f} ms",
        f"{second * 1e3:.0f} ms at the 2nd",
        last / second,
        f"ratio {limit}" if limit else "",
        last / second <= limit if limit else None,
    )


def _beside(name: str, ours: float, theirs: float) -> Figure:
    return Figure(f"{name}, beside", f"{ours * 1e3:.0f} ms", f"{theirs * 1e3:.0f} ms chatlas", ours / theirs)


def _share(sessions: list[Session]) -> float:
    """Give the worst session's share."""
    return min(session.cached / session.possible for session in sessions)


def _firsts(sessions: list[Session], which: str) -> float:
    return median(turn.first for session in sessions for turn in getattr(session, which))


def _session(asker: Callable[[Any], Ask]) -> Session:
    """Run the 20 turns in a fresh kernel, at a fresh server."""
    with server("llama") as place, kernel(place) as running:
        cell = running.run(f"from {frame.__module__} import frame\ndf = frame()\n%load_ext kimi_magic")
        if not cell.ok:
            raise RuntimeError(cell.text)
        ask = asker(running)
        opening = ask(1, OPENING)
        second = [ask(2, question) for question in REPEATED]
        between = [ask(number, question) for number, question in enumerate(BETWEEN, 3)]
        last = [ask(len(between) + 3, question) for question in REPEATED]
        return Session([opening, second[-1], *between, last[-1]], second, last)


def _ours(running: Any) -> Ask:
    """Ask by `%%kimi`, one cell a turn."""

    def ask(number: int, question: str) -> Turn:
        options = f"--max-tokens {LIMITS['max_tokens']} --temperature {LIMITS['temperature']}"
        code = f"%%kimi reply {'-c df ' if number == 1 else ''}{options}\n{question}"
        cell = running.run(code, metadata={"cellId": f"turn-{number}"})
        if not cell.ok:
            raise RuntimeError(cell.text)
        usage = "reply.usage.input, reply.usage.cached, reply.usage.output"
        return Turn(*running.value(f"(reply.timing.text, {usage})"))

    return ask


def _peers(running: Any) -> Ask:
    """Ask by chatlas, in the kernel."""
    call(running, open_chat)

    def ask(number: int, question: str) -> Turn:
        if number == 1:
            table = running.value(r"df.describe(include='all').to_string() + '\n\n' + df.head().to_string()")
            question = f"{table}\n\n{question}"
        return Turn(*call(running, asked, number, question))

    return ask


def frame() -> Any:
    """Make the dataframe, 5,000 × 9; the same one every time."""
    import numpy as np
    import pandas as pd

    draw, rows = np.random.default_rng(20261122), 5_000
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "station": draw.choice(["north", "south", "harbour", "airport"], rows),
            "temperature": draw.normal(14, 6, rows).round(1),
            "humidity": draw.integers(20, 100, rows),
            "pressure": draw.normal(1013, 8, rows).round(1),
            "wind": draw.gamma(2, 2, rows).round(1),
            "gusts": draw.gamma(4, 2, rows).round(1),
            "rain": (draw.random(rows) < 0.2) * draw.exponential(1, rows).round(2),
            "snow": draw.random(rows) < 0.05,
        }
    )


_chat: Any = None


def open_chat() -> None:
    """Open the peer's conversation; runs in the kernel, as `asked` does."""
    import chatlas

    global _chat  # noqa: PLW0603  # what a user would keep in a variable of the notebook
    _chat = chatlas.ChatOpenAICompletions(
        base_url=f"{os.environ['KIMI_LOCAL_URL']}/accounts/local/ai/v1",
        model="local",
        api_key=os.environ["KIMI_LOCAL_TOKEN"],
    )


def asked(number: int, question: str) -> tuple[float, int, int, int]:
    """Ask as the turn of this number and give what a Turn holds."""
    _chat.set_turns(_chat.get_turns()[: 2 * (number - 1)])
    firsts: list[float] = []
    start = time.perf_counter()
    for text in _chat.stream(question, kwargs=LIMITS):
        if text and not firsts:
            firsts.append(time.perf_counter() - start)
    fresh, output, cached = _chat.get_last_turn().tokens
    return firsts[0], fresh + cached, cached, output
