"""Which describer an object has: its own, one that was registered, or that of its kind.

Kinds are recognised by the modules that a class and its bases come from, so that no library is imported for it. A
module of a kind has `describe(obj, look)`, which gives None for what is not of its kind after all, and
`brief(obj, look)`, one line for where the object is only mentioned.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any

from kimi_magic.context import protocols
from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects.saying import static, type_name
from kimi_magic.errors import KimiError

__all__ = ["brief", "describe", "is_a", "may_take_long", "roots"]

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
            "narwhals",
        },
    ),
    ("figures", {"matplotlib", "seaborn", "plotly", "altair"}),
    ("images", {"PIL", "IPython", "pathlib", "builtins", "numpy"}),
    ("arrays", {"numpy", "xarray", "torch", "scipy", "jax", "jaxlib", "tensorflow", "dask"}),
)


def roots(obj: object) -> set[str]:
    """Give the top-level names of the modules that its class and that class's bases come from."""
    return {str(cls.__module__).partition(".")[0] for cls in type(obj).__mro__ if cls is not object}


def is_data(obj: object) -> bool:
    """Whether it is a table, an array, a figure or an image of some library: something that is not made in a second."""
    found = roots(obj) - {"builtins", "pathlib", "IPython"}
    return any(found & modules for _, modules in _KINDS)


_SLOW = {"plotly", "altair", "dask", "dask_expr", "duckdb", "_duckdb", "modin", "ibis", "pyspark"}


def may_take_long(obj: object) -> bool:
    """Whether describing it may take seconds: it has to be drawn by a browser, or read from somewhere."""
    return bool(roots(obj) & _SLOW)


def is_a(obj: object, root: str, name: str) -> bool:
    """Whether its class, or a base of that, has this name in this library, which is not imported for it."""
    return any(cls.__name__ == name and str(cls.__module__).partition(".")[0] == root for cls in type(obj).__mro__)


def _candidates(obj: object) -> list[ModuleType]:
    found = roots(obj)
    names = [name for name, modules in _KINDS if found & modules]
    return [import_module(f"kimi_magic.context.{name}") for name in [*names, "objects"]]


def describe(obj: object, look: Look) -> Description:
    """Describe an object as it wants to be described, else as its kind is; any object has a description.

    Raises CommandError alone: for columns that are not there, or a package whose describer cannot be loaded.
    """
    own = protocols.own(obj, look, pictures=look.pictures)
    return own.described(obj, look, _by_kind) if own.value is not None or own.notes else _by_kind(obj, look)


def _by_kind(obj: object, look: Look) -> Description:
    for module in _candidates(obj):
        if module.__name__.endswith(".objects") and (found := _drawn(obj, look) or _shown(obj, look)) is not None:
            return found
        try:
            description: Any = module.describe(obj, look)
        except (KeyboardInterrupt, KimiError):
            raise
        except BaseException:  # noqa: BLE001  # foreign libraries: any object at all has a description
            description = None
        description = description or _unread(module, obj, look)
        if description is not None:
            return description  # type: ignore[no-any-return]  # each module gives Description | None
    raise AssertionError  # objects describes everything


_TABULAR = {
    *("DataFrame", "LazyFrame", "Series", "Index", "Table", "RecordBatch", "ChunkedArray", "DuckDBPyRelation"),
    *("Dataset", "DataArray"),
}


def _unread(module: ModuleType, obj: object, look: Look) -> Description | None:
    """Describe a table that its own kind could not read: never by its repr, which would show private columns too."""
    names = {type_name(obj)} | {cls.__name__ for cls in type(obj).__mro__}
    if not module.__name__.endswith((".tables", ".arrays")) or not names & _TABULAR:
        return None
    kind = look.word(type_name(obj))
    return Description.of(kind, f"<{kind}, which cannot be read>")


_DRAWN = ("_repr_png_", "_repr_jpeg_", "_repr_mimebundle_")


def _drawn(obj: object, look: Look) -> Description | None:
    """Describe by its picture an object that says nothing else of itself."""
    if static(obj, "__repr__") is not object.__repr__ or not any(protocols.hook(obj, name) for name in _DRAWN):
        return None
    try:
        picture = import_module("kimi_magic.context.images").pictured(obj)
    except (KeyboardInterrupt, KimiError):
        raise
    except BaseException:  # noqa: BLE001  # the object's own drawing
        return None
    return replace(_by_kind(picture, look), kind=look.word(type_name(obj))) if picture else None


def _shown(obj: object, look: Look) -> Description | None:
    try:
        return protocols.shown(obj, look)
    except (KeyboardInterrupt, KimiError):
        raise
    except BaseException:  # noqa: BLE001  # the object's own attributes
        return None


def brief(obj: object, look: Look) -> str:
    """Say in one line what an object is: its type, its shape or length, and a short value."""
    with suppress(KimiError):  # a package's describer that cannot be loaded; told where the object itself is asked for
        own = protocols.own(obj, look, pictures=False)
        if own.value is not None:
            return own.line(obj, look, _brief_by_kind)
    return _brief_by_kind(obj, look)


def _brief_by_kind(obj: object, look: Look) -> str:
    for module in _candidates(obj):
        try:
            line: Any = module.brief(obj, look)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001
            line = None
        if line is not None:
            return str(line)
        if (unread := _unread(module, obj, look)) is not None:
            return unread.text
    raise AssertionError
