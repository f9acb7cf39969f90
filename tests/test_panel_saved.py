"""The transcript that a notebook carries, where it is run without a front end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_asked_in_later_cells_stands_in_it(environment: dict[str, str], tmp_path: Path) -> None:
    sources = ("%load_ext kimi_magic", "%kimi chat", "%%kimi -q\nFirst <<say One.>>", "%%kimi -q\nSecond <<say Two.>>")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | environment)
    shown = notebook.cells[1].outputs[0].data
    assert [words for words in ("First", "One.", "Second", "Two.") if words not in shown["text/plain"]] == []
    assert "Two." in shown["text/html"]
