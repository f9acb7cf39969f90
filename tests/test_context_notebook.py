"""`--cells`: which cells are meant, and what is told of them, in a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kimi_magic.context.notebook import parse_cells
from kimi_magic.errors import CommandError
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("spec", "numbers"),
    [
        ("all", list(range(1, 11))),
        ("ALL", list(range(1, 11))),
        ("3", [3]),
        ("2:5", [2, 3, 4, 5]),
        ("2-5", [2, 3, 4, 5]),
        (" 2 : 5 ", [2, 3, 4, 5]),
        ("8:", [8, 9, 10]),
        (":2", [1, 2]),
        ("-3:", [8, 9, 10]),
        ("-50:", list(range(1, 11))),
        ("1,4:6", [1, 4, 5, 6]),
        ("6, 1:2, 2", [1, 2, 6]),
    ],
)
def test_a_spec_names_cells_by_their_prompts(spec: str, numbers: list[int]) -> None:
    assert parse_cells(spec).numbers(10) == numbers


@pytest.mark.parametrize(
    "spec", ["", "x", "1;2", "1:2:3", "-3", "--3:", "-0:", "1,", "2-", "-2-", "1.5", "²", "9" * 30]
)
def test_what_names_no_cells_is_refused(spec: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_cells(spec).numbers(10)
    assert "2:5" in caught.value.hint


@pytest.mark.parametrize("spec", ["0", "11", "5:11", "11:", "5:2", "0:3"])
def test_cells_that_are_not_there_are_refused_with_those_that_are(spec: str) -> None:
    with pytest.raises(CommandError, match="the cells so far are 1 to 10"):
        parse_cells(spec).numbers(10)
    with pytest.raises(CommandError, match="no cell has run"):
        parse_cells("all").numbers(0)


SETUP = """
from kimi_magic.context.watching import Displays
from kimi_magic.context.notebook import describe_cells
from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard
from IPython.display import HTML, Markdown, clear_output, display
import matplotlib.pyplot as plt, pandas as pd, sys
shown = Displays(get_ipython())
guard = Guard()
def tell(spec, room=12_000):
    found = describe_cells(get_ipython(), spec, Look(guard, room=room), shown)
    print(found.kind, found.shape, found.omitted, sep='|')
    print(found.text)
    return len(found.text) <= room
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel({}, tmp_path_factory.mktemp("kernel")) as kernel:
        cell = kernel.run(SETUP)
        assert cell.ok, cell.text
        yield kernel


def told(shell: Kernel, *codes: str, room: int = 12_000) -> tuple[list[int], str]:
    """Run cells and describe them; give their numbers and what is told."""
    start = shell.value("get_ipython().displayhook.prompt_count") + 1
    for code in codes:
        shell.run(code)
    cell = shell.run(f"fits = tell('{start}:{start + len(codes) - 1}', {room})")
    assert cell.ok, cell.text
    assert shell.value("fits") is True
    return list(range(start, start + len(codes))), cell.text.rstrip()


def test_inputs_and_outputs_as_they_stand_in_the_notebook(shell: Kernel) -> None:
    (one, two, three), found = told(shell, "x = 1  # as typed\nprint('hello')\nx + 1", "%time pass\nx = 2;", "1/0 + x")
    assert found.startswith(
        f"cells|3 cells|\nIn [{one}]:\nx = 1  # as typed\nprint('hello')\nx + 1\n"
        f"Output of [{one}]:\nhello\nOut [{one}]:\n2\nIn [{two}]:\n%time pass\nx = 2;\nOutput of [{two}]:\nCPU times"
    )
    assert found.endswith(f"In [{three}]:\n1/0 + x\nError of [{three}]:\nZeroDivisionError: division by zero")


def test_rich_outputs_are_named_and_displays_told_as_text(shell: Kernel) -> None:
    _, found = told(
        shell,
        "plt.plot([1, 2]);",
        "display(HTML('<b>x</b>'))",
        "display(pd.DataFrame({'a': [1]}))",
        "display({'text/html': '<p>Hi', 'text/plain': 'the reply'}, raw=True)",
    )
    assert "[image/png output: <Figure size" in found
    assert "[text/html output]" in found
    assert "   a\n0  1" in found
    assert "the reply" in found


def test_updated_and_cleared_displays_are_told_as_they_are_now(shell: Kernel) -> None:
    _, found = told(
        shell,
        "h = display('first', display_id=True); h.update('second')",
        "display('gone'); clear_output(wait=True); display('stays')",
        "display('gone, too'); clear_output()",
    )
    assert "Output of" in found
    shown = [line for line in found.splitlines() if line.startswith("'")]
    assert shown == ["'second'", "'stays'"]


