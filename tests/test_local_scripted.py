import json
import time
from itertools import pairwise

import httpx
import pytest

from .local_server import RUN, body_for, cpu_ticks, decoded, error_of, frames_of, recorded, serving, text_in


@pytest.fixture(scope="module")
def server():
    with serving("--engine", "scripted") as client:
        yield client


def say(server, text, **more):
    return server.post(RUN, json=body_for(text, **more)).json()["result"]


def test_frames_follow_the_order_and_shape_of_the_true_service(server):
    first, thought, said, finish, last, done = frames_of(server, "<<think hmm>><<say Hi>>")
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert thought["choices"][0]["delta"] == {"reasoning": "hmm", "reasoning_content": "hmm"}
    assert said["choices"][0]["delta"] == {"content": "Hi"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert set(last["usage"]) > {"prompt_tokens", "completion_tokens", "prompt_tokens_details", "neurons"}
    assert done == "[DONE]"


def test_usage_is_a_running_total_on_every_chunk_and_padding_varies(server):
    *chunks, _last, _done = frames_of(server, "<<tokens 20>>")
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [*range(21), 20]
    totals = [chunk["usage"]["total_tokens"] - chunk["usage"]["prompt_tokens"] for chunk in chunks]
    assert totals == [*range(21), 20]
    assert len({len(chunk["p"]) for chunk in chunks}) > 10


def test_tool_calls_come_in_fragments_with_kimi_ids_and_a_null_finaliser(server):
    frames = frames_of(server, '<<tool weather {"city": "Berlin"}>><<tool clock>>')
    deltas = [f["choices"][0]["delta"] for f in frames[:-2] if f["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [call["id"] for call in calls if call.get("id")] == ["functions.weather:0", "functions.clock:1"]
    assert json.loads("".join(c["function"]["arguments"] for c in calls if c["index"] == 0)) == {"city": "Berlin"}
    null = {"id": None, "type": None, "index": 0, "function": {"name": None, "arguments": ""}}
    assert calls.count(null) == 1
    assert frames[-3]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_is_called_once_and_then_its_result_is_used(server):
    question = {"role": "user", "content": "<<tool f {}>>"}
    result = {"role": "tool", "tool_call_id": "functions.f:0", "content": "42"}
    answer = server.post(RUN, json={"messages": [question, {"role": "assistant", "content": ""}, result]})
    message = answer.json()["result"]["choices"][0]["message"]
    assert message["tool_calls"] == []
    assert "42" in message["content"]


@pytest.mark.parametrize(
    "text", ["two\nlines", "a\u2028b\u0085c", "👩‍👩‍👧 {x} $y %z 'q' \"p\"", "say <<foo>> 1 >", "ünï"]
)
def test_text_is_said_as_it_was_written(server, text):
    script = f"<<say-json {json.dumps(text).replace('>', chr(92) + 'u003e')}>>"
    assert text_in(frames_of(server, script)) == text
    assert say(server, script)["choices"][0]["message"]["content"] == text


def test_markdown_has_exactly_the_tokens_asked_for_and_is_the_same_each_time(server):
    one, two = (frames_of(server, "<<tokens 1000>>") for _ in range(2))
    assert text_in(one) == text_in(two)
    assert one[-2]["usage"]["completion_tokens"] == 1000
    for mark in ("## ", "- ", "```python", "|--", "$$"):
        assert mark in text_in(one)


def test_twenty_thousand_tokens_cost_little_of_the_processor(server):
    before = cpu_ticks(server.process)
    content = server.post(RUN, json=body_for("<<tokens 20000>>", stream=True)).content
    assert cpu_ticks(server.process) - before < 60
    assert content.count(b"data: ") == 20_000 + 4


def test_max_tokens_ends_the_reply_with_length_and_thinking_eats_it_first(server):
    choice = say(server, "<<think 12345678>><<say 12345678>>", max_completion_tokens=3)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("1234", "length")
    choice = say(server, "<<think 12345678>><<say 12345678>>", max_tokens=2)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "length")


def test_switched_off_thinking_is_off(server):
    message = say(server, "<<think hmm>><<say x>>", chat_template_kwargs={"thinking": False})["choices"][0]["message"]
    assert message["reasoning"] is None


def test_finish_reason_can_be_chosen(server):
    assert say(server, "<<say x>><<finish content_filter>>")["choices"][0]["finish_reason"] == "content_filter"


def test_odd_frames_on_demand(server):
    legacy = frames_of(server, "<<say Hi>><<frames legacy>>")
    assert legacy[0]["response"] == "Hi"
    assert "choices" not in legacy[0]
    assert legacy[-2]["usage"]["completion_tokens"] == 1
    both = frames_of(server, "<<say Hi>><<frames both>>")
    assert "".join(f.get("response", "") for f in both[:-1]) == text_in(both) == "Hi"
    only = frames_of(server, "<<think hm>><<frames reasoning>>")
    assert only[1]["choices"][0]["delta"] == {"reasoning": "hm"}


def test_usage_can_be_in_the_choice_or_nowhere(server):
    in_choice = frames_of(server, "<<say Hi>><<usage in-choice>>")
    assert in_choice[-2]["choices"][0]["usage"]["completion_tokens"] == 1
    assert not any("usage" in frame for frame in in_choice[:-1])
    assert b"usage" not in server.post(RUN, json=body_for("<<say Hi>><<usage none>>", stream=True)).content


def test_json_where_a_stream_was_asked_for(server):
    answer = server.post(RUN, json=body_for("<<say Hi>><<json>>", stream=True))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["choices"][0]["message"]["content"] == "Hi"


def test_comments_between_frames(server):
    content = server.post(RUN, json=body_for("<<say Hi>><<keepalive>>", stream=True)).content
    assert content.startswith(b": keepalive\n\ndata: ")
    assert text_in(decoded(content)) == "Hi"


def test_first_byte_rate_and_pause_take_the_time_they_say(server):
    script = "<<tokens 20>><<first 0.1>><<rate 100>><<pause 0.2 after 5>>"
    began = time.perf_counter()
    with server.stream("POST", RUN, json=body_for(script, stream=True)) as answer:
        headers = time.perf_counter() - began
        arrivals = [time.perf_counter() - began for _ in answer.iter_raw()]
    assert 0.1 <= headers < 5
    assert 0.48 <= arrivals[-1] < 10
    assert max(b - a for a, b in pairwise(arrivals)) >= 0.15


def test_cached_tokens_are_whole_blocks_of_a_shared_prefix_of_the_same_affinity(server):
    def cached(messages, affinity):
        answer = server.post(
            RUN, json={"messages": messages}, headers={"x-session-affinity": affinity} if affinity else {}
        )
        return answer.json()["result"]["usage"]["prompt_tokens_details"]["cached_tokens"]

    turn = [{"role": "system", "content": "s" * 1000}, {"role": "user", "content": "a"}]
    longer = [*turn, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert cached(turn, "one") == 0
    assert cached(longer, "one") == 256
    assert cached(longer, "two") == 0
    assert cached(longer, "") == 0
    assert cached([{"role": "system", "content": "t" * 1000}], "one") == 0


def test_too_long_a_conversation_is_refused_before_it_starts(server):
    status, code, message = error_of(server.post(RUN, json=body_for("hi", max_tokens=262_144)))
    assert (status, code) == (413, 5021)
    assert "context window limit (262144)" in message


def test_without_directives_it_knows_the_conversation(server):
    def reply(*contents):
        roles = ["user" if at % 2 == 0 else "assistant" for at in range(len(contents))]
        messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
        return server.post(RUN, json={"messages": messages}).json()["result"]["choices"][0]["message"]["content"]

    assert reply("Hello!").startswith("Hello!")
    assert reply("Hi, my name is Ada.", "Hello", "What is my name?") == "Your name is **Ada**."
    assert "questions before this one: 1" in reply("one", "1", "two")
    code = reply("Write a function for Fibonacci numbers").split("```")[1].removeprefix("python\n")
    names = {}
    exec(code, names)  # noqa: S102  # the claim is that it runs
    assert names["fibonacci"](10) == 55


def test_a_json_schema_is_obeyed(server):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "tags": {"type": "array"}}}
    wrapped = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = say(server, "Give me one", response_format=wrapped)["choices"][0]["message"]["content"]
    assert json.loads(content) == {"n": 1, "tags": ["text"]}


@pytest.mark.parametrize(
    "script", ["<<rate fast>>", "<<frames odd>>", "<<fault nix>>", "<<fault cut when=now>>", "<<tool>>"]
)
def test_a_directive_that_cannot_be_understood_says_so(server, script):
    assert error_of(server.post(RUN, json=body_for(script)))[:2] == (400, 5004)


def test_what_arrived_is_recorded_exactly_without_the_token(server):
    server.delete(server.ready["url"].removesuffix("/client/v4") + "/scripted/requests")
    body = '{"messages":[{"role":"user","content":"<<say Zoë\u2028>>"}]}'
    server.post(RUN, content=body.encode(), headers={"X-Session-Affinity": "abc"})
    (entry,) = recorded(server)
    assert entry["body"] == body
    assert entry["headers"]["x-session-affinity"] == "abc"
    assert entry["headers"]["authorization"] == "present"
    assert server.ready["token"] not in json.dumps(entry)
    assert entry["ended"] == "complete"
    assert 0 <= entry["closed"] - entry["received"] < 1


@pytest.mark.parametrize(
    "script", ["<<tokens 9>><<pause 30 after 5>>", "<<fault silence>>", "<<fault no-bytes>>", "<<first 30>>"]
)
def test_a_client_that_goes_away_is_noticed_while_the_server_is_silent(server, script):
    with (
        httpx.Client(base_url=server.base_url, headers=server.headers, timeout=0.2) as other,
        pytest.raises(httpx.ReadTimeout),
    ):
        other.post(RUN, json=body_for(script, stream=True))
    left = time.time()
    while (entry := recorded(server)[-1])["closed"] is None:
        assert time.time() < left + 2
    assert entry["ended"] == "client-closed"
    assert entry["closed"] - left < 0.1
