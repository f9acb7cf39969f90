"""Events of batches, and the Cloudflare Queues that they are put into: subscribed to, pulled over HTTP, acknowledged.

A message that was pulled is hidden for a while; whoever pulled it acknowledges it by its lease, or it comes again.
"""

import base64
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .engine import Json, Refusal, bad_input
from .guard import envelope
from .queue_file import Batch, QueueFile

KINDS = ("queued", "succeeded", "failed")
MOST = 100
"""Messages in one pull."""
USUAL, LONGEST = 30_000, 12 * 3_600_000
"""Milliseconds for which pulled messages are hidden."""
LASTING = 4 * 86_400.0
"""Seconds for which a message is kept."""


class Events:
    """Subscriptions and messages, in the queue's file."""

    def __init__(self, file: QueueFile) -> None:
        self.db = file.db

    def subscribe(self, queue: str, model: str, kinds: list[str]) -> str:
        """Put events of these kinds about this model into that queue; the queue is made of it."""
        id_ = uuid.uuid4().hex
        self.db.execute("INSERT INTO subscription VALUES (?, ?, ?, ?)", (id_, queue, model, json.dumps(kinds)))
        return id_

    def tell(self, batch: Batch, kind: str, failure: Json | None = None) -> None:
        """Put an event into all queues that want it."""
        how = batch.faults.get("queue-event", {}).get("shape") or "base64"
        rows = self.db.execute("SELECT id, queue, events FROM subscription WHERE model = ?", (batch.model,)).fetchall()
        for id_, queue, kinds in rows:
            if kind in json.loads(kinds) and how != "none":
                body = spelt(event(batch, kind, failure, id_), how)
                self.db.execute(
                    "INSERT INTO message VALUES (NULL, ?, ?, ?, ?, 0, 0, '')",
                    (uuid.uuid4().hex, queue, body, time.time()),
                )

    def known(self, queue: str) -> bool:
        """Tell whether there is such a queue."""
        return self.db.execute("SELECT 1 FROM subscription WHERE queue = ?", (queue,)).fetchone() is not None

    def pull(self, queue: str, most: int, hidden: float) -> tuple[int, list[Json]]:
        """Take messages and hide them for so many seconds; say, too, how many there are in all."""
        now = time.time()
        self.db.execute("DELETE FROM message WHERE created < ?", (now - LASTING,))
        (backlog,) = self.db.execute("SELECT COUNT(*) FROM message WHERE queue = ?", (queue,)).fetchone()
        rows = self.db.execute(
            "SELECT number, id, body, created, attempts FROM message WHERE queue = ? AND visible <= ? "
            "ORDER BY number LIMIT ?",
            (queue, now, most),
        ).fetchall()
        found = []
        for number, id_, body, created, attempts in rows:
            lease = uuid.uuid4().hex
            changed = (now + hidden, lease, number)
            self.db.execute(
                "UPDATE message SET visible = ?, lease = ?, attempts = attempts + 1 WHERE number = ?", changed
            )
            metadata = {"CF-sourceMessageSource": "event-subscriptions", "CF-Content-Type": "json"}
            message = {"body": body, "id": id_, "timestamp_ms": int(created * 1000), "attempts": attempts + 1}
            found.append({**message, "metadata": metadata, "lease_id": lease})
        return backlog, found

    def acknowledge(self, queue: str, lease: str) -> bool:
        """Drop a message; false where the lease is over."""
        where = "queue = ? AND lease = ? AND visible > ?"
        done = self.db.execute(f"DELETE FROM message WHERE {where}", (queue, lease, time.time()))  # noqa: S608  # ours
        return done.rowcount == 1

    def put_back(self, queue: str, lease: str, delay: float) -> bool:
        """Let a message come again after so many seconds; false where the lease is over."""
        where = "queue = ? AND lease = ? AND visible > ?"
        values = (time.time() + delay, queue, lease, time.time())
        done = self.db.execute(f"UPDATE message SET visible = ?, lease = '' WHERE {where}", values)  # noqa: S608  # ours
        return done.rowcount == 1


