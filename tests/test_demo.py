"""`make demo` as a user sees it: the player of notebooks, as a process, its output read while it comes."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
PLAYER = [sys.executable, str(ROOT / "notebooks" / "demo.py")]
QUICKSTART = ROOT / "notebooks" / "01_quickstart.ipynb"
LOAD = "%load_ext kimi_magic"
WORDS = "one two three four five six seven eight nine ten"


def notebook(folder, *sources):
    cells = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]
    path = folder / "played.ipynb"
    path.write_text(json.dumps({"cells": cells}), "utf-8")
    return path


@contextlib.contextmanager
def playing(path, engine="scripted", **environment):
    """The player at work; its output is a pipe."""
    command = [*PLAYER, str(path), "--engine", engine]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=os.environ | environment, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def played(path, engine="scripted", **environment):
    """Exit code, output without margins, and what went to stderr."""
    with playing(path, engine, **environment) as process:
        output, errors = process.communicate(timeout=120)
        return process.returncode, re.sub(r"^│ ?", "", output, flags=re.MULTILINE), errors


def on_terminal(path, **environment):
    """All that the player writes to a terminal."""
    main, other = pty.openpty()
    with subprocess.Popen(
        [*PLAYER, str(path), "--engine", "scripted"], stdout=other, env=os.environ | {"COLUMNS": "80"} | environment
    ) as process:
        os.close(other)
        output = b""
        with contextlib.suppress(OSError):  # a terminal ends with one
            while data := os.read(main, 65536):
                output += data
        os.close(main)
    assert process.returncode == 0
    return output.decode()


def cells_of(path):
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


@pytest.fixture(scope="module")
def quickstart():
    return played(QUICKSTART)


def test_it_shows_every_cell_of_the_quickstart(quickstart):
    code, output, errors = quickstart
    assert (code, errors) == (0, "")
    for number, source in enumerate(cells_of(QUICKSTART), 1):
        assert f"In [{number}]: " + source.replace("\n", "\n   ...: ") in output


def test_it_shows_replies_with_their_facts(quickstart):
    _, output, _ = quickstart
    assert re.search(
        r"Hello \*\*Ada\*\*, nice to meet you.*\nlocal model · local · <?[\d.]+ s · 25 in · 14 out\n", output
    )
    assert "Your name is **Ada**." in output


def test_it_shows_what_went_into_the_next_cell(quickstart):
    _, output, _ = quickstart
    assert "has not run:\nIn [ ]: def is_palindrome(text: str) -> bool:\n   ...:     return" in output


def test_it_ends_by_naming_the_command_that_opens_jupyterlab(quickstart):
    _, output, _ = quickstart
    *_, facts, last = output.splitlines()
    assert re.fullmatch(r"Answered on this machine by scripted, in \d+ s all in all\.", facts)
    assert last == "The same notebook in JupyterLab: make lab"


def test_text_in_a_pipe_is_plain(quickstart):
    _, output, _ = quickstart
    assert "\x1b" not in output
    assert "\r" not in output


def test_a_reply_shows_while_it_streams(tmp_path):
    with playing(notebook(tmp_path, LOAD, f"%%kimi\n<<rate 8>><<say {WORDS}>>")) as process:
        seen = {}
        output = ""
        while data := os.read(process.stdout.fileno(), 65536):
            output += data.decode()
            reply = output.partition("│ ")[2]
            seen |= {word: time.monotonic() for word in WORDS.split() if word in reply and word not in seen}
    assert seen["ten"] - seen["one"] > 0.5
    assert len({round(moment, 2) for moment in seen.values()}) >= 4


@pytest.mark.parametrize(
    "asked",
    [
        "%%kimi reply\n<<tokens 2000>><<rate 4000>>",  # its blocks become one output at the end
        "print('Hello.')\nreply = kimi_magic.ask('<<tokens 2000>><<rate 4000>>')",  # they stay as they are
    ],
)
def test_a_long_reply_shows_once(tmp_path, asked):
    path = notebook(tmp_path, f"{LOAD}\nimport kimi_magic", asked, "print('whole:', reply.text)")
    code, output, _ = played(path)
    assert code == 0
    streamed, _, whole = " ".join(output.split()).partition("whole: ")
    whole = whole.partition(" Answered on this machine")[0]
    assert len(whole) > 7_000
    assert streamed.count(whole) == 1
    assert all(streamed.count(f"## Part {part}:") == 1 for part in (1, 2, 3))


def test_a_waiting_line_is_overwritten_on_a_terminal_and_left_out_elsewhere(tmp_path):
    path = notebook(tmp_path, LOAD, "%%kimi\n<<first 1.5>><<say at last>>")
    assert re.search(r"\x1b\[2mWaiting for [\w ]+ … \d s\x1b\[0m\r\x1b\[K", on_terminal(path))
    assert "Waiting" not in played(path)[1]


def test_colours_are_for_terminals_that_want_them(tmp_path):
    path = notebook(tmp_path, "print(1 + 1)")
    assert "\x1b[32mIn [1]: \x1b[0m" in on_terminal(path)
    assert not re.search(r"\x1b\[[\d;]+m", on_terminal(path, NO_COLOR="1"))


def test_a_cut_reply_says_so(tmp_path):
    code, output, _ = played(notebook(tmp_path, LOAD, "%%kimi --max-tokens 2\n<<say one two three>>"))
    assert code == 0
    assert "The reply ends here because it reached 2 tokens." in output


def test_a_cell_that_fails_ends_it_with_one(tmp_path):
    code, output, errors = played(notebook(tmp_path, LOAD, "%%kimi --nonsense\nHello", "print('never')"))
    assert (code, errors) == (1, "")
    assert "There is no option --nonsense." in output
    assert "Cell 2 failed" in output
    assert "never" not in output


def test_a_missing_notebook_is_named(tmp_path):
    code, _, errors = played(tmp_path / "none.ipynb")
    assert code == 1
    assert "none.ipynb" in errors
    assert "Traceback" not in errors


def test_no_account_of_the_user_is_asked(tmp_path):
    account = {"CLOUDFLARE_ACCOUNT_ID": "0" * 32, "CLOUDFLARE_API_TOKEN": "secret", "KIMI_ENDPOINT": "cloudflare"}
    code, output, _ = played(notebook(tmp_path, LOAD, "%%kimi\nHello", "%kimi"), **account)
    assert code == 0
    assert "I am the *scripted* model" in output
    assert re.search(r"credentials +none", output)


def test_an_interrupt_ends_everything_it_started(tmp_path):
    path = notebook(tmp_path, LOAD, f"%%kimi\n<<rate 2>><<say {WORDS}>>")
    with playing(path) as process:
        output = ""
        while "one" not in output.partition("│ ")[2]:
            output += os.read(process.stdout.fileno(), 65536).decode()
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert rest.endswith("Stopped.\n")
    assert errors == ""
    assert len(started) >= 2
    assert psutil.wait_procs(started, timeout=5)[1] == []


def test_the_real_model_plays_the_quickstart():
    code, output, errors = played(QUICKSTART, "llama")
    assert (code, errors) == (0, "")
    follow_up = output.partition("Begin your answer with: Your name is\n")[2].partition("local model")[0]
    assert "Ada" in follow_up
    assert re.search(r"has not run:\nIn \[ \]: .*def is_palindrome\(", output, re.DOTALL)
