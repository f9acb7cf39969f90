"""How far a browser's tab is behind the kernel when a reply of 80 kB, streamed at 1,000 tokens a second, has ended.

A real JupyterLab is open in a real chromium. In the kernel a hook of the display publisher notes the time of each
display; the last one is the end. In the page, after each change below the cell's output, the next animation frame looks
for the footer; when one more frame has begun, the footer has been painted, and that is the tab's end. The difference is
the lag, both times being of this machine's clock; the median of three turns is given. Beside it stand the gaps between
the animation frames until then (95th percentile and longest): what a person feels who scrolls meanwhile.

The baseline, in the same tab: the growing text displayed as Markdown, `handle.update(Markdown(text))`, ten times
a second for the same 20 s. It is given up 20 s after its kernel has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, ROOT, server

if TYPE_CHECKING:
    from tests.harness.browser import Notebook

LIMIT = 1.5
PATIENCE = 20.0
TURNS = 3
TOKENS = 20_000
RATE = 1_000
EVERY = 0.1
END = "This is the end of it."
_ENDED = "ended.txt"

_WATCH = """(panel, [cell, sign]) => {
    const {node, model} = panel.content.widgets[cell].outputArea;
    model.clear();
    const watch = window.kimiWatch = {shown: 0, frames: []};
    let changed = true;
    new MutationObserver(() => { changed = true; }).observe(node, {childList: true, subtree: true});
    const frame = now => {
        watch.frames.push(now);
        if (watch.found) { watch.shown = Date.now() / 1000; return; }
        if (changed) watch.found = node.textContent.includes(sign);
        changed = false;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""
_CELLS = (
    "from benchmarks import lab_lag\nlab_lag.note_ends()\n%load_ext kimi_magic",
    f"%%kimi -m {MODEL} --max-tokens {TOKENS + 1} --no-history\n<<tokens {TOKENS}>> <<rate {RATE}>>",
    "lab_lag.resend()",
)


def measure() -> list[Figure]:
    """Give the lag, and what the frames did meanwhile."""
    from tests.harness.browser import Browser
    from tests.harness.lab import Lab

    with server() as place, Lab(place.environment | {"PYTHONPATH": str(ROOT)}) as lab, Browser() as browser:
        lab.write("lag.ipynb", *_CELLS)
        notebook = browser.lab(lab).open("lag.ipynb")
        notebook.run_cell(0)
        notebook.wait_idle()
        ended = lab.root / _ENDED
        lags, gaps = zip(*(_behind(notebook, 1, f"{TOKENS:,} out", ended) for _ in range(TURNS)), strict=True)
        theirs, their_gaps = _behind(notebook, 2, END, ended)
    name = f"{TOKENS * 4 // 1000} kB at {RATE:,} tokens/s in JupyterLab"
    ours = median(lags)
    return [
        Figure(
            f"Tab behind the kernel, {name}",
            f"{_seconds(ours)} (worst {_seconds(max(lags))})",
            f"{_seconds(theirs)} all of it as Markdown ten times a second",
            ours / theirs,
            f"{LIMIT} s",
            ours <= LIMIT,
        ),
        Figure(f"Frames, 95 % and longest, {name}", _frames(list(chain(*gaps))), f"{_frames(their_gaps)} the same"),
    ]


def _seconds(lag: float) -> str:
    return f"> {PATIENCE:.0f} s" if lag >= PATIENCE else f"{lag:.2f} s"


def _frames(gaps: list[float]) -> str:
    return f"{quantiles(gaps, n=20)[-1]:.0f} ms, {max(gaps):,.0f} ms"


def _behind(notebook: Notebook, cell: int, sign: str, ended: Path) -> tuple[float, list[float]]:
    """Run a cell; give the tab's lag in seconds, at most PATIENCE, and the gaps of its frames in milliseconds."""
    ended.unlink(missing_ok=True)
    notebook.ask(_WATCH, [cell, sign])
    notebook.run_cell(cell)
    kernel_end = float(_wait(lambda: ended.exists() and ended.read_text(encoding="utf-8"), TOKENS / RATE + 60))
    shown = _wait(lambda: notebook.ask("() => window.kimiWatch.shown"), PATIENCE)
    frames: list[float] = notebook.ask("() => window.kimiWatch.frames")
    return (shown - kernel_end if shown else PATIENCE), [b - a for a, b in pairwise(frames)]


def _wait(found: Callable[[], Any], patience: float) -> Any:
    """Wait for something true; give the last answer, true or not."""
    deadline = time.monotonic() + patience
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def note_ends() -> None:
    """Run in the kernel: from now on, after each cell, write the time of its last display into a file."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    last = [0.0]

    def note(message: dict[str, Any]) -> dict[str, Any]:
        last[0] = time.time()
        return message

    def write(_result: object) -> None:
        Path(_ENDED).write_text(str(last[0]), encoding="utf-8")

    shell.display_pub.register_hook(note)
    shell.events.register("post_run_cell", write)


def resend() -> None:
    """Run in the kernel: the baseline."""
    from IPython.display import Markdown, display

    from kimi_magic.local import prose

    text = prose.markdown(TOKENS)
    handle = display(Markdown(""), display_id=True)
    start = time.monotonic()
    while (due := int((time.monotonic() - start) * RATE) * prose.TOKEN) < len(text):
        handle.update(Markdown(text[:due]))
        time.sleep(EVERY)
    handle.update(Markdown(f"{text}\n\n{END}"))
