"""What a variable holds until its reply has come: it says so, and is of no use for anything else."""

from __future__ import annotations

from typing import Any, NoReturn

from kimi_magic.errors import CommandError

__all__ = ["Pending", "awaits"]


class Pending:
    """In the place of a reply that comes later. Whatever is done with it raises CommandError; its repr says why.

    `over` is how the job ended without a reply: cancelled, stopped.
    """

    def __init__(self, job: str, told: str, *, over: str = "") -> None:
        self._job = job
        self._said = f"The reply of job {job} is not there yet ({told})."
        self._step = f"%kimi job {job} wait waits for it; Ctrl-C ends the waiting, not the job."
        if over:
            self._said = f"There is no reply: job {job}, {told}, is {over}."
            self._step = f"%kimi job {job} shows why; %kimi job {job} retry asks again."

    def __repr__(self) -> str:
        return f"{self._said} {self._step}"

    __str__ = __repr__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python, IPython and front ends look for these of whatever is there
            raise AttributeError(name)
        self._refuse()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise CommandError(self._said, hint=self._step)

    __len__ = __iter__ = __getitem__ = __call__ = __contains__ = __add__ = __radd__ = __float__ = __int__ = _refuse
    __bool__ = __lt__ = __gt__ = _refuse
    _repr_llm_ = _refuse


def awaits(value: object, job: str) -> bool:
    """Whether this stands in the place of the reply of a job."""
    return isinstance(value, Pending) and value._job == job  # noqa: SLF001  # the two are one thing
