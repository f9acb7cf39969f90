"""An error → what one needs to mend it: message, failing source, values of the names in it, and how it came there.

The user's own frames are shown, those of libraries counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from kimi_magic.context.description import Description, Look

__all__ = ["describe_failure"]


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
