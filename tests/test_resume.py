"""Conversations that outlive their kernel: resumed, exported, imported, forgotten; real kernels, a real store."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from kimi_magic import exports
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError
from kimi_magic.messages import Message
from kimi_magic.reply import Reply
from kimi_magic.store import FILE
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.conftest import Seen


@pytest.fixture
def started(environment: Mapping[str, str], tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Start kernels of one notebook, with a store of their own."""
    running: list[Kernel] = []

    def start(notebook: str = "a.ipynb", **settings: str) -> Kernel:
        home = {"KIMI_HOME": str(tmp_path / "home"), "JPY_SESSION_NAME": str(tmp_path / notebook)}
        kernel = Kernel({**environment, **home, **settings}, tmp_path).__enter__()
        running.append(kernel)
        assert kernel.run("%load_ext kimi_magic").ok
        return kernel

    yield start
    for kernel in running:
        kernel.__exit__()


def users(seen: Seen) -> list[str]:
    body: dict[str, Any] = json.loads(str(seen.last()["body"]))
    return [message["content"] for message in body["messages"] if message["role"] == "user"]


def affinity(seen: Seen) -> str:
    headers: dict[str, str] = seen.last()["headers"]  # type: ignore[assignment]
    return headers["x-session-affinity"]


def test_a_conversation_goes_on_after_a_restart(started: Callable[..., Kernel], seen: Seen) -> None:
    first = started()
    first.run("frame = {'a': 1}")
    first.run("%%kimi -q -s 'Be brief.' -c frame\none <<say 1>>")
    first.run("%%kimi -q\ntwo <<say 2>>")
    before = affinity(seen)
    first.manager.shutdown_kernel(now=True)
    second = started()
    assert "Nothing was said" in second.run("%kimi history").text
    shown = second.run("%kimi resume").text
    assert "two" in shown
    assert second.run("%%kimi -q -s 'Be brief.'\nthree").ok
    assert len(users(seen)) == 3
    assert affinity(seen) == before
    assert "frame" in second.run("%kimi sent 1").text
    assert "3 earlier messages" in second.run("%kimi sent 2").text
    assert "Nothing to resume" in second.run("%kimi resume").text


def test_it_resumes_by_itself_where_that_is_set(started: Callable[..., Kernel], seen: Seen) -> None:
    started().run("%%kimi -q\none <<say 1>>")
    kernel = started(KIMI_RESUME="auto")
    kernel.run("%%kimi -q\ntwo <<say 2>>")
    assert users(seen) == ["one <<say 1>>", "two <<say 2>>"]
    kernel.run("%%kimi -q --new\nafresh")
    assert users(seen) == ["afresh"]


def test_another_notebook_has_conversations_of_its_own(started: Callable[..., Kernel]) -> None:
    started("a.ipynb").run("%%kimi -q\none <<say 1>>")
    assert "Nothing to resume" in started("b.ipynb").run("%kimi resume").text


def test_two_kernels_that_go_on_from_the_same_turn_lose_none(started: Callable[..., Kernel], seen: Seen) -> None:
    one = started()
    one.run("%%kimi -q\nstart <<say 1>>")
    two = started()
    two.run("%kimi resume")
    one.run("%%kimi -q\nleft <<say l>>")
    two.run("%%kimi -q\nright <<say r>>")
    two.run("%%kimi -q\nmore <<say m>>")
    three = started()
    assert three.run("%kimi resume").text.count("<<say") == 3
    three.run("%kimi resume")
    three.run("%%kimi -q\nend")
    assert users(seen) == ["start <<say 1>>", "left <<say l>>", "end"]


def test_a_dropped_turn_and_a_branch_come_back_as_they_were(started: Callable[..., Kernel]) -> None:
    first = started()
    for text in "abc":
        first.run(f"%%kimi -q\n{text} <<say ok>>")
    first.run("%kimi drop 1")
    first.run("%kimi undo")
    second = started()
    second.run("%kimi resume")
    shown = second.run("%kimi history --all").text
    assert "dropped" in shown
    assert "stale" in shown


