r"""The little language in which a user message commands the scripted engine.

A directive is `<<WORD REST>>`; REST runs to the first `>>`. Text around directives plays no part
when one of them says what to say (say, say-json, tokens, tool). A `<<word>>` that is not in this list is plain text; a
value that cannot be understood is a 400/5004 that says so. The last question counts: a user message, but not the
pictures that follow the results of tools.

What a reply says and calls:

    <<say TEXT>>                content, verbatim: line ends, U+2028, everything up to `>>`; repeatable, joined
    <<say-json "TEXT">>         the same as a JSON string, for text that holds `>>` (write it as \u003e\u003e)
    <<think TEXT>>              reasoning, verbatim, before the content; repeatable
    <<tokens 20000>>            content of exactly that many tokens (4 characters each): Markdown as a model writes it
    <<tool NAME {"a": 1}>>      a tool call with these arguments (verbatim, JSON or not); repeatable. Content is said
                                only by a round that calls nothing, so after the results of all calls have come back
    <<beside TEXT>>             content said beside the calls; repeatable
    <<finish length>>           the finish reason, instead of the true one

Rounds: after as many assistant messages with calls as there are `<<then>>`, the last part speaks, its own calls once.

    <<then>>                    ends what one round says and calls, and begins the next round's
    <<forever>>                 the last part calls its tools again and again. With `tool_choice: none` nothing is ever
                                called
    <<again TEXT>>              content of the reply to the next question, where that holds no directive (as one that
                                asks for a better reply)

How it comes; said once, it holds for the rounds that follow, too:

    <<calls KIND>>              kimi (default: ids functions.NAME:0, the same again in every reply; an empty finaliser)
                                null-finaliser (more of them at the end, one for a call that never was) | no-index |
                                same-index (0 for all, ids differ) | no-ids | object-arguments | one-piece |
                                every-character (a fragment each) | interleaved (of calls made in parallel) |
                                name-repeated (in each fragment) | stop (as finish reason) | leaked (Kimi's control
                                tokens in the content; finish reason stop) | leaked-thinking (the same in the thinking)
    <<rate 1000>>               tokens per second (default: as fast as the socket takes them)
    <<first 2.5>>               seconds before the first byte of the answer, headers included
    <<pause 30 after 5>>        seconds of silence after so many tokens
    <<keepalive>>               an SSE comment before each frame
    <<json>>                    one JSON completion though a stream was asked for
    <<frames KIND>>             kimi (default) | legacy | both | reasoning | reasoning_content
    <<usage KIND>>              chunks (default) | in-choice | none

What goes wrong in this round:

    <<fault NAME [times=N] [after=K] [retry_after=S] [shape=X]>>
                                see `faults`; strikes the first N requests with this same last message and affinity
                                (default: all). Of several, the first that has strikes left
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DIRECTIVE = re.compile(r"<<([a-z-]+)(?:\s(.*?))?>>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model shall make."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One `<<fault …>>`."""

    name: str
    times: int | None = None
    """How many requests it strikes; None: all."""
    after: int | None = None
    """Tokens sent before it strikes, for faults inside a stream."""
    retry_after: str | None = None
    shape: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """One `<<pause …>>`."""

    seconds: float
    after: int
    """Tokens sent before it."""


@dataclass(frozen=True, slots=True)
class Script:
    """What one question commands for one round."""

    said: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    thought: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    faults: tuple[Fault, ...] = ()
    tokens: int | None = None
    finish: str | None = None
    rate: float | None = None
    """Tokens per second; None: as fast as the socket takes them."""
    first: float = 0.0
    """Seconds before the first byte."""
    pause: Pause | None = None
    keepalive: bool = False
    json: bool = False
    frames: str = "kimi"
    usage: str = "chunks"
    shape: str = "kimi"
    """That of the calls."""
    forever: bool = False
    again: str | None = None
    """What is said to the next question, where that commands nothing."""


def parse(text: str) -> tuple[Script, ...]:
    """Read the directives in `text`, round by round. Raises ValueError with a sentence about the one that is wrong."""
    rounds: list[Script] = []
    given: dict[str, Any] = {}
    for match in DIRECTIVE.finditer(text):
        word, rest = match.group(1), match.group(2) or ""
        if word == "then":
            rounds.append(Script(**given))
            given = {name: value for name, value in given.items() if name not in OF_ONE_ROUND}
        if word not in WORDS:
            continue
        name, read = WORDS[word]
        try:
            value = read(rest)
        except (ValueError, IndexError) as exc:
            raise ValueError(f"directive {match.group(0)!r} cannot be understood: {exc}") from exc
        given[name] = (*given.get(name, ()), value) if name in REPEATABLE else value
    return (*rounds, Script(**given))


def read_json_text(rest: str) -> str:
    """Read a JSON string."""
    text = json.loads(rest)
    if not isinstance(text, str):
        raise ValueError("a JSON string is wanted")  # noqa: TRY004  # one kind of error for one kind of mistake
    return text


def read_call(rest: str) -> Call:
    """Read a name, and arguments as they are."""
    name, _, arguments = rest.strip().partition(" ")
    if not name:
        raise ValueError("a tool needs a name")
    return Call(name, arguments.strip() or "{}")


def read_pause(rest: str) -> Pause:
    """Read `SECONDS after TOKENS`."""
    seconds, *more = rest.split()
    return Pause(float(seconds), int(more[more.index("after") + 1]) if more else 0)


def read_fault(rest: str) -> Fault:
    """Read a name and its settings."""
    name, *pairs = rest.split()
    given: dict[str, Any] = dict(pair.split("=", 1) for pair in pairs)
    for key in ("times", "after"):
        if key in given:
            given[key] = int(given[key])
    if unknown := set(given) - {"times", "after", "retry_after", "shape"}:
        raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
    return Fault(name, **given)


def one_of(*allowed: str) -> Callable[[str], str]:
    """Make a reader of one word out of those allowed."""

    def read(rest: str) -> str:
        if (word := rest.strip()) not in allowed:
            raise ValueError(f"{word!r} is not one of {', '.join(allowed)}")
        return word

    return read


def flag(_rest: str) -> bool:
    """Read nothing: that the word is there says it."""
    return True


REPEATABLE = frozenset({"said", "beside", "thought", "calls", "faults"})
OF_ONE_ROUND = REPEATABLE | {"tokens", "finish"}
SHAPES = (
    "kimi",
    "null-finaliser",
    "no-index",
    "same-index",
    "no-ids",
    "object-arguments",
    "one-piece",
    "every-character",
    "interleaved",
    "name-repeated",
    "stop",
    "leaked",
    "leaked-thinking",
)
"""Of calls: `calls` makes them."""
WORDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "say": ("said", str),
    "say-json": ("said", read_json_text),
    "think": ("thought", str),
    "tokens": ("tokens", int),
    "tool": ("calls", read_call),
    "beside": ("beside", str),
    "forever": ("forever", flag),
    "again": ("again", str),
    "calls": ("shape", one_of(*SHAPES)),
    "finish": ("finish", str.strip),
    "rate": ("rate", float),
    "first": ("first", float),
    "pause": ("pause", read_pause),
    "keepalive": ("keepalive", flag),
    "json": ("json", flag),
    "frames": ("frames", one_of("kimi", "legacy", "both", "reasoning", "reasoning_content")),
    "usage": ("usage", one_of("chunks", "in-choice", "none")),
    "fault": ("faults", read_fault),
}
