"""How nbval runs the notebooks: the scripted engine answers, and each reply is displayed once, whole.

nbval compares the first display of a cell with the saved one and ignores updates, so it needs both. Each kernel starts
a scripted server of its own.
"""

import os
from pathlib import Path
from tempfile import mkdtemp

from demo import environment

HERE = Path(mkdtemp(prefix="kimi-magic-notebooks-"))
"""Where the notebooks' ledger is kept, and matplotlib's cache."""
SCRIPTED = {"KIMI_LOCAL_ENGINE": "scripted", "KIMI_HOME": str(HERE), "MPLCONFIGDIR": str(HERE)}
STATIC = {"KIMI_STREAM": "0"}


def pytest_configure() -> None:
    """Give the kernels, which inherit it, an environment without accounts."""
    wanted = environment(**SCRIPTED, **STATIC)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)
