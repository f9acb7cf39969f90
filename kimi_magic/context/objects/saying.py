"""What the user's own code says of an object, taken with care: a repr may raise, loop, or be of any length."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kimi_magic.context.description import Look

__all__ = [
    "canonical",
    "counted",
    "first_line",
    "legible",
    "private_name",
    "public_vars",
    "said",
    "static",
    "type_name",
    "unaddressed",
]

_LONGEST = 1_000_000
"""Characters of a repr that are read at all."""
# Where an object lies in memory, what a thread is called by the system, and how a mock names itself.
_ADDRESS = re.compile(
    r"(?: at |@| )?\b0x[0-9A-Fa-f]{6,16}\b(?=[^0-9A-Za-z]|$)| id='\d{6,}'| started (?:daemon )?\d{6,}"
)
_NAME = type.__dict__["__name__"]


def type_name(obj: object) -> str:
    """Name its type, whatever its metaclass says."""
    return str(_NAME.__get__(type(obj)))


def said(obj: object, how: Callable[[Any], str] = repr) -> str:
    """Give its repr (or str), without addresses, or why there is none."""
    try:
        text = str.__str__(how(obj))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # the user's own code; Rust panics derive from BaseException
        return f"<{type_name(obj)}, whose {how.__name__} failed: {type_name(error)}>"
    if len(text) > _LONGEST:
        return f"<{type_name(obj)}, whose {how.__name__} has {len(text):,} characters>"
    return unaddressed(text)


def canonical(obj: object) -> str:
    """Give its repr; sets in it are sorted, for their own order differs between processes."""
    kind = type(obj)
    if kind is str:
        return repr(obj)
    if kind is frozenset or kind is set:
        return f"{type_name(obj)}({{{', '.join(sorted(map(canonical, obj)))}}})"  # type: ignore[call-overload]  # a set
    if kind is tuple:
        members = [canonical(member) for member in obj]  # type: ignore[attr-defined]  # a tuple
        return f"({members[0]},)" if len(members) == 1 else f"({', '.join(members)})"
    return said(obj)


def unaddressed(text: str) -> str:
    """Take memory addresses out, so that it is the same in each process."""
    return _ADDRESS.sub("", text)


def legible(text: str) -> str:
    """Make visible what a terminal would obey or no encoder takes; lines, tabs and joiners of scripts stay."""
    if text.isprintable():
        return text
    return "".join(
        ascii(char)[1:-1] if _obeyed(ord(char)) else char for char in text.replace("\r\n", "\n").replace("\r", "\n")
    )


def _obeyed(code: int) -> bool:
    """Whether it is a control character, a turn of the writing direction, or half of a surrogate pair."""
    return (
        (code < 0x20 and code not in (0x09, 0x0A))  # noqa: PLR2004  # tab and line feed
        or 0x7F <= code <= 0x9F  # noqa: PLR2004
        or 0x202A <= code <= 0x202E  # noqa: PLR2004
        or 0x2066 <= code <= 0x2069  # noqa: PLR2004
        or 0xD800 <= code <= 0xDFFF  # noqa: PLR2004
    )


def counted(number: int, one: str, many: str = "") -> str:
    """Write "1 item", "2,000 items"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def first_line(text: object) -> str:
    """Give the first line of a docstring, empty for none."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "") if isinstance(text, str) else ""


def static(obj: object, name: str) -> Any:
    """Look a name up on its class and that class's bases, asking no instance, no metaclass and no descriptor."""
    return next((vars(cls)[name] for cls in type(obj).__mro__ if name in vars(cls)), None)


def public_vars(obj: object) -> dict[str, object]:
    """Give its public attributes that lie in the instance, in their order, slots included."""
    try:
        found = dict(object.__getattribute__(obj, "__dict__"))
    except (AttributeError, TypeError):
        found = {}
    for cls in reversed(type(obj).__mro__):
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            member = vars(cls).get(name)
            if type(member).__name__ == "member_descriptor":
                try:
                    found[name] = member.__get__(obj, type(obj))  # type: ignore[union-attr]  # of a slot
                except AttributeError:
                    continue
    return {name: value for name, value in found.items() if isinstance(name, str) and not name.startswith("_")}


def private_name(name: str, look: Look) -> bool:
    """Whether a column's name, or what was made of it (ssn_1, C(ssn)[T.2], log(ssn)), is private."""
    words = re.findall(r"\w+", name)
    begun = (word[: cut.start()] for word in words for cut in re.finditer("_", word))
    return any(look.hides(part) for part in (name, *words, *begun))
