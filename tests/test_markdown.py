"""What a reply's Markdown looks like as HTML, and that growing block by block changes nothing."""
# ruff: noqa: RUF001  # Chinese and Japanese punctuation is what some of this is about

import random
import re
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimi_magic.markdown import STYLE, Block, Document, to_html

PIECES = [
    "plain words",
    "**bold** and *em* with `code`",
    "- a\n- b\n",
    "- loose\n\n- items\n\n  more of it\n",
    "1. one\n   - nested by three\n     1. deep\n2. two\n",
    "- item\n\n  ```python\n  x = 1\n\n  y = 2\n  ```\n",
    "```python\ndef f():\n\n    return '$x$'\n```\n",
    "~~~\n# no heading\n",
    "```",
    "Title\n===\n",
    "Title\n---\n",
    "---\n",
    "# heading #\n",
    "| a | b |\n|---|:-:|\n| 1 | $2 |\n",
    "a | b\n--|--\n",
    "> quote\nlazy\n",
    "> - a\n> \n> b\n",
    "[label]",
    "[text][other]",
    "![picture][label]",
    '[label]: https://example.com "title\n',
    'goes on"\n',
    "[label]:\n",
    "[other]: <https://example.com/o>\n",
    "[lab\nel]: /x\n",
    "<div onclick=x>\n",
    "<b>raw</b> &amp; &copy; &#0;",
    "$x_1$ costs $5 and $10",
    "$$\n",
    "\\[\n",
    "\\]\n",
    "$$\n- a\n= b\n$$\n",
    "\\(a*b*c\\)",
    "\\begin{align}\nx &= 1\\\\\n",
    "\\end{align}\n",
    "**重点。**后面",
    "中文，标点：「引用」",
    "😀 é\u0301",
    "\u2028",
    "\u2029",
    "\x85",
    "\x0c",
    "\0",
    "\ud83d",
    "\ude00",
    "\t",
    "    indented\n",
    "  ",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "- [x] done\n- [ ] open\n",
    "https://example.com/a_b_(c). config.py",
    "\\",
    "* ",
    "===\n",
    "~~gone~~",
    "  \nhard break",
]
documents = st.lists(st.sampled_from([*PIECES, "\n", "\n\n", "\n\n"]), max_size=14).map("".join)


def fed(source: str, splits: random.Random) -> tuple[Document, list[Block]]:
    document, frozen, at = Document(), [], 0
    while at < len(source):
        step = splits.choice([1, 1, 2, 5, 20])
        document.feed(source[at : at + step])
        at += step
        if splits.random() < 0.7:
            frozen += document.advance()
        if splits.random() < 0.2:
            document.tail()
    return document, frozen


@settings(max_examples=400, deadline=None)
@given(source=documents, splits=st.randoms(use_true_random=False))
def test_a_document_fed_in_any_pieces_is_the_whole_rendered_at_once(source, splits):
    document, frozen = fed(source, splits)
    whole = to_html(source)
    assert "".join(block.source for block in frozen) + document.tail().source == source
    assert document.html() == whole
    assert document.restated == (not whole.startswith("".join(block.html for block in frozen)))


@settings(max_examples=100, deadline=None)
@given(source=st.text(), splits=st.randoms(use_true_random=False))
def test_any_text_at_all_comes_back_as_source(source, splits):
    document, frozen = fed(source, splits)
    assert "".join(block.source for block in frozen) + document.tail().source == source
    assert document.html() == to_html(source)


def test_each_finished_block_is_frozen_once_and_in_order():
    document = Document()
    document.feed("# One\n\ntwo\n\n- three\n")
    assert [block.source for block in document.advance()] == ["# One\n\n", "two\n\n"]
    assert document.advance() == []
    document.feed("\n2")  # may become "2. next", which ends the list, or belong to it
    assert document.advance() == []
    document.feed(". four\n")
    assert [block.source for block in document.advance()] == ["- three\n\n"]
    assert document.tail() == Block("2. four\n", '<ol start="2">\n<li>four</li>\n</ol>\n')


def test_a_block_that_started_on_a_finished_line_frees_those_before_it_while_its_own_line_grows():
    document = Document()
    document.feed("one\n\ntwo\n\nthree, unfinis")
    assert [block.source for block in document.advance()] == ["one\n\n"]


