"""What `%kimi usage`, `prefix` and `budget` answer: tokens and dollars, what was cached, and what is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kimi_magic import kernel, models
from kimi_magic.bars import Bars
from kimi_magic.errors import KimiError
from kimi_magic.messages import Usage
from kimi_magic.prefix import Prefix, profile
from kimi_magic.present import dollars
from kimi_magic.reply import Reply
from kimi_magic.report import Report
from kimi_magic.store import Used

__all__ = ["budget", "prefix", "usage"]

_MOST_ROWS = 200
_COLUMNS = ("turn", "question", "fresh", "cached", "thinking", "out", "neurons", "cost")


@dataclass(frozen=True, slots=True)
class _Sum:
    """Usage and cost of some replies; `unpriced` of them have no known cost."""

    usage: Usage
    cost: float
    replies: int
    unpriced: int

    @classmethod
    def of(cls, used: Sequence[Used]) -> _Sum:
        """Add up rows of the store."""
        total = Usage()
        for one in used:
            total += Usage(one.input, one.cached, one.output, one.thinking, one.neurons)
        priced = [one.cost for one in used if one.cost is not None]
        return cls(total, sum(priced), len(used), len(used) - len(priced))

    @classmethod
    def of_replies(cls, replies: Sequence[Reply]) -> _Sum:
        """Add up what replies used; what was replayed used nothing, and one that stands on two branches came once."""
        once = {(each.request_id, each.timing, each.text): each for each in replies if not each.recorded}.values()
        priced = [reply.cost for reply in once if reply.cost is not None]
        return cls(sum((reply.usage for reply in once), Usage()), sum(priced), len(once), len(once) - len(priced))

    @property
    def cells(self) -> tuple[str, ...]:
        """As cells of the table; a sum without some of its replies says so."""
        if not self.replies:
            return ("–",) * 6
        cost = "–" if self.unpriced == self.replies else dollars(self.cost)
        less = f" + {self.unpriced} without a price" if 0 < self.unpriced < self.replies else ""
        return (*_counts(self.usage), cost + less)

    @property
    def words(self) -> str:
        """As a sentence."""
        used = self.usage
        tokens = f"{used.input - used.cached:,} tokens fresh, {used.cached:,} cached, {used.output:,} out"
        cost = "" if self.unpriced == self.replies else f", {self.cells[-1]}"
        return f"{self.replies} repl{'y' if self.replies == 1 else 'ies'}, {tokens}{cost}."


def usage(*, plot: bool = False, everything: bool = False) -> Report:
    """Tokens and cost, for each turn of the conversation, for it, the kernel, and the day over all kernels.

    Of the turns the last 200 are listed, or `everything`.
    """
    session = kernel.current()
    books, conversation = session.books, session.conversation
    rows: list[tuple[str, ...]] = [
        (str(turn.number), _first_words(turn.words), *_counts(turn.reply.usage), _charge(turn.reply))
        for turn in conversation.turns
    ]
    said = [turn.reply for turn in conversation.tree.values()]
    aside = len(conversation.tree) - len(conversation.turns)
    rows = rows if everything else rows[-_MOST_ROWS:]
    rows += [
        ("", f"this conversation{', with what was replaced or left' if aside else ''}", *_Sum.of_replies(said).cells),
        ("all", "everything this kernel asked", *_Sum(books.usage, books.cost, books.replies, books.unpriced).cells),
    ]
    try:
        today = books.today()
        day = f"Today, all kernels since {_midnight()}: {_Sum.of(today).words}"
    except KimiError as error:
        today, day = [], f"Today: {error.message}"
    empty = "" if books.replies else f"Nothing was {'sent' if books.replayed else 'asked'} yet in this kernel. "
    free = " What was replayed cost nothing, and is in no sum." if books.replayed else ""
    hidden = 0 if everything else max(0, len(conversation.turns) - _MOST_ROWS)
    earlier = f"{hidden:,} earlier turns are counted, not shown: %kimi usage --all. " if hidden else ""
    note = f"{earlier}{empty}{_prices([*books.mine, *today])}{free}\n{day}"
    picture = _picture(books.mine) if plot and books.mine else None
    return Report("Usage in tokens", tuple(rows), _COLUMNS, note=note, picture=picture)


def _counts(used: Usage) -> tuple[str, ...]:
    if used == Usage():  # a reply that was cut before the service had counted
        return ("–",) * 5
    thinking = "–" if used.thinking is None else f"{used.thinking:,}"
    neurons = "–" if used.neurons is None else f"{used.neurons:,.1f}"
    return (f"{used.input - used.cached:,}", f"{used.cached:,}", thinking, f"{used.output:,}", neurons)


def _charge(reply: Reply) -> str:
    if reply.recorded:
        return "replayed"
    return "–" if reply.cost is None else dollars(reply.cost)


def _first_words(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:39]}…"  # noqa: PLR2004  # a table's cell


def _midnight() -> str:
    return f"00:00 {time.tzname[time.localtime().tm_isdst > 0]}"


def _prices(used: Sequence[Used]) -> str:
    """Say where the money figures come from."""
    words = "Out includes thinking."
    priced = [one for one in used if one.cost is not None]
    if any(one.neurons is not None for one in priced):
        words += f" Cost is exact where neurons are reported (${models.NEURON_PRICE * 1000:g} per 1,000)."
    dates = {price.date for one in priced if one.neurons is None and (price := models.known(one.model).price)}
    if dates:
        words += f" By the price list of {', '.join(sorted(dates))} where they are not."
    if priced:
        words += " Cloudflare's free 10,000 neurons begin anew at 00:00 UTC."
    return words


def _picture(used: Sequence[Used]) -> Bars:
    kinds = ("fresh", "cached", "thinking", "reply")
    rows = tuple(
        (str(n), (one.input - one.cached, one.cached, one.thinking or 0, max(0, one.output - (one.thinking or 0))))
        for n, one in enumerate(used, 1)
    )
    return Bars("Tokens of each reply", kinds, rows)


def prefix() -> Report:
    """What the service found cached of each request of this kernel, and what kept it from finding more."""
    log = kernel.current().requests
    found = profile(log)
    rows = tuple(
        (
            str(number),
            f"{one.turn}",
            f"{one.bytes:,}",
            f"≈ {one.tokens:,}" if one.tokens else "–",
            f"{one.usage.cached:,}" if one.usage.input else "–",
            "–" if one.share is None else f"≈ {100 * one.share:.0f} %",
            "; ".join(filter(None, ("replayed" if log[number - 1].replayed else "", _broke(one)))),
        )
        for number, one in enumerate(found, 1)
    )
    columns = ("request", "turn", "bytes in common", "tokens possible", "cached", "share", "what broke it")
    note = (
        "Possible: what an earlier request of the same conversation begins with; more, where more was found. "
        "Services cache whole blocks: ≈."
    )
    bars = tuple((str(n), (one.usage.input - one.usage.cached, one.usage.cached)) for n, one in enumerate(found, 1))
    picture = Bars("Tokens of each request", ("fresh", "cached"), bars)
    if not rows:
        return Report("Prefix", (), note="Nothing was asked yet.")
    return Report("Prefix of each request", rows, columns, note=note, picture=picture)


def _broke(one: Prefix) -> str:
    if one.broke or one.earlier is not None:
        return str(one.broke or "")
    return "the first of its conversation" if one.turn == 1 else "its conversation's first in this kernel"


def budget(text: str) -> Report:
    """Spend no more than that from now on; empty tells what is spent and what is left."""
    if text:
        kernel.resolve({"budget": text})
        kernel.configure("budget", text)
    values, books = kernel.resolve(), kernel.current().books
    limit = values.budget
    if limit is None:
        return Report("Budget", (), note="None is set. %kimi budget $2 sets one for this kernel, $2/day for each day.")
    spent, flight = books.spent(limit), books.in_flight
    rows = [
        ("budget", f"{limit} ({limit.scope}), set by {values.source('budget')}"),
        ("spent", dollars(spent)),
        *([("in flight", f"{dollars(flight)} at most")] if flight else []),
        ("left", dollars(max(0.0, limit.dollars - spent - flight))),
    ]
    if limit.per == "day":
        rows.append(("day", f"since {_midnight()}, your local day; Cloudflare's own begins at 00:00 UTC"))
    return Report("Budget", tuple(rows), note=_uncounted())


def _uncounted() -> str:
    """Say what the budget does not see."""
    words = "Before a question is sent, the most that it may cost is held against this."
    mine = kernel.current().books.mine
    unpriced = {one.model for one in mine if one.charged and models.known(one.model).price is None}
    others = {one.endpoint for one in mine if not one.charged and one.endpoint != kernel.HERE}
    try:
        values = kernel.resolve()
        where = kernel.place(values)
        chosen = kernel.model(values, where)
        if where.charged and chosen.price is None:
            unpriced.add(chosen.id)
        if not where.charged and kernel.address(values, where) != kernel.HERE:
            others.add(kernel.address(values, where))
    except KimiError:
        pass
    if unpriced:
        words += f" No price is known for {', '.join(sorted(unpriced))}: that is not counted."
    if others:
        words += f" What {', '.join(sorted(others))} bills is not known, and not counted."
    return words
