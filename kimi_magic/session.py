"""The session: one conversation, one turn at a time, and its books. `ask` turns a question into events and a turn."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kimi_magic import models
from kimi_magic.archive import Archive
from kimi_magic.books import Books, Hold
from kimi_magic.conversation import NOWHERE, Conversation, Origin, Position, Turn
from kimi_magic.errors import CommandError, KimiError, TooLarge
from kimi_magic.events import Event, Idle
from kimi_magic.iothread import Feed, IOThread
from kimi_magic.messages import Message, Usage
from kimi_magic.models import Model
from kimi_magic.prefix import Round
from kimi_magic.reply import Draft, Reply
from kimi_magic.sent import Item, Sent
from kimi_magic.settings import Settings
from kimi_magic.transport import Limits, Transport
from kimi_magic.wire import Request

if TYPE_CHECKING:
    from kimi_magic.journal import Replay

__all__ = ["Asking", "Session"]

_LEAST_OUTPUT = 256
_OUTPUT_BESIDE_PICTURES = 4_096
"""A reply's limit where pictures might fill the window, if the service counts them in the dearest way."""
_LAST_WORDS = 0.05
"""Seconds that a cut reply waits for what it has cost; the connection closes in a third of that."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What becomes of a reply that has ended: the turn it completes, unless `keep` is false, and the money held for it.

    With `aside` it is asked in another conversation than the one in use, which stays in use.
    """

    conversation: Conversation
    turn: Turn
    hold: Hold
    keep: bool
    aside: bool


