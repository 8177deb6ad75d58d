"""Prices: the operator's own, the list's, and what is said where the list has none."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from core.settings import DeploymentPrice
from providers.prices import Basis, Price, Tokens, _by_list

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def own(**given: object) -> DeploymentPrice:
    return DeploymentPrice.model_validate(given)


@pytest.mark.parametrize(
    ("provider", "model", "basis"),
    [
        ("openai", "gpt-4o-mini", Basis.EXACT),
        ("vertex", "claude-sonnet-4-5@20250929", Basis.EXACT),
        ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", Basis.EXACT),
        ("azure", "gpt-4o-mini", Basis.FALLBACK),
        ("openai_compatible:rack", "gpt-4o-mini", Basis.FALLBACK),
        ("openai", "gpt-99-ultra", Basis.UNPRICED),
        ("openai_compatible:rack", "our-own-model", Basis.UNPRICED),
        ("local", "whatever", Basis.EXACT),
    ],
)
def test_a_price_says_how_far_it_can_be_trusted(provider: str, model: str, basis: Basis) -> None:
    price = Price(provider, model)
    charge = price.charge(Tokens(1000, 100))
    assert (price.rates().basis, charge.basis) == (basis, basis)
    assert (charge.usd is None) == (basis is Basis.UNPRICED)
    assert (price.rates().input_usd is None) == (basis is Basis.UNPRICED)


def test_an_address_says_who_is_paid() -> None:
    price = Price("openai_compatible:groq", "llama-3.3-70b-versatile", address="https://api.groq.com/openai/v1")
    assert price.rates().basis is Basis.EXACT


def test_the_list_counts_cached_tokens_once() -> None:
    charge = Price("openai", "gpt-4o-mini").charge(Tokens(input=1000, output=100, cache_read=400), NOW)
    by_hand = (600 * Decimal("0.15") + 400 * Decimal("0.075") + 100 * Decimal("0.6")) / 1_000_000
    assert charge.usd == by_hand
    assert charge.source.startswith("genai-prices ")


def test_the_list_says_since_when_a_price_holds_where_it_took_the_place_of_another() -> None:
    tokens = Tokens(1000, 100)
    assert Price("openai", "o3").charge(tokens, NOW).since == date(2025, 6, 10)
    assert Price("openai", "o3").charge(tokens, datetime(2025, 6, 9, tzinfo=UTC)).since is None
    assert Price("openai", "gpt-4o-mini").charge(tokens, NOW).since is None


def test_a_long_prompt_is_billed_by_its_tier_as_a_whole() -> None:
    price = Price("vertex", "claude-sonnet-4-5@20250929")
    assert price.charge(Tokens(200_000), NOW).usd == Decimal("0.6")
    assert price.charge(Tokens(300_000), NOW).usd == Decimal("1.8"), "6 $ a million from 200,000 on"


def test_a_tier_that_is_not_listed_is_never_silently_the_standard_one() -> None:
    listed, missing = Price("openai", "gpt-5"), Price("openai", "gpt-4o")
    flex = Tokens(1000, 100, tier="flex")
    assert listed.charge(flex, NOW).basis is Basis.EXACT
    assert listed.estimate(1000, 100) == 2 * (listed.charge(flex, NOW).usd or 0)
    assert missing.charge(flex, NOW).basis is Basis.FALLBACK


def test_the_operators_price_wins_and_holds_from_its_day_on() -> None:
    contract = own(
        input_usd_per_million="2", output_usd_per_million="4", cached_usd_per_million="0.5", valid_from=date(2026, 11, 23)
    )
    price = Price("openai", "gpt-4o-mini", [contract])
    charge = price.charge(Tokens(input=1000, output=10, cache_read=500, cache_write=100), NOW)
    assert charge.usd == (400 * Decimal(2) + 500 * Decimal("0.5") + 100 * Decimal(2) + 10 * Decimal(4)) / 1_000_000
    assert (charge.basis, charge.source, charge.since) == (Basis.EXACT, "settings", date(2026, 11, 23))
    before = price.charge(Tokens(1000), datetime(2026, 11, 22, 23, 59, tzinfo=UTC))
    assert before.source.startswith("genai-prices")


def test_a_local_model_may_be_given_a_price() -> None:
    assert Price("local", "m").charge(Tokens(1_000_000)).usd == 0
    assert Price("local", "m", [own(input_usd_per_million="0.01")]).charge(Tokens(1_000_000)).usd == Decimal("0.01")


def test_tokens_are_read_from_every_cloud_s_metadata() -> None:
    openai = {
        "input_tokens": 10,
        "output_tokens": 5,
        "input_token_details": {"flex_cache_read": 4, "flex": 6},
        "output_token_details": {"flex_reasoning": 2, "flex": 3},
    }
    assert Tokens.of(openai) == Tokens(10, 5, cache_read=4, reasoning=2, tier="flex")
    bedrock = {
        "input_tokens": 10,
        "output_tokens": 5,
        "input_token_details": {
            "cache_creation": 0,
            "cache_read": 1,
            "ephemeral_5m_input_tokens": 2,
            "ephemeral_1h_input_tokens": 3,
        },
    }
    assert Tokens.of(bedrock) == Tokens(10, 5, cache_read=1, cache_write=2, cache_write_1h=3)


def test_the_arithmetic_is_the_packages_own_for_every_model_that_it_lists() -> None:
    from genai_prices import Usage
    from genai_prices.data_snapshot import get_snapshot

    dice = random.Random(7)
    compared = 0
    for model in (model for provider in get_snapshot().providers for model in provider.models):
        output, read, write, write_1h = dice.choices(range(200), k=4)
        tokens = Tokens(dice.choice([999, 150_000, 300_000]), output, read, write, write_1h)
        prices = model.get_prices(NOW, {"service_tier": dice.choice(["default", "flex", "priority"])})
        ours = _by_list(prices, tokens)
        if ours is None:  # it has no price for what was used
            continue
        usage = Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write + tokens.cache_write_1h,
            cache_write_1h_tokens=tokens.cache_write_1h,
        )
        assert ours == prices.calc_price(usage)["total_price"], model.id
        compared += 1
    assert compared > 1500


def test_audio_has_its_own_price_or_is_said_to_be_priced_as_text() -> None:
    spoken = Tokens(1000, 100, output_audio=100)
    listed, unlisted = Price("openai", "gpt-audio"), Price("openai", "gpt-4o")
    assert listed.charge(spoken, NOW).basis is Basis.EXACT
    assert (listed.charge(spoken, NOW).usd or 0) > (listed.estimate(1000, 100) or 0)
    assert unlisted.charge(spoken, NOW).basis is Basis.FALLBACK
