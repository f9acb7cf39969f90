"""Batches and whole replies over a real socket, with every fault that the scripted server can be asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from kimi_magic import batch, errors, kernel, models, refusals, wire
from kimi_magic.batch import Answer, Polled
from kimi_magic.events import Finished, ThinkingDelta, ToolCallDelta
from kimi_magic.local import launch
from kimi_magic.settings import Secret
from kimi_magic.transport import Endpoint, HttpTransport, http
from tests.batches import MODEL, QUICK, asked, batch_of, body_of, carried, text_of, texts_by_reference, until_over
from tests.harness import loops

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

T = TypeVar("T")


def test_a_batch_comes_back_with_all_its_answers(server: Local) -> None:
    polled = batch_of(server, *(f"<<say reply {n}>>" for n in range(40)))
    assert (polled.status, polled.failure) == ("done", None)
    assert texts_by_reference(polled) == {f"job-{n}": f"reply {n}" for n in range(40)}
    assert sorted(answer.index for answer in polled.answers) == list(range(40))
    finished = polled.answers[0].events[-1]
    assert isinstance(finished, Finished)
    assert finished.usage.output > 0
    assert finished.model == MODEL


def test_thinking_calls_and_limits_are_as_in_an_ordinary_reply(server: Local) -> None:
    polled = batch_of(server, "<<think hm>><<tool f {}>>", "<<say long enough to be cut>><<finish length>>")
    first, second = (answer.events for answer in sorted(polled.answers, key=lambda answer: answer.index))
    assert isinstance(first[0], ThinkingDelta)
    assert any(isinstance(event, ToolCallDelta) for event in first)
    assert isinstance(second[-1], Finished)
    assert second[-1].reason == "length"


def test_a_batch_is_seen_to_wait_and_to_run(server: Local) -> None:
    async def use(carrier: HttpTransport) -> set[str]:
        request_id = await carrier.submit(MODEL, body_of("<<first 0.3>><<say x>>"), "a", QUICK)
        seen = set()
        while (polled := await carrier.poll(MODEL, request_id, QUICK)).status != "done":
            seen.add(polled.status)
            await asyncio.sleep(0.02)
        return seen

    assert "running" in carried(server, use) <= {"queued", "running"}


def test_the_request_is_the_documented_one(server: Local, seen: Seen) -> None:
    batch_of(server, "<<say x>>")
    submitted, polled = seen.all()[0], seen.last()
    assert submitted["query"] == polled["query"] == "queueRequest=true"
    assert str(submitted["path"]).endswith(f"/ai/run/{MODEL}")
    (element,) = json.loads(str(submitted["body"]))["requests"]
    assert element["external_reference"] == "job-0"
    assert list(json.loads(str(polled["body"]))) == ["request_id"]
    headers: Any = submitted["headers"]
    assert headers["x-session-affinity"] == "kimi-test"


UNQUEUEABLE = {"queue-8007": errors.Unqueueable, "queue-10063": errors.Unqueueable, "queue-413": errors.TooLarge}


@pytest.mark.parametrize("fault", UNQUEUEABLE)
def test_a_batch_that_is_not_taken_is_refused_at_once(server: Local, seen: Seen, fault: str) -> None:
    with pytest.raises(UNQUEUEABLE[fault]) as caught:
        batch_of(server, "<<say x>>", f"<<fault {fault}>>")
    assert caught.value.hint
    assert len(seen.all()) == 1


def test_what_the_queue_refused_can_be_asked_one_by_one(server: Local) -> None:
    async def use(carrier: HttpTransport) -> str:
        with pytest.raises(errors.Unqueueable, match="does not support request queuing"):
            await carrier.submit(MODEL, body_of("<<say x>><<fault queue-8007>>"), "a", QUICK)
        events = await carrier.complete(asked("<<say x>><<fault queue-8007>>"), "a", QUICK)
        return text_of(Answer("", 0, events, None))

    assert carried(server, use) == "x"


def test_a_model_without_a_queue_says_so(server: Local) -> None:
    with pytest.raises(errors.Unqueueable):
        carried(server, lambda carrier: carrier.submit("@cf/moonshotai/kimi-k2.5", body_of("x"), "a", QUICK))


def test_an_address_without_a_queue_is_not_even_asked(server: Local, seen: Seen) -> None:
    with pytest.raises(errors.Unqueueable, match="takes no batches"):
        carried(server, lambda carrier: carrier.submit(MODEL, body_of("x"), "a", QUICK), api="chat")
    assert seen.all() == []
    assert not Endpoint.compatible("https://example.org/v1", Secret(""), Secret("")).queues


def test_a_batch_that_is_too_large_is_not_even_sent(server: Local, seen: Seen) -> None:
    with pytest.raises(errors.TooLarge, match="10 MB"):
        carried(server, lambda carrier: carrier.submit(MODEL, b"x" * batch.LIMIT, "a", QUICK))
    assert seen.all() == []


def test_the_largest_batch_that_split_makes_is_taken(server: Local) -> None:
    items = ((f"job-{n}", asked(f"<<say {n}>>" + "x" * 99_000)) for n in range(101))
    first, _rest = batch.split(items)
    assert len(first.body) > batch.LIMIT - 100_000

    async def use(carrier: HttpTransport) -> Polled:
        return await until_over(carrier, await carrier.submit(MODEL, first.body, "a", QUICK))

    assert len(carried(server, use).answers) == len(first.references)


def test_items_fail_one_by_one(server: Local) -> None:
    polled = batch_of(server, "<<say x>>", "<<fault 8005>>", "<<fault html>>", "<<fault 4006>>", "<<fault nonsense>>")
    failures = {answer.reference: answer.failure and answer.failure.code for answer in polled.answers}
    assert failures == {"job-0": None, "job-1": 8005, "job-2": 5001, "job-3": 4006, "job-4": 5004}
    assert texts_by_reference(polled)["job-0"] == "x"


def test_an_item_that_failed_once_is_answered_the_next_time(server: Local) -> None:
    text = "<<say x>><<fault 3040 times=1>>"
    first, second = (batch_of(server, text, affinity="twice").answers[0] for _ in range(2))
    assert first.failure is not None
    assert text_of(second) == "x"


def test_answers_can_come_twice(server: Local) -> None:
    polled = batch_of(server, "<<say a>><<fault queue-twice>>", "<<say b>>")
    assert sorted(answer.reference for answer in polled.answers) == ["job-0", "job-0", "job-1"]


def test_answers_can_be_missing(server: Local) -> None:
    polled = batch_of(server, "<<say a>><<fault queue-missing>>", "<<say b>>")
    assert [answer.reference for answer in polled.answers] == ["job-1"]


def test_answers_can_come_in_another_order(server: Local) -> None:
    polled = batch_of(server, "<<fault queue-order>><<say 0>>", *(f"<<say {n}>>" for n in range(1, 6)))
    assert [answer.index for answer in polled.answers] == [4, 2, 0, 5, 3, 1]
    assert texts_by_reference(polled) == {f"job-{n}": str(n) for n in range(6)}


def test_answers_can_come_as_results(server: Local) -> None:
    assert texts_by_reference(batch_of(server, "<<fault queue-results>><<say a>>")) == {"job-0": "a"}


def test_a_whole_batch_can_fail(server: Local) -> None:
    polled = batch_of(server, "<<fault queue-failed>><<say a>>")
    assert (polled.status, polled.answers) == ("failed", ())
    assert polled.failure is not None
    assert (polled.failure.code, polled.failure.message) == (5001, "Model execution failed")


def test_a_bare_question_is_taken_and_fails_as_the_service_does_it(server: Local) -> None:
    async def use(carrier: HttpTransport) -> Polled:
        body = wire.encode(asked("x"), "run", stream=False)
        return await until_over(carrier, await carrier.submit(MODEL, body, "a", QUICK))

    failure = carried(server, use).failure
    assert failure is not None
    assert failure.code == 3030
    assert "VllmBatchRequest" in failure.message


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_batch_may_never_finish(server: Local, state: str) -> None:
    async def use(carrier: HttpTransport) -> list[str]:
        body = body_of(f"<<fault queue-never shape={state}>><<say a>>")
        request_id = await carrier.submit(MODEL, body, "a", QUICK)
        after = await carrier.submit(MODEL, body_of("<<say b>>"), "a", QUICK)
        assert (await until_over(carrier, after)).status == "done"
        return [(await carrier.poll(MODEL, request_id, QUICK)).status for _ in range(3)]

    assert carried(server, use) == [state] * 3


def test_an_id_may_be_forgotten_at_once_or_later(server: Local) -> None:
    async def use(carrier: HttpTransport, fault: str, before: int) -> None:
        request_id = await carrier.submit(MODEL, body_of(f"<<first 60>><<fault {fault}>>"), "a", QUICK)
        for _ in range(before):
            assert (await carrier.poll(MODEL, request_id, QUICK)).status in ("queued", "running")
        for _ in range(2):
            with pytest.raises(errors.BatchLost, match=request_id):
                await carrier.poll(MODEL, request_id, QUICK)

    carried(server, lambda carrier: use(carrier, "queue-forgotten", 0))
    carried(server, lambda carrier: use(carrier, "queue-forgotten after=2", 2))


UNKNOWN = "Request 768f not found"
TOLD = [
    (UNKNOWN, 8001, 404, True),
    (UNKNOWN, 5006, 400, True),
    (UNKNOWN, None, 404, True),
    ("The batch has expired", None, 400, True),
    ("", None, 410, True),
    ("Invalid input", 8001, 400, False),
    ("No such model @cf/x or task", 5007, 400, False),
    ("Model @cf/x was deprecated and is no longer available", 5028, 410, False),
    ("The server answered without JSON: 404 Not Found nginx", None, 404, False),
    ("The server answered without JSON: Proxy authentication required, session expired", None, 407, False),
    ("Capacity temporarily exceeded", 3040, 429, False),
    ("Internal server error", 3043, 500, False),
]


@pytest.mark.parametrize(("message", "code", "status", "lost"), TOLD)
def test_only_the_service_itself_can_say_that_a_batch_is_lost(
    message: str, code: int | None, status: int, *, lost: bool
) -> None:
    error = refusals.error_of(wire.Failure(message, code, status))
    assert isinstance(error, errors.ServiceError)
    assert http._lost(error) is lost


def test_an_id_that_never_was_is_lost_too(server: Local) -> None:
    with pytest.raises(errors.BatchLost) as caught:
        carried(server, lambda carrier: carrier.poll(MODEL, "nothing", QUICK))
    assert "paid again" in caught.value.hint


def test_a_busy_service_is_asked_again_and_says_nothing_of_the_batch(server: Local) -> None:
    assert texts_by_reference(batch_of(server, "<<fault queue-busy after=2>><<say a>>")) == {"job-0": "a"}
    with pytest.raises(errors.Busy):
        batch_of(server, "<<fault queue-busy after=9>><<say a>>")


def test_a_refusal_of_the_account_says_nothing_of_the_batch(server: Local) -> None:
    stranger = launch.Local(server.url, "wrong", server.model, server.context, server.process)
    with pytest.raises(errors.AuthenticationError):
        carried(stranger, lambda carrier: carrier.poll(MODEL, "nothing", QUICK))


def test_a_batch_may_be_taken_though_nobody_is_told(server: Local, seen: Seen) -> None:
    async def use(carrier: HttpTransport) -> None:
        with pytest.raises(errors.NetworkError):
            await carrier.submit(MODEL, body_of("<<fault queue-cut>><<say a>>"), "a", QUICK)

    carried(server, use)
    assert [entry["ended"] for entry in seen.all()] == ["fault"]


def test_the_table_of_models_says_which_take_batches() -> None:
    assert models.known(models.DEFAULT).queue is True
    assert models.known(models.LOCAL).queue is True
    assert models.known("moonshotai/kimi-k2.5").queue is False
    assert models.known("@cf/moonshotai/kimi-k2.5").queue is None  # an alias of one that does
    assert models.known("@cf/somebody/new").queue is None


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Path]:
    """A kernel's set-up in which nothing is configured but the scripted engine; it gives the folder of what is kept."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KIMI_LOCAL_URL", "KIMI_LOCAL_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_API_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("KIMI_LOCAL_ENGINE", "scripted")
        patch.setenv("KIMI_HOME", str(tmp_path))
        yield tmp_path
    kernel.close()


