"""A conversation comes back from the disk as it was, and is gone for good where that was wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic.archive import Archive, turn_from, turn_to
from kimi_magic.conversation import Conversation, Origin, Turn
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
        archive.save(conversation, conversation.append(turn(f"in {conversation.name}")))
    assert [(kept.name, kept.turns) for kept in archive.kept()] == [("one", 2), ("two", 1)]
    assert Archive(store, "b.ipynb").kept() == []


def test_another_process_finds_what_was_kept(store: Store, tmp_path: Path) -> None:
    conversation = Conversation()
    Archive(store, "a.ipynb").save(conversation, conversation.append(turn("kept", picture=True)))
    again = Store(tmp_path)
    assert Archive(again, "a.ipynb").load(conversation.id).messages() == conversation.messages()
    again.close()


def test_what_is_forgotten_is_nowhere_in_the_file(store: Store, tmp_path: Path) -> None:
    archive = Archive(store, "a.ipynb")
    keep, lose = Conversation("keep"), Conversation("lose")
    archive.save(keep, keep.append(turn("KEPT-WORDS")))
    archive.save(lose, lose.append(turn("LOST-WORDS", picture=True)))
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
