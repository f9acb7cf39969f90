"""The parts of a job that need no service: spec and requests, pace, purse, pilot, and the work of an executor."""

from __future__ import annotations

import pickle
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic import models
from kimi_magic.books import Books
from kimi_magic.errors import CommandError, TooLarge
from kimi_magic.jobs.chunk import Chunk
from kimi_magic.jobs.job import dollars
from kimi_magic.jobs.kept import Item
from kimi_magic.jobs.meter import Pace, Rate, expected
from kimi_magic.jobs.purse import Purse
from kimi_magic.jobs.spec import Requests, Spec
from kimi_magic.messages import Image, Message, Text, ToolCall
from kimi_magic.settings import Secret
from kimi_magic.transport import Endpoint, Limits
from kimi_magic.wire import encode

CALL = Message("assistant", (Text("I look"), ToolCall("functions.a:0", "a", "{}")), thinking="hm")
SEEN = Message("user", (Text("this"), Image(b"\x89PNG", "image/png", 3, 2)))
SPEC = Spec(
    "cloudflare",
    models.DEFAULT,
    before=(Message.of("system", "Be brief."), SEEN, CALL, Message("tool", (Text("1"),), answers="functions.a:0")),
    template="Classify: {{ x }}",
    shared="Classify: {x}\n\n",
    columns=("x",),
    schema='{"type":"object"}',
    form="mood",
    max_tokens=100,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_spec_comes_back_from_the_store_as_it_was() -> None:
    again = Spec.read(SPEC.text)
    assert again == SPEC
    assert again.id == SPEC.id


@pytest.mark.parametrize(
    "change", [{"template": "x"}, {"model": "y/z"}, {"salt": "1"}, {"temperature": 0.5}, {"schema": ""}]
)
def test_whatever_is_asked_otherwise_is_another_job(change: dict[str, object]) -> None:
    from dataclasses import replace

    assert replace(SPEC, **change).id != SPEC.id


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=300), st.text("abc é\u2028", max_size=99))
def test_all_requests_begin_alike_and_can_be_encoded(one: str, other: str) -> None:
    requests = Requests(SPEC)
    first, second = requests.of(one), requests.of(other)
    assert first.messages[:-1] == second.messages[:-1] == SPEC.before
    assert first.messages[-1].text == SPEC.shared + one
    assert first.max_tokens == second.max_tokens == 100
    assert encode(first, "run") == encode(first, "run")


def test_a_row_that_fits_no_window_is_too_large() -> None:
    with pytest.raises(TooLarge):
        Requests(SPEC).of("x" * 2_000_000)


def test_a_row_that_leaves_little_room_gets_a_smaller_limit() -> None:
    spec = Spec("cloudflare", models.DEFAULT, shared="Repeat: ", max_tokens=200_000)
    assert Requests(spec).of("short").max_tokens == 200_000
    assert Requests(spec).of("word " * 60_000).max_tokens < 200_000


def test_mending_says_what_was_wrong_after_the_same_beginning() -> None:
    request = Requests(SPEC).of("a", ("bad", "This is not valid"), plain=True)
    assert [message.role for message in request.messages[-3:]] == ["user", "assistant", "user"]
    assert request.form is not None
    assert request.form.schema == ""


def test_the_bound_of_a_row_is_what_it_can_cost_at_most() -> None:
    requests = Requests(SPEC)
    price = models.known(models.DEFAULT).price
    assert price is not None
    text = "many words " * 50
    most = models.estimate_messages(requests.of(text).messages)[1]
    assert requests.bound(text) >= (most * price.input + 100 * price.output) / 1e6
    assert Requests(Spec("local", models.LOCAL, shared="x")).bound(text) == 0.0


@given(st.lists(st.floats(0.0001, 0.01), min_size=1, max_size=60), st.floats(0, 0.05), st.randoms())
def test_a_purse_never_admits_more_than_its_budget(bounds: list[float], budget: float, draw: random.Random) -> None:
    books = Books()
    purse = Purse(books, budget, None, 0.0)
    flying: dict[int, float] = {}
    for n, bound in enumerate(bounds):
        purse.look()
        if purse.admits(Item(n, "", 1, 0, None), bound):
            flying[n] = bound
        if flying and draw.random() < 0.5:
            done, most = flying.popitem()
            purse.spent += most * draw.random()
            purse.give_back([done])
        assert purse.spent + sum(flying.values()) <= budget + 1e-12
    purse.close()
    assert books.in_flight == 0


def test_a_pace_lets_so_many_pass_in_any_minute() -> None:
    clock = Clock()
    pace = Pace(20, clock)
    pace.took(15)
    clock.now = 30
    assert pace.room == 5
    pace.took(5)
    assert (pace.room, pace.wait) == (0, 30)
    clock.now = 60
    assert pace.room == 15
    assert Pace(None).room > 10**6


def test_a_rate_is_that_of_the_last_minute() -> None:
    clock = Clock()
    rate = Rate(clock)
    for second in range(120):
        clock.now = second
        rate.add(3)
    assert rate.value == pytest.approx(3, rel=0.05)
    clock.now = 200
    assert rate.value == 0


def test_what_a_pilot_expects_holds_in_nineteen_of_twenty_cases() -> None:
    draw, held = random.Random(3), 0  # noqa: S311  # a sample
    for _ in range(400):
        costs = [draw.gammavariate(4, 0.001) for _ in range(220)]
        estimate = expected(costs[:20], 10.0, 20, 200)
        assert estimate.cost is not None
        low, mean, high = estimate.cost
        assert mean == pytest.approx(statistics.fmean(costs[:20]) * 200)
        held += low <= sum(costs[20:]) <= high
    assert 0.9 < held / 400 <= 1.0


def test_work_for_an_executor_carries_the_credential_and_does_not_show_it() -> None:
    endpoint = Endpoint.workers_ai("https://api.example.com/client/v4", "a" * 32, Secret("very-secret-token"), "run")
    chunk = Chunk(endpoint, [Requests(SPEC).of("a")], "affinity", Limits())
    again = pickle.loads(pickle.dumps(chunk))  # noqa: S301  # our own
    assert again.endpoint.sign()["authorization"] == "Bearer very-secret-token"
    assert again.requests == chunk.requests
    assert "secret-token" not in repr(chunk) + repr(again)


@pytest.mark.parametrize(("given_", "found"), [("$2", 2.0), (0.5, 0.5), (3, 3.0)])
def test_a_budget_is_read(given_: str | float, found: float) -> None:
    assert dollars(given_) == found


@pytest.mark.parametrize("given_", ["off", "$2/day", "two", -1, True])
def test_what_is_no_budget_of_a_job_is_refused(given_: str | float) -> None:
    with pytest.raises(CommandError):
        dollars(given_)