def test_what_was_exported_can_be_read_and_imported(started: Callable[..., Kernel], seen: Seen, tmp_path: Path) -> None:
    kernel = started()
    kernel.run("name = 'Ada'\nfrom PIL import Image\npicture = Image.new('RGB', (40, 30), 'teal')")
    kernel.run('%%kimi -q -m k2.6 -c picture\nIs {{ name }} there? <<say-json "Yes.\\n```python\\nx = 1\\n```\\n">>')
    for form in ("md", "py", "ipynb", "jsonl"):
        assert "Written to" in kernel.run(f"%kimi export kept.{form}").text
    assert "> <context" in (tmp_path / "kept.md").read_text("utf-8")
    code = (tmp_path / "kept.py").read_text("utf-8")
    compile(code, "kept.py", "exec")
    assert "\nx = 1\n" in code
    notebook = nbformat.read(tmp_path / "kept.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "Is Ada there?" in notebook.cells[1].source
    other = started("other.ipynb")
    assert "Is Ada there?" in other.run("%kimi import kept.jsonl").text
    other.run("%%kimi -q -m k2.6\nand now?")
    sent = json.loads(str(seen.last()["body"]))["messages"]
    assert [part["type"] for part in sent[0]["content"]] == ["text", "image_url", "text"]


ERRORS = {
    "%kimi export kept.txt": "cannot be written as '.txt'",
    "%kimi export": "needs one file",
    "%kimi export a.md": "nothing was said",
    "%kimi import nowhere.jsonl": "cannot be read",
    "%kimi import broken.jsonl": "broken.jsonl, line 3",
    "%kimi import other.jsonl": "other.jsonl, line 1 is no conversation",
    "%kimi forget x": "--all or nothing",
}


def test_wrong_files_are_named(started: Callable[..., Kernel], tmp_path: Path) -> None:
    kernel = started()
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    for code, words in ERRORS.items():
        if "broken" in code:
            kernel.run("%%kimi -q\nhi <<say ok>>")
            kernel.run("%kimi export whole.jsonl")
            whole = (tmp_path / "whole.jsonl").read_text()
            (tmp_path / "broken.jsonl").write_text(whole + '{"number": 2}\n')
        cell = kernel.run(code)
        assert cell.reply["ename"] == "CommandError"
        assert words in cell.text
    assert "is there already" in kernel.run("%kimi export whole.jsonl").text


def test_what_is_forgotten_is_gone_from_the_disk(started: Callable[..., Kernel], tmp_path: Path) -> None:
    kernel = started()
    kernel.run("%%kimi -q\nKEPT-WORDS <<say ok>>")
    kernel.run("%kimi fork other")
    kernel.run("%%kimi -q\nLOST-WORDS <<say ok>>")
    assert "1 conversation erased" in kernel.run("%kimi forget").text

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in (tmp_path / "home").glob(f"{FILE}*"))

    assert b"LOST-WORDS" not in on_disk()
    assert b"KEPT-WORDS" in on_disk()
    assert "KEPT-WORDS" in kernel.run("%kimi history").text
    assert kernel.run("%kimi forget --all").ok
    assert b"KEPT-WORDS" not in on_disk()
    assert "Nothing was said" in kernel.run("%kimi history").text


