"""Run the notebooks and save their outputs, which nbval compares with those of its own runs.

    python notebooks/save.py notebooks/*.ipynb

Like nbval's, the replies come from the scripted engine: the same on every machine. Needs kimi-magic[test].
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from conftest import HERE, SCRIPTED, STATIC
from demo import environment
from nbclient import NotebookClient

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def save(path: Path) -> None:
    """Run one notebook and write it again, with nothing in it that a machine or a day would change."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, kernel_name="python3", record_timing=False, resources=folder)
    client.execute(env=environment(**SCRIPTED, **STATIC))
    notebook = nbformat.reads(nbformat.writes(notebook).replace(str(HERE), "~/.local/share/kimi_magic"), as_version=4)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        save(Path(name))
