"""The conversation as a saved notebook carries it: one piece of HTML, and its source as plain text.

Nbviewer, nbconvert, GitHub and front ends without widgets show it; where the panel is alive its stylesheet hides it.
"""

from __future__ import annotations

import threading
from html import escape
from typing import TYPE_CHECKING

from kimi_magic import card, kernel, present
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.panel.entries import Entry, Piece, of_turn

if TYPE_CHECKING:
    from kimi_magic.panel.transcript import Transcript

__all__ = ["Saved"]

_MOST = 150_000
"""Characters of source that are carried; of a longer conversation the end."""
_PLAIN = "mathjax_ignore tex2jax_ignore"
_QUESTION = (
    "margin:1.2em 0 .5em;padding:.4em .8em;border-radius:.5em;white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:var(--jp-layout-color2,var(--vscode-textCodeBlock-background,#8881))"
)
_CALL = "margin:.4em 0;padding:.25em .7em;border:1px solid var(--jp-border-color2,GrayText);border-radius:.4em"


class Saved:
    """An output that follows a conversation. `display` is for a cell's thread, `update` for any."""

    def __init__(self, panel: str, transcript: Transcript) -> None:
        self._display_id = f"kimi-panel-{panel}"
        self._transcript = transcript
        self._shown: dict[str, str] = {}
        self._made: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    def display(self, conversation: Conversation) -> None:
        """Display here what is made already, at once; `update` brings the rest, wherever it was displayed."""
        from IPython.display import display

        with self._lock:
            self._shown = self._bundle(conversation, quick=True)
        display(self._shown, raw=True, display_id=self._display_id)

    def lacks(self, conversation: Conversation) -> bool:
        """Whether the last turn of a conversation is not in it yet."""
        turns = conversation.lived
        return bool(self._shown and turns) and (conversation.id, turns[-1].number) not in self._made

    def update(self, conversation: Conversation) -> None:
        """Bring it up to date where it is displayed."""
        from IPython.display import update_display

        with self._lock:
            if self._shown and (bundle := self._bundle(conversation)) != self._shown:
                self._shown = bundle
                update_display(bundle, raw=True, display_id=self._display_id)

    def _bundle(self, conversation: Conversation, *, quick: bool = False) -> dict[str, str]:
        turns = conversation.lived
        shown = _last(turns)
        found = {turn.number: self._html(conversation, turn, quick=quick) for turn in shown}
        shown = [turn for turn in shown if found[turn.number]]
        left = len(turns) - len(shown)
        notice = f"{left:,} earlier turns are not carried here; %kimi export FILE.md writes them all." if left else ""
        if not turns:
            notice = "Nothing was said in the panel yet."
        self._made = {(conversation.id, number): html for number, html in found.items() if html}
        style = present.style() if shown else ""
        head = present.status(f"Conversation {conversation.name}") + (notice and present.status(notice))
        html = f'<div class="kimi-panel-static">{style}{head}{"".join(self._made.values())}</div>'
        plain = "\n\n".join(filter(None, (notice, *map(_plain, shown))))
        return {"text/html": html, "text/plain": present.printable(plain)}

    def _html(self, conversation: Conversation, turn: Turn, *, quick: bool) -> str:
        if found := _withheld(turn):
            return present.notice(found)
        key = (conversation.id, turn.number)
        if key in self._made and not kernel.guard().names:  # what was made may hold what is private by now
            return self._made[key]
        entry = self._transcript.of(conversation, turn.number)
        if entry is None:
            return "" if quick else _turn(of_turn(conversation, turn, {}))
        return _turn(entry)


def _last(turns: tuple[Turn, ...]) -> list[Turn]:
    shown: list[Turn] = []
    room = _MOST
    for turn in reversed(turns):
        room -= len(turn.words) + len(turn.reply.text)
        if room < 0 and shown:
            break
        shown.append(turn)
    return shown[::-1]


def _withheld(turn: Turn) -> str:
    """Say that a turn is not written, where it holds what has become private after it was said."""
    found = kernel.private_in(turn.texts)
    return f"A turn is withheld: it holds values of {', '.join(found)}, which are private now." if found else ""


def _turn(entry: Entry) -> str:
    asked = f'<div class="{_PLAIN}" style="{_QUESTION}">{escape(entry["question"]["text"])}</div>'
    end = present.notice(entry["notice"]) + present.footer(entry["facts"], entry["badges"])
    return asked + present.page(*map(_piece, entry["pieces"]), end)


def _piece(piece: Piece) -> str:
    match piece["kind"]:
        case "text":
            return "".join(block["html"] for block in (*piece["blocks"], piece["tail"]))
        case "value":
            return str(piece["html"])
        case "call":
            line = (
                f"<b>{escape(piece['name'])}</b> {escape(piece['brief'])} · {escape(piece['facts'] or piece['state'])}"
            )
            told = present.verbatim(piece["arguments"], "arguments") + present.verbatim(piece["result"] or "", "result")
            return f'<details class="{_PLAIN}" style="{_CALL}"><summary>{line}</summary>{told}{piece["html"]}</details>'
    return ""


def _plain(turn: Turn) -> str:
    if found := _withheld(turn):
        return found
    quoted = "\n".join(f"> {line}" for line in turn.words.splitlines())
    calls = "\n".join(card.plain(one.call, one) for one in turn.reply.calls)
    return "\n\n".join(filter(None, (quoted, calls, turn.reply.plain or turn.reply.notice)))
