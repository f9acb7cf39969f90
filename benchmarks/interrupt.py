"""How long after an interrupt the kernel is idle again, and the server has seen the connection close.

A kernel runs a `%%kimi` cell whose reply streams at 100 tokens a second, or whose server has sent its headers and is
silent. 0.7 s after the cell was sent the kernel is interrupted as a front end does it. Until a client of the kernel has
received its `idle`: that is the first row. The second is from the same moment until the server noted that its client
had gone; both times are of this machine's clock. The baseline is a cell that reads the same reply by a synchronous
`httpx` stream, interrupted in the same kernel, turn about, with the traceback that this gives. Seven turns after one
that does not count, for the first traceback of a kernel is dearer. A limit holds for the worst of them.
"""

from __future__ import annotations

import threading
import time
from statistics import median

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, Server, kernel, server
from tests.harness.kernel import Kernel

LIMIT = 100.0
LIMIT_CLOSED = 50.0
TURNS = 7
AFTER = 0.7
QUESTIONS = {"streaming": "<<tokens 5000>> <<rate 100>>", "silent server": "<<fault silence>>"}

_OURS = "%%kimi -m {model} --max-tokens 6000 --no-history\n{question}"
_BARE = """\
import httpx, os
_body = {{"messages": [{{"role": "user", "content": "{question}"}}], "stream": True, "max_completion_tokens": 6000}}
_url = os.environ["KIMI_LOCAL_URL"] + "/accounts/local/ai/run/@cf/moonshotai/{model}"
_headers = {{"authorization": "Bearer " + os.environ["KIMI_LOCAL_TOKEN"]}}
with httpx.stream("POST", _url, json=_body, headers=_headers, timeout=None) as _response:
    for _line in _response.iter_lines():
        pass
"""


def measure() -> list[Figure]:
    """Give two figures for each question."""
    figures: list[Figure] = []
    with server() as place, kernel(place) as running:
        running.run("%load_ext kimi_magic")
        for name, question in QUESTIONS.items():
            pairs = [_turn(running, place, question) for _ in range(TURNS + 1)][1:]
            ours, bare = zip(*pairs, strict=True)
            figures += [
                _figure(f"Interrupt → idle kernel, {name}", [t[0] for t in ours], [t[0] for t in bare], LIMIT),
                _figure(f"Interrupt → closed, {name}", [t[1] for t in ours], [t[1] for t in bare], LIMIT_CLOSED),
            ]
    return figures


def _figure(name: str, ours: list[float], bare: list[float], limit: float) -> Figure:
    return Figure(
        name,
        f"{median(ours):.0f} ms (worst {max(ours):.0f})",
        f"{median(bare):.0f} ms (worst {max(bare):.0f}) synchronous httpx",
        median(ours) / median(bare),
        f"{limit:.0f} ms",
        max(ours) <= limit,
    )


def _turn(running: Kernel, place: Server, question: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Interrupt ours, then the baseline; (idle, closed) of each in milliseconds."""
    ours, bare = (code.format(model=MODEL, question=question) for code in (_OURS, _BARE))
    return _interrupted(running, place, ours), _interrupted(running, place, bare)


def _interrupted(running: Kernel, place: Server, code: str) -> tuple[float, float]:
    """Run a cell, interrupt it, and give how long it took until idle and until closed, in milliseconds."""
    moments: list[tuple[float, float]] = []

    def interrupt() -> None:
        moments.append((time.perf_counter(), time.time()))
        running.interrupt()

    timer = threading.Timer(AFTER, interrupt)
    timer.start()
    cell = running.run(code)
    timer.join()
    entry = place.last()
    if cell.ok or entry["ended"] != "client-closed":
        raise RuntimeError(f"this cell was not interrupted: {cell.text[-300:]} {entry['ended']}")
    (pressed, unix), closed = moments[0], entry["closed"]
    return (cell.times[-1] - pressed) * 1e3, (closed - unix) * 1e3
