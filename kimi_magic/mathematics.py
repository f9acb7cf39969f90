r"""TeX mathematics inside Markdown: found in every notation, handed to the page's typesetter, made harmless.

JupyterLab runs MathJax over each `text/html` output and looks for `$…$`, `\(…\)`, `\[…\]` and `\begin…` itself. So a
formula leaves here as `\(…\)` or `\[…\]`, and every other dollar or backslash of the prose is put into an element of
its own: MathJax pairs delimiters only within one run of text, and leaves the class `mathjax_ignore` alone.
"""

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

CLASSES = frozenset({"kimi-math", "mathjax_ignore", "tex2jax_ignore"})
"""Class names in the HTML made here: ours, and what MathJax 3 and 4, then MathJax 2 (nbconvert), never look into."""

UNDECIDED = "undecided"
"""Key of the parser's env: the first line whose meaning more text may still change."""

_LONGEST = 5_000  # characters of an inline formula; bounds the search for a delimiter that never comes
_ENVIRONMENTS = "align|alignat|aligned|array|cases|displaymath|eqnarray|equation|flalign|gather|gathered|multline|split"
_OPENER = re.compile(rf"\$\$|\\\[|\\begin\{{((?:{_ENVIRONMENTS}|[bBpvV]?matrix)\*?)\}}")
_DOLLAR = re.compile(
    r"\$(?![\s$])"  # "$ 5" opens nothing
    rf"((?:\\.|[^\\$`\n]){{1,{_LONGEST}}}+)"
    r"(?<!\s)\$(?![0-9A-Za-z$])"  # nor does "$5 and $10" or "$HOME/$USER" close
)
_LABEL = re.compile(r"\\label\s*\{[^{}]*\}")  # a formula is painted more than once; MathJax refuses a label it has seen
# Links, classes, ids, styles (`\bbox[background:url(…)]` fetches), code points, extensions, other formulas' macros:
# what a formula could do to the page beyond itself. Listed by MathJax's and KaTeX's names.
_POWERFUL = re.compile(
    r"\\(?:href|url|class|cssId|style|data|html[A-Za-z]*|bbox|unicode|char|includegraphics|mml[A-Za-z]*|require"
    r"|texttip|mathtip|toggle|(?:re)?newenvironment|(?:re)?newcommand|providecommand|[egx]?def|global|(?:future)?let"
    r"|Declare[A-Za-z]*|Newextarrow|definecolor|begingroup|csname|(?:eq)?ref)(?![A-Za-z])"
)
_TYPESET = re.compile(r"[$\\]+")


def install(md: "MarkdownIt") -> None:
    r"""Teach a parser `$x$`, `$$x$$`, `\(x\)`, `\[x\]` and bare `\begin{align}`; tokens `math_inline`, `math_block`."""
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    md.block.ruler.before("fence", "math_block", _block, {"alt": interrupts})
    md.inline.ruler.before("escape", "math_inline", _inline)


def protect(text: str) -> str:
    """Let no typesetter find a formula in escaped prose."""
    return _TYPESET.sub(r'<span class="mathjax_ignore tex2jax_ignore">\g<0></span>', text)


def inline_html(token: "Token") -> str:
    """Render a formula in a paragraph; as code where it holds a macro that reaches beyond itself."""
    display = token.markup in {"$$", "\\["}
    if _harmful(token.content, display=display):
        return f"<code>{escape(token.content)}</code>"
    return f'<span class="kimi-math">{_delimited(token.content, display=display)}</span>'


def block_html(tex: str) -> str:
    """Render a displayed formula, likewise."""
    if _harmful(tex, display=True):
        return f'<div class="highlight"><pre>{escape(tex)}</pre></div>\n'
    return f'<div class="kimi-math">{_delimited(tex, display=True)}</div>\n'


def _delimited(tex: str, *, display: bool) -> str:
    opener, closer = ("\\[", "\\]") if display else ("\\(", "\\)")
    return opener + escape(_LABEL.sub("", tex), quote=False) + closer


def _harmful(tex: str, *, display: bool) -> bool:
    if _POWERFUL.search(_LABEL.sub("", tex)):
        return True
    return _closing(tex, 0, len(tex), "\\]" if display else "\\)") >= 0


