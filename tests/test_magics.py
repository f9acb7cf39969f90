"""`%kimi` and `%%kimi` in a real kernel, asking a real server over a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic import options
from kimi_magic.report import Report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel


def body(seen: Seen) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(str(seen.last()["body"]))
    return found


def test_a_cell_shows_its_reply_once(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi\n<<say Hello **you**>>")
    assert [output["type"] for output in cell.outputs] == ["display_data"]
    assert cell.outputs[0]["data"]["text/plain"] == "Hello **you**"
    assert "<strong>you</strong>" in cell.html
    assert "local model" in cell.html


def test_the_reply_lands_in_the_destination_and_in_out(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi answer\n<<say Hello>>")
    count = cell.reply["execution_count"]
    assert kernel.value(f"(answer.text, Out[{count}] is answer, answer.finish)") == ("Hello", True, "stop")


def test_a_reply_shows_itself_again_when_asked(kernel: Kernel) -> None:
    kernel.run("%%kimi answer\n<<say Hello>>")
    cell = kernel.run("answer")
    assert cell.outputs[0]["type"] == "execute_result"
    assert cell.text == "Hello"


def test_quiet_shows_nothing(kernel: Kernel) -> None:
    assert kernel.run("%%kimi -q answer\n<<say Hello>>").outputs == []
    assert kernel.value("str(answer)") == "Hello"


def test_a_follow_up_knows_what_was_said(kernel: Kernel) -> None:
    kernel.run("%%kimi\nmy name is Ada")
    assert "Ada" in kernel.run("%%kimi\nwhat is my name?").text


def test_one_line_asks_and_may_end_in_a_question_mark(kernel: Kernel, seen: Seen) -> None:
    assert kernel.run("x = %kimi ask -q What's 'this'?").ok
    assert kernel.run("%kimi ask And \\\n that?").ok
    said = [message["content"] for message in body(seen)["messages"] if message["role"] == "user"]
    assert said == ["What's 'this'?", "And that?"]
    assert kernel.value("type(x).__name__") == "Reply"


HARD = '{x} {{x}} {} % %s $HOME $x {"a": 1} \'quote " ` \\n \\ # !ls ?x 😀 a\u2028b \u4f60\u597d'


def test_any_text_reaches_the_server_unchanged(kernel: Kernel, seen: Seen) -> None:
    kernel.run("x = 1")
    assert kernel.run(f"%%kimi -q --raw\n  {HARD}\n\n{HARD}\n").ok
    assert body(seen)["messages"][-1]["content"] == f"  {HARD}\n\n{HARD}"


def test_no_variable_is_expanded_in_the_line(kernel: Kernel, seen: Seen) -> None:
    kernel.run("x = 'EXPANDED'")
    assert kernel.run("%%kimi -q -s '{x} $x'\nhi").ok
    assert body(seen)["messages"][0]["content"] == "{x} $x"


OPTIONS = {
    "model": ("k2.5", lambda request, _: "kimi-k2.5" in request["path"]),
    "system": ("Brief", lambda _, sent: sent["messages"][0]["content"] == "Brief"),
    "max_tokens": ("7", lambda _, sent: sent["max_completion_tokens"] == 7),
    "temperature": ("0.5", lambda _, sent: sent["temperature"] == 0.5),
    "top_p": ("0.25", lambda _, sent: sent["top_p"] == 0.25),
    "effort": ("low", lambda _, sent: sent["reasoning_effort"] == "low"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_of_the_model_reaches_the_wire(kernel: Kernel, seen: Seen, name: str) -> None:
    value, arrived = OPTIONS[name]
    flag = "--" + name.replace("_", "-")
    assert kernel.run(f"%%kimi -q {flag} {value}\nhi").ok
    assert arrived(seen.last(), body(seen))


def test_every_option_is_documented_and_tested() -> None:
    here = {*OPTIONS, "format", "timeout", "new", "no_history", "quiet"}
    here |= {"session"}  # in test_history.py
    here |= {"rerun"}  # in test_journal.py
    here |= {"tools", "approve", "rounds", "out"}  # in test_tools.py and test_structured.py
    here |= {"context", "rows", "columns", "full", "detail", "cells", "raw", "dry_run"}  # in test_context.py
    here |= {"later", "map", "lane", "budget", "pilot", "rate", "concurrency", "yes"}  # in test_job_words.py
    assert {option.name for option in options.OPTIONS} == here


def test_new_and_no_history(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%%kimi -q\none")
    kernel.run("%%kimi -q --no-history\naside")
    assert len(body(seen)["messages"]) == 1
    kernel.run("%%kimi -q\ntwo")
    assert len(body(seen)["messages"]) == 3
    kernel.run("%%kimi -q --new\nthree")
    assert len(body(seen)["messages"]) == 1


def test_the_timeout_ends_a_slow_reply_and_keeps_what_came(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi --timeout 300ms\n<<tokens 900>><<rate 100>>")
    assert not cell.ok
    assert cell.reply["ename"] == "Stalled"
    assert [output["type"] for output in cell.outputs] == ["display_data", "error"]
    assert "not complete" in cell.html


def test_code_goes_into_the_next_cell_and_is_not_run(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi -f code\n<<say Here:\n```python\nran = True\n```\n>>")
    assert cell.next_cell == "ran = True"
    assert kernel.value("'ran' in globals()") is False


def test_json_text_and_html_have_their_forms(kernel: Kernel) -> None:
    assert "highlight" in kernel.run('%%kimi -f json\n<<say {"a":[1,2]}>>').html
    assert "not valid JSON" in kernel.run("%%kimi -f json\n<<say nope>>").html
    assert "&lt;b&gt;*x*" in kernel.run("%%kimi -f text\n<<say <b>*x*</b> >>").html
    html = kernel.run("%%kimi -f html\n<<say <p><b>x</b><script>alert(1)</script></p> >>").html
    assert "<b>x</b>" in html
    assert "alert" not in html


def test_thinking_is_folded_apart_and_can_be_left_out(kernel: Kernel) -> None:
    question = "%%kimi answer\n<<think a <b>thought</b> >><<say Done>>"
    cell = kernel.run(question)
    assert "<details" in cell.html
    assert "a &lt;b&gt;thought&lt;/b&gt;" in cell.html
    assert cell.text == "Done"
    kernel.run("%config KimiMagics.thinking = False")
    assert "thought" not in kernel.run(question).html
    assert kernel.value("answer.thinking") == "a <b>thought</b> "


def test_an_empty_reply_at_the_limit_says_what_to_do(kernel: Kernel) -> None:
    cell = kernel.run("%%kimi --max-tokens 9\n<<think so long>><<say >><<finish length>>")
    assert "thinking used the whole budget of 9 tokens" in cell.html
    assert "--effort low or off" in cell.html


ERRORS = {
    "%%kimi --bogus\nhi": "CommandError",
    "%%kimi\n  ": "CommandError",
    "%%kimi --temperature 9\nhi": "CommandError",
    "%%kimi": "CommandError",
    "%%kimi answer -q": "CommandError",
    "\n%%kimi --new\n": "CommandError",
    "%%kimi -m k9\nhi": "UnknownModel",
    "%%kimi -m @cf/gone/model\nhi": "UnknownModel",
    "%%kimi 2x\nhi": "CommandError",
    "%kimi bogus": "CommandError",
    "%%kimi\n<<fault 4006>>": "QuotaError",
    "%%kimi\n<<fault 8007>>": "TooLarge",
    "%%kimi\n<<fault garbage after=2>>": "BrokenReply",
    "import kimi_magic\nkimi_magic.ask('')": "CommandError",
}


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_stops_the_cell_in_at_most_five_lines(kernel: Kernel, code: str) -> None:
    cell = kernel.run(code)
    assert not cell.ok
    assert cell.reply["ename"] == ERRORS[code]
    shown = [output for output in cell.outputs if output["type"] == "error"]
    assert len(shown) == 1
    assert len("\n".join(shown[0]["traceback"]).splitlines()) <= 5
    assert kernel.run("%%kimi\n<<say fine>>").ok


def test_an_error_is_catchable_by_class(kernel: Kernel) -> None:
    cell = kernel.run(
        "import kimi_magic\nfrom kimi_magic import errors\n"
        "try:\n    kimi_magic.ask('<<fault 4006>>')\nexcept errors.AccountError as e:\n    print(e.code, e.status)"
    )
    assert cell.text.strip() == "4006 429"


def test_a_wait_before_a_retry_is_seen(kernel: Kernel) -> None:
    shown: list[str] = []

    def watch(message: dict[str, Any]) -> None:
        shown.append(message["content"].get("data", {}).get("text/plain", ""))

    cell = kernel.run("%%kimi\n<<fault 3040 times=1 retry_after=0.4>><<say ok>>", watch=watch)
    assert cell.text == "ok"
    assert any("try 2 of 5" in text and "Capacity" in text for text in shown)


def test_status_usage_config_and_help(kernel: Kernel) -> None:
    kernel.run("%%kimi -q -m k2.5\n<<say hi>>")
    assert "no Cloudflare credentials found" in kernel.run("%kimi").text
    usage = kernel.run("%kimi usage")
    assert "$" not in usage.text  # nobody bills the local server, whatever the model is called
    assert "<table>" in usage.html
    assert "environment KIMI_LOCAL_URL" in kernel.run("%kimi config").text
    assert "%kimi usage" in kernel.run("%kimi help").text
    assert "kimi-k2.7-code" in kernel.run("%kimi model").text


def test_model_and_use_hold_from_then_on(kernel: Kernel, environment: dict[str, str]) -> None:
    cell = kernel.run(f"%kimi use {environment['KIMI_LOCAL_URL']}/accounts/{'0' * 32}/ai/v1")
    assert "needs a model" in cell.text
    kernel.run("%kimi model @cf/moonshotai/kimi-k2.6")
    kernel.run(f"%config KimiMagics.api_key = {environment['KIMI_LOCAL_TOKEN']!r}")
    assert kernel.run("%%kimi\n<<say through a URL>>").text == "through a URL"
    assert environment["KIMI_LOCAL_TOKEN"] not in kernel.run("%kimi config").text
    kernel.run("%kimi use local")
    assert kernel.run("%%kimi\n<<say local again>>").text == "local again"


def test_reset_begins_a_new_conversation(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%%kimi -q\none")
    assert "1 turn left behind" in kernel.run("%kimi reset").text
    kernel.run("%%kimi -q\ntwo")
    assert len(body(seen)["messages"]) == 1


def test_settings_are_traits(kernel: Kernel) -> None:
    kernel.run("%config KimiMagics.max_tokens = 77")
    assert "77" in kernel.run("%config KimiMagics.max_tokens").text
    assert kernel.value("__import__('kimi_magic.kernel').kernel.resolve().max_tokens") == 77
    assert "0 to 2" in kernel.run("%config KimiMagics.temperature = 9").text
    assert "temperature" in kernel.run("%config KimiMagics").text


def test_credentials_never_show(cold_kernel: Kernel) -> None:
    secret = "cfut_S3cretS3cretS3cretS3cret0000000000000"
    cold_kernel.run(
        f"import os; os.environ['CLOUDFLARE_API_TOKEN'] = {secret!r}\n"
        "os.environ['CLOUDFLARE_ACCOUNT_ID'] = '0' * 32\n%load_ext kimi_magic"
    )
    shown = ""
    for code in ("%kimi", "%kimi config", "%config KimiMagics", "%config KimiMagics.api_token", "%xmode Verbose",
                 "%%kimi --timeout 1ms\nhi", "%tb", "%kimi usage"):  # fmt: skip
        cell = cold_kernel.run(code)
        shown += json.dumps(cell.messages, default=str)
    assert "Cloudflare Workers AI" in shown
    assert "S3cret" not in shown


def test_a_wrong_value_in_ipythons_configuration_is_told_and_the_extension_loads(cold_kernel: Kernel) -> None:
    cold_kernel.run("get_ipython().config.KimiMagics.temperature = 9\nget_ipython().config.KimiMagics.top_p = 0.5")
    cell = cold_kernel.run("%load_ext kimi_magic")
    assert cell.ok
    assert "9 is not a number" in cell.text
    assert "0.5" in cold_kernel.run("%config KimiMagics.top_p").text


def test_one_wrong_setting_leaves_the_diagnosis_and_the_way_out(cold_kernel: Kernel) -> None:
    cold_kernel.run("import os; os.environ['KIMI_TEMPERATURE'] = 'hot'\n%load_ext kimi_magic")
    assert "environment KIMI_TEMPERATURE" in cold_kernel.run("%kimi").text
    assert "unusable" in cold_kernel.run("%kimi config").text
    assert cold_kernel.run("%config KimiMagics").ok
    assert cold_kernel.run("%%kimi\nhi").reply["ename"] == "SettingError"
    assert cold_kernel.run("%%kimi --temperature 0.5\n<<say ok>>").text == "ok"
    cold_kernel.run("%config KimiMagics.temperature = 0.5")
    assert cold_kernel.run("%%kimi\n<<say ok>>").text == "ok"


def test_a_cell_is_complete_only_with_its_question(kernel: Kernel) -> None:
    kernel.client.is_complete("%%kimi r")
    assert kernel.client.get_shell_msg(timeout=10)["content"]["status"] == "incomplete"


def test_a_broken_reply_lands_in_the_destination_too(kernel: Kernel) -> None:
    assert not kernel.run("%%kimi answer\n<<fault cut after=4>><<say one two three four five six>>").ok
    assert kernel.value("(answer.cut, answer.text[:7])") == (True, "one two")


def test_half_of_the_credentials_is_told(cold_kernel: Kernel) -> None:
    cold_kernel.run(f"import os; os.environ['CLOUDFLARE_ACCOUNT_ID'] = {'0' * 32!r}\n%load_ext kimi_magic")
    cell = cold_kernel.run("%%kimi\nhi")
    assert cell.reply["ename"] == "MissingCredential"
    assert "CLOUDFLARE_API_TOKEN is not set" in cell.reply["evalue"]


def test_help_is_there(kernel: Kernel) -> None:
    for question in ("%kimi?", "%%kimi?"):
        shown = kernel.run(question).reply["payload"][0]["data"]["text/plain"]
        assert all(option.flags[-1] in shown for option in options.OPTIONS)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("%kimi mo", "model"), ("%%kimi --ma", "--max-tokens"), ("%%kimi -f ", "json"), ("%%kimi -m k2", "k2.6"),
     ("%kimi use l", "local"), ("%kimi ask --eff", "--effort"), ("%%kimi an", "answer_here")],
)  # fmt: skip
def test_completion_offers_what_may_come(kernel: Kernel, typed: str, offered: str) -> None:
    kernel.run("answer_here = 1")
    reply: Any = kernel.client.complete(typed, len(typed), reply=True, timeout=10)
    assert offered in reply["content"]["matches"]


def test_completion_in_a_body_is_pythons(kernel: Kernel) -> None:
    reply: Any = kernel.client.complete("%%kimi\n--ma", 11, reply=True, timeout=10)
    assert "--max-tokens" not in reply["content"]["matches"]


def test_a_report_is_obeyed_by_no_terminal() -> None:
    report = Report("\x1b[2Jtitle", (("a\x1b[31m", "b\nc"),), ("one", "two\x9b"), note="\x07")
    assert str(report) == "␛[2Jtitle\none     two\ufffd\na␛[31m  b\n        c\n␇"


@pytest.mark.parametrize("name", ["two words", "<b>\x1b[31m", "-", "x" * 65])
def test_a_conversations_name_can_be_typed_wherever_it_comes_from(kernel: Kernel, tmp_path: Path, name: str) -> None:
    cell = kernel.run(f"import kimi_magic\nkimi_magic.ask('hi', session={name!r}, quiet=True)")
    assert cell.reply["ename"] == "CommandError"
    kernel.run(f"%kimi ask -q hi\n%kimi export {tmp_path / 'x.jsonl'}")
    lines = (tmp_path / "x.jsonl").read_text("utf-8").splitlines()
    (tmp_path / "x.jsonl").write_text("\n".join([json.dumps(json.loads(lines[0]) | {"name": name}), *lines[1:]]))
    cell = kernel.run(f"%kimi import {tmp_path / 'x.jsonl'}")
    assert cell.reply["ename"] == "CommandError"
    assert "\x1b[31m" not in cell.text.replace("\x1b[1;38;5;196m", "")
