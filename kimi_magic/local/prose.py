"""What the scripted engine says: an answer that knows its conversation, or Markdown of any length as a model writes it.

Everything here is a pure function of the messages, so the same notebook gives the same outputs on every machine.
"""

import json
import re
from collections.abc import Sequence
from html import unescape
from itertools import count
from typing import Any

from .engine import Json, text_of

TOKEN = 4
"""Characters per token: a usual rule of thumb, and here the exact truth."""

NAMED = re.compile(r"\bmy name is (\w+)", re.IGNORECASE)
ASKS_NAME = re.compile(r"\b(what(?:.s| is) my name|who am i)\b", re.IGNORECASE)
ASKS_CODE = re.compile(r"\b(function|code)\b", re.IGNORECASE)
CONTEXT = re.compile(r'<context name="([^"]*)">\n?(.*?)</context>\s*', re.DOTALL)
GREETING = re.compile(r"^\s*(hi|hello|hey|good (morning|evening|day))\b", re.IGNORECASE)

CODE = {
    "fibonacci": (
        "def fibonacci(n: int) -> int:\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a"
    ),
    "prime": "def is_prime(n: int) -> bool:\n    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))",
    "palindrome": "def is_palindrome(text: str) -> bool:\n    return text == text[::-1]",
    "mean": "def mean(values: list[float]) -> float:\n    return sum(values) / len(values)",
    "": "def add(a: float, b: float) -> float:\n    return a + b",
}

SENTENCES = (
    "The first thing to look at is the shape of the data, because every later step depends on it.",
    "A *small* change in the input may lead to a **large** change in the result; `numpy` makes that easy to see.",
    "Each row stands for one measurement, and each column for one quantity, with its unit in the name.",
    "Whenever the sample is small, the estimate is uncertain, and the interval says by how much.",
    "See [the documentation](https://example.org/guide) for the details, which matter less than the idea.",
    "In practice one starts with the simplest model, and asks whether anything better is worth its price.",
)
FENCE = "```python\ndef step_{n}(values):\n    total = sum(values)\n    return [v / total for v in values]\n```\n\n"
TABLE = "| name | mean | n |\n|:-----|-----:|--:|\n| a{n} | 0.25 | 12 |\n| b{n} | 1.75 | 48 |\n\n"
LIST = "- first, load the file\n- then check it:\n  1. no gaps\n  2. no duplicates\n- at last, plot **{n}** lines\n\n"
MATH = "The variance is $\\sigma^2 = {n}$, and therefore\n\n$$\\bar x \\pm 1.96 \\, \\frac{{\\sigma}}{{\\sqrt n}}$$\n\n"


def cut_tokens(text: str) -> list[str]:
    """Split into tokens, whose joint is the text again."""
    return [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]


