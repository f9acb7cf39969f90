"""Conversations on disk: values ↔ rows of the store, and ↔ files that people keep.

A turn is written when it ends, the head of its conversation with it, in one transaction: what was finished outlives
the kernel. The store holds the turns of a conversation up to a number, all of them; each writing adds those after it,
whatever has become of the file in between. Pictures are kept once, by their digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from sqlite3 import Connection
from typing import Any

from kimi_magic.calls import Outcome, Round
from kimi_magic.conversation import Conversation, Origin, Turn, fresh_id
from kimi_magic.errors import StoreError
from kimi_magic.messages import Image, Message, Part, Text, ToolCall, Usage
from kimi_magic.reply import Reply, Timing
from kimi_magic.sent import Item, Sent
from kimi_magic.store import Store

__all__ = ["Archive", "Kept", "lines", "turn_from", "turn_to"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation in the store: its `id`, name, notebook, when it was last used (seconds since 1970), its turns."""

    id: str
    name: str
    notebook: str
    used: float
    turns: int


_PLACES = "INSERT INTO conversation VALUES (:id, :name, :affinity, :notebook, :head, :dropped, :used) "
_OR_MOVE = "ON CONFLICT (id) DO UPDATE SET name = :name, head = :head, dropped = :dropped, used = :used"
_LIST = (
    "SELECT id, name, notebook, used, (SELECT count(*) FROM turn WHERE conversation = id) "
    "FROM conversation WHERE notebook = ? ORDER BY used DESC"
)
_LAST_TURN = "SELECT number, data FROM turn WHERE conversation = ? ORDER BY number DESC LIMIT 1"
_WHERE_IT_STANDS = "SELECT name, affinity, head, dropped FROM conversation WHERE id = ?"
_UNSEEN = "DELETE FROM picture WHERE NOT EXISTS (SELECT 1 FROM turn WHERE instr(data, picture.digest))"


class Archive:
    """The conversations of one notebook in the store. Raises StoreError where the store cannot be used."""

    def __init__(self, store: Store, notebook: str) -> None:
        self._store = store
        self.notebook = notebook

    def save(self, conversation: Conversation) -> None:
        """Keep where a conversation stands, and those of its turns that the store lacks.

        Where another kernel has gone on with the same conversation, this one is kept under an id of its own.
        """

        def write(connection: Connection) -> None:
            number, data = connection.execute(_LAST_TURN, (conversation.id,)).fetchone() or (0, "")
            ours = conversation.tree.get(number)
            if number and (ours is None or _text(turn_to(ours, {})) != data):
                conversation.id, number = fresh_id(), 0
            pictures: dict[str, Image] = {}
            new = [turn for turn in conversation.tree.values() if turn.number > number]
            turns = [(conversation.id, turn.number, _text(turn_to(turn, pictures))) for turn in new]
            shown = [(digest, picture.data) for digest, picture in pictures.items()]
            connection.execute(_PLACES + _OR_MOVE, self._row(conversation))
            connection.executemany("INSERT INTO turn VALUES (?, ?, ?)", turns)
            connection.executemany("INSERT OR IGNORE INTO picture VALUES (?, ?)", shown)

        self._store.write(write)

    def _row(self, conversation: Conversation) -> dict[str, Any]:
        return {
            "id": conversation.id,
            "name": conversation.name,
            "affinity": conversation.affinity,
            "notebook": self.notebook,
            "head": conversation.head,
            "dropped": json.dumps(sorted(conversation.dropped)),
            "used": time.time(),
        }

    def touch(self, id_: str) -> None:
        """Note that a conversation was used now."""
        used = "UPDATE conversation SET used = ? WHERE id = ?"
        self._store.write(lambda connection: connection.execute(used, (time.time(), id_)))

    def kept(self) -> list[Kept]:
        """List the conversations of this notebook, the last used first."""
        rows = self._store.read(lambda connection: connection.execute(_LIST, (self.notebook,)).fetchall())
        return [Kept(*row) for row in rows]

    def load(self, id_: str) -> Conversation:
        """Bring a conversation back as it was left; a turn that hangs on one which is missing begins a branch."""

        def read(connection: Connection) -> Conversation:
            name, affinity, head, dropped = connection.execute(_WHERE_IT_STANDS, (id_,)).fetchone()
            rows = connection.execute("SELECT data FROM turn WHERE conversation = ? ORDER BY number", (id_,))

            def picture(digest: str) -> bytes:
                found: bytes = connection.execute("SELECT data FROM picture WHERE digest = ?", (digest,)).fetchone()[0]
                return found

            tree: dict[int, Turn] = {}
            for (data,) in rows.fetchall():
                turn = turn_from(json.loads(data), picture)
                known = all(number in tree for number in (turn.parent, turn.summarises) if number)
                tree[turn.number] = turn if known else replace(turn, parent=0, summarises=0)
            last = head if head in tree else max(tree, default=0)
            return Conversation(name, affinity, tree, last, frozenset(json.loads(dropped)), id_)

        try:
            return self._store.read(read)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"A conversation in {self._store.path or 'memory'} cannot be read ({type(error).__name__}).",
                hint="Others can be resumed by their name: %kimi resume NAME.",
            ) from error

    def forget(self, ids: Sequence[str]) -> None:
        """Erase conversations for good, and the pictures that no other shows."""

        def write(connection: Connection) -> None:
            connection.executemany("DELETE FROM turn WHERE conversation = ?", [(id_,) for id_ in ids])
            connection.executemany("DELETE FROM conversation WHERE id = ?", [(id_,) for id_ in ids])
            connection.execute(_UNSEEN)

        self._store.write(write)
        self._store.overwrite_erased()


