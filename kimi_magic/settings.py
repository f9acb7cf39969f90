"""Every setting once: its type, range, unit, default, and where its value came from.

A value is looked for in this order: an option of the cell, `%config KimiMagics.x`, the environment (`KIMI_X`, and
Cloudflare's own names), `[tool.kimi_magic]` of the nearest pyproject.toml, `kimi_magic/config.toml` in the user's
configuration folder, the default. Credentials are `Secret`: they never show themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from kimi_magic.budget import Budget
from kimi_magic.errors import CommandError, SettingError

__all__ = [
    "APPROVALS",
    "EFFORTS",
    "FORMATS",
    "LOOPBACK",
    "RERUNS",
    "Secret",
    "Settings",
    "field_help",
    "gather",
    "parse",
    "resolve",
]

FORMATS = ("markdown", "text", "code", "json", "html", "table")
APPROVALS = ("ask", "all", "none")
EFFORTS = ("off", "low", "medium", "high")
APIS = ("run", "chat")
RERUNS = ("replay", "ask", "always", "only")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Secret:
    """A credential. It prints as its last four characters at most; `reveal()` is the only way in."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the credential itself, for a request's header and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return f"…{self._value[-4:]}" if len(self._value) >= 16 else "…"  # noqa: PLR2004  # four of sixteen tell nothing

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, ("",))  # a pickled session carries no credential


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text")  # noqa: TRY004  # one class for "cannot be used"
    return value


def _secret(value: object) -> Secret:
    secret = (value.reveal() if isinstance(value, Secret) else _text(value)).strip()
    if not secret.isascii() or any(c.isspace() for c in secret):
        raise ValueError("holds a space, a line break or a letter outside ASCII; it may not have been pasted whole")
    return Secret(secret)


def _name(value: object) -> str:
    text = _text(value).strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("is not a name of letters, digits, - and _")
    return text


def _yes_no(value: object) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("is neither on nor off")


def _number(low: float, high: float) -> Callable[[object], float]:
    def number(value: object) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if isinstance(value, bool) or not low <= number <= high:
            raise ValueError(f"is not a number from {low:g} to {high:g}")
        return number

    return number


def _whole(low: int, high: int) -> Callable[[object], int]:
    def whole(value: object) -> int:
        try:
            number = int(str(value).replace("_", "").replace(",", ""))
        except ValueError:
            number = low - 1
        if isinstance(value, bool) or not low <= number <= high:
            raise ValueError(f"is not a whole number from {low:,} to {high:,}")
        return number

    return whole


def _seconds(value: object) -> float:
    text = str(value).strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip() or "s"
    try:
        seconds = float(digits) * _UNITS[unit]
    except (ValueError, KeyError):
        seconds = -1
    if not 0 < seconds <= 86_400:  # noqa: PLR2004  # a day
        raise ValueError("is not a time such as 30, 500ms, 45s or 2m")
    return seconds


def _one_of(*words: str) -> Callable[[object], str]:
    def one_of(value: object) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return word

    return one_of


def _endpoint(value: object) -> str:
    text = _text(value).strip()
    if text.lower() in ("auto", "local", "cloudflare"):
        return text.lower()
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is none of auto, local, cloudflare or an http(s) URL")
    if parts.username or parts.password:
        raise ValueError("holds a credential; set KIMI_API_KEY for it")
    if parts.query or parts.fragment:
        raise ValueError("holds a query; give the address alone")
    return text.rstrip("/")


def _base(value: object) -> str:
    text = _text(value).strip().rstrip("/")
    parts = urlsplit(text)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError("is not an https URL, and a token would travel in the clear")
    return text


def _loopback(value: object) -> str:
    text = _text(value).strip().rstrip("/")
    if text and urlsplit(text).hostname not in LOOPBACK:
        raise ValueError("is not on this machine; for another one: %kimi use URL")
    return text


def _account(value: object) -> str:
    text = _text(value).strip()
    if text and (len(text) != 32 or set(text) - set("0123456789abcdef")):  # noqa: PLR2004  # hex digits of 16 bytes
        raise ValueError("is not an account id: 32 characters of 0-9 and a-f, from the dashboard's URL")
    return text


def _queue(value: object) -> str:
    text = _text(value).strip().lower()
    if text and not re.fullmatch(r"[0-9a-f]{32}", text):
        raise ValueError("is not the id of a queue: 32 characters of 0-9 and a-f, from the dashboard")
    return text


def _budget(value: object) -> Budget | None:
    return value if isinstance(value, Budget) else Budget.parse(str(value))


