"""How jobs look in JupyterLab, in both themes: every state of a map, a cell that waits and fills in, the list."""

from __future__ import annotations

import pytest

from tests.browser.conftest import THEMES, picture
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

READABLE = 4.5
FAINT = 3
STATES = """
from dataclasses import replace
from IPython.display import display
from kimi_magic.jobs import page
from kimi_magic.jobs.standing import Estimate, Standing
from kimi_magic.messages import Usage

now = 1_790_000_000.0
running = Standing(
    "k3f9a1", "Classify the review: {{ review }}", "map", "running", "queue", "", 1000, 612, 3, 200, 8, 177, 41,
    now - 95, None, 41.0, 6.4, 61.0, Usage(520_000, 460_000, 31_000), 0.1234, 2.0,
)
still = dict(queued=0, running=0, oldest=None, left=None, rate=0.0)
estimate = Estimate(980, (0.91, 1.03, 1.19), (300.0, 420.0, 610.0))
for standing in (
    running,
    replace(running, state="asking", done=20, failed=0, pending=980, estimate=estimate, **still),
    replace(running, state="done", done=997, pending=0, ended=now, **still),
    replace(running, state="stopped", remark="The budget of $2.00 is reached: 385 rows were not sent.", pending=385,
            ended=now, **still),
    replace(running, state="waiting", remark="api.cloudflare.com cannot be reached: <b>no</b> network."),
    replace(running, state="done", total=0, done=0, failed=0, pending=0, same=0, usage=Usage(), cost=None, budget=None,
            ended=now, **still),
):
    display(page.bundle(standing, now), raw=True)
"""


@pytest.fixture(scope="module")
def shown(lab_tab, lab):
    """One notebook with all of it, run to its end."""
    lab.write(
        "jobs.ipynb",
        "%load_ext kimi_magic",
        STATES,
        "%%kimi answer --later\nWhat is a batch? <<first 1>><<say A batch is **many** requests in one.>>",
        "%%kimi failing --later\nWhat is it? <<fault 5004>>",
        'rows = [{"text": f"row {n} <<say fine>>"} for n in range(30)]',
        "%%kimi --map rows job --lane concurrent\nSay it: {{ text }}",
        "job.wait(30)\nanswer, failing",
        "%kimi jobs",
    )
    notebook = lab_tab.open("jobs.ipynb")
    notebook.run_all()
    notebook.wait_idle()
    yield notebook
    notebook.close()


@pytest.mark.parametrize("theme", THEMES)
def test_every_state_is_readable_and_fits(shown, tab, theme):
    tab.theme(theme)
    output = shown.output(1)
    assert contrast(output.locator("b").first) >= READABLE
    for faint in ("b + span", "div[style*='.92em']"):
        assert contrast(output.locator(faint).first) >= FAINT, faint
    assert output.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    assert "<b>no</b>" in output.inner_text()


def test_the_bar_shows_each_kind_of_row_with_a_name(shown, tab):
    bar = shown.output(1).get_by_role("img").first
    assert bar.get_attribute("aria-label").startswith("61 % of 1,000 rows, 612 done, 3 failed")
    widths = [piece.evaluate("node => node.getBoundingClientRect().width") for piece in bar.locator("span").all()]
    assert len(widths) == 5
    assert abs(sum(widths) - 480) < 1
    assert min(widths) >= 3
    shown.output(0).scroll_into_view_if_needed()
    bar.scroll_into_view_if_needed()
    picture(tab, "jobs-states")


def test_a_cell_that_waited_has_its_reply_in_the_same_output(shown, tab):
    shown.output(2).locator("strong").wait_for()
    assert "through the" in shown.output(2).inner_text()
    assert len(shown.outputs(2)) == 1
    shown.output(3).get_by_text("No reply").wait_for()
    assert len(shown.outputs(3)) == 1
    shown.output(5).get_by_text("100 % of 30 rows").wait_for()
    assert len(shown.outputs(5)) == 1
    shown.output(7).scroll_into_view_if_needed()
    picture(tab, "jobs-list")


def test_the_saved_notebook_holds_the_last_picture(shown, lab):
    shown.save()
    cells = lab.read("jobs.ipynb").cells
    assert "many" in cells[2].outputs[0]["data"]["text/plain"]
    assert "done" in cells[5].outputs[0]["data"]["text/html"]
    assert "of 30 rows" in cells[5].outputs[0]["data"]["text/plain"]
