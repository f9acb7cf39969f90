"""What an object says of itself to a model: a describer that was registered, `_repr_llm_`, or `_ai_repr_`.

All of it is others' code: a hook that raises is noted, and the next one asked. Hooks are looked up on the class, for
there are objects that answer to every name.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from kimi_magic.context import describers
from kimi_magic.context.description import Description, Look
from kimi_magic.context.objects.saying import legible, public_vars, said, static, type_name, unaddressed
from kimi_magic.errors import KimiError
from kimi_magic.messages import Part, Text

__all__ = ["Own", "hook", "own", "shown"]

_TEXTS = ("text/markdown", "text/plain", "application/json", "text/html")
_IMAGES = ("image/png", "image/jpeg", "image/webp", "image/gif")


@dataclass(frozen=True, slots=True)
class Own:
    """What an object gave in its own place: `value` is text, a Description or another object; `notes` what failed."""

    value: Any = None
    notes: tuple[str, ...] = ()

    def described(self, obj: object, look: Look, describe: Callable[[object, Look], Description]) -> Description:
        """Make it a description of the object; `describe` describes other objects by their kind."""
        found = _described(self.value, obj, look, describe)
        return replace(found, parts=(*found.parts, *(Text(note) for note in self.notes)))

    def line(self, obj: object, look: Look, brief: Callable[[object, Look], str]) -> str:
        """Make it one line; `brief` mentions other objects by their kind."""
        name = look.word(type_name(obj))
        match self.value:
            case str() as text:
                words = text
            case Description(shape=shape, text=text):
                words = shape or text
            case _Bundle(text=text):
                words = text or "a picture"
            case other:
                return f"{name} as {brief(other, look)}"
        return f"{name} {look.word(words, max(20, min(look.room, 160) - len(name)))}"


_DISPLAYED = frozenset({"HTML", "Markdown", "Latex", "Math", "JSON", "Javascript", "Pretty", "Code"})


def shown(obj: object, look: Look) -> Description | None:
    """Describe an object by the text that a notebook shows for it, where it has no repr of its own; None for none.

    That is the data of IPython's HTML, Markdown, …; what `_repr_mimebundle_` gives as text/plain; `_repr_markdown_`; or
    `_repr_latex_`.
    """
    if any(look.hides(name) for name in public_vars(obj)):
        return None
    text = _data(obj) or _notebook_text(obj)
    if not text:
        return None
    return Description.of(look.word(type_name(obj)), look.text(legible(text)), omitted=_middle(text, look))


def _data(obj: Any) -> str:
    """Give the data of IPython.display.HTML and the like."""
    classes = {cls.__name__ for cls in type(obj).__mro__ if cls.__module__.startswith("IPython.")}
    if not classes & _DISPLAYED or (data := getattr(obj, "data", None)) is None:
        return ""
    return data if isinstance(data, str) else _json(data)


def _notebook_text(obj: object) -> str:
    if static(obj, "__repr__") is not object.__repr__:
        return ""
    for name in ("_repr_mimebundle_", "_repr_markdown_", "_repr_latex_"):
        try:
            method = hook(obj, name)
            found = method() if method is not None else None
        except Exception:  # noqa: BLE001, S112  # then it does not show itself
            continue
        found = found[0] if isinstance(found, tuple) and found else found
        found = found.get("text/plain") if isinstance(found, dict) else found
        if isinstance(found, str) and found:
            return unaddressed(found)
    return ""


def _json(data: Any) -> str:
    import json

    return json.dumps(data, ensure_ascii=False, default=said)


def hook(obj: object, name: str) -> Callable[..., Any] | None:
    """Give a method of that name, bound; None where its class has none. Classes themselves have no hooks."""
    if issubclass(type(obj), type):
        return None
    found = static(obj, name)
    bound = found.__get__(obj, type(obj)) if hasattr(type(found), "__get__") else found
    return bound if callable(bound) else None


def own(obj: object, look: Look, *, pictures: bool) -> Own:
    """Ask an object and those who know its class; raise CommandError for a package whose describer is broken."""
    notes: list[str] = []
    for name, ask in _askable(obj, look, pictures=pictures):
        try:
            value = ask()
        except (KeyboardInterrupt, KimiError):
            raise
        except BaseException as error:  # noqa: BLE001  # others' code
            notes.append(look.word(f"[{name} failed: {type_name(error)}: {said(error, str)}]", 300))
            continue
        if value is not None and value is not obj:
            return Own(value, tuple(notes))
    return Own(None, tuple(notes))


def _askable(obj: object, look: Look, *, pictures: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    describer = None if issubclass(type(obj), type) else describers.find(type(obj))
    if describer is not None:
        known = describer
        yield "its describer", lambda: known(obj, look) if _takes_two(known) else known(obj)
    if plain := hook(obj, "_repr_llm_"):
        yield "_repr_llm_", lambda: _text_of(plain())
    if bundle := hook(obj, "_ai_repr_"):
        yield "_ai_repr_", lambda: _bundled(_awaited(_asked(bundle, pictures=pictures)))


def _asked(bundle: Callable[..., Any], *, pictures: bool) -> Any:
    try:
        parameters = inspect.signature(bundle).parameters.values()
    except (TypeError, ValueError):
        return bundle(multimodal=pictures)
    told = any(p.name == "multimodal" or p.kind is p.VAR_KEYWORD for p in parameters)
    return bundle(multimodal=pictures) if told else bundle()


def _takes_two(describer: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(describer).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) > 1


def _text_of(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"it gave {type_name(value)}, not str")
    return value


def _awaited(value: Any) -> Any:
    """Run a coroutine that waits for nothing to its end; raise RuntimeError for one that has to wait."""
    if not inspect.iscoroutine(value):
        return value
    try:
        value.send(None)
    except StopIteration as done:
        return done.value
    finally:
        value.close()
    raise RuntimeError("it waits for something, and a cell cannot")


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The text and the picture of a MIME bundle, each empty for none."""

    text: str
    picture: bytes


