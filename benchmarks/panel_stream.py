"""The panel while a reply of 80 kB comes at 1,000 tokens a second: gaps, lag, bytes, and keys pressed meanwhile.

A real JupyterLab in a real chromium. Gaps are those between the page's animation frames. The lag is from the server's
last byte to the frame that shows the footer. Bytes are what the page's sockets received. Ten times a second a key is
pressed in the input; its delay is from the event to the end of the frame after it.
"""

from __future__ import annotations

import time
from itertools import pairwise

from benchmarks.figure import Figure
from benchmarks.panel_page import LOAD, OPEN, PanelPage, percentile, variables
from benchmarks.stage import server

TOKENS = 20_000
RATE = 1_000
PATIENCE = 60.0
GAP, LAG, TIMES, KEY = 150.0, 0.3, 12.0, 50.0


def measure() -> list[Figure]:
    """Give the four figures of one reply."""
    from tests.harness.browser import Browser
    from tests.harness.lab import Lab

    with server() as place, Lab(variables(place)) as lab, Browser() as browser:
        lab.write("stream.ipynb", LOAD, OPEN)
        tab = browser.lab(lab)
        sizes: list[int] = []
        tab.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: sizes.append(len(frame))))
        notebook = tab.open("stream.ipynb")
        for cell in (0, 1):
            notebook.run_cell(cell)
            notebook.wait_idle()
        page = PanelPage(notebook)
        page.ask("Warm up. <<tokens 50>>")
        page.panel.locator(".kp-facts").wait_for()
        sizes.clear()
        page.watch(f"{TOKENS:,} out")
        page.ask(f"All of it. <<tokens {TOKENS}>><<rate {RATE}>>")
        page.input.focus()
        deadline = time.monotonic() + TOKENS / RATE + PATIENCE
        while not (seen := page.seen())["shown"] and time.monotonic() < deadline:
            page.page.keyboard.press("x")
            page.page.wait_for_timeout(100)
        ended = float(place.last()["closed"])
        received = sum(sizes)
    gaps = [after - before for before, after in pairwise(seen["frames"])]
    lag = seen["shown"] - ended
    name = f"{TOKENS * 4 // 1000} kB at {RATE:,} tokens/s in the panel"
    gap, key, times = percentile(gaps, 99), percentile(seen["keys"], 95), received / (TOKENS * 4)
    return [
        Figure(
            f"Gap between frames, 99 %, {name}",
            f"{gap:.0f} ms (longest {max(gaps):.0f} ms)",
            limit=f"{GAP:.0f} ms",
            ok=gap <= GAP,
        ),
        Figure(f"Panel behind the server, {name}", f"{lag:.2f} s", limit=f"{LAG} s", ok=lag <= LAG),
        Figure(f"Bytes received, times the text, {name}", f"{times:.1f}", limit=f"{TIMES:.0f}", ok=times <= TIMES),
        Figure(f"Keystroke to paint, 95 %, {name}", f"{key:.0f} ms", limit=f"{KEY:.0f} ms", ok=key <= KEY),
    ]
