"""Everything that can go wrong, by who has to act.

KimiError
├── CommandError            the cell: an option, a name or a text that cannot be used
├── SettingError            the set-up: a value from the environment, %config or a TOML file
├── AccountError            the account
│   ├── MissingCredential     nothing to sign in with, and no local model
│   ├── AuthenticationError   a wrong token, or one without the permission
│   ├── PlanError             the model needs another plan, or credit
│   ├── QuotaError            the day's free allocation is used up
│   └── BudgetReached         the question might pass the budget that the user has set
├── ServiceError            the service
│   ├── UnknownModel          no such model, or it was retired
│   ├── RequestRefused        the service would not take this request
│   ├── TooLarge              question and reply do not fit the model's window
│   ├── Busy                  out of capacity or too many requests; retried before it is raised
│   ├── ServerFailure         the service failed; retried before it is raised
│   ├── Unqueueable           this model takes no batches
│   ├── BatchLost             the service no longer knows a batch that it had taken
│   └── BrokenReply           the reply came cut, garbled, or with an error inside
├── NetworkError            the network: no connection
│   └── Stalled               connected, but silent for too long
├── InvalidReply            the model: its reply is not of the type that was asked for, and could not be mended
├── NotRecorded             the journal: nothing may be sent, and nothing is recorded for this request
├── StoreError              what is kept on disk cannot be read or written
└── LocalModelError         the model on this machine cannot be started
Interrupted (a KeyboardInterrupt)  the user stopped the reply

Each says what happened, has the next step in `hint`, and shows itself in at most five lines without a traceback.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccountError",
    "AuthenticationError",
    "BatchLost",
    "BrokenReply",
    "BudgetReached",
    "Busy",
    "CommandError",
    "Interrupted",
    "InvalidReply",
    "KimiError",
    "LocalModelError",
    "MissingCredential",
    "NetworkError",
    "NotRecorded",
    "PlanError",
    "QuotaError",
    "RequestRefused",
    "ServerFailure",
    "ServiceError",
    "SettingError",
    "Stalled",
    "StoreError",
    "TooLarge",
    "UnknownModel",
    "Unqueueable",
]

# The plain red of the sixteen colours is too faint on the background that JupyterLab gives an error.
_RED, _DIM, _PLAIN = "\x1b[1;38;5;196m", "\x1b[2m", "\x1b[0m"
_LONGEST_LINE = 400


class KimiError(Exception):
    """Base of all errors of this package.

    `hint` is the next step, in one line. `status` (HTTP), `code` (Workers AI) and `request_id` (what to quote to
    Cloudflare) are set where a server answered. `reply` is the Reply that had arrived before the error, None for none;
    `done` what a map had done before it: the values, None for those that are missing.
    """

    done: Any = None

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        code: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = status
        self.code = code
        self.request_id = request_id
        self.reply: Any = None

    @property
    def _where(self) -> str:
        known = (
            f"HTTP {self.status}" if self.status else "",
            f"code {self.code}" if self.code else "",
            f"request {self.request_id}" if self.request_id else "",
        )
        return ", ".join(part for part in known if part)

    def __str__(self) -> str:
        where = f" ({self._where})" if self._where else ""
        return self.message + where + (f"\n{self.hint}" if self.hint else "")

    def _render_traceback_(self) -> list[str]:
        """Give what IPython shows in place of a traceback: at most five lines."""
        lines = [f"{_RED}{type(self).__name__}{_PLAIN}: {_one_line(self.message)}"]
        if self.hint:
            lines.append(f"→ {_one_line(self.hint)}")
        if self._where:
            lines.append(f"{_DIM}{_one_line(self._where)}{_PLAIN}")
        return lines


def _one_line(text: str) -> str:
    line = "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split()))
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


class CommandError(KimiError):
    """The cell asks for something that cannot be: an option, a name, a number, an empty text."""


class SettingError(KimiError):
    """A setting has a value that cannot be used; the message names where it came from."""


class AccountError(KimiError):
    """The account has to change."""


class MissingCredential(AccountError):
    """There is nothing to sign in with."""


class AuthenticationError(AccountError):
    """The token is wrong, or lacks the Workers AI permission."""


class PlanError(AccountError):
    """The account's plan or credit does not cover this model."""


class QuotaError(AccountError):
    """The day's free allocation is used up; it starts again at 00:00 UTC."""


class BudgetReached(AccountError):
    """The question was not sent: it might pass the budget that the user has set."""


class ServiceError(KimiError):
    """The service refused or failed."""


class UnknownModel(ServiceError):
    """There is no such model, or there is no longer."""


class RequestRefused(ServiceError):
    """The service would not take this request as it stands."""


class TooLarge(ServiceError):
    """Question, conversation and reply together do not fit."""


class Busy(ServiceError):
    """The service is out of capacity, or this account asked too often."""


class ServerFailure(ServiceError):
    """The service failed on its side."""


class Unqueueable(ServiceError):
    """The model, or the place where it is asked, takes no batches; the same requests can be sent one by one."""


class BatchLost(ServiceError):
    """The service does not know the id of a batch, or no longer: what it may have answered is gone."""


class BrokenReply(ServiceError):
    """The reply was cut, garbled or ended in an error; what arrived is in `reply`."""


class NetworkError(KimiError):
    """No connection could be made, or it broke before the reply began."""


class Stalled(NetworkError):
    """The server is connected and says nothing."""


class InvalidReply(KimiError):
    """The reply is not what was asked for. `reply` holds its text.

    `rows` are those that are valid, where rows were asked for; `errors` says of each other one what is wrong.
    """

    rows: Any = ()
    errors: Any = ()


class NotRecorded(KimiError):
    """Only recorded replies are wanted, and there is none for this request; `diff` is to the nearest that has one.

    `diff` is a line that was recorded and the line that stands in its place, both empty where nothing is recorded.
    """

    diff: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        return (
            "\n".join([self.message, *self._diff, *([self.hint] if self.hint else [])])
            if any(self.diff)
            else super().__str__()
        )

    @property
    def _diff(self) -> list[str]:
        return (
            [f"{mark} {_one_line(line)}" for mark, line in zip("-+", self.diff, strict=True)] if any(self.diff) else []
        )

    def _render_traceback_(self) -> list[str]:
        first, *rest = super()._render_traceback_()
        return [first, *self._diff, *rest]


class StoreError(KimiError):
    """The file in the user's data folder cannot be read or written."""


class LocalModelError(KimiError):
    """The model on this machine is not installed, or did not start."""


class Interrupted(KeyboardInterrupt):
    """The user stopped the reply. `reply` holds what had arrived, None for nothing.

    `done` is what a map had done before: the values, None for those that are missing.
    """

    def __init__(self, reply: Any = None, done: Any = None, told: str = "Stopped.") -> None:
        super().__init__(told)
        self.reply = reply
        self.done = done

    def _render_traceback_(self) -> list[str]:
        return [str(self)]
