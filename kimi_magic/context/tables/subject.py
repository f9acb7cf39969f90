"""One table under one look: which columns are meant, which of them are private, and the values of the rows picked."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.tables import dataframes
from kimi_magic.context.tables.cells import Unreadable, name
from kimi_magic.context.tables.columns import attempt
from kimi_magic.context.tables.withholding import hidden, veiled, without_private_rows
from kimi_magic.errors import CommandError

__all__ = ["WITHHELD", "Subject", "found", "no_such"]

WITHHELD = "private: withheld"
_NAMED = 8


def found(obj: object, look: Look) -> Subject | None:
    """Read an object as a table, a column or an index; None for anything else."""

    def read() -> tuple[dataframes.Dataframe | None, list[str]]:
        left, gone = without_private_rows(obj, look)
        return dataframes.find(left), gone

    frame, gone = attempt(read) or (None, [])
    return None if frame is None else Subject(frame, look, type(obj).__name__, gone)


class Subject:
    """A table and how it is looked at.

    `frame` is what was given, `opened` what can be read of it: the same, or the first rows of a lazy one. `gone` are
    the labels of private rows, already taken out. `picks` are the positions of the rows that `values` gives.
    """

    def __init__(self, frame: dataframes.Dataframe, look: Look, type_name: str, gone: list[str]) -> None:
        self.frame = self.opened = frame
        self.look = look
        self.type_name = type_name
        self.gone = gone
        self.labels = veiled(frame, look)
        self.picks: Sequence[int] = ()
        self._private = {n: True for n, label in enumerate(frame.labels) if look.hides(label)}
        self._values: dict[int, list[Any]] = {}
        self._levels: list[tuple[str, dataframes.Level, bool]] | None = None

    @property
    def lazy(self) -> bool:
        """Whether its rows were not counted."""
        return self.frame.first is not None

    @property
    def rows(self) -> int:
        """How many rows can be read."""
        return self.opened.rows or 0

    def open(self, rows: int) -> None:
        """Read the first rows of a lazy table; where none are wanted, or that fails, it has none."""
        if (first := self.frame.first) is not None:
            none = dataframes.Dataframe("table", "", 0, (), (), lambda _: [])
            self.opened = (attempt(lambda: first(rows)) if rows else None) or none

    def chosen(self) -> list[int]:
        """Give the columns that were asked for, in that order, or all; raise CommandError for one that there is not."""
        if not self.look.columns or self.frame.kind != "table":
            return list(range(len(self.labels)))
        positions = [n for wanted in self.look.columns for n in self._named(wanted)]
        return list(dict.fromkeys(positions))

    def name(self, column: int, longest: int = 60) -> str:
        """Write the name of a column; a column on its own may have none."""
        label = self.labels[column]
        if self.frame.kind != "table" and label in (None, ""):
            return "values"
        return name(label, self.look, longest)

    def dtype(self, column: int, longest: int = 60) -> str:
        """Write the dtype of a column; of a private one without what stands in brackets, which may be values."""
        text = self.frame.dtypes[column]
        if self._private.get(column):
            text = text[: min((at for mark in "([<{" if (at := text.find(mark)) > 0), default=len(text))]
        return self.look.word(text, longest)

    def is_private(self, column: int) -> bool:
        """Whether its values stay here: by its name, or because they are those of a private column."""
        if column not in self._private:
            values = self.values(column) if self.picks and column < len(self.opened.labels) else []
            self._private[column] = hidden(self.frame.labels[column], values, self.look)
        return self._private[column]

    def private(self) -> list[int]:
        """Give the columns that are known to be private."""
        return sorted(n for n, private in self._private.items() if private)

    def withheld(self) -> tuple[str, ...]:
        """Name all that is private: columns asked for, levels of the index, rows, levels of the labels."""
        chosen = set(self.chosen())
        columns = [self.name(n) for n in self.private() if n in chosen]
        levels = [label for label, _, private in self.levels() if private]
        made_of = [
            self.look.word(level) for level in self.frame.label_levels if level is not None and self.look.hides(level)
        ]
        return tuple(dict.fromkeys([*columns, *levels, *map(self.look.word, self.gone), *made_of]))

    def values(self, column: int) -> list[Any]:
        """Give a column's values in the rows picked."""
        if column not in self._values:
            self._values[column] = self.read(column, self.picks)
        return self._values[column]

    def read(self, column: int, positions: Sequence[int]) -> list[Any]:
        """Read values of a column; those that cannot be read are marked so."""
        values = attempt(lambda: dataframes.values(self.opened.column(column), positions))
        return [Unreadable()] * len(positions) if values is None else values

    def levels(self) -> list[tuple[str, dataframes.Level, bool]]:
        """Give the levels of its index with their names, and whether they are private."""
        if self._levels is None:
            self._levels = [
                (self._level_name(level.label, n), level, hidden(level.label, _taken(level, self.picks), self.look))
                for n, level in enumerate(attempt(lambda: dataframes.levels(self.opened.index)) or [])
            ]
        return self._levels

    def row_labels(self, positions: Sequence[int]) -> list[tuple[str, list[Any]]]:
        """Give name and values of each level of the index that is not private."""
        return [(label, _taken(level, positions)) for label, level, private in self.levels() if not private]

    def _level_name(self, label: object, n: int) -> str:
        if label is None:
            return "index" if n == 0 and getattr(self.opened.index, "nlevels", 1) == 1 else f"level {n}"
        return name(label, self.look)

    def _named(self, wanted: str) -> list[int]:
        """Find the columns of this name; of a tuple of labels each part counts."""
        named = [
            n
            for n, label in enumerate(self.labels)
            if wanted == str(label) or (isinstance(label, tuple) and wanted in map(str, label))
        ]
        if not named:
            raise no_such(wanted, self.labels, self.type_name, self.look)
        return named


def no_such(wanted: str, labels: Sequence[object], type_name: str, look: Look) -> CommandError:
    """Say that there is no column of this name, and which are near."""
    known = list(dict.fromkeys(str(label) for label in labels))
    near = get_close_matches(wanted, known, 3, 0.6) or known[:_NAMED]
    hint = f"There is {', '.join(look.word(label, 40) for label in near)}." if near else "It has no columns."
    return CommandError(f"This {type_name} has no column {look.word(wanted)!r}.", hint=hint)


def _taken(level: dataframes.Level, positions: Sequence[int]) -> list[Any]:
    values = attempt(lambda: level.take(positions))
    return [Unreadable()] * len(positions) if values is None else values
