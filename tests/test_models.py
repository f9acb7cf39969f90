"""Names, limits and prices of models."""

from __future__ import annotations

import pytest

from kimi_magic import models
from kimi_magic.errors import UnknownModel
from kimi_magic.messages import Usage


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
