"""A map in a process of its own, whose time and memory nobody else has a part in: what the figures of jobs look at.

`python -m benchmarks.asking JSON` maps rows and prints what that took; the figures call `asked`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from benchmarks.memory import peak
from benchmarks.stage import ROOT, Server

__all__ = ["Asked", "Wanted", "asked"]

REVIEW = "review number %d"
MOOD = '<<say {"mood": "good", "score": %d}>>'
"""A row that the scripted server answers with what is asked for where the replies are typed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to map: so many rows of a dataframe, each with this text and its number; `options` are those of `map`.

    Where it is `warm`, one row has been mapped before, and all is imported.
    """

    rows: int
    text: str = REVIEW
    question: str = "Classify: {{ review }}"
    typed: bool = False
    warm: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it.

    `seconds` and `cpu` (seconds, all threads) are from before `map` to after `df`; `begun` is the time until `map` has
    returned. `megabytes` is the peak of the whole process, input and result included. `good` rows have a reply, the
    right one where `typed`; `input` and `cached` are tokens.
    """

    seconds: float
    cpu: float
    begun: float
    megabytes: float
    good: int
    input: int
    cached: int


def asked(place: Server, wanted: Wanted) -> Asked:
    """Map rows in a fresh process with a fresh store."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | place.environment | {"KIMI_HOME": home}
        command = [sys.executable, "-m", "benchmarks.asking", json.dumps(asdict(wanted))]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    return Asked(**json.loads(done.stdout))


def _ask(wanted: Wanted) -> Asked:
    import pandas as pd
    from pydantic import BaseModel

    import kimi_magic

    class Mood(BaseModel):
        mood: Literal["good", "bad"]
        score: int

    frame = pd.DataFrame({"review": [wanted.text % n for n in range(wanted.rows)]})
    if wanted.warm:
        kimi_magic.map(frame[:1], wanted.question, **wanted.options).wait()
    wall, cpu = time.perf_counter(), time.process_time()
    job = kimi_magic.map(frame, wanted.question, out=Mood if wanted.typed else "", **wanted.options)
    begun = time.perf_counter() - wall
    found = job.wait().df()
    seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
    right = (found["score"] == pd.RangeIndex(wanted.rows)) if wanted.typed else found["reply"].notna()
    good = int((right & found["kimi_error"].isna()).sum())
    return Asked(seconds, cpu, begun, peak(), good, job.usage.input, job.usage.cached)


if __name__ == "__main__":
    print(json.dumps(asdict(_ask(Wanted(**json.loads(sys.argv[1]))))))
