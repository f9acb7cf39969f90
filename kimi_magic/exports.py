"""A conversation as a file that people keep: Markdown, Python, a notebook, or JSON lines that can be imported again."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kimi_magic import archive, card
from kimi_magic.calls import Round, plain_name
from kimi_magic.command import conversation_name
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError
from kimi_magic.messages import Text
from kimi_magic.typed import fits

__all__ = ["FORMS", "read", "written"]


def written(conversation: Conversation, form: str) -> str:
    """Give what the model sees of it as a file of this form (see FORMS); all turns and their states, for JSON lines."""
    return FORMS[form](conversation)


def _markdown(conversation: Conversation) -> str:
    blocks = [f"# {conversation.name}"]
    for turn in conversation.seen():
        rounds = [block for done in turn.reply.rounds for block in _round(done)]
        blocks += [f"## {turn.number}. Question", _quoted(_question(turn)), "## Reply", *rounds]
        blocks.append(turn.reply.text.rstrip())
    return "\n\n".join(blocks) + "\n"


def _round(done: Round) -> list[str]:
    """What the model said, called and was told before its reply."""
    said = [done.text.rstrip()] if done.text.strip() else []
    if not done.outcomes:
        return [*said, _quoted(done.told)]
    for one in done.outcomes:
        said.append(f"### Called {plain_name(one.call.name)}: {one.state}")
        said += [_verbatim(one.call.arguments, "json"), _verbatim(one.text, "text")]
        said += [f"[{part!r}]" for part in one.parts if not isinstance(part, Text)]
    return said


def _verbatim(text: str, language: str) -> str:
    """Fence a text with more backticks than it holds in a row."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.rstrip().split("\n"))


def _question(turn: Turn) -> str:
    """A question as text; its pictures are named."""
    return "".join(part.text if isinstance(part, Text) else f"[{part!r}]" for part in turn.question.parts)


def _python(conversation: Conversation) -> str:
    """The code of the replies, each below its question as a comment."""
    blocks = [
        "\n".join([*(f"# {line}".rstrip() for line in _question(turn).rstrip().split("\n")), turn.reply.code])
        for turn in conversation.seen()
        if turn.reply.code
    ]
    if not blocks:
        raise CommandError("No reply of this conversation holds code.", hint="Export it as .md, .ipynb or .jsonl.")
    return "\n\n\n".join(blocks) + "\n"


def _notebook(conversation: Conversation) -> str:
    cells: list[dict[str, Any]] = [_cell("load", "%load_ext kimi_magic", [])]
    for turn in conversation.seen():
        # What went along stands in the question as text already; nothing in it shall be looked up again.
        source = f"%%kimi --raw\n{_question(turn)}"
        calls = "".join(f"{card.plain(one.call, one)}\n" for one in turn.reply.calls)
        data = {"text/html": turn.reply.html, "text/plain": calls + turn.reply.text}
        output = {"output_type": "display_data", "data": data, "metadata": {}}
        cells.append(_cell(f"turn-{turn.number}", source, [output]))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _cell(id_: str, source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": id_,
        "metadata": {},
        "execution_count": None,
        "source": source,
        "outputs": outputs,
    }


def _lines(conversation: Conversation) -> str:
    return "".join(archive.lines(conversation))


FORMS: Mapping[str, Callable[[Conversation], str]] = {
    "md": _markdown,
    "py": _python,
    "ipynb": _notebook,
    "jsonl": _lines,
}


def read(text: str, source: str) -> Conversation:
    """Read JSON lines again; raise CommandError that names the line which is not what `written` makes."""
    at = 1
    try:
        # A text may hold U+2028 and the like, which end a line for str.splitlines and not in JSON.
        lines = [(at, line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
        first = json.loads(lines[0][1])
        conversation = _begun(first)
        for at, line in lines[1:]:  # noqa: B007  # it names the line of an error
            turn = _turn(json.loads(line), conversation.tree)
            conversation.tree[turn.number] = turn
        at = 1
        return _stood(conversation, first)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CommandError(
            f"{source}, line {at} is no conversation that kimi_magic has exported ({type(error).__name__}).",
            hint="%kimi export FILE.jsonl writes one.",
        ) from None


def _begun(first: dict[str, Any]) -> Conversation:
    if first["kimi_magic"] != "conversation" or first["version"] != 1 or not isinstance(first["name"], str):
        raise ValueError(first)
    return Conversation(conversation_name(first["name"], "The first line"))


def _turn(data: dict[str, Any], before: Mapping[int, Turn]) -> Turn:
    """Make a turn of a line; raise ValueError where a value is of another type, or where it hangs on no turn."""
    pictures = {digest: base64.b64decode(text) for digest, text in data.get("pictures", {}).items()}
    turn = archive.turn_from(data, pictures.__getitem__)
    roles = [message.role for message in turn.opening]
    images = (image for message in turn.opening for image in message.images)
    if (
        not fits(turn, Turn)
        or roles not in (["user"], ["system", "user"])
        or not all(re.fullmatch(r"image/[a-z.+-]+", image.media_type) for image in images)
        or turn.number in {0, *before}
        or not {turn.parent, turn.summarises} <= {0, *before}
    ):
        raise ValueError(data)
    return turn


def _stood(conversation: Conversation, first: dict[str, Any]) -> Conversation:
    head, dropped = first["head"], first.get("dropped", [])
    if not fits((head, *dropped), tuple[int, ...]) or not {head, *dropped} <= {0, *conversation.tree}:
        raise ValueError(first)
    return replace(conversation, head=head, dropped=frozenset(dropped))
