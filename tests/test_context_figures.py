"""A chart becomes a picture and a digest of its data; the user's own stays as it was; private columns do not show."""

from __future__ import annotations

import datetime as dt
import io
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import altair as alt
import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import polars as pl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kimi_magic.context import figures, kinds
from kimi_magic.context.description import Description, Look
from kimi_magic.context.guard import Guard
from tests.harness.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

mpl.use("agg")
import matplotlib.pyplot as plt  # after the backend is chosen

LOOK = Look(Guard())
WORDS = replace(LOOK, pictures=False)
PEOPLE = pd.DataFrame(
    {
        "age": [31, 45, 27, 62, 50],
        "team": ["red", "blue", "red", "blue", "red"],
        "ssn": ["123-45-6789", "223-45-6780", "323-45-6781", "423-45-6782", "523-45-6783"],
        "pay": [52345.5, 61234.25, 71999.75, 48120.5, 90210.125],
        "day": pd.date_range("2024-01-01", periods=5),
    }
)


@pytest.fixture(autouse=True)
def no_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def guarded() -> Look:
    guard = Guard()
    guard.hide(PEOPLE, ["ssn", "pay"])
    return Look(guard)


def described(obj: object, look: Look = LOOK) -> Description:
    description = figures.describe(obj, look)
    assert description is not None
    return description


def text(obj: object) -> str:
    return described(obj, WORDS).text


def drawn(draw: Callable[[object], object]) -> Figure:
    figure, axes = plt.subplots()
    draw(axes)
    return figure


def picture(description: Description) -> Image.Image:
    (part,) = description.images
    return Image.open(io.BytesIO(part.data)).convert("RGB")


# The user's figure stays as it was


def state(figure: Figure) -> tuple[object, ...]:
    return (
        figure.canvas,
        figure.dpi,
        tuple(figure.get_size_inches()),
        figure.stale,
        [axes.stale for axes in figure.axes],
        [axes.get_position(original=True).bounds for axes in figure.axes],
        figure.stale_callback,
        figure.get_layout_engine(),
        plt.get_fignums(),
        plt.gcf(),
        figure.get_facecolor(),
        figure.canvas.manager,
    )


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("private", [False, True])
def test_a_figure_stays_as_it_was(seen, private, guarded):
    figure, (left, right) = plt.subplots(1, 2, dpi=130, figsize=(7, 3))
    left.plot(PEOPLE.age, PEOPLE.pay)
    right.bar(["a", "b"], [1, 2])
    calls: list[object] = []
    for event in ("draw_event", "resize_event", "close_event"):
        figure.canvas.mpl_connect(event, calls.append)
    if seen:
        figure.canvas.draw()
        calls.clear()
    before = state(figure)
    described(figure, guarded if private else LOOK)
    described(left)
    assert state(figure) == before
    assert not calls


def test_an_animation_is_not_started():
    figure, axes = plt.subplots()
    frames: list[int] = []
    from matplotlib.animation import FuncAnimation

    animation = FuncAnimation(figure, frames.append, frames=3, cache_frame_data=False)
    frames.clear()
    described(figure)
    assert frames == []
    axes.figure.canvas.draw()  # the user's own drawing starts it
    assert frames
    del animation


def test_a_figure_without_pyplot_is_drawn_as_well():
    figure = Figure()
    figure.subplots().plot([1, 2])
    canvas = figure.canvas
    assert described(figure).images
    assert figure.canvas is canvas


