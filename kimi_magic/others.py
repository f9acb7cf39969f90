"""Whether anybody else has written into the cell that runs: a hook of another extension, a thread, a warning.

IPython keeps what a cell prints in `history_manager.outputs`; displays are seen by a hook of the kernel's publisher,
set anew before each cell. A kernel that has neither is taken for one where somebody has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Others"]


class Others:
    """Watches the cells of a shell, from the next one on, until `stop`."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._publisher: Any = shell.display_pub
        self._mine = False
        self._displayed = True
        shell.events.register("pre_execute", self._begin)

    def _begin(self) -> None:
        if hasattr(self._publisher, "register_hook"):
            self._publisher.unregister_hook(self._hook)
            self._publisher.register_hook(self._hook)
            self._displayed = False

    def _hook(self, message: Any) -> Any:
        if not self._mine:
            self._displayed = True
        return message

    def ours(self, publish: Callable[[], None]) -> None:
        """Publish something that is not another's."""
        self._mine = True
        try:
            publish()
        finally:
            self._mine = False

    @property
    def seen(self) -> bool:
        """Whether this cell holds anything that was not published through `ours`."""
        outputs = getattr(self._shell.history_manager, "outputs", None)
        mine = outputs.get(self._shell.displayhook.prompt_count) or () if outputs is not None else ()
        printed = outputs is None or any(output.output_type != "display_data" for output in mine)
        return printed or self._displayed

    def stop(self) -> None:
        """Watch no longer."""
        self._shell.events.unregister("pre_execute", self._begin)
        if hasattr(self._publisher, "unregister_hook"):
            self._publisher.unregister_hook(self._hook)
