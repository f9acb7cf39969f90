"""Kimi's control tokens in the text of a reply → the calls that they stand for.

Servers of Kimi do not always take its calls out of the text (wire.md §3). Text goes on at once; only the few
characters that may be the beginning of a control token wait for what follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Leaks", "Opened", "Piece"]

_TOKEN = re.compile(r"<\|tool_call(?:s?_section_(begin|end)|_(begin|argument_begin|end))\|>")
_TOKENS = (
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_section_begin|>",
    "<|tool_call_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
)
_LONGEST = max(map(len, _TOKENS))


@dataclass(frozen=True, slots=True)
class Opened:
    """A call begins."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Piece:
    """More text, or with `call` more of the arguments of the call that is open."""

    text: str
    call: bool = False


@dataclass(slots=True)
class Leaks:
    """One stretch of text as it streams: `take` each piece of it, `rest` gives what still waits at its end."""

    _waiting: str = ""
    _where: Literal["text", "section", "id", "arguments"] = "text"
    _id: str = ""
    _found: list[Piece | Opened] = field(default_factory=list)

    def take(self, text: str) -> list[Piece | Opened]:
        """Give what is known by now of the text so far and has not been given yet."""
        if not self._waiting and self._where == "text" and "<" not in text:
            return [Piece(text)]
        text = self._waiting + text
        self._found = []
        position = 0
        for token in _TOKEN.finditer(text):
            self._pass(text[position : token.start()])
            self._turn(token[0], f"section_{token[1]}" if token[1] else token[2])
            position = token.end()
        end = position + _settled(text[position:])
        self._pass(text[position:end])
        self._waiting = text[end:]
        return self._found

    def rest(self) -> list[Piece | Opened]:
        """Give what has waited, and a call that was begun and not named, as the text that it is."""
        self._found = []
        self._pass(self._waiting)
        if self._where == "id":
            self._found.append(Piece(f"<|tool_call_begin|>{self._id}"))
        self._waiting, self._id, self._where = "", "", "text"
        return self._found

    def _pass(self, text: str) -> None:
        if self._where == "id":
            self._id += text
        elif text and (self._where != "section" or text.strip()):
            self._found.append(Piece(text, call=self._where == "arguments"))
            self._where = "arguments" if self._where == "arguments" else "text"

    def _turn(self, token: str, kind: str) -> None:
        match kind, self._where:
            case "section_begin", "text" | "section":
                self._where = "section"
            case "section_end", "text" | "section" | "arguments":
                self._where = "text"
            case "begin", "text" | "section" | "arguments":
                self._where = "id"
            case "argument_begin" | "end", "id":
                self._found.append(Opened(self._id.strip(), _name(self._id)))
                self._id, self._where = "", "arguments" if kind == "argument_begin" else "section"
            case "end", _:
                self._where = "section"
            case _:
                self._pass(token)


def _settled(text: str) -> int:
    """Say how many characters cannot be the beginning of a control token that goes on."""
    start = text.rfind("<", max(0, len(text) - _LONGEST))
    tail = text[start:]
    return start if start >= 0 and any(token.startswith(tail) for token in _TOKENS) else len(text)


def _name(id_: str) -> str:
    """Take the name out of `functions.NAME:0`."""
    return re.sub(r":\d+$", "", id_.strip()).removeprefix("functions.")
