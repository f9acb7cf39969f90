"""What makes a job the same one: whom it asks, how, and what all its items begin with. A frozen value with an id.

The item requests are made from it: everything before an item's own text is equal, so that all share one cached prefix.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from kimi_magic import models
from kimi_magic import request as compose
from kimi_magic.messages import Image, Message, Part, Text, ToolCall
from kimi_magic.settings import Settings
from kimi_magic.wire import Form, Request, canonical

__all__ = ["Requests", "Spec"]

_MARKS = 16
"""Tokens that a chat template puts around one message, at most."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A job's questions, all but the rows.

    `place` is where they go ("local", "cloudflare" or a URL) and `weights` the file of a model that the user chose for
    this machine. `before` are the messages that every item begins with, `shared` the text that comes first in its own.
    `template` is the question as it was written, `columns` those that it names. `schema` is canonical JSON, empty where
    any text will do, `form` its name and `out` the text that the type was written as, if it was one. `salt` sets a job
    apart from one that is the same otherwise. `request` is that of a cell's job, as JSON.
    """

    place: str
    model: str
    weights: str = ""
    before: tuple[Message, ...] = ()
    template: str = ""
    shared: str = ""
    columns: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    effort: str | None = None
    schema: str = ""
    form: str = ""
    out: str = ""
    salt: str = ""

    @property
    def id(self) -> str:
        """A short name, the hash of everything here."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:10]

    @property
    def text(self) -> str:
        """This as canonical JSON."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        data["before"] = [_message_to(message) for message in self.before]
        return canonical(data).decode()

    @classmethod
    def read(cls, text: str) -> Spec:
        """Make it of its JSON again."""
        data = json.loads(text)
        before = tuple(_message_from(message) for message in data["before"])
        return cls(**{**data, "before": before, "columns": tuple(data["columns"])})


class Requests:
    """Makes the request of each item. Raises CommandError or TooLarge, here for a prefix that cannot be sent."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._model = models.known(spec.model)
        self._settings = Settings(
            max_tokens=spec.max_tokens, temperature=spec.temperature, top_p=spec.top_p, effort=spec.effort
        )
        start = (*spec.before, Message.of("user", spec.shared))
        self.base = compose.request(start, self._settings, self._model, form=self._form(plain=False))
        self._most = models.estimate_messages(start)[1] + _MARKS * (len(start) + 1)
        self._room = self._model.window - self._most - self.base.max_tokens

    def _form(self, *, plain: bool) -> Form | None:
        if not self._spec.schema:
            return None
        return Form() if plain else Form(self._spec.form, self._spec.schema)

    def of(self, own: str, told: tuple[str, str] | None = None, *, plain: bool = False) -> Request:
        """Give an item's request; `told` is a reply that was not valid and what is wrong with it.

        With `plain` the reply is asked for in JSON mode, for a service that takes no schema. Raises TooLarge, and
        CommandError for text that cannot be sent.
        """
        spec = self._spec
        asked: tuple[Message, ...] = (*spec.before, Message("user", (Text(spec.shared + own),)))
        if told is not None:
            asked = (*asked, Message.of("assistant", told[0] or "(nothing)"), Message.of("user", told[1]))
        if self.size(own, told) <= self._room:
            request = replace(self.base, messages=asked)
            return replace(request, form=self._form(plain=True)) if plain and spec.schema else request
        return compose.request(asked, self._settings, self._model, form=self._form(plain=plain))

    def size(self, own: str, told: tuple[str, str] | None = None) -> int:
        """Tokens that an item adds to the prefix, at most."""
        texts = (own,) if told is None else (own, *told)
        return sum(len(text.encode("utf-8", "replace")) // 3 + 1 + _MARKS for text in texts)

    def bound(self, own: str, told: tuple[str, str] | None = None) -> float:
        """US dollars that an item can cost at most; 0 where there is no price."""
        price = self._model.price
        if price is None:
            return 0.0
        sent = self._most + self.size(own, told)
        return (sent * price.input + self.base.max_tokens * price.output) / 1e6

    @cached_property
    def prefix(self) -> int:
        """Bytes of a request without its own text, about."""
        return sum(len(message.text.encode("utf-8", "replace")) for message in self.base.messages) + len(
            self._spec.schema
        )


def _message_to(message: Message) -> dict[str, Any]:
    data: dict[str, Any] = {"role": message.role, "parts": [_part_to(part) for part in message.parts]}
    return data | {name: value for name in ("answers", "thinking") if (value := getattr(message, name))}


def _part_to(part: Part) -> Any:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, ToolCall):
        return {"call": [part.id, part.name, part.arguments]}
    encoded = base64.b64encode(part.data).decode()
    return {"image": encoded, "about": [part.media_type, part.width, part.height, part.detail]}


def _message_from(data: dict[str, Any]) -> Message:
    return Message(**data | {"parts": tuple(_part_from(part) for part in data["parts"])})


def _part_from(data: Any) -> Part:
    if isinstance(data, str):
        return Text(data)
    if "call" in data:
        return ToolCall(*data["call"])
    return Image(base64.b64decode(data["image"]), *data["about"])
