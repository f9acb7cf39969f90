"""Nothing a model writes becomes script, loads anything, or leads into the notebook server."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimi_magic.markdown import Document, clean, to_html

INLINE = {"a", "br", "code", "em", "s", "span", "strong"}
BLOCKS = {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
TAGS = INLINE | BLOCKS | {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"class": r"[a-z0-9 _-]+", "title": r".*", "start": r"\d+", "style": r"text-align:(left|right|center)"}
LINK = {
    "href": r"(?i:https?://[^/]|mailto:[^/]).*",
    "title": r".*",
    "target": "_blank",
    "rel": "noopener noreferrer nofollow",
}
CORPUS = (Path(__file__).parent / "data/markdown/hostile.txt").read_text("utf-8").split("\n%%\n")


class Audit(HTMLParser):
    """Fails at the first tag, attribute or address that has no business there."""

    tags = TAGS
    attributes = ATTRIBUTES

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.tags, tag
        allowed = LINK if tag == "a" else self.attributes
        for name, value in attrs:
            assert name in allowed, name
            assert re.fullmatch(allowed[name], value or "", re.DOTALL), (name, value)
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in {"br", "hr", "wbr", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


class HtmlAudit(Audit):
    """The same for HTML that the model itself wrote."""

    tags = nh3.ALLOWED_TAGS - {"img", "map", "area"}
    attributes = {"title": r".*", "start": r".*", "colspan": r".*", "rowspan": r".*"}  # noqa: RUF012  # never changed


def audit(html: str, kind: type[Audit] = Audit) -> None:
    parser = kind()
    parser.feed(html)
    parser.close()
    assert parser.open == []


@pytest.mark.parametrize("source", CORPUS, ids=lambda source: repr(source[:30]))
def test_hostile_text_leaves_only_harmless_elements(source):
    audit(to_html(source))
    document = Document()
    for char in source:
        document.feed(char)
        for block in document.advance():
            audit(block.html)
        audit(document.tail().html)


@pytest.mark.parametrize(
    "around", ["> {}", "- {}", "# {}", "| {} |\n|---|", "**{}**", "[{}](https://e.example)", "x\n\n{}"]
)
def test_hostile_text_is_harmless_wherever_it_stands(around):
    for source in CORPUS:
        audit(to_html(around.format(source)))


def test_the_corpus_is_large():
    assert len(set(CORPUS)) >= 60


SYNTAX = "[]()<>!`*_~#$\\|:-+=&;\"'/{}\n \t"
WORDS = [
    "javascript:",
    "data:",
    "https://a.b",
    "<script>",
    "onerror=",
    "&#106;",
    "](",
    "$$",
    "\\(",
    "\\href{",
    "```",
    "| - |\n",
]
texts = st.lists(st.sampled_from([*SYNTAX, *WORDS, "a", "重", "\u2028", "\0", "\ud800"]), max_size=60).map("".join)


@settings(max_examples=400, deadline=None)
@given(texts | st.text())
def test_any_text_at_all_leaves_only_harmless_elements(source):
    audit(to_html(source))


@settings(max_examples=100, deadline=None)
@given(
    st.text(alphabet=st.characters(codec=None), max_size=40),
    st.sampled_from(["[x](<{}>)", "[x]: <{}>\n\n[x]", "<{}>", "```{}\nx\n```"]),
)
def test_any_text_in_an_address_or_an_info_string_is_harmless(text, form):
    audit(to_html(form.replace("{}", text)))


@pytest.mark.parametrize("source", CORPUS, ids=lambda source: repr(source[:30]))
def test_html_of_the_model_is_harmless_too(source):
    audit(clean(source), HtmlAudit)


@settings(max_examples=200, deadline=None)
@given(texts | st.text())
def test_any_text_taken_for_html_is_harmless(source):
    audit(clean(source.encode("utf-8", "replace").decode()), HtmlAudit)


def test_html_of_the_model_keeps_its_structure_and_loses_its_scripts():
    html = clean(
        "<h1 onclick=x()>T</h1><script>x()</script><style>p{}</style><table><tr><td colspan=2>c</td></tr></table>"
    )
    assert html == '<h1>T</h1><table><tbody><tr><td colspan="2">c</td></tr></tbody></table>'
