"""What Kimi saw, as a person sees it: folded under a reply, printed, before sending, and in the ledger."""

from __future__ import annotations

import pytest

from tests.browser.conftest import THEMES, picture
from tests.harness.browser import contrast

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

DATA = """import matplotlib.pyplot as plt
from sklearn.datasets import load_sample_image, load_wine
wine = load_wine(as_frame=True).frame
photo = load_sample_image("flower.jpg")
figure, axes = plt.subplots(figsize=(5, 2.4))
axes.hist(wine["alcohol"], 12, label="alcohol")
plt.close()
people = wine.assign(ssn=[f"078-05-{1000 + n}" for n in range(178)])
%kimi private people ssn"""


def test_what_kimi_saw_folds_out_of_the_footer(opened, tab):
    notebook = opened(DATA, "%%kimi -c wine people\n<<say Two of them **differ**.>>", "%kimi sent")
    notebook.run_all()
    notebook.wait_idle()
    shown = notebook.output(2)
    saw = shown.locator(".kimi > details:last-child")
    assert "saw wine, people" in saw.locator("summary").inner_text()
    assert not saw.locator("table").is_visible()
    saw.locator("summary").click()
    assert "withheld: ssn" in saw.locator("table").inner_text()
    for theme in THEMES:
        tab.theme(theme)
        assert contrast(saw.locator("td").first) >= 3
        assert shown.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    picture(tab, "saw")


def test_pictures_are_shown_as_they_would_be_sent(opened, tab):
    notebook = opened(DATA, "%%kimi --dry-run -m k2.6 -c figure photo\nWhat is this?")
    notebook.run_all()
    notebook.wait_idle()
    shown = notebook.output(2)
    assert shown.locator("img").count() == 2
    assert shown.locator("img").evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 100)")
    assert "$" in shown.inner_text()
    picture(tab, "dry-run")


def test_the_ledger_and_errors_of_names_are_legible(opened, tab):
    notebook = opened(DATA, "%%kimi -q -c wine people\n<<say ok>>", "%kimi egress", "%kimi private")
    notebook.run_all()
    notebook.wait_idle()
    assert "withheld" not in notebook.text(3)
    assert "ssn" in notebook.text(3)
    for theme in THEMES:
        tab.theme(theme)
        assert notebook.output(3).evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    picture(tab, "egress")
