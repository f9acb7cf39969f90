"""What was asked and answered, in order, and so what the next request begins with.

What was sent is never rewritten: a turn is appended, and the messages of the next request are those of the last one,
the reply, and the new question. The service's prefix cache then finds all but the end.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from kimi_magic.messages import Message, Text
from kimi_magic.reply import Reply

__all__ = ["Conversation", "Turn"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its reply. `opening` holds the question, after a system message where one came into force."""

    opening: tuple[Message, ...]
    reply: Reply

    @property
    def question(self) -> Message:
        """What the user asked."""
        return self.opening[-1]

    @property
    def words(self) -> str:
        """The question as it was typed, without what went along."""
        own = [item for item in self.reply.sent.items if item.kind == "question"] if self.reply.sent else []
        return "".join(part.text for item in own for part in item.parts if isinstance(part, Text)) or self.question.text

    @property
    def messages(self) -> tuple[Message, ...]:
        """What this turn adds to later requests: nothing, where no word of a reply came."""
        if not self.reply.text:
            return ()
        return (*self.opening, Message.of("assistant", self.reply.text))


@dataclass(slots=True)
class Conversation:
    """Turns in order. `affinity` stays the same for its whole life: the service keeps its prefix warm under it."""

    affinity: str = field(default_factory=lambda: f"kimi-{uuid.uuid4().hex}")
    turns: list[Turn] = field(default_factory=list)

    def opening(self, question: Message, system: str) -> tuple[Message, ...]:
        """What a new turn begins with: the question, after the system message where that is not in force already."""
        if system and system != self._system:
            return (Message.of("system", system), question)
        return (question,)

    @property
    def _system(self) -> str:
        said = [message.text for message in self.messages if message.role == "system"]
        return said[-1] if said else ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages of all turns."""
        return tuple(message for turn in self.turns for message in turn.messages)

    def append(self, turn: Turn) -> None:
        """Add a finished turn, or one that was cut."""
        self.turns.append(turn)
