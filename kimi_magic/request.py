"""What is said so far, and the settings → the request that is sent, its limit clamped to what fits the model."""

from __future__ import annotations

from dataclasses import replace

from kimi_magic import models
from kimi_magic.calls import Outcome
from kimi_magic.context.description import shortened
from kimi_magic.conversation import Turn
from kimi_magic.errors import CommandError, TooLarge
from kimi_magic.messages import Message, Text
from kimi_magic.models import Model
from kimi_magic.sent import Item, Sent
from kimi_magic.settings import Settings
from kimi_magic.wire import Form, Function, Request

__all__ = ["fitted", "left", "request", "sent"]

_LEAST_OUTPUT = 256
_OUTPUT_BESIDE_PICTURES = 4_096
"""A reply's limit where pictures might fill the window, if the service counts them in the dearest way."""


def request(
    messages: tuple[Message, ...],
    settings: Settings,
    model: Model,
    functions: tuple[Function, ...] = (),
    form: Form | None = None,
    *,
    final: bool = False,
) -> Request:
    """Put a request together. Raises CommandError for what cannot be sent, TooLarge for what cannot fit."""
    if settings.effort == "off" and model.thinking == "always":
        raise CommandError(f"{model.id} always thinks.", hint="Ask with --effort low, or choose another model.")
    if model.vision is False and any(message.images for message in messages):
        raise CommandError(
            f"{'The local model' if model.id == models.LOCAL else model.id} does not see pictures, and this holds one.",
            hint="Ask one that does (-m k2.6), or leave pictures out: --detail none; --new leaves earlier ones behind.",
        )
    try:
        "\n".join(message.text for message in messages).encode()
    except UnicodeEncodeError:
        raise CommandError(
            "The question holds half of a character (a lone surrogate), which cannot be sent.",
            hint="It comes from text decoded with errors='surrogateescape' or cut in the middle of an emoji.",
        ) from None
    return Request(
        model.id,
        messages,
        _max_tokens((*messages, *map(_declared, functions)), settings.max_tokens, model),
        settings.temperature,
        settings.top_p,
        settings.effort,
        functions,
        final,
        form,
    )


def _declared(function: Function) -> Message:
    """What a declaration takes of the window."""
    return Message.of("system", function.name + function.description + function.schema)


def _max_tokens(messages: tuple[Message, ...], wanted: int | None, model: Model) -> int:
    """Clamp the reply's limit: the service refuses a request whose input and limit together pass the window."""
    least, most = models.estimate_messages(messages)
    if least >= model.window:
        raise TooLarge(
            f"The conversation is about {least:,} tokens at least; {model.id} holds {model.window:,}.",
            hint="Begin a new conversation with --new, or shorten the question.",
        )
    pictures = any(message.images for message in messages)
    room = max(_OUTPUT_BESIDE_PICTURES if pictures else _LEAST_OUTPUT, model.window - most)
    return min(wanted or model.usual, model.output, room)


def left(
    messages: tuple[Message, ...],
    settings: Settings,
    model: Model,
    functions: tuple[Function, ...] = (),
    *,
    used: int = 0,
) -> int:
    """How many characters may still be said, with a quarter of the window kept for the reply; below 0 for none.

    What these messages take is estimated, unless the service has counted more (`used`, in tokens).
    """
    said = (*messages, *map(_declared, functions))
    likely = sum(models.tokens(part) for message in said for part in message.parts)
    reply = min(settings.max_tokens or model.usual, model.window // 4)
    return int((model.window - max(used, likely) - reply) * model.dense)


def fitted(outcomes: tuple[Outcome, ...], room: int) -> tuple[Outcome, ...]:
    """Shorten the results where they have more than so many characters together."""
    if sum(len(one.text) for one in outcomes) <= room:
        return outcomes
    longest = room // len(outcomes)
    return tuple(_shortened(one, longest) for one in outcomes)


def _shortened(outcome: Outcome, longest: int) -> Outcome:
    text = shortened(outcome.text, longest, what="characters left out")
    return replace(outcome, text=text, item=replace(outcome.item, parts=(Text(text), *outcome.parts)))


def sent(
    before: tuple[Turn, ...],
    opening: tuple[Message, ...],
    items: tuple[Item, ...],
    request: Request,
    endpoint: str,
    charged: bool,  # noqa: FBT001  # as Asking calls it
) -> Sent:
    """Tell what the first request of an ask holds, item by item."""
    question = opening[-1]
    return Sent(
        question,
        items or (Item("question", "question", question.parts),),
        tuple(message for turn in before for message in turn.messages),
        tuple(item for turn in before if turn.reply.sent for item in turn.reply.sent.items),
        opening[0].text if len(opening) > 1 else "",
        request.model,
        endpoint,
        charged,
        request.max_tokens,
    )
