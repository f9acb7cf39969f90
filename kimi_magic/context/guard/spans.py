"""Places in a text that are to be replaced, and the replacing.

A span is found in the text as it stands. `settle` looks again after each finding, with all that was found masked by a
character that no rule accepts, until nothing more is found: so cleaning a cleaned text changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

__all__ = ["MASK", "Span", "masked", "merged", "replaced", "settle", "split"]

MASK = "\ufdd0"
"""Stands for what is already hidden while the rest is searched. Unicode promises that no text holds this character."""


class Span(NamedTuple):
    """From `start` to before `end` lies what `label` (the placeholder without its brackets) says."""

    start: int
    end: int
    label: str


def merged(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap, in order; what was found first names the whole."""
    result: list[Span] = []
    ranked = sorted(enumerate(spans), key=lambda item: (item[1].start, item[0]))
    rank = -1
    for found, span in ranked:
        if result and span.start < result[-1].end:
            last = result[-1]
            label = span.label if found < rank else last.label
            rank = min(rank, found)
            result[-1] = Span(last.start, max(last.end, span.end), label)
        else:
            result.append(span)
            rank = found
    return result


def masked(text: str, spans: Iterable[Span]) -> str:
    """Give a text of the same length, in which the spans (in order, apart) are masked."""
    return _joined(text, spans, lambda span: MASK * (span.end - span.start))


def replaced(text: str, spans: Iterable[Span]) -> str:
    """Give the text with a placeholder for each span (in order, apart)."""
    return _joined(text, spans, lambda span: f"[{span.label}]")


def _joined(text: str, spans: Iterable[Span], stand_in: Callable[[Span], str]) -> str:
    pieces: list[str] = []
    at = 0
    for span in spans:
        pieces += (text[at : span.start], stand_in(span))
        at = span.end
    return "".join([*pieces, text[at:]])


def settle(text: str, first: list[Span], find: Callable[[str], list[Span]]) -> list[Span]:
    """Search on behind what was found first, until nothing is left to find."""
    spans = new = merged(first)
    while new:
        text = masked(text, new)
        new = merged(find(text))
        spans = spans + new
    return merged(spans)


def split(pieces: list[str], spans: list[Span]) -> list[str]:
    """Replace spans of the joined pieces; a placeholder stands in the piece in which its span begins."""
    return list(_split(pieces, spans))


def _split(pieces: list[str], spans: list[Span]) -> Iterator[str]:
    ends = list(accumulate(map(len, pieces)))
    for piece, end in zip(pieces, ends, strict=True):
        start = end - len(piece)
        inside = [span for span in spans if span.start < end and span.end > start]
        own = [Span(max(span.start, start) - start, min(span.end, end) - start, span.label) for span in inside]
        tail = bool(inside) and inside[0].start < start
        text = replaced(piece, own)
        yield text[len(own[0].label) + 2 :] if tail else text
