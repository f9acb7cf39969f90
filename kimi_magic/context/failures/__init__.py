"""An error → what one needs to mend it: message, failing source, values of the names in it, and how it came there.

The user's own frames are shown, those of libraries counted. `Failures` keeps the last error of a shell for `%kimi fix`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kimi_magic.context.description import Description, Look
from kimi_magic.errors import KimiError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Failures", "describe_failure", "last_failure"]


def describe_failure(error: BaseException, look: Look, *, sources: Mapping[str, int] | None = None) -> Description:
    """Describe an error, raised or not, for someone who is to mend it.

    `sources` gives the numbers of cells by the file names that they were compiled under; those of the running IPython
    where it is left out.
    """
    from kimi_magic.context.failures import telling
    from kimi_magic.context.failures.frames import known_cells
    from kimi_magic.context.objects.saying import said, type_name

    name = look.word(type_name(error))
    try:
        text, omitted, withheld = telling.tell(error, look, known_cells() if sources is None else sources)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # an error whose own attributes are not what Python says they are
        text, omitted, withheld = f"{name}: {said(error, str)}", "where it came from", ()
    return Description.of("error", look.text(text), shape=name, withheld=withheld, omitted=omitted)


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
    return isinstance(error, BaseException) and not isinstance(error, KimiError | KeyboardInterrupt)