def event(batch: Batch, kind: str, failure: Json | None, subscription: str) -> Json:
    """Make the event as the true service words it."""
    payload: Json = {"requestId": batch.id}
    if failure:
        payload |= {"message": failure["message"], "internalCode": failure["code"], "httpCode": 500}
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "type": f"cf.workersAi.model.batch.{kind}",
        "source": {"type": "workersAi.model", "modelName": batch.model},
        "payload": payload,
        "metadata": {
            "accountId": "local",
            "eventSubscriptionId": subscription,
            "eventSchemaVersion": 1,
            "eventTimestamp": now,
        },
    }


def spelt(made: Json, how: str) -> str:
    """Spell a message's body: base64 as the true service does, or in one of the other ways that were seen."""
    text = json.dumps(made)
    if how == "plain":
        return text
    return json.dumps(text) if how == "double" else base64.b64encode(text.encode()).decode()


def routes(account: str) -> list[Route]:
    """Return the routes of queues and of subscriptions."""
    return [
        Route(account + "/event_subscriptions/subscriptions", subscribe, methods=["POST"]),
        Route(account + "/queues/{queue}/messages/pull", pull, methods=["POST"]),
        Route(account + "/queues/{queue}/messages/ack", acknowledge, methods=["POST"]),
    ]


async def subscribe(request: Request) -> Response:
    """Answer `POST …/event_subscriptions/subscriptions`."""
    body = await given(request)
    source, destination, kinds = body.get("source"), body.get("destination"), body.get("events")
    if not isinstance(source, dict) or not isinstance(destination, dict) or not isinstance(kinds, list):
        raise bad_input("required properties at '/' are 'source,destination,events'")
    model, queue = str(source.get("model_name")), str(destination.get("queue_id"))
    wanted = [str(kind).rpartition("batch.")[2] for kind in kinds]
    if not set(wanted) <= set(KINDS):
        raise bad_input(f"enum at '/events' not met: batch.{', batch.'.join(KINDS)}")
    id_ = events_of(request).subscribe(queue, model, wanted)
    return JSONResponse(envelope({"id": id_, **body}))


async def pull(request: Request) -> Response:
    """Answer `POST …/queues/{queue}/messages/pull`."""
    body = await given(request)
    most, hidden = body.get("batch_size", 5), body.get("visibility_timeout_ms", USUAL)
    if not isinstance(most, int) or not 0 < most <= MOST or not isinstance(hidden, int) or not 0 <= hidden <= LONGEST:
        raise bad_input(f"batch_size is at most {MOST}, visibility_timeout_ms at most {LONGEST}")
    backlog, messages = events_of(request).pull(known_queue(request), most, hidden / 1000)
    return JSONResponse(envelope({"message_backlog_count": backlog, "messages": messages}))


async def acknowledge(request: Request) -> Response:
    """Answer `POST …/queues/{queue}/messages/ack`."""
    body = await given(request)
    queue, events = known_queue(request), events_of(request)
    acks = [events.acknowledge(queue, str(one["lease_id"])) for one in body.get("acks") or ()]
    again = [
        events.put_back(queue, str(one["lease_id"]), float(one.get("delay_seconds", 0)))
        for one in body.get("retries") or ()
    ]
    warnings = ["a lease was not valid any more"] if not all(acks + again) else []
    return JSONResponse(envelope({"ackCount": sum(acks), "retryCount": sum(again), "warnings": warnings}))


async def given(request: Request) -> dict[str, Any]:
    """Read the body."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise bad_input("type at '/' not met: object")
    return body


def events_of(request: Request) -> Events:
    """Give the server's events."""
    found: Events = request.app.state.queue.events
    return found


def known_queue(request: Request) -> str:
    """Give the queue's id. Raises `Refusal` for one into which nothing was ever put."""
    queue = str(request.path_params["queue"])
    if not events_of(request).known(queue):
        raise Refusal(404, 11000, "Queue not found.")
    return queue