def test_pyplot_is_not_imported():
    code = (
        "import sys; from matplotlib.figure import Figure; from kimi_magic.context import figures\n"
        "from kimi_magic.context.description import Look; from kimi_magic.context.guard import Guard\n"
        "figure = Figure(); figure.subplots().plot([1, 2])\n"
        "assert figures.describe(figure, Look(Guard())).images\n"
        "print([name for name in ('matplotlib.pyplot', 'pandas', 'plotly', 'altair') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[]\n"


def test_the_inline_backend_still_shows_the_figure_once(tmp_path: Path):
    describe = (
        "from kimi_magic.context import figures; from kimi_magic.context.description import Look\n"
        "from kimi_magic.context.guard import Guard\n"
        "found = figures.describe(figure, Look(Guard()))\n"
    )
    make = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\nlines = axes.plot([1, 4, 9])\n"
    with running(tmp_path) as kernel:
        kernel.run("%matplotlib inline")
        plain, looked_at = kernel.run(make), kernel.run(make + describe)
        later = kernel.run(describe)
    shown = [[output["data"].get("image/png") for output in cell.outputs] for cell in (plain, looked_at)]
    assert shown[0][0] is not None
    assert shown[0] == shown[1]
    assert later.outputs == []


def running(tmp_path: Path) -> Kernel:
    return Kernel({}, tmp_path)


# What is said


def test_a_line_is_said_with_its_axes_and_its_points():
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [1, 4, 9], label="squares")
    axes.set(title="Growth", xlabel="n", ylabel="n × n", yscale="log", xlim=(0, 5))
    axes.legend(title="kinds")
    axes.annotate("here", (2, 4))
    figure.suptitle("All of it")
    assert text(figure).splitlines() == [
        'matplotlib figure, 640 × 480 px, 1 axes "All of it"',
        'axes: "Growth"',
        '  x "n", 0 to 5',
        '  y "n × n", log scale, 0.896 to 10.05',
        '  line "squares": 3 points; x 1 to 3; y 1 to 9, mean 4.667; (x, y): (1, 1) (2, 4) (3, 9)',
        '  legend "kinds": "squares"',
        '  texts "here"',
    ]


def test_of_many_points_twelve_are_written_evenly_with_the_first_and_the_last():
    said = text(drawn(lambda axes: axes.plot(np.arange(1000) * 1.23456)))
    assert "1000 points" in said
    assert "some of (x, y): (0, 0) (91, 112.3)" in said
    assert said.rstrip().endswith("(999, 1233)")
    assert said.count("(") - said.count("(x") == 12


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda a: a.bar(["a", "b"], [1, 2], label="n"), 'bars "n": 2 points; x "a", "b"; y 1 to 2, mean 1.5'),
        (lambda a: a.bar(["a", "b"], [1, 2], label="n"), "; (x, y): (a, 1) (b, 2)"),
        (lambda a: a.barh(["a", "b"], [1, 2]), 'horizontal bars: 2 points; y "a", "b"; x 1 to 2'),
        (lambda a: a.hist([1, 1, 2, 4], bins=3), "histogram: 3 points; from 1 to 3"),
        (lambda a: a.scatter([1, 2], [3, 4], c=[5, 6]), "points: 2 points; x 1 to 2; y 3 to 4, mean 3.5; colour 5 to"),
        (lambda a: a.plot([1, 2], [3, 4], "o"), "points: 2 points"),
        (lambda a: a.imshow(np.arange(12).reshape(3, 4)), "image: 3 × 4, x -0.5 to 3.5, y 2.5 to -0.5; 12 values; "),
        (lambda a: a.errorbar([1, 2], [3, 4], yerr=0.5, label="e"), 'error bars "e": 2 points; x 1 to 2; y 3 to 4'),
        (lambda a: a.errorbar([1, 2], [3, 4], yerr=0.5, label="e"), "y low 2.5 to 3.5"),
        (lambda a: a.fill_between([1, 2], [5, 6], [8, 9], label="band"), "(x, y 1, y 2): (1, 5, 8) (2, 6, 9)"),
        (lambda a: a.fill_betweenx([1, 2], [5, 6], [8, 9]), "(y, x 1, x 2): (1, 5, 8) (2, 6, 9)"),
        (lambda a: a.pie([1, 3], labels=["p", "q"]), 'slice "q": share 0.75'),
        (lambda a: a.axhline(7), "horizontal line: y 7"),
        (lambda a: a.axvline(7), "vertical line: x 7"),
        (lambda a: a.stem([1, 2], [3, 4]), "stems: 2 points; x 1 to 2; y 3 to 4"),
        (lambda a: a.contour(np.arange(16).reshape(4, 4)), "contours: "),
        (lambda a: a.pcolormesh(np.arange(9).reshape(3, 3)), "mesh: 9 values; value 0 to 8"),
        (lambda a: a.hexbin([1, 2], [1, 2], gridsize=3), "value 0 to 1"),
        (lambda a: a.boxplot([1, 2, 3, 9]), "line: "),
        (lambda a: a.quiver([1], [1], [1], [1]), "area: "),
        (lambda a: a.table(cellText=[["u", "v"]]), "table: column 1 u, column 2 v"),
        (lambda a: a.plot(PEOPLE.day, PEOPLE.age), "line: 5 points; x 2024-01-01 to 2024-01-05"),
        (lambda a: a.scatter(PEOPLE.day, PEOPLE.age), "points: 5 points; x 2024-01-01 to 2024-01-05"),
        (lambda a: a.plot([dt.date(2024, 1, 1), dt.date(2024, 1, 3)], [1, 2]), "x 2024-01-01 to 2024-01-03"),
        (lambda a: a.plot(["u", "v"], [1, 2]), 'x "u", "v"; y 1 to 2'),
        (lambda a: a.plot([1.0, np.nan, 3.0]), "y 1 to 3, mean 2, 1 missing"),
        (lambda a: a.plot([]), "line: 0 points"),
        (lambda a: PEOPLE.set_index("day").age.plot(ax=a), "x 2024-01-01 to 2024-01-05"),
        (lambda a: PEOPLE.set_index("team").age[:2].plot.bar(ax=a), 'bars "age": 2 points; x "red", "blue"'),
    ],
)  # fmt: skip
def test_each_artist_is_said_in_its_own_way(draw, expected):
    figure = drawn(draw)
    assert expected in text(figure)
    assert described(figure) == described(figure)


