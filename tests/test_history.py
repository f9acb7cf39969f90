"""Cells that run again, and the words that move through the tree, in a real kernel; and the very bytes that arrive."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Seen
    from tests.harness.kernel import Cell, Kernel


def run(kernel: Kernel, cell: str, code: str) -> Cell:
    """Run a cell as JupyterLab does, which names it."""
    return kernel.run(code, metadata={"cellId": cell})


def asked(seen: Seen, index: int = -1) -> list[str]:
    """The texts of the user's messages of a request."""
    body: dict[str, Any] = json.loads(str(seen.all()[index]["body"]))
    return [message["content"] for message in body["messages"] if message["role"] == "user"]


@pytest.fixture
def three(kernel: Kernel, seen: Seen) -> Kernel:
    """A conversation of three cells."""
    for name in "abc":
        assert run(kernel, name, f"%%kimi -q\n{name} <<say re {name}>>").ok
    seen.clear()
    return kernel


def test_a_cell_that_runs_again_replaces_its_turn_and_says_so(three: Kernel, seen: Seen) -> None:
    cell = run(three, "b", "%%kimi\nb again <<say yes>>")
    assert asked(seen) == ["a <<say re a>>", "b again <<say yes>>"]
    assert "takes the place of turn 2; 1 later turn is stale" in cell.html
    history = three.run("%kimi history").text
    assert "b again" in history
    assert "re c" not in history
    assert "2 more on other branches" in history
    every = three.run("%kimi history --all").text
    assert "replaced" in every
    assert "stale" in every
    run(three, "c", "%%kimi -q\nc again")
    assert asked(seen) == ["a <<say re a>>", "b again <<say yes>>", "c again"]


def test_requests_share_their_beginning_byte_by_byte(kernel: Kernel, seen: Seen) -> None:
    for name in "abcd":
        run(kernel, name, f"%%kimi -q -s 'Be brief.'\n{name}")
    bodies = [json.loads(str(request["body"]))["messages"] for request in seen.all()]
    for earlier, later in pairwise(bodies):
        assert later[: len(earlier)] == earlier
        assert len(later) == len(earlier) + 2
    affinities = {request["headers"]["x-session-affinity"] for request in seen.all()}  # type: ignore[index]
    assert len(affinities) == 1


def test_an_edited_cell_changes_nothing_before_it(three: Kernel, seen: Seen) -> None:
    run(three, "c", "%%kimi -q\nc edited")
    run(three, "c", "%%kimi -q\nc edited twice")
    first, second = (json.loads(str(request["body"]))["messages"] for request in seen.all())
    assert first[:-1] == second[:-1]


def test_undo_and_restore_move_the_end(three: Kernel, seen: Seen) -> None:
    assert "Turn 3 is taken back" in three.run("%kimi undo").text
    run(three, "d", "%%kimi -q\nd")
    assert asked(seen) == ["a <<say re a>>", "b <<say re b>>", "d"]
    assert "goes on from turn 3" in three.run("%kimi restore 3").text
    run(three, "e", "%%kimi -q\ne")
    assert asked(seen) == ["a <<say re a>>", "b <<say re b>>", "c <<say re c>>", "e"]


def test_a_dropped_turn_is_not_sent_and_its_price_is_told_first(three: Kernel, seen: Seen) -> None:
    told = three.run("%kimi drop 2").text
    assert "sends about" in told
    assert "anew" in told
    run(three, "d", "%%kimi -q\nd")
    assert asked(seen) == ["a <<say re a>>", "c <<say re c>>", "d"]
    assert "dropped" in three.run("%kimi history").text
    assert "The model sees again turn 2" in three.run("%kimi restore 2").text
    run(three, "e", "%%kimi -q\ne")
    assert [words[0] for words in asked(seen)] == list("abcde")


