"""The Markdown that models write, as a markdown-it parser.

CommonMark with tables, strikethrough, task lists and mathematics; no raw HTML. Addresses in the text become links, file
names (`config.py`) do not. Emphasis works beside Chinese, Japanese and Korean text. Nothing remote is loaded, and no
link leads into the notebook server: an image becomes a link that says so; an address that is not http, https or mailto
is not linked.
"""

import re
import unicodedata
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline, RuleFuncInlineType
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, image, link
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token

from kimi_magic import highlight, mathematics

CLASSES = frozenset({"highlight", "kimi-table", "kimi-task", "kimi-link"})
"""Class names in the HTML made here."""

LIVE = "live"
"""Key of the renderer's env: set while the text still grows."""

_BLANK = "blank"  # key of the parser's env: the next blank line after the last one where it was looked for
_DEPTH = 60  # levels of nesting that are parsed (30 lists in lists); "[" times 50,000 costs its length times this
_ALIVE = re.compile(r"https?://[^\s/\\?#]|mailto:[^\s/?#]", re.IGNORECASE)  # "http:/x" would be relative to the page
_HOST = re.compile(r"https?://(?:[^/\\?#]*@)?([^/\\?#]*)", re.IGNORECASE)
_SCHEME = re.compile(r"(?<![A-Za-z0-9])(?:https?|mailto)$", re.IGNORECASE)
_STOP = r"\s<>\"`\\|*\[\]\u2018-\u201f\u2026\u3000-\u303f\uff00-\uff0f\uff1a-\uff20"  # with CJK punctuation
_WEB = re.compile(rf"://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?(?:[/?#][^{_STOP}]*)?")
_MAIL = re.compile(r":[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_TASK = re.compile(r"\[([ xX])\][ \t\n]+")
_BOXES = {" ": "☐", "x": "☑\ufe0e", "X": "☑\ufe0e"}  # \ufe0e: as text, not as a coloured emoji


def parser() -> MarkdownIt:
    """Make a parser whose core chain begins after the blocks: the caller parses those and chooses what to complete."""
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEPTH})
    inline = _Inline()
    md.inline = inline
    md.configure("commonmark", {"html": False, "maxNesting": _DEPTH})
    md.enable(["table", "strikethrough"]).disable(["normalize", "block", "html_block", "html_inline"])
    mathematics.install(md)
    md.block.ruler.at("reference", _reference)
    md.inline.ruler.after("text", "bare_link", _bare_link)
    md.inline.ruler.at("link", _bracketed(link))
    md.inline.ruler.at("image", _bracketed(image))
    md.core.ruler.before("inline", "tasks", _tasks)
    md.core.ruler.push("links", _links)
    for name, rule in _RENDER.items():
        md.add_render_rule(name, rule)
    return md


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: FBT001, N802, N803  # markdown-it's names
        """Apply CommonMark's flanking rules, except that CJK text and punctuation never stand in the way of emphasis.

        By the letter `**重点。**后面` is not bold, as no space follows its full stop; these languages put none there.
        """
        marker = self.src[start]
        end = start
        while end < self.posMax and self.src[end] == marker:
            end += 1
        before = _kind(self.src[start - 1] if start else " ")
        after = _kind(self.src[end] if end < self.posMax else " ")
        left = after != "space" and (after != "mark" or before != "letter")
        right = before != "space" and (before != "mark" or after != "letter")
        marks = {"mark", "cjk mark"}
        return Scanned(
            left and (canSplitWord or not right or before in marks),
            right and (canSplitWord or not left or after in marks),
            end - start,
        )


