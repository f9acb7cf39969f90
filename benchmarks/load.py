"""How long `%load_ext kimi_magic` takes in a running kernel.

In each of nine fresh kernels, after one whose files were not yet in the page cache, both extensions are loaded by the
magic and timed inside the kernel; every other kernel loads them the other way round. The baseline is an extension that
registers an empty Magics class: what IPython itself takes. The medians are given; beside the wall clock, which holds
against the limit, the CPU time of the kernel's main thread, which a busy machine moves less.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from benchmarks.stage import kernel

LIMIT = 15.0
ROUNDS = 9

_EMPTY = """\
from IPython.core.magic import Magics, line_magic, magics_class

@magics_class
class EmptyMagics(Magics):
    @line_magic
    def empty(self, line):
        pass

def load_ipython_extension(shell):
    shell.register_magics(EmptyMagics)
"""
_TIMED = """\
import time
_taken = {}
for _name in %r:
    _start = time.perf_counter(), time.thread_time()
    get_ipython().run_line_magic("load_ext", _name)
    _taken[_name] = (time.perf_counter() - _start[0]) * 1e3, (time.thread_time() - _start[1]) * 1e3
"""


def measure() -> list[Figure]:
    """Give the one figure."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "empty_magic.py").write_text(_EMPTY, encoding="utf-8")
        names = ("kimi_magic", "empty_magic")
        rounds = [_loaded(folder, names[:: 1 if n % 2 else -1]) for n in range(ROUNDS + 1)][1:]
    (ours, cpu), (empty, empty_cpu) = (
        [median(taken[name][clock] for taken in rounds) for clock in (0, 1)] for name in names
    )
    return [
        Figure(
            "`%load_ext kimi_magic`",
            f"{ours:.1f} ms ({cpu:.1f} CPU)",
            f"{empty:.1f} ms ({empty_cpu:.1f} CPU) an empty extension",
            ours / empty,
            f"{LIMIT:.0f} ms",
            ours <= LIMIT,
        )
    ]


def _loaded(folder: str, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Load extensions into a fresh kernel, one after the other; milliseconds (wall, CPU) by name."""
    with kernel(None, folder) as running:
        cell = running.run(_TIMED % (names,))
        if not cell.ok or cell.text:
            raise RuntimeError(cell.text)
        taken: dict[str, tuple[float, float]] = running.value("_taken")
        return taken