def test_nothing_passes_a_formula_that_still_waits_for_its_end():
    document = Document()
    document.feed("before\n\n$$\n- a\n- b\n# c\n")
    assert [block.source for block in document.advance()] == ["before\n\n"]
    document.feed("$$\n\nafter\n")
    assert [block.source for block in document.advance()] == ["$$\n- a\n- b\n# c\n$$\n\n"]
    assert not document.restated


def test_a_formula_that_may_end_a_table_holds_the_table_back():
    document = Document()
    document.feed("| a |\n|---|\n| 1 |\n$$\n- a\n")
    assert document.advance() == []
    document.feed("$$\n\nafter\n")
    assert len(document.advance()) == 2
    assert not document.restated


def test_a_finished_quotation_holds_nothing_back_though_a_formula_in_it_never_ends():
    document = Document()
    document.feed("> $$\n> x\n\none\n\ntwo\n")
    assert len(document.advance()) == 2


def test_a_late_link_definition_restates_only_what_used_it():
    document = Document()
    document.feed("See [docs].\n\nNext.\n\nLast.\n")
    document.advance()
    assert not document.restated
    document.feed("\n[unused]: https://example.com/u\n\nEnd.\n")
    document.advance()
    assert not document.restated
    document.feed("\n[docs]: https://example.com/d\n")
    document.advance()
    assert document.restated
    assert 'href="https://example.com/d"' in document.html()


def test_the_first_definition_wins_though_its_block_is_long_frozen():
    document = Document()
    for piece in ("[a]: https://example.com/1\n\nx\n\n", "y\n\n[a]: https://example.com/2\n\n", "[a]\n\nz\n"):
        document.feed(piece)
        document.advance()
    assert "example.com/1" in document.html()
    assert "example.com/2" not in document.html()


LONG = "".join(
    f"## Part {n}\n\nText with **bold**, `code`, $x_{n}$ and https://example.com/{n}.\n\n- a\n- b\n  - c\n\n"
    f"| k | v |\n|---|--:|\n| {n} | 2 |\n\n```python\ndef f{n}(x):\n    return x + {n}  # why\n```\n\n"
    for n in range(400)
)[:80_000]