class _Inline(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def _kind(char: str) -> str:
    """Tell space, mark, letter, cjk and cjk mark apart: that decides whether a delimiter beside it opens or closes."""
    category = unicodedata.category(char)
    if category == "Zs" or char in "\t\n\x0b\x0c\r":
        return "space"
    mark = category[0] in "PS"
    if unicodedata.east_asian_width(char) in "WFH" and category != "So":  # So: emoji are wide, but not CJK
        return "cjk mark" if mark else "cjk"
    return "mark" if mark else "letter"


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    """Note that a link definition may go on, in its label or title, until a blank line comes."""
    if state.level == 0 and state.src.startswith("[", state.bMarks[start] + state.tShift[start]):
        if start >= state.env.get(_BLANK, 0):
            state.env[_BLANK] = next((line for line in range(start, end) if state.isEmpty(line)), end)
        if state.env[_BLANK] == end:
            mathematics.undecided(state, start, end)
    return reference(state, start, end, silent)


def _bracketed(rule: RuleFuncInlineType) -> RuleFuncInlineType:
    """Skip what cannot match, which the rule itself would find out only by trying every way of nesting."""

    def guarded(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
        can = state.src[state.pos] in "[!" and state.src.find("]", state.pos, state.posMax) >= 0
        return can and rule(state, silent)

    return guarded


def _bare_link(state: StateInline, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    if silent or state.linkLevel or state.src[state.pos] != ":":
        return False
    scheme = _SCHEME.search(state.pending[-7:])
    if scheme is None:
        return False
    rule = _MAIL if scheme[0].lower() == "mailto" else _WEB
    found = rule.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    rest = _trimmed(found[0])
    state.pending = state.pending[: -len(scheme[0])]
    _push_link(state, scheme[0] + rest)
    state.pos += len(rest)
    return True


def _push_link(state: StateInline, address: str) -> None:
    state.push("link_open", "a", 1).attrs = {"href": state.md.normalizeLink(address)}
    state.push("text", "", 0).content = address
    state.push("link_close", "a", -1)


def _trimmed(address: str) -> str:
    """Cut off the full stop, the bracket and the like that belong to the sentence around it."""
    surplus = address.count(")") - address.count("(")
    while address[-1] in "?!.,:;'_~&" or (address[-1] == ")" and surplus > 0):
        surplus -= address[-1] == ")"
        address = address[:-1]
    return address


def _tasks(state: StateCore) -> None:
    """Make the box of `- [x] done` a token of its own, and mark the item so that it loses its bullet."""
    tokens = state.tokens
    for item, paragraph, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if item.type != "list_item_open" or paragraph.type != "paragraph_open":
            continue
        if box := _TASK.match(inline.content):
            item.attrSet("class", "kimi-task")
            inline.content = inline.content[box.end() :]
            mark = Token("text", "", 0, content=_BOXES[box[1]] + " ")
            inline.children = [mark]


def _links(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = _safe_links(token.children)


def _safe_links(tokens: Sequence[Token]) -> list[Token]:
    safe: list[Token] = []
    open_links: list[Token] = []
    for token in tokens:
        match token.type:
            case "link_open":
                _disarm(token)
                open_links.append(token)
            case "link_close":
                token.tag = open_links.pop().tag
            case "image":
                safe += _image(token, inside=bool(open_links))
                continue
        safe.append(token)
    return safe


def _disarm(opening: Token) -> None:
    """Make a relative link text: it would lead into the notebook server's own pages and API. Its title shows where."""
    href = str(opening.attrs.get("href", ""))
    if not _ALIVE.match(href):
        opening.tag, opening.attrs = "span", {"class": "kimi-link", "title": href}


def _image(token: Token, *, inside: bool) -> list[Token]:
    """Make an image a link with its text and host: loading it would tell its server that, and what, one reads."""
    address = str(token.attrs.get("src", ""))
    host = _HOST.match(address)
    alt = "".join(child.content for child in token.children or ()) or "image"
    text = Token("text", "", 0, content=f"🖼 {alt} ({host[1]})" if host else f"🖼 {alt}")
    if inside:
        return [text]
    opening = Token("link_open", "a", 1, attrs={"href": address})
    _disarm(opening)
    return [opening, text, Token("link_close", opening.tag, -1)]


def _text(_: RendererHTML, tokens: Sequence[Token], at: int, *__: Any) -> str:
    return mathematics.protect(escape(tokens[at].content))


def _cell(_: RendererHTML, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """Say "left" too: JupyterLab aligns the cells of an output right, and drops style sheets from untrusted ones."""
    token = tokens[at]
    return f'<{token.tag} style="{token.attrs.get("style", "text-align:left")}">'


def _fence(_: RendererHTML, tokens: Sequence[Token], at: int, __: Any, env: Any) -> str:
    token = tokens[at]
    growing = LIVE in env and not _closed(token)
    if token.info.strip() == "math" and token.content.strip() and not growing:
        return mathematics.block_html(token.content.strip())
    colour = highlight.highlight_open if growing else highlight.highlight
    return _pre(colour(token.content, token.info))


def _closed(fence: Token) -> bool:
    """Whether its closing line has come: two lines more than its content has."""
    first, last = fence.map or (0, 0)
    return last - first == len(fence.content.removesuffix("\n").split("\n")) + 2 - (not fence.content)


def _pre(html: str) -> str:
    guard = "<span></span>" if html.startswith("\n") else ""  # HTML drops a newline that follows <pre>
    return f'<div class="highlight"><pre>{guard}{html}</pre></div>\n'


_RENDER = {
    "text": _text,
    "fence": _fence,
    "code_block": lambda _, tokens, at, *__: _pre(escape(tokens[at].content, quote=False)),
    "math_inline": lambda _, tokens, at, *__: mathematics.inline_html(tokens[at]),
    "math_block": lambda _, tokens, at, *__: mathematics.block_html(tokens[at].content),
    "th_open": _cell,
    "td_open": _cell,
    "table_open": lambda *_: '<div class="kimi-table"><table>\n',
    "table_close": lambda *_: "</table></div>\n",
}
