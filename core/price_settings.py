"""What operators say that a deployment costs."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class DeploymentPrice(BaseModel):
    """What an operator pays from a day on, where the list price is not it: dollars per million tokens (`input_usd_per_million`
    and the others), dollars for each hour that a call takes, or less than the list price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd_per_million: Decimal | None = Field(None, ge=0)
    output_usd_per_million: Decimal = Field(Decimal(0), ge=0)
    cached_usd_per_million: Decimal | None = Field(None, ge=0, description="read from the provider's cache; empty: as input")
    cache_write_usd_per_million: Decimal | None = Field(None, ge=0, description="written into it; empty: as input")
    cache_write_1h_usd_per_million: Decimal | None = Field(
        None, ge=0, description="written into it for an hour; empty: as what is written for five minutes"
    )
    input_audio_usd_per_million: Decimal | None = Field(None, ge=0, description="audio that is sent; empty: as input")
    output_audio_usd_per_million: Decimal | None = Field(None, ge=0, description="audio that is made; empty: as output")
    output_image_usd_per_million: Decimal | None = Field(None, ge=0, description="pictures that are made; empty: as output")
    tiers: dict[str, Annotated[Decimal, Field(ge=0)]] = Field(
        {},
        description="what other tiers of service cost, as a share of these prices, by their names: "
        "`{flex = 0.5, priority = 1.7}`; calls in a tier that is not named count as standard ones, and an alert says so",
    )
    per_hour_usd: Decimal | None = Field(
        None,
        ge=0,
        description="instead: what an hour of one call costs; of a machine that answers eight at once, an eighth of it",
    )
    discount_percent: Decimal | None = Field(None, ge=0, le=100, description="instead: how much less than the list price it is")
    valid_from: date | None = Field(
        None, description="from midnight UTC of this day on; before, what held until then: the list price at first"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "DeploymentPrice":
        kinds = ("input_usd_per_million", "per_hour_usd", "discount_percent")
        given = [name for name in kinds if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give input_usd_per_million, per_hour_usd or discount_percent, one of them")
        others = self.model_dump(exclude_defaults=True).keys() - {given[0], "valid_from"}
        if given[0] != kinds[0] and others:
            raise ValueError(f"{given[0]} does not go with {', '.join(sorted(others))}")
        return self


def _one_or_several(price: Any) -> Any:
    return (price,) if isinstance(price, (dict, DeploymentPrice)) else price


def _one_a_day(prices: tuple[DeploymentPrice, ...]) -> tuple[DeploymentPrice, ...]:
    days = [price.valid_from for price in prices]
    if len(set(days)) < len(days):
        raise ValueError("each price has another valid_from, and one may have none")
    return prices


#: One price, or several that hold one after the other.
Prices = Annotated[tuple[DeploymentPrice, ...], BeforeValidator(_one_or_several), AfterValidator(_one_a_day)]