def _setting(
    default: Any,
    parse: Callable[[object], Any],
    text: str,
    *names: str,
    portable: bool = True,
) -> Any:
    return field(default=default, metadata={"parse": parse, "help": text, "names": names, "portable": portable})


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force for one ask, and the source of each in `sources`. None means: not sent, the model decides."""

    endpoint: str = _setting(
        "auto", _endpoint, "auto (Cloudflare with credentials, else local), local, cloudflare, or a URL", portable=False
    )
    model: str = _setting("", _text, "model id or short name; empty: kimi-k2.6, or the local model")
    system: str = _setting("", _text, "system message")
    max_tokens: int | None = _setting(None, _whole(1, 2_000_000), "most tokens of a reply, thinking included")
    temperature: float | None = _setting(None, _number(0, 2), "0 to 2")
    top_p: float | None = _setting(None, _number(0, 1), "0 to 1")
    effort: str | None = _setting(None, _one_of(*EFFORTS), "thinking: off, low, medium, high")
    format: str = _setting(
        "markdown", _one_of(*FORMATS), "how a reply is shown: markdown, text, code, json, html, table"
    )
    resume: str = _setting("off", _one_of("off", "auto"), "auto: the notebook's last conversation goes on by itself")
    stream: bool = _setting(True, _yes_no, "paint while the reply arrives; off: one display at the end")  # noqa: FBT003
    thinking: bool = _setting(True, _yes_no, "show the thinking, folded")  # noqa: FBT003
    rerun: str = _setting(
        "replay", _one_of(*RERUNS), "an equal request again: replay, ask, always (send it), only (replay; never send)"
    )
    replay_pace: str = _setting("at once", _one_of("at once", "recorded"), "how a replay comes: at once, recorded")
    journal: str = _setting("", _text, "a file of recordings (.kimi.jsonl) to replay from", portable=False)
    rounds: int = _setting(8, _whole(0, 100), "most rounds of tool calls for one question; then the model has to reply")
    approve: Literal["ask", "all", "none"] = _setting(
        "ask", _one_of(*APPROVALS), "calls of tools that want approval: ask, all, none", portable=False
    )
    timeout: float | None = _setting(None, _seconds, "longest time for one reply, in seconds")
    connect_timeout: float = _setting(10.0, _seconds, "longest wait for a connection, in seconds")
    first_timeout: float = _setting(120.0, _seconds, "longest wait for the first byte of a reply, in seconds")
    idle_timeout: float = _setting(60.0, _seconds, "longest silence inside a reply, in seconds")
    retries: int = _setting(4, _whole(0, 20), "how often a busy or failing service is asked again")
    account_id: str = _setting("", _account, "Cloudflare account id", "CLOUDFLARE_ACCOUNT_ID", portable=False)
    api_token: Secret = _setting(Secret(""), _secret, "Workers AI token", "CLOUDFLARE_API_TOKEN", portable=False)
    api: str = _setting("run", _one_of(*APIS), "run: /ai/run; chat: /ai/v1/chat/completions")
    api_base: str = _setting(
        "https://api.cloudflare.com/client/v4",
        _base,
        "where Cloudflare's API is",
        "CLOUDFLARE_API_BASE_URL",
        portable=False,
    )
    gateway: str = _setting("", _name, "AI Gateway that requests go through")
    api_key: Secret = _setting(Secret(""), _secret, "key for a URL endpoint", portable=False)
    local_url: str = _setting("", _loopback, "a local server that runs already; empty: one is started", portable=False)
    local_token: Secret = _setting(Secret(""), _secret, "token of that local server", portable=False)
    local_model: str = _setting("", _text, "GGUF file for the local model; empty: SmolLM2-135M", portable=False)
    local_engine: str = _setting("llama", _one_of("llama", "scripted"), "llama: a real model; scripted: for tests")
    budget: Budget | None = _setting(
        None, _budget, "most to spend: $2 for a kernel, $2/day over all kernels, off", portable=False
    )
    notify_queue: str = _setting(
        "", _queue, "id of a Cloudflare Queue that tells of the ends of jobs; empty: they are polled", portable=False
    )
    rate: float | None = _setting(
        None, _number(0, 1_000_000), "a job's requests a minute, one by one; unset: 20 on Cloudflare; 0: no limit"
    )
    concurrency: int = _setting(16, _whole(1, 1_000), "a job's requests that are on their way at once, one by one")
    sources: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str) -> str:
        """Where the value of `name` came from, in words."""
        return self.sources.get(name, "default")


FIELDS = {f.name: f for f in fields(Settings) if f.metadata}


def names_in_environment(name: str) -> tuple[str, ...]:
    """The environment variables of a setting, the first one winning."""
    return (f"KIMI_{name.upper()}", *FIELDS[name].metadata["names"])


def field_help(name: str) -> str:
    """One line of help for a setting."""
    return str(FIELDS[name].metadata["help"])


def parse(name: str, value: object, source: str) -> Any:
    """Check one value; raise an error that names the value (credentials excepted) and its source.

    It is a CommandError for what stands in a cell (`option`), a SettingError for what was set elsewhere.
    """
    try:
        return FIELDS[name].metadata["parse"](value)
    except ValueError as exc:
        secret = isinstance(FIELDS[name].default, Secret) or "@" in str(value)
        kind = CommandError if source == "option" else SettingError
        step = "`%%kimi?` lists the options." if source == "option" else "Change it there; `%kimi config` shows all."
        raise kind(f"{name} ({source}): {'the value' if secret else repr(value)} {exc}.", hint=step) from None


def gather(
    options: Mapping[str, object],
    configured: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> dict[str, tuple[object, str]]:
    """Find the value that wins for each setting, unchecked, with its source; raise SettingError for a broken file.

    The later source wins, but what must send nothing goes on so: nothing overrules `rerun = only` in the environment,
    and no option does, wherever it is set.
    """
    environment = os.environ if environment is None else environment
    found: dict[str, tuple[object, str]] = {}
    for source, values in (
        *_files(environment, folder),
        *_environment(environment),
        ("%config", configured),
        ("option", options),
    ):
        kept = {"rerun"} if _sends_nothing(found, source) else set()
        found |= {name: (value, source) for name, value in values.items() if name not in kept}
    return found


def _sends_nothing(found: Mapping[str, tuple[object, str]], source: str) -> bool:
    """Whether `rerun = only` stands, and this source may not change that."""
    value, setter = found.get("rerun", ("", ""))
    return str(value).strip().lower() == "only" and (setter.startswith("environment") or source == "option")


def resolve(
    options: Mapping[str, object],
    configured: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Gather one `Settings` from every source; raise SettingError for a value that cannot be used."""
    found = gather(options, configured, environment, folder)
    values = {name: parse(name, value, source) for name, (value, source) in found.items()}
    return Settings(**values, sources={name: source for name, (_, source) in found.items()})


