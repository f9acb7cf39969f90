"""The session: one conversation, one turn at a time, usage added up. `ask` turns a question into events and a turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kimi_magic import models
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError, KimiError, TooLarge
from kimi_magic.events import Event, Idle
from kimi_magic.iothread import Feed, IOThread
from kimi_magic.messages import Message, Usage
from kimi_magic.models import Model
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


class Session:
    """The conversation of this kernel and what it has used."""

    def __init__(self, io: IOThread) -> None:
        self._io = io
        self._turn = threading.Lock()
        self._owner = 0
        self.conversation = Conversation()
        self.usage = Usage()
        self.cost = 0.0
        self.replies = 0
        self.unpriced = 0
        self.replayed = 0
        self.last_sent: Sent | None = None

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
        badges: tuple[str, ...] = (),
        charged: bool = True,
        endpoint: str = "",
        record: Callable[[Sent], None] | None = None,
        replay: Callable[[Request], Replay | None] | None = None,
    ) -> Asking:
        """Send a question now and give its events. Use it in a `with` block, or call `close`.

        `items` are what the question is made of. With `new` it begins a fresh conversation, which takes the old one's
        place once a reply has come; with `history=False` it is asked outside any. `charged` says that Cloudflare bills
        it; `record` is told what is sent to `endpoint`, just before that. Where `replay` gives what replays the reply,
        nothing is sent, recorded or billed. Raises CommandError for what cannot be sent, TooLarge where it cannot fit
        the model's window by any estimate, and what `replay` raises.
        """
        if self._owner == threading.get_ident():
            raise CommandError("A reply is still arriving in this cell.", hint="Ask again when it is complete.")
        try:
            self._turn.acquire()
            self._owner = threading.get_ident()
            conversation = self._conversation_for(new=new, history=history)
            opening = conversation.opening(question, settings.system)
            request = _request(conversation.messages + opening, settings, model)
            recorded = ""
            if replay is not None and (found := replay(request)) is not None:
                transport, recorded, record = found, found.recorded, None
                endpoint, charged, badges = "replayed from the journal", False, (*found.badges, *badges)
            sent = _sent(conversation, opening, items, request, endpoint, charged=charged)
            if record is not None:
                record(sent)
            self.last_sent = sent
            draft = Draft(request.model, request.max_tokens, settings.format, badges, charged, sent, recorded)
            return Asking(self, conversation, opening, request, transport, settings, draft, keep=history)
        except BaseException:
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
        charged: bool = True,
        endpoint: str = "",
    ) -> Sent:
        """Give what `ask` would send; raises what it would raise before that."""
        conversation = self._conversation_for(new=new, history=history)
        opening = conversation.opening(question, settings.system)
        request = _request(conversation.messages + opening, settings, model)
        return replace(_sent(conversation, opening, items, request, endpoint, charged=charged), dry=True)

    def room(self, settings: Settings, model: Model, *, new: bool = False, history: bool = True) -> int:
        """How many tokens a question may have: the window less the conversation so far and a quarter for the reply."""
        conversation = self._conversation_for(new=new, history=history)
        said = models.estimate_messages((*conversation.messages, Message.of("system", settings.system)))[0]
        reply = min(settings.max_tokens or model.usual, model.window // 4)
        return max(0, model.window - said - reply)

    def _conversation_for(self, *, new: bool, history: bool) -> Conversation:
        return self.conversation if history and not new else Conversation()

    def _give_turn(self) -> None:
        self._owner = 0
        self._turn.release()

    def _ended(self, conversation: Conversation, turn: Turn, *, keep: bool) -> None:
        try:
            if turn.messages and keep:
                conversation.append(turn)
                self.conversation = conversation
            self._count(turn.reply)
        finally:
            self._give_turn()

    def _count(self, reply: Reply) -> None:
        if reply.recorded:
            self.replayed += 1
        elif reply.text or reply.usage != Usage():
            self.replies += 1
            self.usage += reply.usage
            self.unpriced += reply.cost is None
            self.cost += reply.cost or 0.0

    def reset(self) -> None:
        """Begin a new conversation; the usage stays."""
        self.conversation = Conversation()


class Asking:
    """A question that was sent: its events as they come, the reply so far, and the way to stop it.

    Iterate it once. It ends with an error of ours, or when the reply is complete, or after `close` on any thread.
    """

    def __init__(
        self,
        session: Session,
        conversation: Conversation,
        opening: tuple[Message, ...],
        request: Request,
        transport: Transport,
        settings: Settings,
        draft: Draft,
        *,
        keep: bool,
    ) -> None:
        self._session = session
        self._keep = keep
        self._conversation = conversation
        self._opening = opening
        self._lock = threading.Lock()
        self._closed = False
        self.request = request
        self.draft = draft
        limits = Limits(
            settings.connect_timeout, settings.first_timeout, settings.idle_timeout, settings.timeout, settings.retries
        )
        self._feed: Feed[Event] = session._io.feed(  # noqa: SLF001  # the two are one thing in two lifetimes
            lambda emit: transport.stream(request, conversation.affinity, limits, emit)
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
                turn = Turn(self._opening, self.reply)
                self._session._ended(self._conversation, turn, keep=self._keep)  # noqa: SLF001  # see above


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
    conversation: Conversation,
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
        conversation.messages,
        opening[0].text if len(opening) > 1 else "",
        request.model,
        endpoint,
        charged,
        request.max_tokens,
    )
