"""Record, look up, replay: the journal of this kernel."""

from __future__ import annotations

import asyncio
import contextlib
import functools
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
from kimi_magic.reply import Reply
from kimi_magic.store import Exchange, Store
from kimi_magic.transport import Emit, Limits, Transport
from kimi_magic.wire import Request

__all__ = ["Journal", "Replay", "Saved", "Sizes"]

_COMPARED = 300
"""How many of the latest exchanges are compared with a request that is not recorded."""
_HOW = "Record it: run once with KIMI_RERUN=replay, where the model can be asked, then %kimi journal save FILE."


def canonical(request: Request, model: str = "") -> str:
    """Give the canonical JSON of a request, with each picture's SHA-256 in the place of its data.

    `model` takes the place of the request's own, where that does not tell which model answers. The limit is the one
    that was wanted, whatever a budget has left of it.
    """
    messages = tuple(map(_without_data, request.messages))
    limit = request.wanted or request.max_tokens
    asked = replace(request, messages=messages, model=model or request.model, max_tokens=limit)
    return wire.encode(asked, "chat").decode()


def _without_data(message: Message) -> Message:
    return replace(message, parts=tuple(map(_digested, message.parts)))


def _digested(part: Any) -> Any:
    if not isinstance(part, Image):
        return part
    return replace(part, data=hashlib.sha256(part.data).digest(), media_type=f"{part.media_type};sha256")


def _key(request: str, place: str = "") -> str:
    """Give the key of a canonical request that is answered there; without a place, as in a file, wherever it is."""
    return hashlib.sha256(f"{place}\n{request}".encode()).hexdigest()


