"""How nbval runs the notebooks: on the recordings beside them, sending nothing; each reply is displayed once, whole.

nbval compares the first display of a cell with the saved one and ignores updates; a replayed reply is that one display.
"""

import os
from pathlib import Path
from tempfile import mkdtemp

import pytest
from demo import environment

HERE = Path(mkdtemp(prefix="kimi-magic-notebooks-"))
"""Where the notebooks' ledger is kept, and matplotlib's cache."""
KEPT = {"KIMI_HOME": str(HERE), "MPLCONFIGDIR": str(HERE)}


def recording(notebook: Path) -> Path:
    """Where the recorded replies of a notebook are."""
    return notebook.with_suffix(".kimi.jsonl")


def replaying(notebook: Path) -> dict[str, str]:
    """Give the settings under which a notebook runs on its recording, and nothing can be sent."""
    return {"KIMI_RERUN": "only", "KIMI_JOURNAL": str(recording(notebook))}


def pytest_configure() -> None:
    """Give the kernels, which inherit it, an environment without accounts."""
    wanted = environment(**KEPT)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Name the recording before the notebook's kernel starts."""
    os.environ.update(replaying(item.path))
