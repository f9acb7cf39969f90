"""A session of 20 turns with the real local model, begun with a description of a dataframe; a peer's beside it.

`%%kimi -c df` opens the session in a real kernel, with about 1,000 tokens; 19 short questions follow, each in a cell of
its own, with replies of at most 12 tokens at temperature 0. The peer is chatlas, through `ChatOpenAICompletions` at a
server of the same kind (`/ai/v1`), in a kernel too: the same questions, its first message opened by pandas' own text of
the table (`describe`, `head`). Every session has a server of its own: no prefix is warm that it did not send itself.

Cached: the tokens that the server reports as cached at turns 2 to 20, as a share of the possible, which is what the
request before had as input and output. No server can have kept more, and llama.cpp keeps one token less: the last one
of a reply is never fed back into it.

First token: from sending a question to the first text of its reply, in a kernel (ours as `reply.timing` has it). Two
more sessions, ours and the peer's, stop after their first turn. Then eleven questions are asked as the 20th turn of the
long sessions and as the 2nd of the short ones, turn about among the four, each taking the place of the one before: the
server still has all that came before that turn, and only the question is new. Given are medians. The peer's sessions
are about 150 tokens longer, by pandas' text; that alone may make its first token a little later than ours.

llama.cpp finds a prefix by its tokens and does not look at `x-session-affinity`, so that whoever only ever appends is
served as well as we are; what the header is worth at Workers AI is not measured here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.figure import Figure
from benchmarks.stage import call, kernel, server
from tests.harness.kernel import Kernel

CACHED = 0.95
SLOWER = 1.5
LIMITS = {"max_tokens": 12, "temperature": 0}
QUESTIONS = (
    "What does this table hold?",
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
    "Which station would you trust?",
    "Say it in one word.",
)
"""Turns 1 to 19."""
REPEATED = (
    "Which column has the widest range?",
    "What would you plot first of all?",
    "How do the gusts follow the wind?",
    "Is any of the columns redundant?",
    "Name the column of most use.",
    "Does the wind depend on the day?",
    "Would a map be of help here?",
    "Are the values rounded, and how?",
    "Can snow fall without any rain?",
    "When does the table begin and end?",
    "Should the rows be sorted by day?",
)
"""Asked as the 2nd turn and as the 20th. No two begin alike, so that nothing of a question is cached."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a turn: seconds to the first text, and tokens as the server counted them."""

    first: float
    input: int
    cached: int
    output: int


Ask = Callable[[int, str], Turn]
"""Asks as the turn of this number, in the place of an earlier run of it."""


def measure() -> Iterator[Figure]:
    """Give the cached share and the first token, ours and the peer's."""
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(_session(way)) for way in (_ours, _chatlas))
        our_start, their_start = (stack.enter_context(_session(way)) for way in (_ours, _chatlas))
        paths = [(ours(number, question), theirs(number, question)) for number, question in enumerate(QUESTIONS, 1)]
        our_start(1, QUESTIONS[0])
        their_start(1, QUESTIONS[0])
        last = len(QUESTIONS) + 1
        runs = [
            (our_start(2, question), ours(last, question), their_start(2, question), theirs(last, question))
            for question in REPEATED
        ]
    our_second, our_last, their_second, their_last = zip(*runs, strict=True)
    our_path, their_path = zip(*paths, strict=True)
    yield _cached((*our_path, our_last[0]), (*their_path, their_last[0]))
    yield _slower("", our_second, our_last, SLOWER)
    yield _slower(", chatlas", their_second, their_last)
    yield _beside("2nd", our_second, their_second)
    yield _beside("20th", our_last, their_last)


def _cached(ours: Sequence[Turn], theirs: Sequence[Turn]) -> Figure:
    (kept, possible), (their_kept, their_possible) = map(_share, (ours, theirs))
    share, their_share = kept / possible, their_kept / their_possible
    return Figure(
        "Cached in 20 turns about a dataframe, of the possible",
        f"{share:.2%} ({kept:,} of {possible:,} tokens)",
        f"{their_share:.2%} ({their_kept:,} of {their_possible:,}) chatlas",
        share / their_share if their_share else None,
        f"{CACHED:.0%}",
        share >= CACHED,
    )


def _share(path: Sequence[Turn]) -> tuple[int, int]:
    """Give the tokens that were cached from the 2nd turn on, and those that could have been."""
    return sum(turn.cached for turn in path[1:]), sum(turn.input + turn.output for turn in path[:-1])


def _slower(whose: str, second: Sequence[Turn], last: Sequence[Turn], limit: float | None = None) -> Figure:
    ratio = _first(last) / _first(second)
    return Figure(
        f"First token at the 20th turn{whose}",
        f"{_first(last):.0f} ms",
        f"{_first(second):.0f} ms at the 2nd",
        ratio,
        f"ratio {limit}" if limit else "",
        ratio <= limit if limit else None,
    )


def _beside(which: str, ours: Sequence[Turn], theirs: Sequence[Turn]) -> Figure:
    name = f"First token at the {which} turn, beside chatlas"
    return Figure(name, f"{_first(ours):.0f} ms", f"{_first(theirs):.0f} ms chatlas", _first(ours) / _first(theirs))


def _first(runs: Sequence[Turn]) -> float:
    """Give the median in milliseconds."""
    return median(run.first for run in runs) * 1e3


@contextmanager
def _session(way: Callable[[Kernel], Ask]) -> Iterator[Ask]:
    """Give a way to ask in a fresh kernel with the dataframe, at a fresh server."""
    with server("llama") as place, kernel(place) as running:
        _run(running, f"from {frame.__module__} import frame\ndf = frame()")
        yield way(running)


def _run(running: Kernel, code: str, name: str = "") -> None:
    cell = running.run(code, metadata={"cellId": name} if name else None)
    if not cell.ok:
        raise RuntimeError(cell.text)


def _ours(running: Kernel) -> Ask:
    """Ask by `%%kimi`, one cell a turn."""
    _run(running, "%load_ext kimi_magic")
    options = f"--max-tokens {LIMITS['max_tokens']} --temperature {LIMITS['temperature']}"

    def ask(number: int, question: str) -> Turn:
        _run(running, f"%%kimi reply {'-c df ' if number == 1 else ''}{options}\n{question}", f"turn-{number}")
        usage = "reply.usage.input, reply.usage.cached, reply.usage.output"
        return Turn(*running.value(f"(reply.timing.text, {usage})"))

    return ask


def _chatlas(running: Kernel) -> Ask:
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
