"""Every way a request can go, over a real socket to the scripted server; and the map of foreign errors to ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kimi_magic import errors, refusals, wire
from kimi_magic.errors import KimiError
from kimi_magic.events import Event, Finished, Retrying, Started, TextDelta, ThinkingDelta
from kimi_magic.messages import Message
from kimi_magic.settings import Secret
from kimi_magic.transport import Endpoint, HttpTransport, Limits, http
from tests.harness import loops

if TYPE_CHECKING:
    from kimi_magic.local.launch import Local
    from tests.conftest import Seen

MODEL = "@cf/moonshotai/kimi-k2.6"
QUICK = Limits(connect=2, first=0.4, idle=0.4, retries=2, backoff=0.01)


def ask(
    server: Local, text: str, *, api: str = "run", limits: Limits = QUICK, token: str | None = None, model: str = MODEL
) -> list[Event]:
    """Send one question and give its events."""
    endpoint = Endpoint.workers_ai(server.url, "0" * 32, Secret(server.token if token is None else token), api)
    return run(endpoint, text, limits, model)


def run(endpoint: Endpoint, text: str, limits: Limits = QUICK, model: str = MODEL) -> list[Event]:
    events: list[Event] = []

    async def once() -> None:
        carrier = HttpTransport(endpoint)
        try:
            request = wire.Request(model, (Message.of("user", text),), 100)
            await carrier.stream(request, "kimi-test", limits, events.append)
        finally:
            await carrier.close()

    try:
        loops.run(once())
    except KimiError as error:
        error.reply = events
        raise
    return events


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("api", ["run", "chat"])
def test_both_endpoints_stream(server: Local, api: str) -> None:
    events = ask(server, "<<think hm>><<say Hello>>", api=api)
    assert text_of(events) == "Hello"
    assert isinstance(events[0], Started)
    assert events[0].request_id
    assert any(isinstance(event, ThinkingDelta) for event in events)
    assert isinstance(events[-1], Finished)
    assert events[-1].usage.output > 0


@pytest.mark.parametrize("api", ["run", "chat"])
def test_json_where_a_stream_was_asked_for_is_read(server: Local, api: str) -> None:
    assert text_of(ask(server, "<<json>><<say Hello>>", api=api)) == "Hello"


@pytest.mark.parametrize("kind", ["legacy", "both", "reasoning", "reasoning_content"])
def test_every_kind_of_frame_gives_the_same_text(server: Local, kind: str) -> None:
    assert text_of(ask(server, f"<<frames {kind}>><<say Hello, you>>")) == "Hello, you"


def test_any_openai_compatible_url_works(server: Local) -> None:
    base = f"{server.url}/accounts/{'0' * 32}/ai/v1"
    endpoint = Endpoint.compatible(base, Secret(server.token), Secret(""))
    assert text_of(run(endpoint, "<<say Hello>>")) == "Hello"


def test_the_affinity_and_the_token_travel_in_headers(server: Local, seen: Seen) -> None:
    ask(server, "<<say Hello>>")
    headers: Any = seen.last()["headers"]
    assert headers["x-session-affinity"] == "kimi-test"
    assert headers["authorization"] == "present"


def test_line_separators_inside_a_frame_do_not_split_it(server: Local) -> None:
    assert text_of(ask(server, "<<say a\u2028b\u2029c\x85d>>")) == "a\u2028b\u2029c\x85d"


REFUSALS = {
    "4006": errors.QuotaError,
    "3036": errors.QuotaError,
    "3006": errors.TooLarge,
    "5021": errors.TooLarge,
    "8007": errors.TooLarge,
    "10000": errors.AuthenticationError,
    "5035": errors.PlanError,
    "5028": errors.UnknownModel,
    "5007": errors.UnknownModel,
    "5004": errors.RequestRefused,
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_refusal_is_raised_at_once_as_ours_with_its_request_id(server: Local, seen: Seen, fault: str) -> None:
    with pytest.raises(REFUSALS[fault]) as caught:
        ask(server, f"<<fault {fault}>>")
    assert caught.value.code == int(fault)
    assert caught.value.request_id
    assert caught.value.hint
    assert len(seen.all()) == 1


@pytest.mark.parametrize("fault", ["3040", "3043", "3046", "200-json", "html"])
def test_a_temporary_failure_is_retried_and_seen(server: Local, fault: str) -> None:
    events = ask(server, f"<<fault {fault} times=2>><<say at last>>")
    waits = [event for event in events if isinstance(event, Retrying)]
    assert text_of(events) == "at last"
    assert [wait.attempt for wait in waits] == [2, 3]
    assert all(wait.reason and wait.of == 3 for wait in waits)


def test_retries_end_and_the_last_error_is_raised(server: Local, seen: Seen) -> None:
    with pytest.raises(errors.Busy, match="Capacity"):
        ask(server, "<<fault 3040>>")
    assert len(seen.all()) == 3


def test_an_internal_error_of_the_image_kind_is_retried_once(server: Local, seen: Seen) -> None:
    with pytest.raises(errors.ServerFailure):
        ask(server, "<<fault 8005>>")
    assert len(seen.all()) == 2


def test_retry_after_is_honoured(server: Local) -> None:
    start = time.perf_counter()
    events = ask(server, "<<fault 3040 times=1 retry_after=0.5>><<say ok>>")
    assert [event.seconds for event in events if isinstance(event, Retrying)] == [0.5]
    assert time.perf_counter() - start >= 0.5


def test_a_retry_after_of_hours_is_not_waited_for(server: Local) -> None:
    with pytest.raises(errors.Busy):
        ask(server, "<<fault 3040 retry_after=7200>>")


def test_the_limit_of_a_minute_waits_for_the_next_minute(server: Local) -> None:
    limits = Limits(retries=1, backoff=0.001)
    events = ask(server, "<<fault 3021 times=1>><<say ok>>", limits=limits)
    wait = next(event for event in events if isinstance(event, Retrying))
    assert wait.seconds <= 60 * 0.001 + 0.002
    assert "per min" in wait.reason


BROKEN = ["midstream", "midstream shape=error-list", "midstream shape=errors", "midstream shape=event"]


@pytest.mark.parametrize("fault", [*BROKEN, "cut", "reset", "garbage", "no-done", "no-finish"])
def test_a_reply_that_breaks_keeps_what_came_and_is_not_retried(server: Local, seen: Seen, fault: str) -> None:
    name, _, rest = fault.partition(" ")
    with pytest.raises(errors.BrokenReply) as caught:
        ask(server, f"<<fault {name} after=2 {rest}>><<say one two three four five>>")
    assert text_of(caught.value.reply)
    assert len(seen.all()) == 1


@pytest.mark.parametrize("fault", ["silence", "no-bytes"])
def test_a_server_that_says_nothing_is_left_after_the_first_timeout(server: Local, fault: str) -> None:
    with pytest.raises(errors.Stalled, match=r"has not answered for 0\.4 s"):
        ask(server, f"<<fault {fault}>>")


def test_a_reply_that_falls_silent_is_left_after_the_idle_timeout(server: Local) -> None:
    with pytest.raises(errors.Stalled, match="went silent"):
        ask(server, "<<pause 5 after 3>><<say one two three four five>>")


def test_a_slow_first_byte_is_waited_for(server: Local) -> None:
    assert text_of(ask(server, "<<first 0.6>><<say ok>>", limits=Limits(first=3, idle=0.3))) == "ok"


def test_keep_alive_comments_are_a_sign_of_life(server: Local) -> None:
    events = ask(server, "<<keepalive>><<rate 8>><<say one two three four>>", limits=Limits(first=2, idle=0.5))
    assert text_of(events) == "one two three four"


def test_the_whole_reply_can_be_limited(server: Local) -> None:
    with pytest.raises(errors.Stalled, match=r"not complete after 0\.3 s") as caught:
        ask(server, "<<tokens 500>><<rate 50>>", limits=Limits(whole=0.3))
    assert text_of(caught.value.reply)


def test_a_wrong_token_is_an_authentication_error(server: Local) -> None:
    with pytest.raises(errors.AuthenticationError) as caught:
        ask(server, "hello", token="wrong-token-0123456789")
    assert "wrong-token" not in str(caught.value)


def test_no_server_is_a_network_error() -> None:
    endpoint = Endpoint.workers_ai("http://127.0.0.1:9/client/v4", "a", Secret("t"), "run")
    with pytest.raises(errors.NetworkError, match="cannot be reached"):
        run(endpoint, "hello")


def test_no_name_is_a_network_error() -> None:
    endpoint = Endpoint.compatible("https://no.such.host.invalid/v1", Secret(""), Secret(""))
    with pytest.raises(errors.NetworkError, match="cannot be reached"):
        run(endpoint, "hello")


def test_every_exception_of_httpx_becomes_one_of_ours() -> None:
    kinds = [kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, httpx.HTTPError)]
    made = [kind.__new__(kind) for kind in kinds]
    for exc in made:
        exc.args = ("boom",)
        for heard in (True, False):
            assert isinstance(http._network_error(exc, "host", heard=heard), KimiError)
    assert len(made) > 15


DOCUMENTED = [
    *(1000, 2001, 2009, 2021, 2044, 3001, 3003, 3006, 3007, 3008, 3021, 3023, 3030, 3036, 3039, 3040, 3041, 3042, 3043),
    *(3046, 4006, 5001, 5004, 5005, 5006, 5007, 5016, 5018, 5019, 5021, 5028, 5035, 7000, 7001, 7003, 8001, 8005, 8006),
    *(8007, 8008, 9106, 10000),
]


@pytest.mark.parametrize("code", DOCUMENTED)
def test_every_known_code_has_its_class_and_a_next_step(code: int) -> None:
    error = refusals.error_of(wire.Failure("words", code, 418))
    assert error.hint
    assert code in refusals._BY_CODE


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 410, 413, 418, 429, 500, 502, 503])
def test_every_status_without_a_code_has_its_class(status: int) -> None:
    assert refusals.error_of(wire.Failure("words", None, status)).hint


def test_the_daily_allocation_is_known_by_its_words_too() -> None:
    failure = wire.Failure("you have used up your daily free allocation of 10,000 neurons", None, 429)
    assert isinstance(refusals.error_of(failure), errors.QuotaError)


def test_a_key_never_travels_in_the_clear() -> None:
    with pytest.raises(errors.SettingError, match="not encrypted"):
        Endpoint.compatible("http://models.example.org/v1", Secret("key"), Secret(""))


def test_the_cloudflare_token_never_travels_in_the_clear_either() -> None:
    with pytest.raises(errors.SettingError, match="not encrypted"):
        Endpoint.compatible("http://gateway.ai.cloudflare.com/v1/acc/gw/compat", Secret(""), Secret("cfut_secret"))


def test_the_cloudflare_token_goes_to_cloudflare_alone() -> None:
    token = Secret("cfut_secret")
    assert not Endpoint.compatible("https://example.org/v1", Secret(""), token).sign()
    gateway = "https://gateway.ai.cloudflare.com/v1/acc/gw"
    assert Endpoint.compatible(f"{gateway}/compat", Secret(""), token).sign() == {
        "cf-aig-authorization": "Bearer cfut_secret"
    }
    assert "authorization" in Endpoint.compatible(f"{gateway}/workers-ai/v1", Secret(""), token).sign()


def test_addresses_are_those_of_the_service() -> None:
    base = "https://api.cloudflare.com/client/v4"
    assert Endpoint.workers_ai(base, "acc", Secret("t"), "run").address(MODEL) == f"{base}/accounts/acc/ai/run/{MODEL}"
    chat = Endpoint.workers_ai(base, "acc", Secret("t"), "chat", gateway="mine")
    assert chat.address(MODEL) == f"{base}/accounts/acc/ai/v1/chat/completions"
    assert chat.sign()["cf-aig-gateway-id"] == "mine"


def test_a_credential_shows_in_no_repr() -> None:
    endpoint = Endpoint.workers_ai("https://x/client/v4", "acc", Secret("cfut_0123456789abcdef"), "run")
    assert "0123456789" not in repr(endpoint)
