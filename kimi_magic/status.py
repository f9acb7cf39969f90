"""What the words of `%kimi` answer: tables of where questions go, what was used, and every setting with its source."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kimi_magic import command, history, kernel, models, settings, spending, toolkit
from kimi_magic.command import Journal, Private, Show
from kimi_magic.errors import CommandError, KimiError
from kimi_magic.options import WORDS
from kimi_magic.present import dollars
from kimi_magic.report import Report
from kimi_magic.settings import Secret, Settings

if TYPE_CHECKING:
    from kimi_magic.conversation import Conversation
    from kimi_magic.reply import Reply
    from kimi_magic.sent import Sent
    from kimi_magic.store import Egress

__all__ = ["answer", "config", "egress", "journal", "model", "overview", "private", "reset", "sent", "use", "words"]

_LEDGER_ROWS = 200
_LEDGER_COLUMNS = 8


def answer(asked: command.Command, namespace: dict[str, Any]) -> Report | Sent:
    """Do what a `%kimi` line says, and tell of it."""
    match asked:
        case Show.TOOLS:
            return toolkit.tools(namespace)
        case command.Show():
            return _SHOWN[asked]()
        case command.Private():
            return private(asked, namespace)
    return _ANSWERS.get(type(asked), history.answer)(asked)


def overview() -> Report:
    """Where questions go, with which model and credentials, and what was used. Asks the network nothing."""
    session = kernel.current()
    turns = len(session.conversation.turns)
    rows = (
        *_set_up(),
        ("conversation", f"{turns} turn{'' if turns == 1 else 's'}"),
        ("used so far", _used()),
    )
    return Report("Kimi in this kernel", rows, note="%kimi help lists what can be typed; %%kimi? the options.")


def _set_up() -> tuple[tuple[str, str], ...]:
    try:
        values = kernel.resolve()
    except KimiError as error:
        return (("settings", error.message), ("next step", error.hint))
    return (*_where(values), ("credentials", _credentials(values)))


def _where(values: Settings) -> tuple[tuple[str, str], ...]:
    try:
        where = kernel.place(values)
        chosen = kernel.model(values, where)
    except KimiError as error:
        return (("endpoint", f"none: {error.message}"), ("next step", error.hint))
    address = {"local": "the model on this machine", "cloudflare": "Cloudflare Workers AI"}.get(where.name)
    endpoint = address or urlsplit(where.name).netloc
    gateway = f", through the gateway {values.gateway!r}" if values.gateway and where.name == "cloudflare" else ""
    window = f"{chosen.id}, holds {chosen.window:,} tokens" if chosen.id in models.MODELS else chosen.id
    note = f" ({chosen.note})" if chosen.note and chosen.id != models.LOCAL else ""
    return (("endpoint", f"{endpoint}{gateway} ({where.why})"), ("model", window + note))


def _credentials(values: Settings) -> str:
    found = [
        f"{name} {value if isinstance(value, Secret) else '…' + value[-4:]} from {values.source(name)}"
        for name, value in (
            ("account_id", values.account_id),
            ("api_token", values.api_token),
            ("api_key", values.api_key),
        )
        if value
    ]
    return "\n".join(found) or "none"


def _used() -> str:
    books = kernel.current().books
    used = books.usage
    replies = f"{books.replies} repl{'y' if books.replies == 1 else 'ies'}"
    replayed = f"; {books.replayed} replayed, for nothing" if books.replayed else ""
    if not books.replies:
        return replies + replayed
    return f"{replies}, {used.input:,} tokens in ({used.cached:,} cached), {used.output:,} out{_cost()}{replayed}"


def _cost() -> str:
    books = kernel.current().books
    if books.unpriced == books.replies:
        return ""
    rest = f" (without {books.unpriced} replies that have no price)" if books.unpriced else ""
    return f", {dollars(books.cost)}{rest}"


def sent(turn: int) -> Sent:
    """Give exactly what was sent for a turn of the conversation; 0 for the last question of this kernel."""
    session = kernel.current()
    turns = session.conversation.tree
    if turn and turn not in turns:
        raise CommandError(f"The conversation has no turn {turn}.", hint="`%kimi history --all` lists them.")
    found = session.conversation.sent(turn) if turn else session.last_sent
    if found is None:
        raise CommandError("Nothing was sent yet.", hint="--dry-run shows what a question would send.")
    return found


def private(asked: Private, namespace: dict[str, Any]) -> Report:
    """Make columns private, or release some; tell which are."""
    from kimi_magic.context import template

    guard = kernel.guard()
    if asked.released:
        guard.release(asked.released)
    elif asked.table:
        guard.hide(template.value_of(asked.table, namespace), asked.columns)
    rows = tuple((name, guard.summary(name)) for name in guard.names)
    note = (
        "Any table's column of one of these names stays in the kernel, in this session."
        if rows
        else "Nothing is private. %kimi private df ssn email keeps these columns in the kernel."
    )
    return Report("Private columns", rows, ("column", "guarded") if rows else (), note=note)


def egress(*, everything: bool = False) -> Report:
    """Show the ledger: what left the kernel, the latest last."""
    store = kernel.ledger()
    entries = store.egress(limit=_LEDGER_ROWS, kernel=None if everything else store.kernel)
    rows = tuple(
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.time)),
            entry.endpoint,
            entry.model.rpartition("/")[2],
            entry.source,
            entry.what,
            _columns(entry.columns),
            f"{entry.rows:,}" if entry.rows else "–",
            f"{entry.bytes:,}",
            _kept_back(entry),
        )
        for entry in entries
    )
    columns = ("time", "sent to", "model", "part", "what", "columns", "rows", "bytes", "kept back")
    note = store.trouble or f"Kept in {_at_home(store.path)}."
    empty = "" if rows else "Nothing has left this kernel. "
    return Report("What left the kernel" if rows else "", rows, columns if rows else (), note=empty + note)


def journal(asked: Journal) -> Report:
    """Save or load recordings, or tell of the journal: how much, where, and what becomes of equal requests."""
    kept = kernel.journal()
    path = Path(asked.path).expanduser()
    if asked.action == "clear":
        return Report("", (), note=f"{_exchanges(kept.clear())} erased, of every notebook; files stay.")
    if asked.action == "save":
        return _saved(path, everything=asked.everything)
    if asked.action == "load":
        return Report("", (), note=f"{_exchanges(kept.load(path))} from {_at_home(path)}, for this kernel alone.")
    values = kernel.resolve()
    sizes = kernel.journal(values).sizes
    rows = (
        ("recorded", f"{_exchanges(sizes.kept)}, {sizes.characters / 1e6:,.1f} MB"),
        ("loaded from files", _exchanges(sizes.loaded) + _missing(values.journal)),
        ("used by this kernel", _exchanges(sizes.used)),
        ("an equal request", f"{_POLICIES[values.rerun]} (rerun = {values.rerun}, {values.source('rerun')})"),
    )
    store = kernel.ledger()
    return Report("The journal", rows, note=store.trouble or f"Kept in {_at_home(store.path)}.")


def _saved(path: Path, *, everything: bool) -> Report:
    """Write the recordings of this notebook, without those of turns that a later run of their cell has replaced."""
    conversations = kernel.current().conversations.values()
    replaced: list[Reply] = []
    stay: list[Reply] = []
    for conversation in conversations:
        gone = set() if everything else _replaced(conversation)
        for number, turn in conversation.tree.items():
            (replaced if number in gone else stay).append(turn.reply)
    saved = kernel.journal().save(path, kernel.require_writable, replaced, stay)
    was = f", where {_exchanges(saved.before)} {'was' if saved.before == 1 else 'were'} before" if saved.before else ""
    less = f" {saved.left_out} of replaced turns left out: --all writes them, too." if saved.left_out else ""
    return Report("", (), note=f"{_exchanges(saved.count)} in {_at_home(path)}{was}.{less}")


def _replaced(conversation: Conversation) -> set[int]:
    """Find the turns whose cell ran again, and those below them; the path in use counts, whatever ran again."""
    last = {turn.origin.cell: turn.origin.run for _, turn in sorted(conversation.tree.items())}
    gone: set[int] = set()
    for number, turn in sorted(conversation.tree.items()):
        if turn.parent in gone or (turn.origin.cell and last[turn.origin.cell] != turn.origin.run):
            gone.add(number)
    return gone - {turn.number for turn in conversation.turns}


def _missing(path: str) -> str:
    return f"; {path} is not there yet" if path and not Path(path).expanduser().exists() else ""


_POLICIES = {
    "replay": "is replayed, not sent",
    "ask": "is replayed or sent, as you say",
    "always": "is sent again",
    "only": "is replayed; nothing is ever sent",
}


def _exchanges(count: int) -> str:
    return f"{count:,} exchange{'' if count == 1 else 's'}"


def _at_home(path: Path | None) -> str:
    """Write a path as a person would, with ~ for the home folder."""
    if path is None:
        return "memory"
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _columns(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_LEDGER_COLUMNS])
    return f"{shown} and {len(names) - _LEDGER_COLUMNS} more" if len(names) > _LEDGER_COLUMNS else shown or "–"


def _kept_back(entry: Egress) -> str:
    kept = [*entry.withheld, *([f"{entry.redacted} redacted"] if entry.redacted else ())]
    return ", ".join(kept) or "–"


def use(endpoint: str) -> Report:
    """Send questions there from now on; empty tells where they go."""
    if endpoint:
        kernel.place(kernel.resolve({"endpoint": endpoint}))
        kernel.configure("endpoint", endpoint)
    return Report("Questions go to", _where(kernel.resolve()))


def model(name: str) -> Report:
    """Ask this model from now on; empty lists the known ones."""
    if name:
        values = kernel.resolve({"model": name})
        chosen = kernel.model(values, kernel.place(values))
        kernel.configure("model", chosen.id)
        here = chosen.id == models.LOCAL or kernel.place(kernel.resolve()).name != "local"
        note = "" if here else "It is asked once there is a Cloudflare account; until then the local model answers."
        return Report("Model", _where(kernel.resolve()), note=note)
    rows = tuple(
        (
            entry.id,
            f"{entry.window:,}",
            f"${entry.price.input:.2f} / ${entry.price.cached:.2f} / ${entry.price.output:.2f}" if entry.price else "–",
            entry.note,
        )
        for entry in models.MODELS.values()
    )
    columns = ("model", "window", "per million: in / cached / out", "")
    return Report("Known models", rows, columns, note="%kimi model NAME chooses one; a newer one goes by its full id.")


def reset() -> Report:
    """Begin a new conversation."""
    session = kernel.current()
    turns = len(session.conversation.turns)
    session.reset()
    return Report("A new conversation", (), note=f"{turns} turn{'' if turns == 1 else 's'} left behind; usage goes on.")


def config() -> Report:
    """Every setting with its value, its source and its meaning; a value that cannot be used says why."""
    try:
        found = kernel.gathered()
    except KimiError as error:
        return Report("Settings", (("cannot be read", error.message), ("next step", error.hint)))
    rows = tuple((name, *_value(name, found.get(name)), settings.field_help(name)) for name in settings.FIELDS)
    note = "Set one with %config KimiMagics.NAME = VALUE, KIMI_NAME in the environment, or [tool.kimi_magic]."
    return Report("Settings", rows, ("setting", "value", "source", "meaning"), note=note)


def _value(name: str, found: tuple[object, str] | None) -> tuple[str, str]:
    """Give a setting's value and source in words."""
    if found is None:
        return _shown(settings.FIELDS[name].default), "default"
    value, source = found
    try:
        shown = _shown(settings.parse(name, value, source))
    except KimiError as error:
        return f"unusable: {error.message}", source
    return (f"…{shown[-4:]}" if name == "account_id" else shown), source


