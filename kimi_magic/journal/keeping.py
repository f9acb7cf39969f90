"""Record, look up, replay: the journal of this kernel."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kimi_magic import wire
from kimi_magic.errors import CommandError, KimiError, NotRecorded, StoreError
from kimi_magic.events import Event, Started
from kimi_magic.journal import files
from kimi_magic.journal.nearest import difference, nearest
from kimi_magic.journal.packing import Packer, Timed, text_of, to_json, unpack, whole
from kimi_magic.messages import Image, Message
from kimi_magic.store import Exchange, Store
from kimi_magic.transport import Emit, Limits, Transport
from kimi_magic.wire import Request

__all__ = ["Journal", "Replay", "Sizes"]

_COMPARED = 300
"""How many of the latest exchanges are compared with a request that is not recorded."""
_HOW = "Record it: run once with KIMI_RERUN=replay, where the model can be asked, then %kimi journal save FILE."


def canonical(request: Request, model: str = "") -> str:
    """Give the canonical JSON of a request, with each picture's SHA-256 in the place of its data.

    `model` takes the place of the request's own, where that does not tell which model answers.
    """
    messages = tuple(map(_without_data, request.messages))
    return wire.encode(replace(request, messages=messages, model=model or request.model), "chat").decode()


def _without_data(message: Message) -> Message:
    return replace(message, parts=tuple(map(_digested, message.parts)))


def _digested(part: Any) -> Any:
    if not isinstance(part, Image):
        return part
    return replace(part, data=hashlib.sha256(part.data).digest(), media_type=f"{part.media_type};sha256")


def _exchange(request: str, reply: str, at: float) -> Exchange:
    return Exchange(hashlib.sha256(request.encode()).hexdigest(), at, request, reply)


def _conversations(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """Give a recorded request, and the same with its reply: what is not recorded may go on from there."""
    request = json.loads(exchange.request)
    yield request
    try:
        said = text_of(unpack(json.loads(exchange.reply)))
    except ValueError:  # written by another version
        return
    yield request | {"messages": [*request["messages"], {"content": said, "role": "assistant"}]}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many exchanges the journal holds: in the store (with their characters), from files, and used so far."""

    kept: int
    characters: int
    loaded: int
    used: int


