"""A reply that attacks the page: nothing of it runs, and nothing is asked for; `tab` watches the requests."""

from __future__ import annotations

import pytest

from tests.browser.conftest import THEMES, picture, say

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

OUTSIDE = "https://attacker.example"
MARKDOWN = rf"""<script>window.kimiHit = 1</script>

<img src=x onerror="window.kimiHit = 2"> ![pixel]({OUTSIDE}/pixel.png) ![local](/api/shutdown)

[click me](javascript:window.kimiHit=3) <a href="javascript:window.kimiHit=4">or me</a> [data](data:text/html,<script>)

<iframe src="{OUTSIDE}/frame"></iframe> <meta http-equiv="refresh" content="0;url={OUTSIDE}/refresh">

<style>body {{ background: url({OUTSIDE}/style.png); display: none }}</style> <link rel=stylesheet href={OUTSIDE}/a.css>

<svg onload="window.kimiHit = 5"></svg> <details open ontoggle="window.kimiHit = 6">x</details> <form action={OUTSIDE}>

$\href{{javascript:window.kimiHit=7}}{{click}}$ $\style{{background:url({OUTSIDE}/tex.png)}}{{x}}$

\(</span><script>window.kimiHit = 8</script>\)

```html"><script>window.kimiHit = 9</script>
</pre></div><img src={OUTSIDE}/code.png onerror="window.kimiHit = 10">
```

<div class="jp-Dialog" style="position:fixed;inset:0" data-commandlinker-command="notebook:run-all-cells">over all</div>
"""
ALIVE = "script, img, iframe, meta, form, link, svg:not(mjx-container svg), [onerror], [onload], [ontoggle]"
FORMATS = ("markdown", "text", "html")


def test_nothing_of_a_hostile_reply_runs_or_leaves_the_page(opened, tab):
    question = f"{say(MARKDOWN)}<<think {MARKDOWN.replace('>>', '')}>><<rate 1500>>"
    notebook = opened(*(f"%%kimi -f {form}\n{question}" for form in FORMATS))
    notebook.run_all()
    notebook.wait_idle()
    for cell, form in enumerate(FORMATS, 1):
        shown = notebook.output(cell).locator(".kimi")
        assert "over all" in shown.inner_text()
        assert shown.locator(ALIVE).count() == 0, form
        addresses = shown.locator("a").evaluate_all("all => all.map(each => each.href)")
        assert shown.locator("details mjx-container").count() == 0
        assert form != "text" or shown.locator("mjx-container").count() == 0
        assert all(address.startswith(OUTSIDE) for address in addresses if address), form
    picture(tab, "hostile", themes=THEMES[:1])
    assert tab.page.evaluate("() => window.kimiHit") is None
    assert tab.page.locator("#jp-main-dock-panel").is_visible()
