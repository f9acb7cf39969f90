import json

import httpx
import pytest

from .local_server import RUN, body_for, decoded, error_of, frames_of, recorded, serving, text_in


@pytest.fixture(scope="module")
def server():
    with serving("--engine", "scripted") as client:
        yield client


def post(server, fault, say="abcdefghijkl"):
    return server.post(RUN, json=body_for(f"<<say {say}>><<fault {fault}>>", stream=True))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (3040, 429),
        (3021, 429),
        (4006, 429),
        (3036, 429),
        (3006, 413),
        (5021, 413),
        (8007, 400),
        (10000, 401),
        (5035, 403),
        (5028, 410),
        (5007, 400),
        (5004, 400),
        (8005, 500),
        (3043, 500),
        (3046, 408),
    ],
)
def test_each_code_comes_with_its_status_in_the_envelope(server, code, status):
    answer = post(server, str(code))
    assert error_of(answer)[:2] == (status, code)
    assert "retry-after" not in answer.headers
    assert recorded(server)[-1]["ended"] == "fault"


def test_retry_after_is_sent_when_asked_for(server):
    assert post(server, "3040 retry_after=7").headers["retry-after"] == "7"


def test_messages_end_with_the_request_id(server):
    answer = post(server, "3021")
    message = error_of(answer)[2]
    assert message == (
        f"AiError: AiError: rate limiting: inference request per min rate reached ({answer.headers['cf-ai-req-id']})"
    )


def test_8007_carries_the_inner_error_as_json(server):
    message = error_of(post(server, "8007"))[2]
    inner = json.loads(message.removeprefix("AiError: AiError: ").rpartition(" (")[0])
    assert inner["type"] == "BadRequestError"
    assert "maximum context length of 262144 tokens" in inner["message"]


def test_a_fault_strikes_as_often_as_it_says_and_then_the_request_succeeds(server):
    script = "<<say ok>><<fault 3040 times=2>><<fault html times=1>>"
    statuses = [server.post(RUN, json=body_for(script)).status_code for _ in range(4)]
    assert statuses == [429, 429, 502, 200]
    other = server.post(RUN, json=body_for(script), headers={"x-session-affinity": "other"})
    assert other.status_code == 429


def test_success_status_with_an_error_inside(server):
    answer = post(server, "200-json")
    assert answer.status_code == 200
    assert error_of(answer)[1] == 3040


def test_a_proxys_html_page(server):
    answer = post(server, "html")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("error", lambda frame: frame["error"]["code"]),
        ("error-list", lambda frame: frame["error"][0]["code"]),
        ("errors", lambda frame: frame["errors"][0]["code"]),
    ],
)
def test_an_error_frame_in_the_middle_of_the_stream(server, shape, found):
    frames = decoded(post(server, f"midstream after=2 shape={shape}").content)
    assert text_in(frames[:-1]) == "abcdefgh"
    assert found(frames[-1]) == 3043


def test_an_error_event_in_the_middle_of_the_stream(server):
    content = post(server, "midstream after=1 shape=event").content
    assert content.endswith(b'event: error\ndata: {"message":"Internal server error","code":3043}\n\n')


@pytest.mark.parametrize(("fault", "error"), [("cut", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
def test_the_connection_breaks_after_the_tokens_that_were_sent(server, fault, error):
    request = body_for(f"<<say abcdefghijkl>><<fault {fault} after=2>>", stream=True)
    with server.stream("POST", RUN, json=request) as answer, pytest.raises(error):
        for _ in answer.iter_raw():
            pass
    assert recorded(server)[-1]["ended"] == "fault"


def test_streams_without_their_end(server):
    no_done = decoded(post(server, "no-done").content)
    assert text_in(no_done) == "abcdefghijkl"
    assert no_done[-1]["choices"][0]["finish_reason"] is None
    *no_finish, done = decoded(post(server, "no-finish").content)
    assert text_in(no_finish) == "abcdefghijkl"
    assert no_finish[-1]["choices"][0]["finish_reason"] is None
    assert done == "[DONE]"


def test_garbage_between_good_frames(server):
    raw = post(server, "garbage after=1").content.split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw[2].removeprefix(b"data: "))
    assert raw[-2] == b"data: [DONE]"


def test_silence_sends_headers_and_no_byte(server):
    request = body_for("<<say x>><<fault silence>>", stream=True)
    with server.stream("POST", RUN, json=request, timeout=0.3) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            answer.read()


def test_no_bytes_sends_not_even_headers(server):
    with pytest.raises(httpx.ReadTimeout):
        server.post(RUN, json=body_for("<<say x>><<fault no-bytes>>"), timeout=0.3)


def test_clearing_the_record_lets_faults_strike_again(server):
    script = "<<say again>><<fault 3040 times=1>>"
    assert [server.post(RUN, json=body_for(script)).status_code for _ in range(2)] == [429, 200]
    server.delete(server.ready["url"].removesuffix("/client/v4") + "/scripted/requests")
    assert server.post(RUN, json=body_for(script)).status_code == 429


def test_a_stream_without_fault_is_whole(server):
    assert frames_of(server, "<<say abcdefghijkl>>")[-1] == "[DONE]"
