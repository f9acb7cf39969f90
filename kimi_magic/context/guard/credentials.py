"""Credentials that this process holds: those of the environment, and those that it was told of.

They are found wherever they stand in a text, in any of the spellings that printing gives them.
"""

from __future__ import annotations

import json
import os
import re
from urllib.parse import quote

from kimi_magic.context.guard.rules import placeholder
from kimi_magic.context.guard.spans import MASK, Span

__all__ = ["Credentials"]

_SHORTEST = 8
_NAME = re.compile(
    r"(?:^|_)(?:\w*TOKENS?|\w*SECRETS?|\w*PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|\w*APIKEY|KEY|PAT|CREDENTIALS?|CREDS|AUTH"
    r"|DSN|CONNECTION_STRING|CONN_STR|CONNSTR)(?:_|\d*$)"
)
_NOT_A_CREDENTIAL = {
    "PWD",
    "OLDPWD",
    "SSH_AUTH_SOCK",
    "GPG_KEY",
    "XAUTHORITY",
}  # GPG_KEY: Python's release key, in its images
_PATH = re.compile(r"(?:[/~.]|[A-Za-z]:[\\/]|file:)")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://(?:[^\s/?#@:]*:(?P<password>[^\s/?#]+)@|(?P<token>[^\s/?#@:]{16,})@)?")
_WORDS = re.compile(r"(?i)[a-z]+(?:[ _.-][a-z]+)*")  # not-needed, as local servers have it for a key
_NUMBER = re.compile(r"(?i)[+-]?[\d.,_]+(?:e[+-]?\d+)?|[\w.-]+:\d+")


class Credentials:
    """The credentials to look for. They never show themselves."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._snapshot: object = None
        self._spellings: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Credentials({len(set(self.labels))} kept from sight)"

    def know(self, secret: str, name: str) -> None:
        """Look for this one too, from now on, if it is more than a word; `name` is what stands in its place."""
        if len(secret) >= _SHORTEST and not _WORDS.fullmatch(secret) and self._told.get(secret) != name:
            self._told[secret] = name
            self._snapshot = None

    @property
    def labels(self) -> set[str]:
        """The placeholders that can stand for them now, without their brackets."""
        return {label for _, label in self._current()}

    def find(self, text: str) -> list[Span]:
        """Find them in a text, the longest first."""
        found = []
        for spelling, label in self._current():
            at = text.find(spelling)
            while at >= 0:
                found.append(Span(at, at + len(spelling), label))
                at = text.find(spelling, at + len(spelling))
        return found

    def _current(self) -> tuple[tuple[str, str], ...]:
        # Comparing the inside of os.environ takes 0.3 µs; os.environ.copy(), which decodes it, a hundred times that.
        now = getattr(os.environ, "_data", None) or dict(os.environ)
        if now != self._snapshot:
            snapshot = dict(now)
            secrets = {secret: name for name, value in os.environ.items() for secret in _secrets(name, value)}
            self._spellings = _spelled(secrets | self._told)
            self._snapshot = snapshot
        return self._spellings


def _secrets(name: str, value: str) -> list[str]:
    """What of an environment variable is to be kept secret: its value, the password in it, or nothing."""
    address = _ADDRESS.match(value)
    if address:
        secret = address["password"] or address["token"] or ""
        return [secret] if len(secret) >= _SHORTEST and not placeholder(secret) else []
    named = bool(_NAME.search(name.upper())) and name.upper() not in _NOT_A_CREDENTIAL
    return [value.strip()] if named and _distinctive(value.strip()) else []


def _distinctive(value: str) -> bool:
    return len(value) >= _SHORTEST and not (
        _PATH.match(value) or _WORDS.fullmatch(value) or _NUMBER.fullmatch(value) or placeholder(value)
    )


def _spelled(secrets: dict[str, str]) -> tuple[tuple[str, str], ...]:
    spellings: dict[str, str] = {}
    for secret, name in secrets.items():
        label = f"redacted: value of {' '.join(name.split())[:60].translate(_PLAIN_BRACKETS)}"
        forms = (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        for form in (*forms, quote(secret, safe=""), quote(secret)):
            if form and MASK not in form:
                spellings.setdefault(form, label)
    return tuple(sorted(spellings.items(), key=lambda item: (-len(item[0]), item[0])))


_PLAIN_BRACKETS = str.maketrans("[]", "()")
