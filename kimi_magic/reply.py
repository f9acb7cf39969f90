"""A reply: the sum of its events, and how it shows itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from kimi_magic import card, models, present
from kimi_magic.calls import Outcome, Round
from kimi_magic.events import (
    Event,
    Finish,
    Finished,
    Metered,
    Retrying,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from kimi_magic.messages import ToolCall, Usage
from kimi_magic.sent import Sent
from kimi_magic.values import plain_of, table_of

__all__ = ["Draft", "Reply", "Timing"]

_NEAR = 0.75
"""Share of the model's window from which on the footer speaks of it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from sending: to the first event (None if none came), to the first text, to the end."""

    first: float | None = None
    text: float | None = None
    total: float = 0.0

    @property
    def thinking(self) -> float:
        """Seconds from the first event to the first text, or to the end where no text came."""
        return (self.total if self.text is None else self.text) - (self.first or 0.0)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one question.

    `text` is the reply as Markdown source and `thinking` what the model wrote before it. `finish` says why it ended;
    `cut` is a reply that the user, the network or the service ended. `model` is the full id that was asked,
    `answered_by` the name that the service gave. `charged` says that Cloudflare bills it. `sent` is what the model was
    given for it, part by part; `remark` what became of earlier turns. `budget` names the budget that allowed no more
    than `max_tokens`, empty where none did. `recorded` is empty, or says when or in which file this reply was recorded:
    then it was replayed and nothing was sent, `usage` is that of the recording, and counts nowhere. `exchanges` are the
    journal's keys of what was exchanged for it. `rounds` are those before the last, with the calls of tools and what
    came of them; text and thinking are the last one's, `usage` is that of all, without those that were replayed where
    others were sent. `tool_calls` are the calls that were not run. `value` is what the text stands for, where a type
    was asked for, and `frame` the same as a dataframe, where that is rows or a table was asked for. `str(reply)` is the
    text.
    """

    text: str = ""
    thinking: str = ""
    finish: Finish = "cut"
    usage: Usage = Usage()
    model: str = ""
    answered_by: str = ""
    timing: Timing = Timing()
    request_id: str = ""
    max_tokens: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    format: str = "markdown"
    badges: tuple[str, ...] = ()
    charged: bool = True
    sent: Sent | None = None
    remark: str = ""
    budget: str = ""
    recorded: str = ""
    exchanges: tuple[str, ...] = ()
    rounds: tuple[Round, ...] = ()
    value: Any = field(default=None, compare=False)
    frame: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        words = self.text if len(self.text) <= 60 else f"{self.text[:59]}…"  # noqa: PLR2004  # one line
        tokens = self.usage.output
        return f"Reply({words!r}, {self.finish}, {tokens} token{'' if tokens == 1 else 's'})"

    def _repr_llm_(self) -> str:
        """What goes along with a later question: the text."""
        return self.text

    @property
    def cut(self) -> bool:
        """Whether it ended before the model had ended it."""
        return self.finish == "cut"

    @property
    def calls(self) -> tuple[Outcome, ...]:
        """Every call of a tool with what came of it, in order."""
        return tuple(outcome for each in self.rounds for outcome in each.outcomes)

    @property
    def empty(self) -> bool:
        """Whether nothing at all has come."""
        return not (self.text or self.thinking or self.rounds)

    @property
    def cost(self) -> float | None:
        """US dollars: exact where the service reported neurons, else by the price list; None for no known price."""
        known = self.charged and self.usage != Usage()  # a reply may be cut before the service has counted
        return models.cost(self.model, self.usage) if known else None

    @property
    def code(self) -> str:
        """The code blocks of the reply, joined: the Python ones, or all of the first language; empty for none."""
        from kimi_magic import markdown

        blocks = markdown.code_blocks(self.text)
        wanted = {"python", "py", "python3", "ipython", ""}
        if blocks and not any(language in wanted for language, _ in blocks):
            wanted = {blocks[0][0]}
        return "\n\n".join(source.rstrip("\n") for language, source in blocks if language in wanted)

    def json(self) -> Any:
        """Parse the text as JSON, with or without a fence around it; raises ValueError where it is not JSON."""
        return json.loads(present.unfenced(self.text))

    @property
    def without_thinking(self) -> Reply:
        """The same reply, its thinking left out."""
        return replace(self, thinking="")

    @property
    def notice(self) -> str:
        """What the reader must know of this reply beyond its text; empty for nothing."""
        if self.cut:
            return "Cut: this reply is not complete."
        if self.finish == "length" and not self.text.strip():
            return (
                f"No reply: thinking used the whole budget of {self.max_tokens:,} tokens. "
                "Raise --max-tokens, or ask with --effort low or off."
            )
        if self.finish == "length" and self.budget:
            allowed = f"{self.max_tokens:,} tokens, all that the budget of {self.budget} allowed"
            return f"The reply ends here because it reached {allowed}. `%kimi budget` raises it."
        if self.finish == "length":
            limit = f"The reply ends here because it reached {self.max_tokens:,} tokens"
            return f"{limit}{'. Raise --max-tokens for more.' if self._has_room else ', all that the model can write.'}"
        if self.finish == "content_filter":
            return "The service's content filter ended this reply."
        if self.tool_calls:
            return f"The model wanted to go on calling tools ({self.tool_calls[0].name}); --rounds allows more."
        if not self.text.strip():
            return "The model ended without writing a reply."
        if self.format == "json":
            return self._json_notice
        return "" if self.format != "code" or self.code else "There is no code block in this reply."

    @property
    def _has_room(self) -> bool:
        known = models.known(self.model)
        return self.max_tokens < min(known.output, known.window - self.usage.input)

    @property
    def _json_notice(self) -> str:
        try:
            self.json()
        except ValueError as exc:
            return f"This is not valid JSON: {exc}"
        return ""

    @property
    def facts(self) -> tuple[str, ...]:
        """The footer's facts: model, time, tokens, cost where a price is known, and what was seen."""
        usage = self.usage
        tokens: tuple[str, ...] = ()
        if usage.input or usage.output:
            share = f" ({usage.cached:,} cached)" if usage.cached else ""
            thought = f" ({usage.thinking:,} thinking)" if usage.thinking else ""
            tokens = (f"{usage.input:,} in{share}", f"{usage.output:,} out{thought}")
        cost = () if self.cost is None or not tokens else (present.dollars(self.cost),)
        name = (self.answered_by or self.model).rpartition("/")[2]
        saw = (self.sent.summary,) if self.sent and self.sent.summary else ()
        return (name, present.seconds(self.timing.total), *tokens, *cost, *saw, *self._remarks)

    @property
    def _remarks(self) -> tuple[str, ...]:
        """What the reader has to know before the next question."""
        again = ("--rerun always asks again",) if self.recorded else ()
        budget = (f"at most {self.max_tokens:,} tokens by the budget of {self.budget}",) if self.budget else ()
        share = (self.usage.input + self.usage.output) / models.known(self.model).window
        near = (f"{100 * share:.0f} % of the window; %kimi compact, or --new",) if share > _NEAR else ()
        return (*again, *budget, *near)

    @property
    def html(self) -> str:
        """The whole reply as one piece of safe HTML, with its stylesheet: the rounds before the last one, too."""
        last = self.html_around(self.body)
        return "".join(map(_round_html, self.rounds)) + last

    @property
    def body(self) -> str:
        """The reply itself as HTML: what it stands for, where a type was asked for, else its text."""
        if self.value is not None:
            table = table_of(self.value)
            return present.body(plain_of(self.value), "text") if table is None else table.html
        return present.body(self.text, self.format) if self.text.strip() else ""

    @property
    def plain(self) -> str:
        """The same for a terminal."""
        if self.value is None:
            return present.printable(self.text)
        table = table_of(self.value)
        return present.printable(plain_of(self.value)) if table is None else str(table)

    def html_around(self, body: str) -> str:
        """The same, around a body that was made already."""
        return present.style() + present.page(
            present.thinking(self.thinking, self.timing.thinking),
            body,
            present.notice(self.notice),
            self.footer,
        )

    @property
    def footer(self) -> str:
        """The last lines as HTML; what was sent folds out of it."""
        saw = "" if self.sent is None else self.sent.html
        remark = present.remark(self.remark) if self.remark else ""
        return remark + present.footer(self.facts, self.badges, saw)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002  # IPython's signature
        """Give HTML for a notebook and the source as plain text for everything else."""
        return self.bundle(self.html)

    def bundle(self, html: str) -> dict[str, str]:
        """HTML for a notebook, and the source for everything else, a terminal among them."""
        return {"text/html": html, "text/plain": self.plain or self.notice}


