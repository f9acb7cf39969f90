"""Secrets in a text, found by their form or by what they are assigned to. No network, no files.

Why not a library: detect-secrets reads line by line at 12 s per MB, gives values without places, and takes ordinary
words for secrets where it has no file type to go by; betterleaks, which continues gitleaks, is a Go runtime of 56 MB.
"""

from __future__ import annotations

from kimi_magic.context.guard import assignments, keys
from kimi_magic.context.guard.rules import COOKIE, KEY, PASSWORD, PEM, WEB_TOKEN
from kimi_magic.context.guard.spans import Span

__all__ = ["LABELS", "find"]

LABELS = frozenset({COOKIE, KEY, PASSWORD, PEM, WEB_TOKEN})
"""The placeholders of all that is found here, without their brackets."""

_EXACT = [(rule.keyword, rule) for rule in keys.EXACT]
_ANY_CASE = [(rule.keyword, rule) for rule in (*keys.ANY_CASE, *assignments.RULES)]
_SHORTEST = 8


def find(text: str) -> list[Span]:
    """Find the secrets of a text; spans may overlap, and the more certain come first."""
    if len(text) < _SHORTEST:
        return []
    found: list[Span] = []
    for keyword, rule in _EXACT:
        if keyword in text:
            found += rule.spans(text, text)
    lowered = text.replace("\u0130", "I").lower()  # the one letter that grows when lowered
    for keyword, rule in _ANY_CASE:
        if keyword in lowered:
            found += rule.spans(text, lowered)
    return found
