"""Names, limits and prices of models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_magic import models
from kimi_magic.errors import UnknownModel
from kimi_magic.messages import Image, Message, Text, Usage


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("k2.5", "@cf/moonshotai/kimi-k2.5"),
        ("Kimi-K2.6", "@cf/moonshotai/kimi-k2.6"),
        ("k3", "moonshotai/kimi-k3"),
        ("moonshotai/kimi-k2.5", "moonshotai/kimi-k2.5"),
        ("@cf/moonshotai/kimi-k9", "@cf/moonshotai/kimi-k9"),
    ],
)
def test_short_and_full_names_are_resolved(name: str, full: str) -> None:
    assert models.resolve(name) == full


def test_an_unknown_short_name_names_the_nearest() -> None:
    with pytest.raises(UnknownModel) as caught:
        models.resolve("kimi-k26")
    assert "kimi-k2.6" in caught.value.hint


def test_a_price_counts_cached_tokens_apart() -> None:
    usage = Usage(input=1_000_000, cached=400_000, output=100_000)
    assert models.cost("@cf/moonshotai/kimi-k2.6", usage) == pytest.approx(0.6 * 0.95 + 0.4 * 0.16 + 0.1 * 4)


def test_k25_costs_what_the_model_costs_that_answers() -> None:
    usage = Usage(input=1000, output=1000)
    assert models.cost("@cf/moonshotai/kimi-k2.5", usage) == models.cost("@cf/moonshotai/kimi-k2.6", usage)


def test_neurons_are_the_exact_charge() -> None:
    assert models.cost("@cf/any/model", Usage(input=5, neurons=10_000)) == pytest.approx(0.11)


@pytest.mark.parametrize("name", ["local", "@cf/any/model", "moonshotai/kimi-k2.5"])
def test_no_price_is_no_figure(name: str) -> None:
    assert models.cost(name, Usage(input=5, output=5)) is None


def test_every_price_has_its_date() -> None:
    assert all(model.price.date for model in models.MODELS.values() if model.price)


def test_usage_adds_up() -> None:
    assert Usage(1, 2, 3, None, 0.5) + Usage(1, 0, 1, 4, None) == Usage(2, 2, 4, 4, 0.5)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("four words of English", 6), ("0.123456", 3), ("你好你好你好", 4), ("Привет", 3), ("a" * 4000, 1000)],
)
def test_tokens_are_estimated_by_script(text: str, tokens: int) -> None:
    assert models.tokens(Text(text)) == tokens


@given(st.text())
def test_an_estimate_is_never_below_nothing_nor_absurd(text: str) -> None:
    assert 0 <= models.tokens(Text(text)) <= len(text)
    least, most = models.estimate(text)
    assert 0 <= least < most


def test_a_picture_counts_at_most_as_its_base64() -> None:
    picture = Image(b"x" * 300_000, "image/jpeg", 1568, 1176)
    least, most = models.estimate_messages([Message("user", (picture, Text("hi")))])
    assert models.IMAGE_TOKENS <= least < most
    assert most == pytest.approx(100_000, rel=0.01)
    assert models.base64_size(picture) == 400_000


def test_the_local_model_is_known_to_be_blind_and_kimi_to_see() -> None:
    assert models.known("local").vision is False
    assert all(model.vision for model in models.MODELS.values() if "kimi" in model.id)
    assert models.known("@cf/any/model").vision is None
