"""The conversation as a saved notebook carries it: one piece of HTML, and its source as plain text.

Nbviewer, nbconvert, GitHub and front ends without widgets show it; where the panel is alive its stylesheet hides it.
"""

from __future__ import annotations

import threading
from html import escape

from kimi_magic import card, kernel, present
from kimi_magic.calls import Round
from kimi_magic.conversation import Conversation, Turn

__all__ = ["Saved"]

_MOST = 150_000
"""Characters of source that are carried; of a longer conversation the end."""
_QUESTION = (
    "margin:1.2em 0 .5em;padding:.4em .8em;border-radius:.5em;white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:var(--jp-layout-color2,var(--vscode-textCodeBlock-background,#8881))"
)
_PLAIN = "mathjax_ignore tex2jax_ignore"


class Saved:
    """An output that follows a conversation. `display` is for a cell's thread, `update` for any."""

    def __init__(self, panel: str) -> None:
        self._panel = panel
        self._shown: object = None
        self._made: dict[tuple[str, int], str] = {}
        self._lock = threading.Lock()

    @property
    def _display_id(self) -> str:
        return f"kimi-panel-{self._panel}"

    def display(self, conversation: Conversation) -> None:
        """Display it here; the same is updated wherever it was displayed before."""
        from IPython.display import display

        with self._lock:
            bundle = self._bundle(conversation)
            self._shown = bundle
        display(bundle, raw=True, display_id=self._display_id)

    def update(self, conversation: Conversation) -> None:
        """Bring it up to date where it is displayed."""
        from IPython.display import update_display

        with self._lock:
            if self._shown is None or (bundle := self._bundle(conversation)) == self._shown:
                return
            self._shown = bundle
            update_display(bundle, raw=True, display_id=self._display_id)

    def _bundle(self, conversation: Conversation) -> dict[str, str]:
        turns = conversation.lived
        shown = _last(turns)
        left = len(turns) - len(shown)
        notice = f"{left:,} earlier turns are not carried here; %kimi export FILE.md writes them all." if left else ""
        if not shown:
            notice = "Nothing was said in the panel yet."
        pieces = {(conversation.id, turn.number): turn for turn in shown}
        if kernel.guard().names:  # what was fit to be shown may be private by now
            self._made.clear()
        self._made = {key: self._made.get(key) or _html(turn) for key, turn in pieces.items()}
        style = present.style() if shown else ""
        head = present.status(f"Conversation {conversation.name} with Kimi") + present.status(notice)
        html = f'<div class="kimi-panel-static">{style}{head}{"".join(self._made.values())}</div>'
        plain = "\n\n".join(filter(None, (notice, *map(_plain, shown))))
        return {"text/html": html, "text/plain": present.printable(plain)}


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


def _html(turn: Turn) -> str:
    if found := _withheld(turn):
        return present.notice(found)
    reply = turn.reply
    asked = f'<div class="{_PLAIN}" style="{_QUESTION}">{escape(turn.words)}</div>'
    rounds = "".join(map(_round, reply.rounds))
    end = present.notice(reply.notice) + present.footer(reply.facts, reply.badges)
    return asked + present.page(rounds, reply.body, end)


def _round(done: Round) -> str:
    said = present.body(done.text, "markdown") if done.text.strip() and done.outcomes else ""
    return said + "".join(card.html(one.call, one) for one in done.outcomes)


def _plain(turn: Turn) -> str:
    if found := _withheld(turn):
        return found
    quoted = "\n".join(f"> {line}" for line in turn.words.splitlines())
    calls = "\n".join(card.plain(one.call, one) for one in turn.reply.calls)
    return "\n\n".join(filter(None, (quoted, calls, turn.reply.plain or turn.reply.notice)))
