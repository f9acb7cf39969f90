"""Opening the panel on a conversation of 1,000 stored messages: from the cell's start to an input that takes keys.

The messages are written by one kernel and read by a fresh one, which takes the conversation up from the store. The time
runs from the command that runs `%kimi chat` to the frame in which the last reply and an enabled input stand.
"""

from __future__ import annotations

from statistics import median

from benchmarks.figure import Figure
from benchmarks.panel_page import LOAD, OPEN, variables
from benchmarks.stage import server

MESSAGES = 1_000
LIMIT = 1.0
TURNS = 3
_FILL = (
    "import kimi_magic\n"
    f"for n in range({MESSAGES // 2}):\n"
    "    kimi_magic.ask(f'Question {n} <<tokens 60>>', quiet=True)"
)
_OPENED = """([path, cell]) => new Promise(resolve => {
    const panel = [...window.jupyterapp.shell.widgets('main')].find(each => each.context && each.context.path === path);
    const node = panel.content.widgets[cell].outputArea.node, start = performance.now();
    panel.content.deselectAll();
    panel.content.activeCellIndex = cell;
    window.jupyterapp.commands.execute('notebook:run-cell');
    const look = () => {
        const input = node.querySelector('.kimi-panel textarea:enabled');
        const ready = input && node.querySelector('.kp-turn:last-child .kp-block');
        if (ready) requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
        else requestAnimationFrame(look);
    };
    look();
})"""


def measure() -> list[Figure]:
    """Give the median of a few fresh kernels."""
    from tests.harness.browser import Browser
    from tests.harness.lab import Lab

    with server() as place, Lab(variables(place)) as lab, Browser() as browser:
        tab = browser.lab(lab)
        lab.write("open.ipynb", LOAD, OPEN, _FILL)
        notebook = tab.open("open.ipynb")
        for cell in (0, 2):
            notebook.run_cell(cell)
            notebook.wait_idle(timeout=300)
        took = []
        for _ in range(TURNS):
            notebook.ask("panel => panel.sessionContext.restartKernel()")
            notebook.wait_connected()
            notebook.run_cell(0)
            notebook.wait_idle()
            took.append(tab.page.evaluate(_OPENED, ["open.ipynb", 1]) / 1000)
            notebook.ask("panel => panel.content.widgets[1].model.outputs.clear()")
    middle = median(took)
    name = f"Opening the panel on {MESSAGES:,} stored messages, in a fresh kernel"
    return [Figure(name, f"{middle:.2f} s (worst {max(took):.2f} s)", limit=f"{LIMIT} s", ok=middle <= LIMIT)]
