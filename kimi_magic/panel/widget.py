"""The widget: its traits go to the front end, its messages come from there. It knows nothing of what they mean.

ipywidgets and anywidget are imported with this module, so it is imported when a panel is opened.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
from traitlets import Bool, Dict, Int, List

from kimi_magic.panel import assets

__all__ = ["ChatWidget"]

Heard = Callable[[dict[str, Any], Sequence[bytes]], None]


class ChatWidget(anywidget.AnyWidget):
    """One chat, shown by as many views as there are.

    `transcript` is changed in place by who holds `lock`, and what changed is told by messages, so that a long reply is
    sent once; a front end that asks for the state, after a reload, gets it whole. `earlier` counts the entries before
    it that are not loaded. Everything may be used on any thread.
    """

    _esm = assets.esm()
    _css = assets.css()
    transcript: List[Any] = List().tag(sync=True)
    earlier = Int().tag(sync=True)
    version = Int().tag(sync=True)
    status = Dict().tag(sync=True)
    choices = Dict().tag(sync=True)
    usage = Dict().tag(sync=True)
    suggestions: List[Any] = List().tag(sync=True)
    commands: List[Any] = List().tag(sync=True)
    limits = Dict().tag(sync=True)
    later = Bool().tag(sync=True)

    def __init__(self, heard: Heard) -> None:
        self.lock = threading.RLock()
        super().__init__()
        self._heard = heard
        self.on_msg(self._hear)
        _unpin(self.comm)

    def tell(self, kind: str, /, **content: Any) -> None:
        """Send a message to every view; where the front end is gone, to nobody."""
        with self.lock:
            if self.comm is not None:
                self.send({"type": kind, **content})

    def get_state(self, *args: Any, **kwargs: Any) -> Any:
        """Give the state as it stands between two messages."""
        with self.lock:
            return copy.deepcopy(super().get_state(*args, **kwargs))

    def change(self, **traits: Any) -> None:
        """Set traits, one after another; what is equal to before is not sent."""
        with self.lock:
            for name, value in traits.items():
                setattr(self, name, value)

    def restate(self, transcript: list[Any], earlier: int) -> None:
        """Give the transcript anew, whole; `version` tells views of it, since a browser cannot compare."""
        with self.lock:
            if transcript == self.transcript:  # the trait is not sent then, and a browser's copy of it is older
                self.send_state("transcript")
            with self.hold_sync():
                self.transcript, self.earlier = transcript, earlier
                self.version += 1

    def _hear(self, _: object, content: object, buffers: Sequence[bytes]) -> None:
        if isinstance(content, dict) and isinstance(content.get("type"), str):
            self._heard(content, buffers)


def _unpin(comm: Any) -> None:
    """Let the front end choose the subshell that its messages come on.

    ipykernel 7.4 sends them to the thread that has last published on this comm, which a cell may be keeping busy.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default  # noqa: ARG005, SLF001  # ipykernel's own signature
