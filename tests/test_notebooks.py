"""The notebooks as a front end runs them, streaming; nbval compares their saved outputs in static mode."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbclient import NotebookClient
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SANITISE = ROOT / "tests" / "nbval.cfg"
pytestmark = [
    pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem),
    pytest.mark.xdist_group("notebooks"),
]


def run(path, **settings):
    """Run a notebook in a new kernel of its own, with the scripted engine."""
    sys.path.insert(0, str(FOLDER))
    try:
        from demo import environment
    finally:
        sys.path.remove(str(FOLDER))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        client.execute(env=environment(KIMI_LOCAL_ENGINE="scripted", KIMI_HOME=home, MPLCONFIGDIR=home, **settings))
    return notebook


_RUNS = {}


def streamed(path):
    """A run with streaming on; once for all tests that look at it."""
    if path not in _RUNS:
        _RUNS[path] = run(path)
    return _RUNS[path]


def outputs_of(notebook):
    """What nbval would compare: all outputs, without what may differ."""
    patterns = dict(get_sanitize_patterns(SANITISE.read_text("utf-8")))
    outputs = []
    for cell in notebook.cells:
        if "nbval-ignore-output" in cell.metadata.get("tags", ()):
            continue  # pictures, which differ with the version of what draws them, and moments
        for output in copy.deepcopy(cell.get("outputs", [])):
            shown = {"text": output.get("text", ""), **output.get("data", {})}
            for regex, replacement in patterns.items():
                shown = {kind: re.sub(regex, replacement, value) for kind, value in shown.items()}
            outputs.append((cell.id, output.output_type, shown))
    return outputs


def nbval(path):
    """Run nbval as `make test` does; its exit code and output."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-sanitize-with", str(SANITISE)]
    command += ["-p", "no:cacheprovider", "--rootdir", str(path.parent), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, check=False)
    return done.returncode, done.stdout


def test_each_question_leaves_one_display(path):
    for cell in streamed(path).cells:
        if cell.source.startswith("%%kimi") and "--dry-run" not in cell.source:
            assert [output.output_type for output in cell.outputs] == ["display_data"], cell.source


def test_what_streams_ends_as_what_is_saved(path):
    assert outputs_of(streamed(path)) == outputs_of(nbformat.read(path, as_version=4))


def test_a_second_run_says_the_same(path):
    assert outputs_of(run(path)) == outputs_of(streamed(path))


def test_nbval_sees_a_changed_word(path, tmp_path):
    notebook = path.read_text("utf-8")
    spoilt = tmp_path / path.name
    spoilt.write_text(notebook.replace("You asked", "You wondered"), "utf-8")
    for helper in ("conftest.py", "demo.py", "screen.py"):
        (tmp_path / helper).write_text((FOLDER / helper).read_text("utf-8"), "utf-8")
    code, output = nbval(spoilt)
    assert code == 1
    assert "You wondered" in output
    assert re.search(r"\d failed, \d+ passed", output)


def test_a_saved_notebook_holds_nothing_of_its_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata.keys() <= {"tags"} for cell in notebook.cells)
    assert not re.search(r"/home/|/root|/Users/|/tmp|[A-Z]:\\\\|127\.0\.0\.1|localhost", path.read_text("utf-8"))


def test_every_code_cell_was_run_in_order(path):
    counts = [cell.execution_count for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
