"""`{{ expression }}` in a question, and the values of expressions. Each is looked up once; what it yields is data."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from kimi_magic.errors import CommandError, KimiError

__all__ = ["Expression", "near_names", "split", "value_of"]

_LONGEST = 2_000
"""Characters of an expression in a question."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A Python expression, as it was typed."""

    source: str


def split(body: str) -> list[str | Expression]:
    """Split a question into text and expressions; raise CommandError for braces that hold no expression.

    `}}` inside of an expression (a nested dict, a string) does not end it: the shortest text that Python can read does.
    """
    pieces: list[str | Expression] = []
    position = 0
    while (start := body.find("{{", position)) >= 0 and (end := body.find("}}", start + 2)) >= 0:
        first = end
        while (source := _expression(body[start + 2 : end])) is None:
            end = body.find("}}", end + 1)
            if end < 0 or end - start > _LONGEST:
                inside = body[start + 2 : first].strip()[:80]
                spec = re.fullmatch(r"[\w.\[\]'\"()]+(?:![rsa])?(?::[^{}]*)?", inside)
                form = (
                    f'A format goes into an f-string: {{{{ f"{{{inside}}}" }}}}. ' if spec and '"' not in inside else ""
                )
                raise CommandError(
                    f"{{{{ {inside} }}}} is no Python expression.",
                    hint=f"{form}With --raw, braces are text like any other.",
                )
        pieces += [body[position:start], Expression(source)]
        position = end + 2
    return [piece for piece in (*pieces, body[position:]) if piece != ""]


def _expression(text: str) -> str | None:
    source = text.strip()
    return source if source and _compiled(source) is not None else None


def _compiled(source: str) -> CodeType | None:
    try:
        # Parentheses, so that an expression may go over several lines; a comment at its end must not take the last.
        return compile(f"({source}\n)", "<expression>", "eval")
    except (SyntaxError, ValueError):
        return None


def value_of(source: str, namespace: MutableMapping[str, Any], hint: str = "") -> Any:
    """Evaluate an expression in the user's namespace; raise CommandError that names what is near, or what went wrong.

    `hint` is said where a name is unknown and nothing is near.
    """
    code = _compiled(source)
    if code is None:
        raise CommandError(
            f"{source!r} is no Python expression.", hint="It is looked up in the notebook: df, df.head()"
        )
    try:
        return eval(code, namespace if isinstance(namespace, dict) else dict(namespace))  # noqa: S307  # the user's own words
    except NameError as error:
        near = near_names(error.name or "", namespace)
        raise CommandError(f"There is no variable {error.name!r}.", hint=_meant(near) or hint or _WHERE) from None
    except AttributeError as error:
        near = near_names(error.name or "", _attributes(error.obj))
        raise CommandError(f"{source}: {error}", hint=_meant(near)) from error
    except KimiError:
        raise
    except Exception as error:
        words = str(error) or "no more is known"
        raise CommandError(
            f"{source} raised {type(error).__name__}: {words}",
            hint="`%kimi fix` explains it once a cell has raised it.",
        ) from error


_WHERE = "Names are looked up in the notebook; with --raw, braces are text like any other."


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """Give the names that are nearest to a mistyped one, at most five."""
    shown = sorted(known for known in names if not str(known).startswith("_"))
    lower = {known.lower(): known for known in reversed(shown)}
    near = difflib.get_close_matches(name.lower(), lower, n=5, cutoff=0.6)
    return [lower[found] for found in near]


def _meant(near: list[str]) -> str:
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _attributes(obj: object) -> list[str]:
    try:
        return dir(obj)
    except Exception:  # noqa: BLE001  # the user's own class
        return []
