"""How an entry of the transcript changes: one delta says it, and both sides apply it to their copy alike.

The shapes are those of the messages; the front end's `entry.js` does the same in its own language.
"""

from __future__ import annotations

import copy
from os.path import commonprefix
from typing import Any, TypedDict

__all__ = ["Delta", "PieceDelta", "Tail", "apply", "kept", "tail_delta"]


class Tail(TypedDict):
    """The end of a text that still changes: what of the old one is kept, in UTF-16 units, and what follows it."""

    keep: int
    html: str
    source_keep: int
    source: str


class PieceDelta(TypedDict, total=False):
    """Changes of the piece `at`: made anew, fields set, thinking added, blocks frozen, and its tail."""

    at: int
    new: dict[str, Any]
    set: dict[str, Any]
    more: str
    blocks: list[dict[str, str]]
    tail: Tail


class Delta(TypedDict):
    """Changes of one entry: fields set, then its pieces, in their order."""

    set: dict[str, Any]
    pieces: list[PieceDelta]


def apply(entry: dict[str, Any], delta: Delta) -> None:
    """Change an entry as a delta says; its `seq` grows by one."""
    entry["seq"] += 1
    entry.update(delta["set"])
    pieces = entry["pieces"]
    for change in delta["pieces"]:
        at = change["at"]
        if "new" in change:
            pieces[at : at + 1] = [copy.deepcopy(change["new"])]  # what is sent stays as it is
        piece = pieces[at]
        piece.update(change.get("set", {}))
        if "more" in change:
            piece["text"] += change["more"]
        if "blocks" in change:
            piece["blocks"].extend(change["blocks"])
        if "tail" in change:
            tail, old = change["tail"], piece["tail"]
            piece["tail"] = {
                "html": kept(old["html"], tail["keep"]) + tail["html"],
                "source": kept(old["source"], tail["source_keep"]) + tail["source"],
            }


def tail_delta(old: dict[str, str], html: str, source: str) -> Tail:
    """Say how a tail became another, with what both begin with left out."""
    same = commonprefix((old["html"], html))  # noqa: RUF071  # character by character is what is wanted
    same_source = commonprefix((old["source"], source))  # noqa: RUF071  # see above
    return Tail(
        keep=_units(same), html=html[len(same) :], source_keep=_units(same_source), source=source[len(same_source) :]
    )


def _units(text: str) -> int:
    """Count as JavaScript does."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def kept(text: str, units: int) -> str:
    """Give the beginning of a text, counted as JavaScript does."""
    if text.isascii():
        return text[:units]
    return text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "surrogatepass")
