"""What happens in a notebook while a reply comes."""

from __future__ import annotations

import pytest

from tests.browser.conftest import picture, say

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_a_reply_grows_while_its_cell_runs_and_ends_as_one_output(opened):
    lengths = {1: 120, 2: 2_000}
    notebook = opened(*(f"%%kimi\nTell all. <<tokens {tokens}>><<rate {tokens}>>" for tokens in lengths.values()))
    for cell in lengths:
        notebook.watch(cell)
    notebook.run_all()
    notebook.wait_idle()
    for cell, tokens in lengths.items():
        while_running = [len(sight.text) for sight in notebook.seen(cell) if sight.running]
        assert len(set(while_running)) >= 4
        assert min(while_running) < 200
        [output] = notebook.outputs(cell)
        assert output["output_type"] == "display_data"
        assert len(output["data"]["text/plain"]) == 4 * tokens
        assert notebook.text(cell).startswith("Part 1")  # and not with a stylesheet
        assert f"{tokens:,} out" in notebook.text(cell)


def test_what_it_waits_for_is_said_in_the_cell(opened):
    notebook = opened(
        "%%kimi\n<<fault 3040 times=1 retry_after=1>><<first 1.5>><<rate 20>><<say Good morning.>>"
        "<<think It is not yet noon, so it is morning.>>"
    )
    notebook.watch(1)
    notebook.run_all()
    notebook.wait_idle()
    texts = [sight.text for sight in notebook.seen(1) if sight.running]
    for said in ("Asking again in ", "Waiting for", "Thinking …"):
        assert any(text.startswith(said) for text in texts), said
    assert notebook.text(1).startswith("Thought for")
    assert "Good morning." in notebook.text(1)


def test_what_else_a_cell_shows_stays_where_it_is(opened, tab):
    ask = "reply = kimi_magic.ask('All of it. <<tokens 1500>><<rate 1500>>')"
    notebook = opened(f"import kimi_magic\nprint('before')\n{ask}\nprint('after')", "print(reply)")
    notebook.run_all()
    notebook.wait_idle()
    first, *blocks, last = notebook.outputs(1)
    [whole] = notebook.outputs(2)
    assert (first["text"], last["text"]) == ("before\n", "after\n")
    assert "".join(block["data"]["text/plain"] for block in blocks) == whole["text"].removesuffix("\n")
    picture(tab, "beside-other-outputs")


def test_cells_run_in_order_and_none_is_left_waiting(opened):
    notebook = opened(*(f"%%kimi\n<<say Reply {n}.>>" for n in range(5)))
    notebook.run_all()
    notebook.wait_idle()
    assert notebook.prompts() == [f"[{n}]:" for n in range(1, 7)]
    assert [notebook.text(n + 1).splitlines()[0] for n in range(5)] == [f"Reply {n}." for n in range(5)]


def test_the_stop_button_keeps_what_had_arrived_and_stops_the_cells_that_follow(opened, tab):
    notebook = opened("%%kimi\n<<tokens 3000>><<rate 100>>", "print('never')", "%%kimi\n<<say Still here.>>")
    notebook.run_all()
    notebook.wait_text(1, "Part 1")
    notebook.interrupt()
    notebook.wait_idle()
    [output] = notebook.outputs(1)
    assert output["output_type"] == "display_data"
    assert "Part 1" in notebook.text(1)
    assert "this reply is not complete" in notebook.text(1)
    assert notebook.outputs(2) == []
    assert notebook.prompts()[2:] == ["[ ]:", "[ ]:"]
    picture(tab, "stopped")
    notebook.run_cell(3)
    notebook.wait_idle()
    assert notebook.text(3).startswith("Still here.")


def test_code_goes_into_the_next_cell_and_is_not_run(opened, tab):
    code = "def add(a, b):\n    return a + b\n\nprint(add(1, 2))"
    notebook = opened("%%kimi -f code\n" + say(f"Here it is:\n\n```python\n{code}\n```\nIt adds."), "'last'")
    notebook.run_cell(0)
    notebook.wait_idle()
    notebook.run_cell(1)
    notebook.wait_idle()
    assert notebook.sources()[2:] == [code, "'last'"]
    assert notebook.prompts()[2] == "[ ]:"
    assert notebook.outputs(2) == []
    picture(tab, "code")
