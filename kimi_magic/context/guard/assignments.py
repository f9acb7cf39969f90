"""Credentials that are known by what they are assigned to: `password = "…"`, `api_key: …`, `SECRET=…`, `--token …`.

What a name promises decides how much the value must look like a secret. A password is anything that was written down
as one; a token or a key has to look drawn, because tokens and keys of other sorts are everywhere in code and data.
After the rule generic-api-key of gitleaks and the KeywordDetector of detect-secrets.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Literal

from kimi_magic.context.guard.rules import KEY, PASSWORD, Rule, looks_random, placeholder
from kimi_magic.context.guard.spans import MASK, Span

__all__ = ["RULES"]

Family = Literal["password", "secret", "key"]

_NAMES = {
    "pass": "pass(?:word|wd|phrase|code|wort)?s?",
    "pwd": "pwd",
    "secret": "secrets?",
    "credential": "credentials?",
    "token": "tokens?",
    "key": "key",
    "auth": "auth(?:orization)?",
}
_FAMILY: dict[str, Family] = {"pass": "password", "pwd": "password", "secret": "secret", "credential": "secret"}
_LABEL = {"password": PASSWORD, "secret": KEY, "key": KEY}

# Keys that are credentials; any other (primary, sort, foreign, cache, …) is not.
_SECRET_KEY = re.compile(
    r"(?:api|access|secret|private|auth|account|sign(?:ing)?|encrypt(?:ion)?|client|service|master|license|storage"
    r"|shared|admin|deploy|app|subscription|consumer|host|hmac|aes|jwt|ssh|ingest|write|read)[_. -]?$",
    re.IGNORECASE,
)

_SUFFIX = (
    r"(?:[_-]?(?:access[_-]?key|key|token|value|prod|dev|test|staging|live|hash|base64|hex|string|plain|\d{1,3})){0,4}+"
)
_CLOSERS = r"(?:\\{0,6}[\"'`]|[\])*]){0,4}"
_ANNOTATED = r":[ \t]*[A-Za-z][\w.|\[\] ]{0,40}="
_BETWEEN = rf"(?:[ \t*]{{0,20}}(?:{_ANNOTATED}|=>|:=|!=|==?|:)[ \t*]{{0,20}}|(?P<xml>>))"
_SCHEME = r"(?:(?:bearer|basic|token|apikey|bot)[ \t]+)?"
_QUOTE = r"[rbufRBUF]{0,2}(?P<quote>\\{0,6}(?:\"\"\"|'''|[\"'`]))"
_TYPED = (
    r"(?:(?:[A-Za-z]{0,40}str(?:ing)?|bytes|bytearray)(?:, [\d,]{1,12} characters)?[ \t]+)?"  # our own descriptions
)
_QUOTED = rf"{_TYPED}{_QUOTE}{_SCHEME}(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\\\n{MASK}])){{3,5000}})"
_BARE = rf"(?P<bare>(?:[^\s\"'`<>,;&()\[\]{{}}\\{MASK}]|\\(?![nrt\"'\\])){{1,1000}})"
_LINE = rf"(?P<line>(?:[^\s\"'`<>\\{MASK}]|\\(?![nrt\"'\\])){{1,1000}})"


def _pattern(name: str) -> re.Pattern[str]:
    value = rf"(?:{_QUOTED}|{_SCHEME}{_BARE})"
    return re.compile(rf"(?P<name>{name}{_SUFFIX}){_CLOSERS}{_BETWEEN}{value}", re.ASCII | re.IGNORECASE)


_PATTERNS = {keyword: _pattern(name) for keyword, name in _NAMES.items()}
_REST_OF_LINE = re.compile(_LINE, re.ASCII)
_ENVIRONMENT = re.compile(r"(?:^|[\n\r]|\\n)[ \t]*(?:export |set |declare -x |ENV |- )?[A-Z0-9_]*$")
_YAML = re.compile(r"(?:^|\n)[ \t]*(?:- )?[\"']?[\w.-]*$")
_LOOKBACK = 80

_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$", re.ASCII)
_ABOUT = re.compile(r"(?i)[a-z]*(?:[_.-][a-z]+)*$")
_SPEAKS_OF_ITSELF = re.compile(r"(?i)pass|secret|token|key|pwd|cred|config|setting|env|self\.|args\.")
_PROSE = re.compile(
    r"(?i)\b(?:the|is|are|a|an|your|must|be|and|or|of|to|for|enter|please|not|passwords?|required|field|invalid|wrong"
    r"|incorrect|has|been|with|in|at|least|this|that)\b"
)
_TYPES = frozenset(
    [
        "str",
        "string",
        "strings",
        "bytes",
        "text",
        "int",
        "integer",
        "float",
        "bool",
        "boolean",
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "any",
        "optional",
        "object",
        "varchar",
        "char",
        "secret",
        "secretstr",
        "password",
        "passwd",
        "passphrase",
        "token",
        "key",
        "hidden",
        "required",
        "missing",
        "unknown",
        "default",
        "empty",
        "redacted",
        "masked",
        "removed",
        "input",
        "getpass",
        "prompt",
        "function",
        "callable",
        "literal",
        "enum",
        "field",
        "column",
        "category",
        "yes",
        "no",
    ]
)
_SHORTEST = {"password": 4, "secret": 6, "key": 8}
_SHORTEST_BARE = 6


def _read(keyword: str, text: str, at: int) -> Span | None:
    found = _PATTERNS[keyword].match(text, at)
    if not found or not _promises(keyword, found, text[max(0, at - _LOOKBACK) : at]):
        return None
    family: Family = _FAMILY.get(keyword, "key")
    if found["quoted"] is not None:
        secret = _quoted(family, found["quoted"]) or _field(keyword, found, text[:at])
        return Span(*found.span("quoted"), _LABEL[family]) if secret else None
    return _bare(family, found, text)


def _promises(keyword: str, found: re.Match[str], before: str) -> bool:
    """Whether the whole name is that of a credential."""
    if found["xml"] and not (before + "<").endswith("<"):
        return False
    if keyword == "key":
        return bool(_SECRET_KEY.search(before))
    if keyword == "pwd":  # the working directory as well
        return not (found["quoted"] or found["bare"]).startswith(("/", "~"))
    if found["name"].lower() == "pass":
        return before.endswith(("_", "-", '"', "'")) or found["name"] == "PASS"
    return True


def _quoted(family: Family, value: str) -> bool:
    if len(value) < _SHORTEST[family] or placeholder(value) or value.lower() in _TYPES:
        return False
    if family == "key":
        return looks_random(value)
    if _ABOUT.match(value) and _SPEAKS_OF_ITSELF.search(value):  # password = "user_password", a field's name
        return False
    if " " in value and _PROSE.search(value):
        return False
    return family == "password" or looks_random(value) or _mixed(value)


_LETTERS = re.compile(r"[A-Za-z]{12,200}$")
_QUOTED_NAME = re.compile(r"[\"'][\w-]{0,40}$")
_WORDS = re.compile(
    r"(?i)your|example|placeholder|dummy|change|insert|enter|replace|sample|redact|hidden|identifier|literal|string"
    r"|number|keyword|operator|comment|white|newline|punct|expression|declaration|statement|comma|bracket|paren"
)


def _field(keyword: str, found: re.Match[str], before: str) -> bool:
    """Whether letters alone are a token or key: those of a field of its name, `"token": "…"`."""
    if keyword not in {"token", "key"} or found["name"].lower().endswith("s") or not _QUOTED_NAME.search(before[-50:]):
        return False
    value = found["quoted"]
    words = _WORDS.search(value) or _SPEAKS_OF_ITSELF.search(value)
    return bool(_LETTERS.match(value)) and not words and not placeholder(value)


def _mixed(value: str) -> bool:
    return " " not in value and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _bare(family: Family, found: re.Match[str], text: str) -> Span | None:
    """Read a value without quotes: in an environment, YAML, a URL's query; but not a piece of code."""
    start, end = found.span("bare")
    before = text[max(0, found.start() - _LOOKBACK) : found.start()]
    environment = found["name"].isupper() and text[start - 1] == "=" and bool(_ENVIRONMENT.search(before))
    whole = _REST_OF_LINE.match(text, start) if environment else None
    end = whole.end() if whole else end
    if family == "password" and not environment and (connection := _in_connection(text, start, before)):
        return connection if _told(text[start : connection.end]) else None
    if family == "password" and (more := _AND_MORE.match(text, end)):
        end = more.end()
    value = text[start:end] if environment else text[start:end].rstrip(".:!?")
    if len(value) < _SHORTEST_BARE or placeholder(value) or value.lower() in _TYPES:
        return None
    if not environment and _is_code(value, text[end : end + 1]):
        alone = text[start - 2] == ":" and _YAML.search(before) and text[end : end + 1] in {"", "\n"}
        if family != "password" or not alone or "." in value or _SPEAKS_OF_ITSELF.search(value):
            return None
    if family != "password" and not (looks_random(value) or (family == "secret" and _mixed(value))):
        return None
    return Span(start, start + len(value), _LABEL[family])


