"""Which describer an object has: its own, one that was registered, or that of its kind.

Kinds are recognised by the modules that a class and its bases come from, so that no library is imported for it. A
module of a kind has `describe(obj, look)`, which gives None for what is not of its kind after all, and
`brief(obj, look)`, one line for where the object is only mentioned.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from kimi_magic.context.description import Description, Look

__all__ = ["brief", "describe", "roots"]

_KINDS = (
    (
        "tables",
        {
            "pandas",
            "polars",
            "pyarrow",
            "duckdb",
            "_duckdb",
            "modin",
            "dask",
            "dask_expr",
            "cudf",
            "ibis",
            "pyspark",
            "sqlframe",
        },
    ),
    ("figures", {"matplotlib", "plotly", "altair"}),
    ("images", {"PIL", "IPython", "pathlib", "builtins", "numpy"}),
    ("arrays", {"numpy", "xarray", "torch", "scipy", "jax", "jaxlib", "tensorflow"}),
)


def roots(obj: object) -> set[str]:
    """Give the top-level names of the modules that its class and that class's bases come from."""
    return {cls.__module__.partition(".")[0] for cls in type(obj).__mro__ if cls is not object}


def _candidates(obj: object) -> list[ModuleType]:
    found = roots(obj)
    names = [name for name, modules in _KINDS if found & modules]
    return [import_module(f"kimi_magic.context.{name}") for name in [*names, "objects"]]


def describe(obj: object, look: Look) -> Description:
    """Describe an object as its kind is described; any object has a description."""
    for module in _candidates(obj):
        description: Any = module.describe(obj, look)
        if description is not None:
            return description  # type: ignore[no-any-return]  # each module gives Description | None
    raise AssertionError  # objects describes everything


def brief(obj: object, look: Look) -> str:
    """Say in one line what an object is: its type, its shape or length, and a short value."""
    for module in _candidates(obj):
        line: Any = module.brief(obj, look)
        if line is not None:
            return str(line)
    raise AssertionError
