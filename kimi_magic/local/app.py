"""The routes: who may ask, what a request must be, and how an answer is worn.

Errors always wear Cloudflare's envelope; a completion wears it on `/ai/run` and is bare on `/ai/v1`; frames are bare on
both. While an engine works, the connection is watched: the moment the client goes away, the work is cancelled.
"""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import events
from .engine import (
    Answer,
    Ask,
    Completion,
    Cut,
    Engine,
    Page,
    Refusal,
    Silence,
    Stream,
    bad_input,
    check_messages,
)
from .guard import Guard, body_of, envelope, new_ray
from .queueing import Queue
from .record import Log

ACCOUNT = "/client/v4/accounts/{account}"


def build(engine: Engine, token: str, queue: Queue, log: Log | None = None) -> ASGIApp:
    """Make the whole application; with a `log`, requests are recorded and can be read back."""
    routes = [
        Route(ACCOUNT + "/ai/run/{model:path}", run_native, methods=["POST"]),
        Route(ACCOUNT + "/ai/v1/chat/completions", run_openai, methods=["POST"]),
        Route(ACCOUNT + "/ai/models/search", search_models, methods=["GET"]),
        Route("/client/v4/user/tokens/verify", verify_token, methods=["GET"]),
        *events.routes(ACCOUNT),
    ]
    handlers = {Refusal: refusal_page, Cut: cut_off, HTTPException: routing_page, Exception: broken_page}
    inner = Starlette(routes=[*routes, *(log.routes() if log else [])], exception_handlers=handlers)  # type: ignore[arg-type]  # narrower than Exception
    inner.state.engine = engine
    inner.state.queue = queue
    guarded = Guard(inner, token)
    return log.watch(guarded) if log else guarded


async def run_native(request: Request) -> Response:
    """Answer `POST …/ai/run/{model}`."""
    raw = await body_of(request.receive)
    body = json_object(raw)
    model = str(request.path_params["model"])
    if request.query_params.get("queueRequest") == "true" or body.keys() == {"request_id"}:
        return queued(request, raw, body, model)
    return deliver(request, body, model, native=True)


def queued(request: Request, raw: bytes, body: dict[str, Any], model: str) -> Response:
    """Take a batch, or say how one stands."""
    check_account(request)
    queue: Queue = request.app.state.queue
    queue.engine.admit(model)
    if "request_id" in body:
        content = queue.poll(body["request_id"], model)
    else:
        content = queue.submit(model, raw, body, request.headers.get("x-session-affinity", ""))
    return Response(content, media_type="application/json", headers={"cf-ai-req-id": str(uuid.uuid4())})


async def run_openai(request: Request) -> Response:
    """Answer `POST …/ai/v1/chat/completions`."""
    body = json_object(await body_of(request.receive))
    model = body.get("model")
    if not isinstance(model, str):
        raise bad_input("required properties at '/' are 'model'")
    return deliver(request, body, model, native=False)


def deliver(request: Request, body: Mapping[str, Any], model: str, *, native: bool) -> Response:
    """Check what all models need, and hand over to the engine."""
    engine: Engine = request.app.state.engine
    check_account(request)
    engine.admit(model)
    check_messages(body)
    affinity = request.headers.get("x-session-affinity", "")
    return Delivery(engine, Ask(model=model, body=body, native=native, affinity=affinity))


async def search_models(request: Request) -> Response:
    """Answer `GET …/ai/models/search`; `search` narrows by name."""
    check_account(request)
    engine: Engine = request.app.state.engine
    wanted = request.query_params.get("search", "").lower()
    found = [card for card in engine.catalogue() if wanted in card.name.lower()]
    return JSONResponse(envelope([catalogue_item(**vars_of(card)) for card in found]))


def vars_of(card: Any) -> dict[str, Any]:
    """Return the fields of a slotted value."""
    return {name: getattr(card, name) for name in card.__slots__}


def catalogue_item(name: str, description: str, context: int, *, reasoning: bool, queue: bool) -> dict[str, Any]:
    """One model as the catalogue lists it: property values are strings."""
    properties = {"context_window": str(context), "function_calling": "true", "async_queue": str(queue).lower()}
    if reasoning:
        properties["reasoning"] = "true"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "source": 1,
        "name": name,
        "description": description,
        "task": {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, "text-generation")),
            "name": "Text Generation",
            "description": "Family of generative text models.",
        },
        "tags": [],
        "properties": [{"property_id": key, "value": value} for key, value in properties.items()],
    }


async def verify_token(_request: Request) -> Response:
    """Answer `GET /user/tokens/verify`: whoever came this far has the right token."""
    note = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return JSONResponse(envelope({"id": uuid.uuid4().hex, "status": "active"}, messages=[note]))


