"""The local server's queue: its routes, what it remembers, and what becomes of it when the server ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kimi_magic.local import launch, record
from tests.batches import MODEL, QUICK, body_of, carried, texts_by_reference, until_over

from .local_server import CHAT, RUN, body_for, error_of, recorded, serving

if TYPE_CHECKING:
    import httpx

    from kimi_magic.batch import Polled
    from kimi_magic.local.launch import Local
    from kimi_magic.transport import HttpTransport

QUEUE = RUN.replace("local", MODEL) + "?queueRequest=true"


@pytest.fixture(scope="module")
def raw() -> Iterator[httpx.Client]:
    with serving("--engine", "scripted") as client:
        yield client


def submitted(raw: httpx.Client, *texts: str, path: str = QUEUE) -> dict[str, Any]:
    """Queue a batch and give what the server says to that."""
    requests = [{**body_for(text), "external_reference": f"row-{n}"} for n, text in enumerate(texts)]
    answer = raw.post(path, json={"requests": requests})
    assert answer.is_success, answer.text
    return answer.json()


def polled(raw: httpx.Client, request_id: str, path: str = QUEUE) -> dict[str, Any]:
    """Ask until the batch is over, and give the result."""
    for _ in range(500):
        result = raw.post(path, json={"request_id": request_id}).json()["result"]
        if result.get("status") not in ("queued", "running"):
            return result
        time.sleep(0.01)
    raise AssertionError(result)


def test_a_submission_is_answered_in_the_documented_shape(raw: httpx.Client) -> None:
    body = submitted(raw, "<<say a>>")
    assert body.keys() == {"result", "success", "errors", "messages"}
    assert body["result"] == {"status": "queued", "request_id": body["result"]["request_id"], "model": MODEL}
    assert len(body["result"]["request_id"]) == 36


@pytest.mark.parametrize("path", [QUEUE, QUEUE.partition("?")[0]])
def test_the_finished_list_has_the_documented_shape(raw: httpx.Client, path: str) -> None:
    result = polled(raw, submitted(raw, "<<say a>>", "<<say b>>")["result"]["request_id"], path)
    assert result.keys() == {"responses", "usage"}
    assert [one["id"] for one in result["responses"]] == [0, 1]
    element = result["responses"][1]
    assert element.keys() == {"id", "result", "success", "external_reference"}
    assert (element["success"], element["external_reference"]) == (True, "row-1")
    assert element["result"]["object"] == "chat.completion"
    assert element["result"]["choices"][0]["message"]["content"] == "b"
    spent = [one["result"]["usage"]["total_tokens"] for one in result["responses"]]
    assert result["usage"]["total_tokens"] == sum(spent)


def test_an_item_without_a_reference_gets_none_back(raw: httpx.Client) -> None:
    request_id = raw.post(QUEUE, json={"requests": [body_for("<<say a>>")]}).json()["result"]["request_id"]
    assert polled(raw, request_id)["responses"][0]["external_reference"] is None


def test_an_item_that_failed_is_in_the_list_and_says_why(raw: httpx.Client) -> None:
    result = polled(raw, submitted(raw, "<<fault 8005>>")["result"]["request_id"])
    (element,) = result["responses"]
    assert (element["success"], element["external_reference"]) == (False, "row-0")
    assert element["errors"][0]["code"] == 8005


def test_an_item_may_be_of_the_wrong_shape(raw: httpx.Client) -> None:
    request_id = raw.post(QUEUE, json={"requests": [{"prompt": "x"}, body_for("<<say a>>")]}).json()["result"]
    wrong, right = polled(raw, request_id["request_id"])["responses"]
    assert (wrong["success"], wrong["errors"][0]["code"]) == (False, 5006)
    assert right["success"]


def test_items_never_stream(raw: httpx.Client) -> None:
    request_id = raw.post(QUEUE, json={"requests": [body_for("<<say a>>", stream=True)]}).json()["result"]
    assert polled(raw, request_id["request_id"])["responses"][0]["success"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", (400, 5006)),
        (b'{"requests": {}}', (400, 5006)),
        (b'{"requests": ["x"]}', (400, 5006)),
        (b'{"requests": []}', (400, 5006)),
        (b'{"request_id": "nothing"}', (404, 8001)),
        (b'{"request_id": 5}', (404, 8001)),
        (b"{", (400, 5006)),
        (b'{"requests": [{"messages": "' + b"x" * 9_999_968 + b'"}]}', (413, 3006)),
    ],
)
def test_what_is_no_batch_is_refused(raw: httpx.Client, body: bytes, expected: tuple[int, int]) -> None:
    assert error_of(raw.post(QUEUE, content=body))[:2] == expected


def test_ten_megabytes_are_too_much_and_a_byte_less_is_taken(raw: httpx.Client) -> None:
    around = len(json.dumps({"requests": [body_for("")]}))
    bodies = [json.dumps({"requests": [body_for("x" * (size - around))]}) for size in (10_000_000, 9_999_999)]
    assert [len(body) for body in bodies] == [10_000_000, 9_999_999]
    assert [raw.post(QUEUE, content=body).status_code for body in bodies] == [413, 200]


def test_only_some_models_take_batches_and_the_catalogue_says_which(raw: httpx.Client) -> None:
    found = raw.get("/accounts/0/ai/models/search").json()["result"]
    takes = {
        model["name"]: item["value"]
        for model in found
        for item in model["properties"]
        if item["property_id"] == "async_queue"
    }
    for name, said in takes.items():
        answer = raw.post(QUEUE.replace(MODEL, name), json={"requests": [body_for("x")]})
        assert answer.is_success == (said == "true")
    assert set(takes.values()) == {"true", "false"}
    assert error_of(raw.post(QUEUE.replace(MODEL, "@cf/moonshotai/kimi-k2.5"), json=body_for("x")))[1] == 8007


def test_the_openai_route_has_no_queue(raw: httpx.Client) -> None:
    answer = raw.post(CHAT + "?queueRequest=true", json=body_for("<<say a>>", model=MODEL))
    assert answer.json()["choices"][0]["message"]["content"] == "a"
    assert error_of(raw.post(CHAT + "?queueRequest=true", json={"requests": [], "model": MODEL}))[1] == 5006


def test_batches_do_not_wait_for_a_slow_one(raw: httpx.Client) -> None:
    slow = submitted(raw, *("<<first 2>>" for _ in range(3)))["result"]["request_id"]
    assert polled(raw, submitted(raw, "<<say a>>")["result"]["request_id"])["responses"]
    assert raw.post(QUEUE, json={"request_id": slow}).json()["result"]["status"] == "running"


def test_the_record_of_requests_does_not_grow_for_ever(raw: httpx.Client) -> None:
    large = body_for("<<say a>>" + "x" * 9_000_000)
    for _ in range(record.LONGEST // 9_000_000 + 2):
        assert raw.post(RUN, json={**large, "max_completion_tokens": 5}).status_code == 413  # more than the window
    assert sum(len(entry["body"]) for entry in recorded(raw)) <= record.LONGEST


def test_a_person_can_name_the_folder(tmp_path: Path) -> None:
    with serving("--engine", "scripted", "--queue", str(tmp_path / "a" / "b")) as client:
        assert submitted(client, "<<say a>>")
    (file,) = (tmp_path / "a" / "b").glob("*.sqlite3")
    assert file.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(launch.LaunchError) as caught:
        launch.start(engine="scripted", queue=str(tmp_path / "file"))
    assert "--queue" in caught.value.hint


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "scripted-scripted.sqlite3").write_bytes(b"this is no database, whatever its name says" * 100)
    with serving("--engine", "scripted", "--queue", str(tmp_path)) as client:
        assert polled(client, submitted(client, "<<say a>>")["result"]["request_id"])["responses"]
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[[], Local]]:
    """Start servers that share one folder, one after the other."""
    started: list[Local] = []

    def start() -> Local:
        started.append(launch.start(engine="scripted", queue=str(tmp_path / "queue")))
        return started[-1]

    yield start
    for local in started:
        local.close()


@pytest.mark.parametrize("gently", [True, False])
def test_a_server_that_starts_again_goes_on_where_the_last_one_ended(
    own_server: Callable[[], Local], *, gently: bool
) -> None:
    texts = [*(f"<<say {n}>>" for n in range(300)), *("<<first 0.4>><<say slow>>" for _ in range(24))]
    first = own_server()

    async def submit(carrier: HttpTransport) -> tuple[str, str]:
        ids = [await carrier.submit(MODEL, body_of(*some), "a", QUICK) for some in (texts, ["<<first 1>>"])]
        await asyncio.sleep(0.4)
        assert (await carrier.poll(MODEL, ids[0], QUICK)).status == "running"
        return ids[0], ids[1]

    ids = carried(first, submit)
    first.close() if gently else first.process.kill()
    first.process.wait()
    second = own_server()

    async def fetch(carrier: HttpTransport) -> list[Polled]:
        return [await until_over(carrier, request_id) for request_id in ids]

    whole, other = carried(second, fetch)
    assert sorted(answer.index for answer in whole.answers) == list(range(324))
    assert texts_by_reference(whole)["job-299"] == "299"
    assert other.status == "done"
    third = own_server()
    assert carried(third, fetch) == [whole, other]


def test_two_servers_share_a_folder_and_each_answer_is_given_once(own_server: Callable[[], Local]) -> None:
    servers = [own_server(), own_server()]

    async def submit(carrier: HttpTransport) -> list[str]:
        return [await carrier.submit(MODEL, body_of("<<say x>>", "<<say y>>"), "a", QUICK) for _ in range(10)]

    ids = [request_id for server in servers for request_id in carried(server, submit)]

    async def fetch(carrier: HttpTransport) -> list[list[str]]:
        return [sorted(texts_by_reference(await until_over(carrier, id_)).values()) for id_ in ids]

    assert [carried(server, fetch) for server in servers] == [[["x", "y"]] * 20] * 2