def test_three_dimensions_are_said():
    axes = plt.figure().add_subplot(projection="3d")
    axes.scatter([1, 2], [3, 4], [5, 6])
    axes.plot([1, 2], [3, 4], [7, 8])
    said = text(axes.figure)
    assert "axes (3d):" in said
    assert "points: 2 points; x 1 to 2; y 3 to 4, mean 3.5; z 5 to 6" in said
    assert "line: 2 points; x 1 to 2; y 3 to 4, mean 3.5; z 7 to 8" in said


def test_words_of_an_axis_are_said():
    assert 'x, labels "a", "b"' in text(drawn(lambda axes: axes.bar(["a", "b"], [1, 2])))


def test_hostile_words_are_legible_and_do_not_break_lines():
    bad = "a\n|`\x1b[31m\u202e"
    figure = drawn(lambda axes: (axes.plot([1, 2], label=bad), axes.set(title=bad, xlabel=bad), axes.legend()))
    lines = text(figure).splitlines()
    assert len(lines) == 6
    assert all(line.isprintable() for line in lines)


def test_numbers_do_not_depend_on_display_options():
    figure = drawn(lambda axes: axes.plot(PEOPLE.age, PEOPLE.pay))
    before = text(figure)
    with np.printoptions(precision=1), pd.option_context("display.precision", 1):
        assert text(figure) == before


def test_text_keeps_to_its_room():
    figure, axes = plt.subplots(4, 4)
    for each in axes.flat:
        for number in range(40):
            each.plot(np.arange(20) * number)
    assert len(described(figure, replace(WORDS, room=2000)).text) <= 2000


# Pictures of matplotlib


@pytest.mark.parametrize("detail", ["low", "auto", "high"])
@pytest.mark.parametrize("size", [(6.4, 4.8), (40, 3), (300, 100), (0.5, 0.5)])
def test_a_figure_of_any_size_is_within_budget(size, detail):
    figure = plt.figure(figsize=size)
    figure.add_axes((0, 0, 1, 1)).imshow(np.random.default_rng(0).random((300, 300, 3)), aspect="auto")
    description = described(figure, replace(LOOK, detail=detail))
    side, room = {"low": (512, 40_000), "auto": (1568, 150_000), "high": (3072, 450_000)}[detail]
    (part,) = description.images
    assert max(part.width, part.height) <= side
    assert len(part.data) <= room
    assert description.kind == "figure"


def test_the_same_figure_is_the_same_bytes():
    def make() -> Figure:
        return drawn(lambda axes: (axes.plot([1, 4, 9], label="a"), axes.legend(), axes.set_title("t")))

    assert described(make()) == described(make())
    assert b"matplotlib" not in described(make()).images[0].data.lower()


