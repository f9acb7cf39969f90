"""What cells leave behind and IPython does not keep: the last error, and what was displayed.

This is here from the loading of the extension on, so it imports nothing.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import Interrupted, KimiError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Displays", "Failures", "last_failure"]

_KEPT_CELLS, _KEPT_OUTPUTS, _KEPT_TEXT = 2_000, 50, 20_000


class Displays:
    """Keeps the text of what the cells of a kernel display, from the next one on, until `stop`: the kernel keeps none.

    A terminal's IPython keeps it in its history, and has nothing here to watch.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._publisher: Any = shell.display_pub
        self._found: dict[int, list[tuple[str, dict[str, str]]]] = {}
        self._clearing = False
        shell.events.register("pre_run_cell", self._begin)

    def of(self, number: int) -> list[dict[str, str]]:
        """Give what a cell displayed, updates applied: texts, and of all else only that it is there."""
        return [bundle for _, bundle in self._found.get(number, ())]

    def _begin(self, _: object) -> None:
        if hasattr(self._publisher, "register_hook"):  # the publisher has a list of hooks for each thread
            self._publisher.unregister_hook(self._hook)
            self._publisher.register_hook(self._hook)
        self._clearing = False

    def _hook(self, message: Any) -> Any:
        with suppress(KeyError, TypeError, AttributeError):  # a message of another extension's, however it looks
            self._note(message["header"]["msg_type"], message["content"], self._shell.displayhook.prompt_count)
        return message

    def _note(self, kind: str, content: Any, number: int) -> None:
        if kind == "update_display_data":
            self._update(content["transient"]["display_id"], content["data"])
        elif kind == "clear_output":
            self._clearing = True
            if not content["wait"]:
                self._found.pop(number, None)
        elif kind == "display_data":
            kept = [] if self._clearing else self._found.get(number, [])
            self._clearing = False
            identity = str(content.get("transient", {}).get("display_id", ""))
            self._found[number] = [*kept, (identity, _kept(content["data"]))][-_KEPT_OUTPUTS:]
            while len(self._found) > _KEPT_CELLS:
                del self._found[next(iter(self._found))]

    def _update(self, identity: object, data: Any) -> None:
        for number, found in self._found.items():
            if any(known == identity for known, _ in found):
                new = _kept(data)
                self._found[number] = [(known, new if known == identity else old) for known, old in found]

    def stop(self) -> None:
        """Watch no longer."""
        if hasattr(self._publisher, "unregister_hook"):
            self._publisher.unregister_hook(self._hook)
        self._shell.events.unregister("pre_run_cell", self._begin)


def _kept(data: Any) -> dict[str, str]:
    """Of a bundle keep text that a model can read; of all else only that it is there."""
    return {kind: _cut(str(text)) if kind in ("text/plain", "text/markdown") else "" for kind, text in data.items()}


def _cut(text: str) -> str:
    """Cut between two words: half a secret would not be known for one."""
    return text if len(text) <= _KEPT_TEXT else text[:_KEPT_TEXT].rpartition(" ")[0]


class Failures:
    """Keeps the last error of a shell's cells, from the next one on, until `stop`; our own are nobody's to mend."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._last: BaseException | None = None
        shell.events.register("post_run_cell", self._note)

    def _note(self, result: Any) -> None:
        error = result.error_in_exec if result.error_in_exec is not None else result.error_before_exec
        if _is_the_users(error):
            self._last = error

    def last(self) -> BaseException | None:
        """Give the last error, or the one that Python itself remembers; None for none."""
        return self._last if self._last is not None else last_failure()

    def stop(self) -> None:
        """Watch no longer, and let go of the error."""
        self._last = None
        self._shell.events.unregister("post_run_cell", self._note)


def last_failure() -> BaseException | None:
    """Give the last error that was shown to the user and is not ours; None for none."""
    errors: list[BaseException | None] = [getattr(sys, name, None) for name in ("last_exc", "last_value")]
    return next((error for error in errors if _is_the_users(error)), None)


def _is_the_users(error: object) -> bool:
    return isinstance(error, BaseException) and not isinstance(error, KimiError | Interrupted)
