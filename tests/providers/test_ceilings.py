"""The most that a request can cost."""

from decimal import Decimal
from typing import Any

import pytest

from core.settings import DeploymentPrice
from providers.ceilings import ceiling
from providers.prices import Price, Tokens

MILLION = Tokens(1_000_000, 1_000_000)
PLAIN = {"input_usd_per_million": "10", "output_usd_per_million": "20"}


@pytest.mark.parametrize(
    ("more", "most"),
    [
        ({}, "30"),
        ({"cached_usd_per_million": "1"}, "30"),
        ({"cache_write_usd_per_million": "12.5"}, "32.5"),
        ({"cache_write_usd_per_million": "12.5", "cache_write_1h_usd_per_million": "20"}, "40"),
        ({"input_audio_usd_per_million": "40", "cache_write_usd_per_million": "12.5"}, "60"),
        ({"output_audio_usd_per_million": "80"}, "90"),
        ({"output_image_usd_per_million": "30", "tiers": {"priority": "2", "flex": "0.5"}}, "80"),
        ({"tiers": {"own": "3"}}, "90"),
    ],
    ids=range(8),
)
def test_it_is_at_the_dearest_class_and_tier(more: dict[str, Any], most: str) -> None:
    price = Price("openai", "m", [DeploymentPrice(**PLAIN, **more)])  # type: ignore[arg-type]
    assert ceiling(price, MILLION) == Decimal(most)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-4o-audio-preview"),
        ("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0"),
        ("vertex", "gemini-2.5-pro"),
        ("vertex", "gemini-2.5-flash-image"),
    ],
)
@pytest.mark.parametrize("given", [3, 199_999, 200_001])
def test_no_charge_of_a_listed_model_is_more(provider: str, model: str, given: int) -> None:
    price, made = Price(provider, model), 500
    most = ceiling(price, Tokens(given, made))
    assert most is not None
    for more in (
        {},
        {"cache_write": given},
        {"cache_write_1h": given},
        {"input_audio": given},
        {"output_audio": made},
        {"output_image": made},
        {"cache_read": given},
    ):
        for tier in (None, "priority", "flex"):
            charge = price.charge(Tokens(given, made, tier=tier, **more))
            assert charge.usd is not None
            assert charge.usd <= most, (more, tier)


def test_what_has_no_price_has_no_ceiling() -> None:
    assert ceiling(Price("openai", "no-such-model"), MILLION) is None
    assert ceiling(Price("local", "smollm2"), MILLION) == 0
