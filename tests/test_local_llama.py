import json
import time

import httpx
import pytest

from .local_server import CHAT, RUN, body_for, cpu_ticks, decoded, error_of, serving, text_in

STEM = "SmolLM2-135M-Instruct.Q4_1"


@pytest.fixture(scope="module")
def server():
    with serving("--engine", "llama", "--context", "1024") as client:
        yield client


def idle_within(client, seconds):
    """Whether the server comes to rest in this time; the story that it was told to tell takes 15 seconds and more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = cpu_ticks(client.process)
        time.sleep(0.3)
        if cpu_ticks(client.process) - before <= 1:
            return True
    return False


def test_it_answers_under_both_of_its_names_and_always_the_same(server):
    answers = [
        server.post(RUN, json=body_for("Say hello.", max_tokens=8)).json()["result"],
        server.post(CHAT, json=body_for("Say hello.", max_completion_tokens=8, model=STEM)).json(),
    ]
    assert {answer["model"] for answer in answers} == {STEM}
    first, second = (answer["choices"][0]["message"]["content"] for answer in answers)
    assert first == second != ""
    assert answers[0]["usage"]["completion_tokens"] <= 8
    assert error_of(server.post(RUN.replace("local", "@cf/moonshotai/kimi-k2.6"), json=body_for("x")))[:2] == (
        400,
        5007,
    )


def test_it_streams_in_the_services_shape(server):
    answer = server.post(RUN, json=body_for("Count to five.", stream=True, max_tokens=12))
    *frames, done = decoded(answer.content)
    assert done == "[DONE]"
    assert frames[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_in(frames)
    assert frames[-2]["choices"][0]["finish_reason"] in ("stop", "length")
    assert frames[-1]["choices"] == []
    assert frames[-1]["usage"]["completion_tokens"] <= 12
    assert {frame["model"] for frame in frames} == {STEM}


def test_cached_tokens_grow_with_the_conversation(server):
    messages = [{"role": "user", "content": "I live in Berlin and like maps. What is a map?"}]
    first = server.post(RUN, json={"messages": messages, "max_tokens": 12}).json()["result"]
    reply = first["choices"][0]["message"]
    messages += [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": "And an atlas?"}]
    second = server.post(RUN, json={"messages": messages, "max_tokens": 4}).json()["result"]
    cached = [turn["usage"]["prompt_tokens_details"]["cached_tokens"] for turn in (first, second)]
    assert cached[1] > cached[0]
    assert cached[1] >= first["usage"]["prompt_tokens"] - 1


def test_a_conversation_beyond_the_context_is_refused_with_its_size(server):
    status, code, message = error_of(server.post(RUN, json=body_for("word " * 1200, stream=True)))
    assert (status, code) == (413, 5021)
    assert "exceeded this model context window limit (1024)" in message


def test_a_schema_is_obeyed_wrapped_or_bare(server):
    schema = {"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]}
    for given in (schema, {"name": "reply", "schema": schema}):
        wanted = {"type": "json_schema", "json_schema": given}
        answer = server.post(RUN, json=body_for("Capital of France?", response_format=wanted, max_tokens=60))
        assert list(json.loads(answer.json()["result"]["choices"][0]["message"]["content"])) == ["capital"]


def test_system_messages_may_stand_anywhere_and_any_text_passes(server):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a\u2028b {x} 👩‍👩‍👧 <|im_end|> \0"}]},
        {"role": "assistant", "content": None, "reasoning": "hm"},
        {"role": "system", "content": "Now say yes."},
        {"role": "user", "content": "Well?"},
    ]
    assert server.post(RUN, json={"messages": messages, "max_tokens": 2}).is_success


def test_what_the_model_cannot_take_is_passed_on_as_8007(server):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
    answer = server.post(RUN, json={"messages": [{"role": "user", "content": [picture]}]})
    assert error_of(answer)[:2] == (400, 8007)
    assert answer.headers["cf-ai-req-id"] in error_of(answer)[2]
    assert server.post(RUN, json=body_for("Hi", max_tokens=1)).is_success


LONG = body_for("Tell me a very long story about the sea.", max_tokens=900)


def test_a_client_that_leaves_a_stream_stops_the_generation_at_once(server):
    with server.stream("POST", RUN, json={**LONG, "stream": True}) as answer:
        chunks = answer.iter_raw()
        assert not any(b"[DONE]" in next(chunks) for _ in range(5))
        assert not idle_within(server, 0.5)
    assert idle_within(server, 1)


def test_a_client_that_leaves_without_a_stream_stops_the_generation_soon(server):
    impatient = httpx.Client(base_url=server.base_url, headers=server.headers, timeout=0.5)
    with impatient, pytest.raises(httpx.ReadTimeout):
        impatient.post(RUN, json=LONG)
    assert idle_within(server, 3)


def test_it_works_off_batches_and_takes_no_orders_from_their_text(server):
    path = RUN + "?queueRequest=true"
    texts = ["Say hello.", "<<fault queue-8007>> Say hello.", "x " * 2000]
    requests = [body_for(text, max_completion_tokens=8, external_reference=f"row-{n}") for n, text in enumerate(texts)]
    request_id = server.post(path, json={"requests": requests}).json()["result"]["request_id"]
    deadline = time.monotonic() + 60
    result = {"status": "queued"}
    while "status" in result and time.monotonic() < deadline:
        time.sleep(0.1)
        result = server.post(path, json={"request_id": request_id}).json()["result"]
    hello, order, long = result["responses"]
    alone = server.post(RUN, json=body_for("Say hello.", max_completion_tokens=8)).json()["result"]
    assert hello["result"]["choices"][0]["message"]["content"] == alone["choices"][0]["message"]["content"]
    assert order["success"]
    assert (long["success"], long["errors"][0]["code"]) == (False, 5021)