def test_twenty_thousand_deltas_cost_a_few_milliseconds_a_paint():
    document, paints = Document(), []
    for n in range(20_000):
        document.feed(LONG[4 * n : 4 * n + 4])
        if n % 20 == 0:
            start = time.process_time()
            document.advance()
            document.tail()
            paints.append(time.process_time() - start)
    assert sorted(paints)[len(paints) // 2] < 0.003  # the median: others share these cores
    assert document.html() == to_html(LONG)


def test_feeding_parses_nothing():
    document = Document()
    start = time.process_time()
    for _ in range(20_000):
        document.feed("word ")
    assert time.process_time() - start < 0.2


def test_importing_takes_no_lexer_and_no_other_part_of_ours():
    code = (
        "import sys, kimi_magic.markdown as m; m.to_html('# x'); "
        "ours = sorted(n for n in sys.modules if n.startswith('kimi_magic.')); "
        "print(*ours, [n for n in sys.modules if n.startswith(('pygments', 'httpx', 'IPython'))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = ["dialect", "highlight", "markdown", "mathematics"]
    assert out.split("[")[0].split() == [f"kimi_magic.{name}" for name in names]
    assert out.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("Text:\n- a\n- b", "<p>Text:</p>\n<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("1. a\n   - b", "<ol>\n<li>a\n<ul>\n<li>b</li>\n</ul>\n</li>\n</ol>\n"),
        ("~~x~~", "<p><s>x</s></p>\n"),
        ("a<b & c", "<p>a&lt;b &amp; c</p>\n"),
        ("a\0b\ud800c", "<p>a\ufffdb\ufffdc</p>\n"),
        ("\ud83d\ude00", "<p>😀</p>\n"),
        ("5. x", '<ol start="5">\n<li>x</li>\n</ol>\n'),
    ],
)
def test_ordinary_markdown(source, html):
    assert to_html(source) == html


def test_a_table_needs_no_blank_line_scrolls_in_its_own_box_and_keeps_its_alignment():
    html = to_html("Text\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n")
    assert '<div class="kimi-table"><table>' in html
    assert '<td style="text-align:left">1</td>' in to_html("|a|\n|-|\n|1|")
    assert '<th style="text-align:center">a</th>\n<th style="text-align:right">b</th>' in html


def test_task_lists_show_their_boxes_as_text():
    html = to_html("- [x] done\n- [ ] **open**\n- [y] plain\n- [x](https://example.com)")
    assert '<li class="kimi-task">☑\ufe0e done</li>\n<li class="kimi-task">☐ <strong>open</strong></li>' in html
    assert "<li>[y] plain</li>" in html
    assert '<li><a href="https://example.com"' in html


@pytest.mark.parametrize(
    "source",
    [
        "**重点。**后面",
        "前面**「重点」**后面",
        "**注意：**看",
        "これは**重要！**です",
        "**굵게(bold)**는",
        "看**“引号”**吧",
    ],
)
def test_bold_beside_cjk_text_and_punctuation(source):
    assert "<strong>" in to_html(source)
    assert "**" not in to_html(source)


@pytest.mark.parametrize("source", ["a**.b.**c", "** no**", "snake_case_name", "2 * 3 * 4", "a * b", "foo_(bar)_baz"])
def test_emphasis_elsewhere_keeps_commonmark_rules(source):
    assert not re.search("<em>|<strong>", to_html(source))


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("see https://example.com/a_b_c.", "https://example.com/a_b_c"),
        ("(https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("**https://example.com/x**", "https://example.com/x"),
        ("请看https://example.com/路径，谢谢", "https://example.com/%E8%B7%AF%E5%BE%84"),
        ("https://example.com查看", "https://example.com"),
        ("http://localhost:8888/x?a=1&b=2", "http://localhost:8888/x?a=1&amp;b=2"),
        ("mailto:me@example.com, or", "mailto:me@example.com"),
        ("<me@example.com>", "mailto:me@example.com"),
        ("[x](HTTPS://example.com)", "HTTPS://example.com"),
    ],
)
def test_addresses_become_links_that_open_elsewhere(source, address):
    assert f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">' in to_html(source)


@pytest.mark.parametrize(
    "source",
    ["config.py README.md e.g.foo", "example.com", "www.example.com", "me@example.com", "xhttps://a.b", "ftp://a.b/c"],
)
def test_names_do_not_become_links(source):
    assert "<a" not in to_html(source)


@pytest.mark.parametrize(
    "target",
    [
        "#x",
        "/lab?x",
        "files/x",
        "//evil.example",
        "http:/lab/api",
        "https:x",
        "HTTP:\\\\x",
        "?token=1",
        "\\x",
        "ws://a.b",
    ],
)
def test_an_address_relative_to_the_notebook_server_is_not_live(target):
    html = to_html(f"[see](<{target}>)")
    assert "<a" not in html
    assert '<span class="kimi-link" title="' in html
    assert ">see</span>" in html


def test_an_image_is_not_loaded_but_linked():
    html = to_html("![A cat](https://images.example.com/c.png)")
    assert '<a href="https://images.example.com/c.png"' in html
    assert ">🖼 A cat (images.example.com)</a>" in html
    assert to_html("[![a](https://b.example/c)](https://d.example)").count("<a") == 1
    assert "<a" not in to_html("![x](local.png)")


def test_code_carries_few_classes_that_every_notebook_colours():
    html = to_html("```python\ndef f(x):\n    return 'a' + 1  # why\n```")
    assert html.startswith('<div class="highlight"><pre><span class="k">def </span><span class="nf">f</span>(x)')
    assert '<span class="c"># why' in html


@pytest.mark.parametrize("info", ["pyt", "no-such-language", '"><script>', "{.r #id}", "", "math x", "🐍"])
def test_code_in_an_unknown_language_is_plain(info):
    code = "if a < b: pass"
    assert to_html(f"```{info}\n{code}\n```") in {
        f'<div class="highlight"><pre>{code.replace("<", "&lt;")}\n</pre></div>\n',
        to_html(f"```r\n{code}\n```"),
    }


