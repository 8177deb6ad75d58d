"""What an operator pays for a deployment: prices of which each holds from a day on, until the next one does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from core.money import QUANTUM
from core.settings import DeploymentPrice

if TYPE_CHECKING:
    from providers.prices import Charge, Rates

_HOUR_S: Final = 3600
_HUNDRED: Final = Decimal(100)
_USD: Final = ("input_usd", "output_usd", "cached_usd")


class Contract:
    """The prices of one deployment, in any order. Days begin at midnight UTC."""

    __slots__ = ("_newest_first", "knows_time")

    def __init__(self, prices: Sequence[DeploymentPrice]) -> None:
        self._newest_first = sorted(prices, key=lambda price: price.valid_from or date.min, reverse=True)
        #: Whether any of them is by the hour.
        self.knows_time = any(price.per_hour_usd is not None for price in prices)

    def __bool__(self) -> bool:
        return bool(self._newest_first)

    def at(self, moment: datetime) -> DeploymentPrice | None:
        """The one that holds; None before the first of them."""
        if not self._newest_first:
            return None
        day = moment.astimezone(UTC).date()
        return next((price for price in self._newest_first if price.valid_from is None or price.valid_from <= day), None)


def by_time(per_hour_usd: Decimal, seconds: Decimal) -> Decimal:
    """Dollars of a call that took so long, as exact as money is kept."""
    return (per_hour_usd * seconds / _HOUR_S).quantize(QUANTUM)


def less(rates: "Rates", own: DeploymentPrice) -> "Rates":
    """The list's rates with the operator's discount."""
    if rates.input_usd is None:
        return rates
    left, (source, since) = _left(own), _source_less(rates.source, rates.since, own)
    lowered = {name: usd * left for name in _USD if (usd := getattr(rates, name)) is not None}
    return replace(rates, source=source, since=since, **lowered)


def charged_less(charge: "Charge", own: DeploymentPrice) -> "Charge":
    """What the list would charge, with the operator's discount."""
    if charge.usd is None:
        return charge
    source, since = _source_less(charge.source, charge.since, own)
    return replace(charge, usd=charge.usd * _left(own), source=source, since=since)


def _left(own: DeploymentPrice) -> Decimal:
    return (_HUNDRED - (own.discount_percent or 0)) / _HUNDRED


def _source_less(source: str, since: date | None, own: DeploymentPrice) -> tuple[str, date | None]:
    """Where a price that was lowered is from, and the day from which on both it and the discount hold."""
    days = [day for day in (since, own.valid_from) if day is not None]
    return f"{source} less {own.discount_percent} %", max(days, default=None)
