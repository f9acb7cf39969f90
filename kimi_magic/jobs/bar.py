"""A bar in a terminal while somebody waits for a job: tqdm's, drawn by the thread that waits and by no other."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from kimi_magic.jobs import page
from kimi_magic.jobs.standing import Standing

__all__ = ["drawn"]


@contextlib.contextmanager
def drawn(standing: Standing) -> Iterator[Callable[[Standing], None]]:
    """Give what draws a job as it stands; where there is no terminal, or nothing to wait for, that draws nothing."""
    if standing.over or not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=standing.total, desc=f"job {standing.id}", unit="row", dynamic_ncols=True) as bar:

        def draw(now: Standing) -> None:
            bar.total = now.total
            bar.set_postfix_str(", ".join(count for count in page.counts(now) if "done" not in count), refresh=False)
            bar.update(now.done + now.failed - bar.n)

        yield draw
        bar.refresh()
