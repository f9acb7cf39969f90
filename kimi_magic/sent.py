"""What was sent for one question, part by part, and how that shows itself: the answer to "what did Kimi see?"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from kimi_magic import models, present
from kimi_magic.messages import Image, Message, Part, Text
from kimi_magic.report import Report

__all__ = ["Item", "Sent"]

_PLACEHOLDER = re.compile(r"\[(?:redacted|private): [^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a question brought along, or the question itself.

    `source` is the expression as it was typed, `kind` and `shape` what it is, in words; `columns` and `rows` say whose
    values are in it, `withheld` which private columns are not, `omitted` what was left out for lack of room.
    """

    source: str
    kind: str
    parts: tuple[Part, ...]
    shape: str = ""
    columns: tuple[str, ...] = ()
    rows: int = 0
    withheld: tuple[str, ...] = ()
    omitted: str = ""

    @property
    def tokens(self) -> int:
        """Its tokens, estimated (see `models.tokens`)."""
        return sum(map(models.tokens, self.parts))

    @property
    def bytes(self) -> int:
        """Its bytes in the request."""
        return sum(map(_size, self.parts))

    @property
    def redacted(self) -> int:
        """How many secrets and private values were replaced in it."""
        return sum(len(_PLACEHOLDER.findall(part.text)) for part in self.parts if isinstance(part, Text))

    @property
    def notes(self) -> str:
        """What a reader must know of it beyond its size."""
        redacted = self.redacted
        known = (
            self.shape,
            f"withheld: {', '.join(self.withheld)}" if self.withheld else "",
            f"{redacted} redacted" if redacted else "",
            f"left out: {self.omitted}" if self.omitted else "",
        )
        return " · ".join(note for note in known if note)


def _size(part: Part) -> int:
    return models.base64_size(part) if isinstance(part, Image) else len(part.text.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Sent:
    """What one request held: the messages `before` it, a `system` message where one came into force, and the question.

    `question` is the message exactly as it went; `items` are what it is made of, `carried` those of the questions
    before it, which are sent again. `dry` says that it was not sent.
    """

    question: Message
    items: tuple[Item, ...]
    before: tuple[Message, ...] = ()
    carried: tuple[Item, ...] = ()
    system: str = ""
    model: str = ""
    endpoint: str = ""
    charged: bool = False
    max_tokens: int = 0
    dry: bool = False

    @property
    def tokens(self) -> int:
        """All its tokens, estimated."""
        return sum(item.tokens for item in self.parts)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Every message of the request."""
        system = (Message.of("system", self.system),) if self.system else ()
        return (*self.before, *system, self.question)

    @property
    def bytes(self) -> int:
        """Bytes of all texts and pictures of the request."""
        return sum(_size(part) for message in self.messages for part in message.parts)

    @property
    def parts(self) -> tuple[Item, ...]:
        """All of it, as things to list: what is sent again, the system message, and what belongs to the question."""
        again: tuple[Item, ...] = ()
        if self.before:
            columns = tuple(dict.fromkeys(column for item in self.carried for column in item.columns))
            withheld = tuple(dict.fromkeys(column for item in self.carried for column in item.withheld))
            rows = sum(item.rows for item in self.carried)
            said = tuple(part for message in self.before for part in message.parts)
            kind = f"{len(self.before)} earlier messages"
            again = (Item("conversation", kind, said, "", columns, rows, withheld),)
        system = (Item("system message", "", (Text(self.system),)),) if self.system else ()
        return (*again, *system, *self.items)

    @property
    def summary(self) -> str:
        """It in a few words: what went beside the question, and what was kept back; empty for neither."""
        redacted = sum(item.redacted for item in self.items)
        things = [item.source for item in self.items if item.kind not in ("question", "tool", "schema")]
        shown = [*things[:4], *([f"{len(things) - 4} more"] if len(things) > 4 else ())]  # noqa: PLR2004  # one line
        secrets = f"{' · ' if shown else ''}{redacted} redacted" if redacted else ""
        return (f"saw {', '.join(shown)}" if shown else "") + secrets

    @property
    def price(self) -> str:
        """What sending it costs, in words; empty where nobody bills it."""
        if not self.charged:
            return ""
        price = models.known(self.model).price
        if price is None:
            return f"no price is known for {self.model}"
        least, most = (count * price.input / 1e6 for count in models.estimate_messages(self.messages))
        sending = f"{present.dollars(least)} to {present.dollars(most)}"
        reply = self.max_tokens * price.output / 1e6
        return f"{sending} for what is sent, at most ${reply:.2f} for the reply ({price.date} prices)"

    @property
    def report(self) -> Report:
        """The table of its parts."""
        rows = [
            (item.source, item.kind.replace("question", ""), f"{item.tokens:,}", f"{item.bytes:,}", item.notes)
            for item in self.parts
        ]
        if len(rows) > 1:
            rows.append(("all", "", f"{self.tokens:,}", f"{self.bytes:,}", ""))
        title = "What Kimi would see" if self.dry else "What Kimi saw"
        name = "the local model" if self.model == models.LOCAL else self.model.rpartition("/")[2]
        whom = f"{name}, {self.endpoint}" if self.endpoint not in ("", self.model) else name
        note = "Tokens are estimates: characters divided by a factor for each script."
        price = f"\n{self.price[:1].upper()}{self.price[1:]}." if self.price and self.dry else ""
        return Report(f"{title}: {whom}", tuple(rows), ("part", "what", "≈ tokens", "bytes", ""), note + price)

    def __str__(self) -> str:
        pieces = [str(self.report), ""]
        if self.system:
            pieces += [_rule("system message"), self.system]
        pieces.append(_rule("question"))
        pieces.append(present.plain(self.question.parts))
        return "\n".join(map(present.printable, pieces))

    def __repr__(self) -> str:
        return f"Sent({len(self.items)} parts, about {self.tokens:,} tokens{', not sent' if self.dry else ''})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002  # IPython's signature
        """The table, then exactly what was sent, pictures included."""
        system = present.verbatim(self.system, "system message") if self.system else ""
        shown = "".join(map(present.part, self.question.parts))
        return {
            "text/html": self.report.html + present.page(system + present.titled("question", shown)),
            "text/plain": str(self),
        }

    @property
    def html(self) -> str:
        """The table alone, as it folds out under a reply."""
        return self.report.html


def _rule(title: str) -> str:
    return f"── {title} " + "─" * (60 - len(title))
