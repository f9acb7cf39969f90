"""How nbval runs the notebooks: on the recordings beside them, sending nothing; each reply is displayed once, whole.

nbval compares the first display of a cell with the saved one and ignores updates; a replayed reply is that one display.
A notebook of jobs has no recording, for jobs are kept in the store: it is run with the scripted engine of the local
server and the queue there, and cells whose output goes on after them have the tag nbval-ignore-output.
"""

import os
from pathlib import Path
from tempfile import mkdtemp

import pytest
from demo import environment

HERE = Path(mkdtemp(prefix="kimi-magic-notebooks-"))
"""Where the notebooks' ledger is kept, and matplotlib's cache."""
KEPT = {"KIMI_HOME": str(HERE), "MPLCONFIGDIR": str(HERE)}


ASKED = frozenset({"06_jobs"})
"""Notebooks that ask each time they are run."""


def recording(notebook: Path) -> Path | None:
    """Where the recorded replies of a notebook are, if it has any."""
    return None if notebook.stem in ASKED else notebook.with_suffix(".kimi.jsonl")


def comparable(notebook: Path) -> dict[str, str]:
    """Give the settings under which a notebook gives the same each time: on its recording nothing can be sent."""
    recorded = recording(notebook)
    if recorded is None:
        return {"KIMI_RERUN": "replay", "KIMI_JOURNAL": "", "KIMI_LOCAL_ENGINE": "scripted"}
    return {"KIMI_RERUN": "only", "KIMI_JOURNAL": str(recorded)}


def pytest_configure() -> None:
    """Give the kernels, which inherit it, an environment without accounts."""
    wanted = environment(**KEPT)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set how it is answered before the notebook's kernel starts."""
    os.environ.update(comparable(item.path))
