"""A question whose reply comes later, as the store keeps it: all that is needed to ask exactly the same again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kimi_magic import wire
from kimi_magic.archive import turn_from, turn_to
from kimi_magic.conversation import Conversation, Origin, Turn
from kimi_magic.errors import StoreError
from kimi_magic.messages import Image, Message
from kimi_magic.reply import Reply
from kimi_magic.sent import Item, Sent
from kimi_magic.settings import FIELDS, Settings

__all__ = ["Asked", "read_turn", "settings_of", "written_turn"]

_SHAPING = (
    "endpoint", "model", "system", "max_tokens", "temperature", "top_p", "effort", "format", "api", "gateway",
    "rounds", "approve", "timeout", "local_engine", "local_model",
)  # fmt: skip
"""Settings that decide what is sent, and where; credentials and addresses stay those of the kernel."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The question of a cell's job. `turn` holds it, with what goes along, and what came of it nothing yet.

    `settings` are those that differ from the defaults, `dest` the variable of the reply. `out` is the type that it has
    to be, as it was typed, and `typed` says that there is one; `tools` are names. `conversation` is the id of the one
    that it belongs to (empty for none), with `name` and `affinity`; it was asked below turn `parent`, without the turns
    `dropped` then, when the last turn was `head`. `before` is the hash of what had been said there.
    """

    turn: Turn
    settings: Mapping[str, Any]
    dest: str = ""
    out: str = ""
    typed: bool = False
    tools: tuple[str, ...] = ()
    conversation: str = ""
    name: str = ""
    affinity: str = ""
    parent: int = 0
    head: int = 0
    dropped: tuple[int, ...] = ()
    before: str = ""

    @classmethod
    def of(cls, message: Message, items: Sequence[Item], origin: Origin, **more: Any) -> Asked:
        """Keep a question that was put together."""
        return cls(Turn((message,), Reply(sent=Sent(message, tuple(items))), 1, origin=origin), **more)

    def within(self, conversation: Conversation) -> Asked:
        """The same, in this conversation, as that stands now."""
        parent = conversation.position(self.turn.origin).parent
        said = b"\n".join(map(wire.encode_message, conversation.messages(parent)))
        return replace(
            self,
            before=hashlib.sha256(said).hexdigest(),
            conversation=conversation.id,
            name=conversation.name,
            affinity=conversation.affinity,
            parent=parent,
            head=conversation.head,
            dropped=tuple(sorted(conversation.dropped)),
        )

    @property
    def items(self) -> tuple[Item, ...]:
        """What goes along."""
        return self.turn.reply.sent.items if self.turn.reply.sent is not None else ()

    @property
    def text(self) -> str:
        """This as canonical JSON, pictures inside."""
        names = [name for name in self.__slots__ if name not in ("turn", "settings")]
        data = {name: getattr(self, name) for name in names}
        data |= {"turn": json.loads(written_turn(self.turn)), "settings": dict(self.settings)}
        return json.dumps(data, ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Asked:
        """Make it of its JSON again; raise StoreError where it cannot be read."""
        try:
            data = json.loads(text)
            turn = read_turn(json.dumps(data.pop("turn")))
            lists = {name: tuple(data[name]) for name in ("tools", "dropped")}
            return cls(**data | lists | {"turn": turn})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"What was asked cannot be read ({type(error).__name__}).", hint="Another version may have kept it."
            ) from None

    @property
    def id(self) -> str:
        """A short name for a job of this question: the same where the same cell asks it again, in any kernel."""
        turn = replace(self.turn, origin=Origin(self.turn.origin.cell))
        again = replace(self, turn=turn, conversation="", affinity="", parent=0, head=0, dropped=())
        return hashlib.sha256(again.text.encode("utf-8", "backslashreplace")).hexdigest()[:8]

    def past(self, conversation: Conversation) -> Conversation:
        """Give the conversation as it stood when this was asked."""
        return replace(conversation.at(self.parent), dropped=frozenset(self.dropped))


def settings_of(values: Settings, model: str) -> dict[str, Any]:
    """Give the settings that shape a question, as options of it; `model` is the one that was chosen."""
    given = {name: getattr(values, name) for name in _SHAPING}
    given["model"] = model
    return {name: value for name, value in given.items() if value != FIELDS[name].default}


def written_turn(turn: Turn) -> str:
    """Write a turn as JSON, its pictures inside."""
    pictures: dict[str, Image] = {}
    data = turn_to(turn, pictures)
    data["pictures"] = {digest: base64.b64encode(picture.data).decode() for digest, picture in pictures.items()}
    text = json.dumps(data, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()


def read_turn(text: str) -> Turn:
    """Read what `written_turn` wrote."""
    data = json.loads(text)
    pictures = data.pop("pictures", {})
    picture: Callable[[str], bytes] = lambda digest: base64.b64decode(pictures[digest])  # noqa: E731
    return turn_from(data, picture)
