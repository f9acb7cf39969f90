"""A front end for the panel without a browser: it keeps a copy of what it is told, as `static/talk.js` does."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.kernel import Cell, Kernel

__all__ = ["Front"]


class Front:
    """The panel of a kernel as one front end sees it: its `traits`, its `entries`, and every message that came."""

    def __init__(self, kernel: Kernel, code: str = "%kimi chat") -> None:
        self._kernel = kernel
        self.traits: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.bytes = 0
        self.cell = self.run(code)
        assert self.cell.ok, self.cell.text
        self._key = 0

    comm = ""
    subshell = ""
    idle = ""
    displayed: frozenset[str] = frozenset()
    static: dict[str, str] = {}  # noqa: RUF012  # these two are replaced, never changed
    printed: dict[str, str] = {}  # noqa: RUF012

    @property
    def entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.traits["transcript"]
        return entries

    def run(self, code: str, **more: Any) -> Cell:
        """Run a cell, and hear what the panel says meanwhile."""
        return self._kernel.run(code, watch=self._hear, others=self._hear, **more)

    def send(self, *buffers: bytes, **content: Any) -> str:
        """Send a message with a key; give the key."""
        self._key += 1
        content = {"key": f"k{self._key}"} | content
        data = {"method": "custom", "content": content}
        message = self._kernel.client.session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        self._kernel.client.session.send(self._kernel.client.shell_channel.socket, message, buffers=list(buffers))
        return str(content["key"])

    def until(self, true: Callable[[], Any], timeout: float = 30) -> Any:
        """Take messages until something is true; give it."""
        deadline = time.monotonic() + timeout
        while not (found := true()):
            left = deadline - time.monotonic()
            assert left > 0, f"not true after {timeout} s: {self.messages[-3:]}, {self.entries[-1:]}"
            try:
                self._hear(self._kernel.client.get_iopub_msg(timeout=min(left, 0.2)))
            except queue.Empty:
                continue
        return found

    def rest(self) -> None:
        """Take messages until the panel does nothing any more."""
        self.answer(self.send(type="objects"))
        self.until(lambda: not self.traits["status"]["running"] and not self.traits["status"]["queue"])
        self.answer(self.send(type="objects"))

    def ask(self, text: str, **content: Any) -> dict[str, Any]:
        """Ask, wait for the end, give the entry."""
        known = {entry["id"] for entry in self.entries}
        self.send(type="ask", text=text, **content)
        return self.ended(known)

    def ended(self, known: set[str]) -> dict[str, Any]:
        """Wait for an entry that is not known and has ended."""

        def found() -> dict[str, Any] | None:
            fresh = [entry for entry in self.entries if entry["id"] not in known]
            return next((entry for entry in fresh if entry["state"] in ("done", "cut", "failed")), None)

        entry = self.until(found)
        self.rest()
        return next(each for each in self.entries if each["id"] == entry["id"])

    def answer(self, key: str) -> dict[str, Any]:
        """Wait for the answer to a message."""
        found: dict[str, Any] = self.until(
            lambda: next((one for one in self.messages if one.get("key") == key and one["type"] != "ack"), None)
        )
        return found

    def state(self) -> dict[str, Any]:
        """Give the whole state, as a page that is loaded again asks for it."""
        client = self._kernel.client
        message = client.session.msg("comm_msg", {"comm_id": self.comm, "data": {"method": "request_state"}})
        client.shell_channel.send(message)
        count = len(self.updates)
        found: dict[str, Any] = self.until(
            lambda: next((one for one in self.updates[count:] if "_esm" in one), None),
        )
        return found

    def _hear(self, message: dict[str, Any]) -> None:
        content, parent = message["content"], message["parent_header"].get("msg_id", "")
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            self.idle = parent
        if message["msg_type"] == "display_data":
            self.displayed = self.displayed | {parent}
        if message["msg_type"] == "stream":
            self.printed = self.printed | {parent: self.printed.get(parent, "") + content["text"]}
        if message["msg_type"] == "update_display_data":
            self.static = content["data"]
        if message["msg_type"] == "comm_open" and "_esm" in content["data"]["state"]:
            self.comm = content["comm_id"]
            self.traits = content["data"]["state"]
        if content.get("comm_id") != self.comm or message["msg_type"] != "comm_msg":
            return
        self.bytes += len(str(content))
        if content["data"]["method"] == "update":
            self.updates.append(content["data"]["state"])
            self.traits |= content["data"]["state"]
        elif content["data"]["method"] == "custom":
            self.messages.append(content["data"]["content"])
            self._take(self.messages[-1])

    def _take(self, message: dict[str, Any]) -> None:
        entries = self.entries
        places = {entry["id"]: n for n, entry in enumerate(entries)}
        match message["type"]:
            case "entry" if message["entry"]["id"] in places:
                entries[places[message["entry"]["id"]]] = message["entry"]
            case "entry":
                entries.insert(places.get(message.get("before", ""), len(entries)), message["entry"])
            case "gone":
                entries[:] = [entry for entry in entries if entry["id"] != message["id"]]
            case "earlier":
                entries[:0] = message["entries"]
            case "delta" if message["id"] in places:
                _apply(entries[places[message["id"]]], message)


def _apply(entry: dict[str, Any], change: dict[str, Any]) -> None:
    assert change["seq"] == entry["seq"] + 1
    entry |= {"seq": change["seq"]} | change["set"]
    for one in change["pieces"]:
        pieces = entry["pieces"]
        if "new" in one:
            pieces[one["at"] : one["at"] + 1] = [one["new"]]
        piece = pieces[one["at"]]
        piece |= one.get("set", {})
        piece["text"] = piece.get("text", "") + one.get("more", "") if "text" in piece else None
        if "blocks" in one:
            piece["blocks"] += one["blocks"]
        if "tail" in one:
            tail, old = one["tail"], piece["tail"]
            html = _units(old["html"], tail["keep"]) + tail["html"]
            piece["tail"] = {"html": html, "source": _units(old["source"], tail["source_keep"]) + tail["source"]}
        if piece.get("text", "") is None:
            del piece["text"]


def _units(text: str, count: int) -> str:
    return text.encode("utf-16-le", "surrogatepass")[: 2 * count].decode("utf-16-le", "surrogatepass")


def text_of(entry: dict[str, Any]) -> str:
    """Give the source of the text that an entry shows, tail included."""
    pieces = [piece for piece in entry["pieces"] if piece["kind"] == "text"]
    return "".join("".join(block["source"] for block in piece["blocks"]) + piece["tail"]["source"] for piece in pieces)


def html_of(entry: dict[str, Any]) -> str:
    """Give the HTML of the text that an entry shows, tail included."""
    pieces = [piece for piece in entry["pieces"] if piece["kind"] == "text"]
    return "".join("".join(block["html"] for block in piece["blocks"]) + piece["tail"]["html"] for piece in pieces)