def count_tokens(characters: int) -> int:
    """Return how many tokens so many characters are."""
    return -(-characters // TOKEN)


def markdown(tokens: int) -> str:
    """Return Markdown of exactly so many tokens; its last paragraph is cut to fit."""
    room = tokens * TOKEN
    blocks: list[str] = []
    for n in count(1):
        block = block_of(n)
        if len(block) > room:
            break
        blocks.append(block)
        room -= len(block)
    filler = " ".join(SENTENCES) + " "
    return "".join(blocks) + (filler * (room // len(filler) + 1))[:room]


def block_of(n: int) -> str:
    """Return the n-th block: paragraphs mostly, and between them all that a model likes to write."""
    first, second = SENTENCES[n % len(SENTENCES)], SENTENCES[(n * 2 + 1) % len(SENTENCES)]
    match n % 10:
        case 1:
            return f"## Part {n // 10 + 1}: what the numbers say\n\n"
        case 3:
            return LIST.format(n=n)
        case 5:
            return FENCE.format(n=n)
        case 7:
            return TABLE.format(n=n)
        case 9:
            return MATH.format(n=n)
        case _:
            return f"{first} {second}\n\n"


def reply_to(messages: Sequence[Json], body: Json) -> str:
    """Return an answer that shows what the engine knows of the conversation."""
    if (schema := wanted_schema(body)) is not None:
        return json.dumps(example(schema), ensure_ascii=False)
    questions = [text_of(message) for message in messages if message["role"] == "user"] or [""]
    question = questions[-1]
    names = [found.group(1) for text in questions if (found := NAMED.search(text))]
    if ASKS_NAME.search(question):
        return f"Your name is **{names[-1]}**." if names else "You have not told me your name yet."
    if ASKS_CODE.search(question):
        return code_for(question)
    if names and NAMED.search(question):
        return f"Hello **{names[-1]}**, nice to meet you. What shall we look at?"
    if GREETING.search(question):
        return "Hello! I am the *scripted* model: quick, free, and always of the same opinion."
    facts = [f"questions before this one: {len(questions) - 1}", *seen(messages[-1]), "words: **scripted**"]
    return f"You asked: {first_line(CONTEXT.sub(' ', question))}\n\n" + "\n".join(f"- {fact}" for fact in facts)


def seen(message: Json) -> list[str]:
    """Return what came with a question, in words."""
    facts = [f"saw {unescape(name)}: {len(text):,} characters" for name, text in CONTEXT.findall(text_of(message))]
    content = message.get("content")
    pictures = sum(part.get("type") == "image_url" for part in content) if isinstance(content, list) else 0
    return facts + ([f"pictures: {pictures}"] if pictures else [])


def first_line(text: str) -> str:
    """Return the first line with anything in it, in quotation marks, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"“{line[:80]}…”" if len(line) > 80 else f"“{line}”"  # noqa: PLR2004  # a line's width


def code_for(question: str) -> str:
    """Return one sentence and one function."""
    topic = next((topic for topic in CODE if topic and topic in question.lower()), "")
    return f"Here is a small function for that.\n\n```python\n{CODE[topic]}\n```\n"


QUOTED = re.compile(r"[\"“]([^\"”]+)[\"”]")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")


def calls_for(question: str, tools: Sequence[Json]) -> list[tuple[str, str]]:
    """Return the calls of the tools that a question names in backticks, with what it quotes and counts as arguments."""
    question = CONTEXT.sub(" ", question)
    declared = [tool.get("function", {}) for tool in tools]
    return [
        (one["name"], json.dumps(arguments(one.get("parameters", {}), question), ensure_ascii=False))
        for one in declared
        if f"`{one.get('name')}`" in question
    ]


def arguments(schema: Json, question: str) -> Json:
    """Return the arguments that the question gives: texts in quotation marks, and numbers, each in its order."""
    texts, numbers = iter(QUOTED.findall(question)), iter(NUMBER.findall(question))
    given = {}
    for name, part in schema.get("properties", {}).items():
        plain = resolved(part, schema)
        kind = plain.get("type")
        found = None
        if not plain.get("enum"):
            found = (
                next(texts, None)
                if kind == "string"
                else next(numbers, None)
                if kind in ("integer", "number")
                else None
            )
        if found is not None:
            given[name] = found if kind == "string" else json.loads(found)
        elif name in schema.get("required", ()):
            given[name] = example(part, schema)
    return given


PLAIN = {"string": "text", "boolean": True, "null": None}


def wanted_schema(body: Json) -> Json | None:
    """Return the JSON Schema that the reply has to follow, wrapped or bare, if there is one."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_object", "json_schema"):
        return None
    given = wanted.get("json_schema", {})
    schema = given.get("schema", given) if isinstance(given, dict) else {}
    return schema if isinstance(schema, dict) else {}


def example(schema: Json, root: Json | None = None) -> Any:
    """Return the plainest value that the schema allows."""
    root = schema if root is None else root
    schema = resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: example(part, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}), root)]
    return PLAIN.get(kind, schema.get("minimum", 1))


def resolved(schema: Json, root: Json) -> Json:
    """Follow references, and take the first of several choices."""
    if "$ref" in schema:
        return resolved(root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), root)
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    return resolved(choices[0], root) if choices else schema
