"""The batches of Workers AI's queue: many requests in one body, and later their answers in any order. No I/O.

Each request stands in a batch as it would alone, beside its `external_reference`, under which its answer comes back.
The spelling is canonical, as in `wire`; what many requests share is spelt once. Answers are read tolerantly: how one
that failed looks is not documented, so whatever is no good answer is a failure of that one item (wire.md §5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kimi_magic import wire
from kimi_magic.events import Event
from kimi_magic.messages import Message

__all__ = [
    "LIMIT",
    "Answer",
    "Payload",
    "Polled",
    "decode_polled",
    "decode_submitted",
    "encode",
    "encode_poll",
    "join",
    "spell",
    "split",
]

LIMIT = 10_000_000
"""Bytes that a batch has to stay under."""
_OPENING, _CLOSING = b'{"requests":[', b"]}"


@dataclass(frozen=True, slots=True)
class Payload:
    """One batch, ready to be sent: the references of its items, in order, and its body."""

    references: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one item: the events of its reply, `Finished` last, or what went wrong.

    `reference` is empty where the service did not give it back; `index` is its place in the batch, -1 if unknown.
    """

    reference: str
    index: int
    events: tuple[Event, ...]
    failure: wire.Failure | None


@dataclass(frozen=True, slots=True)
class Polled:
    """How a batch stands. `done` has answers, in any order, some perhaps twice or missing; `failed` says why."""

    status: Literal["queued", "running", "done", "failed"]
    answers: tuple[Answer, ...] = ()
    failure: wire.Failure | None = None


def encode(items: Iterable[tuple[str, wire.Request]]) -> bytes:
    """Give the canonical bytes of one batch: of each item its reference and its request.

    Raises UnicodeEncodeError as wire.encode does.
    """
    return join(spell(items))


def join(spelt: Iterable[bytes]) -> bytes:
    """Make one batch of items that `spell` spelt."""
    return _OPENING + b",".join(spelt) + _CLOSING


def split(
    items: Iterable[tuple[str, wire.Request]], *, limit: int = LIMIT, most: int | None = None
) -> Iterator[Payload]:
    """Spell as few batches as hold all items in order, each under `limit` bytes and of at most `most` items.

    An item that is too large even alone is a batch of its own, which nobody will take.
    """
    references: list[str] = []
    spelt: list[bytes] = []
    around = size = len(_OPENING) + len(_CLOSING)
    for reference, item in _paired(items):
        if spelt and (size + 1 + len(item) >= limit or len(spelt) == most):
            yield Payload(tuple(references), join(spelt))
            references, spelt, size = [], [], around
        size += len(item) + bool(spelt)
        references.append(reference)
        spelt.append(item)
    if spelt:
        yield Payload(tuple(references), join(spelt))


def _paired(items: Iterable[tuple[str, wire.Request]]) -> Iterator[tuple[str, bytes]]:
    speller = _Speller()
    for reference, request in items:
        yield reference, speller.spell(reference, request)


def spell(items: Iterable[tuple[str, wire.Request]]) -> Iterator[bytes]:
    """Give the canonical bytes of each item as it stands in a batch."""
    return (spelt for _, spelt in _paired(items))


_string = json.JSONEncoder(ensure_ascii=False).encode


class _Speller:
    """Spells one request after the other; what it shares with the one before, by identity or equality, is kept."""

    def __init__(self) -> None:
        self._like: wire.Request | None = None
        self._first, self._between, self._last = "", "", ""
        self._shared: tuple[Message, ...] = ()
        self._prefix = b""

    def spell(self, reference: str, request: wire.Request) -> bytes:
        if self._like is None or not _alike(request, self._like):
            self._frame(request)
        *shared, own = request.messages
        if (kept := tuple(shared)) != self._shared:
            self._shared, self._prefix = kept, b"".join(wire.encode_message(message) + b"," for message in kept)
        head = f"{self._first}{_string(reference)}{self._between}".encode()
        return b"".join((head, self._prefix, wire.encode_message(own), self._last.encode()))

    def _frame(self, request: wire.Request) -> None:
        """Spell everything but reference and messages; the keys of a canonical object are sorted."""
        fields = wire.settings_as_sent(request, "run")
        pieces = {name: wire.canonical({name: value}).decode()[1:-1] for name, value in sorted(fields.items())}
        before = [piece for name, piece in pieces.items() if name < "external_reference"]
        middle = [piece for name, piece in pieces.items() if "external_reference" < name < "messages"]
        after = [piece for name, piece in pieces.items() if name > "messages"]
        self._first = "{" + ",".join([*before, '"external_reference":'])
        self._between = ",".join(["", *middle, '"messages":['])
        self._last = ",".join(["]", *after]) + "}"
        self._like = request


