"""Pictures → one part that is small enough to send: upright, without metadata, and the same bytes for the same pixels.

A picture is a Pillow image, an array of pixels, a file (its bytes, its path, IPython's `Image`) or an SVG. Nothing is
fetched, neither for an address nor for what an SVG refers to. Whatever cannot be sent raises a CommandError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kimi_magic.context.description import Description, Look
from kimi_magic.context.images import arrays, files
from kimi_magic.context.images.encoding import encoded, longest_side
from kimi_magic.context.images.pixels import Picture, by, plain, upright
from kimi_magic.context.images.shown import pictured
from kimi_magic.context.kinds import is_a
from kimi_magic.errors import CommandError
from kimi_magic.messages import Image, Text

__all__ = ["brief", "describe", "longest_side", "part", "pictured", "size_in_words"]

_KILO = 1000
_LONGEST_TEXT = 1000


def describe(obj: object, look: Look) -> Description | None:
    """Give a picture with one line about it; None for what is none, a CommandError for one that cannot be sent."""
    picture = _found(obj, look)
    if picture is None:
        return None
    texts = ", ".join(picture.words)
    told = f"text in it: {look.word(texts, min(look.room, _LONGEST_TEXT))}" if texts else ""
    if not look.pictures:
        return Description.of("image", _joined(f"{brief(obj, look) or picture.name}, picture not sent", told))
    if hidden := look.guard.clean_counted(texts)[1]:
        reason = f"picture withheld: it shows what is hidden ({look.word(', '.join(sorted(hidden)))})"
        return Description.of("image", _joined(picture.name, told, reason), withheld=_names(hidden))
    with _refusing(picture.name):
        opened = upright(picture.open(longest_side(look)))
        pixels, note = plain(opened.pixels)
        sent = encoded(pixels, look, lossy=picture.lossy)
    before, after = by(opened.size), by((sent.width, sent.height))
    kind = sent.media_type.rpartition("/")[2].upper()
    facts = f"{picture.name}, {before} {opened.pixels.mode}, sent as {after} {kind}"
    smaller = f"pixels: {before} made {after}" if before != after else ""
    text, omitted = _joined(facts, opened.frame, note, told), _joined(smaller, opened.frame)
    return Description("image", (Text(text), sent), shape=size_in_words(sent), omitted=omitted)


def _names(hidden: Iterable[str]) -> tuple[str, ...]:
    """Give the private columns among what was hidden."""
    private = "private: "
    return tuple(sorted(each.removeprefix(private) for each in hidden if each.startswith(private)))


def _joined(*phrases: str) -> str:
    return "; ".join(filter(None, phrases))


def brief(obj: object, look: Look) -> str | None:
    """Say in one line what picture it is, without decoding it; None for what is none, and for arrays."""
    try:
        if is_a(obj, "PIL", "Image"):
            image: Any = obj
            return f"PIL image {by(image.size)} {image.mode}"
        file = files.found(obj)
        return None if file is None else file.brief(look)
    except Exception:  # noqa: BLE001  # a damaged file; another describer has a line for it
        return None


def part(data: bytes, look: Look) -> Image:
    """Make an image file or an SVG small enough to send; a CommandError where that cannot be."""
    with _refusing("the picture"):
        pixels, _ = plain(files.of(data).open(longest_side(look)).pixels)
        return encoded(pixels, look)


def size_in_words(sent: Image) -> str:
    """Say how large a part is: `1568 × 1176 px, 143 kB`."""
    size = f"{round(len(sent.data) / _KILO)} kB" if len(sent.data) >= _KILO else f"{len(sent.data)} bytes"
    return f"{by((sent.width, sent.height))} px, {size}"


def _found(obj: object, look: Look) -> Picture | None:
    if is_a(obj, "PIL", "Image"):
        return Picture("image", lambda _: files.loaded(obj))
    if is_a(obj, "numpy", "ndarray"):
        return arrays.found(obj)
    file = files.found(obj)
    return None if file is None else Picture(file.name(look), file.open, file.lossy, file.words)


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one error that says what is wrong."""
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError, DecompressionBombWarning

    try:
        yield
    except CommandError:
        raise
    except (DecompressionBombError, DecompressionBombWarning) as error:
        hint = "Make it smaller first, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it."
        raise CommandError(f"{name} is too large to decode safely: {error}", hint=hint) from error
    except UnidentifiedImageError as error:
        raise CommandError(f"{name}: no decoder here can read it", hint="Save it as PNG or JPEG.") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        hint = "Is the file complete? PIL.Image.open(...).load() shows the same error."
        raise CommandError(f"{name} cannot be read: {reason}", hint=hint) from error