def _round_html(done: Round) -> str:
    said = present.body(done.text, "markdown") if done.text.strip() and done.outcomes else ""
    cards = "".join(card.html(outcome.call, outcome) for outcome in done.outcomes)
    return present.page(said, cards or present.remark("The reply did not fit; it was asked for again."))


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a round that has ended has used, and whether that counts."""

    usage: Usage
    recorded: str
    charged: bool


@dataclass(slots=True)
class Draft:
    """A reply that is still arriving: `add` each event, `reply` is the sum so far (cut until it is finished)."""

    model: str
    max_tokens: int
    format: str = "markdown"
    badges: tuple[str, ...] = ()
    charged: bool = True
    sent: Sent | None = None
    remark: str = ""
    budget: str = ""
    recorded: str = ""
    value: Any = None
    frame: Any = None
    partial: Callable[[str], list[Any]] | None = None
    rounds: list[Round] = field(default_factory=list)
    clock: Callable[[], float] = time.perf_counter
    _text: list[str] = field(default_factory=list)
    _thinking: list[str] = field(default_factory=list)
    _calls: dict[int, list[str]] = field(default_factory=dict)
    _finished: Finished | None = None
    _usage: Usage = Usage()
    _earlier: list[_Counted] = field(default_factory=list)
    _answered_by: str = ""
    _retry: tuple[float, Retrying] | None = None
    _request_id: str = ""
    _exchanges: dict[str, None] = field(default_factory=dict)
    _start: float = 0.0
    _first: float | None = None
    _first_text: float | None = None
    _end: float | None = None

    def __post_init__(self) -> None:
        self._start = self.clock()

    def add(self, event: Event) -> None:
        """Take one event into the sum."""
        match event:
            case TextDelta(text):
                self._text.append(text)
                if self._first_text is None:
                    self._first_text = self._elapsed()
                    self._first = self._first if self._first is not None else self._first_text
            case ThinkingDelta(text):
                self._thinking.append(text)
                if self._first is None:
                    self._first = self._elapsed()
            case ToolCallDelta(index, id_, name, arguments):
                call = self._calls.setdefault(index, [id_, name, ""])
                call[2] += arguments
            case Retrying():
                self._retry = (self._elapsed() + event.seconds, event)
            case Started(request_id, exchange):
                self._request_id = request_id
                self._exchanges |= {exchange: None} if exchange else {}
            case Metered(usage, model):
                self._usage, self._answered_by = usage, model
            case Finished(usage=usage):
                self._finished, self._usage = event, usage
                self._end = self._elapsed()
            case _:
                pass

    def again(self, done: Round) -> None:
        """Begin another round, after this one."""
        self.rounds.append(done)
        self._earlier.append(_Counted(self._usage, self.recorded, self.charged))
        self._usage = Usage()
        self._finished = self._first = self._first_text = self._end = None
        for pieces in (self._text, self._thinking, self._calls):
            pieces.clear()

    def _elapsed(self) -> float:
        return self.clock() - self._start

    def stop(self) -> None:
        """Note the end of a reply that will get no Finished."""
        if self._end is None:
            self._end = self._elapsed()

    @property
    def ended(self) -> bool:
        """Whether the model has ended this round."""
        return self._finished is not None

    @property
    def has_text(self) -> bool:
        """Whether the reply itself has begun, after any thinking."""
        return bool(self._text)

    @property
    def elapsed(self) -> float:
        """Seconds since the question was sent."""
        return self._elapsed() if self._end is None else self._end

    @property
    def retry(self) -> tuple[float, Retrying] | None:
        """In how many seconds the question is asked again, and why; None while it is not waiting for that."""
        if self._retry is None or self._retry[0] <= self.elapsed:
            return None
        return self._retry[0] - self.elapsed, self._retry[1]

    @property
    def thinking_tail(self) -> str:
        """The last words of the thinking, in one line."""
        return " ".join("".join(self._thinking[-40:]).split())[-120:]

    @property
    def reply(self) -> Reply:
        """The sum so far, of all rounds."""
        rounds = [*self._earlier, _Counted(self._usage, self.recorded, self.charged)]
        sent = [each for each in rounds if not each.recorded]
        mixed = 0 < len(sent) < len(rounds)
        return replace(
            self.round,
            usage=sum((each.usage for each in sent or rounds), Usage()),
            recorded="" if sent else self.recorded,
            charged=any(each.charged for each in sent),
            badges=("replayed in part", *(one for one in self.badges if one != "replayed")) if mixed else self.badges,
            rounds=tuple(self.rounds),
            value=self.value,
            frame=self.frame,
        )

    @property
    def round(self) -> Reply:
        """The sum of this round alone."""
        reply = Reply(
            text="".join(self._text),
            thinking="".join(self._thinking),
            usage=self._usage,
            model=self.model,
            answered_by=self._answered_by,
            timing=Timing(self._first, self._first_text, self.elapsed),
            request_id=self._request_id,
            max_tokens=self.max_tokens,
            tool_calls=tuple(ToolCall(*call) for call in self._calls.values()),
            format=self.format,
            badges=self.badges,
            charged=self.charged,
            sent=self.sent,
            remark=self.remark,
            budget=self.budget,
            recorded=self.recorded,
            exchanges=tuple(self._exchanges),
        )
        if self._finished is None:
            return reply
        return replace(reply, finish=self._finished.reason, answered_by=self._finished.model)
