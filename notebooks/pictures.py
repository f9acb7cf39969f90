"""Take the README's pictures of the panel: a real JupyterLab, light and dark, on the scripted server.

    python -m notebooks.pictures

Needs kimi-magic[test] and a chromium; the pictures go to docs/.
"""

from __future__ import annotations

import io
import sys
from base64 import b64decode
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from kimi_magic.local import launch
from tests.browser.chat import KIMI, Chat
from tests.browser.conftest import THEMES, say
from tests.harness.browser import Browser
from tests.harness.lab import Lab

TO = Path(__file__).parent.parent / "docs"
WIDTH, HEIGHT, SCALE = 960, 1060, 2
COUNTED = "130 bottles: 59 of **Barolo** and 71 of **Grignolino**. No value is missing."
DIFFER = """Alcohol sets them apart most clearly:

| cultivar | mean alcohol | bottles |
|:---------|-------------:|--------:|
| Barolo | 13.74 | 59 |
| Grignolino | 12.28 | 71 |

A first plot that shows it:

```python
ax = bottles.boxplot("alcohol", by="cultivar")
ax.set_ylabel("alcohol, % by volume")
```
"""
THOUGHT = "The table has one row for each cultivar. Means first, then what spreads least. A box plot shows both."


def described(name: str, words: str, reply: str) -> str:
    """Give code for an object that brings, unseen, what the scripted server shall say."""
    said = f"{words} {say(reply)}<<think {THOUGHT}>><<rate 25>>"
    return f"{name} = type({name!r}, (), {{'_repr_llm_': lambda self: {said!r}}})()"


CELLS = (
    f"%load_ext kimi_magic\n{KIMI}",
    f"{described('bottles', '130 rows: cultivar, alcohol', COUNTED)}\n{described('means', '2 rows', DIFFER)}",
    "%%kimi\nHow many are in {{ bottles }}?",
    "%kimi chat",
)
ASKED = "How do the cultivars in {{ means }} differ?"


def main() -> None:
    """Ask in a cell, open the panel, ask there, and take a picture in each theme."""
    local = launch.start(engine="scripted")
    try:
        with TemporaryDirectory(ignore_cleanup_errors=True) as home:
            asking = {"KIMI_LOCAL_URL": local.url, "KIMI_LOCAL_TOKEN": local.token, "KIMI_HOME": home}
            with Lab(asking) as lab, Browser(width=WIDTH, height=HEIGHT) as browser:
                take(browser, lab)
    finally:
        local.close()


def take(browser: Browser, lab: Lab) -> None:
    """Take the pictures."""
    lab.write("wine.ipynb", *CELLS)
    tab = browser.lab(lab)
    notebook = tab.open("wine.ipynb")
    notebook.run_all()
    notebook.wait_idle()
    chat = Chat(notebook, len(CELLS) - 1)
    chat.ask(ASKED)
    chat.panel.evaluate("node => { node.style.height = '56rem'; document.activeElement.blur(); }")
    sharp = tab.page.context.new_cdp_session(tab.page)
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": SCALE}
    tab.page.mouse.move(5, 5)
    TO.mkdir(exist_ok=True)
    for theme in THEMES:
        tab.theme(theme)
        notebook.ask("(panel, cell) => { panel.content.widgets[cell].node.scrollIntoView(); }", len(CELLS) - 1)
        tab.page.wait_for_timeout(500)  # the notebook's own colours fade
        taken = sharp.send("Page.captureScreenshot", {"clip": clip})["data"]
        picture = Image.open(io.BytesIO(b64decode(taken)))
        to = TO / f"panel-{theme.split()[-1].lower()}.png"
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(to, optimize=True)
        sys.stdout.write(f"{to}: {to.stat().st_size / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
