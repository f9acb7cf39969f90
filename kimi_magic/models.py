"""What is known of each model: window, output limit, price with its date, whether it thinks and sees.

A model that is not listed can be used all the same, under its full id; it gets cautious limits and no money figure.
Sources: Cloudflare's pricing and model pages (August to October 2026) and the catalogue entries of the proxied models.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kimi_magic.errors import UnknownModel
from kimi_magic.messages import Image, Message, Part, Usage

__all__ = [
    "DEFAULT",
    "IMAGE_TOKENS",
    "LOCAL",
    "MODELS",
    "NEURON_PRICE",
    "Model",
    "Price",
    "base64_size",
    "cost",
    "estimate",
    "estimate_messages",
    "known",
    "names",
    "resolve",
    "tokens",
]

IMAGE_TOKENS = 1_024
"""What Moonshot's own service counts for one image, whatever its size (its help page)."""

NEURON_PRICE = 0.011 / 1000
"""US dollars a neuron (Workers AI pricing page); 10,000 a day are free."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, as published on `date`."""

    input: float
    cached: float
    output: float
    date: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model's limits, in tokens, and what a request to it costs.

    `window` holds the request and the reply together, `output` is the most it writes in one reply (thinking included),
    `usual` what it is allowed where nothing else is set: the service's own default is not documented, so one is always
    sent.
    `thinking` is `always` where it cannot be switched off. `vision` is None where it is not known whether it sees.
    `dense` is how many characters of a table, mostly digits, it takes for one token at the least. `queue` says whether
    it takes batches, None where that can only be tried.
    """

    id: str
    window: int
    output: int
    price: Price | None = None
    thinking: Literal["never", "optional", "always"] = "optional"
    usual: int = 16_384
    note: str = ""
    vision: bool | None = None
    dense: float = 2.5
    queue: bool | None = None


LOCAL = "local"
DEFAULT = "@cf/moonshotai/kimi-k2.6"

_K26_PRICE = Price(0.95, 0.16, 4.00, "2026-09")

MODELS = {
    model.id: model
    for model in (
        Model(DEFAULT, 262_144, 256_000, _K26_PRICE, note="needs Workers Paid", vision=True, queue=True),
        Model(
            "@cf/moonshotai/kimi-k2.5",
            256_000,
            256_000,
            _K26_PRICE,
            note="an alias since 2026-05-30: Kimi K2.6 answers, at its price",
            vision=True,  # its page takes the queue back, K2.6 has it: whether the alias does is not known
        ),
        Model(
            "@cf/moonshotai/kimi-k2.7-code",
            262_144,
            256_000,
            Price(0.95, 0.19, 4.00, "2026-09"),
            thinking="always",
            note="needs Workers Paid",
            vision=True,
        ),
        Model("moonshotai/kimi-k2.5", 128_000, 8_192, note="proxied through AI Gateway", vision=True, queue=False),
        Model(
            "moonshotai/kimi-k3",
            1_048_576,
            1_048_576,
            Price(3.00, 0.30, 15.00, "2026-07"),
            note="proxied through AI Gateway",
            vision=True,
        ),
        Model(
            LOCAL,
            8_192,
            8_192,
            thinking="never",
            usual=2_048,
            note="the model on this machine",
            vision=False,
            dense=1.2,  # it takes each digit for a token
            queue=True,
        ),
    )
}

_SHORT = {
    "kimi": DEFAULT,
    "k2.5": "@cf/moonshotai/kimi-k2.5",
    "k2.6": DEFAULT,
    "k2.7": "@cf/moonshotai/kimi-k2.7-code",
    "k2.7-code": "@cf/moonshotai/kimi-k2.7-code",
    "k3": "moonshotai/kimi-k3",
} | {id_.rpartition("/")[2]: id_ for id_ in MODELS if id_.startswith("@cf/") or id_.endswith("k3")}


def resolve(name: str) -> str:
    """Give the full id of a short or full name; raise UnknownModel, naming the nearest, for what is neither.

    Anything with a slash is taken for a full id: a newer model needs no newer kimi_magic.
    """
    short = name.strip().lower()
    if short in _SHORT:
        return _SHORT[short]
    if name.strip() in MODELS or "/" in name.strip():
        return name.strip()
    import difflib

    near = difflib.get_close_matches(short, [*_SHORT, *MODELS], n=3, cutoff=0.5)
    raise UnknownModel(
        f"There is no model {name!r}.",
        hint=f"Did you mean {' or '.join(near)}?"
        if near
        else f"Known here: {', '.join(sorted(_SHORT))}; or a full id.",
    )


def known(model_id: str) -> Model:
    """Look a model up by its full id; one that is not listed gets a window of 128,000 and 8,192 tokens of output."""
    return MODELS.get(model_id) or Model(model_id, 128_000, 8_192)


def names() -> tuple[str, ...]:
    """All short names and full ids, for completion."""
    return tuple(sorted({*_SHORT, *MODELS}))


def estimate(text: str) -> tuple[int, int]:
    """Estimate the tokens of a text: (at least, at most).

    UTF-8 bytes ÷ 6 and ÷ 3: English runs at about 4 bytes a token, code at 3 to 4, Chinese at 3 to 5.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    return size // 6, size // 3 + 1


def estimate_messages(messages: Iterable[Message]) -> tuple[int, int]:
    """Estimate the tokens of messages: (at least, at most).

    An image counts at least as Moonshot's own service bills it, and at most as the letters of its base64: for other
    models Workers AI counts it so, for Kimi that is not documented.
    """
    least = most = 0
    for message in messages:
        for part in message.parts:
            one, other = estimate(part.text) if not isinstance(part, Image) else (IMAGE_TOKENS, base64_size(part) // 4)
            least, most = least + one, most + max(one, other)
    return least, most


def base64_size(image: Image) -> int:
    """Bytes of a picture in a request."""
    return (len(image.data) + 2) // 3 * 4


def tokens(part: Part) -> int:
    """Estimate the tokens of a part: one likely number, to show.

    Characters a token: Latin letters and spaces 4 (OpenAI's rule of thumb for English), Chinese, Japanese and Korean
    1.5 (Moonshot's for Chinese), digits 3 (the most that Kimi's tokeniser takes together), other letters and signs 2.5.
    """
    if isinstance(part, Image):
        return IMAGE_TOKENS
    text = part.text
    plain = sum(map(len, _PLAIN.findall(text)))
    wide = 0 if text.isascii() else sum(map(len, _WIDE.findall(text)))
    digits = sum(map(len, _DIGITS.findall(text)))
    rest = len(text) - plain - wide - digits
    return math.ceil(plain / 4 + wide / 1.5 + digits / 3 + rest / 2.5)


_PLAIN = re.compile(r"[A-Za-z ]+")
_DIGITS = re.compile(r"[0-9]+")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")


def cost(model_id: str, usage: Usage) -> float | None:
    """US dollars for `usage`: exact where the service gave neurons, else by the price list, else None."""
    if usage.neurons is not None:
        return usage.neurons * NEURON_PRICE
    price = known(model_id).price
    if price is None:
        return None
    fresh = usage.input - usage.cached
    return (fresh * price.input + usage.cached * price.cached + usage.output * price.output) / 1_000_000
