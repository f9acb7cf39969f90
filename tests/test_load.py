"""Loading is silent, cheap and undone by unloading."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.harness.kernel import Kernel

HEAVY = ["httpx", "ipywidgets", "pandas", "pydantic", "markdown_it", "nh3", "anyio", "nest_asyncio2", "mcp"]
HEAVY += ["kimi_magic.wire", "narwhals", "PIL", "sqlite3", "kimi_magic.context.guard"]

STATE = """
def state():
    s = get_ipython()
    return {
        "line": dict(s.magics_manager.magics["line"]), "cell": dict(s.magics_manager.magics["cell"]),
        "registry": dict(s.magics_manager.registry), "configurables": list(s.configurables),
        "cleanups": list(s.input_transformers_cleanup),
        "matchers": list(s.Completer.custom_matchers),
        "transforms": list(s.input_transformer_manager.token_transformers),
        "printers": dict(s.display_formatter.ipython_display_formatter.type_printers),
        "deferred": dict(s.display_formatter.ipython_display_formatter.deferred_printers),
        "events": {name: list(found) for name, found in s.events.callbacks.items()},
        "threads": sorted(t.name for t in __import__("threading").enumerate() if t.name.startswith("kimi")),
        "hooks": list(s.display_pub._hooks),
    }
"""


def test_loading_is_silent_and_imports_nothing_heavy(cold_kernel: Kernel) -> None:
    cold_kernel.run("import sys, threading; before = set(sys.modules); threads = threading.active_count()")
    cell = cold_kernel.run("%load_ext kimi_magic")
    assert cell.outputs == []
    assert cold_kernel.value(f"[name for name in {HEAVY!r} if name in set(sys.modules) - before]") == []
    assert cold_kernel.value("threading.active_count() - threads") == 0


def test_loading_needs_neither_network_nor_files(cold_kernel: Kernel) -> None:
    cold_kernel.run(
        "import sys\nopened = []\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'open') and not str(args[0]).endswith(('.py', '.pyc')):\n"
        "        opened.append((event, str(args[0])))\n"
        "sys.addaudithook(hook)"
    )
    cold_kernel.run(
        "opened.clear(); get_ipython().extension_manager.load_extension('kimi_magic'); found = list(opened)\n"
        "open(sys.executable, 'rb').close(); works = ('open', sys.executable) in opened"
    )
    assert cold_kernel.value("(found, works)") == ([], True)


def test_loading_twice_is_loading_once(cold_kernel: Kernel) -> None:
    cold_kernel.run(STATE + "\n%load_ext kimi_magic")
    cold_kernel.run("once = state()")
    cold_kernel.run("import kimi_magic; kimi_magic.load_ipython_extension(get_ipython()); twice = state()")
    assert cold_kernel.value("once == twice") is True


def test_unloading_leaves_the_shell_as_it_was(cold_kernel: Kernel) -> None:
    cold_kernel.run(STATE + "\nget_ipython().register_magic_function(lambda line: 'mine', 'line', 'kimi')")
    cold_kernel.run("%config\nbefore = state()")  # %config loads the magics that IPython itself loads lazily
    cold_kernel.run("%load_ext kimi_magic")
    assert cold_kernel.run("%%kimi answer\n<<say hi>>").text == "hi"
    cold_kernel.run("answer; %kimi usage")
    cold_kernel.run("%unload_ext kimi_magic\nafter = state()")
    assert cold_kernel.value("[name for name in before if before[name] != after[name]]") == []
    assert "mine" in cold_kernel.run("%kimi").text


def test_loading_again_after_unloading_works(cold_kernel: Kernel) -> None:
    for _ in range(2):
        cold_kernel.run("%load_ext kimi_magic")
        assert cold_kernel.run("%%kimi\n<<say hi>>").text == "hi"
        cold_kernel.run("%unload_ext kimi_magic")
