"""What an operator pays: one price after the other, by the hour, or less than the list says."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from core.settings import Deployment
from providers.prices import Basis, Price, Tokens

USED = Tokens(input=1000, output=100, cache_read=400)
BY_HAND = (600 * Decimal("0.15") + 400 * Decimal("0.075") + 100 * Decimal("0.6")) / 1_000_000
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def price(*own: dict[str, Any], provider: str = "openai", model: str = "gpt-4o-mini") -> Price:
    return Price(provider, model, Deployment(provider=provider, model=model, price=own).price)  # type: ignore[arg-type]


def own(usd: str, since: str | None = None) -> dict[str, Any]:
    return {"input_usd_per_million": usd, "valid_from": since}


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_of_several_prices_that_holds_whose_day_came_last(order: int) -> None:
    both = price(*[own("1", "2026-11-01"), own("3", "2026-12-01")][::order])
    told = {
        datetime(2026, 10, 31, 23, 59, 59, 999999, tzinfo=UTC): ("genai-prices", None, "0.15"),
        datetime(2026, 11, 1, tzinfo=UTC): ("settings", date(2026, 11, 1), "1"),
        datetime(2026, 11, 30, 23, 59, 59, 999999, tzinfo=UTC): ("settings", date(2026, 11, 1), "1"),
        datetime(2026, 12, 1, tzinfo=UTC): ("settings", date(2026, 12, 1), "3"),
        datetime(2027, 6, 1, tzinfo=UTC): ("settings", date(2026, 12, 1), "3"),
    }
    for at, (source, since, usd) in told.items():
        charge, rates = both.charge(Tokens(1_000_000), at), both.rates(at)
        assert (charge.source.split()[0], charge.since, charge.usd) == (source, since, Decimal(usd)), at
        assert (rates.source.split()[0], rates.since, rates.input_usd) == (source, since, Decimal(usd)), at


def test_days_are_those_of_utc() -> None:
    both = price(own("1"), own("3", "2026-12-01"))
    east, west = timezone(timedelta(hours=9)), timezone(timedelta(hours=-8))
    assert both.charge(Tokens(1_000_000), datetime(2026, 12, 1, 8, 59, tzinfo=east)).usd == 1
    assert both.charge(Tokens(1_000_000), datetime(2026, 12, 1, 9, tzinfo=east)).usd == 3
    assert both.charge(Tokens(1_000_000), datetime(2026, 11, 30, 16, tzinfo=west)).usd == 3


def test_a_price_without_a_day_holds_until_the_first_that_has_one() -> None:
    charge = price(own("3", "2026-12-01"), own("1")).charge(Tokens(1_000_000), datetime(2020, 1, 1, tzinfo=UTC))
    assert (charge.usd, charge.source, charge.since) == (1, "settings", None)


def test_a_discount_is_taken_off_the_list_price() -> None:
    less = price({"discount_percent": "12.5", "valid_from": "2026-11-23"})
    charge, rates = less.charge(USED, NOON), less.rates(NOON)
    assert charge.usd == BY_HAND * Decimal("0.875")
    assert (rates.input_usd, rates.output_usd) == (Decimal("0.15") * Decimal("0.875"), Decimal("0.6") * Decimal("0.875"))
    assert charge.source == rates.source == f"{price().rates().source} less 12.5 %"
    assert (charge.basis, charge.since, rates.since) == (Basis.EXACT, date(2026, 11, 23), date(2026, 11, 23))
    before = less.charge(USED, NOON - timedelta(days=1))
    assert (before.usd, before.source) == (BY_HAND, price().rates().source)


def test_a_discount_is_no_surer_than_what_it_is_taken_off() -> None:
    half: dict[str, Any] = {"discount_percent": 50}
    flex = Tokens(1000, 100, tier="flex")
    assert price(half, model="gpt-4o").charge(flex, NOON).basis is Basis.FALLBACK
    unknown = price(half, model="gpt-99-ultra")
    assert (unknown.charge(flex, NOON).usd, unknown.charge(flex, NOON).basis) == (None, Basis.UNPRICED)
    assert (unknown.rates(NOON).input_usd, unknown.rates(NOON).basis) == (None, Basis.UNPRICED)


def test_a_contract_that_ends_gives_way_to_the_list() -> None:
    ended = price(own("1", "2026-11-01"), {"discount_percent": 0, "valid_from": "2026-11-23"})
    assert ended.charge(USED, NOON).usd == BY_HAND


def test_by_the_hour_a_call_costs_the_time_that_it_took() -> None:
    hourly = price({"per_hour_usd": "2.40", "valid_from": "2026-11-23"}, provider="local", model="bundled")
    charge = hourly.charge(Tokens(10**6, 10**6, tier="flex"), NOON, seconds=Decimal("1.234"))
    assert charge.usd == Decimal("0.000822666667"), "2.40 $ times 1.234 s / 3,600 s, as exact as money is kept"
    assert (charge.basis, charge.source, charge.since, charge.by_time) == (Basis.EXACT, "settings", date(2026, 11, 23), True)
    assert (hourly.rates(NOON).per_hour_usd, hourly.rates(NOON).input_usd) == (Decimal("2.40"), None)
    assert hourly.charge(Tokens(10), NOON).usd is None, "of a time that is not known nothing is said, and never zero"
    before = hourly.charge(Tokens(10), NOON - timedelta(days=1), seconds=Decimal(1))
    assert (before.usd, before.source, before.by_time) == (0, "local", False)


def test_whether_it_goes_by_time_is_asked_of_today() -> None:
    today = datetime.now(UTC).date()
    later: dict[str, Any] = {"per_hour_usd": 1, "valid_from": today + timedelta(days=2)}
    assert price({"per_hour_usd": 1}).goes_by_time
    assert not price(own("1"), later).goes_by_time
    assert not price().goes_by_time


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "one of them"),
        ({"output_usd_per_million": 1}, "one of them"),
        ({"input_usd_per_million": 1, "per_hour_usd": 1}, "one of them"),
        ({"per_hour_usd": 1, "discount_percent": 1}, "one of them"),
        ({"per_hour_usd": 1, "output_usd_per_million": 1}, "does not go with output_usd_per_million"),
        ({"discount_percent": 101}, "less than or equal to 100"),
        ({"per_hour_usd": -1}, "greater than or equal to 0"),
        ([own("1"), own("2")], "another valid_from"),
        ([own("1", "2026-12-01"), own("2", "2026-12-01")], "another valid_from"),
        ("cheap", "tuple"),
    ],
    ids=lambda value: None if isinstance(value, str) else "price",
)
def test_what_is_no_price_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Deployment(provider="openai", model="gpt-4o-mini", price=wrong)