class Replay:
    """A Transport that brings a recorded reply, and sends nothing: each stretch whole, or with its own pauses.

    `recorded` says when, or in which file; `badges` what the reader must know.
    """

    def __init__(self, timed: Sequence[Timed], recorded: str, badges: tuple[str, ...], *, paced: bool) -> None:
        self._timed = timed
        self._paced = paced
        self.recorded = recorded
        self.badges = badges

    async def stream(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> None:  # noqa: ARG002  # a Transport's signature
        """Emit the recorded events."""
        emit(Started())
        if not self._paced:
            for event in whole(self._timed):
                emit(event)
            return
        began = time.monotonic()
        for seconds, event in self._timed:
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            emit(event)

    async def close(self) -> None:
        """There is nothing to close."""


class _Recording:
    """A Transport that notes what another one brings, and keeps it once it is whole."""

    def __init__(self, inner: Transport, keep: Callable[[Request, str, Packer], None], model: str) -> None:
        self._inner = inner
        self._keep = keep
        self._model = model

    async def stream(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> None:
        packer = Packer()
        began = time.perf_counter()

        def noting(event: Event) -> None:
            nonlocal began, packer
            if isinstance(event, Started):
                packer, began = Packer(), time.perf_counter()
            packer.add(time.perf_counter() - began, event)
            emit(event)

        try:
            await self._inner.stream(request, affinity, limits, noting)
        finally:  # who has seen the end may close before the stream has
            if packer.finished:
                # In a thread: a store may have to wait for another kernel, and other replies must not wait with it.
                await asyncio.to_thread(self._keep, request, self._model, packer)

    async def close(self) -> None:
        await self._inner.close()


class Journal:
    """What was asked and answered before: in the store, for every kernel, and from files, for this one alone.

    A store that cannot be read or written keeps nobody from asking: that is told once, on the thread that asks.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: dict[str, tuple[Exchange, str]] = {}
        self._files: set[Path] = set()
        self._used: dict[str, None] = {}
        self._trouble: KimiError | None = None
        self._told = False

    def replay(
        self,
        request: Request,
        policy: str,
        confirm: Callable[[str], bool | None],
        *,
        model: str = "",
        paced: bool = False,
    ) -> Replay | None:
        """Give what brings the recorded reply to a request; None where it is to be sent.

        `policy` is one of `settings.RERUNS`. For `ask`, `confirm` is told when the reply was recorded and says whether
        to replay it, None for nobody there to say so. For `model` see `canonical`. Raises NotRecorded, or StoreError,
        where only replays may be.
        """
        self._tell()
        if policy == "always":
            return None
        text = canonical(request, model)
        key = _exchange(text, "", 0).key
        try:
            found = self._find(key)
        except StoreError as error:
            if policy == "only":
                raise
            self._trouble = error
            self._tell()
            found = None
        if found is None:
            if policy == "only":
                raise self._not_recorded(text)
            return None
        timed, recorded = found
        badges: tuple[str, ...] = ("replayed",)
        if policy == "ask":
            wanted = confirm(recorded)
            if wanted is False:
                return None
            badges = ("replayed", "nobody to ask") if wanted is None else badges
        self._use(key)
        return Replay(timed, recorded, badges, paced=paced)

    def recorded(self, request: Request, policy: str, model: str = "") -> str:
        """Say when, or in which file, the reply that would be replayed was recorded; empty for none."""
        found = None if policy == "always" else self._find(_exchange(canonical(request, model), "", 0).key)
        return found[1] if found else ""

    def _find(self, key: str) -> tuple[Sequence[Timed], str] | None:
        if key in self._loaded:
            exchange, recorded = self._loaded[key]
        else:
            kept = self._store.exchange(key)
            if kept is None:
                return None
            exchange, recorded = kept, time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.time))
        try:
            return unpack(json.loads(exchange.reply)), recorded
        except ValueError:  # written by another version
            return None

    def _tell(self) -> None:
        if self._trouble is not None and not self._told:
            self._told = True
            warnings.warn(f"Replies are not recorded. {self._trouble.message} {self._trouble.hint}", stacklevel=2)

    def _use(self, key: str) -> None:
        self._used[key] = None

    def _not_recorded(self, text: str) -> NotRecorded:
        wanted = json.loads(text)
        others = [exchange for exchange, _ in self._loaded.values()] + self._store.exchanges(_COMPARED)
        conversations = itertools.chain.from_iterable(map(_conversations, others))
        found = nearest(wanted, (one for one in conversations if one != wanted))
        if found is None:
            return NotRecorded("rerun = only sends nothing, and the journal is empty.", hint=_HOW)
        first = difference(wanted, found)
        error = NotRecorded(
            f"rerun = only sends nothing, and this is not recorded; the nearest that is differs in {first.where}:",
            hint=_HOW,
        )
        error.diff = (first.recorded, first.wanted)
        return error

    def recording(self, transport: Transport, model: str = "") -> Transport:
        """Give a transport that does what this one does, and records each reply that comes to its end."""
        return _Recording(transport, self._record, model)

    def _record(self, request: Request, model: str, packer: Packer) -> None:
        exchange = _exchange(canonical(request, model), to_json(packer.packed()), time.time())
        self._loaded.pop(exchange.key, None)
        self._use(exchange.key)
        try:
            self._store.record_exchange(exchange)
        except StoreError as error:
            self._trouble = error

    def save(self, path: Path, permit: Callable[[Iterable[str]], None] = lambda _: None) -> int:
        """Write what this kernel used, in order, to a file; give how many. Raises CommandError and StoreError.

        `permit` is given every text that would be written, and raises where it must not be.
        """
        found = [self._loaded[key][0] if key in self._loaded else self._store.exchange(key) for key in self._used]
        exchanges = [(json.loads(one.request), json.loads(one.reply)) for one in found if one is not None]
        if not exchanges:
            raise CommandError("This kernel has not asked anything yet.", hint="Run the notebook first.")
        permit(itertools.chain.from_iterable(files.texts(request, reply) for request, reply in exchanges))
        draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(files.dumps(exchanges), "utf-8", newline="\n")
            draft.replace(path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise CommandError(f"{path} cannot be written: {exc.strerror}.", hint="Name another place.") from None
        return len(exchanges)

    def load(self, path: Path, problem: type[KimiError] = CommandError) -> int:
        """Take the exchanges of a file in, for this kernel alone; give how many. Raises `problem` with the line."""
        try:
            found = files.loads(path.read_text("utf-8"))
        except OSError as exc:
            raise problem(f"{path} cannot be read: {exc.strerror}.", hint="Name a file of recordings.") from None
        except ValueError as exc:
            hint = "Save it anew: %kimi journal save FILE"
            raise problem(f"{path} is no file of recordings: {exc}.", hint=hint) from None
        for request, reply in found:
            exchange = _exchange(to_json(request), to_json(reply), 0)
            self._loaded[exchange.key] = (exchange, path.name)
        self._files.add(path)
        return len(found)

    def load_once(self, path: Path, problem: type[KimiError]) -> None:
        """Load a file unless that was done before."""
        if path not in self._files:
            self.load(path, problem)

    def forget(self, questions: Iterable[Message], *, used: bool = False) -> int:
        """Erase from the store what was sent with one of these questions, or all that this kernel `used`; count it.

        Files are the user's own, and stay. Raises StoreError.
        """
        lost = {wire.encode_message(_without_data(question)) for question in questions}

        def unwanted(key: str, request: str) -> bool:
            return (used and key in self._used) or any(
                wire.canonical(said) in lost for said in json.loads(request)["messages"]
            )

        return self._erase(unwanted)

    def clear(self) -> int:
        """Erase all that is in the store, of every notebook; give how many exchanges. Raises StoreError."""
        return self._erase(lambda _key, _request: True)

    def _erase(self, unwanted: Callable[[str, str], bool]) -> int:
        erased = self._store.forget_exchanges(unwanted)
        self._store.overwrite_erased()
        return erased

    @property
    def sizes(self) -> Sizes:
        """Count what there is; raises StoreError."""
        return Sizes(*self._store.exchange_sizes(), len(self._loaded), len(self._used))
