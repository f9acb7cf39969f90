"""Words and options of jobs: what they parse to, and what they do in a real kernel and a real terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kimi_magic.command import JobDo, Jobs, Later, Notify, parse_cell, parse_line
from kimi_magic.errors import CommandError
from tests.harness.kernel import Kernel
from tests.test_terminal import PROMPT, ipython, plain, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pexpect

__all__ = ["ipython"]  # a fixture
QUEUE = "0123456789abcdef" * 2
ROWS = """
import kimi_magic
rows = [{"n": n, "text": f"row {n} <<say-json \\"{{\\\\\\"mood\\\\\\": \\\\\\"good\\\\\\"}}\\">>"} for n in range(12)]
hard = [{"text": f"row {n} <<fault 5004>>"} for n in range(2)] + rows[:2]
"""


@pytest.mark.parametrize(
    ("line", "later"),
    [
        ("--later", Later()),
        ("answer --later --lane queue", Later(lane="queue")),
        ("--map df DEST", Later("df")),
        ("--map df --budget $2 --pilot 20 --rate 0.5e9", None),
        ("--map df --budget 2 --pilot 20 --rate 90 --concurrency 4 -y",
         Later("df", "auto", "$2.00", 20, 90.0, 4, yes=True)),
        ("", None),
    ],
)  # fmt: skip
def test_the_options_of_a_job(line: str, later: Later | None) -> None:
    if "e9" in line:
        with pytest.raises(CommandError, match="--rate takes"):
            parse_cell(line, "hi")
    else:
        assert parse_cell(line, "hi").later == later


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--lane queue", "--lane is for a job"),
        ("--pilot 3", "--pilot is for a job"),
        ("--later --pilot 3", "--pilot is for a map"),
        ("--later --yes", "--yes is for a map"),
        ("--map df -t add", "--tools does not go with --map"),
        ("--map df -c other", "-c does not go with --map"),
        ("--map df --new", "--new does not go"),
        ("--map df --later", "--later does not go"),
        ("--map df -f table", "--format does not go"),
        ("--map df --budget $2/day", "--budget takes an amount"),
        ("--map df --budget off", "--budget takes an amount"),
        ("--map df --pilot 0", "--pilot takes a whole number"),
        ("--map df --pilot x", "--pilot takes a whole number"),
        ("--map df --concurrency 1.5", "--concurrency takes a whole number"),
        ("--later --lane fast", "--lane takes auto, queue, concurrent"),
    ],
)
def test_what_does_not_go_together_is_refused(line: str, said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)) as caught:
        parse_cell(line, "hi")
    assert caught.value.hint


def test_the_words() -> None:
    assert parse_line("jobs") == Jobs()
    assert parse_line("jobs --all") == Jobs(everything=True)
    assert parse_line(f"jobs notify {QUEUE}") == Notify(QUEUE)
    assert parse_line("jobs notify off") == Notify("")
    assert parse_line("job") == JobDo()
    assert parse_line("job k3f9") == JobDo("k3f9")
    assert parse_line("job k3f9 cancel") == JobDo("k3f9", "cancel")


@pytest.mark.parametrize(
    ("line", "said", "step"),
    [
        ("jobs all", "takes --all, notify", "--all"),
        ("jobs notify", "needs the id", "dashboard"),
        ("jobs notify 12", "not the id of a queue", ""),
        ("job k3f9 cancle", "not 'cancle'", "Did you mean cancel?"),
        ("job cancel", "its id comes first", "%kimi job ID cancel"),
    ],
)
def test_a_wrong_word_is_refused_and_says_how(line: str, said: str, step: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)) as caught:
        parse_line(line)
    assert step in caught.value.hint


@pytest.fixture(scope="module")
def one(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with a store of its own."""
    folder = tmp_path_factory.mktemp("words")
    home = {"KIMI_HOME": str(folder / "home"), "JPY_SESSION_NAME": str(folder / "a.ipynb"), "KIMI_RERUN": "replay"}
    with Kernel({**environment, **home}, folder) as kernel:
        assert kernel.run("%load_ext kimi_magic").ok
        assert "There are no jobs of this notebook" in kernel.run("%kimi jobs").text
        assert "There are no jobs yet" in kernel.run("%kimi job").text
        assert kernel.run(ROWS).ok
        yield kernel


def job(kernel: Kernel, name: str = "DEST") -> str:
    return str(kernel.value(f"{name}.id"))


def test_a_map_in_a_cell_gives_the_job_and_shows_it(one: Kernel) -> None:
    asked = one.run('%%kimi --map rows DEST -o "mood good|bad"\nMood of {{ text }}')
    assert asked.ok, asked.text
    assert len(asked.outputs) == 1
    assert "12 rows" in asked.text
    done = one.run(f"%kimi job {job(one)} wait")
    assert "100 % of 12 rows" in done.text
    assert one.value("[row['mood'] for row in DEST.df().to_dict('records')]") == ["good"] * 12
    shown = one.run("DEST")
    assert len(shown.outputs) == 1
    assert "12 done" in shown.text
    again = one.run('%%kimi --map rows DEST -o "mood good|bad"\nMood of {{ text }}')
    assert "12 done" in again.text


