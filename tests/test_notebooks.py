"""The notebooks as a front end runs them, on their recordings and with a server; nbval compares their saved outputs.

One notebook, of jobs, has no recording: it asks each time, the local server's scripted engine through its queue.
"""

import copy
import importlib
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from nbclient import NotebookClient
from nbval.plugin import get_sanitize_patterns

from kimi_magic.journal import files

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
RECORDED = [path for path in NOTEBOOKS if path.with_suffix(".kimi.jsonl").exists()]
ASKED = [path for path in NOTEBOOKS if path not in RECORDED]
NOBODY = "http://127.0.0.1:9"
SANITISE = ROOT / "tests" / "nbval.cfg"
pytestmark = pytest.mark.xdist_group("notebooks")
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_recorded = pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
each_asked = pytest.mark.parametrize("path", ASKED, ids=lambda path: path.stem)


@contextmanager
def helper(name):
    """A module that lies beside the notebooks."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


def run(path, home, **settings):
    """Run a notebook in a new kernel of its own; what it keeps, it keeps in `home`."""
    with helper("demo") as demo:
        environment = demo.environment(KIMI_HOME=str(home), MPLCONFIGDIR=str(home), **settings)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    client.execute(env=environment)
    return notebook


def comparable(path):
    """A run that gives the same each time. Where there is a recording, there is no server that could be asked."""
    with helper("save") as save, TemporaryDirectory(ignore_cleanup_errors=True) as home:
        nobody = {"KIMI_LOCAL_URL": NOBODY} if path in RECORDED else {}
        return run(path, home, **save.comparable(path), **nobody)


_RUNS = {}


def once(path):
    """Such a run; one for all tests that look at it."""
    if path not in _RUNS:
        _RUNS[path] = comparable(path)
    return _RUNS[path]


def shape(recording):
    """What a recording asks, whoever answers: parameters, roles, and the words that are the notebook's own.

    Whether a model calls tools is its own affair, so what it is told of them is left out.
    """
    shapes = []
    for request, _ in files.loads(recording.read_text("utf-8")):
        messages = request.pop("messages")
        if messages[-1]["role"] == "tool":
            continue
        said = [message for message in messages if message["role"] in ("system", "user")]
        # The words of a reply differ, and with them those of cells that go along.
        own = [message["content"].rpartition("</context>")[2] for message in said if message["role"] == "user"]
        shapes.append((request, [message["role"] for message in said], own))
    return shapes


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


def texts_of(notebook):
    """The text of each reply that a question displayed."""
    shown = [cell.outputs for cell in notebook.cells if cell.source.startswith(("%%kimi", "%kimi fix"))]
    return [outputs[-1].data["text/plain"] for outputs in shown]  # above it are cards of tools, and their prints


def recording_of(path):
    """The exchanges that lie beside a notebook."""
    return files.loads(path.with_suffix(".kimi.jsonl").read_text("utf-8"))


def nbval(path):
    """Run nbval as `make test` does; its exit code and output."""
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-sanitize-with", str(SANITISE)]
    command += ["-p", "no:cacheprovider", "--rootdir", str(path.parent), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=path.parent, check=False)
    return done.returncode, done.stdout


@each
def test_each_question_leaves_one_display(path):
    for cell in once(path).cells:
        if cell.source.startswith("%%kimi") and "--dry-run" not in cell.source:
            displayed = [output.output_type for output in cell.outputs if output.output_type != "stream"]  # a tool's
            assert displayed == ["display_data"], cell.source


@each
def test_a_run_gives_what_is_saved(path):
    assert outputs_of(once(path)) == outputs_of(nbformat.read(path, as_version=4))


@each_recorded
def test_what_streams_says_the_same_as_its_replay(path, server, tmp_path):
    asking = {"KIMI_LOCAL_URL": server.url, "KIMI_LOCAL_TOKEN": server.token}
    streamed, again = (texts_of(notebook) for notebook in (run(path, tmp_path, **asking), once(path)))
    assert streamed == again


@each_recorded
def test_restart_and_run_all_sends_nothing(path, server, seen, tmp_path):
    asking = {"KIMI_LOCAL_URL": server.url, "KIMI_LOCAL_TOKEN": server.token}
    run(path, tmp_path, **asking)
    assert len(seen.all()) == len(recording_of(path))
    seen.clear()
    run(path, tmp_path, **asking)
    assert seen.all() == []


@each_asked
def test_jobs_that_are_done_send_nothing_when_all_is_run_again(path, server, seen, tmp_path):
    asking = {"KIMI_LOCAL_URL": server.url, "KIMI_LOCAL_TOKEN": server.token}
    run(path, tmp_path, **asking)
    assert seen.all()
    seen.clear()
    run(path, tmp_path, **asking)
    assert seen.all() == []


@each_asked
def test_a_real_model_answers_every_row(path, tmp_path):
    asked = run(path, tmp_path, KIMI_LOCAL_ENGINE="llama")
    [listed] = [cell.outputs[-1].data["text/plain"] for cell in asked.cells if cell.source == "%kimi jobs"]
    assert "6 of 6" in listed
    assert not re.search("failed|running|stopped", listed)


@each_recorded
def test_the_recording_has_the_form_that_a_real_model_would_leave(path, tmp_path):
    real = tmp_path / "real.kimi.jsonl"
    with helper("save") as save:
        save.record(path, real, "llama")
    assert shape(real) == shape(path.with_suffix(".kimi.jsonl"))
    assert files.dumps(files.loads(real.read_text("utf-8"))) == real.read_text("utf-8")
    assert "SmolLM2" in real.read_text("utf-8")


@each_recorded
def test_a_recording_holds_nothing_of_its_machine_or_moment(path):
    text = path.with_suffix(".kimi.jsonl").read_text("utf-8")
    assert not re.search(
        r"/home/|/root|/Users/|/tmp|[A-Z]:\\\\|127\.0\.0\.1|localhost|affinity|kimi-[0-9a-f]{32}", text
    )
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


@each
def test_nbval_sees_a_changed_word(path, tmp_path):
    notebook = path.read_text("utf-8")
    spoilt = tmp_path / path.name
    for said, never in (("You asked", "You wondered"), ("The tools answered", "The tools sang"), (">Bern<", ">Rome<")):
        notebook = notebook.replace(said, never)
    spoilt.write_text(notebook, "utf-8")
    recording = [path.with_suffix(".kimi.jsonl").name] if path in RECORDED else []
    for beside in ("conftest.py", "demo.py", "screen.py", *recording):
        (tmp_path / beside).write_text((FOLDER / beside).read_text("utf-8"), "utf-8")
    code, output = nbval(spoilt)
    assert code == 1
    assert any(never in output for never in ("You wondered", "The tools sang", ">Rome<"))
    assert re.search(r"\d failed, \d+ passed", output)


@each
def test_a_saved_notebook_holds_nothing_of_its_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell.metadata.keys() <= {"tags"} for cell in notebook.cells)
    assert not re.search(r"/home/|/root|/Users/|/tmp|[A-Z]:\\\\|127\.0\.0\.1|localhost", path.read_text("utf-8"))


@each
def test_every_code_cell_was_run_in_order(path):
    counts = [cell.execution_count for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
