"""What a describer is given, and what it gives: how closely to look, and what is to be sent of one object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from kimi_magic import present
from kimi_magic.context.guard import Guard
from kimi_magic.messages import Detail, Image, Part, Text

__all__ = ["ROOM", "Description", "Look", "shortened"]

ROOM = 12_000
"""Characters that the description of one object may take where nothing else is asked for: about 4,000 tokens."""


_MARGIN = 20_000
_LEFT_OUT = "characters left out"


@dataclass(frozen=True, slots=True)
class Look:
    """How closely an object is looked at.

    `rows` and `columns` are what the user asked for (None and empty: the describer chooses), `full` asks for all the
    data, `detail` is that of images, `room` is the most characters of text, `picture_room` the most bytes of one
    picture; without `pictures` their text alone is wanted. `depth` counts how deep inside of another object this one
    lies. Everything of the user's that a describer writes goes through `word` or `text` before it is cut, because half
    a secret is still a secret.
    """

    guard: Guard
    rows: int | None = None
    columns: tuple[str, ...] = ()
    full: bool = False
    detail: Detail = "auto"
    room: int = ROOM
    picture_room: int = 150_000
    pictures: bool = True
    depth: int = 0

    def hides(self, column: object) -> bool:
        """Whether this column is private: its values stay in the kernel."""
        return self.guard.hides(column)

    def word(self, value: object, longest: int = 80) -> str:
        """Write a value or a name in one line: guarded, control characters made visible, cut in the middle."""
        return shortened(_one_line(self.guard.clean(str(value))), longest)

    def text(self, text: str, longest: int | None = None) -> str:
        """Write a text of several lines: guarded, then cut in the middle with a visible notice."""
        longest = self.room if longest is None else longest
        if len(text) <= longest + 2 * _MARGIN:
            return shortened(self.guard.clean(text), longest, what=_LEFT_OUT)
        # Of a huge text only both ends are shown; what is guarded beyond them is longer than any secret.
        ends = [self.guard.clean(end) for end in (text[: longest + _MARGIN], text[-longest - _MARGIN :])]
        head, tail = _ends(longest, _LEFT_OUT)
        left = len(text) - head - tail
        return f"{ends[0][:head]}\n[… {left:,} {_LEFT_OUT} …]\n{ends[1][len(ends[1]) - tail :]}"

    def deeper(self, room: int) -> Look:
        """Look at something inside of this object."""
        return replace(self, room=room, rows=None, columns=(), full=False, depth=self.depth + 1)


@dataclass(frozen=True, slots=True)
class Description:
    """What is sent of one object, and what a person wants to know of that.

    `kind` is a word for the user (table, figure, image, function), `shape` its size in words ("150 rows × 5 columns",
    "800 × 600 px"). `columns` and `rows` say whose values are in it, `withheld` which private columns were left out,
    `omitted` what was left out for lack of room, in words; the text says both as well.
    """

    kind: str
    parts: tuple[Part, ...]
    shape: str = ""
    columns: tuple[str, ...] = ()
    rows: int = 0
    withheld: tuple[str, ...] = ()
    omitted: str = ""

    def __str__(self) -> str:
        return present.plain(self.parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002  # IPython's signature
        return {"text/html": present.page("".join(map(present.part, self.parts))), "text/plain": str(self)}

    @classmethod
    def of(cls, kind: str, text: str, **facts: Any) -> Description:
        """Make one of text alone."""
        return cls(kind, (Text(text),), **facts)

    @property
    def text(self) -> str:
        """Its text."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        """Its pictures."""
        return tuple(part for part in self.parts if isinstance(part, Image))


def shortened(text: str, longest: int, what: str = "") -> str:
    """Cut the middle out of a text that is too long; `what` names what is left out, in a line of its own."""
    if len(text) <= longest:
        return text
    if not what:
        return text[: (longest + 1) // 2 - 1] + "…" + text[len(text) - longest // 2 :] if longest > 1 else "…"
    head, tail = _ends(longest, what)
    return f"{text[:head]}\n[… {len(text) - head - tail:,} {what} …]\n{text[len(text) - tail :]}"


def _ends(longest: int, what: str) -> tuple[int, int]:
    """Say how many characters of the beginning and of the end are kept, two to one."""
    room = max(0, longest - len(what) - 20)
    return room - room // 3, room // 3


def _one_line(text: str) -> str:
    """Keep a text on one line and make what cannot be seen visible."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _ESCAPES.get(char) or ascii(char)[1:-1] for char in text)


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\u00a0": " ", "\u3000": " "}