def test_what_a_terminal_would_obey_is_not_told(shell: Kernel) -> None:
    _, found = told(
        shell, r"print('\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link')", r"print('10%\r50%\r100%\ndone\r\n')", "raise 5"
    )
    assert "\nred link\n" in found
    assert "\n100%\ndone\n" in found
    assert "TypeError: exceptions must derive from BaseException" in found
    assert "\x1b" not in found


def test_the_file_that_a_cell_was_compiled_as_is_not_told(shell: Kernel) -> None:
    (number,), found = told(shell, "x = = 1")
    assert found.endswith(f"Error of [{number}]:\nSyntaxError: invalid syntax (line 1)")


def test_the_cell_that_asks_is_left_out(shell: Kernel) -> None:
    found = shell.run("tell('-1:') # me")
    assert found.ok
    assert "# me" not in found.text
    number = shell.value("get_ipython().displayhook.prompt_count")
    refused = shell.run(f"tell('{number + 1}')")
    assert not refused.ok
    assert f"the cells so far are 1 to {number}." in refused.text


def test_room_is_shared_fairly(shell: Kernel) -> None:
    _, found = told(
        shell, "short = 1", "print('a' * 50_000)", "y = '''" + "b" * 30_000 + "'''", "print('kept')", room=3_000
    )
    assert "short = 1" in found
    assert "\nkept" in found
    assert 1_000 < found.count("a") < 1_500
    assert 1_000 < found.count("b") < 1_500
    assert found.startswith("cells|4 cells|the middle of 2 long inputs and outputs\n")
    assert found.count("characters left out") == 2


def test_very_many_cells_fit(shell: Kernel) -> None:
    for n in range(30):
        shell.run(f"v{n} = {n}")
    assert shell.run("fits = tell('all', 600)").ok
    assert shell.value("fits") is True


def test_private_values_in_printed_tables_stay(shell: Kernel) -> None:
    shell.run(
        "df = pd.DataFrame({'ssn': [f'123-45-{n}' for n in range(1_000, 1_050)], 'n': range(50)})\n"
        "guard.hide(df, 'ssn')"
    )
    _, found = told(shell, "print(df.head())", "df.head()", "display(df.ssn[3])", "print('x ' * 5_000 + df.ssn[7])")
    assert "[private: ssn]" in found
    assert "123-45-1" not in found


def test_inputs_are_found_by_their_prompt_though_the_history_has_gaps(shell: Kernel) -> None:
    number = shell.value("get_ipython().displayhook.prompt_count") + 1
    shell.run("known = 'by its name'")
    shell.run(f"del _i{number}")
    assert "known = 'by its name'" in shell.run(f"tell('{number}')").text
    shell.run(f"_i{number} = 'as it was typed'; get_ipython().history_manager.input_hist_raw.pop(1)")
    assert "as it was typed" in shell.run(f"tell('{number}')").text


def test_it_watches_until_it_is_stopped(shell: Kernel) -> None:
    state = "(len(get_ipython().events.callbacks['pre_run_cell']), len(get_ipython().display_pub._hooks))"
    shell.run("before = " + state)
    shell.run("second = Displays(get_ipython())")
    shell.run("watching = " + state)
    shell.run("second.stop()")
    assert shell.value(f"(before == {state}, watching[0] - before[0], watching[1] - before[1])") == (True, 1, 1)


def test_a_shell_without_a_notebook_is_refused() -> None:
    from kimi_magic.context.description import Look
    from kimi_magic.context.guard import Guard
    from kimi_magic.context.notebook import describe_cells

    with pytest.raises(CommandError, match="no notebook"):
        describe_cells(None, "all", Look(Guard()))


def test_a_terminals_history_is_told_too() -> None:
    import subprocess
    import sys

    code = (
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell as Shell\n"
        "from IPython.core.history import HistoryManager\n"
        "HistoryManager.enabled = False\n"
        "shell = Shell.instance()\n"
        "shell.colors = 'nocolor'\n"
        "from kimi_magic.context.notebook import describe_cells\n"
        "from kimi_magic.context.description import Look\n"
        "from kimi_magic.context.guard import Guard\n"
        "shell.run_cell('print(1)\\n2', store_history=True)\n"
        "shell.run_cell('1/0', store_history=True)\n"
        "shell.user_ns['tell'] = lambda: print('@', describe_cells(shell, 'all', Look(Guard())).text)\n"
        "shell.run_cell('tell()', store_history=True)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    shown = out.partition("@ ")[2]
    assert shown.startswith("In [1]:\nprint(1)\n2\nOutput of [1]:\n1\nOut [1]:\n2\nIn [2]:\n1/0\nError of [2]:\nZero")
    assert "In [3]" not in shown
