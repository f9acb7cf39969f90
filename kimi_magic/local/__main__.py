"""`python -m kimi_magic.local`: take the port, load the model, serve, and say where.

With `--exit-with-parent` the one line on stdout is JSON for the program that started it; without, it is a few lines for
a person. Whatever is missing is one line on stderr that names the next step, and exit code 2.
"""

import argparse
import contextlib
import json
import os
import secrets
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from . import found

if TYPE_CHECKING:
    from .engine import Engine
    from .queue_file import QueueFile
    from .record import Log

CONTEXT = {"llama": 8192, "scripted": 262_144}
"""Tokens a request may have, unless `--context` says otherwise; the scripted figure is that of Kimi K2.6."""

ITEMS = {"scripted": 16}
"""Items of batches that are answered at the same time; of llama as many as `--parallel` says."""


def main() -> int:
    """Run the server and return the exit code."""
    options = arguments()
    if options.exit_with_parent:
        from .serve import end_with_parent  # the needs of the server are checked by `run`

        end_with_parent(sys.stdin.fileno())
    with contextlib.suppress(KeyboardInterrupt):
        run(options)
    return 0


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m kimi_magic.local", description="A Workers AI on this machine.")
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1; 0 takes a free one (%(default)s)")
    parser.add_argument("--engine", choices=sorted(CONTEXT), default="llama", help="what answers (%(default)s)")
    parser.add_argument("--model-file", metavar="GGUF", default=os.environ.get("KIMI_LOCAL_MODEL"), help="weights")
    parser.add_argument("--context", type=positive, metavar="N", help="tokens a request may have (llama: 8192)")
    parser.add_argument(
        "--parallel", type=positive, default=2, metavar="N", help="requests at the same time (%(default)s)"
    )
    parser.add_argument(
        "--queue", metavar="FOLDER", default=os.environ.get("KIMI_LOCAL_QUEUE"), help="keeps batches (in memory)"
    )
    parser.add_argument("--token", default=os.environ.get("KIMI_LOCAL_TOKEN"), help="bearer token (a fresh random one)")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when stdin does; announce in JSON")
    options = parser.parse_args()
    options.context = options.context or CONTEXT[options.engine]
    options.token = options.token or secrets.token_urlsafe(24)
    return options


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


def run(options: argparse.Namespace) -> None:
    """Serve until the end."""
    if missing := found.missing_for(options.engine, options.model_file):
        fail(missing)
    from .app import build  # only now it is known that these can be imported
    from .queueing import Queue
    from .serve import bind, serve

    try:
        taken = bind(options.port)
    except OSError as exc:
        fail(f"port {options.port} cannot be used ({exc.strerror}); choose another, or --port 0 for a free one")
    except OverflowError:
        fail(f"{options.port} is not a port; choose one from 1 to 65535, or 0 for a free one")
    with taken:
        engine, log = make_engine(options)
        queue = Queue(engine, open_file(options, engine), ITEMS.get(options.engine) or options.parallel)
        port = taken.getsockname()[1]

        def ready() -> None:
            queue.begin()
            announce(options, engine, port)

        serve(build(engine, options.token, queue, log), taken, ready)


def open_file(options: argparse.Namespace, engine: "Engine") -> "QueueFile":
    """Open the queue of this engine's model, in memory where no folder is given."""
    from .queue_file import QueueFile

    if not options.queue:
        return QueueFile(None)
    name = "".join(letter if letter.isalnum() else "-" for letter in engine.model)
    path = Path(options.queue).expanduser() / f"{engine.name}-{name}.sqlite3"
    try:
        return QueueFile(path)
    except (OSError, sqlite3.Error) as exc:
        fail(f"the queue cannot be kept in {str(path)!r} ({exc}); choose another folder with --queue")


def make_engine(options: argparse.Namespace) -> "tuple[Engine, Log | None]":
    """Make the engine, its model loaded."""
    if options.engine == "scripted":
        from .record import Log  # one engine does not load the other
        from .scripted import Scripted

        scripted = Scripted(options.context)
        return scripted, Log(on_clear=scripted.forget)
    from .llama import CannotLoad, Llama

    try:
        return Llama(found.weights(options.model_file), options.context, options.parallel), None
    except CannotLoad as exc:
        fail(str(exc))


def announce(options: argparse.Namespace, engine: "Engine", port: int) -> None:
    """Say on stdout that it serves, and where."""
    url = f"http://127.0.0.1:{port}/client/v4"
    if options.exit_with_parent:
        ready = {"url": url, "token": options.token, "model": engine.model, "context": engine.context}
        print(json.dumps({**ready, "engine": engine.name}), flush=True)  # noqa: T201  # this line is the interface
        return
    lines = (
        f"{engine.model} answers at {url}",
        f"token: {options.token}",
        "From a notebook, start it with:",
        f"  export KIMI_LOCAL_URL={url} KIMI_LOCAL_TOKEN={options.token}",
        "Ctrl-C ends it.",
    )
    print("\n".join(lines), flush=True)  # noqa: T201  # a person reads this


def fail(message: str) -> NoReturn:
    """End with one line that says what to do."""
    print(f"kimi_magic.local: {message}", file=sys.stderr)  # noqa: T201  # the only voice of a command line
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
