"""What a docstring says: its first paragraph, and its words on each parameter in the Google, NumPy or Sphinx way."""

from __future__ import annotations

import inspect
import re

__all__ = ["about", "summary"]

_SPHINX = re.compile(r"^:param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_GOOGLE = re.compile(
    r"^(?:Args|Arguments|Parameters|Keyword Args)\s*:[ \t]*\n((?:[ \t]+.*\n?|[ \t]*\n)*)", re.MULTILINE
)
_NUMPY = re.compile(r"^(?:Other )?Parameters[ \t]*\n-{3,}[ \t]*\n((?:(?!\S.*\n-{3,}).*(?:\n|$))*)", re.MULTILINE)
_GOOGLE_ENTRY = re.compile(r"^\*{0,2}(\w+)[ \t]*(?:\([^)\n]*\))?[ \t]*:[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_NUMPY_ENTRY = re.compile(r"^\*{0,2}(\w+(?:[ \t]*,[ \t]*\w+)*)[ \t]*(?::.*)?\n((?:[ \t]+\S.*(?:\n|$))+)", re.MULTILINE)


def summary(text: str) -> str:
    """Give the first paragraph, in one line."""
    first = re.split(r"\n\s*\n", inspect.cleandoc(text), maxsplit=1)[0]
    return "" if re.match(r":param\s|(?:Args|Parameters)\s*[:\n]", first) else _line(first)


def about(text: str) -> dict[str, str]:
    """Give what is said of each parameter, in one line each."""
    text = inspect.cleandoc(text)
    said = {name: _line(words) for name, words in _SPHINX.findall(text)}
    for section in _GOOGLE.findall(text):
        said |= {name: _line(words) for name, words in _GOOGLE_ENTRY.findall(inspect.cleandoc(f"\n{section}"))}
    for section in _NUMPY.findall(text):
        for names, words in _NUMPY_ENTRY.findall(section):
            said |= dict.fromkeys(re.split(r"[ \t]*,[ \t]*", names), _line(words))
    return {name: words for name, words in said.items() if words}


def _line(text: str) -> str:
    return " ".join(text.split())
