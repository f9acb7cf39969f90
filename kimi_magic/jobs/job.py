"""One job as the user holds it: how it stands, its results so far, and what can be done with it."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kimi_magic.errors import CommandError
from kimi_magic.jobs.keeping import DONE, FAILED, Kept, Lost
from kimi_magic.jobs.runner import Runner
from kimi_magic.jobs.spec import Spec
from kimi_magic.jobs.standing import Standing
from kimi_magic.messages import Message, Usage

if TYPE_CHECKING:
    from kimi_magic.jobs.entering import Entering
    from kimi_magic.jobs.frame import Outcome
    from kimi_magic.jobs.plan import Plan
    from kimi_magic.jobs.rows import Rows
    from kimi_magic.schema import Output

__all__ = ["Job", "Source"]

LANES = ("auto", "queue", "concurrent")
_PIECE = 10_000
_TICK = 0.2


@dataclass(frozen=True, slots=True)
class Source:
    """What a job's rows came from: the place of each one's item, 0 for a row that holds nothing to ask about.

    Where they are still `entering` the places are those of the first rows.
    """

    rows: Rows
    places: array[int]
    entering: Entering | None = None


class Job:
    """A job of this kernel. All methods may be called from any thread; `wait` from the cell's.

    `resume` makes a plan of how to go on; `converse` opens a conversation of messages.
    """

    def __init__(
        self,
        runner: Runner,
        kept: Kept,
        out: Output | None = None,
        source: Source | None = None,
        resume: Callable[[Kept], Plan] | None = None,
        converse: Callable[[Sequence[Message], str], Any] | None = None,
    ) -> None:
        self.id = kept.id
        self._runner, self._kept, self._out, self._source = runner, kept, out, source
        self._resume, self._converse = resume, converse

    def __repr__(self) -> str:
        now = self.standing
        failed = f", {now.failed:,} failed" if now.failed else ""
        return f"Job({self.id}, {now.state}, {now.done:,} of {now.total:,} rows{failed})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002  # IPython's signature
        from kimi_magic.jobs import page

        return page.bundle(self.standing)

    @property
    def standing(self) -> Standing:
        """How the job stands now."""
        here = self._runner.standing(self.id)
        if here is not None:
            return here
        found = self._runner.keeping.find(self.id)
        if found is None:
            return replace(self._kept.standing, state="cancelled", remark="It was forgotten: map the same again.")
        self._kept = found
        return found.standing

    # What came

    def df(self, *, everything: bool = False) -> Any:
        """Give the finished rows now, like the input: its index, order and columns, and the typed output columns.

        Failed rows have their reason in `kimi_error`. With `everything` unfinished rows are there too, as missing.
        Where the job was taken up again without its data, the rows are the questions. While rows are being entered it
        waits for that. Raises CommandError where there is no dataframe library, or rows could not be entered
        (`kimi_magic.job(id).df()` then gives those that were), StoreError.
        """
        from kimi_magic.jobs.frame import result

        source = self._entered()
        return result(source.rows, self.outcomes(source), self._out, everything=everything)

    def outcomes(self, source: Source | None = None) -> Iterator[Outcome | None]:
        """Give what became of each row, in order; None for one that is not finished."""
        from kimi_magic.jobs.frame import Outcome

        source = source or self._entered()
        nothing = Outcome()
        for piece, found in self._found(source.places):
            for place in piece:
                if not place:
                    yield nothing
                    continue
                state, reply, error = found.get(place, (0, "", ""))
                yield Outcome(reply) if state == DONE else Outcome(error=error) if state == FAILED else None

    def _found(self, places: array[int]) -> Iterator[tuple[array[int], dict[int, tuple[int, str, str]]]]:
        """Give the places piece by piece, with what is known of the items there."""
        number, keeping = self._kept.number, self._runner.keeping
        for start in range(0, len(places), _PIECE):
            piece = places[start : start + _PIECE]
            yield piece, keeping.results(number, set(piece))

    def _entered(self) -> Source:
        """Give the rows, once all are entered; raise what kept them from that. Without the data: the questions."""
        if self._source is None:
            return self._questions()
        if self._source.entering is not None:
            self._source.entering.wait().require()
        return self._source

    def _questions(self) -> Source:
        """Give the items themselves as rows, where the data is not here."""
        from kimi_magic.jobs.rows import rows_of

        kept = self._runner.keeping.find(self.id) or self._kept
        asked = list(self._runner.keeping.questions(kept.number, kept.round))
        return Source(rows_of([{"question": text} for _, text in asked]), array("q", [place for place, _ in asked]))

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The failed rows: `row` is the position in the data, from 0, `reason` what went wrong."""
        from kimi_magic.jobs.rows import PIECE

        source, failed = self._entered(), []
        for n, (piece, found) in enumerate(self._found(source.places)):
            for row, place in enumerate(piece, n * PIECE):
                state, _, error = found.get(place, (0, "", ""))
                if state == FAILED:
                    failed.append({"row": row, "reason": error})
        return failed

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return self.standing.usage

    @property
    def cost(self) -> float | None:
        """US dollars so far; None where no price is known."""
        return self.standing.cost

    # What can be done

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until it ends or asks something, at most `timeout` seconds; Ctrl-C ends the waiting, not the job.

        A job that no kernel works on is gone on with. Raises CommandError where the session it belongs to is closed,
        and what kept rows from being entered.
        """
        from kimi_magic.jobs import bar

        if self.id not in self._runner.works and not self.standing.over:
            self._do(lambda _: None)

        until = None if timeout is None else time.monotonic() + timeout
        entering = None if self._source is None else self._source.entering
        with bar.drawn(self.standing) as draw:
            while True:
                if entering is not None:
                    entering.require()
                draw(now := self.standing)
                if now.over or now.state == "asking":
                    return self
                left = _TICK if until is None else min(_TICK, until - time.monotonic())
                if left <= 0:
                    return self
                with self._runner.changed:
                    self._runner.changed.wait(left)

    def answer(self, *, yes: bool) -> Job:
        """Answer the question of the pilot (state asking): go on, or cancel; of a job that is done, nothing.

        Raises CommandError for one that asks nothing.
        """
        self._do(lambda work: work.answer(yes=yes))
        return self

    def cancel(self) -> Job:
        """Send nothing more; what is done stays."""
        self._do(lambda work: work.cancel())
        return self

    def retry(self, budget: str | float | None = None) -> Job:
        """Ask again what failed, and go on with a job that was cancelled or stopped.

        `budget` is a new one, for the whole job: "$2" or US dollars.
        """
        wanted = dollars(budget) if budget is not None else self.standing.budget
        self._do(lambda work: work.again(wanted))
        return self

    def forget(self) -> None:
        """Cancel it and erase it from the store."""
        if not self.standing.over:
            self.cancel()
        self._runner.drop(self.id)
        self._runner.keeping.forget(self._kept.number)

    @property
    def lane(self) -> str:
        """The lane that was asked for: queue, concurrent or auto. It may be set while the job runs.

        What is at the queue stays there; it is asked again one by one only when all else is done.
        """
        work = self._runner.works.get(self.id)
        return work.lane if work is not None else self._kept.lane

    @lane.setter
    def lane(self, lane: str) -> None:
        if lane not in LANES:
            raise CommandError(f"There is no lane {lane!r}.", hint=f"It is one of {', '.join(LANES)}.")
        self._do(lambda work: work.choose(lane))

    def _do(self, errand: Callable[[Any], None]) -> None:
        """Do something with the job on its thread; one of an earlier kernel is taken up for it."""
        if self.id not in self._runner.works:
            if self._resume is None or self._runner.closed:
                raise CommandError(
                    f"The job {self.id} is closed.", hint=f"kimi_magic.job({self.id!r}) goes on with it."
                )
            kept = self._runner.keeping.find(self.id)
            if kept is None:
                raise CommandError(f"The job {self.id} was forgotten.", hint="Map the same again.")
            self._runner.start(self.id, self._resume(kept))
        try:
            self._runner.do(lambda: errand(self._runner.works[self.id]))
        except Lost:
            raise CommandError("Another kernel has taken this job over.", hint="%kimi jobs shows how it is.") from None

    def on_change(self, callback: Callable[[Standing], None]) -> Callable[[], None]:
        """Call this on the runner's thread at most four times a second, and at the end; give what ends that."""
        return self._runner.on_change(self.id, callback)

    def open(self, row: int = 0) -> Any:
        """Go on with this row (its position, from 0) as the conversation of this kernel; gives that conversation.

        Raises CommandError for a row that has no reply.
        """
        source = self._entered()
        if not isinstance(row, int) or not 0 <= row < len(source.places):  # type: ignore[redundant-expr]  # typed by hand
            raise CommandError(f"There is no row {row!r}: there are {len(source.places):,}.", hint="Rows count from 0.")
        keeping, place = self._runner.keeping, source.places[row]
        state, reply, _ = keeping.results(self._kept.number, [place]).get(place, (0, "", ""))
        if state != DONE or self._converse is None:
            raise CommandError(f"Row {row} has no reply.", hint="`job.errors` says what went wrong, where it failed.")
        spec, question = Spec.read(self._kept.spec), keeping.question(self._kept.number, place)
        said = (*spec.before, Message.of("user", spec.shared + question), Message.of("assistant", reply))
        return self._converse(said, f"row-{row}")


def dollars(budget: str | float) -> float:
    """Read a budget in US dollars: a number, or "$2"; raise CommandError."""
    from kimi_magic.budget import Budget

    if isinstance(budget, int | float) and not isinstance(budget, bool) and budget >= 0:
        return float(budget)
    try:
        found = Budget.parse(str(budget))
    except ValueError as error:
        raise CommandError(f"{budget!r} {error}.", hint='Write budget="$2".') from None
    if found is None or found.per == "day":
        raise CommandError(f"{budget!r} is no budget of one job.", hint='Write budget="$2".')
    return found.dollars
