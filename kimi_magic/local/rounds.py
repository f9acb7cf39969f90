"""Which question is being answered, which round of it this is, and so which part of its script speaks."""

from dataclasses import replace
from itertools import pairwise

from .directives import Call, Script, parse
from .engine import Ask, Json, text_of
from .prose import calls_for


def questions(messages: list[Json]) -> list[int]:
    """Return where the questions are: user messages, but not the pictures that follow the results of tools."""
    return [
        at
        for at, message in enumerate(messages)
        if message["role"] == "user"
        and not (at and messages[at - 1]["role"] == "tool" and isinstance(message.get("content"), list))
    ]


def asked(messages: list[Json], before: int = 0) -> str:
    """Return the text of the last question, or of one before it; empty for none."""
    found = questions(messages)
    return text_of(messages[found[-1 - before]]) if len(found) > before else ""


def after_question(messages: list[Json]) -> list[Json]:
    """Return what came after the last question."""
    return messages[max(questions(messages), default=-1) + 1 :]


def parts(messages: list[Json], tools: list[Json] | None = None) -> tuple[Script, ...]:
    """Read the script of the last question, round by round. Raises ValueError for one that cannot be understood.

    A question without a script calls the tools that it names in `backticks`.
    """
    rounds = parse(asked(messages))
    if rounds == (Script(),) and (calls := calls_for(asked(messages), tools or [])):
        return (Script(calls=tuple(Call(name, arguments) for name, arguments in calls)),)
    if rounds == (Script(),) and (again := parse(asked(messages, 1))[-1].again) is not None:
        return (Script(said=(again,)),)
    return rounds


def now(rounds: tuple[Script, ...], ask: Ask) -> Script:
    """Return the part that speaks, its calls only where they are to be made now."""
    said = after_question(ask.messages)
    done = sum(one["role"] != "tool" and other["role"] == "tool" for one, other in pairwise(said))
    script: Script = rounds[min(done, len(rounds) - 1)]
    calling = (done < len(rounds) or script.forever) and ask.body.get("tool_choice") != "none"
    return script if calling else replace(script, calls=())