def _closing(src: str, begin: int, end: int, closer: str) -> int:
    r"""Find `closer`, unescaped, in src[begin:end], or -1: in `\\)` the parenthesis is not a delimiter."""
    at = src.find(closer, begin, end)
    while at >= 0 and (at - len(src[begin:at].rstrip("\\")) - begin) % 2:
        at = src.find(closer, at + 1, end)
    return at


def _inline(state: "StateInline", silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    found = _formula(state.src, state.pos, state.posMax)
    if found is None:
        return False
    markup, begin, end, after = found
    if not silent:
        token = state.push("math_inline", "", 0)
        token.markup = markup
        token.content = state.src[begin:end].strip()
    state.pos = after
    return True


def _formula(src: str, pos: int, end: int) -> tuple[str, int, int, int] | None:
    """Return delimiter, begin, end and the position after the formula that starts at `pos`."""
    markup = src[pos : pos + 2]
    closer = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}.get(markup)
    if closer is None:
        return _dollars(src, pos, end) if markup.startswith("$") else None
    at = _closing(src, pos + 2, min(end, pos + _LONGEST), closer)
    if at < 0 or not src[pos + 2 : at].strip():
        return None
    if closer == "\\]" and src.startswith("(", at + 2):  # an escaped link, `\[text\](address)`
        return None
    return markup, pos + 2, at, at + 2


def _dollars(src: str, pos: int, end: int) -> tuple[str, int, int, int] | None:
    if pos and (src[pos - 1] == "$" or (src[pos - 1].isascii() and src[pos - 1].isalnum())):  # US$5
        return None
    found = _DOLLAR.match(src, pos, end)
    if found is None or _prose(found[1]):
        return None
    return "$", found.start(1), found.end(1), found.end()


def _prose(text: str) -> bool:
    """Tell whether what stands between two dollars is words: "5 and 10" of `$5 and 10$`; or runs out of a link."""
    if "](" in text:
        return True
    if re.search(r"[\\^_={}]", text):
        return False
    if re.match(r"[\d.,]*\d", text):
        return bool(re.search(r"[A-Za-z]{2}|[^\x00-\x7f]", text))
    return len(re.findall(r"(?<!\S)[^\W\d_]{3,}(?!\S)", text)) > 1


def _block(state: "StateBlock", start: int, end: int, silent: bool) -> bool:  # noqa: FBT001  # markdown-it's signature
    begin = state.bMarks[start] + state.tShift[start]
    opener = _OPENER.match(state.src, begin, state.eMarks[start])
    if opener is None or state.is_code_block(start):
        return False
    closer = {"$$": "$$", "\\[": "\\]"}.get(opener[0], f"\\end{{{opener[1]}}}")
    last = _last_line(state, opener.end(), start, end, closer)
    if last is None:
        return False
    text = state.getLines(start, last + 1, state.sCount[start], keepLastLF=False).strip()
    tex = text if opener[1] else text[2:-2].strip()
    if not tex:
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.content, token.map = tex, [start, last + 1]
        state.line = last + 1
    return True


def _last_line(state: "StateBlock", begin: int, start: int, end: int, closer: str) -> int | None:
    """Find the line that ends with `closer`, before any blank line; note it where the text ends undecided."""
    looked = state.env.setdefault(f"{closer} {state.level} {state.blkIndent}", {})  # else many openers cost the square
    if start < looked.get("until", 0):
        return None
    for line in range(start, end):
        if line > start:
            begin = state.bMarks[line] + state.tShift[line]
            if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
                looked["until"] = line
                return None
        at = _closing(state.src, begin, state.eMarks[line], closer)
        if at >= 0:
            return None if state.src[at + len(closer) : state.eMarks[line]].strip() else line
    looked["until"] = end
    undecided(state, start, end)
    return None


def undecided(state: "StateBlock", line: int, end: int) -> None:
    """Note that what starts at `line` depends on text to come; not so where `end` is that of a finished quotation."""
    if end == len(state.bMarks) - 1:  # the last mark is a sentinel
        state.env[UNDECIDED] = min(line, state.env.get(UNDECIDED, line))
