"""How many bytes a streamed reply sends to the front end, and that they grow with the reply, not with its square.

`%%kimi` cells run in real kernels; what is counted is the JSON of the whole messages (headers, parent and metadata too)
of the types display_data, update_display_data and clear_output, as they leave the kernel. Four bytes are one token.
A kernel of its own takes 2,000 tokens at 100 tokens a second while another takes 20,000 at 1,000; the shorter
ones follow.

The baseline is computed, not run: the Markdown so far sent again with each token, as `handle.update(Markdown(text))`
does it, in messages with the headers of those that were counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from benchmarks.figure import Figure
from benchmarks.stage import MODEL, Server, kernel, server
from kimi_magic.local import prose

LIMITS = {2_000: 0.3, 20_000: 3.0}
"""Megabytes by tokens."""
_IN_TURN = (((2_000, 100), (2_000, 1_000), (5_000, 1_000)), ((20_000, 1_000), (10_000, 1_000)))
"""(tokens, tokens a second) for one kernel, and for the other."""
_COUNTED = ("display_data", "update_display_data", "clear_output")


@dataclass(frozen=True, slots=True)
class Sent:
    """What one reply of so many `tokens`, at a `rate` per second, has sent: bytes, and in how many messages."""

    tokens: int
    rate: int
    size: int
    messages: int
    resent: int
    """Bytes of the baseline for the same text."""


def measure() -> list[Figure]:
    """Give a figure for each reply."""
    with server() as place, ThreadPoolExecutor() as threads:
        found = [sent for group in threads.map(lambda cases: _replies(place, cases), _IN_TURN) for sent in group]
    return [_figure(sent) for sent in sorted(found, key=lambda sent: (sent.tokens, sent.rate))]


def _figure(sent: Sent) -> Figure:
    limit = LIMITS.get(sent.tokens)
    per_token = sent.size / sent.tokens
    return Figure(
        f"To the front end, {sent.tokens:,} tokens at {sent.rate:,}/s",
        f"{sent.size / 1e6:.2f} MB ({per_token:.0f} B a token, {sent.messages} messages)",
        f"{sent.resent / 1e6:,.1f} MB all of it with each token",
        sent.size / sent.resent,
        f"{limit} MB" if limit else "",
        sent.size / 1e6 <= limit if limit else None,
    )


def _replies(place: Server, cases: Iterable[tuple[int, int]]) -> list[Sent]:
    """Run cells in a kernel of its own, one after the other."""
    with kernel(place) as running:
        running.run("%load_ext kimi_magic")
        found: list[Sent] = []
        for tokens, rate in cases:
            question = f"<<tokens {tokens}>> <<rate {rate}>>"
            cell = running.run(f"%%kimi -m {MODEL} --max-tokens {tokens + 1} --no-history\n{question}", timeout=300)
            if not cell.ok or len(cell.text) != tokens * prose.TOKEN:
                raise RuntimeError(cell.text[-300:])
            messages = [message for message in cell.messages if message["msg_type"] in _COUNTED]
            found.append(Sent(tokens, rate, sum(map(_size, messages)), len(messages), _resent(tokens, messages)))
        return found


def _size(message: dict[str, Any]) -> int:
    """Bytes of a whole message as JSON."""
    parts = {name: message[name] for name in ("header", "parent_header", "metadata", "content")}
    return len(json.dumps(parts, default=str, ensure_ascii=False, separators=(",", ":")).encode())


def _resent(tokens: int, messages: list[dict[str, Any]]) -> int:
    """Bytes that sending all of the text with each token takes, in messages with headers such as these."""
    bare = [
        {**message, "content": {**message["content"], "data": {}}}
        for message in messages
        if "data" in message["content"]
    ]
    envelope = sum(map(_size, bare)) // len(bare) + len(
        '"text/markdown":"","text/plain":"<IPython.core.display.Markdown object>"'
    )
    pieces = prose.cut_tokens(prose.markdown(tokens))
    growing = accumulate(len(json.dumps(piece, ensure_ascii=False).encode()) - 2 for piece in pieces)
    return sum(growing) + tokens * envelope
