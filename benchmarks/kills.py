"""A process that writes turns is killed (SIGKILL) at a random moment, `KIMI_BENCH_KILLS` times (1,000).

After each kill the file must pass SQLite's integrity check, and every turn whose saving had been acknowledged must be
there. All writers use the same store, one after the other, each in a conversation of its own.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from kimi_magic.archive import Archive
from kimi_magic.store import FILE, Store

KILLS = int(os.environ.get("KIMI_BENCH_KILLS", "1000"))

_WRITER = """
import sys
from pathlib import Path
from kimi_magic.archive import Archive
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.messages import Message
from kimi_magic.reply import Reply
from kimi_magic.store import Store

archive = Archive(Store(Path(sys.argv[1])), sys.argv[2])
conversation = Conversation()
while True:
    question = Message.of("user", "x" * 500)
    turn = conversation.append(Turn((question,), Reply("y" * 3000), parent=conversation.head))
    archive.save(conversation)
    print(turn.number, flush=True)
"""


def kills(folder: Path, count: int) -> tuple[int, int]:
    """Kill so many writers; give how often the file was damaged, and how many acknowledged turns were lost."""
    draw = random.Random(20261122)  # noqa: S311  # moments, not secrets
    damaged = lost = 0
    for number in range(count):
        command = [sys.executable, "-c", _WRITER, str(folder), f"writer-{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = writer.stdout.readline()
            for _ in range(draw.randrange(30)):
                said = writer.stdout.readline() or said
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read().rpartition("\n")[0].rpartition("\n")[2] or said
        store = Store(folder)
        kept = Archive(store, f"writer-{number}").kept()
        lost += int(said) - (kept[0].turns if kept else 0) if not kept or kept[0].turns < int(said) else 0
        store.close()
        connection = sqlite3.connect(folder / FILE)
        damaged += connection.execute("PRAGMA quick_check").fetchone() != ("ok",)
        connection.close()
    return damaged, lost


def measure() -> Iterator[Figure]:
    """Give what was damaged and what was lost."""
    with tempfile.TemporaryDirectory() as folder:
        damaged, lost = kills(Path(folder), KILLS)
    yield Figure(f"{KILLS:,} kills of a writing process: damaged stores", str(damaged), limit="0", ok=not damaged)
    yield Figure(f"{KILLS:,} kills of a writing process: turns lost", str(lost), limit="0", ok=not lost)
