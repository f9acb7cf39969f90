"""The session over a real socket: a conversation that grows, limits that are clamped, turns that are cut."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic import errors, models
from kimi_magic.events import Idle, TextDelta
from kimi_magic.iothread import IOThread
from kimi_magic.messages import Message, Usage
from kimi_magic.session import Asking, Session
from kimi_magic.settings import Secret, Settings
from kimi_magic.transport import Endpoint, HttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kimi_magic.local.launch import Local
    from kimi_magic.reply import Reply
    from tests.conftest import Seen


class Asker:
    """A session on the scripted server."""

    def __init__(self, server: Local) -> None:
        self.io = IOThread()
        self.session = Session(self.io)
        self.transport = HttpTransport(Endpoint.workers_ai(server.url, "0" * 32, Secret(server.token), "run"))

    def send(self, text: str, *, settings: Settings | None = None, model: str = models.DEFAULT, **more: Any) -> Asking:
        question = Message.of("user", text)
        return self.session.ask(question, settings or Settings(), self.transport, models.known(model), **more)

    def ask(self, text: str, **more: Any) -> Reply:
        with self.send(text, **more) as asking:
            for _ in asking:
                pass
        return asking.reply


@pytest.fixture
def asker(server: Local) -> Iterator[Asker]:
    asker = Asker(server)
    yield asker
    asker.io.stop(asker.transport.close())


def messages(request: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in json.loads(request["body"])["messages"]]


def test_a_reply_is_the_sum_of_its_events(asker: Asker) -> None:
    reply = asker.ask("<<think first this>><<say Hello **there**>>")
    assert (reply.text, reply.thinking, reply.finish) == ("Hello **there**", "first this", "stop")
    assert reply.usage.output > 0
    assert reply.timing.first is not None
    assert reply.timing.text is not None
    assert 0 < reply.timing.first <= reply.timing.text <= reply.timing.total
    assert reply.request_id


def test_what_was_sent_is_sent_again_unchanged_and_only_grows(asker: Asker, seen: Seen) -> None:
    for text in ("one <<say 1>>", "two <<say 2>>", "three <<say 3>>"):
        asker.ask(text, settings=Settings(system="Be brief."))
    bodies: list[Any] = seen.all()
    said = [messages(request) for request in bodies]
    assert said[2] == [
        ("system", "Be brief."),
        ("user", "one <<say 1>>"),
        ("assistant", "1"),
        ("user", "two <<say 2>>"),
        ("assistant", "2"),
        ("user", "three <<say 3>>"),
    ]
    assert said[1] == said[2][:4]
    assert len({request["headers"]["x-session-affinity"] for request in bodies}) == 1


def test_cached_tokens_are_reported_as_the_prefix_grows(asker: Asker) -> None:
    asker.ask("x" * 2000 + "<<say 1>>")
    assert asker.ask("again <<say 2>>").usage.cached > 0


def test_a_system_message_comes_into_force_where_it_is_given(asker: Asker, seen: Seen) -> None:
    asker.ask("one <<say 1>>")
    asker.ask("two <<say 2>>", settings=Settings(system="Be brief."))
    asker.ask("three <<say 3>>", settings=Settings(system="Be brief."))
    assert [role for role, _ in messages(seen.last())] == ["user", "assistant", "system", "user", "assistant", "user"]


def test_usage_and_cost_add_up(asker: Asker) -> None:
    replies = [asker.ask("one"), asker.ask("two")]
    assert asker.session.books.usage.output == sum(reply.usage.output for reply in replies)
    assert asker.session.books.cost == pytest.approx(sum(reply.cost or 0 for reply in replies))
    assert asker.session.books.replies == 2


def test_a_question_outside_the_conversation_leaves_no_trace(asker: Asker, seen: Seen) -> None:
    asker.ask("one")
    asker.ask("aside", history=False)
    assert messages(seen.last()) == [("user", "aside")]
    assert len(asker.session.conversation.turns) == 1
    assert asker.session.books.replies == 2


def test_a_new_conversation_takes_over_once_it_has_a_reply(asker: Asker) -> None:
    asker.ask("one")
    with pytest.raises(errors.QuotaError):
        asker.ask("<<fault 4006>>", new=True)
    assert len(asker.session.conversation.turns) == 1
    affinity = asker.session.conversation.affinity
    asker.ask("afresh", new=True)
    assert [turn.question.text for turn in asker.session.conversation.turns] == ["afresh"]
    assert asker.session.conversation.affinity != affinity


@pytest.mark.parametrize("fault", ["4006", "10000", "garbage after=2", "cut after=3", "midstream after=3", "no-bytes"])
def test_after_any_failure_the_conversation_is_usable(asker: Asker, fault: str) -> None:
    asker.ask("my name is Ada")
    quick = Settings(first_timeout=0.3, idle_timeout=0.3, retries=0)
    with pytest.raises(errors.KimiError):
        asker.ask(f"<<fault {fault}>><<say one two three four>>", settings=quick)
    assert "Ada" in asker.ask("what is my name?").text


def test_a_broken_reply_is_kept_as_cut_and_hangs_on_the_error(asker: Asker) -> None:
    with pytest.raises(errors.BrokenReply) as caught:
        asker.ask("<<fault cut after=3>><<say one two three four five six>>")
    turn = asker.session.conversation.turns[-1]
    assert turn.reply.cut
    assert caught.value.reply == turn.reply
    assert turn.reply.text.startswith("one")


def test_closing_keeps_what_came_and_counts_what_it_cost(asker: Asker, seen: Seen) -> None:
    with asker.send("<<tokens 5000>><<rate 200>>") as asking:
        for _ in asking:
            if asking.reply.usage.output:
                break
    assert asking.reply.cut
    assert asker.session.conversation.turns[-1].reply.text == asking.reply.text
    assert asker.session.books.usage.output == asking.reply.usage.output > 0
    assert asking.reply.usage.output >= len(asking.reply.text) // 4  # counted up to the cut, not up to some time before
    assert asking.reply.answered_by
    wait_until_closed(seen)


def wait_until_closed(seen: Seen) -> None:
    for _ in range(200):
        if seen.last()["ended"] == "client-closed":
            return
        threading.Event().wait(0.01)
    raise AssertionError("the server never saw the connection close")


def test_any_thread_may_end_a_reply(asker: Asker) -> None:
    asking = asker.send("<<fault silence>>")
    threading.Timer(0.3, asking.close).start()
    assert all(isinstance(event, Idle) or not isinstance(event, TextDelta) for event in asking)
    assert asking.reply.cut
    assert asker.ask("still there?").text


def test_one_turn_at_a_time(asker: Asker) -> None:
    first = asker.send("<<tokens 50>><<rate 100>>")
    second: list[Reply] = []
    thread = threading.Thread(target=lambda: second.append(asker.ask("after that")))
    thread.start()
    for _ in first:
        pass
    thread.join(10)
    assert [turn.question.text for turn in asker.session.conversation.turns][1] == "after that"
    assert second[0].text


def test_asking_inside_an_ask_is_refused_not_a_deadlock(asker: Asker) -> None:
    with asker.send("<<tokens 50>><<rate 100>>"), pytest.raises(errors.CommandError, match="still arriving"):
        asker.ask("inside")
    assert asker.ask("after").text


def test_a_question_outside_of_any_conversation_waits_for_none(asker: Asker) -> None:
    with asker.send("<<tokens 500>><<rate 5>>") as first:
        assert asker.ask("<<say beside>>", history=False).text == "beside"
        beside: list[Reply] = []
        thread = threading.Thread(target=lambda: beside.append(asker.ask("<<say there>>", history=False)))
        thread.start()
        thread.join(10)
        assert beside[0].text == "there"
        assert first.arriving
    assert [turn.question.text for turn in asker.session.conversation.turns] == ["<<tokens 500>><<rate 5>>"]


def test_a_limit_is_always_sent_and_clamped(asker: Asker, seen: Seen) -> None:
    def limit(**more: Any) -> int:
        asker.ask("<<say x>>", history=False, **more)
        sent: int = json.loads(str(seen.last()["body"]))["max_completion_tokens"]
        return sent

    assert limit() == 16_384
    assert limit(settings=Settings(max_tokens=900_000)) == 256_000
    assert limit(settings=Settings(max_tokens=50)) == 50
    assert limit(model="moonshotai/kimi-k2.5") == 8_192
    assert limit(model=models.LOCAL) == 2_048


def test_a_long_question_leaves_less_room_for_the_reply(asker: Asker, seen: Seen) -> None:
    asker.ask("<<say x>>" + "word " * 50_000, model="moonshotai/kimi-k2.5", settings=Settings(max_tokens=128_000))
    sent = json.loads(str(seen.last()["body"]))["max_completion_tokens"]
    assert 256 <= sent <= 8_192


def test_what_cannot_fit_is_refused_before_sending(asker: Asker, seen: Seen) -> None:
    with pytest.raises(errors.TooLarge, match="holds 8,192"):
        asker.ask("word " * 20_000, model=models.LOCAL)
    assert seen.all() == []


def test_half_a_character_is_refused_before_sending(asker: Asker, seen: Seen) -> None:
    with pytest.raises(errors.CommandError, match="half of a character"):
        asker.ask("\ud83d")
    assert seen.all() == []


def test_a_model_that_always_thinks_cannot_be_told_not_to(asker: Asker) -> None:
    with pytest.raises(errors.CommandError, match="always thinks"):
        asker.ask("hi", settings=Settings(effort="off"), model="@cf/moonshotai/kimi-k2.7-code")


def test_an_empty_reply_at_the_limit_says_what_to_do(asker: Asker) -> None:
    reply = asker.ask("<<think too long>><<say >><<finish length>>", settings=Settings(max_tokens=5))
    assert reply.finish == "length"
    assert "--max-tokens" in reply.notice
    assert "5 tokens" in reply.notice
    assert reply.usage != Usage()
