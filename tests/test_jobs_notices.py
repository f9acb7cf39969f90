"""Jobs that hear from a Cloudflare Queue that their batches have ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

import kimi_magic

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

ASK = "Repeat: {{ text }}"
ACCOUNT, QUEUE = "0" * 32, "a" * 32


@pytest.fixture
def cloudflare(here: pytest.MonkeyPatch, server: Local) -> pytest.MonkeyPatch:
    """Ask the scripted server as if it were Cloudflare."""
    here.setenv("KIMI_ENDPOINT", "cloudflare")
    here.setenv("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
    here.setenv("CLOUDFLARE_API_TOKEN", server.token)
    here.setenv("CLOUDFLARE_API_BASE_URL", server.url)
    return here


def subscribe(server: Local, queue: str) -> None:
    body = {
        "name": "test",
        "enabled": True,
        "source": {"type": "workersAi.model", "model_name": "@cf/moonshotai/kimi-k2.6"},
        "destination": {"type": "queues.queue", "queue_id": queue},
        "events": ["batch.succeeded", "batch.failed"],
    }
    url = f"{server.url}/accounts/{ACCOUNT}/event_subscriptions/subscriptions"
    httpx.post(url, json=body, headers={"authorization": f"Bearer {server.token}"}).raise_for_status()


def bodies(seen: Seen) -> list[dict[str, object]]:
    return [json.loads(str(one["body"])) for one in seen.all()]


def test_a_batch_is_asked_about_once_it_is_known_to_have_ended(
    cloudflare: pytest.MonkeyPatch, server: Local, seen: Seen
) -> None:
    cloudflare.setenv("KIMI_NOTIFY_QUEUE", QUEUE)
    subscribe(server, QUEUE)
    rows = [{"text": "<<first 1>><<say a>>"}, {"text": "<<say b>>"}]
    job = kimi_magic.map(rows, ASK, lane="queue").wait(30)
    assert job.df()["reply"].tolist() == ["a", "b"]
    assert sum("request_id" in body for body in bodies(seen)) == 1
    acks = [body for body in bodies(seen) if body.get("acks")]
    assert len(acks) == 1


def test_a_queue_that_cannot_be_read_is_told_and_the_batches_are_polled(cloudflare: pytest.MonkeyPatch) -> None:
    cloudflare.setenv("KIMI_NOTIFY_QUEUE", "b" * 32)
    job = kimi_magic.map([{"text": "<<first 2>><<say a>>"}], ASK, lane="queue")
    job.wait(1.5)
    assert "Notices cannot be read" in job.standing.remark
    assert job.wait(40).df()["reply"].tolist() == ["a"]
