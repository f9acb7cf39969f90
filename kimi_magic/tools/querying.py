"""SQL over the live dataframes, by duckdb: one SELECT, in a database of its own that reaches no file and no network.

Private columns are taken out of the frames before duckdb sees them, so no alias and no expression leads to them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from numbers import Real
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Look
from kimi_magic.context.objects.saying import said
from kimi_magic.context.tables.sampling import spread
from kimi_magic.context.tables.subject import Subject, found
from kimi_magic.context.tables.withholding import without_private_rows
from kimi_magic.errors import CommandError

__all__ = ["select"]

_CONFIG = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "2GB",
}
_LOOKED_AT = 300
_NUMERIC = ("int", "uint", "float", "double", "bool", "decimal", "date", "time", "duration")
_NAMED = 20
_TICK = 0.1


def select(query: str, namespace: Mapping[str, Any], look: Look) -> Any:
    """Give the rows that a query finds, as a table of the library that its frames come from.

    Raises CommandError where duckdb is not installed, ValueError for anything that is not one SELECT, LookupError for a
    table or a column that is not there, and duckdb's own errors for the rest.
    """
    duckdb = _duckdb()
    connection = duckdb.connect(":memory:", config=_CONFIG)
    try:
        _require_select(duckdb, connection, query)
        frames, notes = _tables(query, namespace, look)
        for name, frame in frames.items():
            connection.register(name, frame)
        connection.execute("SET lock_configuration = true")
        return _interruptible(connection, lambda: _fetched(connection.sql(query), frames.values()))
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        there = [name for name, value in namespace.items() if not name.startswith("_") and _is_frame(value)]
        known = f"Dataframes: {', '.join(sorted(there)[:_NAMED]) or 'none'}."
        raise LookupError("\n".join([str(error), *notes, known])) from None
    finally:
        connection.close()


def _interruptible(connection: Any, work: Callable[[], Any]) -> Any:
    """Work on another thread while this one waits: duckdb looks for no signal, and a limit holds on any thread."""
    with ThreadPoolExecutor(1, "kimi-sql") as pool:
        future = pool.submit(work)
        try:
            while not future.done():
                wait([future], _TICK)
            return future.result()
        finally:
            if not future.done():
                connection.interrupt()


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise CommandError(
            "sql needs the package duckdb, which is not installed.", hint="Run: pip install 'kimi-magic[sql]'"
        ) from None
    return duckdb


def _require_select(duckdb: Any, connection: Any, query: str) -> None:
    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError("sql takes one SELECT and nothing else")


def _tables(query: str, namespace: Mapping[str, Any], look: Look) -> tuple[dict[str, Any], list[str]]:
    """Give the dataframes whose names stand in a query, in any case, and what is to be said where it fails."""
    words = {word.lower() for word in re.findall(r"\w+", query)}
    frames: dict[str, Any] = {}
    notes: list[str] = []
    private: set[str] = set()
    for name, value in list(namespace.items()):
        if name.lower() not in words or name.startswith("_") or look.hides(name) or not kinds.is_data(value):
            continue
        try:
            frames[name] = _public(name, value, look, private)
        except LookupError as reason:
            notes.append(f"{reason}.")
    if private:
        notes.append(f"Private, and so not there: {', '.join(sorted(private))}.")
    return frames, notes


def _is_frame(value: object) -> bool:
    return kinds.is_data(value) and type(value).__name__ in ("DataFrame", "LazyFrame", "Table")


def _public(name: str, frame: Any, look: Look, private: set[str]) -> Any:
    """Give a dataframe without what is private, as one that duckdb reads; add to `private` what that was."""
    look.guard.learn(frame)
    subject = found(frame, look)
    if subject is None or subject.frame.kind != "table":
        raise LookupError(f"{name} is no dataframe")
    if subject.lazy:
        raise LookupError(f"{name} is lazy: its rows are not read unasked")
    if list(subject.labels) != list(subject.frame.labels):
        raise LookupError(f"the columns of {name} are named by private values")
    subject.picks = spread(subject.rows, _LOOKED_AT)
    kept = [n for n in range(len(subject.labels)) if not subject.is_private(n) and not _holds_private(n, subject)]
    private |= {subject.name(n) for n in range(len(subject.labels)) if n not in kept} | set(subject.withheld())
    if not kept:
        raise LookupError(f"{name} has private columns only")
    return _columns(frame, subject, kept, look)


def _holds_private(column: int, subject: Subject) -> bool:
    """Whether private values stand in a column, where an expression could make them unrecognisable.

    Of texts all rows are read. Of numbers only some are: among all of them a few always look like private ones.
    """
    guard = subject.look.guard
    if not guard.names:
        return False
    values = subject.values(column)
    if not subject.frame.dtypes[column].lower().startswith(_NUMERIC):
        values = values + [one for one in subject.read(column, range(subject.rows)) if not isinstance(one, Real)]
    return bool(guard.found_in("\n".join({said(one): None for one in values})))


def _columns(frame: Any, subject: Subject, kept: list[int], look: Look) -> Any:
    if hasattr(frame, "iloc"):
        table = without_private_rows(frame, look)[0].iloc[:, kept]
        public = {label for label, level, private in subject.levels() if not private and level.label is not None}
        levels = [level for level in table.index.names if level is not None and str(level) in public]
        return table.reset_index(level=levels).reset_index(drop=True) if levels else table.reset_index(drop=True)
    import narwhals

    wrapped: Any = narwhals.from_native(frame, eager_only=True)
    return wrapped.select([wrapped.columns[n] for n in kept]).to_native()


def _fetched(result: Any, frames: Iterable[Any]) -> Any:
    """Fetch all rows as a table of a library that is in use."""
    roots = {root for frame in frames for root in kinds.roots(frame)}
    if "polars" in roots and "pyarrow" in sys.modules:
        return result.pl()
    if "pyarrow" in roots and "pandas" not in roots:
        return result.to_arrow_table()
    try:
        return result.df()
    except ImportError:  # no pandas
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