_AND_MORE = re.compile(rf"(?:&(?![\w.-]{{1,40}}=)[^\s&,;()\[\]\"'`<>\\{MASK}]{{1,200}}){{1,20}}")  # no query goes on
_AMONG_PAIRS = re.compile(r"(?:=[^=\n]{0,60};[ \t]*|[?&])[\w -]{0,30}$")  # Server=x;Password=…, ?user=x&password=…
_TO_SEMICOLON = re.compile(
    rf"(?:[^;\n\r\"'`<>\\{MASK}]{{1,200}}(?=;[ \t]*(?:[\w ]{{1,40}}=(?!=)|[\"'`\n\r)]|$))"
    rf"|[^;\s\"'`<>\\{MASK}]{{1,200}})"
)
_TO_AMPERSAND = re.compile(rf"[^&;\s\"'`<>\\{MASK}]{{1,200}}")
_NEXT_PAIR = re.compile(r";[ \t]*[\w ]{1,40}=(?!=)")


def _in_connection(text: str, start: int, before: str) -> Span | None:
    """Find the value of a password between `key=value;` pairs, or in a URL's query: all up to where the next begins."""
    if text[start - 1] != "=" or text[start - 2].isspace():
        return None
    pairs = _AMONG_PAIRS.search(before)
    found = (_TO_AMPERSAND if pairs and pairs[0][0] in "?&" else _TO_SEMICOLON).match(text, start)
    if not found or not (pairs or _NEXT_PAIR.match(text, found.end())):
        return None
    return Span(start, found.end(), PASSWORD)