def test_failed_rows_have_a_next_step(one: Kernel) -> None:
    one.run("%%kimi --map hard hurt --lane concurrent\nSay {{ text }}")
    done = one.run(f"%kimi job {job(one, 'hurt')} wait")
    assert "done, 2 failed" in done.text
    assert f"%kimi job {job(one, 'hurt')} retry" in done.text


def test_the_pilot_asks_in_the_cell(one: Kernel) -> None:
    text = "%%kimi --map rows piloted --pilot 3\nPilot {{ text }}"
    asked = one.run(text, answers=["y"])
    assert asked.ok, asked.text
    assert "12 done" in one.run(f"%kimi job {job(one, 'piloted')} wait").text
    refused = one.run("%%kimi --map rows refused --pilot 3\nAnother pilot {{ text }}", answers=["n"])
    assert "cancelled" in one.run(f"%kimi job {job(one, 'refused')}").text
    assert refused.ok


def test_where_nobody_can_be_asked_the_pilot_says_how_to_go_on(one: Kernel) -> None:
    asked = one.run("%%kimi --map rows alone --pilot 3\nAlone {{ text }}")
    assert not asked.ok
    assert "nobody can be asked" in asked.text
    assert "95 %" in asked.text
    assert "waits for your yes" in one.run("%kimi jobs").text
    one.run(f"%kimi job {job(one, 'alone')} retry")
    assert "12 done" in one.run(f"%kimi job {job(one, 'alone')} wait").text
    assert one.run("%%kimi --map rows certain --pilot 3 --yes\nCertain {{ text }}").ok


def test_what_cannot_be_mapped_is_refused(one: Kernel) -> None:
    assert "the job would take the place" in one.run("%%kimi --map rows rows\nSay {{ text }}").text
    assert "Did you mean 'text'?" in one.run("%%kimi --map rows x\nSay {{ txt }}").text
    assert "no variable 'rowz'" in one.run("%%kimi --map rowz x\nSay {{ text }}").text


def test_an_id_may_be_short_and_must_be_clear(one: Kernel) -> None:
    known = one.value("__import__('kimi_magic.jobwords', fromlist=['ids']).ids()")
    first = known[0]
    assert first in one.run(f"%kimi job {first[:8]}").text
    unknown = one.run("%kimi job nonsense")
    assert "There is no job 'nonsense'" in unknown.text
    near = one.run(f"%kimi job {first[:5]}x{first[6:]}")
    assert f"Did you mean {first}?" in near.text
    assert first in one.complete("%kimi job ")
    assert "cancel" in one.complete(f"%kimi job {first} ca")
    assert "--all" in one.complete("%kimi jobs -")


def test_a_queue_for_notices_is_a_setting(one: Kernel) -> None:
    one.run(f"%kimi jobs notify {QUEUE}")
    assert QUEUE in one.run("%kimi config").text
    one.run("%kimi jobs notify off")
    assert QUEUE not in one.run("%kimi config").text


def test_all_jobs_name_their_notebooks(one: Kernel) -> None:
    assert "a.ipynb" in one.run("%kimi jobs --all").text


def test_in_a_terminal_waiting_is_a_bar_and_the_end_a_line(ipython: pexpect.spawn[str]) -> None:
    run(ipython, "import kimi_magic; rows = [{'t': f'row {n} <<first 1>><<say fine>>'} for n in range(3)]")
    run(ipython, "job = kimi_magic.map(rows, 'Terminal {{ t }}', lane='concurrent', rerun='always')")
    ipython.sendline("get_ipython().run_line_magic('kimi', f'job {job.id} wait')")
    ipython.expect(r"job \w+: +\d+%.*3/3")
    ipython.expect(PROMPT)
    assert "3 done" in plain(ipython.before or "")
    shown = run(ipython, "%kimi ask --later --no-history -q <<say fine>>")
    assert "Traceback" not in shown
    assert "comes later" not in shown
    told = run(ipython, "later = _; later.wait(20)") + run(ipython, "1")
    assert re.search(r"^Job \w+ is done: %kimi job", told, re.MULTILINE)


def test_a_map_of_a_killed_kernel_goes_on_in_the_next_one(environment: Mapping[str, str], tmp_path: Path) -> None:
    home = {"KIMI_HOME": str(tmp_path / "home"), "JPY_SESSION_NAME": str(tmp_path / "a.ipynb")}
    with Kernel({**environment, **home}, tmp_path) as first:
        first.run("%load_ext kimi_magic\nrows = [{'t': f'row {n} <<first 0.3>><<say fine>>'} for n in range(20)]")
        first.run("%%kimi --map rows DEST --lane concurrent --concurrency 2\nGo on with {{ t }}")
        id_ = job(first)
        first.manager.shutdown_kernel(now=True)
    with Kernel({**environment, **home}, tmp_path) as second:
        second.run("%load_ext kimi_magic")
        listed = second.run("%kimi jobs")
        assert listed.count("display_data") == 2  # the list, and the live view below it
        assert 'kimi_magic.job("ID").df()' in listed.text
        assert "20 done" in second.run(f"%kimi job {id_} wait").text
        assert second.value(f"len(__import__('kimi_magic').job('{id_}').df())") == 20