def test_forks_and_names(three: Kernel, seen: Seen) -> None:
    assert "debug.fix goes on from here" in three.run("%kimi fork debug.fix").text
    run(three, "d", "%%kimi -q\nin the fork")
    assert len(asked(seen)) == 4
    assert "Conversation main" in three.run("%kimi switch main").text
    run(three, "e", "%%kimi -q\nin main")
    assert asked(seen)[-2:] == ["c <<say re c>>", "in main"]
    run(three, "f", "%%kimi -q --session aside\nelsewhere")
    assert asked(seen) == ["elsewhere"]
    run(three, "g", "%%kimi -q --session aside\nand more")
    assert asked(seen) == ["elsewhere", "and more"]
    run(three, "h", "%%kimi -q\nback in main")
    assert asked(seen)[-2:] == ["in main", "back in main"]
    listed = three.run("%kimi switch").text
    assert all(name in listed for name in ("main", "debug.fix", "aside"))
    headers = [request["headers"]["x-session-affinity"] for request in seen.all()]  # type: ignore[index]
    assert headers[0] == headers[1] != headers[2] == headers[3]


def test_new_leaves_the_old_conversation_under_its_name(three: Kernel, seen: Seen) -> None:
    run(three, "d", "%%kimi -q --new\nfresh")
    assert asked(seen) == ["fresh"]
    assert "main-2" in three.run("%kimi switch").text
    three.run("%kimi switch main")
    run(three, "e", "%%kimi -q\nold")
    assert len(asked(seen)) == 4


def test_a_front_end_that_names_no_cells_is_told_of_once(kernel: Kernel, seen: Seen) -> None:
    shown = [kernel.run("%%kimi\nsame <<say ok>>").html for _ in range(3)]
    assert ["does not name its cells" in html for html in shown] == [False, True, False]
    assert len(asked(seen)) == 3


def test_a_program_that_asks_in_a_loop_keeps_all_its_turns(kernel: Kernel, seen: Seen) -> None:
    code = "import kimi_magic\nfor n in range(3): kimi_magic.ask(f'{n} <<say ok>>', quiet=True)"
    for _ in range(2):
        assert run(kernel, "loop", code).ok
        assert asked(seen) == [f"{n} <<say ok>>" for n in range(3)]


ERRORS = ["%kimi restore 99", "%kimi drop", "%kimi drop x", "%kimi switch nowhere", "%kimi fork", "%kimi fork a b",
          "%kimi history 3", "%%kimi --session 'a b'\nhi", "%kimi sent 99"]  # fmt: skip


@pytest.mark.parametrize("code", ERRORS)
def test_a_wrong_word_changes_nothing_and_says_what_to_do(three: Kernel, seen: Seen, code: str) -> None:
    cell = three.run(code)
    assert cell.reply["ename"] == "CommandError"
    assert len(cell.outputs[-1]["traceback"]) <= 3
    run(three, "d", "%%kimi -q\nd")
    assert len(asked(seen)) == 4


def test_there_may_be_nothing_to_undo(kernel: Kernel) -> None:
    assert "nothing to undo" in kernel.run("%kimi undo").text
    assert "Nothing was said" in kernel.run("%kimi history").text


def test_the_oldest_turns_become_a_summary_after_telling_what_it_saves(three: Kernel, seen: Seen) -> None:
    plan = three.run("%kimi compact 1").text
    assert "Turns 1 to 2 would become a summary" in plan
    assert "tokens shorter" in plan
    assert seen.all() == []
    cell = three.run("%kimi compact 1 --go")
    assert cell.ok, cell.text
    assert "2 turns became a summary" in cell.text
    run(three, "d", "%%kimi -q\nd")
    messages = asked(seen)
    assert len(messages) == 3
    assert messages[0].startswith("Summarise our conversation")
    assert messages[1:] == ["c <<say re c>>", "d"]
    three.run("%kimi restore 3")
    run(three, "e", "%%kimi -q\ne")
    assert asked(seen) == ["a <<say re a>>", "b <<say re b>>", "c <<say re c>>", "e"]


def test_one_long_turn_becomes_a_summary_even_where_no_question_fits_any_more(kernel: Kernel, seen: Seen) -> None:
    kernel.run("def much() -> str:\n    'Give much.'\n    return 'word ' * 2_000")
    run(kernel, "a", f"%%kimi -q -t much -m k2.6\n{'<<tool much>><<then>>' * 8}<<say Read.>>")
    assert "TooLarge" in run(kernel, "b", "%%kimi -q -m local\nand now").text
    assert "Turn 1 would become a summary" in kernel.run("%kimi compact 0").text
    seen.clear()
    cell = kernel.run("%kimi compact 0 --go")
    assert "1 turn became a summary" in cell.text
    assert len(str(seen.last()["body"])) < 3 * 8_192
    assert run(kernel, "b", "%%kimi -q -m local\n<<say on>>").ok
    assert asked(seen)[1:] == ["<<say on>>"]


