"""Functions, classes and modules: their source where there is one, else signature and docstring."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import types
from collections.abc import Iterator
from typing import Any

from kimi_magic.context import kinds
from kimi_magic.context.description import Description, Look, shortened
from kimi_magic.context.objects.saying import counted, first_line, legible, static, type_name, unaddressed

__all__ = ["brief", "describe"]

_NAMES = 80
"""Public names of a module or class that are listed."""


def describe(obj: object, look: Look) -> Description | None:
    """Describe a function, method, class or module; None for anything else."""
    if issubclass(type(obj), types.ModuleType):
        return _module(obj, look)  # type: ignore[arg-type]  # checked on the type
    if issubclass(type(obj), type):
        return _class(obj, look)  # type: ignore[arg-type]
    word = _kind(obj)
    return _function(obj, word, look) if word else None


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what a function, class or module is called by; None for anything else."""
    room = min(look.room, 160)
    if issubclass(type(obj), types.ModuleType):
        return look.word(f"module {_module_name(obj)} {_version(obj)}".rstrip(), room)
    if issubclass(type(obj), type):
        return look.word(f"class {_name(obj)}{_signature(obj)}", room)
    word = _kind(obj)
    return look.word(f"{word} {_name(obj)}{_signature(obj)}", room) if word else None


def _kind(obj: object) -> str:
    """Say what sort of callable it is; empty for none."""
    if isinstance(obj, types.MethodType):
        return "method"
    if isinstance(obj, functools.partial):
        return "partial"
    if isinstance(obj, property | functools.cached_property):
        return "property"
    if inspect.isroutine(obj) or isinstance(obj, staticmethod | classmethod):
        return "function"
    wraps = static(obj, "__call__") is not None and "__wrapped__" in getattr(obj, "__dict__", {})
    return "function" if wraps or "ufunc" in type_name(obj) else ""


def _inner(obj: Any) -> Any:
    """Give the function that holds the source."""
    if isinstance(obj, functools.partial):
        return _inner(obj.func)
    if isinstance(obj, property):
        return obj.fget
    if isinstance(obj, functools.cached_property):
        return obj.func
    return obj


def _function(obj: Any, word: str, look: Look) -> Description:
    source = _source(_inner(obj))
    lines = [line for line in (_partial(obj, look), _bound(obj)) if line]
    shape = counted(source.count("\n") + 1, "line") if source else ""
    if source:
        lines.append(source)
    else:
        lines += _outline(_inner(obj))
    text = legible("\n".join(lines))
    omitted = "the middle of its source" if source and len(text) > look.room else ""
    return Description.of(word, look.text(text), shape=shape, omitted=omitted)


def _partial(obj: Any, look: Look) -> str:
    """Say what a partial fixes; empty for anything else."""
    if not isinstance(obj, functools.partial):
        return ""
    given = [kinds.brief(value, look.deeper(100)) for value in obj.args]
    named = [
        f"{name}=" + (f"[private: {name}]" if look.hides(name) else kinds.brief(value, look.deeper(100)))
        for name, value in obj.keywords.items()
    ]
    return f"functools.partial of {_name(obj.func)} with ({', '.join([*given, *named])})"


def _bound(obj: object) -> str:
    return f"# a method bound to a {type_name(obj.__self__)}" if isinstance(obj, types.MethodType) else ""


def _outline(obj: object) -> list[str]:
    doc = inspect.getdoc(obj) or ""
    return [f"{_name(obj)}{_signature(obj) or '(…)'}", *(f"    {line}".rstrip() for line in doc.splitlines())]


def _name(obj: object) -> str:
    inner = _inner(obj)
    name = getattr(inner, "__qualname__", None) or getattr(inner, "__name__", None)
    return name if isinstance(name, str) else type_name(obj)


def _signature(obj: object) -> str:
    """Write the signature; empty where there is none to be had."""
    try:
        return unaddressed(str(_plainly(inspect.signature(obj), issubclass(type(obj), type))))  # type: ignore[arg-type]
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # builtins without one; defaults whose repr raises
        return ""


class _Word(str):
    """An annotation that is text already, and shows itself without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _plainly(signature: inspect.Signature, made: bool) -> inspect.Signature:  # noqa: FBT001
    """Take the quotes off annotations, and what a class gives away of its `__init__`."""
    words = [
        p.replace(annotation=_Word(p.annotation)) if isinstance(p.annotation, str) else p
        for p in signature.parameters.values()
    ]
    given = signature.return_annotation
    given = inspect.Signature.empty if made else _Word(given) if isinstance(given, str) else given
    return signature.replace(parameters=words, return_annotation=given)


def _source(obj: Any) -> str:
    """Give the source with its decorators; empty for none."""
    try:
        lines, _ = inspect.getsourcelines(obj)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # builtins, exec'd text, files that changed under us
        return _class_in_cells(obj) if issubclass(type(obj), type) else ""
    return inspect.cleandoc("\n" + "".join(lines)).rstrip()


def _class_in_cells(cls: type) -> str:
    """Find a class that was defined in a notebook's cell, where `inspect` looks for a file; the latest that matches."""
    files = [member.__code__.co_filename for member in vars(cls).values() if isinstance(member, types.FunctionType)]
    for file in reversed([*_cells(), *(file for file in files if not file.startswith("<string>"))]):
        text = "".join(linecache.getlines(file))
        for node in _classes(text, cls.__qualname__.split(".")):
            if _own_names(node) <= {*vars(cls), *vars(cls).get("__annotations__", ())}:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                return inspect.cleandoc("\n" + "\n".join(text.splitlines()[first - 1 : node.end_lineno]))
    return ""


