"""Dialogues with tools that are replayed, saved beside a notebook, and taken up after a restart: real kernels."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from kimi_magic import present
from tests.dialogues import messages_of, raw_messages_of, requires_answers
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

TOOLS = """
def add(a: int, b: int = 2) -> int:
    'Add two numbers.'
    return a + b + offset
def fail():
    raise OSError('no such file')
offset = 0
"""
QUESTION = """%%kimi reply -t add,fail --effort low
My name is Ada.<<calls every-character>><<think {thought}>><<beside One moment.>><<tool add {{"a": 1}}>><<tool fail>>
<<then>><<think more>><<tool add {{"a": "x"}}>><<tool add {{"a": 3,>><<tool nope>><<then>><<tool add {{"a": 5}}>>
""".format(thought="so " * 400)
NEXT = "%%kimi\nWhat is my name?"


@pytest.fixture
def started(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Start kernels of one notebook, with the tools defined."""
    running: list[Kernel] = []

    def start(**settings: str) -> Kernel:
        own = {"KIMI_HOME": str(tmp_path / "home"), "JPY_SESSION_NAME": str(tmp_path / "a.ipynb")}
        kernel = Kernel({**environment, "KIMI_RERUN": "replay", **own, **settings}, tmp_path).__enter__()
        running.append(kernel)
        assert kernel.run(f"%load_ext kimi_magic\n{TOOLS}").ok
        return kernel

    yield start
    for kernel in running:
        kernel.__exit__()


def outcome_of(kernel: Kernel, cell: str = QUESTION) -> tuple[str, str, list[tuple[str, str]]]:
    """Run a cell: the reply, its thinking, and state and text of every call."""
    assert kernel.run(cell).ok
    found = "(reply.text, reply.thinking, [(one.state, one.text) for one in reply.calls])"
    value: tuple[str, str, list[tuple[str, str]]] = kernel.value(found)
    return value


STATES = ["done", "failed", "invalid", "invalid", "unknown", "done"]


def test_a_whole_dialogue_is_replayed_as_long_as_the_tools_give_the_same(
    started: Callable[..., Kernel], seen: Seen
) -> None:
    kernel = started()
    first = outcome_of(kernel)
    assert [state for state, _ in first[2]] == STATES
    assert kernel.run(NEXT).ok
    assert len(seen.all()) == 5
    kernel = started()
    assert outcome_of(kernel) == first
    assert "Ada" in kernel.run(NEXT).text
    assert len(seen.all()) == 5
    kernel = started()
    kernel.run("offset = 10")
    kernel.run(QUESTION)
    assert len(seen.all()) == 8  # what was asked before the first result is replayed; from there on it is another
    assert "answered: 13;" in kernel.value("reply.text")


@pytest.mark.parametrize("replayed", ["the first round", "all but the first", "all"])
def test_of_a_dialogue_that_is_replayed_in_part_the_rest_is_counted(
    started: Callable[..., Kernel], server: Local, tmp_path: Path, replayed: str
) -> None:
    account = {
        "CLOUDFLARE_ACCOUNT_ID": "0" * 32,
        "CLOUDFLARE_API_TOKEN": server.token,
        "CLOUDFLARE_API_BASE_URL": server.url,
        "KIMI_LOCAL_URL": "",
    }
    kernel = started(**account)
    whole = outcome_of(kernel) and kernel.value("(reply.cost, reply.usage.output)")
    kernel = started(**account)
    if replayed == "the first round":
        kernel.run("offset = 10")
    elif replayed == "all but the first":
        with closing(sqlite3.connect(tmp_path / "home" / "kimi.sqlite3")) as store, store:
            assert store.execute("DELETE FROM exchange WHERE time = (SELECT min(time) FROM exchange)").rowcount == 1
    kernel.run(QUESTION)
    assert kernel.value("len(reply.rounds)") == 3
    books = "__import__('kimi_magic.kernel').kernel.current().books"
    cost, output, sent, badges, row = kernel.value(
        f"(reply.cost, reply.usage.output, {books}.replies, reply.badges,"
        " get_ipython().run_line_magic('kimi', 'usage').rows[0])"
    )
    if replayed == "all":
        assert (cost, output, sent, badges, row[-1]) == (None, whole[1], 0, ("replayed",), "replayed")
        return
    assert sent == (3 if replayed == "the first round" else 1)
    assert (cost, output) == (pytest.approx(kernel.value(f"{books}.cost")), kernel.value(f"{books}.usage.output"))
    assert 0 < cost < whole[0]
    assert badges == ("replayed in part",)
    assert row[-1] == present.dollars(cost)


def test_a_file_replays_a_whole_dialogue_and_says_nothing_twice(
    started: Callable[..., Kernel], seen: Seen, tmp_path: Path
) -> None:
    kernel = started()
    said = [outcome_of(kernel), kernel.run(NEXT).text]
    assert "5 exchanges" in kernel.run("%kimi journal save x.kimi.jsonl").text
    lines = [json.loads(line) for line in (tmp_path / "x.kimi.jsonl").read_text("utf-8").splitlines()]
    assert [(line.get("after"), len(line.get("ids", ()))) for line in lines] == [
        (None, 0),
        (1, 2),
        (2, 3),
        (3, 1),
        (4, 0),
    ]
    assert [("tools" in line["ask"], line.get("tools")) for line in lines] == [
        (True, None),
        *[(False, 1)] * 3,
        (False, None),
    ]
    assert [[message["role"] for message in line["messages"]] for line in lines] == [
        ["user"],
        ["tool"] * 2,
        ["tool"] * 3,
        ["tool"],
        ["user"],
    ]
    assert [sum("call" in stretch for stretch in line["reply"]) for line in lines] == [2, 3, 1, 0, 0]
    seen.clear()
    only = {"KIMI_HOME": str(tmp_path / "other"), "KIMI_JOURNAL": "x.kimi.jsonl", "KIMI_RERUN": "only"}
    there = started(**only, KIMI_LOCAL_URL="")
    assert [outcome_of(there), there.run(NEXT).text] == said
    there.run("%kimi journal save y.kimi.jsonl")
    assert (tmp_path / "y.kimi.jsonl").read_bytes() == (tmp_path / "x.kimi.jsonl").read_bytes()
    there.run("offset = 1")
    cell = there.run(QUESTION.replace("reply", "reply --new"))
    assert cell.reply["ename"] == "NotRecorded"
    assert "message 3 (tool), line 1:\n- 3\n+ 4" in cell.text
    assert seen.all() == []


def test_a_conversation_with_rounds_goes_on_byte_by_byte_after_a_restart(
    started: Callable[..., Kernel], seen: Seen
) -> None:
    first = started()
    first.run(QUESTION)
    first.run('%%kimi people -o "[name, age int]" -f table\n<<say {"rows": 3}>><<again [{"name": "Ada", "age": 36}]>>')
    first.run("%%kimi -q\nbefore")
    first.manager.shutdown_kernel(now=True)
    second = started()
    assert second.run("%kimi resume").ok
    assert second.run("%%kimi -q\nafter").ok
    *_, before, after = seen.all()
    assert raw_messages_of(after).startswith(raw_messages_of(before).removesuffix("]"))
    requires_answers(messages_of(after), 6)
    thoughts = [message.get("reasoning_content", "").strip() for message in messages_of(after)]
    assert [thought for thought in thoughts if thought] == [("so " * 400).strip(), "more"]


@pytest.mark.parametrize("form", ["md", "ipynb"])
def test_an_export_for_readers_shows_calls_with_what_came_of_them(
    started: Callable[..., Kernel], tmp_path: Path, form: str
) -> None:
    kernel = started()
    kernel.run("def fenced(n: int) -> str:\n    'Give a fence.'\n    return f'```\\n<b>{n}</b>'")
    kernel.run('%%kimi -q -t fenced\nPlease. <<tool fenced {"n": 77}>><<then>><<say So.>>')
    assert kernel.run(f"%kimi export x.{form}").ok
    text = (tmp_path / f"x.{form}").read_text("utf-8")
    if form == "md":
        assert '### Called fenced: done\n\n```json\n{"n": 77}\n```\n\n````text\n```\n<b>77</b>\n````\n\nSo.' in text
        return
    data = json.loads(text)["cells"][-1]["outputs"][0]["data"]
    assert "&lt;b&gt;77&lt;/b&gt;" in data["text/html"]
    assert "fenced" in data["text/plain"]
    assert data["text/plain"].endswith("<b>77</b>\nSo.")


def test_values_that_are_private_now_are_not_exported_from_results_either(
    started: Callable[..., Kernel], tmp_path: Path
) -> None:
    kernel = started()
    kernel.run("import pandas as pd; df = pd.DataFrame({'who': ['Grace Hopper', 'Ada Lovelace']})")
    kernel.run("def who() -> str:\n    'Say who.'\n    return 'Grace Hopper'")
    kernel.run("%%kimi -q -t who\n<<tool who>><<then>><<say So.>>")
    kernel.run("%kimi private df who")
    assert "values of who" in kernel.run("%kimi export x.md").text
    assert not (tmp_path / "x.md").exists()


def test_what_was_exported_is_imported_with_its_rounds(
    started: Callable[..., Kernel], seen: Seen, tmp_path: Path
) -> None:
    kernel = started()
    kernel.run(QUESTION)
    before = seen.last()
    assert kernel.run("%kimi export x.jsonl").ok
    assert kernel.run("%kimi import x.jsonl").ok
    assert (tmp_path / "x.jsonl").exists()
    kernel.run("%%kimi -q\nafter")
    assert raw_messages_of(seen.last()).startswith(raw_messages_of(before).removesuffix("]"))