def test_a_summary_that_fails_changes_nothing(three: Kernel, seen: Seen) -> None:
    assert "nothing to compact" in three.run("%kimi compact").text
    three.run("%config KimiMagics.temperature = 2\n%config KimiMagics.timeout = '1ms'")
    assert three.run("%kimi compact 1 --go").reply["ename"] == "Stalled"
    three.run("%config KimiMagics.timeout = 60")
    run(three, "d", "%%kimi -q\nd")
    assert asked(seen) == ["a <<say re a>>", "b <<say re b>>", "c <<say re c>>", "d"]


def test_a_summary_is_asked_below_what_it_sums_up_even_from_the_same_cell_again(kernel: Kernel, seen: Seen) -> None:
    kernel.run("%config KimiMagics.system = 'Be brief.'\n%config KimiMagics.format = 'code'")
    for name in "abcd":
        run(kernel, name, f"%%kimi -q\n{name} <<say re {name}>>")
    assert "nothing to compact" in run(kernel, "z", "%kimi compact 7").text
    cell = run(kernel, "z", "%kimi compact 2 --go")
    assert asked(seen)[:2] == ["a <<say re a>>", "b <<say re b>>"]
    assert "no fewer than before" in cell.text
    assert kernel.run("%kimi history --all").text.count("Summarise our") == 1
    assert "payload" not in cell.reply or not cell.reply["payload"]
    for name in "ef":
        run(kernel, name, f"%%kimi -q\n{name} <<say re {name}>>")
    run(kernel, "z", "%kimi compact 2 --go")
    assert [words[:9] for words in asked(seen)] == ["Summarise", "c <<say r", "d <<say r", "Summarise"]
    run(kernel, "g", "%%kimi -q\ng")
    body: dict[str, Any] = json.loads(str(seen.last()["body"]))
    assert [message["role"] for message in body["messages"][:3]] == ["system", "user", "assistant"]
    assert [words[:9] for words in asked(seen)] == ["Summarise", "e <<say r", "f <<say r", "g"]
    assert [message["role"] for message in body["messages"]].count("system") == 1


def test_what_a_summary_costs_and_that_it_may_save_nothing_is_told_first(three: Kernel, seen: Seen) -> None:
    plan = three.run("%kimi compact 1").text
    assert "may save nothing" in plan
    assert "$" not in plan
    assert seen.all() == []


def test_a_cell_that_asks_anew_at_the_end_says_so(three: Kernel, seen: Seen) -> None:
    run(three, "a", "%%kimi -q\na again")
    cell = run(three, "c", "%%kimi\nc <<say yes>>")
    assert "its turn 3 is on another branch, so it asked at the end" in cell.html
    assert asked(seen) == ["a again", "c <<say yes>>"]
    assert "another branch" not in run(three, "d", "%%kimi\nd <<say yes>>").html


def test_what_is_sent_anew_is_counted_against_what_was_sent(three: Kernel) -> None:
    """Not against the path before the command, which may never have been sent."""
    three.run("%kimi undo")
    three.run("%kimi drop 1")
    assert "Nothing is billed anew" in three.run("%kimi restore 1").text
    assert "Nothing is billed anew" in three.run("%kimi restore 3").text
    three.run("%kimi drop 2")
    three.run("%kimi undo")
    dropped = three.run("%kimi restore 3").text
    assert "tokens anew" in dropped
    assert "all of what was said" not in dropped
    assert "all of what was said" in three.run("%kimi drop 1").text
    three.run("%kimi fork other")
    three.run("%kimi restore 1")
    assert "tokens anew" in three.run("%kimi switch main").text
    three.run("%kimi export kept.jsonl")
    assert "all of what was said, which this kernel has not sent" in three.run("%kimi import kept.jsonl").text
    three.run("import os; os.remove('kept.jsonl')")


def test_a_question_that_cannot_fit_says_how_the_conversation_can_become_shorter(three: Kernel) -> None:
    cell = three.run("%%kimi\n" + "word " * 400_000)
    assert cell.reply["ename"] == "TooLarge"
    assert "beside the conversation so far" in cell.text
    assert "%kimi compact" in cell.text
