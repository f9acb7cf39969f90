"""`-t load,client.search,kernel` → Tools: words looked up in the user's namespace, once for each ask.

A Tool holds the function itself, so what a cell asks with is what was there when it began: a function that is
redefined between two rounds is taken up by the next ask.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kimi_magic.errors import CommandError
from kimi_magic.tools.functions import Tool, attribute

__all__ = ["MOST", "named"]

MOST = 128
"""Tools that the service takes."""


def named(
    words: str | Iterable[str | Callable[..., Any] | Tool],
    namespace: Mapping[str, Any],
    sets: Mapping[str, tuple[Tool, ...]] | None = None,
) -> tuple[Tool, ...]:
    """Give the tools that are named, sorted by name, each once.

    A word is a function or a Tool of the namespace, `object.method`, a set (`kernel`, an MCP server) or one tool of a
    set, alone or as `set.tool`; a variable goes before a set. Raises CommandError for what there is not or what cannot
    be called, for two tools of one name, for more than 128, and for a function whose types have no schema.
    """
    listed = words.split(",") if isinstance(words, str) else list(words)
    wanted = [word for word in listed if not isinstance(word, str) or word.strip()]
    found = [tool for word in wanted for tool in _found(word, namespace, sets or {})]
    if not found:
        raise CommandError("Which tools?", hint="Name functions of the notebook: -t load,plot")
    tools: dict[str, Tool] = {}
    for tool in found:
        other = tools.setdefault(tool.name, tool)
        if other.function != tool.function:
            raise CommandError(
                f"Two tools have the name {tool.name}.", hint='Give one another: @kimi_magic.tool(name="…")'
            )
    if len(tools) > MOST:
        raise CommandError(f"These are {len(tools)} tools; the service takes {MOST}.", hint="Name fewer.")
    for tool in tools.values():
        try:
            tool.parameters  # noqa: B018  # a type without a schema is told now, and the schema is that of this moment
        except CommandError:
            raise
        except Exception as error:  # its own __getattr__
            raise CommandError(
                f"What {tool.name} takes cannot be read: {type(error).__name__}.", hint="Write a function around it."
            ) from error
    return tuple(tools[name] for name in sorted(tools))


def _found(word: Any, namespace: Mapping[str, Any], sets: Mapping[str, tuple[Tool, ...]]) -> tuple[Tool, ...]:
    if not isinstance(word, str):
        return (_as_tool(word, attribute(word, "__name__") or "it", ""),)
    word = word.strip()
    first, *rest = word.split(".")
    if first in namespace:
        return (_as_tool(_attribute(namespace[first], first, rest), word, word.replace(".", "_")),)
    if word in sets:
        return sets[word]
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", word)  # NAME.tool of an MCP server, as it is told to the model
    single = [tool for tools in sets.values() for tool in tools if tool.name in (word, plain)]
    single += [tool for tool in sets.get(first, ()) if tool.name == ".".join(rest)]
    if single:
        return (single[0],)
    raise _unknown(word, namespace, sets)


def _attribute(value: Any, path: str, rest: list[str]) -> Any:
    for name in rest:
        try:
            value = getattr(value, name)
        except Exception as error:
            from kimi_magic.context.template import near_names

            near = near_names(name, _methods(value))
            raise CommandError(
                f"{path} has no {name!r}.", hint=f"Did you mean {path}.{near[0]}?" if near else ""
            ) from error
        path = f"{path}.{name}"
    return value


def _as_tool(value: Any, word: str, name: str) -> Tool:
    if isinstance(value, Tool):
        return value
    if isinstance(value, type):
        raise CommandError(f"{word} is a class, and a tool is a function.", hint="Write a function that makes one.")
    if not callable(value):
        methods = _methods(value)
        hint = f"Name its methods: {word}.{methods[0]}" if methods and _is_own(value) else "Name a function."
        raise CommandError(f"{word} is a {type(value).__name__}, which cannot be called.", hint=hint)
    return Tool.of(value, name)


def _is_own(value: object) -> bool:
    return type(value).__module__ != "builtins"


def _methods(value: object) -> list[str]:
    found = (name for cls in type(value).__mro__[:-1] for name, one in vars(cls).items() if callable(one))
    return sorted({name for name in found if not name.startswith("_")})


def _unknown(word: str, namespace: Mapping[str, Any], sets: Mapping[str, tuple[Tool, ...]]) -> CommandError:
    from kimi_magic.context.template import near_names

    functions = [name for name, value in namespace.items() if callable(value) and not isinstance(value, type)]
    singles = [f"{name}.{tool.name.removeprefix(f'{name}_')}" for name, tools in sets.items() for tool in tools]
    near = near_names(word, [*functions, *sets, *singles])
    if callable(getattr(builtins, word, None)):
        hint = f"It is built into Python. Write a function around it: def my_{word}(…): return {word}(…)"
    elif near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif sets:
        hint = f"Name functions of the notebook, or {', '.join(sorted(sets))}."
    else:
        hint = "Name functions of the notebook."
    return CommandError(f"There is no tool {word!r}.", hint=hint)
