"""IPython in a real terminal: plain text as it arrives."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = r"In \[\d+\]: "


def plain(text: str) -> str:
    """The text without the terminal's own marks."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


@pytest.fixture
def ipython(environment: dict[str, str], tmp_path: Path) -> Iterator[pexpect.spawn[str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("KIMI_", "CLOUDFLARE_"))}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit", f"--ipython-dir={tmp_path}"],
        env=clean | environment | {"TERM": "xterm", "PYTHONWARNINGS": "ignore"},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 120),
    )
    child.expect(PROMPT)
    run(child, "%load_ext kimi_magic")
    yield child
    child.close(force=True)


def run(child: pexpect.spawn[str], line: str) -> str:
    child.sendline(line)
    child.expect(PROMPT)
    return plain(child.before or "")


def test_a_reply_is_text_with_its_facts_and_no_html(ipython: pexpect.spawn[str]) -> None:
    shown = run(ipython, "%kimi ask <<say Hello **you**>>")
    assert "Hello **you**\n" in shown
    assert "[local model]" in shown
    assert " out" in shown
    assert "<" not in shown.replace("<<say", "").replace("<0.1 s", "")
    assert re.search(r"Out\[\d+\]: \r\x1b\[K", ipython.before or "")  # IPython's prompt for a value, erased again


def test_the_reply_is_in_out_and_in_a_variable(ipython: pexpect.spawn[str]) -> None:
    run(ipython, "r = %kimi ask <<say Hello>>")
    assert "'Hello' 'stop'" in run(ipython, "print(repr(r.text), repr(r.finish))")


def test_a_value_is_shown_bare(ipython: pexpect.spawn[str]) -> None:
    shown = run(ipython, 'r = %kimi ask -o "value int" <<say {"value": 77}>>')
    assert re.search(r"^value +77$", shown, re.MULTILINE)
    shown = run(ipython, 'r = %kimi ask -o int <<say {"value": 77}>>')
    assert re.search(r"^77$", shown, re.MULTILINE)
    assert '{"value"' not in shown.replace("<<say {", "")


def test_text_comes_as_it_arrives(ipython: pexpect.spawn[str]) -> None:
    ipython.sendline("%kimi ask <<say one two>><<pause 20 after 1>>")
    ipython.expect("\none")
    ipython.sendintr()
    ipython.expect(PROMPT)
    assert "not complete" in plain(ipython.before or "")


def test_an_error_is_a_few_lines(ipython: pexpect.spawn[str]) -> None:
    shown = run(ipython, "%kimi ask <<fault 4006>>")
    assert "QuotaError" in shown
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) <= 7


def test_the_status_is_a_table_of_text(ipython: pexpect.spawn[str]) -> None:
    shown = run(ipython, "%kimi")
    assert re.search(r"^endpoint +the model on this machine", shown, re.MULTILINE)


def test_the_terminal_obeys_nothing_that_the_model_writes(ipython: pexpect.spawn[str]) -> None:
    run(ipython, "hostile = '<<say-json \"a\\\\u001b]0;owned\\\\u0007\\\\u001b[2Jb\\\\u009b1mc\">>'")
    ipython.sendline("import kimi_magic; r = kimi_magic.ask(hostile)")
    ipython.expect(PROMPT)
    shown = ipython.before or ""
    assert "a\u241b]0;owned\u2407\u241b[2Jb\ufffd1mc" in shown
    assert "\x1b]0;" not in shown


def test_thinking_leaves_its_duration(ipython: pexpect.spawn[str]) -> None:
    assert re.search(r"Thought for <?[\d.]+ s\nDone", run(ipython, "%kimi ask <<think hm>><<say Done>>"))


def test_a_question_of_several_lines_can_be_typed(ipython: pexpect.spawn[str]) -> None:
    for line in ("%%kimi r", "<<say Hello>>", ""):
        ipython.sendline(line)
        ipython.expect(r"\.\.\.: ")
    assert "Hello" in run(ipython, "")


def test_a_reply_shown_again_is_as_harmless(ipython: pexpect.spawn[str]) -> None:
    run(ipython, "import kimi_magic; r = kimi_magic.Reply('A\\x1b]0;PWN\\x07B', finish='stop')")
    ipython.sendline("r")
    ipython.expect(PROMPT)
    assert "A\u241b]0;PWN\u2407B" in (ipython.before or "")


def test_without_streaming_the_text_comes_whole(ipython: pexpect.spawn[str]) -> None:
    run(ipython, "%config KimiMagics.stream = False")
    assert "Hello you\n" in run(ipython, "%kimi ask <<say Hello you>>")