def by_kernel(use: Callable[[Any], Awaitable[T]]) -> T:
    """What is done with the kernel's own transport, which it then closes with all that it started."""

    async def whole() -> T:
        values = kernel.resolve({"endpoint": "local"})
        carrier = kernel.transport(values, kernel.place(values))
        try:
            return await use(carrier)
        finally:
            await carrier.close()

    kernel.current()
    try:
        return loops.run(whole())
    finally:
        kernel.close()


def test_the_model_on_this_machine_is_started_for_jobs_too(alone: Path) -> None:
    async def use(carrier: Any) -> tuple[Polled, str]:
        polled = await until_over(carrier, await carrier.submit("local", body_of("<<say x>>"), "a", QUICK))
        events = await carrier.complete(wire.Request("local", asked("<<say y>>").messages, 9), "a", QUICK)
        assert (await carrier.reach()).endpoint.account
        return polled, text_of(Answer("", 0, events, None))

    polled, said = by_kernel(use)
    assert (texts_by_reference(polled), said) == ({"job-0": "x"}, "y")
    assert list((alone / "queue").glob("*.sqlite3"))


@pytest.mark.usefixtures("alone")
def test_a_batch_outlives_the_kernel_whose_server_took_it() -> None:
    texts = ["<<say x>>", *("<<first 0.2>><<say y>>" for _ in range(3))]
    request_id = by_kernel(lambda carrier: carrier.submit("local", body_of(*texts), "a", QUICK))
    polled = by_kernel(lambda carrier: until_over(carrier, request_id))
    assert sorted(texts_by_reference(polled).values()) == ["x", "y", "y", "y"]
