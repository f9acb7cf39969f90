"""The session: conversations, one turn at a time, and its books. `ask` turns a question into events and a turn."""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from kimi_magic import models
from kimi_magic import request as compose
from kimi_magic.archive import Archive
from kimi_magic.asking import Answering, Asking, Plan
from kimi_magic.books import Books, Hold
from kimi_magic.conversation import NOWHERE, Conversation, Origin, Position, Turn
from kimi_magic.errors import CommandError, KimiError
from kimi_magic.iothread import IOThread
from kimi_magic.messages import Message, Usage
from kimi_magic.models import Model
from kimi_magic.prefix import Entry
from kimi_magic.reply import Reply
from kimi_magic.sent import Item, Sent
from kimi_magic.settings import Settings
from kimi_magic.transport import Transport
from kimi_magic.wire import Request

if TYPE_CHECKING:
    from kimi_magic.journal import Replay
    from kimi_magic.schema import Output

__all__ = ["Asking", "Session"]


class Session:
    """The conversation of this kernel and what it has used."""

    def __init__(self, io: IOThread, books: Books | None = None) -> None:
        self._io = io
        self._turn = threading.Lock()
        self._placing = threading.RLock()
        self._owner = 0
        self._open: weakref.WeakSet[Asking] = weakref.WeakSet()  # of the thread whose turn it is
        self.conversation = Conversation()
        self.conversations = {self.conversation.name: self.conversation}
        self.books = books or Books()
        self.requests: list[Entry] = []
        self.last_sent: Sent | None = None
        self.schemaless: set[tuple[str, str]] = set()  # endpoints and models that take no JSON Schema
        self._told = False
        self.archive: Archive | None = None
        self.closed = False
        self.watchers: list[Callable[[], None]] = []  # told on any thread of every change; they return at once

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
        tools: Answering | None = None,
        out: Output | None = None,
    ) -> Asking:
        """Send a question now and give its events. Use it in a `with` block, or call `close`.

        `items` are what the question is made of. With `new` it begins a fresh conversation, which takes the old one's
        place once a reply has come; with `history=False` it is asked outside any, after the `past` given, if one is;
        `name` asks in another conversation.
        `origin` is where it is asked: a cell that runs again takes the place of its turn. `charged` says that
        Cloudflare bills it; `record` is told what is sent to `endpoint`, just before that. Where `replay` gives what
        replays the reply, nothing is sent, recorded or billed. The model may call `tools`, whose results it is sent in
        further rounds; its reply has to be what `out` says, or it is asked once to mend it. A question of
        a conversation waits for the one before it; one outside of any waits for none, so a tool may ask it, or who has
        not read a stream to its end. Raises CommandError for what cannot be sent, TooLarge where it cannot fit the
        model's window by any estimate, BudgetReached, and what `replay` raises.
        """
        if history and self._owner == threading.get_ident():
            if any(one.arriving for one in self._open):
                raise CommandError("A reply is still arriving in this cell.", hint="Ask again when it is complete.")
            raise CommandError(
                "A tool cannot ask in the conversation: the question that called it is not answered yet.",
                hint="history=False asks outside of any; so does a function of @kimi_magic.fn.",
            )
        try:
            if history:
                self._turn.acquire()
                self._owner = threading.get_ident()
            conversation = past or self._conversation_for(name, new=new, history=history)
            place = conversation.position(origin)
            opening = conversation.opening(question, settings.system, place.parent)
            turn = Turn(opening, Reply(), parent=place.parent, origin=replace(origin, replaces=0))
            plan = Plan(
                conversation,
                turn,
                settings,
                model,
                transport,
                endpoint,
                charged,
                badges,
                record,
                replay,
                tools,
                out,
                keep=history,
                aside=bool(name),
            )
            asking = Asking(self, plan, items, self._remark(conversation, place, origin, question))
            if history:
                self._open.add(asking)
            return asking  # noqa: TRY300  # Ctrl-C may come up to here
        except BaseException:
            if history and self._owner == threading.get_ident():  # not where Ctrl-C ended the wait for another's turn
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
        request = compose.request(conversation.messages(parent) + opening, settings, model)
        if recorded is not None and (when := recorded(request)):
            endpoint, charged = f"replayed from the journal ({when}): nothing is sent", False
        return replace(compose.sent(before, opening, items, request, endpoint, charged), dry=True)

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

    def begin(self, name: str, *, new: bool) -> Conversation:
        """Give the conversation of this name, empty for the one in use; a new one goes on from here at once."""
        conversation = self._conversation_for(name, new=new, history=True)
        with self._placing:
            self._name(conversation)
        if new and not name:
            self.conversation = conversation
        return conversation

    def switch(self, conversation: Conversation) -> None:
        """Go on in this conversation."""
        self.conversations[conversation.name] = conversation
        self.conversation = conversation
        self.tell()

    def tell(self) -> None:
        """Tell those who watch that something has changed."""
        for watcher in tuple(self.watchers):
            watcher()

    def wait_for_turn(self, seconds: float) -> bool:
        """Wait until no question is on its way, so long at most; say whether that is so."""
        free = self._turn.acquire(timeout=seconds)
        if free:
            self._turn.release()
        return free

    def use(self, conversation: Conversation) -> None:
        """Go on in this conversation, after a restart as well."""
        self.switch(conversation)
        self._keep(lambda archive: archive.touch(conversation.id))

    def save(self, conversation: Conversation) -> None:
        """Keep a conversation as it stands; what cannot be kept is told and goes on in memory."""
        self._keep(lambda archive: archive.save(conversation))
        self.tell()

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
        if origin.replaces:
            return ""
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

    def place(self, conversation: Conversation, turn: Turn, head: int) -> Turn:
        """Put a turn where it was asked some time ago, when the last turn was `head`; on any thread.

        Where nothing was asked since then the conversation goes on from it; else it is a branch of its own. Raises
        StoreError where it is there, and not kept on disk.
        """
        with self._placing:
            last = conversation.head
            placed = conversation.append(turn)
            if last != head:
                conversation.head = last
            if self.archive is not None:
                self.archive.save(conversation)
        self.tell()
        return placed

    def _give_turn(self) -> None:
        self._owner = 0
        self._turn.release()

    def _ended(self, plan: Plan, reply: Reply) -> int:
        """Put a reply that has ended, cut or whole, in its place, and let the next question come.

        Gives the number of its turn, 0 where it has none.
        """
        conversation, turn = plan.conversation, replace(plan.turn, reply=reply)
        try:
            self.books.write()
            if not turn.messages or not plan.keep:
                self.tell()
                return 0
            with self._placing:
                number = conversation.append(turn).number
                self._name(conversation)
                if not plan.aside:
                    self.conversation = conversation
                self.save(conversation)
            return number
        finally:
            if plan.keep:
                self._give_turn()

    def _count(self, plan: Plan, request: Request, reply: Reply, hold: Hold, *, more: bool) -> None:
        """Enter one round in the books, and in the log of what was sent; `more` rounds may be to come."""
        if reply.text or reply.thinking or reply.tool_calls or reply.usage != Usage():
            items = reply.sent.items if reply.sent else ()
            affinity, replayed = plan.conversation.affinity, bool(reply.recorded)
            turns = tuple(each.number for each in plan.conversation.seen(plan.turn.parent))
            if plan.keep:
                turns = (*turns, plan.conversation.next_number)
            self.requests.append(Entry(request, affinity, items, reply.usage, time.time(), replayed, turns))
        self.books.settle(hold, reply, plan.endpoint, plan.conversation.id, more=more)

    def reset(self) -> None:
        """Begin a new conversation; the usage stays, and so does the old one, under its name."""
        self.switch(Conversation(self._fresh_name()))
