"""Replies that come whole instead of streamed: the same events, the same retries and errors; many at once."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic import errors
from kimi_magic.batch import Answer
from kimi_magic.events import Started, TextDelta, ThinkingDelta, ToolCallDelta
from kimi_magic.transport import HttpTransport, Limits
from kimi_magic.transport.clients import Clients
from tests.batches import QUICK, asked, carried, text_of
from tests.harness import loops

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

WHOLE = [
    "<<say Hello, you>>",
    "<<think hm>><<say Hello>>",
    """<<beside look>><<tool f {"a": 1}>><<tool g {}>>""",
    "<<frames legacy>><<say Hello>>",
    "<<say cut>><<finish length>>",
    "<<usage none>><<say a>>",
]


def added_up(events: list[Any]) -> tuple[str, str, dict[int, tuple[str, str, str]], Any]:
    """What a reply amounts to, however its pieces were cut."""
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thinking = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    calls: dict[int, tuple[str, str, str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            id_, name, arguments = calls.get(event.index, ("", "", ""))
            calls[event.index] = (id_ or event.id, name or event.name, arguments + event.arguments)
    return text, thinking, calls, events[-1]


@pytest.mark.parametrize("text", WHOLE)
@pytest.mark.parametrize("api", ["run", "chat"])
def test_a_whole_reply_is_the_stream_added_up(server: Local, text: str, api: str) -> None:
    async def use(carrier: HttpTransport) -> tuple[list[Any], list[Any]]:
        streamed: list[Any] = []
        await carrier.stream(asked(text), "", QUICK, streamed.append)
        return list(await carrier.complete(asked(text), "", QUICK)), streamed

    whole, streamed = carried(server, use, api)
    assert isinstance(whole[0], Started)
    assert whole[0].request_id
    assert added_up(whole) == added_up(streamed)


def test_a_whole_reply_asks_for_no_stream(server: Local, seen: Seen) -> None:
    carried(server, lambda carrier: carrier.complete(asked("<<say x>>"), "kimi-test", QUICK))
    body = json.loads(str(seen.last()["body"]))
    assert "stream" not in body
    assert "stream_options" not in body
    headers: Any = seen.last()["headers"]
    assert headers["x-session-affinity"] == "kimi-test"


def completed(server: Local, text: str, limits: Limits = QUICK) -> str:
    return carried(server, lambda carrier: told(carrier, text, limits))


async def told(carrier: HttpTransport, text: str, limits: Limits = QUICK) -> str:
    return text_of(Answer("", 0, await carrier.complete(asked(text), "a", limits), None))


@pytest.mark.parametrize("fault", ["3040", "3043", "3046", "200-json", "html"])
def test_what_is_temporary_is_asked_again(server: Local, seen: Seen, fault: str) -> None:
    assert completed(server, f"<<fault {fault} times=2>><<say at last>>") == "at last"
    assert len(seen.all()) == 3


REFUSALS = {"4006": errors.QuotaError, "5021": errors.TooLarge, "10000": errors.AuthenticationError}
REFUSALS |= {"5035": errors.PlanError, "5007": errors.UnknownModel, "5004": errors.RequestRefused}


@pytest.mark.parametrize("fault", REFUSALS)
def test_what_is_refused_is_raised_at_once(server: Local, seen: Seen, fault: str) -> None:
    with pytest.raises(REFUSALS[fault]):
        completed(server, f"<<fault {fault}>>")
    assert len(seen.all()) == 1


def test_a_whole_reply_that_never_comes_is_not_waited_for(server: Local) -> None:
    impatient = Limits(connect=2, first=0.2, idle=0.2, retries=0)
    for fault in ("no-bytes", "silence"):
        with pytest.raises(errors.Stalled):
            completed(server, f"<<fault {fault}>><<say x>>", impatient)
    with pytest.raises(errors.Stalled, match="not complete"):
        completed(server, "<<first 5>><<say x>>", Limits(whole=0.2))


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_a_broken_connection_is_told(server: Local, fault: str) -> None:
    with pytest.raises(errors.NetworkError):
        completed(server, f"<<fault {fault}>><<say x>>")


def test_many_at_once_share_as_many_connections(server: Local, seen: Seen) -> None:
    async def use(carrier: HttpTransport) -> list[str]:
        first = await asyncio.gather(*(told(carrier, f"<<first 0.05>><<say {n}>>") for n in range(60)))
        again = await asyncio.gather(*(told(carrier, f"<<say {n}>>") for n in range(60)))
        assert len(carrier._clients._all) == 60
        return first + again

    assert carried(server, use) == [str(n) for n in range(60)] * 2
    assert len(seen.all()) == 120


def test_connections_that_nobody_needs_any_more_are_closed(server: Local) -> None:
    async def get(clients: Clients) -> int:
        async with clients.one() as client:
            answer = await client.get(f"{server.url}/user/tokens/verify")
            await asyncio.sleep(0.02)
            return answer.status_code

    async def use() -> tuple[int, int]:
        clients = Clients(https=False, trust_env=False, rest=0.1)
        await asyncio.gather(*(get(clients) for _ in range(8)))
        many = len(clients._all)
        await asyncio.sleep(0.15)
        await get(clients)
        few = len(clients._all)
        await clients.close()
        return many, few

    assert loops.run(use()) == (8, 1)


def test_a_cancelled_request_frees_its_connection(server: Local) -> None:
    async def use(carrier: HttpTransport) -> str:
        for _ in range(3):
            waiting = asyncio.create_task(carrier.complete(asked("<<first 60>>"), "a", QUICK))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert len(carrier._clients._all) == 1
        return await told(carrier, "<<say x>>")

    assert carried(server, use) == "x"


def test_a_closed_transport_opens_again(server: Local) -> None:
    async def use(carrier: HttpTransport) -> list[str]:
        said = [await told(carrier, "<<say a>>")]
        await carrier.close()
        return [*said, await told(carrier, "<<say b>>")]

    assert carried(server, use) == ["a", "b"]
