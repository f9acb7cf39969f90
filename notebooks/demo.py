"""Play a notebook in this terminal: a model on this machine answers, and its replies show as they stream.

    python notebooks/demo.py notebooks/01_quickstart.ipynb

It starts the local server and a real kernel, runs cell after cell, and shows what a front end would show. It needs
kimi-magic[local] and nothing else; a notebook is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import sys
import time
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from screen import BOLD, DIM, RED, Screen

from kimi_magic import present
from kimi_magic.local import launch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_client.blocking.client import BlockingKernelClient


def environment(**ours: str) -> dict[str, str]:
    """Give an environment in which only the model on this machine can answer, whatever accounts the user has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KIMI_", "CLOUDFLARE_"))}
    no_file = {"XDG_CONFIG_HOME": os.devnull}  # where the user's config.toml would be
    return kept | no_file | {"KIMI_ENDPOINT": "local"} | ours


class Outputs:
    """The outputs of one cell. A display is sent again whole, and another may go on from it: each word shows once."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.before = ""  # what earlier displays say
        self.text = ""  # what they and the present one say
        self.shown = ""  # how far the screen is; ahead of `text` when the end of a display moves on to the next one
        self.cleared = False

    def take(self, kind: str, content: Mapping[str, Any]) -> None:
        """Show what one message of the kernel adds."""
        match kind:
            case "clear_output":
                self.cleared = True
            case "display_data":
                self._begin()
                self._display(content["data"])
            case "update_display_data":
                self._display(content["data"])
            case "execute_result":
                self.screen.beside(content["data"].get("text/plain", ""))
            case "stream":
                self.screen.flow(content["text"])
            case "error":
                text = "\n".join(content["traceback"])
                self.screen.beside(text if self.screen.coloured else re.sub(r"\x1b\[[\d;]*m", "", text))

    def _begin(self) -> None:
        """Begin another display: instead of what was cleared, which it may repeat, or after what is there."""
        if not self.cleared and self.shown == self.text and not self.text.endswith("\n"):
            self.screen.end()
        self.before = "" if self.cleared else self.text
        self.cleared = False

    def _display(self, data: Mapping[str, str]) -> None:
        text, html = data.get("text/plain", ""), data.get("text/html", "")
        if text and present.status(text) in html:
            self.screen.status(text)
            return
        self.text = self.before + text
        if not self.shown.startswith(self.text):
            if not self.text.startswith(self.shown):  # something else: it goes below
                self.screen.end()
                self.shown = self.before
            self.screen.flow(present.printable(self.text.removeprefix(self.shown)))
            self.shown = self.text
        self._below(html)

    def _below(self, html: str) -> None:
        """Show what only a finished reply has below it: a notice, and the footer's badges and facts."""
        for made, style in ((present.notice("\0"), RED), (present.footer(["\0"], [], "?").partition("?")[0], DIM)):
            for found in re.findall(re.escape(made).replace("\0", "(.*?)"), html):
                self.screen.beside(unescape(re.sub(r"<[^>]+>", "", found.replace("</span>", " ·"))), style)


def messages(client: BlockingKernelClient, request: str) -> Iterator[dict[str, Any]]:
    """Yield what the kernel says about a request, until it has nothing more to do."""
    while True:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            if not client.is_alive():
                raise RuntimeError("The kernel has died.") from None
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["content"].get("execution_state") == "idle":
            return
        yield message


def run(client: BlockingKernelClient, screen: Screen, source: str) -> bool:
    """Run a code cell and show what comes of it; tell whether it went well."""
    request = client.execute(source, allow_stdin=False)
    outputs = Outputs(screen)
    for message in messages(client, request):
        outputs.take(message["msg_type"], message["content"])
    screen.end()
    reply = client.get_shell_msg(timeout=10)
    while reply["parent_header"].get("msg_id") != request:
        reply = client.get_shell_msg(timeout=10)
    for payload in reply["content"].get("payload", ()):
        if payload["source"] == "set_next_input":
            screen.line()
            screen.line(screen.paint("This is in the next cell now, and has not run:", DIM))
            screen.code("In [ ]: ", payload["text"])
    return bool(reply["content"]["status"] == "ok")


def play(client: BlockingKernelClient, screen: Screen, cells: list[dict[str, Any]]) -> bool:
    """Play the cells up to the first that fails; tell whether none did."""
    number = 0
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            screen.markdown(source)
        elif source.strip():
            number += 1
            screen.code(f"In [{number}]: ", source)
            if not run(client, screen, source):
                screen.line()
                screen.line(screen.paint(f"Cell {number} failed; the rest was not run.", RED))
                return False
        screen.line()
    return True


@contextmanager
def kernel(folder: Path, local: launch.Local) -> Iterator[BlockingKernelClient]:
    """Start a kernel that asks this local server; end it in any case."""
    from jupyter_client.manager import KernelManager

    with TemporaryDirectory(ignore_cleanup_errors=True) as sockets:
        # A demo leaves nothing in the user's ledger, and replays nothing that was recorded before.
        asking = environment(KIMI_LOCAL_URL=local.url, KIMI_LOCAL_TOKEN=local.token, KIMI_HOME=sockets)
        private = {} if os.name == "nt" else {"transport": "ipc", "ip": f"{sockets}/kernel"}
        manager = KernelManager(kernel_name="python3", **private)
        try:
            manager.start_kernel(env=asking, cwd=str(folder))
            client = manager.blocking_client()
            client.start_channels()
            client.wait_for_ready(timeout=60)
            yield client
            client.stop_channels()
        finally:
            manager.shutdown_kernel(now=True)


def show(notebook: Path, engine: str, screen: Screen) -> bool:
    """Start everything, play the notebook, and say how to go on; tell whether all cells went well."""
    start = time.monotonic()
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    screen.status("Loading the model …")
    local = launch.start(engine=engine, model_file=os.environ.get("KIMI_LOCAL_MODEL"))
    try:
        screen.status("Starting a kernel …")
        with kernel(notebook.parent, local) as client:
            well = play(client, screen, cells)
    finally:
        local.close()
    screen.line(f"Answered on this machine by {local.model}, in {time.monotonic() - start:.0f} s all in all.")
    screen.line(f"The same notebook in JupyterLab: {screen.paint('make lab', BOLD)}")
    return well


def main() -> int:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(description="Play a notebook in this terminal, with the model on this machine.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--engine", choices=("llama", "scripted"), default="llama", help="scripted: for tests")
    options = parser.parse_args()
    screen = Screen()
    try:
        return 0 if show(options.notebook, options.engine, screen) else 1
    except KeyboardInterrupt:
        screen.line()
        screen.line("Stopped.")
        return 130
    except (launch.LaunchError, OSError, RuntimeError, ValueError) as error:
        screen.line()
        print(error, getattr(error, "hint", ""), sep="\n", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
