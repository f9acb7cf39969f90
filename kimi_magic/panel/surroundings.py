"""What the notebook around the panel has done: its last cell, its last error, what its cells displayed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kimi_magic import cell
from kimi_magic.context import watching

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.context.watching import Displays

__all__ = ["displays", "last_cell", "last_failure"]

_OPENING = re.compile(r"^\s*%kimi\s+chat\b|\bkimi_magic\.chat\(", re.MULTILINE)


def last_cell(shell: InteractiveShell | None) -> str:
    """Give the number of the last cell that did something else than to open the panel; empty for none."""
    inputs: list[str] = getattr(getattr(shell, "history_manager", None), "input_hist_raw", [])
    numbers = (n for n in range(len(inputs) - 1, 0, -1) if inputs[n].strip() and not _OPENING.search(inputs[n]))
    return str(next(numbers, ""))


def last_failure() -> BaseException | None:
    """Give the last error of a cell; None for none."""
    failures = _of_magics("failures")
    found: BaseException | None = failures.last() if failures is not None else watching.last_failure()
    return found


def displays() -> Displays | None:
    """Give what knows what the cells displayed; None where the extension is not loaded."""
    found: Displays | None = _of_magics("displays")
    return found


def _of_magics(name: str) -> Any:
    """Give what the extension watches in this shell; None where it is not loaded."""
    registry: dict[str, Any] = getattr(getattr(cell.current_shell(), "magics_manager", None), "registry", {})
    return getattr(registry.get("KimiMagics"), name, None)
