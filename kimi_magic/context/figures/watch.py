"""What must not be seen in a chart: private columns by their names or their values, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kimi_magic.context.description import Look

__all__ = ["Watch"]

_PRIVATE = "private: "


@dataclass(slots=True)
class Watch:
    """What must not be seen in one chart: `names` of private columns, `secrets`, and what could not be checked.

    Every text of a chart is in its picture, where nothing can be replaced by a placeholder.
    """

    look: Look
    names: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    unsure: bool = False

    def label(self, text: object) -> bool:
        """Whether a label has the name of a private column among its words, or anything in it that is private."""
        words = str(text)
        found = {str(name) for name in (text, *_phrases(words)) if self.look.guard.hides(name)}
        self.names |= found
        return self._holds(words) or bool(found)

    def labels(self, texts: Iterable[object]) -> bool:
        """Whether one of these labels is private; each is looked at."""
        found = [self.label(text) for text in texts]
        return any(found)

    def values(self, values: Any) -> bool:
        """Whether these values come from a private column, or anything private stands in them."""
        name = self.look.guard.holds(values)
        self.names |= {name} - {""}
        strings = () if hasattr(values, "dtype") else dict.fromkeys(each for each in values if isinstance(each, str))
        return self._holds("\n".join(strings)) or bool(name)

    def _holds(self, text: str) -> bool:
        _, found = self.look.guard.clean_counted(text)
        self.names |= {what.removeprefix(_PRIVATE) for what in found if what.startswith(_PRIVATE)}
        self.secrets |= {what for what in found if not what.startswith(_PRIVATE)}
        return bool(found)

    @property
    def reason(self) -> str:
        """Say why there is no picture; empty where there may be one."""
        if self.names:
            names = ", ".join(repr(self.look.word(name)) for name in sorted(self.names))
            return f"picture withheld: it shows the private column{'s' if len(self.names) > 1 else ''} {names}"
        if self.secrets:
            return f"picture withheld: it shows a secret ({', '.join(sorted(self.secrets))})"
        return "picture withheld: not all of it could be checked for private columns" if self.unsure else ""


def _phrases(label: str) -> Iterator[str]:
    """Give each run of one to four words of a label: `mean of home address` names `home address`."""
    words = [word.span() for word in re.finditer(r"\w+", label)][:24]
    for first in range(len(words)):
        for last in range(first, min(first + 4, len(words))):
            yield label[words[first][0] : words[last][1]]
