"""Formulas reach the page's typesetter whole; money, paths and code never do."""

import re

import pytest

from kimi_magic.markdown import to_html

DELIMITED = re.compile(r"\\\(|\\\[")


def formulas(html: str) -> list[str]:
    return re.findall(r'class="kimi-math">(.*?)</(?:span|div)>', html, re.DOTALL)


def exposed(html: str) -> str:
    """The text that a typesetter would look through for delimiters, without the formulas."""
    for pattern in (
        r'<(span|div) class="kimi-math">.*?</\1>',
        r"<(pre|code)>.*?</\1>",
        r'<span class="mathjax_.*?</span>',
    ):
        html = re.sub(pattern, "", html, flags=re.DOTALL)
    return re.sub("<[^>]*>", "", html)


@pytest.mark.parametrize(
    ("source", "formula"),
    [
        ("$x$", r"\(x\)"),
        ("设$x_1$为", r"\(x_1\)"),
        ("($a_1 b_1$, $c$)", r"\(a_1 b_1\)"),
        ("$x*y*z$ and *em*", r"\(x*y*z\)"),
        ("$2 \\times 3$", r"\(2 \times 3\)"),
        ("$10 + 20 = 30$", r"\(10 + 20 = 30\)"),
        ("$100$", r"\(100\)"),
        ("$a < b & c$", r"\(a &lt; b &amp; c\)"),
        ("$\\$5$", r"\(\$5\)"),
        ("**$x$**", r"\(x\)"),
        ("a $$x$$ b", r"\[x\]"),
        ("$$x$$", r"\[x\]"),
        ("$$\nx\n- y\n= z\n> 0\n$$", "\\[x\n- y\n= z\n&gt; 0\\]"),
        ("text\n$$\nx\n$$\ntext", r"\[x\]"),
        (r"\(x\)", r"\(x\)"),
        (r"\( x_1*y*z \)", r"\(x_1*y*z\)"),
        (r"\[x\]", r"\[x\]"),
        ("\\[\nx\n+ y\n\\]", "\\[x\n+ y\\]"),
        (r"so \[x\] follows", r"\[x\]"),
        ("```math\nx^2\n```", r"\[x^2\]"),
        (
            "\\begin{align}\nx &= 1 \\\\\ny &= 2\n\\end{align}",
            "\\[\\begin{align}\nx &amp;= 1 \\\\\ny &amp;= 2\n\\end{align}\\]",
        ),
        ("- $$\n  x\n  $$", r"\[x\]"),
        ("> \\[\n> x\n> \\]", r"\[x\]"),
        ("| a |\n|---|\n| $x$ |", r"\(x\)"),
        ("# $x$", r"\(x\)"),
        (r"$x \label{eq:1}$", r"\(x \)"),
        (r"\(a \\) b\)", r"\(a \\) b\)"),
    ],
)
def test_every_notation_reaches_the_typesetter_untouched(source, formula):
    assert formulas(to_html(source))[:1] == [formula]


@pytest.mark.parametrize(
    "source",
    [
        "it costs $5 and $10",
        "between $5 and 10$",
        "$5–$10, US$5/A$6, $1,000.50 or $20M",
        "costs $5,\n$6",
        "$HOME/bin:$PATH and $HOME/$USER",
        "the variables $name and other$",
        "a $ b $ c",
        "$$",
        "$$ $$",
        "$5 `x$`",
        r"\$x\$",
        r"\\(x\\)",
        r"C:\\begin{align}",
        r"\begin{align}",
        r"see \ref{a}, \eqref{b}",
        r"\(unfinished",
        r"\[text\](https://example.com)",
        r"a \\\\ b",
        "![$x](https://e.example) [$a](https://e.example) y$",
        "*$a* b$c",
        "<https://e.example/$a$>",
        "- [ ] $5 or $6",
    ],
)
def test_what_is_not_a_formula_cannot_be_taken_for_one(source):
    html = to_html(source)
    assert formulas(html) == []
    assert not re.search(r"[$\\]", exposed(html))


@pytest.mark.parametrize("source", ["`$x$`", "```\n$x$\n```", "    $x$", "`\\(x\\)`", "```python\n'\\\\(x\\\\)'\n```"])
def test_code_is_never_typeset(source):
    html = to_html(source)
    assert formulas(html) == []
    assert "mathjax" not in html
    assert exposed(html).strip() == ""


@pytest.mark.parametrize(
    "macro",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\href {https://e.example}{x}",
        r"\url{https://e.example}",
        r"\class{jp-Button}{x}",
        r"\cssId{id}{x}",
        r"\style{position:fixed}{x}",
        r"\bbox[background:url(https://e.example)]{x}",
        r"\data{a=b}{x}",
        r"\htmlData{a=b}{x}",
        r"\htmlClass{a}{x}",
        r"\unicode{x41}",
        r"\require{html}",
        r"\mmlToken{mi}[style='color:red']{x}",
        r"\includegraphics{https://e.example/a.png}",
        r"\def\x{y}\x",
        r"\newcommand{\sum}{x}",
        r"\renewcommand\sum{x}",
        r"\let\a=\b",
        r"\DeclareMathOperator{\sin}{cos}",
        r"\texttip{a}{b}",
    ],
)
@pytest.mark.parametrize(
    "form", ["${}$", "$${}$$", "\\({}\\)", "\\[\n{}\n\\]", "```math\n{}\n```", "\\begin{{align}}{}\\end{{align}}"]
)
def test_a_macro_that_reaches_beyond_its_formula_is_shown_as_code(macro, form):
    html = to_html(form.format(macro))
    assert formulas(html) == []
    assert exposed(html).strip() == ""
    assert "<code>" in html or "<pre>" in html


@pytest.mark.parametrize(
    "source", [r"$\hrefx$", r"$\datum$", r"$\leq \Delta$", r"$\definite$", r"$\letter$", r"$\classy$"]
)
def test_a_macro_with_a_longer_name_is_not_mistaken_for_one_of_those(source):
    assert len(formulas(to_html(source))) == 1


def test_a_formula_cannot_end_early():
    assert formulas(to_html(r"$a \) b$")) == []
    assert "<script" not in to_html(r"$</script><script>alert(1)</script>$")


def test_a_formula_that_is_not_finished_is_text_until_it_is():
    assert formulas(to_html("$$\nx\n\ny\n$$ z")) == []
    assert DELIMITED.search(exposed(to_html("\\[\nx"))) is None
