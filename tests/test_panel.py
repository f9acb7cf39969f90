"""The panel in a real kernel, asked by messages of a front end, asking a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kimi_magic import markdown
from tests.harness.panel import Front, html_of, text_of

if TYPE_CHECKING:
    from tests.conftest import Seen
    from tests.harness.kernel import Kernel


@pytest.fixture
def front(kernel: Kernel) -> Front:
    """An empty panel."""
    front = Front(kernel, "import kimi_magic\nkimi_magic.chat('test')")
    if front.entries:
        front.send(type="ask", text="/new")
        front.until(lambda: not front.entries)
    return front


def sent(seen: Seen) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = json.loads(str(seen.last()["body"]))["messages"]
    return messages


def test_a_reply_comes_in_pieces(front: Front) -> None:
    entry = front.ask("<<think Well, hm.>><<say # One\n\nsome **text** and 😀\n\n```python\nx = 1\n```\n>><<rate 60>>")
    assert [piece["kind"] for piece in entry["pieces"]] == ["thinking", "text"]
    assert entry["pieces"][0]["text"] == "Well, hm."
    assert entry["pieces"][0]["label"].startswith("Thought for")
    assert text_of(entry) == "# One\n\nsome **text** and 😀\n\n```python\nx = 1\n```\n"
    assert html_of(entry) == markdown.to_html(text_of(entry))
    assert (entry["state"], entry["turn"], entry["facts"][0]) == ("done", 1, "local")
    assert len([one for one in front.messages if one["type"] == "delta"]) > 5


def test_every_message_with_a_key_is_acknowledged(front: Front) -> None:
    key = front.send(type="nothing that is known")
    front.until(lambda: {"type": "ack", "key": key} in front.messages)


def test_the_state_of_a_page_loaded_again_is_what_the_messages_said(front: Front) -> None:
    front.ask("<<tokens 300>>")
    front.ask("/usage")
    assert front.state()["transcript"] == front.entries


def test_the_state_in_the_middle_of_a_reply_goes_on_with_the_next_delta(front: Front) -> None:
    front.send(type="ask", text="<<tokens 200>><<rate 100>>")
    front.until(lambda: front.entries and text_of(front.entries[0]))
    front.traits["transcript"] = front.state()["transcript"]
    front.rest()
    assert html_of(front.entries[0]) == markdown.to_html(text_of(front.entries[0]))
    assert front.entries[0]["state"] == "done"


def test_what_runs_is_told_again_where_a_front_end_is_ready(front: Front) -> None:
    front.send(type="ask", text="<<tokens 200>><<rate 100>>")
    front.until(lambda: front.entries and text_of(front.entries[0]))
    count = len(front.messages)
    front.send(type="ready")
    front.until(lambda: any(one["type"] == "entry" for one in front.messages[count:]))
    front.rest()
    assert html_of(front.entries[0]) == markdown.to_html(text_of(front.entries[0]))


def test_cells_and_the_panel_share_the_conversation(front: Front, kernel: Kernel) -> None:
    front.run("%%kimi\nmy name is Ada")
    front.until(lambda: front.entries)
    assert front.entries[0]["question"]["origin"].startswith("In [")
    assert "Ada" in text_of(front.ask("what is my name?"))
    front.run("%%kimi answer\nwhat is my name, once more?")
    assert "Ada" in kernel.value("answer.text")
    front.until(lambda: len(front.entries) == 3)
    assert [entry["turn"] for entry in front.entries] == [1, 2, 3]


def test_stop_keeps_what_had_arrived(front: Front, kernel: Kernel) -> None:
    front.send(type="ask", text="<<tokens 2000>><<rate 50>>")
    front.until(lambda: front.entries and text_of(front.entries[0]))
    front.send(type="stop")
    entry = front.ended(set())
    assert entry["state"] == "cut"
    assert entry["notice"].startswith("Cut")
    assert text_of(entry)
    assert kernel.value("kimi_magic.kernel.current().conversation.turns[-1].reply.text") == text_of(entry)


def test_stop_before_anything_has_come_gives_the_words_back(front: Front) -> None:
    front.send(type="ask", text="<<first 30>>")
    front.until(lambda: front.entries and front.entries[0]["line"].startswith("Waiting"))
    front.send(type="stop")
    front.until(lambda: {"type": "refill", "text": "<<first 30>>", "attachments": []} in front.messages)
    front.until(lambda: not front.entries)


def test_questions_wait_in_a_queue_and_can_be_taken_back(front: Front) -> None:
    front.send(type="ask", text="<<tokens 100>><<rate 60>>")
    front.send(type="ask", text="<<say two>>")
    front.send(type="ask", text="<<say three>>")
    queue = front.until(lambda: len(front.traits["status"]["queue"]) == 2 and front.traits["status"]["queue"])
    assert [one["text"] for one in queue] == ["<<say two>>", "<<say three>>"]
    assert [entry["state"] for entry in front.entries[1:]] == ["queued", "queued"]
    front.send(type="stop", id=queue[0]["id"])
    front.until(lambda: len(front.entries) == 2)
    front.rest()
    assert [entry["question"]["text"] for entry in front.entries] == ["<<tokens 100>><<rate 60>>", "<<say three>>"]


def test_asking_again_grows_a_branch(front: Front, seen: Seen) -> None:
    front.ask("<<say one>>")
    front.ask("<<say two>>")
    front.ask("<<say three>>")
    known = {entry["id"] for entry in front.entries}
    front.send(type="again", turn=2)
    front.until(lambda: [one["turn"] for one in front.entries if one["id"] in known] == [1])
    entry = front.ended(known)
    assert entry["branch"] == {"at": 2, "of": 2, "turns": [2, 4]}
    assert [one["turn"] for one in front.entries] == [1, 4]
    assert [message["content"] for message in sent(seen)][-1] == "<<say two>>"
    front.send(type="branch", turn=2)
    front.until(lambda: [one["turn"] for one in front.entries] == [1, 2, 3])
    assert front.entries[1]["branch"] == {"at": 1, "of": 2, "turns": [2, 4]}


def test_an_edited_question_keeps_what_went_beside_it(front: Front, seen: Seen) -> None:
    front.run("numbers = [5, 6, 7]")
    front.run("%%kimi -c numbers\n<<say one>>")
    front.until(lambda: front.entries)
    assert front.entries[0]["question"]["chips"][0]["name"] == "numbers"
    known = {entry["id"] for entry in front.entries}
    front.send(type="edit", turn=1, text="<<say edited>>")
    entry = front.ended(known)
    assert text_of(entry) == "edited"
    assert [chip["name"] for chip in entry["question"]["chips"]] == ["numbers"]
    asked = str(sent(seen)[-1]["content"])
    assert "[5, 6, 7]" in asked
    assert asked.endswith("<<say edited>>")
    assert len(sent(seen)) == 1


def test_a_question_that_cannot_be_put_is_given_back(front: Front) -> None:
    entry = front.ask("What is {{ nobody }}?")
    assert entry["state"] == "failed"
    assert "nobody" in entry["error"]["message"]
    assert entry["error"]["hint"]
    assert {"type": "refill", "text": "What is {{ nobody }}?", "attachments": []} in front.messages


def test_a_failed_question_can_be_asked_again(front: Front) -> None:
    failed = front.ask("<<say {{ later_there }}>>")
    front.run("later_there = 'found'")
    front.send(type="again", id=failed["id"])
    front.until(lambda: [entry["state"] for entry in front.entries] == ["done"])
    assert text_of(front.entries[0]) == "found"


def test_an_error_of_the_service_stands_with_the_question(front: Front) -> None:
    entry = front.ask("<<fault account-limited>>")
    assert entry["state"] == "failed"
    assert entry["error"]["message"]


def test_html_in_a_reply_is_text(front: Front) -> None:
    entry = front.ask("<<say <script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1))>>")
    assert "<script" not in html_of(entry)
    assert "<img" not in html_of(entry)
    assert "href" not in html_of(entry)


def test_the_notebook_carries_the_conversation_for_readers(front: Front) -> None:
    front.ask("What is it? <<say It is **this**.>>")
    front.until(lambda: "It is **this**." in front.static.get("text/plain", ""))
    assert "<strong>this</strong>" in front.static["text/html"]
    assert "> What is it?" in front.static["text/plain"]
    assert [output["data"].get("application/vnd.jupyter.widget-view+json", {}).get("model_id") for output in
            front.cell.outputs] == [None, front.comm]  # fmt: skip