def _conversations(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """Give a recorded request, and the same with its reply: what is not recorded may go on from there."""
    request = json.loads(exchange.request)
    yield request
    try:
        said = text_of(unpack(json.loads(exchange.reply)))
    except ValueError:  # written by another version
        return
    yield request | {"messages": [*request["messages"], {"content": said, "role": "assistant"}]}


def _keys(replies: Iterable[Reply]) -> set[str]:
    return {key for reply in replies for key in reply.exchanges}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many exchanges the journal holds: in the store (with their characters), from files, and used so far."""

    kept: int
    characters: int
    loaded: int
    used: int


@dataclass(frozen=True, slots=True)
class Saved:
    """How many exchanges a file holds now, how many it held before, and how many were left out as replaced."""

    count: int
    before: int
    left_out: int


def _count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


class Replay:
    """A Transport that brings a recorded reply, and sends nothing: each stretch whole, or with its own pauses.

    `recorded` says when, or in which file; `badges` what the reader must know.
    """

    def __init__(
        self, key: str, timed: Sequence[Timed], recorded: str, badges: tuple[str, ...], *, paced: bool
    ) -> None:
        self._key = key
        self._timed = timed
        self._paced = paced
        self.recorded = recorded
        self.badges = badges

    async def stream(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> None:  # noqa: ARG002  # a Transport's signature
        """Emit the recorded events."""
        emit(Started(exchange=self._key))
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

    def __init__(
        self, inner: Transport, canonical: Callable[[Request], str], place: str, keep: Callable[[Exchange], None]
    ) -> None:
        self._inner = inner
        self._canonical = canonical
        self._place = place
        self._keep = keep

    async def stream(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> None:
        packer = Packer()
        began = time.perf_counter()

        @functools.cache
        def known() -> tuple[str, str]:
            text = self._canonical(request)
            return text, _key(text, self._place)

        asyncio.get_running_loop().call_soon(known)  # while the request is on its way

        def noting(event: Event) -> None:
            nonlocal began, packer
            if isinstance(event, Started):
                packer, began = Packer(), time.perf_counter()
                event = replace(event, exchange=known()[1])
            packer.add(time.perf_counter() - began, event)
            emit(event)

        try:
            await self._inner.stream(request, affinity, limits, noting)
        finally:  # who has seen the end may close before the stream has
            if packer.answered and not (packer.ended == "length" and request.wanted):
                # In a thread: a store may have to wait for another kernel, and other replies must not wait with it.
                text, key = known()
                exchange = Exchange(key, time.time(), self._place, text, to_json(packer.packed()))
                await asyncio.to_thread(self._keep, exchange)

    async def close(self) -> None:
        await self._inner.close()


class Journal:
    """What was asked and answered before: in the store, for every kernel, and from files, for this one alone.

    Replies are kept by the request and the place that answered it, "local" or a host: another one's is another reply.
    Files are named on purpose, and answer for any place. A store that cannot be read or written keeps nobody from
    asking: that is told once, on the thread that asks.
    """

    def __init__(self, store: Store, notebook: str = "") -> None:
        self._store = store
        self._notebook = notebook
        self._loaded: dict[str, tuple[Exchange, str]] = {}
        self._files: set[Path] = set()
        self._used: dict[str, str] = {}  # by the key that a file would have, the key it has: one request, one line
        self._trouble: KimiError | None = None
        self._told = False

    def replay(
        self,
        request: Request,
        policy: str,
        confirm: Callable[[str], bool | None],
        *,
        place: str = "",
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
        try:
            found = self._find(text, place)
        except StoreError as error:
            if policy == "only":
                raise
            self._trouble = error
            self._tell()
            found = None
        if found is None:
            if policy == "only":
                raise self._not_recorded(text, place)
            return None
        key, timed, recorded = found
        badges: tuple[str, ...] = ("replayed",)
        if policy == "ask":
            wanted = confirm(recorded)
            if wanted is False:
                return None
            badges = ("replayed", "nobody to ask") if wanted is None else badges
        self._use(text, key)
        return Replay(key, timed, recorded, badges, paced=paced)

    def recorded(self, request: Request, policy: str, *, place: str = "", model: str = "") -> str:
        """Say when, or in which file, the reply that would be replayed was recorded; empty for none."""
        found = None if policy == "always" else self._find(canonical(request, model), place)
        return found[2] if found else ""

    def _find(self, text: str, place: str) -> tuple[str, Sequence[Timed], str] | None:
        if _key(text) in self._loaded:
            exchange, recorded = self._loaded[_key(text)]
        else:
            kept = self._store.exchange(_key(text, place))
            if kept is None:
                return None
            exchange, recorded = kept, time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.time))
        try:
            return exchange.key, unpack(json.loads(exchange.reply)), recorded
        except ValueError:  # written by another version
            return None

    def _tell(self) -> None:
        if self._trouble is not None and not self._told:
            self._told = True
            warnings.warn(f"Replies are not recorded. {self._trouble.message} {self._trouble.hint}", stacklevel=2)

    def _use(self, text: str, key: str) -> None:
        """Note that this notebook used an exchange; those of files are not the store's."""
        self._used[_key(text)] = key
        if key in self._loaded:
            return
        try:
            self._store.use_exchange(key, self._notebook)
        except StoreError as error:
            self._trouble = error

    def _not_recorded(self, text: str, place: str) -> NotRecorded:
        wanted = json.loads(text)
        others = [exchange for exchange, _ in self._loaded.values()] + self._store.exchanges(_COMPARED)
        elsewhere = next((one.place for one in others if one.request == text), "")
        if elsewhere:
            return NotRecorded(
                f"rerun = only sends nothing, and this was answered by {elsewhere}, not by {place}.",
                hint="A file answers for any place: %kimi journal save FILE there, %kimi journal load FILE here.",
            )
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

    def recording(self, transport: Transport, *, place: str = "", model: str = "") -> Transport:
        """Give a transport that does what this one does, and records each reply that comes to its end."""
        return _Recording(transport, lambda request: canonical(request, model), place, self._record)

    def _record(self, exchange: Exchange) -> None:
        self._loaded.pop(_key(exchange.request), None)
        self._used[_key(exchange.request)] = exchange.key
        try:
            self._store.record_exchange(exchange, self._notebook)
        except StoreError as error:
            self._trouble = error

    def save(
        self,
        path: Path,
        permit: Callable[[Iterable[str]], None] = lambda _: None,
        replaced: Iterable[Reply] = (),
        stay: Iterable[Reply] = (),
    ) -> Saved:
        """Write what this kernel used, in order, to a file. Raises CommandError and StoreError.

        `permit` is given every text that would be written, and raises where it must not be. What was exchanged for a
        reply that was `replaced`, and for none that stays, is left out.
        """
        out = _keys(replaced) - _keys(stay)
        used = {portable: key for portable, key in self._used.items() if key not in out}
        found = [
            self._loaded[portable][0] if portable in self._loaded else self._store.exchange(key)
            for portable, key in used.items()
        ]
        exchanges = [(json.loads(one.request), json.loads(one.reply)) for one in found if one is not None]
        if not exchanges and self._used:
            raise CommandError("What this kernel asked is in the journal no more.", hint="Run the notebook again.")
        if not exchanges:
            raise CommandError("This kernel has not asked anything yet.", hint="Run the notebook first.")
        before = _count_lines(path)
        permit(itertools.chain.from_iterable(files.texts(request, reply) for request, reply in exchanges))
        draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(files.dumps(exchanges), "utf-8", newline="\n")
            draft.replace(path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise CommandError(f"{path} cannot be written: {exc.strerror}.", hint="Name another place.") from None
        return Saved(len(exchanges), before, len(self._used) - len(used))

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
            text = to_json(request)
            self._loaded[_key(text)] = (Exchange(_key(text), 0, "", text, to_json(reply)), path.name)
        self._files.add(path)
        return len(found)

    def load_once(self, path: Path, problem: type[KimiError], *, needed: bool = True) -> None:
        """Load a file unless that was done before; one that is not `needed` may be written later."""
        if path not in self._files and (needed or path.exists()):
            self.load(path, problem)

    def forget(self, gone: Iterable[Reply], stay: Iterable[Reply], *, everything: bool = False) -> None:
        """Erase from the store what these replies were exchanged for, or `everything` that this notebook used.

        What a reply that stays shares with them is kept, here or in the store, and what another notebook used. Files
        are the user's own, and stay. Raises StoreError.
        """
        self._store.forget_exchanges(_keys(gone), self._notebook, _keys(stay), everything=everything)
        self._store.overwrite_erased()

    def clear(self) -> int:
        """Erase all that is in the store, of every notebook; give how many exchanges. Raises StoreError."""
        erased = self._store.clear_exchanges()
        self._store.overwrite_erased()
        return erased

    @property
    def sizes(self) -> Sizes:
        """Count what there is; raises StoreError."""
        return Sizes(*self._store.exchange_sizes(), len(self._loaded), len(self._used))