def test_one_axes_of_several_is_cut_out():
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    left.set_facecolor("red")
    right.set_facecolor("blue")
    whole, one = picture(described(figure)), picture(described(right))
    assert one.width < 0.6 * whole.width
    assert one.getpixel((one.width // 2, one.height // 2)) == (0, 0, 255)
    assert (255, 0, 0) not in {colour for _, colour in one.getcolors(1 << 20)}
    assert "axes:" in described(right).text


def test_what_lies_far_outside_does_not_blow_up_the_picture():
    figure = drawn(lambda axes: (axes.plot([1, 2]), axes.text(0.5, 3000, "far")))
    figure.axes[0].set(xlim=(0, 1), ylim=(1, 2))
    description = described(figure)
    assert max(picture(description).size) <= 1568 if description.images else "no picture" in description.text


def test_where_drawing_fails_there_is_text_and_the_reason():
    figure = drawn(lambda axes: (axes.plot([1, 2]), axes.set_title("$\\frac{$")))
    description = described(figure)
    assert not description.images
    assert "[no picture: ValueError" in description.text
    assert "line: 2 points" in description.text


def test_artists_axes_and_containers_stand_for_their_figure():
    figure, axes = plt.subplots()
    bars = axes.bar(["a"], [1])
    (line,) = axes.plot([1, 2])
    whole = described(figure)
    for each in (axes, bars, line, axes.xaxis, axes.legend(["x"])):
        assert described(each).images
    assert described(axes.bar(["a"], [1])).kind == whole.kind


def test_a_part_of_a_grid_is_found_by_its_module():
    grid = type("FacetGrid", (SimpleNamespace,), {"__module__": "seaborn.axisgrid"})(
        figure=drawn(lambda axes: axes.plot([1, 2]))
    )
    assert "line: 2 points" in text(grid)
    assert kinds.describe(grid, WORDS).kind == "figure"


@pytest.mark.parametrize(
    "other", [plt.cm.viridis, mpl.rcParams, alt, go, 1, "x", None, mpl.transforms.IdentityTransform()]
)
def test_other_things_are_left_to_others(other):
    assert figures.describe(other, LOOK) is None
    assert figures.brief(other, LOOK) is None


def test_brief_is_one_line():
    figure = drawn(lambda axes: axes.set_title("t"))
    figure.suptitle("A\nB")
    assert figures.brief(figure, LOOK) == 'matplotlib figure, 640 × 480 px, 1 axes "A\\nB"'
    assert figures.brief(px.line(PEOPLE, x="age", y="pay", title="T"), LOOK) == 'plotly figure, 1 trace "T"'
    assert figures.brief(alt.Chart(PEOPLE).mark_bar(), LOOK) == "altair Chart"


def test_kinds_finds_each_library():
    for chart in (
        drawn(lambda axes: axes.plot([1, 2])),
        px.line(PEOPLE, x="age", y="pay"),
        alt.Chart(PEOPLE).mark_bar(),
    ):
        assert kinds.describe(chart, WORDS).kind == "figure"


# plotly


def test_a_plotly_figure_is_drawn_and_said():
    figure = px.scatter(PEOPLE, x="age", y="pay", color="team", hover_data=["ssn"], title="Pay")
    description = described(figure)
    assert description.text.splitlines() == [
        'plotly figure, 2 traces "Pay"',
        '  x "age"',
        '  y "pay"',
        '  legend "team"',
        (
            '  scatter (markers) "red": 3 points; x 27 to 50; y 5.235e+04 to 9.021e+04, mean 7.152e+04; '
            "(x, y): (31, 5.235e+04) (27, 7.2e+04) (50, 9.021e+04)"
        ),
        (
            '  scatter (markers) "blue": 2 points; x 45 to 62; y 4.812e+04 to 6.123e+04, mean 5.468e+04; '
            "(x, y): (45, 6.123e+04) (62, 4.812e+04)"
        ),
    ]
    assert picture(description).size == (700, 500)


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        (px.line(PEOPLE, x="day", y="age"), "scatter (lines): 5 points; x 2024-01-01 to 2024-01-05; y 27 to 62"),
        (px.imshow([[1, 2], [3, 4]]), "4 values; z 1 to 4, mean 2.5"),
        (px.pie(PEOPLE, names="team", values="age"), 'pie: 5 points; labels "red", "blue"; values 27 to 62'),
        (px.bar(PEOPLE, x="team", y="age", log_y=True), 'y "age", log scale'),
        (go.Figure(go.Bar(x=["a", "b"], y=[1, None])), 'bar: 2 points; x "a", "b"; y 1 to 1, mean 1, 1 missing'),
        (go.Figure(go.Scatter(y=[1, 2], error_y={"array": [0.1, 0.2]})), "error_y.array 0.1 to 0.2"),
        (px.parallel_coordinates(PEOPLE[["age", "pay"]]), "parcoords: 5 points; age 27 to 62"),
        (go.Figure(), "plotly figure, 0 traces"),
        (go.Figure(layout={"xaxis": {"range": [0, 9]}}), "x, 0 to 9"),
    ],
)  # fmt: skip
def test_each_kind_of_trace_is_said(figure, expected):
    assert expected in text(figure)


