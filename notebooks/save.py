"""Record the replies of the notebooks, then run them on their recordings and save the outputs, which nbval compares.

    python notebooks/save.py notebooks/*.ipynb

The replies come from the scripted engine: the same on every machine. Needs kimi-magic[test].
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from conftest import HERE, KEPT, comparable, recording
from demo import environment
from nbclient import NotebookClient

VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path, **settings: str) -> nbformat.NotebookNode:
    """Run a notebook in a kernel of its own; give it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    return execute(notebook, path.parent, **settings)


def execute(notebook: nbformat.NotebookNode, folder: Path, **settings: str) -> nbformat.NotebookNode:
    """Run the cells of a notebook in this folder."""
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", record_timing=False, resources=place)
    client.execute(env=environment(**KEPT | settings))
    return notebook


def record(path: Path, to: Path, engine: str = "scripted") -> None:
    """Run a notebook with this engine of the local server, and save what it was answered."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(f"%kimi journal save {to} --all"))
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        execute(notebook, path.parent, KIMI_HOME=home, KIMI_LOCAL_ENGINE=engine, KIMI_RERUN="always")


def save(path: Path) -> None:
    """Write a notebook with its outputs again, with nothing in it that a machine or a day would change."""
    notebook = run(path, **comparable(path))
    notebook = nbformat.reads(nbformat.writes(notebook).replace(str(HERE), "~/.local/share/kimi_magic"), as_version=4)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
        if cell.cell_type == "code":  # a view without its kernel shows nothing, and has another name each time
            cell.outputs = [output for output in cell.outputs if VIEW not in output.get("data", {})]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in (Path(argument).absolute() for argument in sys.argv[1:]):
        to = recording(name)
        if to is not None:
            record(name, to)
        save(name)
