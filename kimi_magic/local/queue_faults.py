"""What can go wrong with a whole batch, by name; `<<fault NAME>>` in any of its questions asks for it.

at once:
queue-8007           no batches for this model: 400/8007 "This model does not support request queuing"
queue-10063          400/10063 "batch queueing not available"
queue-413            413/3006, whatever its size
queue-cut            the batch is taken, and the connection closes before its id is told
later:
queue-never          it never finishes; shape = running | queued
queue-forgotten      its id is unknown, from the first question after it on or after `after=K` of them
queue-busy           the first question after it is refused with 429/3040, or the first `after=K` of them
queue-failed         the whole batch fails: status `error`, 5001
in the finished list:
queue-results        it is called `results`
queue-order          it runs backwards, even places first
queue-twice          this item's answer stands there twice
queue-missing        this item's answer is missing
in the events:
queue-event          their messages; shape = base64 (as usual) | plain | double (JSON in JSON) | none (they do not come)

They strike batches only, and batches are struck by no other fault; but each item has its own: one that an ordinary
request would be refused with (`<<fault 8005>>`) fails this item alone.
"""

from typing import Any

from .directives import Fault
from .engine import Refusal, refused

SHAPES = {"queue-never": ("running", "queued"), "queue-event": ("base64", "plain", "double", "none")}
OF_ITEMS = frozenset({"queue-twice", "queue-missing"})
AT_ONCE = frozenset({"queue-8007", "queue-10063", "queue-413", "queue-cut"})
LATER = frozenset({"queue-never", "queue-forgotten", "queue-busy", "queue-failed", "queue-event"})
IN_LIST = frozenset({"queue-results", "queue-order"}) | OF_ITEMS
ALL = AT_ONCE | LATER | IN_LIST
PREFIX = "queue-"


def noted(fault: Fault) -> dict[str, Any]:
    """Give a fault as the queue keeps it with its batch."""
    return {"shape": fault.shape, "after": fault.after, "items": []}


def refusal(struck: dict[str, Any], model: str, request_id: str) -> Refusal | None:
    """Return what a batch is refused with instead of being taken, if it is."""
    made = None
    if "queue-8007" in struck:
        made = unqueueable(request_id)
    elif "queue-10063" in struck:
        made = Refusal(400, 10063, f"batch queueing not available for {model}")
    elif "queue-413" in struck:
        made = Refusal(413, 3006, "AiError: Request is too large")
    if made is not None:
        made.fault = True
    return made


def unqueueable(request_id: str) -> Refusal:
    """Make the refusal of a model that takes no batches."""
    return refused(400, 8007, "This model does not support request queuing", request_id)


def listed(answers: list[tuple[int, str]], struck: dict[str, Any]) -> list[str]:
    """Give the finished list as the faults leave it; of each answer its place in the batch is given, too."""
    missing = set(struck.get("queue-missing", {}).get("items", ()))
    twice = set(struck.get("queue-twice", {}).get("items", ()))
    found = [one for place, one in answers if place not in missing]
    found += [one for place, one in answers if place in twice]
    if "queue-order" in struck:
        found = found[::2][::-1] + found[1::2][::-1]
    return found