def _told(value: str) -> bool:
    """Whether a value is no variable, call or placeholder, where code is unlikely: letters alone are a password."""
    if len(value) < _SHORTEST_BARE or placeholder(value) or value.lower() in _TYPES or _CALL.match(value):
        return False
    return not (_CODE.match(value) and ("." in value or _SPEAKS_OF_ITSELF.search(value)))


_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[]", re.ASCII)


def _is_code(value: str, after: str) -> bool:
    """Whether a value is a name, a call or the like: `password = password1` is code, `password = hunter2` is none."""
    if after in {"(", "["}:
        return True
    return bool(_CODE.match(value)) and (not any(c.isdigit() for c in value) or bool(_SPEAKS_OF_ITSELF.search(value)))


_OPTION = re.compile(
    r"--[\w-]{0,40}(?:(?P<password>pass(?:word|wd|phrase)=)"
    r"|(?:password|passwd|passphrase|secret|token|api-?key|access-?key)[ =])"
    rf"\\*[\"']?(?P<bare>[^\"'`<>\s\\{MASK}]{{4,500}})",
    re.ASCII | re.IGNORECASE,
)


def _option(text: str, at: int) -> Span | None:
    """Read `--password hunter2`."""
    found = _OPTION.match(text, at)
    value = found["bare"] if found else ""
    if not found or value.startswith("-") or placeholder(value) or value.lower() in _TYPES:
        return None
    if _is_code(value, "") and not (found["password"] and _told(value)):
        return None
    return Span(*found.span("bare"), PASSWORD)


_PAIR = re.compile(
    r"(?:auth(?!ors?\b)\w{0,20}[\"']?\s{0,9}[=:]\s{0,9}(?:(?:tuple|list)\b[^\[(\"'\n]{0,30})?|basic_?auth)[\[(]\s{0,20}"
    rf"(?P<q1>[\"'])[^\"'\n{MASK}]{{1,200}}(?P=q1),\s{{0,20}}"
    rf"(?P<q2>[\"'])(?P<quoted>(?:(?!(?P=q2))[^\n{MASK}]){{1,200}})(?P=q2),?\s{{0,20}}[\])]",
    re.ASCII | re.IGNORECASE,
)


def _pair(text: str, at: int) -> Span | None:
    """Read `auth=("ann", "hunter2")`."""
    found = _PAIR.match(text, at)
    return Span(*found.span("quoted"), PASSWORD) if found and _quoted("password", found["quoted"]) else None


RULES = [
    *(Rule(keyword, partial(_read, keyword)) for keyword in _NAMES),
    Rule("auth", _pair),
    Rule("basic", _pair),
    Rule("--", _option),
]
