"""How a rule finds a secret: at each place of its keyword it reads on, and says which characters are the secret.

Looking for the keyword first is what makes the rules fast: most texts hold none of them. All repetitions are bounded,
so that no text can make a rule slow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import log2
from typing import NamedTuple

from kimi_magic.context.guard.spans import MASK, Span

__all__ = ["COOKIE", "KEY", "PASSWORD", "PEM", "START", "WEB_TOKEN", "Rule", "looks_random", "placeholder", "reading"]

KEY, PASSWORD, PEM, WEB_TOKEN, COOKIE = (
    f"redacted: {kind}" for kind in ("API key", "password", "private key", "token (JWT)", "cookie")
)

# No letter or digit stands before it, unless it belongs to an escape: \n in a repr, %3D in a URL, a colour.
START = r"(?:(?<![A-Za-z0-9])|(?<=\\[abfnrtv0])|(?<=%[0-9A-Fa-f]{2})|(?<=[0-9]m))"

Read = Callable[[str, int], Span | None]


class Rule(NamedTuple):
    """`read` is asked at each place where the text holds `keyword`."""

    keyword: str
    read: Read

    def spans(self, text: str, lowered: str) -> list[Span]:
        """All secrets of this rule; `lowered` is the text in which the keyword is looked for, of the same length."""
        found = []
        at = lowered.find(self.keyword)
        while at >= 0:
            span = self.read(text, at)
            if span:
                found.append(span)
            at = lowered.find(self.keyword, max(at + 1, span.end if span else 0))
        return found


def reading(
    pattern: str, label: str = KEY, *, back: int = 0, accepts: Callable[[str], bool] = bool, flags: int = 0
) -> Read:
    """Read by a pattern that begins `back` characters before the keyword; its first group, if any, is the secret."""
    match = re.compile(pattern, re.ASCII | flags).match

    def read(text: str, at: int) -> Span | None:
        found = match(text, at - back) if at >= back else None
        if not found:
            return None
        group = found.re.groups and 1
        return Span(*found.span(group), label) if accepts(found[group]) else None

    return read


def looks_random(value: str, shortest: int = 12) -> bool:
    """Whether a value was drawn, not written: letters and digits that alternate, of more than three bits each."""
    if len(value) < shortest or _WRITTEN.match(value):
        return False
    value = value[:_ENOUGH]
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" for char in value]
    if not {"u", "l"} & set(kinds):
        return False
    changes = sum(a.isalnum() and b.isalnum() and kinds[i] != kinds[i + 1] for i, (a, b) in enumerate(pairwise(value)))
    enough = 3 if "d" in kinds else max(6, len(value) // 4)
    return changes >= enough and _bits(value) >= _FEWEST_BITS


def _bits(value: str) -> float:
    return -sum(count / len(value) * log2(count / len(value)) for count in Counter(value).values())


def placeholder(value: str) -> bool:
    """Whether a value stands for one that is to be filled in, or was hidden already."""
    return MASK in value or len(set(value)) == 1 or bool(_STAND_IN.match(value))


_FEWEST_BITS, _ENOUGH = 3.0, 120
_WRITTEN = re.compile(r"\d{4}-?\d\d-?\d\d(?:[T ]|$)|[\w.+-]+@[\w-]+\.[\w.-]+$|(?:\.{0,2}/|~/|[A-Za-z]:\\)[\w./ \\-]*$")
_STAND_IN = re.compile(
    r"""(?ix) <.*>$ | \[.*\]$ | f?["']?\{.*\}["']?$ | \$(?:[a-z_]+|\{.*\}|\(.*\))$ | %\w+%$ | @\w+@$ | %\(?\w*\)?[srd]$
    | [*x.•_-]{3,}$ | .{0,6}\.\.\.$
    | (?:your|enter|insert|replace|example|placeholder|dummy|changeme|change)(?:[\W_].*)?$ | .*[\W_]here$"""
)
