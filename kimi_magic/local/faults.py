"""What can go wrong, by name: every refusal that a client must tell apart, and every way in which an answer can break.

by Workers AI code   3040 3021 4006 3036 3006 5021 8007 10000 5035 5028 5007 5004 8005 3043 3046 (`retry_after=S` adds
                     the header, which the live service was never seen to send)
html                 502 with the HTML page of some proxy
200-json             HTTP 200 with the error envelope of 3040, though a stream was asked for
no-bytes             takes the request and never answers
schema               only for a `json_schema` as response format: shape = refused (400/8001) | unmet (HTTP 200 with an
                     error and no code); a `json_object` is taken
silence              sends the headers, then nothing
inside the stream, after `after=K` tokens:
midstream            an error frame, then the end; shape = error | error-list | errors | event
garbage              one frame that is not JSON; the stream goes on
cut                  the connection closes in the middle of the body
reset                the same with a TCP reset
after all content (or `after=K` tokens):
no-done              neither a finish reason nor [DONE]
no-finish            [DONE], but no finish reason
of batches:
queue-…              see `queue_faults`
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from . import queue_faults
from .directives import Fault
from .engine import DONE, Ask, Page, Refusal, Silence, frame, refused, too_long, upstream_refused
from .frames import Framer

ALLOCATION = (
    "you have used up your daily free allocation of 10,000 neurons, please upgrade to Cloudflare's Workers Paid plan "
    "if you would like to continue usage."
)


@dataclass(frozen=True, slots=True)
class Known:
    """One refusal: its HTTP status and its words."""

    status: int
    text: str
    from_model: bool = True
    """Whether the message has the model side's prefix and request id."""


REFUSALS = {
    3040: Known(429, "Capacity temporarily exceeded, please try again."),
    3021: Known(429, "rate limiting: inference request per min rate reached"),
    4006: Known(429, ALLOCATION),
    3036: Known(429, ALLOCATION),
    3006: Known(413, "Request is too large"),
    5035: Known(
        403,
        "Model {model} is not available on the Workers Free plan. Upgrade to access this model: "
        "https://developers.cloudflare.com/workers-ai/platform/pricing/",
        from_model=False,
    ),
    5028: Known(410, "Model {model} was deprecated and is no longer available"),
    5007: Known(400, "No such model {model} or task", from_model=False),
    5004: Known(400, "Invalid data"),
    10000: Known(401, "Authentication error", from_model=False),
    8005: Known(500, "Internal server error"),
    3043: Known(500, "Internal server error"),
    3046: Known(408, "Request timeout"),
    8001: Known(400, "Invalid input"),
}
OVERFLOW = (
    "Requested token count exceeds the model's maximum context length of {context} tokens. You requested a total of "
    "{total} tokens: {input} tokens from the input messages and {output} tokens for the completion. Please reduce the "
    "number of tokens in the input messages or the completion to fit within the limit."
)
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
BUSY = {"errors": [{"message": "AiError: AiError: Capacity temporarily exceeded", "code": 3040}], "success": False}
UNMET = {"errors": [{"message": "AiError: AiError: JSON Mode couldn't be met"}], "success": False}
MIDSTREAM = {
    "error": frame({"error": {"message": "Internal server error", "code": 3043}}),
    "error-list": frame({"error": [{"message": "Internal server error", "code": 3043}]}),
    "errors": frame({"errors": [{"message": "AiError: Internal server error", "code": 3043}], "success": False}),
    "event": b"event: error\n" + frame({"message": "Internal server error", "code": 3043}),
}
GARBAGE = b'data: {"choices":[{"index":0,"delta":\n\n'
IN_STREAM = frozenset({"midstream", "garbage", "cut", "reset", "silence", "no-done", "no-finish"})
WHOLE = frozenset({"html", "200-json", "no-bytes", "schema"})
SHAPES = {"schema": ("refused", "unmet")}


def check(fault: Fault) -> None:
    """Raise ValueError for a fault that does not exist."""
    code = int(fault.name) if fault.name.isdecimal() else None
    if code not in REFUSALS and code not in (5021, 8007) and fault.name not in IN_STREAM | WHOLE | queue_faults.ALL:
        raise ValueError(f"no such fault: {fault.name!r}")
    shapes = SHAPES.get(fault.name) or queue_faults.SHAPES.get(fault.name, tuple(MIDSTREAM))
    if fault.shape is not None and fault.shape not in shapes:
        raise ValueError(f"shape is one of {', '.join(shapes)}")


def strikes(fault: Fault, ask: Ask) -> bool:
    """Tell whether this request is one that the fault is about."""
    if fault.name in queue_faults.ALL:
        return False
    wanted = ask.body.get("response_format")
    return fault.name != "schema" or (isinstance(wanted, dict) and wanted.get("type") == "json_schema")


def refusal(fault: Fault, model: str, context: int, request_id: str) -> Refusal:
    """Return the refusal with the code that names the fault."""
    code = 8001 if fault.name == "schema" else int(fault.name)
    if code == 5021:  # noqa: PLR2004  # a code is its own name
        made = too_long(context + 746, context, request_id)
    elif code == 8007:  # noqa: PLR2004
        sizes = {"context": context, "total": context + 1781, "input": context - 62_219, "output": 64_000}
        made = upstream_refused(OVERFLOW.format(**sizes), request_id)
    else:
        known = REFUSALS[code]
        text = known.text.format(model=model)
        made = refused(known.status, code, text, request_id) if known.from_model else Refusal(known.status, code, text)
    made.fault = True
    if fault.retry_after is not None:
        made.headers["retry-after"] = fault.retry_after
    return made


def whole(fault: Fault) -> Page | Silence:
    """Return the answer that replaces the whole reply."""
    match fault.name:
        case "html":
            return Page(502, "text/html", HTML)
        case "200-json":
            return Page(200, "application/json", json.dumps({**BUSY, "result": {}, "messages": []}).encode())
        case "schema":
            return Page(200, "application/json", json.dumps({**UNMET, "result": {}, "messages": []}).encode())
        case _:
            return Silence()


def spoilt(framer: Framer, fault: Fault) -> Iterator[bytes]:
    """Yield the frames of a reply, as far and in the way that this fault lets them out."""
    tokens = framer.tokens()
    to_the_end = fault.name in ("no-done", "no-finish") and fault.after is None
    if fault.name != "silence" or fault.after:
        yield framer.opening()
    yield from islice(tokens, None if to_the_end else fault.after or 0)
    match fault.name:
        case "garbage":
            yield GARBAGE
            yield from tokens
            yield framer.closing()
        case "midstream":
            yield MIDSTREAM[fault.shape or "error"]
        case "no-finish":
            yield DONE
