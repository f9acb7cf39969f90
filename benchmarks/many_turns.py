"""A store that holds 10,000 turns of one conversation: how long `%kimi history` and resuming it take.

Both in a fresh Python with everything imported, on a real file; the baseline reads the same rows with sqlite3 and json.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from kimi_magic import history, kernel
from kimi_magic.archive import Archive
from kimi_magic.command import History
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.messages import Message
from kimi_magic.reply import Reply
from kimi_magic.store import FILE, Store

TURNS = 10_000
_SEVERAL = 5


def measure() -> Iterator[Figure]:
    """Give both figures."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        archive = Archive(store, "a.ipynb")
        conversation = Conversation()
        for n in range(TURNS):
            question = Message.of("user", f"Question {n}: what stands in row {n} of the table, and why?")
            reply = Reply(f"In row {n} stands the mean of the last {n} values, " + "because it was asked for. " * 12)
            conversation.append(Turn((question,), reply, parent=conversation.head))
        archive.save(conversation)
        session = kernel.current()
        session.archive = None

        def bare() -> None:
            connection = sqlite3.connect(Path(folder) / FILE)
            rows = connection.execute("SELECT data FROM turn ORDER BY number").fetchall()
            assert len([json.loads(data) for (data,) in rows]) == TURNS
            connection.close()

        def resume() -> None:
            again = archive.load(conversation.id)
            session.add(again)
            session.use(again)

        resumed = _median(resume)
        read = _median(bare)
        yield Figure(
            f"resume a conversation of {TURNS:,} turns",
            f"{resumed * 1e3:.0f} ms",
            f"{read * 1e3:.0f} ms sqlite3 + json",
            resumed / read,
            "300 ms",
            resumed <= 0.3,
        )
        assert len(session.conversation.turns) == TURNS
        told = _median(lambda: history.history(History())._repr_mimebundle_())
        yield Figure(
            f"`%kimi history` with {TURNS:,} turns",
            f"{told * 1e3:.0f} ms",
            f"{read * 1e3:.0f} ms sqlite3 + json",
            told / read,
            "100 ms",
            told <= 0.1,
        )
        kernel.close()
        store.close()


def _median(work: object) -> float:
    times = []
    for _ in range(_SEVERAL):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        times.append(time.perf_counter() - start)
    return sorted(times)[_SEVERAL // 2]