def _text(data: dict[str, Any]) -> str:
    """Write JSON; half of a surrogate pair, as a cut emoji leaves it, cannot be written to a file."""
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def turn_to(turn: Turn, pictures: dict[str, Image]) -> dict[str, Any]:
    """Give a turn as JSON, without what is as it always is; its pictures are added to `pictures`, by their digest."""
    reply = turn.reply
    data = _told(turn, {"opening", "reply", "origin"}) | {"number": turn.number}
    data["opening"] = [_message_to(message, pictures) for message in turn.opening]
    data["origin"] = _told(turn.origin)
    data["reply"] = _told(reply, _NOT_PLAIN)
    data["reply"] |= {"usage": _told(reply.usage), "timing": _told(reply.timing)}
    if reply.tool_calls:
        data["reply"]["tool_calls"] = [[call.id, call.name, call.arguments] for call in reply.tool_calls]
    if reply.rounds:
        data["reply"]["rounds"] = [_round_to(each, pictures) for each in reply.rounds]
    if reply.sent is not None:
        data["reply"]["sent"] = _sent_to(reply.sent, pictures)
    return {name: value for name, value in data.items() if value != {}}


_NOT_PLAIN = {"usage", "timing", "sent", "rounds", "tool_calls", "value", "frame"}


def _told(value: Any, left_out: Collection[str] = ()) -> dict[str, Any]:
    """Give the fields of a value that differ from their defaults."""
    return {
        field.name: getattr(value, field.name)
        for field in fields(value)
        if field.name not in left_out and getattr(value, field.name) != field.default
    }


def _message_to(message: Message, pictures: dict[str, Image]) -> dict[str, Any]:
    return _told(message, {"parts"}) | {"parts": [_part_to(part, pictures) for part in message.parts]}


def _part_to(part: Part, pictures: dict[str, Image]) -> Any:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, ToolCall):
        return {"call": [part.id, part.name, part.arguments]}
    digest = hashlib.sha256(part.data).hexdigest()
    pictures[digest] = part
    return {"picture": digest, "type": part.media_type, "size": [part.width, part.height], "detail": part.detail}


def _round_to(done: Round, pictures: dict[str, Image]) -> dict[str, Any]:
    return _told(done, {"outcomes"}) | {"outcomes": [_outcome_to(one, pictures) for one in done.outcomes]}


def _outcome_to(outcome: Outcome, pictures: dict[str, Image]) -> dict[str, Any]:
    """Everything but the value, which stays in the kernel, and its item, which is in the ledger."""
    data = _told(outcome, {"call", "parts", "value", "item"})
    call, parts = _part_to(outcome.call, pictures), [_part_to(part, pictures) for part in outcome.parts]
    return data | {"call": call} | ({"parts": parts} if parts else {})


