"""What becomes of an item when something came for it: done, failed, or asked again; and what that says of the job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kimi_magic import models
from kimi_magic.errors import (
    AccountError,
    BatchLost,
    BrokenReply,
    Busy,
    KimiError,
    LocalModelError,
    NetworkError,
    RequestRefused,
    ServerFailure,
    SettingError,
    Stalled,
    UnknownModel,
)
from kimi_magic.jobs.keeping import DONE, FAILED, PENDING, Answered, Item
from kimi_magic.jobs.lanes import Broken, Came

if TYPE_CHECKING:
    from kimi_magic.schema import Output

__all__ = ["Judge", "Verdict"]

_TRIES = 3
"""How often an item is sent that the service fails to answer."""
_STOPS = (AccountError, SettingError, UnknownModel, LocalModelError, Broken)
_WAITS = (NetworkError, Busy)
_AGAIN = (ServerFailure, BrokenReply, BatchLost, Stalled)


class Verdict(NamedTuple):
    """What to enter for an item, and what is wrong beyond it: nothing further can pass, or for the moment nothing."""

    answered: Answered
    stops: str = ""
    waits: str = ""


@dataclass(slots=True)
class Judge:
    """Checks replies. `schemaless` are hosts and models that take no schema, which is found out once."""

    model: str
    host: str
    charged: bool
    out: Output | None
    typed: bool
    schemaless: set[tuple[str, str]]
    _met: bool = False
    _trials: set[int] = field(default_factory=set)

    @property
    def plain(self) -> bool:
        """Whether the service is known to take no schema."""
        return (self.host, self.model) in self.schemaless

    def asks_plainly(self, item: Item) -> bool:
        """Whether an item is asked in JSON mode, without the schema."""
        return self.plain or item.n in self._trials

    def of(self, came: Came) -> Verdict:
        """Judge what came for an item."""
        return self._of_error(came.item, came.error) if came.error is not None else Verdict(self._of_reply(came))

    def _of_reply(self, came: Came) -> Answered:
        item, usage = came.item, came.usage
        cost = models.cost(self.model, usage) if self.charged else None
        plain = self.asks_plainly(item)
        self._trials.discard(item.n)
        state, error, told = DONE, "", None
        if came.finish == "length":
            state, error = FAILED, f"The reply was cut at {usage.output:,} tokens; max_tokens allows more."
        elif came.finish == "content_filter":
            state, error = FAILED, "The service's content filter ended the reply."
        elif not came.text.strip():
            state, error = FAILED, "The model ended without writing a reply."
        elif self.out is not None:
            self._met = self._met or not plain
            if plain and not self._met:
                self.schemaless.add((self.host, self.model))
            state, error, told = self._checked(item, came.text)
        return Answered(item.n, state, came.text, error, usage, cost, told)

    def _checked(self, item: Item, text: str) -> tuple[int, str, tuple[str, str] | None]:
        """Check a reply; one that is not valid is asked for once more."""
        from kimi_magic.schema import Invalid

        if self.out is None:
            return DONE, "", None
        try:
            self.out.parse(text)
        except Invalid as invalid:
            if item.told is None:
                why = f"This is not valid:\n{invalid}\nWrite all of it again, as JSON that fits, and nothing else."
                return PENDING, "", (text, why)
            return FAILED, f"The reply is not {self.out.name}: {'; '.join(invalid.reasons[:3])}", None
        return DONE, "", None

    def _of_error(self, item: Item, error: Exception) -> Verdict:
        told = error.message if isinstance(error, KimiError) else f"{type(error).__name__}: {error}"
        again = Answered(item.n, PENDING, told=item.told)
        if isinstance(error, _STOPS):
            stop = "" if told.endswith((".", "!", "?")) else "."
            return Verdict(again._replace(tried=False), stops=f"{told}{stop} {getattr(error, 'hint', '')}".strip())
        if isinstance(error, _WAITS) and not isinstance(error, Stalled):
            return Verdict(again._replace(tried=False), waits=told)
        if isinstance(error, _AGAIN) and item.tries + 1 < _TRIES:
            return Verdict(again, waits=told)
        if isinstance(error, RequestRefused) and self.typed and not self._met and not self.asks_plainly(item):
            self._trials.add(item.n)
            return Verdict(again)
        return Verdict(Answered(item.n, FAILED, error=f"{type(error).__name__}: {told}"))
