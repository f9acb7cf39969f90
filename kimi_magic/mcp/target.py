"""Where a server is, and what it is given: a program with its environment, or an address with a token."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kimi_magic.errors import CommandError

__all__ = ["Target"]

_START = 10.0
_CALL = 60.0
_CREDENTIAL = re.compile(r"key|token|secret|passw", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A server.

    `words` are a program and its arguments, or one URL. `variables` (NAME, taken over from this kernel, or NAME=VALUE)
    go into the program's environment, and the variable `token` holds the bearer token for an address. `timeout` is the
    longest that its start and each call may take, in seconds; None: 10 for the start, 60 for a call.
    """

    words: tuple[str, ...]
    variables: tuple[str, ...] = ()
    token: str = ""
    timeout: float | None = None

    @property
    def url(self) -> str:
        """Its address; empty for a program."""
        return self.words[0] if re.match(r"https?://", self.words[0]) else ""

    @property
    def start(self) -> float:
        """Seconds that its start may take."""
        return self.timeout or _START

    @property
    def call(self) -> float:
        """Seconds that a call may take."""
        return self.timeout or _CALL

    @property
    def shown(self) -> str:
        """The program with its arguments, or the address; without what may be a credential in it."""
        if not self.url:
            return " ".join(self.words)
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def program(self) -> tuple[str, list[str]]:
        """The program and its arguments, ~ written out."""
        first, *rest = (str(Path(word).expanduser()) if word.startswith("~") else word for word in self.words)
        return first, rest

    def environment(self, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Give what goes into a program's environment beyond the little that `mcp` passes on; raises CommandError.

        Programs that stand beside this Python are found first.
        """
        path = os.pathsep.join(filter(None, (str(Path(sys.executable).parent), ours.get("PATH", ""))))
        return {"PATH": path} | {name: _value(name, value, ours) for name, value in map(_split, self.variables)}

    def headers(self, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Give what every request to an address carries; raises CommandError where the token is not set."""
        return {"Authorization": f"Bearer {_value(self.token, None, ours)}"} if self.token else {}

    def credentials(self, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Give the values that nobody else may see, by the names of their variables."""
        found = {name: _value(name, value, ours) for name, value in map(_split, self.variables)}
        kept = {name: value for name, value in found.items() if _CREDENTIAL.search(name)}
        return kept | ({self.token: _value(self.token, None, ours)} if self.token else {})


def _split(variable: str) -> tuple[str, str | None]:
    name, equals, value = variable.partition("=")
    return name, value if equals else None


def _value(name: str, value: str | None, ours: Mapping[str, str]) -> str:
    if value is None and not ours.get(name):
        raise CommandError(
            f"The variable {name} is not set in this kernel.", hint=f'import os; os.environ["{name}"] = …'
        )
    return ours[name] if value is None else value