def test_a_plotly_figure_fetches_nothing_and_says_so():
    description = described(go.Figure(go.Choropleth(locations=["USA"], z=[1])))
    assert not description.images
    assert "no picture" in description.text
    assert "choropleth: locations USA, z 1" in description.text


def test_ctrl_c_ends_the_drawing_of_a_plotly_figure():
    code = (
        "import os, signal, threading, plotly.graph_objects as go; from kimi_magic.context import figures\n"
        "from kimi_magic.context.description import Look; from kimi_magic.context.guard import Guard\n"
        "threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: print(figures.describe(go.Figure(go.Bar(y=[1])), Look(Guard())))\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "stopped\n"


# altair


def test_an_altair_chart_is_drawn_and_said():
    chart = (
        alt.Chart(PEOPLE, title="Ages")
        .mark_bar()
        .encode(x=alt.X("age", bin=True), y="count()", color=alt.Color("team", title="T"))
    )
    description = described(chart)
    lines = description.text.splitlines()
    assert lines[:8] == [
        'altair Chart "Ages"',
        '  bar mark "Ages"',
        '    color: team (nominal) "T"',
        "    x: age (quantitative), binned",
        "    y: count (quantitative)",
        '    team: "red", "blue"',
        "    age: 27 to 62, mean 43",
        f"  data: {kinds.brief(PEOPLE, LOOK.deeper(500))}",
    ]
    assert min(picture(description).size) > 100
    assert described(chart) == description


def test_each_view_of_an_altair_chart_is_said():
    lines = alt.Chart(PEOPLE).mark_line().encode(x="day", y="age") + alt.Chart(PEOPLE).mark_rule().encode(y="mean(age)")
    said = text(
        lines
        | alt.Chart(pl.from_pandas(PEOPLE[["age"]])).mark_point().encode(x="age").transform_filter("datum.age > 30")
    )
    for expected in ("line mark", "y: mean of age (quantitative)", "day: 2024-01-01 to 2024-01-05", "datum.age > 30"):
        assert expected in said
    assert said.count("  data: ") == 2


@pytest.mark.parametrize(
    "chart",
    [
        alt.Chart("http://127.0.0.1:9/a.csv").mark_point().encode(x="a:Q"),
        alt.Chart(PEOPLE).mark_image(url="file:///etc/hostname").encode(x="age"),
        alt.Chart(PEOPLE).mark_point().encode(x="age") | alt.Chart("a.csv").mark_point().encode(x="a:Q"),
    ],
)
def test_what_an_altair_chart_names_is_not_fetched(chart):
    description = described(chart)
    assert not description.images
    assert "nothing is fetched" in description.text


def test_a_long_altair_chart_is_said_by_its_first_rows_and_not_drawn():
    description = described(alt.Chart(pd.DataFrame({"q": range(60_000)})).mark_bar().encode(x="q"))
    assert not description.images
    assert "more than 50,000 rows" in description.text
    assert "q: 0 to 999" in description.text


def test_the_settings_of_altair_stay_as_they_were():
    with alt.data_transformers.enable("json"):
        described(alt.Chart(PEOPLE).mark_bar().encode(x="age"), WORDS)
        assert alt.data_transformers.active == "json"


# Private columns


def private_charts() -> Iterator[tuple[str, object]]:
    def one(name: str, draw: Callable[[object], object]) -> tuple[str, object]:
        return name, drawn(draw)

    p = PEOPLE
    yield one("line", lambda a: a.plot(p.age, p.pay, label="z"))
    yield one("scatter", lambda a: a.scatter(p.age, p.pay))
    yield one("list", lambda a: a.plot(list(p.pay)))
    yield one("bars", lambda a: a.bar(p.team + p.age.astype(str), p.pay))
    yield one("words", lambda a: a.bar(p.ssn, p.age))
    yield one("label", lambda a: (a.hist(p.pay), a.set_xlabel("mean of pay (EUR)")))
    yield one("legend", lambda a: (a.plot([1, 2], label="pay"), a.legend()))
    yield one("text", lambda a: a.text(0, 0, f"who: {p.ssn[1]}"))
    yield one("table", lambda a: a.table(cellText=p[["ssn", "team"]].to_numpy().tolist()))
    yield one("title", lambda a: a.set_title("pay"))
    yield one("errors", lambda a: a.errorbar(p.age, p.pay, yerr=1))
    yield one("area", lambda a: a.fill_between(p.age, p.pay))
    yield one("label of bars", lambda a: a.hist(p.age, label="pay"))
    yield one("labels of two", lambda a: a.hist([p.age, p.age + 1], label=["age", "mean pay"]))
    yield one("label of one bar", lambda a: a.bar([1, 2], [3, 4], label=["age", "pay"]))
    yield "label by pandas", p.pay.plot.hist(bins=3).figure
    plt.close("all")
    yield "figure text", p.pay.plot.line().figure
    yield "x", px.scatter(p, x="age", y="pay")
    yield "renamed", px.scatter(p.rename(columns={"pay": "z"}), x="age", y="z")
    yield "colour", px.scatter(p, x="age", y="age", color="ssn")
    yield "marker", go.Figure(go.Scatter(x=[1, 2, 3, 4, 5], y=[1] * 5, marker={"color": p.pay}))
    yield "histogram", px.histogram(p, x="pay")
    yield "annotation", go.Figure(layout={"annotations": [{"text": p.ssn[2]}]})
    yield "ticks", go.Figure(go.Bar(y=[1]), layout={"xaxis": {"ticktext": list(p.ssn), "tickvals": [0, 1, 2, 3, 4]}})
    yield "encoding", alt.Chart(p).mark_bar().encode(x="age", y="mean(pay)")
    yield "calculated", alt.Chart(p).mark_bar().encode(x="age", y="z:Q").transform_calculate(z="datum.pay * 2")
    yield "other name", alt.Chart(p.rename(columns={"pay": "z"})).mark_point().encode(x="z")
    yield "layer", alt.Chart(p).mark_bar().encode(x="age") + alt.Chart(p).mark_text().encode(text="ssn")


def test_a_private_column_is_in_no_picture_and_no_text(guarded):
    kept = [*PEOPLE.ssn, *map(str, PEOPLE.pay), *(f"{value:.4g}" for value in PEOPLE.pay)]
    for name, chart in private_charts():
        description = described(chart, guarded)
        assert not description.images, name
        assert description.withheld in {("ssn",), ("pay",)}, name
        reason = f"picture withheld: it shows the private column {description.withheld[0]!r}"
        assert reason in description.text, name
        assert [value for value in kept if value in description.text] == [], name
        plt.close("all")


def test_a_histogram_is_named_by_the_label_of_its_bars():
    chart = drawn(lambda axes: axes.hist(PEOPLE.age, bins=3, label="age"))
    assert 'histogram "age": 3 points' in described(chart, WORDS).text


def test_a_chart_of_other_columns_is_shown_all_the_same(guarded):
    charts = (
        drawn(lambda axes: axes.plot(PEOPLE.age, label="age")),
        alt.Chart(PEOPLE).mark_bar().encode(x="age", y="team"),
        px.scatter(PEOPLE, x="age", y="age", hover_data=["ssn"]),
    )
    for chart in charts:
        description = described(chart, guarded)
        assert description.images
        assert description.withheld == ()


def test_beside_private_axes_the_others_keep_their_data(guarded):
    figure, (left, right) = plt.subplots(1, 2)
    left.plot(PEOPLE.pay)
    right.plot([7, 8])
    said = described(figure, guarded).text
    assert "line: data withheld" in said
    assert "y 7 to 8" in said


def test_a_secret_in_a_title_withholds_the_picture():
    secret = "sk-proj-" + "aB3dE5gH7jK9mN1pQ3sT5vX7zB9dF1hJ3lN5pR7t"
    description = described(drawn(lambda axes: axes.set_title(f"key {secret}")))
    assert not description.images
    assert secret not in description.text
    assert "picture withheld: it shows a secret" in description.text


def test_where_an_artist_cannot_be_read_the_picture_is_withheld():
    from matplotlib.lines import Line2D

    class Odd(Line2D):
        def get_xdata(self, orig=True):  # noqa: FBT002  # matplotlib's signature
            if orig:
                raise RuntimeError("odd")
            return super().get_xdata(orig)

    description = described(drawn(lambda axes: axes.add_line(Odd([1, 2], [3, 4]))))
    assert not description.images
    assert "not all of it could be checked" in description.text
