"""One question for each row: the instruction first, the same for all rows, then the row's own values.

`Classify: {{ review }}` becomes "Classify: {review}" for all, and "review: …" for each. So all rows begin alike, and
the service finds that beginning in its cache. A value is data: braces in it mean nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from kimi_magic.context.description import Look
from kimi_magic.context.guard import Guard, values
from kimi_magic.context.tables.cells import is_missing, written
from kimi_magic.errors import CommandError
from kimi_magic.jobs.rows import VALUE

__all__ = ["Question"]

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_QUOTED = re.compile(r"""(["'])(.*)\1""", re.DOTALL)
_LONGEST_NAME = 80
_HIDDEN = "(private)"


class Question:
    """What each row is asked: `shared` followed by `of(row)`; `text` is what was written, without secrets.

    `columns` are the labels of the columns that it uses, in the order of the text. Raises CommandError for a text that
    names no column, one that does not exist, or one that is private.
    """

    def __init__(self, text: str, columns: Sequence[Hashable], guard: Guard) -> None:
        self._guard = guard
        self._look = Look(guard)
        if not isinstance(text, str):
            raise CommandError(f"The question is text, not {type(text).__name__}.", hint=_example(columns))
        used: dict[Hashable, None] = {}

        def named(braces: re.Match[str]) -> str:
            label = _label(braces[1].strip(), columns)
            used[label] = None
            return f"{{{self._name(label)}}}"

        shared = _BRACES.sub(named, text.strip())
        if not used:
            raise CommandError(
                "The question names no column, so all rows would be asked the same.", hint=_example(columns)
            )
        private = next((label for label in used if guard.hides(label)), None)
        if private is not None:
            raise _private(private)
        self.columns = tuple(used)
        self.text = guard.clean(_whole(text.strip()))
        self.shared = guard.clean(_whole(shared)) + "\n\n"
        self._heads = [(label, f"{self._name(label)}:") for label in used]

    def __repr__(self) -> str:
        return f"Question({self.shared.rstrip()!r})"

    def of(self, row: Mapping[Hashable, Any]) -> str:
        """Give the row's own text, secrets and private values replaced; empty where it has no value at all.

        A missing value (None, NaN, NaT, NA) is written as nothing.
        """
        texts = [self._text(row.get(label)) for label in self.columns]
        if not any(text is not None for text in texts):
            return ""
        if len(texts) == 1:
            head = self._heads[0][1]
            return self._guard.clean(_whole(f"{head} {texts[0]}" if texts[0] else head))
        lines = [_line(head, text or "") for (_, head), text in zip(self._heads, texts, strict=True)]
        return self._guard.clean(_whole("\n".join(lines)))

    def texts(self, piece: Sequence[Mapping[Hashable, Any]]) -> list[str]:
        """Give the own text of each of many rows.

        Raises CommandError where a column holds the values of a private one, whatever it is called now.
        """
        if self._guard.names:
            for label in self.columns:
                if private := self._guard.holds([row.get(label) for row in piece]):
                    raise CommandError(
                        f"The column {self._name(label)!r} holds values of {private!r}, which is private.",
                        hint=f"Ask without it; `%kimi private` lists what is private, and can release {private}.",
                    )
        return [self.of(row) for row in piece]

    def _name(self, label: Hashable) -> str:
        return self._look.word(label, _LONGEST_NAME)

    def _text(self, value: Any) -> str | None:
        """Write a value whole; None for one that is missing."""
        kind = type(value)
        if kind is str:
            return value  # type: ignore[no-any-return]
        if kind is float or is_missing(value):
            return None if is_missing(value) else repr(value)
        if isinstance(value, float):  # numpy's own
            return repr(float(value))
        if kind.__module__ == "numpy" and hasattr(value, "dtype"):
            value = _of_numpy(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._nested(value)
        return written(value, self._look, sys.maxsize)

    def _nested(self, value: Any) -> str:
        try:
            return json.dumps(self._public(value), ensure_ascii=False)
        except (ValueError, RecursionError):  # it holds itself
            return written(value, self._look, sys.maxsize)

    def _public(self, value: Any) -> Any:
        """Give nested data as JSON has it, without what is private by its name."""
        match value:
            case Mapping():
                return {
                    self._text(key) or "": _HIDDEN if self._guard.hides(key) else self._public(inner)
                    for key, inner in value.items()
                }
            case list() | tuple():
                return [self._public(inner) for inner in value]
            case set() | frozenset():
                return sorted(self._text(inner) or "" for inner in value)
            case bool() | int():
                return value
        text = self._text(value)
        return value if isinstance(value, float) and text is not None else text


def _of_numpy(value: Any) -> Any:
    """Give an array as a list, and a number of numpy's as text, as short as it is; a time is written as it is."""
    times, single = value.dtype.kind in "mM", not value.ndim
    if single:
        return str(value) if value.dtype.kind in "fc" else value if times else value.item()
    return (value.astype(str) if times else value).tolist()


def _label(name: str, columns: Sequence[Hashable]) -> Hashable:
    """Find the column of a name: as it is written, without quotes around it, `value` also for the only one."""
    quoted = _QUOTED.fullmatch(name)
    for wanted in (name, *([quoted[2]] if quoted else [])):
        found = [label for label in columns if label == wanted] or [
            label for label in columns if str(label).strip() == wanted
        ]
        if len(found) > 1:
            raise CommandError(f"Two columns are named {wanted!r}.", hint="Give each column a name of its own.")
        if found:
            return found[0]
    if name == VALUE and len(columns) == 1:
        return columns[0]
    if not name:
        raise CommandError("{{ }} names no column.", hint=_example(columns))
    raise values.unknown(name, [str(label) for label in columns])


def _example(columns: Sequence[Hashable]) -> str:
    return f"Name one in braces: {{{{ {columns[0]} }}}}" if columns else "The data has no columns."


def _private(label: Hashable) -> CommandError:
    return CommandError(
        f"The column {str(label)!r} is private: its values stay in the kernel.",
        hint="Ask without it; `%kimi private` lists what is private.",
    )


def _line(head: str, text: str) -> str:
    """Write one value of several; what has lines of its own stands indented below, so that none looks like a column."""
    if "\n" in text or "\r" in text:
        return f"{head}\n" + "\n".join(f"  {line}" for line in text.splitlines())
    return f"{head} {text}" if text else head


def _whole(text: str) -> str:
    """Replace half of a surrogate pair, which has no UTF-8: one row must not stop all the others."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