def _round_from(data: dict[str, Any], picture: Callable[[str], bytes]) -> Round:
    outcomes = tuple(_outcome_from(one, picture) for one in data["outcomes"])
    return Round(data["text"], data.get("thinking", ""), outcomes, data.get("told", ""))


def _outcome_from(data: dict[str, Any], picture: Callable[[str], bytes]) -> Outcome:
    parts = tuple(_part_from(part, picture) for part in data.get("parts", ()))
    return Outcome(**data | {"call": ToolCall(*data["call"]["call"]), "parts": parts})


def _sent_to(sent: Sent, pictures: dict[str, Image]) -> dict[str, Any]:
    """Everything but the messages: those of the question and before it are the turn's own, and its parents'."""
    items = [_item_to(item, pictures) for item in sent.items]
    return _told(sent, {"question", "items", "before", "carried"}) | {"items": items}


def _item_to(item: Item, pictures: dict[str, Image]) -> dict[str, Any]:
    return _told(item, {"parts"}) | {"parts": [_part_to(part, pictures) for part in item.parts]}


def turn_from(data: dict[str, Any], picture: Callable[[str], bytes]) -> Turn:
    """Read a turn again; `picture` gives the bytes of one by its digest. `reply.sent` lacks what stood before it."""
    opening = tuple(_message_from(message, picture) for message in data["opening"])
    reply = {name: value for name, value in data["reply"].items() if name in _REPLY}
    reply |= {"usage": Usage(**reply.get("usage", {})), "timing": Timing(**reply.get("timing", {}))}
    reply |= {name: tuple(reply[name]) for name in ("badges", "exchanges") if name in reply}
    if "tool_calls" in reply:
        reply["tool_calls"] = tuple(ToolCall(*call) for call in reply["tool_calls"])
    if "rounds" in reply:
        reply["rounds"] = tuple(_round_from(each, picture) for each in reply["rounds"])
    if "sent" in reply:
        reply["sent"] = _sent_from(reply["sent"], opening[-1], picture)
    origin = Origin(**data.get("origin", {}))
    return Turn(opening, Reply(**reply), data["number"], data.get("parent", 0), origin, data.get("summarises", 0))


_REPLY = {field.name for field in fields(Reply)}


def _message_from(data: dict[str, Any], picture: Callable[[str], bytes]) -> Message:
    return Message(**data | {"parts": tuple(_part_from(part, picture) for part in data["parts"])})


def _part_from(data: Any, picture: Callable[[str], bytes]) -> Part:
    if isinstance(data, str):
        return Text(data)
    if "call" in data:
        return ToolCall(*data["call"])
    width, height = data["size"]
    return Image(picture(data["picture"]), data["type"], width, height, data["detail"])


def _sent_from(data: dict[str, Any], question: Message, picture: Callable[[str], bytes]) -> Sent:
    items = tuple(_item_from(item, picture) for item in data["items"])
    return Sent(question, items, **{name: value for name, value in data.items() if name != "items"})


def _item_from(data: dict[str, Any], picture: Callable[[str], bytes]) -> Item:
    parts = tuple(_part_from(part, picture) for part in data["parts"])
    columns, withheld = tuple(data.get("columns", ())), tuple(data.get("withheld", ()))
    return Item(**data | {"parts": parts, "columns": columns, "withheld": withheld})


def lines(conversation: Conversation) -> Iterator[str]:
    """Give a conversation as JSON lines, pictures inside: what `%kimi import` reads again."""
    first = {"kimi_magic": "conversation", "version": 1, "name": conversation.name, "head": conversation.head}
    yield _line(first | ({"dropped": sorted(conversation.dropped)} if conversation.dropped else {}))
    for turn in conversation.tree.values():
        pictures: dict[str, Image] = {}
        data = turn_to(turn, pictures)
        encoded = {digest: base64.b64encode(image.data).decode() for digest, image in pictures.items()}
        yield _line(data | ({"pictures": encoded} if encoded else {}))


def _line(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=True) + "\n"