def test_a_store_that_cannot_be_used_keeps_nobody_from_asking(started: Callable[..., Kernel], tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    cell = started().run("%%kimi\n<<say still here>>")
    assert "still here" in cell.text
    assert "in memory" in cell.text


def test_named_conversations_outlive_the_kernel(started: Callable[..., Kernel], seen: Seen) -> None:
    first = started()
    first.run("%%kimi -q\nin main <<say 1>>")
    first.run("%%kimi -q --session side\nat the side <<say 2>>")
    first.run("%kimi switch main")
    second = started(KIMI_RESUME="auto")
    assert "in main" in second.run("%kimi history").text
    second.run("%%kimi -q --session side\nmore")
    assert users(seen) == ["at the side <<say 2>>", "more"]
    second.run("%%kimi -q\nand main")
    assert users(seen) == ["in main <<say 1>>", "and main"]
    second.run("%kimi switch side")
    third = started(KIMI_RESUME="auto")
    assert "Conversation side" in third.run("%kimi history").text


def test_a_kept_conversation_can_be_resumed_by_its_name(started: Callable[..., Kernel]) -> None:
    first = started()
    first.run("%%kimi -q --session side\nat the side <<say 2>>")
    first.run("%%kimi -q\nin main <<say 1>>")
    second = started()
    assert "%kimi resume side" in second.run("%kimi switch side").text
    assert "Kept are: main, side" in second.run("%kimi resume sid").text
    shown = second.run("%kimi resume").text
    assert "in main" in shown
    assert "Kept as well: side" in shown
    assert "at the side" in second.run("%kimi resume side").text
    assert "side" in second.run("%kimi switch").text


def test_a_session_begun_anew_leaves_the_old_one_under_another_name(started: Callable[..., Kernel]) -> None:
    kernel = started()
    kernel.run("%%kimi -q --session side\nold <<say 1>>")
    cell = kernel.run("%%kimi --session side --new\nyoung <<say 2>>")
    assert "The conversation side of before goes on as side-2." in cell.html
    assert "old" in kernel.run("%kimi switch side-2").text
    assert "young" in kernel.run("%kimi switch side").text
    other = started()
    assert "old" in other.run("%kimi resume side-2").text


def test_a_dropped_turn_stays_hidden_in_what_is_exported(
    started: Callable[..., Kernel], seen: Seen, tmp_path: Path
) -> None:
    kernel = started()
    for name in ("first", "second", "third"):
        kernel.run(f'%%kimi -q\n{name} <<say-json "ok\\n```python\\n{name} = 1\\n```\\n">>')
    kernel.run("%kimi drop 2")
    for form in ("md", "py", "ipynb", "jsonl"):
        kernel.run(f"%kimi export kept.{form}")
    for form in ("md", "py", "ipynb"):
        text = (tmp_path / f"kept.{form}").read_text("utf-8")
        assert "third" in text
        assert "second" not in text
    assert "dropped" in kernel.run("%kimi import kept.jsonl").text
    kernel.run("%%kimi -q\nlast")
    assert [words.split()[0] for words in users(seen)] == ["first", "third", "last"]


def test_any_character_survives_export_and_import() -> None:
    conversation = Conversation()
    words = "a\u2028b\u2029c\x85d\x0be\x1ef\r\ng \ud83d"
    conversation.append(Turn((Message.of("user", words),), Reply(words, finish="stop")))
    again = exports.read(exports.written(conversation, "jsonl"), "x.jsonl")
    assert again.messages() == conversation.messages()


WHOLE: dict[str, Any] = {
    "number": 1,
    "opening": [{"role": "user", "parts": ["hi"]}],
    "reply": {"text": "ok", "model": "m"},
}
FIRST: dict[str, Any] = {"kimi_magic": "conversation", "version": 1, "name": "main", "head": 1}
PICTURE: dict[str, Any] = {"picture": "a", "type": 'image/png"><script>', "size": [1, 1], "detail": "auto"}
WRONG: list[tuple[int, dict[str, Any]]] = [
    (2, {"reply": {"text": 5}}),
    (2, {"reply": {"text": "ok", "usage": {"input": "x"}}}),
    (2, {"reply": {"text": "ok", "usage": {"output": -5}}}),
    (2, {"reply": {"text": "ok", "timing": {"total": math.nan}}}),
    (2, {"reply": {"text": "ok", "finish": "never"}}),
    (2, {"reply": {"text": "ok", "badges": [1]}}),
    (2, {"reply": []}),
    (2, {"origin": {"count": "<b>"}}),
    (2, {"origin": {"where": 1}}),
    (2, {"number": "1"}),
    (2, {"number": 0}),
    (2, {"parent": -1}),
    (2, {"parent": 1}),
    (2, {"summarises": 1}),
    (2, {"opening": []}),
    (2, {"opening": [{"role": "assistant", "parts": ["hi"]}]}),
    (2, {"opening": [{"role": "user", "parts": [PICTURE]}], "pictures": {"a": "aaaa"}}),
    (1, {"name": 5}),
    (1, {"version": 2}),
    (1, {"head": 2}),
    (1, {"head": [1]}),
    (1, {"dropped": ["x"]}),
    (1, {"dropped": 1}),
]


@pytest.mark.parametrize(("line", "wrong"), WRONG, ids=[json.dumps(wrong) for _, wrong in WRONG])
def test_a_file_with_a_wrong_value_is_refused_with_its_line(line: int, wrong: dict[str, Any]) -> None:
    lines = [FIRST, WHOLE]
    exports.read("\n".join(map(json.dumps, lines)), "x.jsonl")
    lines[line - 1] = lines[line - 1] | wrong
    with pytest.raises(CommandError, match=rf"x\.jsonl, line {line} is no conversation"):
        exports.read("\n".join(map(json.dumps, lines)), "x.jsonl")


def test_a_summary_that_is_interrupted_is_neither_in_memory_nor_on_disk(started: Callable[..., Kernel]) -> None:
    kernel = started()
    for name in "abc":
        kernel.run(f"%%kimi -q\n{name} <<say ok>>")
    slow = (  # what compact does, with a question that is answered slowly
        "from kimi_magic import cell, command, kernel\n"
        "asked = command.Ask('Sum up <<rate 20>> <<tokens 500>>', history=False)\n"
        "cell.run(get_ipython(), asked, past=kernel.current().conversation.at(2))"
    )
    stop = kernel.interrupt_when(lambda message: message["msg_type"] == "update_display_data")
    assert kernel.run(slow, watch=stop).reply["ename"] == "Interrupted"
    for told in (kernel.run("%kimi history --all").text, started().run("%kimi resume").text):
        assert told.count("<<say ok>>") == 3
        assert "Sum up" not in told
