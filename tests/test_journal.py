"""The journal: a real kernel, a real server, a real file; what arrives at the server is the proof."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic import wire
from kimi_magic.errors import CommandError, NotRecorded, SettingError
from kimi_magic.events import Event, Finish, Finished, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.journal import Journal, files, packing
from kimi_magic.journal.keeping import canonical
from kimi_magic.journal.nearest import difference, nearest
from kimi_magic.messages import Image, Message, Text, Usage
from kimi_magic.store import FILE, Store
from kimi_magic.wire import Request
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Cell


@pytest.fixture
def asking(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """What a kernel has in its environment that replays as it would for a user, in a data folder of its own."""
    return environment | {"KIMI_HOME": str(tmp_path / "home"), "KIMI_RERUN": "replay"}


@contextmanager
def started(environment: dict[str, str], folder: Path) -> Iterator[Kernel]:
    with Kernel(environment, folder) as kernel:
        kernel.run("%load_ext kimi_magic")
        yield kernel


@pytest.fixture
def kernel(asking: dict[str, str], warm_kernel: Kernel, tmp_path: Path) -> Kernel:
    """A kernel with the extension freshly loaded, that replays."""
    code = f"import os\nos.environ.update({asking!r})\nos.chdir({str(tmp_path)!r})\n"
    assert warm_kernel.run(code + "get_ipython().config.pop('KimiMagics', None)\n%reload_ext kimi_magic").ok
    return warm_kernel


def restart(kernel: Kernel) -> None:
    """Leave the conversation behind and keep the store, as a restarted kernel does."""
    assert kernel.run("%reload_ext kimi_magic").ok


def displays(cell: Cell) -> list[str]:
    return [message["msg_type"] for message in cell.messages if "display" in message["msg_type"]]


QUESTION = "%%kimi answer\n<<think hm>><<say Hello **you**>>"


# Replay


def test_an_equal_request_is_replayed_and_not_sent(kernel: Kernel, seen: Seen) -> None:
    first = kernel.run(QUESTION)
    restart(kernel)
    second = kernel.run(QUESTION)
    assert len(seen.all()) == 1
    assert first.text == second.text == "Hello **you**"
    assert ">replayed</span>" in second.html
    assert "--rerun always" in second.html
    assert "replayed" not in first.html


def test_a_replay_is_displayed_once_and_whole(kernel: Kernel) -> None:
    question = "%%kimi\n<<tokens 2000>>"
    streamed = kernel.run(question)
    restart(kernel)
    replayed = kernel.run(question)
    assert len(displays(streamed)) > 1
    assert displays(replayed) == ["display_data"]
    assert replayed.text == streamed.text


def test_it_is_the_same_reply_and_counts_nowhere(kernel: Kernel) -> None:
    kernel.run(QUESTION)
    kernel.run("first = answer")
    restart(kernel)
    kernel.run(QUESTION)
    same = ["text", "thinking", "finish", "usage", "model", "answered_by", "max_tokens", "tool_calls"]
    assert kernel.value(f"[n for n in {same!r} if getattr(answer, n) != getattr(first, n)]") == []
    assert kernel.value("(first.recorded, bool(answer.recorded), answer.charged, answer.cost)") == (
        "",
        True,
        False,
        None,
    )
    assert kernel.value("answer.usage.output > 0") is True
    used = "__import__('kimi_magic.kernel').kernel.current().books"
    assert kernel.value(f"({used}.replies, {used}.usage.output, {used}.replayed)") == (0, 0, 1)
    assert "0 replies; 1 replayed, for nothing" in kernel.run("%kimi").text
    assert "replayed" in kernel.run("%kimi usage").text


def test_a_replay_goes_on_in_the_conversation(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%%kimi\nmy name is Ada")
    restart(kernel)
    kernel.run("%%kimi\nmy name is Ada")
    assert "Ada" in kernel.run("%%kimi\nwhat is my name?").text
    assert [len(json.loads(str(one["body"]))["messages"]) for one in seen.all()] == [1, 3]


def test_nothing_of_a_replay_leaves_the_kernel(kernel: Kernel) -> None:
    kernel.run(QUESTION)
    restart(kernel)
    kernel.run(QUESTION)
    assert kernel.run("%kimi egress all").text.count("this machine") == 1
    assert "replayed from the journal" in kernel.run("%kimi sent").text


CHANGES = ["-m k2.6", "--max-tokens 99", "--temperature 0.5", "--top-p 0.5", "--effort low", "-s Brief"]


@pytest.mark.parametrize("change", CHANGES)
def test_another_request_is_sent(kernel: Kernel, seen: Seen, change: str) -> None:
    kernel.run("%%kimi -q --new\nhi")
    kernel.run(f"%%kimi -q --new {change}\nhi")
    assert len(seen.all()) == 2
    kernel.run(f"%%kimi -q --new {change}\nhi")
    assert len(seen.all()) == 2


@pytest.mark.parametrize("change", ["--format text", "--timeout 60", "-q", "other"])
def test_what_the_model_does_not_see_makes_no_other_request(kernel: Kernel, seen: Seen, change: str) -> None:
    kernel.run("%%kimi --new\nhi")
    kernel.run(f"%%kimi {change} --new\nhi")
    assert len(seen.all()) == 1


@pytest.mark.parametrize("fault", ["<<fault cut after=2>>", "<<fault 4006>>", "<<fault garbage after=2>>"])
def test_what_did_not_come_to_its_end_is_not_recorded(kernel: Kernel, seen: Seen, fault: str) -> None:
    for _ in range(2):
        assert not kernel.run(f"%%kimi --no-history\n{fault}<<say one two three four>>").ok
    assert len(seen.all()) == 2
    assert "recorded             0 exchanges" in kernel.run("%kimi journal").text


@pytest.mark.parametrize("reply", ["<<say >>", "<<say \n >>", "<<think a b c d>><<say >>"])
def test_a_reply_without_words_is_not_recorded(kernel: Kernel, seen: Seen, reply: str) -> None:
    for _ in range(2):
        assert kernel.run(f"%%kimi --no-history\n{reply}").ok
    assert len(seen.all()) == 2


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        ([TextDelta("a"), Finished("stop", Usage())], True),
        ([TextDelta("a"), Finished("length", Usage())], True),
        ([ToolCallDelta(0, "a", "f", "{}"), Finished("tool_calls", Usage())], True),
        ([ToolCallDelta(0, "a", "f", "{"), Finished("length", Usage())], False),
        ([ThinkingDelta("a"), Finished("length", Usage())], False),
        ([TextDelta("a"), Finished("content_filter", Usage())], False),
        ([TextDelta("a")], False),
    ],
)
def test_only_an_answer_is_worth_keeping(events: list[Event], kept: bool) -> None:  # noqa: FBT001  # a parameter
    packer = packing.Packer()
    for event in events:
        packer.add(0.0, event)
    assert packer.answered == kept


def test_an_interrupted_reply_is_not_recorded(kernel: Kernel, seen: Seen) -> None:
    for _ in range(2):
        watch = kernel.interrupt_when(lambda message: message["msg_type"] == "display_data")
        assert not kernel.run("%%kimi --no-history\n<<tokens 900>><<rate 50>>", watch=watch).ok
    assert len(seen.all()) == 2


def test_a_reply_that_reached_its_limit_is_recorded(kernel: Kernel, seen: Seen) -> None:
    question = "%%kimi --no-history --max-tokens 2\n<<say one two three>>"
    assert kernel.run(question).text == kernel.run(question).text
    assert len(seen.all()) == 1


def test_it_can_come_at_the_pace_at_which_it_was_recorded(kernel: Kernel) -> None:
    kernel.run("%config KimiMagics.replay_pace = 'recorded'")
    question = "%%kimi answer --no-history\n<<tokens 60>><<rate 60>>"
    kernel.run(question)
    kernel.run("first = answer")
    assert len(displays(kernel.run(question))) > 3
    assert kernel.value("answer.text == first.text and bool(answer.recorded)") is True
    assert kernel.value("answer.timing.total") > 0.5


# Policy


def test_always_asks_again_and_records_anew(kernel: Kernel, seen: Seen) -> None:
    question = "%%kimi answer --no-history\n<<fault 3040 times=1 retry_after=0.1>><<say ok>>"
    kernel.run(question)
    count = len(seen.all())
    assert "replayed" not in kernel.run(question.replace("answer", "answer --rerun always")).html
    assert len(seen.all()) > count
    assert "recorded             1 exchange," in kernel.run("%kimi journal").text


def test_python_says_it_too(kernel: Kernel, seen: Seen) -> None:
    kernel.run("import kimi_magic\ndef ask(**more): return kimi_magic.ask('hi', history=False, quiet=True, **more)")
    replayed = "[bool(ask(rerun=rerun).recorded) for rerun in (None, None, 'always')]"
    assert kernel.value(replayed) == [False, True, False]
    assert len(seen.all()) == 2
    assert "CommandError" in kernel.run("kimi_magic.ask('hi', rerun='never')").text


@pytest.mark.parametrize(("said", "sent"), [("", 0), ("y", 0), ("n", 1), ("No", 1)])
def test_ask_asks_in_the_cell(kernel: Kernel, seen: Seen, said: str, sent: int) -> None:
    question = "%%kimi --no-history --rerun ask\nhi"
    assert kernel.run(question).ok
    seen.clear()
    prompts: list[str] = []

    def answer(message: dict[str, Any]) -> None:
        prompts.append(message["content"]["prompt"])
        kernel.client.input(said)

    kernel.client.execute_interactive(question, allow_stdin=True, stdin_hook=answer, timeout=20)
    assert len(prompts) == 1
    assert prompts[0].startswith("This was answered before (20")
    assert len(seen.all()) == sent


def test_where_nobody_can_be_asked_it_is_replayed_and_said(kernel: Kernel, seen: Seen) -> None:
    question = "%%kimi --no-history --rerun ask\nhi"
    kernel.run(question)
    assert "nobody to ask" in kernel.run(question).html
    assert len(seen.all()) == 1


def test_ctrl_c_at_the_question_sends_nothing_and_leaves_the_session_free(kernel: Kernel, seen: Seen) -> None:
    question = "%%kimi --no-history --rerun ask\nhi"
    kernel.run(question)
    kernel.client.execute_interactive(
        question, allow_stdin=True, stdin_hook=lambda _: kernel.interrupt(), timeout=20, output_hook=lambda _: None
    )
    assert len(seen.all()) == 1
    assert kernel.run("%%kimi\n<<say fine>>").text == "fine"


# Only


@pytest.mark.parametrize("option", ["", "--rerun always ", "--rerun ask "])
def test_only_never_sends_whatever_the_cell_says(kernel: Kernel, seen: Seen, option: str) -> None:
    kernel.run("%%kimi --no-history\nhi")
    seen.clear()
    kernel.run("%config KimiMagics.rerun = 'only'")
    assert "replayed" in kernel.run(f"%%kimi {option}--no-history\nhi").html
    cell = kernel.run(f"%%kimi {option}--no-history\nho")
    assert cell.reply["ename"] == "NotRecorded"
    assert seen.all() == []


def test_only_in_the_environment_outlasts_a_config_line(kernel: Kernel, seen: Seen) -> None:
    kernel.run("os.environ['KIMI_RERUN'] = 'only'")
    for code in ("%config KimiMagics.rerun = 'always'\n%kimi ask hi", "%kimi ask --rerun always hi"):
        assert kernel.run(code).reply["ename"] == "NotRecorded"
    assert "environment KIMI_RERUN" in kernel.run("%kimi journal").text
    assert seen.all() == []


def test_only_shows_the_first_difference_in_at_most_five_lines(kernel: Kernel) -> None:
    kernel.run("%%kimi --no-history\nOne line.\nThe mean is 3.14 today.")
    kernel.run("%%kimi --no-history\nSomething else.")
    kernel.run("%config KimiMagics.rerun = 'only'")
    cell = kernel.run("%%kimi --no-history\nOne line.\nThe mean is 2.72 today.")
    shown = cell.text.splitlines()
    assert len(shown) <= 5
    assert "message 1 (user), line 2" in shown[0]
    assert shown[1:3] == ["- The mean is 3.14 today.", "+ The mean is 2.72 today."]
    assert "%kimi journal save" in shown[3]


def test_only_with_an_empty_journal_says_so(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi --rerun only\nhi")
    assert cell.reply["ename"] == "NotRecorded"
    assert "the journal is empty" in cell.text


def test_only_needs_neither_account_nor_model(asking: dict[str, str], tmp_path: Path, server: Any) -> None:
    account = {
        "CLOUDFLARE_ACCOUNT_ID": "0" * 32,
        "CLOUDFLARE_API_TOKEN": server.token,
        "CLOUDFLARE_API_BASE_URL": server.url,
    }
    with started(asking | account, tmp_path) as kernel:
        kernel.run("%%kimi -m k2.6\n<<say from Cloudflare>>\n")
    alone = {"KIMI_HOME": asking["KIMI_HOME"], "KIMI_RERUN": "only", "KIMI_ENDPOINT": "cloudflare"}
    with started(alone, tmp_path) as kernel:
        cell = kernel.run("%%kimi\n<<say from Cloudflare>>\n")
        assert cell.text == "from Cloudflare"
        assert kernel.run("%%kimi\nmore").reply["ename"] == "NotRecorded"
    assert server.process.poll() is None


def test_other_weights_on_this_machine_are_another_model(tmp_path: Path) -> None:
    # What is replayed for the default weights is no reply of others, which cannot even start here.
    home = {"KIMI_HOME": str(tmp_path / "home"), "KIMI_LOCAL_ENGINE": "scripted"}
    with started(home, tmp_path) as kernel:
        assert kernel.run("%%kimi\nhi").ok
    with started(home | {"KIMI_LOCAL_ENGINE": "llama", "KIMI_LOCAL_MODEL": "/no/such.gguf"}, tmp_path) as kernel:
        assert kernel.run("%%kimi\nhi").reply["ename"] == "LocalModelError"
        assert "- local\n+ local/such" in kernel.run("%%kimi --rerun only\nhi").text


def test_another_place_is_another_reply_unless_a_file_is_named(kernel: Kernel, seen: Seen, server: Any) -> None:
    kernel.run("%config KimiMagics.endpoint = 'local'")
    kernel.run("%kimi ask -q --no-history -m @cf/moonshotai/kimi-k2.6 --max-tokens 99 hi")
    kernel.run("%kimi journal save x.kimi.jsonl")
    url = f"{server.url}/accounts/{'0' * 32}/ai/v1"
    kernel.run(f"%config KimiMagics.endpoint = {url!r}\n%config KimiMagics.api_key = {server.token!r}")
    cell = kernel.run("%kimi ask --no-history -m @cf/moonshotai/kimi-k2.6 --max-tokens 99 --rerun only hi")
    assert "this was answered by local, not by 127.0.0.1" in cell.text
    assert kernel.run("%kimi ask -q --no-history -m @cf/moonshotai/kimi-k2.6 --max-tokens 99 hi").ok
    assert len(seen.all()) == 2
    kernel.run("%kimi journal load x.kimi.jsonl")
    assert (
        "replayed"
        in kernel.run("%kimi ask --no-history -m @cf/moonshotai/kimi-k2.6 --max-tokens 99 --rerun only hi").html
    )
    assert len(seen.all()) == 2


# Files


def test_what_is_saved_is_replayed_elsewhere(
    kernel: Kernel, seen: Seen, tmp_path: Path, asking: dict[str, str]
) -> None:
    questions = ["%%kimi\nmy name is Ada", "%%kimi --no-history\n<<say a\n\nb>>", "%%kimi\nwhat is my name?"]
    texts = [kernel.run(question).text for question in questions]
    assert "3 exchanges in" in kernel.run("%kimi journal save x.kimi.jsonl").text
    lines = (tmp_path / "x.kimi.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line).get("after") for line in lines] == [None, None, 1]
    assert [len(json.loads(line)["messages"]) for line in lines] == [1, 1, 1]
    other = asking | {"KIMI_HOME": str(tmp_path / "other"), "KIMI_JOURNAL": "x.kimi.jsonl", "KIMI_LOCAL_URL": ""}
    seen.clear()
    with started(other | {"KIMI_RERUN": "only"}, tmp_path) as there:
        cells = [there.run(question) for question in questions]
        assert [cell.text for cell in cells] == texts
        assert there.run("a = %kimi ask -q --no-history <<say a\n").reply["ename"] == "NotRecorded"
        there.run("%kimi journal save y.kimi.jsonl")
    assert (tmp_path / "y.kimi.jsonl").read_bytes() == (tmp_path / "x.kimi.jsonl").read_bytes()
    assert seen.all() == []


def test_a_file_holds_nothing_of_the_moment_the_machine_or_the_account(
    kernel: Kernel, seen: Seen, tmp_path: Path
) -> None:
    kernel.run("note = 'the key ' + 'sk-proj-' + '4f9aQ2xL' * 5")
    kernel.run("%%kimi -c note\nhi")
    kernel.run("%kimi journal save x.kimi.jsonl")
    text = (tmp_path / "x.kimi.jsonl").read_text("utf-8")
    headers: dict[str, str] = dict(seen.last()["headers"])  # type: ignore[call-overload]  # JSON
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["x-session-affinity"] not in text
    assert headers["authorization"].removeprefix("Bearer ") not in text
    assert "4f9aQ2xL" not in text
    assert "[redacted" in text
    assert str(tmp_path) not in text
    assert not any(name in text for name in ("time", 'key":', "request_id"))


@pytest.mark.parametrize("word", ["journal save x.kimi.jsonl", "export x.jsonl", "export x.md", "export x.ipynb"])
def test_what_became_private_since_is_written_to_no_file(kernel: Kernel, tmp_path: Path, word: str) -> None:
    kernel.run("import pandas as pd; df = pd.DataFrame({'who': ['Grace Hopper', 'Ada Lovelace']})")
    kernel.run("%kimi ask -q {{ df }} <<say seen>>")
    kernel.run("%kimi private df who")
    cell = kernel.run(f"%kimi {word}")
    assert cell.reply["ename"] == "CommandError"
    assert "values of who" in cell.text
    assert list(tmp_path.glob("x.*")) == []
    kernel.run("%kimi private --release who")
    assert kernel.run(f"%kimi {word}").ok


# Erase


def test_what_is_forgotten_is_asked_again_and_nothing_else(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%kimi ask -q first <<say a>>")
    kernel.run("%kimi fork aside")
    kernel.run("%kimi ask -q second <<say b>>")
    kernel.run("%kimi forget")
    seen.clear()
    restart(kernel)
    assert kernel.run("%kimi ask first <<say a>>").ok
    assert seen.all() == []
    assert kernel.run("%kimi ask second <<say b>>").ok
    assert len(seen.all()) == 1


def in_notebook(kernel: Kernel, name: str) -> None:
    """Go on as a new kernel of that notebook."""
    kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {name!r}")
    restart(kernel)


@pytest.fixture
def notebooks(kernel: Kernel) -> Iterator[Kernel]:
    yield kernel
    kernel.run("os.environ.pop('JPY_SESSION_NAME', None)")


@pytest.mark.parametrize("word", ["forget", "forget --all"])
def test_what_another_notebook_asked_too_is_not_forgotten(notebooks: Kernel, seen: Seen, word: str) -> None:
    for name in ("one.ipynb", "two.ipynb"):
        in_notebook(notebooks, name)
        notebooks.run("%kimi ask -q both <<say a>>")
        notebooks.run(f"%kimi ask -q only {name} <<say b>>")
    assert len(seen.all()) == 3
    notebooks.run(f"%kimi {word}")
    notebooks.run("%kimi ask -q both <<say a>>")
    assert len(seen.all()) == 3
    notebooks.run("%kimi ask -q only two.ipynb <<say b>>")
    assert len(seen.all()) == 4
    in_notebook(notebooks, "one.ipynb")
    notebooks.run(f"%kimi resume\n%kimi {word}")
    notebooks.run("%kimi ask -q both <<say a>>\n%kimi ask -q only one.ipynb <<say b>>")
    assert len(seen.all()) == 5


def test_forgetting_tells_that_the_ledger_stays(kernel: Kernel) -> None:
    kernel.run("%kimi ask -q hello <<say a>>")
    assert "%kimi egress" in kernel.run("%kimi forget").text


def test_forgetting_all_forgets_what_was_asked_aside(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%kimi ask -q --no-history aside <<say a>>")
    restart(kernel)
    kernel.run("%kimi forget --all")
    assert kernel.run("%kimi ask -q --no-history aside <<say a>>").ok
    assert len(seen.all()) == 2


def test_the_journal_can_be_cleared(kernel: Kernel, seen: Seen, tmp_path: Path) -> None:
    kernel.run("%kimi ask -q WORDS-TO-CLEAR <<say a>>")
    assert "1 exchange erased" in kernel.run("%kimi journal clear").text
    with sqlite3.connect(tmp_path / "home" / FILE) as connection:
        assert connection.execute("SELECT count(*) FROM exchange").fetchone() == (0,)
    restart(kernel)
    assert kernel.run("%kimi ask -q WORDS-TO-CLEAR <<say a>>").ok
    assert len(seen.all()) == 2


def test_a_dry_run_tells_that_nothing_would_be_sent(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%kimi ask -q hello <<say a>>")
    restart(kernel)
    assert "replayed from the journal" in kernel.run("%kimi ask --dry-run hello <<say a>>").text
    assert "replayed" not in kernel.run("%kimi ask --dry-run --rerun always hello <<say a>>").text
    assert "replayed" not in kernel.run("%kimi ask --dry-run goodbye <<say a>>").text
    assert len(seen.all()) == 1


def test_what_was_replayed_is_not_what_the_service_could_have_cached(kernel: Kernel) -> None:
    for question in ("one", "two"):
        kernel.run(f"%kimi ask -q {question} <<say a>>")
    restart(kernel)
    for question in ("one", "two", "three"):
        kernel.run(f"%kimi ask -q {question} <<say a>>")
    told = kernel.value("[row[6] for row in get_ipython().run_line_magic('kimi', 'prefix').rows]")
    assert told == ["replayed; the first of its conversation", "replayed", "its conversation's first in this kernel"]


def test_what_is_loaded_is_for_this_kernel_alone(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%%kimi --no-history\nhi")
    kernel.run("%kimi journal save x.kimi.jsonl")
    kernel.run(f"import os; os.environ['KIMI_HOME'] = {str(tmp_path / 'other')!r}")
    restart(kernel)
    assert "1 exchange from x.kimi.jsonl" in kernel.run("%kimi journal load x.kimi.jsonl").text
    kernel.run("%%kimi answer --no-history\nhi")
    assert kernel.value("answer.recorded") == "x.kimi.jsonl"
    restart(kernel)
    assert "recorded             0 exchanges" in kernel.run("%kimi journal").text


@pytest.mark.parametrize("code", ["%kimi journal save", "%kimi journal save x.ipynb", "%kimi journal load none.jsonl",
                                  "%kimi journal forget", "%kimi journal save no/such/folder/x.jsonl",
                                  "%kimi journal save empty.jsonl"])  # fmt: skip
def test_what_cannot_be_saved_or_loaded_is_told(kernel: Kernel, code: str) -> None:
    cell = kernel.run(code)
    assert cell.reply["ename"] == "CommandError"
    assert len(cell.text.splitlines()) == 2


def rerun(kernel: Kernel, cell: str, text: str) -> None:
    assert kernel.run(f"%kimi ask -q {text}", metadata={"cellId": cell}).ok


def questions(path: Path) -> list[str]:
    return [json.loads(line)["messages"][-1]["content"][0] for line in path.read_text("utf-8").splitlines()]


def test_what_a_later_run_of_its_cell_has_replaced_is_not_saved(kernel: Kernel, tmp_path: Path) -> None:
    rerun(kernel, "a", "first try")
    rerun(kernel, "b", "below it")
    rerun(kernel, "a", "second try")
    kernel.run("%kimi ask -q --no-history aside\n%kimi ask -q undone\n%kimi undo")
    told = kernel.run("%kimi journal save x.kimi.jsonl").text
    assert questions(tmp_path / "x.kimi.jsonl") == ["second try", "aside", "undone"]
    assert "3 exchanges in x.kimi.jsonl. 2 of replaced turns left out: --all" in told
    rerun(kernel, "a", "first try")
    kernel.run("%kimi journal save x.kimi.jsonl")
    assert questions(tmp_path / "x.kimi.jsonl") == ["first try", "aside"]
    told = kernel.run("%kimi journal save x.kimi.jsonl --all").text
    assert questions(tmp_path / "x.kimi.jsonl") == ["first try", "below it", "second try", "aside", "undone"]
    assert "5 exchanges in x.kimi.jsonl, where 2 exchanges were before." in told


def test_a_file_of_the_settings_may_be_written_later(kernel: Kernel, seen: Seen) -> None:
    kernel.run("os.environ['KIMI_JOURNAL'] = 'later.kimi.jsonl'")
    assert kernel.run("%kimi ask -q hi").ok
    assert "later.kimi.jsonl is not there yet" in kernel.run("%kimi journal").text
    assert kernel.run("%kimi ask --rerun only hi").reply["ename"] == "SettingError"
    kernel.run("%kimi journal save later.kimi.jsonl")
    kernel.run("%kimi reset")
    assert kernel.run("%kimi ask -q --rerun only hi").ok
    assert len(seen.all()) == 1
    kernel.run("del os.environ['KIMI_JOURNAL']")


def test_what_was_cleared_is_not_what_was_never_asked(kernel: Kernel) -> None:
    kernel.run("%kimi ask -q hi\n%kimi journal clear")
    assert "in the journal no more" in kernel.run("%kimi journal save x.kimi.jsonl").text


def test_a_file_that_is_there_survives_a_failed_save(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").mkdir()
    kernel.run("%%kimi --no-history\nhi")
    assert kernel.run("%kimi journal save x.jsonl").reply["ename"] == "CommandError"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_bad_file_in_the_settings_is_a_setting_error(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "bad.kimi.jsonl").write_text("nonsense\n")
    kernel.run("%config KimiMagics.journal = 'bad.kimi.jsonl'")
    cell = kernel.run("%%kimi\nhi")
    assert cell.reply["ename"] == "SettingError"
    assert "line 1" in cell.text
    kernel.run("%config KimiMagics.journal = ''")
    assert kernel.run("%%kimi\n<<say fine>>").text == "fine"


# Kernels and stores


def test_two_kernels_record_the_same_exchange(
    kernel: Kernel, asking: dict[str, str], tmp_path: Path, seen: Seen
) -> None:
    question = "%%kimi --no-history\n<<tokens 30>><<rate 60>>"
    with started(asking, tmp_path) as other:
        other.client.execute(question)
        assert kernel.run(question).ok
        assert len(seen.all()) == 2
        assert ">replayed</span>" in other.run(question).html
        assert "recorded             1 exchange," in other.run("%kimi journal").text


def test_a_store_that_cannot_be_used_keeps_nobody_from_asking(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run("%%kimi -q\nhi")
    with sqlite3.connect(tmp_path / "home" / FILE) as connection:
        connection.execute("DROP TABLE exchange")
    connection.close()
    cell = kernel.run("%%kimi\n<<say fine>>")
    assert cell.text.count("Replies are not recorded") == 1
    assert "fine" in cell.text
    assert kernel.run("%%kimi\n<<say fine>>").text == "fine"
    assert kernel.run("%%kimi --rerun only\n<<say fine>>").reply["ename"] == "StoreError"


# In one process: values


def request(text: str = "hi", **more: Any) -> Request:
    return Request("local", (Message.of("user", text),), 100, **more)


def test_a_picture_is_kept_as_its_digest() -> None:
    def asked(data: bytes) -> str:
        picture = Image(data, "image/png", 4, 3)
        return canonical(Request("k", (Message("user", (Text("see"), picture)),), 9))

    assert len(asked(b"x" * 100_000)) < 400
    assert asked(b"x" * 100_000) == asked(b"x" * 100_000)
    assert asked(b"x" * 100_000) != asked(b"y" * 100_000)


texts = st.text(st.characters(codec=None), max_size=30)
deltas = st.one_of(
    st.builds(TextDelta, texts),
    st.builds(ThinkingDelta, texts),
    st.builds(ToolCallDelta, st.integers(0, 3), texts, texts, texts),
)
ends = st.builds(
    Finished,
    st.sampled_from([reason for reason in get_args(Finish) if reason != "cut"]),
    st.builds(Usage, st.integers(0, 9), neurons=st.none() | st.just(0.25)),
    texts,
)
times = st.floats(0, 5)
replies = st.builds(
    lambda events, seconds, end: [*zip(sorted(seconds), events, strict=False), (9.0, end)],
    st.lists(deltas, max_size=8),
    st.lists(times, min_size=8, max_size=8),
    ends,
)


@given(replies, st.sampled_from([packing.FRAME, packing.PAINT]))
def test_any_reply_comes_back_word_for_word(timed: list[packing.Timed], step: float) -> None:
    packed = packing.pack(timed, step)
    again = packing.unpack(json.loads(packing.to_json(packed)))
    assert list(packing.whole(again)) == list(packing.whole(timed))
    assert packing.pack(again, step) == packed


@given(st.lists(st.tuples(texts, replies), min_size=1, max_size=4))
def test_any_exchange_comes_back_from_a_file(asked: list[tuple[str, list[packing.Timed]]]) -> None:
    exchanges = [
        (json.loads(packing.to_json({"messages": [{"role": "user", "content": text}], "model": "m"})),
         packing.pack(timed, packing.PAINT))
        for text, timed in asked
    ]  # fmt: skip
    written = files.dumps(exchanges)
    assert written.encode("utf-8").count(b"\n") == len(asked)
    assert files.loads(written) == exchanges


@given(st.lists(replies, min_size=1, max_size=4))
def test_any_dialogue_with_tools_comes_back_and_is_told_once(rounds: list[list[packing.Timed]]) -> None:
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    exchanges = []
    for number, timed in enumerate(rounds):
        packed = packing.pack(timed, packing.PAINT)
        asked = {"messages": list(messages), "model": "m", "tools": [{"type": "function"}]}
        exchanges.append((asked, packed))
        ids = [f"{number}:{n}" for n in {event.index for _, event in timed if isinstance(event, ToolCallDelta)}]
        said = packing.said_by(packing.unpack(packed), ids)
        assert said is not None
        messages.append(json.loads(packing.to_json(wire.message_as_sent(said))))
        messages += [{"role": "tool", "content": "ok", "tool_call_id": id_} for id_ in ids]
        messages.append({"role": "user", "content": "and then?"})
    written = files.dumps(exchanges)
    assert files.loads(written) == exchanges
    lines = [json.loads(line) for line in written.removesuffix("\n").split("\n")]
    assert [line.get("after") for line in lines] == [None, *range(1, len(rounds))]
    assert not any(message["role"] == "assistant" for line in lines for message in line["messages"])


GOOD = files.dumps(
    [(json.loads(canonical(request())), packing.pack([(0.0, TextDelta("a")), (0.1, Finished("stop", Usage()))]))]
)
SPOILT = {
    "this is no JSON": GOOD[:30],
    "this is no exchange": "[]",
    "is not known": GOOD.replace('"ask"', '"new": 1, "ask"'),
    "goes on from line 7": GOOD.replace('"ask"', '"after": 7, "ask"'),
    "goes on from line '1'": GOOD.replace('"ask"', '"after": "1", "ask"'),
    "does not call 2 tools": GOOD.replace('"ask"', '"after": 1, "ids": ["a", "b"], "ask"'),
    "line 1 declares no tools": GOOD.replace('"ask"', '"tools": 1, "ask"'),
    "does not finish": GOOD.replace('"finish": "stop"', '"text": [], "pace": []'),
    "finish with 'cut'": GOOD.replace('"stop"', '"cut"'),
    "the pace tells of 3 characters": GOOD.replace("[[0.0, 1]]", "[[0.0, 3]]"),
    "do not grow": GOOD.replace("[[0.0, 1]]", "[[0.2, 1]]"),
    "shape that is not known": GOOD.replace('"role": "user"', '"roll": 1').replace('"content": ["hi"]', '"content": 3'),
    "messages and a model": GOOD.replace('"model": "local"', '"model": 3'),
}
SPOILT_COUNTS = ['"input": "x"', '"thinking": -5', '"input": true', '"neurons": "1"', '"cached": 1e99', '"input": null',
                 '"neurons": NaN', '"other": 1', f'"input": 1{"0" * 400}']  # fmt: skip


@pytest.mark.parametrize("told", SPOILT)
def test_a_spoilt_line_is_named(told: str) -> None:
    assert SPOILT[told] != GOOD
    with pytest.raises(ValueError, match="line 2") as caught:
        files.loads(GOOD + SPOILT[told])
    assert told in str(caught.value)


@pytest.mark.parametrize("count", SPOILT_COUNTS)
def test_a_spoilt_count_is_named(count: str) -> None:
    spoilt = GOOD.replace('"input": 0', count)
    assert spoilt != GOOD
    with pytest.raises(ValueError, match=r"line 2.* shape that is not known"):
        files.loads(GOOD + spoilt)


@pytest.mark.parametrize("call", [{"index": "0"}, {"id": 1}, {"name": None}, {"arguments": ["x"]}, {"index": -1}])
def test_a_spoilt_call_is_named(call: dict[str, Any]) -> None:
    good = {"index": 0, "id": "a", "name": "f", "arguments": "{}"}
    end = packing.pack([(0.1, Finished("tool_calls", Usage()))])
    assert packing.unpack([{"call": good, "at": 0.0}, *end])
    for at in (0.0, "0", float("nan"), 1e300):
        with pytest.raises(ValueError, match="shape"):
            packing.unpack([{"call": good | call, "at": at}, *end])


@pytest.mark.parametrize("pace", ['[["0", 1]]', "[[0.0, -1], [0.1, 2]]", "[[0.0, 1.0]]", "[[NaN, 1]]"])
def test_a_spoilt_pace_is_named(pace: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        files.loads(GOOD + GOOD.replace("[[0.0, 1]]", pace))


def test_a_file_may_end_with_any_systems_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.kimi.jsonl"
    path.write_bytes(GOOD.replace("\n", "\r\n").encode() * 2)
    journal = Journal(Store(tmp_path))
    assert journal.load(path) == 2
    path.write_bytes(b"\xff" + GOOD.encode())
    with pytest.raises(SettingError, match="no file of recordings"):
        journal.load(path, SettingError)
    path.unlink()
    with pytest.raises(CommandError, match="cannot be read"):
        journal.load(path)


def asked(*said: str, **parameters: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    return {"messages": messages, "model": "m"} | parameters


@pytest.mark.parametrize(
    ("wanted", "recorded", "where", "old", "new"),
    [
        (asked("a"), asked("b"), "message 1 (user), line 1", "b", "a"),
        (asked("a", "b", "c\nd"), asked("a", "b", "c\ne"), "message 3 (user), line 2", "e", "d"),
        (asked("a", "b", "c"), asked("a"), "message 2 (assistant), line 1", "(nothing)", "b"),
        (asked("a"), asked("a", model="n"), "model", "n", "m"),
        (asked("a", top_p=0.5), asked("a"), "top_p", "(not set)", "0.5"),
    ],
)
def test_the_first_difference_is_told(wanted: Any, recorded: Any, where: str, old: str, new: str) -> None:
    found = difference(wanted, recorded)
    assert (found.where, found.recorded, found.wanted) == (where, old, new)


def test_a_long_line_is_shown_around_its_difference() -> None:
    found = difference(asked("x" * 500 + "1" + "y" * 500), asked("x" * 500 + "2" + "y" * 500))
    assert "2y" in found.recorded
    assert "1y" in found.wanted
    assert max(len(found.recorded), len(found.wanted)) < 110


def test_the_nearest_has_the_longest_same_beginning_then_the_likest_words() -> None:
    many = [asked("a", "b", "other"), asked("the mean is 3"), asked("a", "b", "the mean of x"), asked("z", "b", "c")]
    assert nearest(asked("a", "b", "the mean of y"), many) == many[2]
    assert nearest(asked("the mean is 4"), many) == many[1]
    assert nearest(asked("a"), []) is None


def test_not_recorded_can_be_caught_and_tells_the_difference(tmp_path: Path) -> None:
    journal = Journal(Store(tmp_path))
    (tmp_path / "x.jsonl").write_text(GOOD)
    journal.load(tmp_path / "x.jsonl")
    assert journal.replay(request(), "only", lambda _: None) is not None
    with pytest.raises(NotRecorded, match="- hi\n\\+ ho") as caught:
        journal.replay(request("ho"), "only", lambda _: None)
    assert caught.value.diff == ("hi", "ho")
