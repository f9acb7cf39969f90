"""The tools that a question of the panel brings, and where code of the model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kimi_magic import cell, execution, kernel
from kimi_magic.errors import CommandError
from kimi_magic.settings import Settings

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from kimi_magic.tools.approval import Approval
    from kimi_magic.tools.toolbox import Toolbox

__all__ = ["check", "toolbox"]


def check(names: Sequence[str]) -> None:
    """Raise CommandError where one of these names is no tool."""
    toolbox(names, kernel.resolve(), lambda *_: False, lambda: True)


def toolbox(names: Sequence[str], values: Settings, approval: Approval, stopped: Callable[[], bool]) -> Toolbox | None:
    """Give what answers the calls of a question, None without tools; `stopped` ends the waiting for a cell's end."""
    shell = cell.current_shell()
    if not names or shell is None:
        return None
    return kernel.toolbox(
        names, values, shell.user_ns, approval=approval, run=lambda code: _run_between_cells(shell, code, stopped)
    )


def _run_between_cells(shell: InteractiveShell, code: str, stopped: Callable[[], bool]) -> object:
    """Run code where cells run, once none does: it belongs to the user's notebook, not to this thread."""
    from kimi_magic.tools import loops

    async def run() -> object:
        return execution.run_here(shell, code)

    for _, ran in loops.together([loops.Work(run, None)], stopped):
        if ran.error is not None:
            raise ran.error
        return ran.value
    raise CommandError("The user stopped this before it was done.")
