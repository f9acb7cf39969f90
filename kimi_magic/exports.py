"""A conversation as a file that people keep: Markdown, Python, a notebook, or JSON lines that can be imported again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from kimi_magic import archive
from kimi_magic.command import conversation_name
from kimi_magic.conversation import Conversation, Turn
from kimi_magic.errors import CommandError
from kimi_magic.messages import Text

__all__ = ["FORMS", "read", "written"]


def written(conversation: Conversation, form: str) -> str:
    """Give the turns in use as a file of this form (see FORMS); all turns, for JSON lines."""
    return FORMS[form](conversation)


def _markdown(conversation: Conversation) -> str:
    blocks = [f"# {conversation.name}"]
    for turn in conversation.turns:
        blocks += [f"## {turn.number}. Question", _quoted(_question(turn)), "## Reply", turn.reply.text.rstrip()]
    return "\n\n".join(blocks) + "\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.rstrip().split("\n"))


def _question(turn: Turn) -> str:
    """A question as text; its pictures are named."""
    return "".join(part.text if isinstance(part, Text) else f"[{part!r}]" for part in turn.question.parts)


def _python(conversation: Conversation) -> str:
    """The code of the replies, each below its question as a comment."""
    blocks = [
        "\n".join([*(f"# {line}".rstrip() for line in _question(turn).rstrip().split("\n")), turn.reply.code])
        for turn in conversation.turns
        if turn.reply.code
    ]
    if not blocks:
        raise CommandError("No reply of this conversation holds code.", hint="Export it as .md, .ipynb or .jsonl.")
    return "\n\n\n".join(blocks) + "\n"


def _notebook(conversation: Conversation) -> str:
    cells: list[dict[str, Any]] = [_cell("load", "%load_ext kimi_magic", [])]
    for turn in conversation.turns:
        # What went along stands in the question as text already; nothing in it shall be looked up again.
        source = f"%%kimi --raw\n{_question(turn)}"
        data = {"text/html": turn.reply.html, "text/plain": turn.reply.text}
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
    turns: list[Turn] = []
    try:
        first, *rest = [json.loads(line) for line in text.splitlines() if line.strip()]
        turns.extend(map(_turn, rest))
        return _whole(first, turns, f"The first line of {source}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = f", line {len(turns) + 2}" if turns else ""
        raise CommandError(
            f"{source}{where} is no conversation that kimi_magic has exported ({type(error).__name__}).",
            hint="%kimi export FILE.jsonl writes one.",
        ) from None


def _turn(data: dict[str, Any]) -> Turn:
    pictures = {digest: base64.b64decode(text) for digest, text in data.get("pictures", {}).items()}
    return archive.turn_from(data, pictures.__getitem__)


def _whole(first: dict[str, Any], turns: list[Turn], source: str) -> Conversation:
    """Put a conversation together; raise ValueError where a turn hangs on none, or on a later one."""
    tree = {turn.number: turn for turn in turns}
    wrong = any(turn.parent and (turn.parent not in tree or turn.parent >= turn.number) for turn in turns)
    if first["kimi_magic"] != "conversation" or first["head"] not in {0, *tree} or wrong:
        raise ValueError(first)
    return Conversation(conversation_name(first["name"], source), tree=tree, head=int(first["head"]))