def _shown(value: object) -> str:
    if value in (None, "") or (isinstance(value, Secret) and not value):
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def words() -> Report:
    """Tell what can be typed."""
    rows = (
        ("%%kimi [DEST] [options]", "ask what stands below; `%%kimi?` lists the options"),
        ("%kimi", "where questions go, and what was used"),
        *((f"%kimi {word}", text) for word, text in WORDS.items()),
    )
    return Report("Kimi in this kernel", rows)


_SHOWN: dict[Show, Callable[[], Report]] = {
    Show.STATUS: overview,
    Show.PREFIX: spending.prefix,
    Show.RESET: reset,
    Show.UNDO: history.undo,
    Show.CONFIG: config,
    Show.HELP: words,
}
_ANSWERS: dict[type, Callable[[Any], Report | Sent]] = {
    command.ShowSent: lambda asked: sent(asked.turn),
    command.Ledger: lambda asked: egress(everything=asked.everything),
    command.Journal: journal,
    command.Mcp: toolkit.mcp,
    command.Use: lambda asked: use(asked.endpoint),
    command.SetModel: lambda asked: model(asked.name),
    command.SetBudget: lambda asked: spending.budget(asked.text),
    command.ShowUsage: lambda asked: spending.usage(plot=asked.plot, everything=asked.everything),
}