def _environment(environment: Mapping[str, str]) -> list[tuple[str, dict[str, object]]]:
    found: list[tuple[str, dict[str, object]]] = []
    for name in FIELDS:
        for variable in names_in_environment(name):
            if environment.get(variable, "").strip():
                found.append((f"environment {variable}", {name: environment[variable]}))
                break
    return found


def _files(environment: Mapping[str, str], folder: Path | None) -> list[tuple[str, Mapping[str, object]]]:
    found: list[tuple[str, Mapping[str, object]]] = []
    home = Path(environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".config")
    user = home / "kimi_magic" / "config.toml"
    if user.is_file():
        found.append((f"file {user}", _known(_read(user), user)))
    project = _project(folder)
    if project is not None:
        tool = _read(project).get("tool")
        table = tool.get("kimi_magic", {}) if isinstance(tool, dict) else {}
        found.append((f"file {project}", _portable(_known(table, project), project)))
    return found


def _project(folder: Path | None) -> Path | None:
    """The nearest pyproject.toml, from the working folder upward."""
    try:
        folder = Path.cwd() if folder is None else folder
    except FileNotFoundError:  # the working folder was deleted
        return None
    projects = (parent / "pyproject.toml" for parent in (folder, *folder.parents))
    return next((project for project in projects if project.is_file()), None)


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingError(f"{path} cannot be read: {exc}.", hint="Mend the file, or move it away.") from None


def _known(table: object, path: Path) -> Mapping[str, object]:
    if not isinstance(table, dict):
        raise SettingError(f"{path}: kimi_magic is no table.", hint="Write [tool.kimi_magic] and the settings below.")
    for name in table:
        if name not in FIELDS:
            raise SettingError(f"{path} sets {name!r}, which is no setting.", hint="`%kimi config` lists them all.")
    return table


def _portable(table: Mapping[str, object], path: Path) -> Mapping[str, object]:
    """Refuse what a project's file must not decide: credentials, and where questions are sent."""
    for name in table:
        if not FIELDS[name].metadata["portable"]:
            raise SettingError(
                f"{path} sets {name}, which a project's file may not decide.",
                hint=f"Set {names_in_environment(name)[-1]} in the environment instead.",
            )
    return table
