"""What a server's refusal means: the error of ours that it becomes, its next step, and whether asking again may help.

The codes are Workers AI's and AI Gateway's, from their documentation and from public reports of live answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from kimi_magic.errors import (
    AuthenticationError,
    BrokenReply,
    Busy,
    KimiError,
    PlanError,
    QuotaError,
    RequestRefused,
    ServerFailure,
    SettingError,
    TooLarge,
    UnknownModel,
    Unqueueable,
)
from kimi_magic.wire import Failure

__all__ = ["ONE_BY_ONE", "error_of", "temporary"]

_DAILY = "daily free allocation"
_UNMET = "JSON Mode couldn't be met"
_NO_QUEUE = ("does not support request queuing", "batch queueing not available")
_SERVER_FAILURE = 500
_ONCE = {8005}
_RETRIED = {3001, 3007, 3008, 3021, 3040, 3043, 3046}
_NEVER = {3036, 4006, 10063}
_RETRIED_STATUS = {408, 409, 429}


def temporary(failure: Failure, attempt: int) -> bool:
    """Whether the same request may succeed a little later; `attempt` counts from one."""
    if failure.code in _NEVER or _DAILY in failure.message:
        return False
    if failure.code in _ONCE:
        return attempt == 1
    if failure.code in _RETRIED:
        return True
    return failure.status in _RETRIED_STATUS or (failure.status or 0) >= _SERVER_FAILURE


_AGAIN = "The service asked for patience; ask again in a minute."
_SIGN_IN = "Check CLOUDFLARE_API_TOKEN: it needs the permission Workers AI, and to belong to CLOUDFLARE_ACCOUNT_ID."
_PLAN = "Upgrade to Workers Paid or add credit, or choose another model: %kimi model NAME, %kimi use local."
_MODEL = "`%kimi model` lists the models known here."
_SMALLER = "Send less along (--rows, --columns), begin anew with --new, or lower --max-tokens."
_REQUEST = "The message above says what the service minds; the conversation is unchanged."
ONE_BY_ONE = "Ask one by one: lane=concurrent."
_STATUS_PAGE = "It failed on the service's side; ask again later."

_BY_CODE: Mapping[int, tuple[type[KimiError], str]] = {
    1000: (AuthenticationError, _SIGN_IN),
    2001: (SettingError, "Check the setting `gateway`: the account has no AI Gateway of that name."),
    2009: (AuthenticationError, "The AI Gateway wants a token of its own account."),
    2021: (PlanError, "Add credit for Unified Billing in the dashboard, or use a model that starts with @cf/."),
    2044: (PlanError, "Store the provider's key in the AI Gateway, or allow Unified Billing."),
    3001: (ServerFailure, _STATUS_PAGE),
    3003: (RequestRefused, _REQUEST),
    3006: (TooLarge, _SMALLER),
    3007: (ServerFailure, _STATUS_PAGE),
    3008: (ServerFailure, _STATUS_PAGE),
    3021: (Busy, "This account asked too often: paid models allow 20 requests a minute, others 300."),
    3023: (PlanError, "Cloudflare has blocked this account for Workers AI; its support can say why."),
    3030: (RequestRefused, _REQUEST),
    3036: (QuotaError, "It starts again at 00:00 UTC; Workers Paid goes on; or: %kimi use local."),
    3039: (RequestRefused, _REQUEST),
    3040: (Busy, _AGAIN),
    3041: (PlanError, _PLAN),
    3042: (UnknownModel, _MODEL),
    3043: (ServerFailure, _STATUS_PAGE),
    3046: (ServerFailure, _STATUS_PAGE),
    4006: (QuotaError, "It starts again at 00:00 UTC; Workers Paid goes on; or: %kimi use local."),
    5001: (ServerFailure, _STATUS_PAGE),
    5004: (RequestRefused, _REQUEST),
    5005: (RequestRefused, _REQUEST),
    5006: (RequestRefused, _REQUEST),
    5007: (UnknownModel, _MODEL),
    5016: (PlanError, "Accept the model's terms in the dashboard first."),
    5018: (PlanError, _PLAN),
    5019: (RequestRefused, _REQUEST),
    5021: (TooLarge, _SMALLER),
    5028: (UnknownModel, "The model was retired; %kimi model kimi-k2.6 is its successor."),
    5035: (PlanError, _PLAN),
    7000: (SettingError, "Check the endpoint: `%kimi config` shows it."),
    7001: (SettingError, "Check the endpoint: `%kimi config` shows it."),
    7003: (SettingError, "Check CLOUDFLARE_ACCOUNT_ID: 32 characters of 0-9 and a-f."),
    8001: (RequestRefused, _REQUEST),
    8005: (ServerFailure, _STATUS_PAGE),
    8006: (RequestRefused, _REQUEST),
    8007: (RequestRefused, _REQUEST),
    8008: (RequestRefused, _REQUEST),
    9106: (AuthenticationError, _SIGN_IN),
    10000: (AuthenticationError, _SIGN_IN),
    10063: (Unqueueable, ONE_BY_ONE),
}

_NO_API = "Is this the address of an API? `%kimi config` shows the endpoint."

_BY_STATUS: Mapping[int, tuple[type[KimiError], str]] = {
    **dict.fromkeys((301, 302, 303, 307, 308), (SettingError, _NO_API)),
    401: (AuthenticationError, _SIGN_IN),
    402: (PlanError, _PLAN),
    403: (AuthenticationError, _SIGN_IN),
    404: (UnknownModel, "Neither this model nor this path is known there; `%kimi config` shows the endpoint."),
    408: (ServerFailure, _STATUS_PAGE),
    410: (UnknownModel, "The model was retired."),
    413: (TooLarge, _SMALLER),
    429: (Busy, _AGAIN),
}


def error_of(failure: Failure, *, broken: bool = False) -> KimiError:
    """Make our error of what a server said. `broken`: it came inside a reply that had begun."""
    kind, hint = _BY_CODE.get(failure.code or 0, (None, ""))
    if _UNMET in failure.message:  # with a code or none, instead of a reply or inside of one
        kind, hint, broken = RequestRefused, "Ask for a simpler type.", False
    if any(words in failure.message for words in _NO_QUEUE):  # its code, 8007, has other meanings, too
        kind, hint = Unqueueable, ONE_BY_ONE
    if kind is None:
        kind, hint = _BY_STATUS.get(failure.status or 0, (None, ""))
    if kind is None:
        if failure.code is None and failure.status is None and not broken:
            return RequestRefused(failure.message, hint=_NO_API, request_id=failure.request_id)
        server = (failure.status or 0) >= _SERVER_FAILURE
        kind, hint = (ServerFailure, _STATUS_PAGE) if server else (RequestRefused, _REQUEST)
    if _DAILY in failure.message:
        kind, hint = _BY_CODE[4006]
    if failure.code == 8007 and "context length" in failure.message:  # noqa: PLR2004  # a passed-through 400
        kind, hint = TooLarge, _SMALLER
    if broken:
        kind, hint = BrokenReply, "Ask again."
    return kind(failure.message, hint=hint, status=failure.status, code=failure.code, request_id=failure.request_id)
