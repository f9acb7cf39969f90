"""One JupyterLab and one browser for all of these tests; each notebook is a file and a kernel of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.browser import Browser, LabTab, Notebook
from tests.harness.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
THEMES = ("JupyterLab Light", "JupyterLab Dark")
LOAD = "%load_ext kimi_magic"
MARKDOWN = r"""## Means and money

| quantity | mean | n |
|:---------|-----:|--:|
| height   | 1.75 | 48 |
| weight   | 68.2 | 48 |

- [x] load the file
- [ ] plot it
  1. the axes
  2. the curve

The pair costs $5 and $10, and **重点。**后面 is bold.

Einstein wrote $E = mc^2$ and \(p = mv\); then

$$\int_0^1 x^2 \, dx = \frac13$$

\[\sum_{k=1}^n k = \frac{n(n+1)}{2}\]

```python
@cache
def step(values: list[float]) -> float:
    # the mean, as text
    return sum(values) / len(values) + 1 if values else None
```

> Quoted: a [link](https://example.org/guide), `inline code` and ~~nothing~~.
"""


@pytest.fixture(scope="session")
def lab(environment: dict[str, str]) -> Iterator[Lab]:
    with Lab(environment) as lab:
        yield lab


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab_tab(browser: Browser, lab: Lab) -> LabTab:
    return browser.lab(lab)


@pytest.fixture
def tab(lab_tab: LabTab) -> Iterator[LabTab]:
    """JupyterLab, light; whatever a test does, nothing remote may be asked for."""
    lab_tab.foreign.clear()
    yield lab_tab
    lab_tab.theme(THEMES[0])
    assert lab_tab.foreign == []


@pytest.fixture
def opened(tab: LabTab, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook of these cells, after one that loads the extension."""
    notebooks: list[Notebook] = []

    def open_(*cells: str) -> Notebook:
        name = f"{request.node.originalname}-{len(list(lab.root.iterdir()))}.ipynb"
        lab.write(name, LOAD, *cells)
        notebooks.append(tab.open(name))
        return notebooks[-1]

    yield open_
    for notebook in notebooks:
        notebook.close()


@pytest.fixture(scope="session")
def showcase(lab_tab: LabTab, lab: Lab) -> Iterator[Notebook]:
    """A saved notebook with a reply that has all that Markdown has, and thinking."""
    lab.write("showcase.ipynb", LOAD, f"%%kimi\n{say(MARKDOWN)}<<think One table, one list.>>")
    notebook = lab_tab.open("showcase.ipynb")
    notebook.run_all()
    notebook.wait_idle()
    notebook.save()
    yield notebook
    notebook.close()


def say(text: str) -> str:
    """Command the scripted server to reply with exactly this text."""
    return "<<say-json {}>>".format(json.dumps(text).replace(">", "\\u003e"))


def picture(tab: LabTab, name: str, *, themes: tuple[str, ...] = THEMES) -> None:
    """Take a picture of the tab in both themes, for people to look at."""
    ARTEFACTS.mkdir(exist_ok=True)
    for theme in themes:
        tab.theme(theme)
        tab.screenshot(ARTEFACTS / f"{name}-{theme.split()[-1].lower()}.png")