@pytest.mark.parametrize("info", ["python", "{python}", "{.python}", "python:main.py", 'PYTHON title="x"', "ipython3"])
def test_the_language_is_found_in_what_models_write_after_the_fence(info):
    assert '<span class="k">' in to_html(f"```{info}\nimport os\n```")


def test_a_blank_line_at_the_start_of_code_is_kept():
    assert to_html("```\n\nx\n```") == '<div class="highlight"><pre><span></span>\nx\n</pre></div>\n'


@pytest.mark.parametrize("code", ["x = 1\n" * 10_000, "x" * 3_000])
def test_very_long_code_stays_plain(code):
    assert "<span" not in to_html(f"```python\n{code}\n```")


@pytest.mark.parametrize("language", ["python", "java", "csharp", "javascript", "html", "sql", "aspectj"])
@pytest.mark.parametrize("words", ["a ", "(", "{", "${", "'", "a.", "<"])
def test_hostile_code_is_coloured_in_bounded_time(language, words):
    line = (words * 1_000)[:1_000] + "\n"
    start = time.process_time()
    to_html(f"```{language}\n{line * 15}```\n")
    assert time.process_time() - start < 4  # on an idle core: about 1 s


def test_code_coloured_in_pieces_is_complete():
    code = "class A {\n  int f(String s) { return 1; } // why\n\n}\n" * 200
    html = to_html(f"```java\n{code}```\n")
    assert re.sub("<[^>]*>", "", html).rstrip("\n") == code.rstrip("\n")
    assert html.count('class="c"') == 200


def test_an_open_fence_is_coloured_as_it_grows_at_a_bounded_cost():
    document, start = Document(), time.process_time()
    document.feed("```python\n")
    for _ in range(500):
        document.feed("x = f(1)  # " + "y" * 60 + "\n")
        document.advance()
        tail = document.tail()
    assert time.process_time() - start < 10
    assert tail.html.count('class="c"') >= 375  # of 500 lines: at most the last fifth is still plain
    assert document.html().count('class="c"') == 500


def test_the_same_source_gives_the_same_bytes_in_another_process():
    source = "# a\n\n[x](https://e.example 't') `c` **b**\n\n```python\nx = 1\n```\n| a |\n|:-:|\n"
    code = f"import sys; from kimi_magic.markdown import to_html; sys.stdout.buffer.write(to_html({source!r}).encode())"
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert runs == {to_html(source).encode()}


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_style_sheet_is_small_scoped_and_readable_on_both_backgrounds():
    assert len(STYLE.encode()) < 2_300
    assert all(line.startswith(".kimi") for line in STYLE.splitlines())
    pairs = re.findall(r"light-dark\((#\w{6}),(#\w{6})\)", STYLE)
    assert len(pairs) > 8
    backgrounds = pairs[0]  # the first is the code's own background
    for colours in pairs[1:]:
        for colour, background in zip(colours, backgrounds, strict=True):
            dark, light = sorted([_luminance(colour), _luminance(background)])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, background)


@pytest.mark.parametrize(
    "piece",
    [
        *("[", "![", "[a\n", "]", ">", "> ", "*", "_a*", "`a``b", "$a", "$$\n", "\\(", "\\begin{align}\n", "~~~\n"),
        *("https://a)", "<a", "&", "a|b\n-|-\n", "[a]: x\n", "\\\\", "重**点。**", "- [ ] ", "\0", "\ud800"),
    ],
)
def test_hostile_repetition_is_rendered_in_bounded_time(piece):
    start = time.process_time()
    to_html(piece * (50_000 // len(piece)))
    assert time.process_time() - start < 4  # on an idle core: about 1 s


@pytest.mark.parametrize("marker", ["> ", "- ", "  - "])
def test_deep_nesting_does_not_recurse_without_end(marker):
    to_html("".join(marker * depth + "a\n" for depth in range(300)))
    to_html(">" * 5_000 + "a")


def test_time_grows_with_length_not_with_its_square():
    def seconds(source: str) -> float:
        start = time.process_time()
        to_html(source)
        return time.process_time() - start

    to_html(LONG[:1000])
    sizes = [seconds(LONG[:20_000]), seconds(LONG[:80_000])]
    assert all(later < earlier * 14 for earlier, later in pairwise(sizes))
