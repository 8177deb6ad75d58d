"""The settings of monitors."""

from decimal import Decimal
from typing import Self

from pydantic import Field, JsonValue, model_validator

from core.principals import DEFAULT_TENANT
from core.sections import Section


class Grading(Section):
    """A share of an alias's answers is graded by a metric, so that it is seen when they get worse. Answers are those of kept
    conversations, without the personal data that is found in them."""

    alias: str = Field(min_length=1, max_length=128, description="whose answers; one grading for each")
    tenant: str = Field(DEFAULT_TENANT, max_length=64, description="whose conversations, and who pays for the judge")
    share: float = Field(0.05, gt=0, le=1, description="of the answers in its kept conversations")
    metric: str = Field(
        "rubric", min_length=1, max_length=64, description="of an evaluation; its values are 0 to 1, or a rubric's"
    )
    options: dict[str, JsonValue] = Field(default_factory=dict, description="of the metric, as in a suite")
    usd_a_day: Decimal = Field(Decimal(1), ge=0, description="what the models may cost that it asks, from midnight UTC on")


class MonitorSettings(Section):
    """Watching what deployments do, and telling when it is no longer what it was."""

    on: bool = Field(True, description="watch the ledger for changes, and what is asked of collections for drift")
    every_s: float = Field(60, gt=0, description="seconds between two looks")
    point_s: int = Field(60, ge=10, le=1800, description="seconds that one point of a series stands for")
    late_s: float = Field(15, ge=0, description="seconds after which what the ledger has of a point is taken for all of it")
    learn_days: float = Field(7, gt=0, le=60, description="days of the ledger that are read where nothing was watched yet")
    most_series: int = Field(
        200, ge=1, description="series that are watched: those of the installation first, then the busiest of tenants' own"
    )
    points_days: float = Field(21, gt=0, description="days that points, and what drift is seen by, are kept")
    anomalies_days: float = Field(180, gt=0, description="days that anomalies are kept")
    least_slower: float = Field(1.25, gt=1, description="times its own baseline from which on a slower deployment is told of")
    least_dearer: float = Field(1.25, gt=1, description="times its own baseline from which on dearer requests are told of")
    least_rate: float = Field(0.03, gt=0, lt=1, description="by how much more calls fail, or are refused, until it is told of")
    grading: list[Grading] = Field(default_factory=list, description="answers of live traffic that are graded")
    drift_psi: float = Field(0.25, gt=0, description="population stability index from which on a distribution has drifted")

    @model_validator(mode="after")
    def _grades_an_alias_by_one_metric(self) -> Self:
        aliases = [each.alias for each in self.grading]
        if len(aliases) != len(set(aliases)):
            raise ValueError("grading: an alias is graded by one metric, whose course is watched")
        return self
