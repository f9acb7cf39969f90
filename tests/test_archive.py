"""A conversation comes back from the disk as it was, and is gone for good where that was wanted."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic.archive import Archive, turn_from, turn_to
from kimi_magic.conversation import Conversation, Origin, Turn
from kimi_magic.errors import StoreError
from kimi_magic.messages import Image, Message, Text, ToolCall, Usage
from kimi_magic.reply import Reply, Timing
from kimi_magic.sent import Item, Sent
from kimi_magic.store import FILE, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = Image(b"\x89PNG not really " * 40, "image/png", 4, 3, "high")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def turn(text: str, *, picture: bool = False, parent: int = 0) -> Turn:
    parts = (Text(text), PICTURE) if picture else (Text(text),)
    question = Message("user", parts)
    items = (Item("df", "table", parts, "3 rows", ("a",), 3, ("ssn",), "9 rows"), Item("question", "question", ()))
    sent = Sent(
        question, items, system="Be brief.", model="@cf/m", endpoint="api.example.org", charged=True, max_tokens=9
    )
    reply = Reply(
        f"re: {text}",
        "thought",
        "stop",
        Usage(5, 1, 2, None, 0.25),
        "@cf/m",
        "m",
        Timing(0.5, 0.75, 1.5),
        "ray",
        9,
        (ToolCall("id", "name", "{}"),),
        badges=("local model",),
        sent=sent,
        remark="again",
    )
    opening = (Message.of("system", "Be brief."), question)
    return Turn(opening, reply, parent=parent, origin=Origin("cell", "run", 3))


def test_a_conversation_comes_back_as_it_was(store: Store) -> None:
    conversation = Conversation("debug")
    first = conversation.append(turn("one", picture=True))
    conversation.append(turn("two", parent=first.number))
    conversation.head = first.number
    conversation.dropped = frozenset({1})
    archive = Archive(store, "a.ipynb")
    archive.save(conversation)
    assert archive.load(conversation.id) == conversation


def test_turns_are_written_as_they_come_and_the_last_used_is_first(store: Store) -> None:
    archive = Archive(store, "a.ipynb")
    one, two = Conversation("one"), Conversation("two")
    for conversation in (one, two, one):
        conversation.append(turn(f"in {conversation.name}"))
        archive.save(conversation)
    assert [(kept.name, kept.turns) for kept in archive.kept()] == [("one", 2), ("two", 1)]
    assert Archive(store, "b.ipynb").kept() == []


def test_another_process_finds_what_was_kept(store: Store, tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.append(turn("kept", picture=True))
    Archive(store, "a.ipynb").save(conversation)
    again = Store(tmp_path)
    assert Archive(again, "a.ipynb").load(conversation.id).messages() == conversation.messages()
    again.close()


def test_what_is_forgotten_is_nowhere_in_the_file(store: Store, tmp_path: Path) -> None:
    archive = Archive(store, "a.ipynb")
    keep, lose = Conversation("keep"), Conversation("lose")
    keep.append(turn("KEPT-WORDS"))
    lose.append(turn("LOST-WORDS", picture=True))
    archive.save(keep)
    archive.save(lose)
    archive.forget([lose.id])
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert b"KEPT-WORDS" in content
    assert b"LOST-WORDS" not in content
    assert PICTURE.data not in content


@given(text=st.text(alphabet=st.characters(codec="utf-8"), min_size=1), picture=st.booleans())
def test_any_text_survives_json(*, text: str, picture: bool) -> None:
    pictures: dict[str, Image] = {}
    placed = Conversation().append(turn(text, picture=picture))
    data = json.loads(json.dumps(turn_to(placed, pictures)))
    assert turn_from(data, lambda digest: pictures[digest].data) == placed


def test_a_kill_at_any_moment_damages_nothing_and_loses_no_turn_that_was_kept(tmp_path: Path) -> None:
    from benchmarks.kills import kills

    assert kills(tmp_path, 12) == (0, 0)


def two_of(store: Store, names: str) -> tuple[Archive, Conversation, Conversation]:
    """A conversation that two kernels hold, with a turn for each name."""
    archive, mine = Archive(store, "a.ipynb"), Conversation()
    for name in names:
        mine.append(turn(name, parent=mine.head))
    archive.save(mine)
    return archive, mine, archive.load(mine.id)


def words(conversation: Conversation) -> list[str]:
    return [turn.words for turn in conversation.turns]


def test_what_another_kernel_forgot_is_kept_whole_again_or_not_at_all(store: Store) -> None:
    archive, mine, _ = two_of(store, "ab")
    archive.forget([mine.id])
    assert archive.kept() == []
    mine.append(turn("c", parent=mine.head))
    archive.save(mine)
    assert archive.load(mine.id) == mine
    assert words(mine) == ["a", "b", "c"]


def test_turns_that_could_not_be_written_are_written_with_the_next(store: Store, tmp_path: Path) -> None:
    archive, mine, _ = two_of(store, "a")
    mine.append(turn("b", parent=mine.head))
    blocker = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        Archive(Store(tmp_path, patience=0.01), "a.ipynb").save(mine)
    blocker.execute("ROLLBACK")
    blocker.close()
    mine.append(turn("c", parent=mine.head))
    archive.save(mine)
    assert archive.load(mine.id) == mine


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_a_file_that_is_damaged_on_the_way_costs_no_turn_of_a_running_kernel(store: Store, tmp_path: Path) -> None:
    archive, mine, _ = two_of(store, "a")
    store.close()
    (tmp_path / FILE).write_bytes(b"no database at all " * 500)
    mine.append(turn("b", parent=mine.head))
    archive.save(mine)
    assert archive.load(mine.id) == mine


def test_undo_in_one_kernel_leaves_the_newer_turn_of_another_in_place(store: Store) -> None:
    archive, mine, yours = two_of(store, "ab")
    mine.append(turn("c", parent=mine.head))
    archive.save(mine)
    yours.head = 1
    archive.save(yours)
    assert words(archive.load(mine.id)) == ["a", "b", "c"]
    assert words(archive.load(yours.id)) == ["a"]
    assert mine.id != yours.id


def test_a_store_that_lacks_a_turn_or_a_head_can_be_loaded(store: Store) -> None:
    archive, mine, _ = two_of(store, "abc")
    store.write(lambda connection: connection.execute("DELETE FROM turn WHERE number = 2"))
    assert words(archive.load(mine.id)) == ["c"]
    store.write(lambda connection: connection.execute("DELETE FROM turn WHERE number = 3"))
    assert words(archive.load(mine.id)) == ["a"]
    store.write(lambda connection: connection.execute("UPDATE turn SET data = '{}'"))
    with pytest.raises(StoreError, match="cannot be read"):
        archive.load(mine.id)