def _cells() -> list[str]:
    """Name what IPython has compiled: it keeps the source of a cell in linecache, with no time of a file."""
    return [
        name
        for name, entry in linecache.cache.items()
        if len(entry) > 1 and entry[1] is None and ("ipykernel_" in name or name.startswith("<ipython-input-"))
    ]


def _classes(text: str, path: list[str]) -> Iterator[ast.ClassDef]:
    try:
        scopes: list[ast.AST] = [ast.parse(text)]
    except (SyntaxError, ValueError):
        return
    for name in path:
        if name != "<locals>":
            scopes = [node for scope in scopes for node in ast.walk(scope) if getattr(node, "name", "") == name]
    yield from (node for node in reversed(scopes) if isinstance(node, ast.ClassDef))


def _own_names(node: ast.ClassDef) -> set[str]:
    found = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
    found |= {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    return {name for name in found if not (name.startswith("__") and not name.endswith("__"))}


def _class(cls: type, look: Look) -> Description:
    source = legible(_source(cls))
    if source and len(source) <= look.room:
        return Description.of("class", look.text(source), shape=counted(source.count("\n") + 1, "line"))
    bases = ", ".join(base.__qualname__ for base in cls.__bases__ if base is not object)
    lines = [f"class {cls.__qualname__}({bases}):" if bases else f"class {cls.__qualname__}:"]
    lines += [f"    {line}".rstrip() for line in (inspect.getdoc(cls) or "").splitlines()]
    lines.append(f"    __init__{_signature(cls) or '(…)'}")
    lines += [f"    {line}" for line in _members(vars(cls))]
    shape = counted(source.count("\n") + 1, "line") if source else ""
    omitted = "the bodies of its methods" if source else ""
    return Description.of("class", look.text(legible("\n".join(lines))), shape=shape, omitted=omitted)


def _members(found: Any) -> list[str]:
    """Write one line for each public function: its name, signature and what its docstring begins with."""
    names = [name for name, value in found.items() if isinstance(name, str) and name[:1] != "_" and _kind(value)]
    lines = []
    for name in names[:_NAMES]:
        value = found[name]
        inner = value.__func__ if isinstance(value, staticmethod | classmethod) else _inner(value)
        call = " (a property)" if _kind(value) == "property" else _signature(inner) or "(…)"
        doc = first_line(getattr(inner, "__doc__", ""))
        lines.append(shortened(f"{name}{call}", 160) + (f": {doc}" if doc else ""))
    return lines + ([f"… {len(names) - _NAMES:,} more …"] if len(names) > _NAMES else [])


def _module_name(module: object) -> str:
    name = public(module).get("__name__")
    return name if isinstance(name, str) else "?"


def public(module: object) -> dict[str, object]:
    """Give what lies in a module, asking none of its lazy attributes."""
    found: dict[str, object] = types.ModuleType.__getattribute__(module, "__dict__")
    return found


def _version(module: object) -> str:
    version = public(module).get("__version__")
    return version if isinstance(version, str) else ""


def _module(module: types.ModuleType, look: Look) -> Description:
    found, own = public(module), _module_name(module)
    listed = found.get("__all__")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list | tuple) else None
    if names is None:
        names = [name for name, value in found.items() if name[:1] != "_" and _belongs(value, own)]
    functions = {name: found[name] for name in names if name in found and _kind(found[name])}
    classes = {name: found[name] for name in names if isinstance(found.get(name), type)}
    rest = [name for name in names if name not in functions and name not in classes]
    doc = (inspect.cleandoc(module.__doc__) if isinstance(module.__doc__, str) else "").split("\n\n")[0]
    lines = [f"module {own} {_version(module)}".rstrip(), *doc.splitlines()]
    if functions:
        lines += ["functions:", *(f"  {line}" for line in _members(functions))]
    if classes:
        lines += ["classes:", *(f"  {_headline(name, cls)}" for name, cls in list(classes.items())[:_NAMES])]
        lines += [f"  … {len(classes) - _NAMES:,} more …"] if len(classes) > _NAMES else []
    if rest:
        lines.append("other names: " + ", ".join(rest[:_NAMES]) + (", …" if len(rest) > _NAMES else ""))
    return Description.of("module", look.text(legible("\n".join(lines))), shape=counted(len(names), "public name"))


def _headline(name: str, cls: Any) -> str:
    doc = first_line(vars(cls).get("__doc__"))
    return f"{name}: {doc}" if doc else name


def _belongs(value: object, module: str) -> bool:
    """Whether a public name is the module's own: no other module, and no function or class of another library."""
    if isinstance(value, types.ModuleType):
        return False
    home = getattr(value, "__module__", None) if _kind(value) or isinstance(value, type) else module
    return not isinstance(home, str) or home.partition(".")[0].lstrip("_") == module.partition(".")[0].lstrip("_")
