"""Maps rows in a process of its own, for the tests that kill it: prints how the job stands, and then the replies."""

from __future__ import annotations

import json
import sys

import kimi_magic


def main() -> None:
    given = json.loads(sys.argv[1])
    rows = [{"text": text} for text in given["rows"]]
    job = kimi_magic.map(rows, given["ask"], rerun="replay", **given["options"])
    while not job.standing.over:
        now = job.standing
        say(state=now.state, done=now.done, queued=now.queued, running=now.running, remark=now.remark)
        job.wait(0.02)
    now = job.standing
    say(state=now.state, done=now.done, remark=now.remark, replies=job.df()["reply"].tolist())


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
