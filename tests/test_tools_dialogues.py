"""Two hundred dialogues with tools over a real socket, in every shape that calls come in: none loses its conversation.

What each holds is drawn from its number: the shape of the calls, how many of them in how many rounds, what comes of
each, text beside them, thinking, and whether the reply streams.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import kimi_magic
from kimi_magic import kernel
from kimi_magic.local.directives import SHAPES
from tests.dialogues import messages_of, raw_messages_of, requires_answers

if TYPE_CHECKING:
    from tests.conftest import Seen


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def fail(why: str) -> None:
    """Raise."""
    raise OSError(why)


async def wait(text: str) -> str:
    """Give a text back, later."""
    return text


def half() -> str:
    """Give half of a character."""
    return "\ud83d"


def picture() -> Any:
    """Draw something."""
    from PIL import Image

    return Image.new("RGB", (40, 30), "red")


TOOLS = (add, fail, wait, half, picture)
WAYS = {
    'add {"a": 1, "b": 5}': "done",
    'add {"a": "40"}': "done",
    'add "{\\"a\\": 1}"': "done",  # encoded twice
    'wait {"text": "ünï\\n<<>"}': "done",
    'wait {"text": "\\ud83d"}': "invalid",
    "half": "done",
    "picture {}": "done",
    'fail {"why": "no such file"}': "failed",
    'nope {"a": 1}': "unknown",
    "wéather!/x {}": "unknown",
    'add {"a": 1,': "invalid",
    "add [1, 2]": "invalid",
    "add nonsense": "invalid",
    'add {"a": 1, "c": 3}': "invalid",
    'add {"a": "x"}': "invalid",
    'add {"b": 1}': "invalid",
    "add null": "invalid",
}
"""Calls, and what comes of them."""


@dataclass(frozen=True)
class Dialogue:
    """One dialogue: the calls of each round, and how they come."""

    rounds: tuple[tuple[str, ...], ...]
    shape: str
    beside: bool
    thinking: bool
    frames: str

    @classmethod
    def drawn(cls, number: int) -> Dialogue:
        draw = random.Random(number)  # noqa: S311  # the same dialogue in every run
        rounds = tuple(tuple(draw.choices(list(WAYS), k=draw.randint(1, 4))) for _ in range(draw.randint(1, 4)))
        shape = SHAPES[number % len(SHAPES)]
        thinking = shape == "leaked-thinking" or draw.random() < 0.5
        old = "<<frames legacy>>" if shape == "leaked" else "<<frames reasoning>>"
        frames = draw.choice(["", "<<frames both>>", "<<json>>", old, "<<usage in-choice>>", "<<keepalive>>"])
        return cls(rounds, shape, draw.random() < 0.5, thinking, frames)

    @property
    def question(self) -> str:
        beside = "<<beside Let me see. >>" if self.beside else ""
        think = "<<think hm>>" if self.thinking else ""
        parts = ["".join(f"<<tool {call}>>" for call in calls) + beside + think for calls in self.rounds]
        return f"My name is Ada.<<calls {self.shape}>>{self.frames}" + "<<then>>".join([*parts, "<<say All done.>>"])


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("number", range(200))
def test_a_dialogue_answers_every_call_and_goes_on(number: int, seen: Seen) -> None:
    dialogue = Dialogue.drawn(number)
    effort = None if dialogue.thinking else "off"
    reply = kimi_magic.ask(dialogue.question, tools=TOOLS, new=True, quiet=True, effort=effort, max_tokens=500)
    assert (reply.text, reply.finish) == ("All done.", "stop")
    assert [outcome.state for outcome in reply.calls] == [WAYS[call] for calls in dialogue.rounds for call in calls]
    assert [each.text.strip() for each in reply.rounds] == ["Let me see." * dialogue.beside] * len(dialogue.rounds)
    assert "Ada" in kimi_magic.ask("What is my name?", quiet=True).text
    requests = seen.all()
    assert len(requests) == len(dialogue.rounds) + 2
    for earlier, later in itertools.pairwise(requests):
        assert raw_messages_of(later).startswith(raw_messages_of(earlier).removesuffix("]"))
    assert len({json.dumps(json.loads(str(request["body"]))["tools"]) for request in requests[:-1]}) == 1
    requires_answers(messages_of(requests[-1]), sum(map(len, dialogue.rounds)))
    assert len(kernel.current().conversation.turns) == 2


def test_the_dialogues_have_everything_in_them() -> None:
    drawn = [Dialogue.drawn(number) for number in range(200)]
    assert {dialogue.shape for dialogue in drawn} == set(SHAPES)
    assert {call for dialogue in drawn for calls in dialogue.rounds for call in calls} == set(WAYS)
    assert {len(dialogue.rounds) for dialogue in drawn} == {1, 2, 3, 4}
    assert len({(dialogue.beside, dialogue.thinking, dialogue.frames) for dialogue in drawn}) > 20
