"""Model Markdown → safe HTML, block by block.

A reply grows at its end. So each top-level block that no later text can change is rendered once and frozen, and only
the rest is parsed again: the sum is linear, and the result is the same, character by character, as that of rendering
the whole. What can still change is known exactly: the last block, an unfinished line, a construct that looks ahead for
its end (`$$`, a link definition), and a link whose definition comes late.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import nh3
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from kimi_magic import dialect, highlight, mathematics

STYLE = (
    """\
.kimi{overflow-wrap:break-word}
.kimi .kimi-table{overflow-x:auto;margin:0 0 1em}
.kimi .kimi-table table{margin:0;border-collapse:collapse}
.kimi .kimi-table :is(th,td){padding:.35em .75em;max-width:32em}
.kimi .kimi-table th{border-bottom:1px solid var(--jp-border-color1,#8886)}
.kimi .kimi-task{list-style:none;margin-inline-start:-1.2em}
.kimi .kimi-task>:is(ol,ul){margin-inline-start:1.2em}
.kimi .highlight,.kimi div.kimi-math{margin:0 0 1em}
.kimi .highlight pre{margin:0;padding:.6em .8em;overflow-x:auto;white-space:pre;word-break:normal;\
font:var(--jp-code-font-size,.93em)/1.45 var(--jp-code-font-family,var(--vscode-editor-font-family,monospace));\
background:var(--jp-cell-editor-background,var(--vscode-textCodeBlock-background,light-dark(#f6f8fa,#1c2128)))}
.kimi .gh{font-weight:bold}
.kimi div.kimi-math{overflow:auto hidden}
.kimi div.kimi-math>mjx-container{margin:.3em 0!important}
.kimi .kimi-link{text-decoration:underline dotted}
.kimi blockquote{margin:1em 0;padding-inline-start:1em;border-inline-start:4px solid var(--jp-border-color2,#8886)}
"""
    + highlight.STYLE
)
"""Style sheet for these blocks inside an element of class `kimi`: the text of a `<style>`, about 2 kB."""

_NEWLINE = re.compile(r"\r\n?|\n")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a reply: one top-level block with the blank lines after it, or the rest."""

    source: str
    """Its Markdown, exactly the characters that were fed."""
    html: str
    """Safe HTML of it: complete elements, no script, nothing remote, links that open elsewhere."""


def to_html(source: str) -> str:
    """Render a whole document as safe HTML. Takes any text and raises nothing."""
    parsed = _parse(source, _References())
    return "".join(_render(group.tokens, parsed.references) for group in parsed.groups)


def clean(html: str) -> str:
    """Make HTML that a model wrote safe: structure and text stay; styles, scripts, images and relative links go."""
    return _html_cleaner().clean(html)


def code_blocks(source: str) -> list[tuple[str, str]]:
    """Find the fenced code of a document, also inside lists and quotes: (language in lower case or "", the code)."""
    tokens: list[Token] = []
    md = _parser()
    md.block.parse(_normal(source), md, {}, tokens)
    return [(token.info.strip().partition(" ")[0].lower(), token.content) for token in tokens if token.type == "fence"]


class Document:
    """A reply while it comes: `feed` each delta, now and then `advance`, and at the end `html`.

    The sources of all frozen blocks and of the tail, joined, are what was fed. Not thread-safe.
    """

    def __init__(self) -> None:
        self._fresh: list[str] = []
        self._frozen: list[_Frozen] = []
        self._missed: set[str] = set()
        self._settled = _References()
        self._rest = _parse("", self._settled)

    def feed(self, text: str) -> None:
        """Take the next text. Parses nothing."""
        self._fresh.append(text)

    def advance(self) -> list[Block]:
        """Freeze and return the blocks that have become final, in order; what was returned is not returned again."""
        rest = self._parsed()
        final = rest.groups[: rest.final]
        if not final:
            return []
        cut = rest.groups[rest.final].line
        self._settled.update((k, v) for k, v in rest.references.items() if k not in self._settled and v["map"][0] < cut)
        frozen = [self._freeze(group) for group in final]
        self._frozen += frozen
        self._rest = rest.after(rest.final)
        return [each.block for each in frozen]

    def tail(self) -> Block:
        """Render the rest as it stands; a code block that still grows may not be coloured to its end."""
        rest = self._parsed()
        html = "".join(_render(group.tokens, rest.references, live=True) for group in rest.groups)
        return Block(rest.source, html)

    def html(self) -> str:
        """Return the whole, equal to `to_html` of all that was fed."""
        rest = self._parsed()
        frozen = "".join(self._now(each) for each in self._frozen)
        return frozen + "".join(_render(group.tokens, rest.references) for group in rest.groups)

    @property
    def restated(self) -> bool:
        """Whether a late link definition changes blocks that were frozen without it. `html` is right all the same."""
        if self._missed.isdisjoint(self._parsed().references):
            return False
        return any(self._now(each) != each.block.html for each in self._frozen)

    def _parsed(self) -> "_Parsed":
        if self._fresh:
            self._rest = _parse(self._rest.source + "".join(self._fresh), self._settled)
            self._fresh.clear()
        return self._rest

    def _freeze(self, group: "_Group") -> "_Frozen":
        references = _References(self._settled)
        html = _render(group.tokens, references)
        self._missed |= references.missed
        return _Frozen(Block(group.source, html), frozenset(references.missed))

    def _now(self, frozen: "_Frozen") -> str:
        references = self._parsed().references
        if frozen.missed.isdisjoint(references):
            return frozen.block.html
        groups = _parse(frozen.block.source, references).groups
        return "".join(_render(group.tokens, references) for group in groups)


class _References(dict[str, Any]):
    """Link definitions by label, as markdown-it keeps them, that remember which labels were asked for in vain."""

    def __init__(self, known: dict[str, Any] | None = None) -> None:
        super().__init__(known or {})
        self.missed: set[str] = set()

    def get(self, label: str, default: Any = None) -> Any:
        if label not in self:
            self.missed.add(label)
        return super().get(label, default)


@dataclass(frozen=True, slots=True)
class _Group:
    """The tokens of one top-level block; `line` is where it starts."""

    source: str
    line: int
    tokens: list[Token]


@dataclass(frozen=True, slots=True)
class _Parsed:
    source: str
    groups: list[_Group]
    final: int
    """How many groups no further text can change."""
    references: _References

    def after(self, count: int) -> "_Parsed":
        groups = self.groups[count:]
        return _Parsed("".join(group.source for group in groups), groups, 0, self.references)


@dataclass(frozen=True, slots=True)
class _Frozen:
    block: Block
    missed: frozenset[str]


_parser = functools.cache(dialect.parser)  # holds no state of a document


def _parse(source: str, known: _References) -> _Parsed:
    """Find the blocks of `source` and its definitions, beside those `known` from earlier text; not what is inside."""
    env: dict[str, Any] = {"references": _References(known)}
    tokens: list[Token] = []
    md = _parser()
    md.block.parse(_normal(source), md, env, tokens)
    lines = [0, *(newline.end() for newline in _NEWLINE.finditer(source))]
    groups = list(_groups(source, lines, tokens))
    return _Parsed(source, groups, _final(source, lines, groups, env), env["references"])


def _groups(source: str, lines: list[int], tokens: list[Token]) -> Iterator[_Group]:
    tops = [i for i, token in enumerate(tokens) if token.level == 0 and token.nesting >= 0]
    starts = [(tokens[i].map or [0])[0] for i in tops]
    offsets = [0, *(lines[line] for line in starts[1:]), len(source)]
    for n, i in enumerate(tops):
        end = tops[n + 1] if n + 1 < len(tops) else len(tokens)
        yield _Group(source[offsets[n] : offsets[n + 1]], starts[n], tokens[i:end])


def _final(source: str, lines: list[int], groups: list[_Group], env: dict[str, Any]) -> int:
    """Count the blocks before the last one that starts on a complete line, and before what waits for its end."""
    complete = len(lines) - 1 - source.endswith("\r")  # the other half of "\r\n" may be on its way
    limit = min(complete - 1, env.get(mathematics.UNDECIDED, complete))
    return max((n for n, group in enumerate(groups) if group.line <= limit), default=0)


def _normal(source: str) -> str:
    """Keep one kind of newline, and no character that cannot stand in HTML or UTF-8."""
    text = _NEWLINE.sub("\n", source).replace("\0", "\ufffd")
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _render(tokens: list[Token], references: _References, *, live: bool = False) -> str:
    md = _parser()
    env: dict[str, Any] = {"references": references} | ({dialect.LIVE: True} if live else {})
    fresh = [replace(token, children=[]) if token.type == "inline" else token for token in tokens]  # may come again
    state = StateCore("", md, env, fresh)
    md.core.process(state)
    return _cleaner().clean(md.renderer.render(state.tokens, md.options, env))


@functools.cache
def _cleaner() -> nh3.Cleaner:
    """Build the second lock: markdown-it made this HTML itself, and no fault in it may reach the page."""
    inline = {"a", "br", "code", "em", "s", "span", "strong"}
    blocks = {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
    spans = highlight.CLASSES | mathematics.CLASSES | dialect.CLASSES
    return nh3.Cleaner(
        tags=inline | blocks | {"table", "thead", "tbody", "tr", "th", "td"},
        clean_content_tags=set(),
        attributes={"a": {"href", "title"}, "span": {"title"}, "ol": {"start"}, "th": {"style"}, "td": {"style"}},
        allowed_classes={"span": spans, "div": spans, "li": {"kimi-task"}},
        filter_style_properties={"text-align"},
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


@functools.cache
def _html_cleaner() -> nh3.Cleaner:
    """Build the only lock for HTML that comes from the model itself: no image, class, id or style passes it."""
    return nh3.Cleaner(
        tags=nh3.ALLOWED_TAGS - {"img", "map", "area"},
        attributes={
            "a": {"href", "title"},
            "ol": {"start"},
            "th": {"colspan", "rowspan"},
            "td": {"colspan", "rowspan"},
        },
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