def json_object(raw: bytes) -> dict[str, Any]:
    """Read a body, which has to be a JSON object."""
    try:
        body = json.loads(raw)
        if b"\\ud" in raw.lower():
            json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as exc:
        raise Refusal(400, 5006, f"AiError: Bad input: Error: body is not JSON: {type(exc).__name__}") from exc
    if not isinstance(body, dict):
        raise bad_input("type at '/' not met: object")
    return body


def check_account(request: Request) -> None:
    """Refuse an account that could not be one; which account it is plays no part on one's own machine."""
    account = str(request.path_params["account"])
    if not (account.replace("-", "").replace("_", "").isalnum() and account.isascii()):
        text = f"Could not route to {request.url.path}, perhaps your object identifier is invalid?"
        raise Refusal(404, 7003, text)


async def refusal_page(request: Request, refusal: Refusal) -> Response:
    """Show a refusal in the envelope."""
    request.scope["fault"] = refusal.fault
    body = envelope({}, errors=[{"message": refusal.message, "code": refusal.code}])
    return JSONResponse(body, refusal.status, headers=refusal.headers)


async def cut_off(request: Request, cut: Cut) -> Response:
    """Answer nothing: the request was taken, and the connection ends."""
    request.scope["fault"] = True
    await request.scope["state"]["connection"].cut(reset=cut.reset)
    return Response()  # to nobody


async def routing_page(request: Request, exc: HTTPException) -> Response:
    """Show Starlette's own 404 and 405 as Cloudflare's router words them."""
    if exc.status_code == 405:  # noqa: PLR2004  # a status is its own name
        text = f"{request.method} not supported for requested URI."
        return JSONResponse(envelope(None, errors=[{"code": 7001, "message": text}]), 405)
    path = request.url.path
    errors = [
        {"code": 7003, "message": f"Could not route to {path}, perhaps your object identifier is invalid?"},
        {"code": 7000, "message": "No route for that URI"},
    ]
    return JSONResponse(envelope(None, errors=errors), 404)


async def broken_page(_request: Request, _exc: Exception) -> Response:
    """Hide a mistake of ours from the client; its traceback goes to stderr."""
    return JSONResponse(envelope(None, errors=[{"code": 3043, "message": "AiError: Internal server error"}]), 500)


class Delivery(Response):
    """Runs the engine and sends its answer, for as long as the client stays."""

    def __init__(self, engine: Engine, ask: Ask) -> None:
        super().__init__()
        self.engine = engine
        self.ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Race the work against the client's patience."""
        work = asyncio.create_task(self.work(scope, send))
        gone = asyncio.create_task(disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()):
            await self.ended(error, scope)

    async def ended(self, error: BaseException, scope: Scope) -> None:
        """Cut the connection when that was the engine's wish, and pass on everything else."""
        if not isinstance(error, Cut):
            if isinstance(error, Refusal) and self.ask.request_id in error.message:
                error.headers.setdefault("cf-ai-req-id", self.ask.request_id)
            raise error
        await scope["state"]["connection"].cut(reset=error.reset)

    async def work(self, scope: Scope, send: Send) -> None:
        """Ask the engine and send what it answers."""
        answer = await self.engine.answer(self.ask)
        scope["fault"] = answer.fault
        match answer:
            case Stream():
                await self.send_stream(answer, send)
            case Silence():
                await asyncio.Event().wait()
            case Completion() | Page():
                await self.send_page(*self.page(answer), send)

    def page(self, answer: Answer) -> tuple[int, str, bytes]:
        """Return status, media type and content of an answer that is sent whole."""
        if isinstance(answer, Page):
            return answer.status, answer.media_type, answer.content
        assert isinstance(answer, Completion)  # noqa: S101  # the only other kind that comes here
        body = envelope(answer.body) if self.ask.native else answer.body
        return 200, "application/json", json.dumps(body, ensure_ascii=False).encode()

    def start(self, status: int, media_type: str) -> dict[str, Any]:
        """Make the message that starts an answer."""
        headers = {"content-type": media_type, "cf-ai-req-id": self.ask.request_id, "cf-ray": new_ray()}
        pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
        return {"type": "http.response.start", "status": status, "headers": pairs}

    async def send_page(self, status: int, media_type: str, content: bytes, send: Send) -> None:
        """Send an answer whole."""
        start = self.start(status, media_type)
        start["headers"].append((b"content-length", str(len(content)).encode()))
        await send(start)
        await send({"type": "http.response.body", "body": content})

    async def send_stream(self, answer: Stream, send: Send) -> None:
        """Send frames as they come, and close their source on every way out."""
        await send(self.start(200, "text/event-stream"))
        try:
            async for data in answer.frames:
                await send({"type": "http.response.body", "body": data, "more_body": True})
                await asyncio.sleep(0)  # lets a disconnect be seen between two writes that never had to wait
        finally:
            if (close := getattr(answer.frames, "aclose", None)) is not None:
                await close()
        await send({"type": "http.response.body"})


async def disconnected(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
