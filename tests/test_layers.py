"""The table of layers: a module imports only what stands above it, so that the flow runs one way.

The table is the order of the list; imports inside functions count as well. `local` imports nothing of ours.
"""

from __future__ import annotations

import ast
from pathlib import Path

import kimi_magic

PACKAGE = Path(kimi_magic.__file__).parent

LAYERS = [
    # values
    "errors",
    "messages",
    "events",
    "typed",
    "budget",
    "settings",
    "options",
    "models",
    # pure functions
    "command",
    "fragments",
    "leaks",
    "wire",
    "batch",
    "refusals",
    "highlight",
    "mathematics",
    "dialect",
    "markdown",
    "present",
    "bars",
    "report",
    "schema",
    "declaration",
    "sent",
    "calls",
    "card",
    "values",
    "reply",
    "prefix",
    "context",
    "tools",
    # input and output
    "store",
    "iothread",
    "mcp",
    "transport",
    "notices",
    "journal",
    # state
    "books",
    "conversation",
    "archive",
    "exports",
    "request",
    "asking",
    "session",
    "jobs",
    "local",
    "kernel",
    # surfaces
    "others",
    "render",
    "cell",
    "jobview",
    "atprompt",
    "laterplaces",
    "lateragain",
    "laterjob",
    "later",
    "progress",
    "mapping",
    "function",
    "planning",
    "partition",
    "cluster",
    "rowwise",
    "jobwords",
    "history",
    "spending",
    "toolkit",
    "status",
    "completer",
    "panel",
    "cell_input",
    "magics",
    "__init__",
]

# Pure modules touch no network, no thread and no front end; the right-hand names may be imported nowhere else.
ONLY_IN = {
    "httpx": {"transport"},
    "httpx_sse": {"transport"},
    "asyncio": {"iothread", "transport", "journal", "kernel", "tools", "jobs"},
    "nest_asyncio2": {"tools"},
    "mcp": {"mcp"},
    "httpx2": {"mcp"},
    "IPython": {
        *("others", "render", "cell", "jobview", "laterplaces", "later", "jobwords", "progress", "completer", "panel"),
        *("cell_input", "magics", "session", "__init__"),
    },
    "anywidget": {"panel"},
    "markdown_it": {"dialect", "highlight", "mathematics", "markdown"},
    "nh3": {"markdown", "dialect"},
}


def imported(path: Path) -> set[str]:
    """All modules that a file imports at run time, wherever the import stands, by full name."""
    tree = ast.parse(path.read_text("utf-8"))
    found: set[str] = set()
    typing_only = {id(node) for block in ast.walk(tree) if _is_typing_block(block) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner if node.module.split(".")[0] == "kimi_magic" else {node.module}
    return found


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def layer(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_its_place_in_the_table() -> None:
    assert {layer(path) for path in files()} == set(LAYERS)


def test_imports_run_upward_only() -> None:
    wrong = []
    for path in files():
        own = layer(path)
        for name in imported(path):
            parts = name.split(".")
            if parts[0] != "kimi_magic" or len(parts) < 2 or parts[1] not in LAYERS or parts[1] == own:
                continue
            if LAYERS.index(parts[1]) >= LAYERS.index(own):
                wrong.append(f"{own} imports {parts[1]}")
    assert wrong == []


def test_the_local_server_imports_nothing_of_ours() -> None:
    ours = {
        name
        for path in files()
        if layer(path) == "local"
        for name in imported(path)
        if name.startswith("kimi_magic") and not name.startswith("kimi_magic.local")
    }
    assert ours == set()


def test_only_the_kernel_knows_the_local_server() -> None:
    knows = {layer(path) for path in files() for name in imported(path) if name.startswith("kimi_magic.local")}
    assert knows - {"local"} == {"kernel"}


def test_foreign_packages_stay_where_they_belong() -> None:
    wrong = [
        f"{layer(path)} imports {name}"
        for path in files()
        if layer(path) != "local"
        for name in imported(path)
        if name.split(".")[0] in ONLY_IN and layer(path) not in ONLY_IN[name.split(".")[0]]
    ]
    assert wrong == []


def test_one_module_drives_event_loops_from_inside() -> None:
    knows = {
        path.stem
        for path in files()
        if layer(path) == "tools"
        for name in imported(path)
        if name.split(".")[0] in ("asyncio", "nest_asyncio2")
    }
    assert knows == {"loops"}


def test_public_names_are_pinned() -> None:
    assert sorted(kimi_magic.__all__) == [
        "Interrupted",
        "InvalidReply",
        "Job",
        "KimiError",
        "Reply",
        "ask",
        "chat",
        "describe",
        "fn",
        "job",
        "load_ipython_extension",
        "map",
        "private",
        "tool",
        "unload_ipython_extension",
    ]
    assert all(getattr(kimi_magic, name) for name in kimi_magic.__all__)
