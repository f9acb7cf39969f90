"""What must not leave the kernel: private columns and secrets.

One Guard serves a kernel's session. A private column is private by its name, in every table, so that copies, slices,
conversions and merges are covered; and its values are recognised in any text and in any plot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate

from kimi_magic.context.guard import secrets, spans, values
from kimi_magic.context.guard.credentials import Credentials
from kimi_magic.context.guard.private import MOST_VALUES, Column, Columns, label
from kimi_magic.context.guard.spans import MASK, Span
from kimi_magic.errors import CommandError

__all__ = ["Guard"]

# What joining makes of a column's name: ssn_x, ssn_y (pandas), ssn_right (polars), ssn_1, ssn:1 (duckdb), ssn.1.
_JOINED = re.compile(r"(?:_(?:x|y|l|r|left|right|old|new|\d{1,3})|[:.]\d{1,3})$")
_MOST_TABLES = 10_000
_PLACEHOLDER = re.compile(r"\[((?:redacted|private): [^\[\]\n]{1,100})\]")


class Guard:
    """Keeps private columns and secrets out of what is sent."""

    def __init__(self) -> None:
        self._columns = Columns()
        self._credentials = Credentials()
        self._learnt: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"Guard(private={list(self.names)})"

    # Private columns

    def hide(self, table: object = None, columns: Iterable[object] | str = ()) -> tuple[str, ...]:
        """Make columns private, and guard their values in `table`; None for names alone, a series for its own name.

        Give the names. A column that the table does not have raises CommandError, and nothing is hidden.
        """
        names = self._asked(table, [columns] if isinstance(columns, str) else [str(column) for column in columns])
        read = [(name, self._read(table, name)) for name in names]
        for name, found in read:
            self._columns.setdefault(self._columns.known(name) or name, Column()).add(found, self._columns.room())
            self._columns.settle()
        return names

    def learn(self, table: object) -> None:
        """Guard also the values that `table` has now in columns that are private by their name.

        Never raises. What would have to be computed first (a lazy table) is left alone, and so is a table that looks
        as it did the last time: by its length, and by about 64 values of each private column, evenly drawn.
        """
        if self._columns:
            with suppress(Exception):  # any library, in any state
                self._learn(table)

    def _learn(self, table: object) -> None:
        names = {} if values.lazy(table) else {name: self._behind(name) for name in values.columns_of(table)}
        private = {name: column for name, column in names.items() if column is not None}
        if not private:
            return
        mark = values.fingerprint(table, list(private))
        if self._learnt.get(id(table)) == mark:
            return
        new = False
        for name, column in private.items():
            with suppress(CommandError):
                new |= self._columns[column].add(self._read(table, name), self._columns.room())
        if new:
            self._columns.settle()
        if len(self._learnt) >= _MOST_TABLES:
            self._learnt.clear()
        self._learnt[id(table)] = mark

    def _asked(self, table: object, names: list[str]) -> tuple[str, ...]:
        known = values.columns_of(table) if table is not None else names
        if len(known) == 1 and hasattr(table, "name") and not names:
            names = [name for name in known if name and name != "None"]
        if not names or not all(names):
            raise CommandError("Which columns shall be private?", hint="Give their names.")
        missing = [name for name in names if name not in known]
        if missing:
            raise values.unknown(missing[0], known)
        return tuple(dict.fromkeys(names))

    def _read(self, table: object, name: str) -> values.Values:
        return values.Values() if table is None else values.distinct(table, name, MOST_VALUES)

    def release(self, columns: Iterable[object] | str) -> tuple[str, ...]:
        """Make private columns public again; one that is not private raises CommandError."""
        names = [columns] if isinstance(columns, str) else [str(column) for column in columns]
        known = [self._columns.known(name) for name in names]
        for name, column in zip(names, known, strict=True):
            if column is None:
                raise values.unknown(name, self.names)
        for column in known:
            self._columns.pop(column or "", None)
        self._columns.settle()
        self._learnt.clear()
        return tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """The private columns, sorted."""
        return tuple(sorted(self._columns))

    def summary(self, name: str) -> str:
        """Say how a private column is guarded: how many of its distinct values are recognised wherever they stand."""
        column = self._columns[name]
        more = "; values beyond these by name alone" if column.partial else ""
        if not column.found:
            return f"by name{more}"
        return f"by name, and {column.guarded:,} of {column.found:,} distinct values wherever they stand{more}"

    def hides(self, column: object) -> bool:
        """Whether a column of this name is private. A tuple (of a MultiIndex) is, where any of its levels is.

        So is what a join makes of the name of a private column: `ssn_x`, `ssn_right`, `ssn_1`. Upper and lower case
        and the white space around a name make no difference.
        """
        return bool(self._columns) and self._behind(column) is not None

    def _behind(self, column: object) -> str | None:
        """Give the private column that one of this name is, or was made of."""
        if isinstance(column, tuple):
            known = (self._columns.known(str(column)), *map(self._behind, column))
            return next((name for name in known if name is not None), None)
        name = str(column).strip().casefold()
        while (known_as := self._columns.known(name)) is None:
            shorter = _JOINED.sub("", name)
            if shorter == name:
                return None
            name = shorter
        return known_as

    def holds(self, values_shown: Iterable[object]) -> str:
        """Name the private column that these values come from, whatever they are called now; empty for none.

        They come from it where at least 90 % of at least three distinct ones are in it. Whole numbers prove nothing
        where all of a column's are below 10,000, or fill a tenth of their range: any others would be among them.
        """
        if not self._columns:
            return ""
        sample = values.sample(values_shown)
        return next((name for name in self.names if self._columns[name].holds(sample)), "")

    # Texts

    def know(self, secret: str, name: str) -> None:
        """Keep this credential too out of all texts; `name` is what stands in its place."""
        self._credentials.know(secret, name)

    def clean(self, text: str) -> str:
        """Replace each secret and each distinctive value of a private column by a visible placeholder."""
        found = self._spans(text)
        return spans.replaced(text, found) if found else text

    def found_in(self, text: str) -> tuple[str, ...]:
        """Name the private columns, sorted, of which a value stands in this text. Secrets are not looked for."""
        return tuple(sorted(self._columns.found_in(self._without_placeholders(text)))) if self._columns else ()

    def clean_counted(self, text: str) -> tuple[str, Counter[str]]:
        """Clean a text, and count what was replaced: "API key", "value of ENV_NAME", "private: ssn"."""
        found = self._spans(text)
        return spans.replaced(text, found), _counted(found)

    def clean_pieces(self, pieces: list[str]) -> tuple[list[str], Counter[str]]:
        """Clean the pieces of one text; what spans a border is replaced in the piece where it begins."""
        whole = "".join(pieces)
        starts = accumulate(map(len, pieces), initial=0)
        alone = [
            Span(span.start + start, span.end + start, span.label)
            for piece, start in zip(pieces, starts, strict=False)
            for span in self._spans(piece)
        ]
        found = self._spans(whole, alone)
        return (spans.split(pieces, found) if found else list(pieces)), _counted(found)

    def _spans(self, text: str, more: list[Span] | None = None) -> list[Span]:
        if "[redacted: " in text or "[private: " in text:
            text = self._without_placeholders(text)
        first = self._find(text) + (more or [])
        return spans.settle(text, first, self._find) if first else []

    def _find(self, text: str) -> list[Span]:
        found = self._credentials.find(text) + secrets.find(text)
        return found + self._columns.find(text) if self._columns else found

    def _without_placeholders(self, text: str) -> str:
        """Mask the placeholders that this guard may have written: in one that is made up, a secret could hide."""
        own = secrets.LABELS | self._credentials.labels | {f"private: {label(name)}" for name in self._columns}

        def mask(match: re.Match[str]) -> str:
            return MASK * len(match[0]) if match[1] in own else match[0]

        return _PLACEHOLDER.sub(mask, text)


def _counted(found: list[Span]) -> Counter[str]:
    return Counter(span.label.removeprefix("redacted: ") for span in found)
