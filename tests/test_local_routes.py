import asyncio
import re
import socket
import uuid

import httpx
import pytest

from kimi_magic.local.serve import bind
from tests.harness import loops

from .local_server import CHAT, RUN, body_for, error_of, serving


@pytest.fixture(scope="module")
def server():
    with serving("--engine", "scripted") as client:
        yield client


def test_native_answers_wear_the_envelope_and_openai_answers_are_bare(server):
    enveloped = server.post(RUN, json=body_for("<<say Hi>>")).json()
    bare = server.post(CHAT, json=body_for("<<say Hi>>", model="local")).json()
    assert (enveloped["success"], enveloped["errors"], enveloped["messages"]) == (True, [], [])
    assert enveloped["result"]["choices"][0]["message"]["content"] == "Hi"
    assert bare["choices"] == enveloped["result"]["choices"]
    assert bare["object"] == "chat.completion"


def test_streams_are_bare_on_both_routes(server):
    for path in (RUN, CHAT):
        answer = server.post(path, json=body_for("<<say Hi>>", model="local", stream=True))
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.content.startswith(b'data: {"id":"chatcmpl-')
        assert answer.content.endswith(b"data: [DONE]\n\n")


def test_answers_carry_request_id_and_ray(server):
    answer = server.post(RUN, json=body_for("hello"))
    assert uuid.UUID(answer.headers["cf-ai-req-id"])
    assert re.fullmatch(r"[0-9a-f]{16}-[A-Z]{3}", answer.headers["cf-ray"])


def test_no_cors_header_is_ever_sent(server):
    answer = server.post(RUN, json=body_for("hello"), headers={"origin": "https://example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, (400, 9106)),
        ("Basic abc", (400, 9106)),
        ("Bearer", (400, 9106)),
        ("Bearer wrong", (401, 10000)),
        ("Bearer schlüssel".encode(), (401, 10000)),
    ],
)
@pytest.mark.parametrize("path", [RUN, "/user/tokens/verify", "/nowhere", "../../scripted/requests"])
def test_every_route_wants_the_token(server, path, authorization, expected):
    url = server.ready["url"] + path
    answer = httpx.get(url, headers={"authorization": authorization} if authorization else {})
    assert error_of(answer)[:2] == expected
    assert "cf-ai-req-id" not in answer.headers
    assert "cf-ray" in answer.headers


def test_other_host_names_are_refused_so_that_dns_rebinding_gets_nothing(server):
    port = server.base_url.port
    assert server.get("/user/tokens/verify", headers={"host": f"localhost:{port}"}).is_success
    for host in (f"evil.example:{port}", "evil.example", "127.0.0.1.evil.example", ""):
        assert server.get("/user/tokens/verify", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    ("method", "path", "content", "expected"),
    [
        ("GET", RUN, None, (405, 7001)),
        ("POST", "/nowhere", b"{}", (404, 7003)),
        ("POST", "/accounts/not an account/ai/run/local", b"{}", (404, 7003)),
        ("POST", RUN, b"{", (400, 5006)),
        ("POST", RUN, b"\xff", (400, 5006)),
        ("POST", RUN, b"[]", (400, 5006)),
        ("POST", RUN, b"{}", (400, 5006)),
        ("POST", RUN, b'{"messages": []}', (400, 5006)),
        ("POST", RUN, b'{"messages": ["hi"]}', (400, 5006)),
        ("POST", CHAT, b'{"messages": []}', (400, 5006)),
        ("POST", RUN + "?queueRequest=true", b'{"requests": []}', (400, 5006)),
        ("POST", RUN.replace("local", "@cf/moonshotai/kimi-k2.5") + "?queueRequest=true", b"{}", (400, 8007)),
        ("POST", RUN.replace("local", "@cf/meta/llama"), b'{"messages": []}', (400, 5007)),
        ("POST", RUN.replace("local", "@cf/gone/model"), b'{"messages": []}', (410, 5028)),
    ],
)
def test_bad_requests_get_the_code_of_their_mistake(server, method, path, content, expected):
    assert error_of(server.request(method, path, content=content))[:2] == expected


def test_an_unknown_path_names_both_routing_codes(server):
    errors = server.get("/nowhere").json()["errors"]
    assert [error["code"] for error in errors] == [7003, 7000]


def test_a_body_over_ten_megabytes_is_refused_and_the_refusal_arrives(server):
    assert error_of(server.post(RUN, json=body_for("x" * 10_000_001)))[:2] == (413, 3006)
    assert server.post(RUN, json=body_for("x" * 900_000)).is_success


def test_kimi_ids_are_answered_and_echoed(server):
    for model in ("@cf/moonshotai/kimi-k2.6", "moonshotai/kimi-k2.5"):
        answer = server.post(f"/accounts/0/ai/run/{model}", json=body_for("hello"))
        assert answer.json()["result"]["model"] == model


def test_the_catalogue_can_be_searched(server):
    found = server.get("/accounts/0/ai/models/search", params={"search": "k2.6"}).json()["result"]
    assert [model["name"] for model in found] == ["@cf/moonshotai/kimi-k2.6"]
    properties = {item["property_id"]: item["value"] for item in found[0]["properties"]}
    assert properties["context_window"] == "262144"
    assert server.get("/accounts/0/ai/models/search?search=nonsense").json()["result"] == []


def test_the_token_verifies(server):
    body = server.get("/user/tokens/verify").json()
    assert body["result"]["status"] == "active"
    assert body["messages"][0]["code"] == 10000


def test_connections_do_not_wait_as_nagle_would():
    async def accepted_option():
        option = asyncio.get_running_loop().create_future()

        async def accepted(_reader, writer):
            raw = writer.get_extra_info("socket")
            option.set_result(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(accepted, sock=bind(0)) as server:
            _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            return await option

    assert loops.run(accepted_option())  # without it, each answer after the first took 44 ms