class Session:
    """The conversation of this kernel and what it has used."""

    def __init__(self, io: IOThread, books: Books | None = None) -> None:
        self._io = io
        self._turn = threading.Lock()
        self._owner = 0
        self.conversation = Conversation()
        self.conversations = {self.conversation.name: self.conversation}
        self.books = books or Books()
        self.requests: list[Round] = []
        self.last_sent: Sent | None = None
        self._told = False
        self.archive: Archive | None = None

    def ask(
        self,
        question: Message,
        settings: Settings,
        transport: Transport,
        model: Model,
        *,
        items: tuple[Item, ...] = (),
        new: bool = False,
        history: bool = True,
        past: Conversation | None = None,
        badges: tuple[str, ...] = (),
        charged: bool = True,
        endpoint: str = "",
        record: Callable[[Sent], None] | None = None,
        origin: Origin = NOWHERE,
        name: str = "",
        replay: Callable[[Request], Replay | None] | None = None,
    ) -> Asking:
        """Send a question now and give its events. Use it in a `with` block, or call `close`.

        `items` are what the question is made of. With `new` it begins a fresh conversation, which takes the old one's
        place once a reply has come; with `history=False` it is asked outside any, after the `past` given, if one is;
        `name` asks in another conversation.
        `origin` is where it is asked: a cell that runs again takes the place of its turn. `charged` says that
        Cloudflare bills it; `record` is told what is sent to `endpoint`, just before that. Where `replay` gives what
        replays the reply, nothing is sent, recorded or billed. Raises CommandError for what cannot be sent, TooLarge
        where it cannot fit the model's window by any estimate, BudgetReached, and what `replay` raises.
        """
        if self._owner == threading.get_ident():
            raise CommandError("A reply is still arriving in this cell.", hint="Ask again when it is complete.")
        hold = Hold()
        try:
            self._turn.acquire()
            self._owner = threading.get_ident()
            conversation = past or self._conversation_for(name, new=new, history=history)
            place = conversation.position(origin)
            before = conversation.seen(place.parent)
            opening = conversation.opening(question, settings.system, place.parent)
            wanted = _request(conversation.messages(place.parent) + opening, settings, model)
            recorded = ""
            if replay is not None and (found := replay(wanted)) is not None:
                transport, recorded, record = found, found.recorded, None
                endpoint, charged, badges = "replayed from the journal", False, (*found.badges, *badges)
            request, hold = self.books.admit(wanted, settings.budget, charged=charged)
            sent = _sent(before, opening, items, request, endpoint, charged=charged)
            if record is not None:
                record(sent)
            self.last_sent = sent
            draft = Draft(
                request.model,
                request.max_tokens,
                settings.format,
                badges,
                charged,
                sent,
                remark=self._remark(conversation, place, origin, question),
                budget=str(settings.budget) if request.max_tokens < wanted.max_tokens else "",
                recorded=recorded,
            )
            turn = Turn(opening, draft.reply, parent=place.parent, origin=origin)
            keeping = Keeping(conversation, turn, hold, keep=history, aside=bool(name))
            return Asking(self, keeping, request, transport, settings, draft)
        except BaseException:
            self.books.release(hold)
            if self._owner == threading.get_ident():  # not where Ctrl-C ended the wait for another thread's turn
                self._give_turn()
            raise

    def preview(
        self,
        question: Message,
        settings: Settings,
        model: Model,
        *,
        items: tuple[Item, ...],
        new: bool = False,
        history: bool = True,
        past: Conversation | None = None,
        charged: bool = True,
        endpoint: str = "",
        origin: Origin = NOWHERE,
        name: str = "",
        recorded: Callable[[Request], str] | None = None,
    ) -> Sent:
        """Give what `ask` would send; raises what it would raise before that.

        Where `recorded` says that the journal has the reply, it says when that was recorded, and nothing would be sent.
        """
        conversation = past or self._conversation_for(name, new=new, history=history)
        parent = conversation.position(origin).parent
        before = conversation.seen(parent)
        opening = conversation.opening(question, settings.system, parent)
        request = _request(conversation.messages(parent) + opening, settings, model)
        if recorded is not None and (when := recorded(request)):
            endpoint, charged = f"replayed from the journal ({when}): nothing is sent", False
        return replace(_sent(before, opening, items, request, endpoint, charged=charged), dry=True)

    def room(
        self,
        settings: Settings,
        model: Model,
        *,
        new: bool = False,
        history: bool = True,
        past: Conversation | None = None,
        origin: Origin = NOWHERE,
        name: str = "",
    ) -> int:
        """How many tokens a question may have: the window less the conversation so far and a quarter for the reply."""
        conversation = past or self._conversation_for(name, new=new, history=history)
        before = conversation.messages(conversation.position(origin).parent)
        said = models.estimate_messages((*before, Message.of("system", settings.system)))[0]
        reply = min(settings.max_tokens or model.usual, model.window // 4)
        return max(0, model.window - said - reply)

    def _conversation_for(self, name: str, *, new: bool, history: bool) -> Conversation:
        if not history:
            return Conversation("")
        if new:
            return Conversation(name or self._fresh_name())
        return self.conversations.get(name) or Conversation(name) if name else self.conversation

    def switch(self, conversation: Conversation) -> None:
        """Go on in this conversation."""
        self.conversations[conversation.name] = conversation
        self.conversation = conversation

    def use(self, conversation: Conversation) -> None:
        """Go on in this conversation, after a restart as well."""
        self.switch(conversation)
        self._keep(lambda archive: archive.touch(conversation.id))

    def save(self, conversation: Conversation) -> None:
        """Keep a conversation as it stands; what cannot be kept is told and goes on in memory."""
        self._keep(lambda archive: archive.save(conversation))

    def _keep(self, write: Callable[[Archive], None]) -> None:
        if self.archive is None:
            return
        try:
            write(self.archive)
        except KimiError as error:
            warnings.warn(f"This conversation is not kept on disk. {error.message} {error.hint}", stacklevel=2)

    def add(self, conversation: Conversation) -> None:
        """Take up a conversation from elsewhere; a name that is in use gets a number."""
        conversation.name = self._free(conversation.name)
        self.conversations[conversation.name] = conversation

    def _free(self, name: str) -> str:
        """Give this name, or where a conversation with turns has it, one with a number."""
        names = (name, *(f"{name}-{n}" for n in range(2, len(self.conversations) + 3)))
        taken = {name for name, one in self.conversations.items() if one.tree}
        return next(name for name in names if name not in taken)

    def leave(self, conversations: Iterable[Conversation]) -> None:
        """Let go of conversations; where the one in use is among them, another one goes on, or a new one."""
        gone = {conversation.id for conversation in conversations}
        self.conversations = {name: one for name, one in self.conversations.items() if one.id not in gone}
        if self.conversation.id in gone:
            self.last_sent = None
            self.switch(next(reversed(self.conversations.values()), Conversation()))

    def _fresh_name(self) -> str:
        """Name a conversation that was begun with --new: what it leaves behind keeps its own name."""
        return self._free("main") if self.conversation.tree else self.conversation.name

    def _displaced(self, conversation: Conversation) -> Conversation | None:
        """Give the conversation whose name this one takes, as --session NAME --new does."""
        other = self.conversations.get(conversation.name)
        return other if other is not None and other is not conversation and other.tree else None

    def _name(self, conversation: Conversation) -> None:
        """Know a conversation by its name; another one that had it goes on under a number."""
        if (other := self._displaced(conversation)) is not None:
            self.add(other)
            self.save(other)
        self.conversations[conversation.name] = conversation

    def _remark(self, conversation: Conversation, place: Position, origin: Origin, question: Message) -> str:
        """Say what becomes of earlier turns where a cell runs again; once, where that cannot be known."""
        if place.replaces:
            later = len(conversation.after(place.replaces))
            stale = (
                f"; {later} later turn{' is' if later == 1 else 's are'} stale (%kimi history --all)" if later else ""
            )
            return f"This cell ran again: its reply takes the place of turn {place.replaces}{stale}."
        if place.elsewhere:
            return f"This cell ran again: its turn {place.elsewhere} is on another branch, so it asked at the end."
        if (other := self._displaced(conversation)) is not None:
            return f"The conversation {other.name} of before goes on as {self._free(other.name)}."
        asked_before = any(turn.question == question for turn in conversation.turns)
        if origin.run and not origin.cell and asked_before and not self._told:
            self._told = True
            return "This front end does not name its cells: one that runs again asks anew, at the end."
        return ""

    def _give_turn(self) -> None:
        self._owner = 0
        self._turn.release()

    def _ended(self, keeping: Keeping, request: Request, reply: Reply) -> None:
        conversation, turn = keeping.conversation, replace(keeping.turn, reply=reply)
        turns = tuple(each.number for each in conversation.seen(turn.parent))
        try:
            if turn.messages and keeping.keep:
                turns = (*turns, conversation.append(turn).number)
                self._name(conversation)
                self.save(conversation)
                if not keeping.aside:
                    self.conversation = conversation
            self._log(reply, request, conversation.affinity, turns)
            self.books.settle(keeping.hold, reply, reply.sent.endpoint if reply.sent else "", conversation.id)
        finally:
            self._give_turn()

    def _log(self, reply: Reply, request: Request, affinity: str, turns: tuple[int, ...]) -> None:
        if reply.text or reply.thinking or reply.usage != Usage():
            items = reply.sent.items if reply.sent else ()
            replayed = bool(reply.recorded)
            self.requests.append(Round(request, affinity, items, reply.usage, time.time(), replayed, turns))

    def reset(self) -> None:
        """Begin a new conversation; the usage stays, and so does the old one, under its name."""
        self.switch(Conversation(self._fresh_name()))


class Asking:
    """A question that was sent: its events as they come, the reply so far, and the way to stop it.

    Iterate it once. It ends with an error of ours, or when the reply is complete, or after `close` on any thread.
    """

    def __init__(
        self,
        session: Session,
        keeping: Keeping,
        request: Request,
        transport: Transport,
        settings: Settings,
        draft: Draft,
    ) -> None:
        self._session = session
        self._keeping = keeping
        self._lock = threading.Lock()
        self._closed = False
        self.request = request
        self.draft = draft
        limits = Limits(
            settings.connect_timeout, settings.first_timeout, settings.idle_timeout, settings.timeout, settings.retries
        )
        self._feed: Feed[Event] = session._io.feed(  # noqa: SLF001  # the two are one thing in two lifetimes
            lambda emit: transport.stream(request, keeping.conversation.affinity, limits, emit)
        )

    @property
    def reply(self) -> Reply:
        """The reply so far; whole once the events have ended."""
        return self.draft.reply

    def __iter__(self) -> Asking:
        return self

    def __next__(self) -> Event:
        try:
            event = next(self._feed) or Idle()
        except KimiError as error:
            self.close()
            if self.reply.text or self.reply.thinking:
                error.reply = self.reply
                error.hint = f"What had arrived is kept, marked as cut. {error.hint}"
            raise
        except StopIteration:
            self.close()
            raise
        self.draft.add(event)
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        # Ctrl-C can come between the sending and the `with`; then nobody else can give the turn back.
        if hasattr(self, "_feed"):
            self.close()

    def close(self) -> None:
        """End it: a reply that is not complete is cut, stays in the conversation, and its connection is closed."""
        with self._lock:  # held to the end: who comes second finds everything done
            if self._closed:
                return
            self._closed = True
            try:
                self._feed.close()
                for event in self._feed.rest(_LAST_WORDS):
                    self.draft.add(event)
            finally:
                self.draft.stop()
                self._session._ended(self._keeping, self.request, self.reply)  # noqa: SLF001  # see above


def _request(messages: tuple[Message, ...], settings: Settings, model: Model) -> Request:
    if settings.effort == "off" and model.thinking == "always":
        raise CommandError(f"{model.id} always thinks.", hint="Ask with --effort low, or choose another model.")
    if model.vision is False and any(message.images for message in messages):
        raise CommandError(
            f"{'The local model' if model.id == models.LOCAL else model.id} does not see pictures, and this holds one.",
            hint="Ask one that does (-m k2.6), or leave pictures out: --detail none; --new leaves earlier ones behind.",
        )
    try:
        "\n".join(message.text for message in messages).encode()
    except UnicodeEncodeError:
        raise CommandError(
            "The question holds half of a character (a lone surrogate), which cannot be sent.",
            hint="It comes from text decoded with errors='surrogateescape' or cut in the middle of an emoji.",
        ) from None
    return Request(
        model.id,
        messages,
        _max_tokens(messages, settings.max_tokens, model),
        settings.temperature,
        settings.top_p,
        settings.effort,
    )


def _max_tokens(messages: tuple[Message, ...], wanted: int | None, model: Model) -> int:
    """Clamp the reply's limit: the service refuses a request whose input and limit together pass the window."""
    least, most = models.estimate_messages(messages)
    if least >= model.window:
        raise TooLarge(
            f"The conversation is about {least:,} tokens at least; {model.id} holds {model.window:,}.",
            hint="Begin a new conversation with --new, or shorten the question.",
        )
    pictures = any(message.images for message in messages)
    room = max(_OUTPUT_BESIDE_PICTURES if pictures else _LEAST_OUTPUT, model.window - most)
    return min(wanted or model.usual, model.output, room)


def _sent(
    before: tuple[Turn, ...],
    opening: tuple[Message, ...],
    items: tuple[Item, ...],
    request: Request,
    endpoint: str,
    *,
    charged: bool,
) -> Sent:
    question = opening[-1]
    return Sent(
        question,
        items or (Item("question", "question", question.parts),),
        tuple(message for turn in before for message in turn.messages),
        tuple(item for turn in before if turn.reply.sent for item in turn.reply.sent.items),
        opening[0].text if len(opening) > 1 else "",
        request.model,
        endpoint,
        charged,
        request.max_tokens,
    )