def _bundled(value: Any) -> _Bundle | None:
    if value is None:
        return None
    data = value[0] if isinstance(value, tuple) and value else value
    if not isinstance(data, dict):
        raise TypeError(f"it gave {type_name(value)}, no MIME bundle")
    found = next((data[kind] for kind in _TEXTS if data.get(kind)), "")
    text = found if isinstance(found, str) else _json(found)
    picture = next((data[kind] for kind in _IMAGES if data.get(kind)), b"")
    if not text and not picture:
        raise ValueError(f"none of {', '.join(map(str, data)) or 'nothing'} can be sent")
    return _Bundle(text, base64.b64decode(picture) if isinstance(picture, str) else bytes(picture))


def _described(value: Any, obj: object, look: Look, describe: Callable[[object, Look], Description]) -> Description:
    kind = look.word(type_name(obj))
    if isinstance(value, str):
        return Description.of(kind, look.text(legible(value)), omitted=_middle(value, look))
    if isinstance(value, Description):
        parts: list[Part] = [Text(look.text(part.text)) if isinstance(part, Text) else part for part in value.parts]
        return replace(value, parts=tuple(parts))
    if isinstance(value, _Bundle):
        parts = [Text(look.text(legible(value.text)))] if value.text else []
        shape = ""
        if value.picture and look.pictures:
            try:
                picture = describe(value.picture, look)
                parts += picture.images
                shape = picture.shape if picture.images else ""
            except KimiError as error:  # a damaged one
                parts.append(Text(look.word(f"[its picture cannot be sent: {error.message}]", 300)))
        parts = parts or [Text(look.text(said(obj)))]
        return Description(kind, tuple(parts), shape=shape, omitted=_middle(value.text, look))
    return describe(obj if value is None else value, look)


def _middle(text: str, look: Look) -> str:
    return "the middle of its text" if len(text) > look.room else ""
