"""The panel's front end as text: one module that carries the others (`static/load.js` says how), and its stylesheet.

The colours of code and the look of tables come from `markdown.STYLE`, as in the cells.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

__all__ = ["css", "esm"]

_STATIC = resources.files("kimi_magic.panel") / "static"
_LOADER = "load.js"
_PLACE = "const modules = {};"
_STYLES = ("panel.css", "composer.css", "places.css")  # later ones win


@functools.cache
def esm() -> str:
    """Give the front end as the text of one ES module, whose default export anywidget takes."""
    names = sorted(each.name for each in _STATIC.iterdir() if each.name.endswith(".js") and each.name != _LOADER)
    modules = {name: (_STATIC / name).read_text("utf-8") for name in names}
    loader = (_STATIC / _LOADER).read_text("utf-8")
    return loader.replace(_PLACE, f"const modules = {json.dumps(modules)};", 1)


@functools.cache
def css() -> str:
    """Give the stylesheet; its rules hold inside `.kimi-panel` only."""
    from kimi_magic import markdown

    return markdown.STYLE + "".join((_STATIC / name).read_text("utf-8") for name in _STYLES)