def _alike(one: wire.Request, other: wire.Request) -> bool:
    """Whether two requests differ in nothing but model and messages, of which the one is not sent."""
    return (
        one.max_tokens == other.max_tokens
        and one.temperature == other.temperature
        and one.top_p == other.top_p
        and one.effort == other.effort
        and one.tools == other.tools
        and one.final == other.final
        and one.form == other.form
    )


def encode_poll(request_id: str) -> bytes:
    """Give the body that asks how a batch stands."""
    return wire.canonical({"request_id": request_id})


def decode_submitted(body: bytes) -> str:
    """Read the id of a batch that was taken; raise wire.Failed for anything else."""
    frame = wire.decode_object(body)
    _check(frame)
    found = frame.get("result", frame)
    id_ = found.get("request_id") if isinstance(found, dict) else None
    if not isinstance(id_, str) or not id_:
        raise wire.Failed(wire.Failure(f"The service took the batch and gave no id: {str(frame)[:80]}"))
    return id_


def decode_polled(body: bytes, *, tools: bool = False) -> Polled:
    """Read how a batch stands; raise wire.Failed where the answer is about the asking itself. `tools` as for wire."""
    frame = wire.decode_object(body)
    found = frame.get("result")
    result = found if isinstance(found, dict) else frame
    listed = result.get("responses", result.get("results"))
    if isinstance(listed, list):
        return Polled("done", tuple(_answer(one, tools=tools) for one in listed))
    status = result.get("status")
    if status is None:
        _check(frame)
        return Polled("failed", (), wire.Failure(f"The service says nothing of the batch: {str(frame)[:80]}"))
    if status in ("queued", "running"):
        return Polled(status)
    failure = wire.failure_in(frame if frame.get("errors") or frame.get("error") else result)
    known = failure.code is not None or status in ("error", "failed")
    return Polled("failed", (), failure if known else wire.Failure(f"The batch is in an unknown state: {status!r}"))


def _check(frame: dict[str, Any]) -> None:
    if frame.get("success") is False or frame.get("errors") or frame.get("error"):
        raise wire.Failed(wire.failure_in(frame))


def _answer(element: Any, *, tools: bool) -> Answer:
    """Read one element of the finished list: a chat.completion, or what an older model said, in its own envelope."""
    if not isinstance(element, dict):
        return Answer("", -1, (), wire.Failure(f"An answer of the batch is no object: {str(element)[:80]}"))
    given, place = element.get("external_reference"), element.get("id")
    reference = given if isinstance(given, str) else ""
    index = place if isinstance(place, int) else -1
    try:
        return Answer(reference, index, tuple(_events(element, tools=tools)), None)
    except wire.Failed as failed:
        return Answer(reference, index, (), failed.failure)


def _events(element: dict[str, Any], *, tools: bool) -> list[Event]:
    result = element.get("result")
    if element.get("success") is False or element.get("errors") or element.get("error"):
        told = [one for one in (element, result) if isinstance(one, dict) and (one.get("errors") or one.get("error"))]
        raise wire.Failed(wire.failure_in((told or [element])[0]))
    whole = result if isinstance(result, dict) else element
    if "choices" not in whole and isinstance(whole.get("result"), dict):  # an envelope of its own, inside
        whole = whole["result"]
    return wire.decode_whole(whole, tools=tools)
