"""Tools of MCP servers: real servers in processes of their own, asked by a real kernel."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from mcp.types import CallToolResult, TextContent
from mcp.types import Tool as McpTool

from kimi_magic.command import Mcp, parse_line
from kimi_magic.completer import candidates
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from kimi_magic.errors import CommandError
from kimi_magic.mcp import Servers, Target
from kimi_magic.mcp.offered import declared
from kimi_magic.mcp.results import ToolError, given
from kimi_magic.schema import Invalid
from kimi_magic.tools import named
from tests import mcp_raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Seen
    from tests.harness.kernel import Kernel

HERE = Path(__file__).parent
SERVER = f"{sys.executable} {HERE / 'mcp_server.py'}"
RAW = f"{sys.executable} {HERE / 'mcp_raw.py'}"
ADD = f"%kimi mcp add demo {SERVER}"
NAMES = ("broken_picture", "environment", "fail", "hang", "leave", "long", "picture", "write")
CALLS = "[(call.state, call.text, call.handle) for call in answer.calls]"


def asked(kernel: Kernel, *calls: str, options: str = "-t demo", **more: Any) -> list[tuple[str, str, str]]:
    """Let the model make these calls; gives the state of each, what it is told, and the handle."""
    cell = kernel.run(f"%%kimi answer {options}\n" + "".join(f"<<tool {call}>>" for call in calls), **more)
    assert cell.ok, cell.text
    found: list[tuple[str, str, str]] = kernel.value(CALLS)
    return found


def children(kernel: Kernel) -> list[psutil.Process]:
    provisioner: Any = kernel.manager.provisioner
    return psutil.Process(provisioner.pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


@contextmanager
def address() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the server at an address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started(port) as process:
        yield f"http://127.0.0.1:{port}/mcp", process


@contextmanager
def started(port: int) -> Iterator[subprocess.Popen[bytes]]:
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*SERVER.split(), str(port)], **quiet) as process:
        try:
            wait_for(port)
            yield process
        finally:
            process.kill()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the server does not listen")


# What can be typed


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("mcp", Mcp()),
        ("mcp remove demo", Mcp("remove", "demo")),
        ("mcp add demo npx -y thing --flag", Mcp("add", "demo", ("npx", "-y", "thing", "--flag"))),
        ('mcp add demo prog "a b"', Mcp("add", "demo", ("prog", "a b"))),
        ("mcp add --token KEY --timeout 2m web https://x.org/mcp",
         Mcp("add", "web", ("https://x.org/mcp",), (), "KEY", 120.0)),
        ("mcp add --env KEY --env MODE=a=b demo prog", Mcp("add", "demo", ("prog",), ("KEY", "MODE=a=b"))),
    ],
)  # fmt: skip
def test_a_line_is_read(line: str, parsed: Mcp) -> None:
    assert parse_line(line) == parsed


@pytest.mark.parametrize(
    "line",
    ["mcp frob", "mcp remove", "mcp add", "mcp add demo", "mcp add de/mo prog", "mcp add kernel prog", "mcp add --env",
     "mcp add --env 1=2 demo prog", "mcp add --frob x demo prog", "mcp add --env KEY web https://x.org",
     "mcp add --token KEY demo prog", "mcp add web ftp://x.org", "mcp add web https://x.org more", "tools x"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_next_step(line: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_line(line)
    assert caught.value.hint


def test_the_words_are_completed() -> None:
    assert candidates("%kimi mcp ") == ("", ["add", "remove"])
    assert candidates("%kimi mc") == ("mc", ["mcp"])


def test_an_address_is_shown_without_what_may_be_a_credential() -> None:
    assert Target(("https://me:secret@x.org/mcp?key=secret",)).shown == "https://x.org/mcp"


def test_variables_reach_a_program_and_only_those_that_were_named() -> None:
    target = Target(("prog",), ("MODE=fast", "API_KEY"))
    ours = {"API_KEY": "k-123", "CLOUDFLARE_API_TOKEN": "t", "PATH": "/bin"}
    found = target.environment(ours)
    assert {name: found[name] for name in found if name != "PATH"} == {"MODE": "fast", "API_KEY": "k-123"}
    assert found["PATH"].endswith("/bin")
    assert target.credentials(ours) == {"API_KEY": "k-123"}
    with pytest.raises(CommandError, match="API_KEY is not set"):
        target.environment({})


# What a server offers


def raw_tools() -> tuple[Any, ...]:
    return declared("raw", [McpTool.model_validate(tool) for tool in mcp_raw.TOOLS])


def test_names_become_such_as_the_service_takes_and_stay_apart() -> None:
    tools, refused = raw_tools()
    names = [tool.name for tool in tools]
    assert names[:2] == ["raw_files_read_one", "raw_files_read_one_2"]
    assert all(len(name) <= 64 for name in names)
    assert len(set(names)) == len(names) == 4
    assert refused == ("no-schema",)


def test_arguments_are_checked_by_the_schema_of_the_server() -> None:
    _, second, third, elsewhere = raw_tools()[0]
    assert second.validate('{"at": "/x"}') == ((), {"at": "/x"})
    with pytest.raises(Invalid, match=r"at: 'x' does not match"):
        second.validate('{"at": "x"}')
    with pytest.raises(Invalid, match="'at' is a required property"):
        second.validate("")
    with pytest.raises(Invalid, match="not JSON"):
        second.validate("{")
    assert third.validate('{"self": 1, "a b": 2}') == ((), {"self": 1, "a b": 2})
    with pytest.raises(Invalid, match="schema cannot be used"):
        elsewhere.validate('{"x": 1}')  # nothing is fetched


LOOK = Look(Guard())


def result(*content: Any, **more: Any) -> CallToolResult:
    return CallToolResult(content=list(content), **more)


def test_text_is_text_and_a_value_without_text_is_itself() -> None:
    assert given(result(TextContent(text="a"), TextContent(text="b")), LOOK) == "a\nb"
    assert given(result(structured_content={"rows": [1, 2]}), LOOK) == {"rows": [1, 2]}
    assert given(result(), LOOK) is None
    with pytest.raises(ToolError, match="no such file"):
        given(result(TextContent(text="no such file"), is_error=True), LOOK)


def test_what_is_neither_text_nor_picture_is_named() -> None:
    blocks: list[Any] = [
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "resource_link", "name": "log", "uri": "file:///log"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "words"}},
        {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA", "mimeType": "application/zip"}},
        {"type": "image", "data": "!", "mimeType": "image/png"},
    ]
    found = given(CallToolResult.model_validate({"content": blocks}), LOOK)
    assert str(found).splitlines() == [
        "[audio that is not shown]",
        "[log: file:///log]",
        "words",
        "[file:///b: a file of application/zip, 3 bytes, that is not shown]",
        "[a picture of image/png that cannot be read]",
    ]


# Without a kernel


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


def test_every_page_of_tools_is_listed_and_each_can_be_named(servers: Servers) -> None:
    added = servers.add("raw", Target((*RAW.split(), "noisy")))
    assert [tool.own for tool in added.tools] == ["files/read.one", "files read.one", "n" * 100, "elsewhere"]
    sets = servers.sets(LOOK)
    assert [tool.name for tool in named("raw.files/read.one", {}, sets)] == ["raw_files_read_one"]
    assert len(named("raw", {}, sets)) == 4
    with pytest.raises(CommandError, match=r"no tool 'raw.files/reed.one'") as caught:
        named("raw.files/reed.one", {}, sets)
    assert "raw.files_read_one" in caught.value.hint
    assert len(sets["raw"][0].description) < 4_100
    assert all(tool.approve is True for tool in sets["raw"])


def test_a_tool_is_called_with_the_arguments_as_they_are(servers: Servers) -> None:
    servers.add("raw", Target(tuple(RAW.split())))
    tool = servers.sets(LOOK)["raw"][2]
    assert tool.function(**{"self": 1, "a b": 2}) == (
        '{"name": "' + "n" * 100 + '", "arguments": {"self": 1, "a b": 2}}'
    )


def test_a_picture_is_a_picture_for_a_model_that_sees(servers: Servers) -> None:
    servers.add("demo", Target(tuple(SERVER.split())))
    tools = {tool.name: tool for tool in servers.sets(LOOK)["demo"]}
    found = tools["demo_picture"].function()
    assert isinstance(found, Description)
    assert found.text == "A red one:"
    assert [(image.width, image.height) for image in found.images] == [(40, 30)]
    assert "cannot be read" in str(tools["demo_broken_picture"].function())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("no-such-program-anywhere", "no program"),
        (f"{HERE}", "cannot be run"),
        (f"{RAW} leaves", "no licence | found"),
        (f"{RAW} silent", "did not start in 1.5 s"),
        (f"{RAW} garbage", "Starting"),
        ("http://127.0.0.1:1/mcp", "does not answer"),
    ],
)
def test_a_server_that_does_not_start_says_why_and_leaves_nothing_behind(
    servers: Servers, words: str, told: str
) -> None:
    with pytest.raises(CommandError) as caught:
        servers.add("bad", Target(tuple(words.split()), timeout=1.5))
    assert told in caught.value.message
    assert "\x1b" not in "".join(caught.value._render_traceback_()).replace("\x1b[1;38;5;196m", "").replace(
        "\x1b[0m", ""
    )
    assert servers.all == ()
    servers.close()
    assert [child for child in psutil.Process().children() if "mcp_raw" in " ".join(child.cmdline())] == []


def test_a_server_that_will_not_end_is_ended(servers: Servers) -> None:
    servers.add("raw", Target((*RAW.split(), "stays")))
    (process,) = [child for child in psutil.Process().children() if "mcp_raw" in " ".join(child.cmdline())]
    servers.remove("raw")
    assert gone([process])


def test_an_address_that_speaks_no_mcp_says_so(servers: Servers, server: Any) -> None:
    with pytest.raises(CommandError, match="does not answer as an MCP server") as caught:
        servers.add("web", Target((server.url,)))
    assert "/mcp" in caught.value.hint


class Refusing(BaseHTTPRequestHandler):
    """An address that wants a token, and keeps what it was shown."""

    def do_POST(self) -> None:
        self.server.shown.append(self.headers.get("authorization"))  # type: ignore[attr-defined]
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_an_address_that_wants_a_token_is_told_the_one_that_is_named(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_KEY", "k-0123456789")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as web:
        web.shown = []
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_port}/mcp"
        for token in ("", "WEB_KEY"):
            with pytest.raises(CommandError, match="who asks") as caught:
                servers.add("web", Target((url,), token=token))
            assert "--token" in caught.value.hint
        web.shutdown()
    assert {None, "Bearer k-0123456789"} == set(web.shown)


# In a kernel


def test_adding_starts_a_server_and_its_tools_answer(kernel: Kernel, seen: Seen) -> None:
    added = kernel.run(ADD)
    assert "demo.add" in added.text
    assert "noise" not in added.text
    found = asked(kernel, 'demo_add {"a": 40}', 'demo_long {"characters": 100000}', "demo_fail {}")
    assert found[0] == ("done", "42", "")
    assert found[1][0] == "done"
    assert found[1][2] == "kimi_1"
    assert len(found[1][1]) < 20_000
    assert found[2][:2] == ("failed", "ToolError: Error executing tool fail")
    assert kernel.value("len(kimi_1)") == 100_000
    declared = str(seen.all()[0]["body"])
    assert "Add two numbers." in declared
    assert '\\"name\\":\\"demo_write\\"' in declared or '"name":"demo_write"' in declared


def test_arguments_that_do_not_fit_go_back_to_the_model(kernel: Kernel) -> None:
    kernel.run(ADD)
    (wrong, unknown) = asked(kernel, 'demo_add {"a": "x"}', 'demo_ad {"a": 1}')
    assert wrong[0] == "invalid"
    assert "a: 'x' is not of type 'integer'" in wrong[1]
    assert "demo_add takes a, b (optional)" in wrong[1]
    assert unknown[0] == "unknown"
    assert "demo_add" in unknown[1]


def test_a_tool_that_may_change_something_asks_first(kernel: Kernel) -> None:
    kernel.run(ADD)
    assert asked(kernel, 'demo_write {"path": "a"}')[0][0] == "refused"
    cell = kernel.run('%%kimi answer -t demo.write\n<<tool demo_write {"path": "b"}>>', answers=["y"])
    assert 'path = "b"' in cell.text
    assert kernel.value(CALLS) == [("done", "wrote b", "")]
    assert asked(kernel, 'demo_write {"path": "c"}', options="-t demo --approve all")[0][0] == "done"


def test_no_credential_of_ours_reaches_a_program(kernel: Kernel) -> None:
    kernel.run("import os; os.environ.update(CLOUDFLARE_API_TOKEN='t-0123456789', KIMI_LOCAL_TOKEN_='x', GIVEN='word')")
    kernel.run(f"%kimi mcp add --env GIVEN --env MODE=fast demo {SERVER}")
    kernel.run("del os.environ['CLOUDFLARE_API_TOKEN']")
    text = asked(kernel, "demo_environment {}")[0][1]
    assert '"GIVEN": "word"' in text
    assert '"MODE": "fast"' in text
    assert "CLOUDFLARE" not in text
    assert "KIMI" not in text


def test_a_server_that_dies_in_a_call_is_told_of_and_started_for_the_next(kernel: Kernel) -> None:
    kernel.run(ADD)
    died, after = asked(kernel, "demo_leave {}", 'demo_add {"a": 1}')
    assert died[0] == "failed"
    assert "demo has ended" in died[1]
    assert "I leave now" in died[1]
    assert after == ("done", "3", "")
    children(kernel)[-1].kill()
    while "has ended" not in kernel.run("%kimi mcp").text:
        time.sleep(0.05)
    assert asked(kernel, 'demo_add {"a": 5}')[0] == ("done", "7", "")


def test_a_call_that_takes_too_long_is_stopped_and_the_server_lives(kernel: Kernel) -> None:
    kernel.run(f"%kimi mcp add --timeout 3 demo {SERVER}")
    before = [child.pid for child in children(kernel)]
    slow, quick = asked(kernel, "demo_hang {}", 'demo_add {"a": 1}')
    assert slow[0] == "timed out"
    assert quick == ("done", "3", "")
    assert [child.pid for child in children(kernel)] == before


def test_ctrl_c_stops_a_call_and_a_start_at_once(kernel: Kernel) -> None:
    kernel.run(ADD)
    running = kernel.interrupt_when(lambda message: "demo_hang" in str(message["content"].get("data", "")))
    cell = kernel.run("%%kimi answer -t demo\n<<tool demo_hang {}>>", watch=running, timeout=30)
    assert not cell.ok
    assert kernel.value(CALLS)[0][0] == "interrupted"
    begun = kernel.interrupt_when(lambda message: "starting" in str(message["content"].get("text", "")))
    code = (
        f"print('starting', flush=True); get_ipython().run_line_magic('kimi', 'mcp add --timeout 60 bad {RAW} silent')"
    )
    assert not kernel.run(code, watch=begun, timeout=30).ok
    assert asked(kernel, 'demo_add {"a": 1}') == [("done", "3", "")]


def test_servers_and_async_tools_go_together(kernel: Kernel) -> None:
    kernel.run(ADD)
    kernel.run(
        "import asyncio\nasync def later(n: int) -> int:\n    'Later.'\n    await asyncio.sleep(0.01)\n    return n"
    )
    for _ in range(2):
        found = asked(kernel, 'later {"n": 1}', 'demo_add {"a": 1}', options="-t demo,later")
        assert [each[:2] for each in found] == [("done", "1"), ("done", "3")]


def test_a_long_text_is_handed_on_by_its_name_and_nothing_else_is(kernel: Kernel) -> None:
    kernel.run(f"{ADD}\nkimi_1 = 'path ' * 2000\nkimi_2 = object()")
    options = "-t demo --approve all"
    text, other = asked(kernel, 'demo_write {"path": "kimi_1"}', 'demo_write {"path": "kimi_2"}', options=options)
    assert text[1].startswith("wrote path path")
    assert kernel.value("len(answer.calls[0].value)") == len("wrote ") + 10_000
    assert other[0] == "invalid"
    assert "kimi_2 is a object, and this tool can only be handed text" in other[1]
    cell = kernel.run('%%kimi answer -t demo\n<<tool demo_write {"path": "kimi_1"}>>', answers=["n"])
    assert "path = kimi_1 (a str)" in cell.text


def test_what_a_server_is_given_is_guarded_and_on_the_ledger(kernel: Kernel) -> None:
    kernel.run(f"{ADD}\nimport pandas as pd\ndf = pd.DataFrame({{'ssn': ['123-45-6789']}})")
    kernel.run("%kimi private df ssn")
    kernel.run("kimi_1 = 'the number is 123-45-6789'")
    told = asked(kernel, 'demo_write {"path": "kimi_1"}', options="-t demo --approve all")[0][1]
    assert told.startswith("wrote the number is")
    assert "123-45-6789" not in kernel.value("answer.calls[0].value")
    assert any("demo.write" in line and "this machine" in line for line in kernel.run("%kimi egress").text.splitlines())


def test_the_lists_tell_what_there_is(kernel: Kernel) -> None:
    assert "There is no MCP server" in kernel.run("%kimi mcp").text
    kernel.run(f"{ADD}\nimport kimi_magic\n@kimi_magic.tool(approve=True)\ndef order(item: str):\n    'Order it.'")
    lines = kernel.run("%kimi tools").text.splitlines()
    assert next(line.split() for line in lines if line.startswith("order")) == ["order", "yes", "Order", "it."]
    assert any(line.startswith("run_python") and "always" in line for line in lines)
    assert any(line.startswith("demo.add") and "demo_add" in line and "Add two numbers." in line for line in lines)
    assert any(line.startswith("demo.write") and "yes" in line for line in lines)
    assert "runs" in kernel.run("%kimi mcp").text


def test_servers_and_their_tools_are_completed(kernel: Kernel) -> None:
    kernel.run(ADD)
    assert kernel.complete("%%kimi -t de") == ["demo", "demo.add", *(f"demo.{name}" for name in NAMES)]
    assert kernel.complete("%%kimi -t demo.a") == ["demo.add"]
    assert "kernel" in kernel.complete("%kimi ask -t ker")


def test_removing_unloading_and_the_end_of_the_kernel_end_the_servers(kernel: Kernel) -> None:
    kernel.run(ADD)
    first = children(kernel)
    assert "has ended" in kernel.run("%kimi mcp remove demo").text
    assert gone(first)
    assert "There is no MCP server 'demo'" in kernel.run("%kimi mcp remove demo").text
    assert not kernel.run("%%kimi -t demo.add\nhi").ok
    kernel.run(ADD)
    second = children(kernel)
    kernel.run("%unload_ext kimi_magic")
    assert len(second) == 1
    assert gone(second)


def test_a_server_ends_with_a_kernel_that_is_killed(cold_kernel: Kernel) -> None:
    cold_kernel.run("%load_ext kimi_magic")
    cold_kernel.run(ADD)
    servers = children(cold_kernel)
    provisioner: Any = cold_kernel.manager.provisioner
    psutil.Process(provisioner.pid).send_signal(signal.SIGKILL)
    assert len(servers) == 1
    assert gone(servers)


def test_a_server_at_an_address_answers_and_is_found_again(kernel: Kernel) -> None:
    with address() as (url, process):
        assert "web.add" in kernel.run(f"%kimi mcp add web {url}").text
        assert asked(kernel, 'web_add {"a": 40}', options="-t web")[0] == ("done", "42", "")
        process.kill()
        process.wait()
        state, text, _ = asked(kernel, 'web_add {"a": 41}', options="-t web")[0]
        assert state == "failed"
        assert "web has ended" in text or "does not answer" in text
        with started(int(url.rpartition(":")[2].partition("/")[0])):
            assert asked(kernel, 'web_add {"a": 42}', options="-t web")[0] == ("done", "44", "")


def test_nothing_of_mcp_is_imported_before_a_server_is_added(cold_kernel: Kernel) -> None:
    cold_kernel.run("%load_ext kimi_magic")
    cold_kernel.run("%kimi tools\n%kimi mcp")
    cold_kernel.run("%%kimi -t kernel\n<<tool list_variables {}>>")
    assert (
        cold_kernel.value("[name for name in ('mcp', 'starlette', 'httpx2') if name in __import__('sys').modules]")
        == []
    )
