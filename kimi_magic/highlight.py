"""Code → HTML with the few token classes that JupyterLab, nbconvert and our own stylesheet colour.

Pygments knows some eighty token types; a reader sees about a dozen colours. Each type becomes its family and neighbours
of one family share one element, which makes the HTML that a notebook saves smaller. Lexers are imported on first use.
"""

import functools
import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

LONGEST_CODE = 50_000
"""Characters; longer code stays plain. Lexers are regular expressions, and some are slow on what no one would write."""

# Measured: 20,000 hostile characters in at most a second. Others, Java and C# among them, may take the square of that.
# fmt: off
_QUICK = frozenset({
    "bash", "c", "console", "cpp", "css", "diff", "docker", "go", "haskell", "html", "ini", "javascript", "json",
    "julia", "kotlin", "lua", "markdown", "matlab", "mysql", "perl", "php", "postgresql", "pycon", "python",
    "ruby", "rust", "scala", "scss", "splus", "sql", "swift", "tex", "toml", "typescript", "xml", "yaml",
})
# fmt: on
_PIECE = 2_000  # characters; other languages are coloured in such pieces, cut between paragraphs

LONGEST_LINE = 2_000
"""Characters; code with a longer line (minified, hostile) stays plain."""

_FAMILIES = {
    "Comment.Preproc": "k",
    "Comment": "c",
    "Keyword.Constant": "kc",
    "Keyword": "k",
    "Operator.Word": "ow",
    "Operator": "o",
    "Literal.String": "s",
    "Literal.Number": "m",
    "Name.Function": "nf",
    "Name.Class": "nf",
    "Name.Builtin": "nb",
    "Name.Decorator": "nd",
    "Name.Tag": "nt",
    "Name.Attribute": "na",
    "Generic.Deleted": "gd",
    "Generic.Inserted": "gi",
    "Generic.Heading": "gh",
    "Generic.Subheading": "gh",
    "Generic.Prompt": "gp",
}
CLASSES = frozenset(_FAMILIES.values())
"""Every class name that highlighted code can carry."""

_RULES = (  # selector, JupyterLab's colour, VS Code's, and for other pages one on light and one on dark
    (":is(.k,.ow)", "keyword", "debugTokenExpression-name", "#6f42c1,#d2a8ff"),
    (".s", "string", "debugTokenExpression-string", "#0a5c36,#a5d6a7"),
    (":is(.m,.kc)", "number", "debugTokenExpression-number", "#0550ae,#79c0ff"),
    (".c", "comment", "descriptionForeground", "#57606a,#9da7b3"),
    (".nf", "def", "symbolIcon-functionForeground", "#953800,#ffa657"),
    (":is(.nb,.nd)", "builtin", "debugTokenExpression-boolean", "#0b6285,#7ee0e0"),
    (":is(.nt,.na)", "attribute", "debugTokenExpression-name", "#0550ae,#79c0ff"),
    (".gd", "string", "errorForeground", "#b31d28,#ff9a93"),
    (".gi", "keyword", "debugTokenExpression-number", "#116329,#7ee787"),
)
STYLE = "".join(
    f".kimi {selector}{{color:var(--jp-mirror-editor-{lab}-color,var(--vscode-{code},light-dark({pair})))}}\n"
    for selector, lab, code, pair in _RULES
)
"""Colours of highlighted code inside an element of class `kimi`: the page's theme's, where it is a notebook."""

_ALSO = {"ipython": "python", "ipython3": "python", "jupyter": "python", "jsonc": "json", "jsonl": "json"}
_NAME = re.compile(r"\{?\.?([\w+#-]+)")  # of "python", "{.python}", "python:main.py", 'python title="x"'
_LIVE = 2_000  # characters of an unfinished block that are coloured afresh each time
_STEP = 1.25


def highlight(code: str, info: str) -> str:
    """Make HTML for the inside of `<pre>`; `info` is the fence's info string. Unknown languages are only escaped."""
    name = _NAME.match(info.strip())
    if name is None or len(code) > LONGEST_CODE or max(map(len, code.split("\n"))) > LONGEST_LINE:
        return escape(code, quote=False)
    return _coloured(code, name[1].lower())


def highlight_open(code: str, info: str) -> str:
    """Do so for a block that still grows: what is coloured grows in steps of a quarter, so that the sum is linear."""
    size = _LIVE
    if len(code) <= size:
        return highlight(code, info)
    while size * _STEP <= len(code):
        size = int(size * _STEP)
    cut = code.rfind("\n", 0, size) + 1
    return highlight(code[:cut], info) + escape(code[cut:], quote=False)


@functools.lru_cache(maxsize=64)
def _coloured(code: str, name: str) -> str:
    lexer = _lexer(name) if code.strip() else None  # a half-streamed "```pyt" has no code yet: look nothing up
    if lexer is None:
        return escape(code, quote=False)
    try:
        return "".join(_spans(lexer, piece) for piece in _pieces(code, quick=lexer.aliases[0] in _QUICK))
    except Exception:  # noqa: BLE001  # some of the 500 lexers has a bug; it must not cost the reply
        return escape(code, quote=False)


def _pieces(code: str, *, quick: bool) -> Iterator[str]:
    while not quick and len(code) > _PIECE:
        cut = code.rfind("\n\n", 1, _PIECE) + 1 or code.rfind("\n", 0, _PIECE) + 1 or _PIECE
        yield code[:cut]
        code = code[cut:]
    yield code


def _spans(lexer: "Lexer", code: str) -> str:
    html: list[str] = []
    run: list[str] = []
    current = ""
    for kind, text in lexer.get_tokens(code):
        family = _family(kind)
        if family != current and not (text.isspace() and current):
            html.append(_span("".join(run), current))
            run, current = [], family
        run.append(text)
    html.append(_span("".join(run), current))
    return "".join(html)


def _span(text: str, family: str) -> str:
    text = escape(text, quote=False)
    return f'<span class="{family}">{text}</span>' if family and text else text


@functools.cache
def _family(kind: "_TokenType") -> str:
    for length in range(len(kind), 0, -1):
        if family := _FAMILIES.get(".".join(kind[:length])):
            return family
    return ""


@functools.lru_cache(maxsize=256)
def _lexer(name: str) -> "Lexer | None":
    from pygments.lexers import get_lexer_by_name  # first use

    name = _ALSO.get(name, name)
    if name not in _names():
        return None
    return get_lexer_by_name(name, stripnl=False, ensurenl=False)


@functools.cache
def _names() -> frozenset[str]:
    """List what Pygments calls its lexers: asking `get_lexer_by_name` for another name scans all installed packages."""
    from pygments.lexers import get_all_lexers  # first use

    return frozenset(alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases)
