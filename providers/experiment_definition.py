"""What an experiment is: its variants, whom it is for, what it measures and when it ends. Data, frozen once it runs."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

NAME: Final = r"^[a-z0-9][a-z0-9_.\-]{0,63}$"
TAG: Final = "tag:"
SCORE: Final = "score:"
#: What is measured of every request, and whether more of it is better.
MEASURES: Final[dict[str, bool]] = {
    "feedback": True,
    "cost_usd": False,
    "latency_ms": False,
    "first_token_ms": False,
    "error": False,
    "tokens": False,
}

Name = Annotated[str, StringConstraints(pattern=NAME)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
Some = Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Unit = Annotated[str, StringConstraints(pattern=r"^(user|session|tenant|tag:[A-Za-z][A-Za-z0-9_.\-]{0,63})$")]
MetricName = Annotated[str, StringConstraints(pattern=rf"^({'|'.join(MEASURES)}|score:[a-z0-9][a-z0-9_.\-]{{0,63}})$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variant(_Part):
    """A version of the alias, and its share of those who are in the experiment."""

    name: Name
    version: int | None = Field(None, ge=1, description="of the alias; of the first variant null is the live one at the start")
    weight: float = Field(1, gt=0, le=1000, description="relative to the others'")


class Targeting(_Part):
    """Whom it is for: all that is given has to fit, each by one of its values."""

    tenants: Some | None = Field(None, description="identifiers; for an experiment of all tenants")
    teams: Some | None = Field(None, description="identifiers")
    roles: Some | None = None
    capabilities: Some | None = Field(None, description="chat, rag, code/fix …")
    tags: dict[Text, Some] = Field(default_factory=dict, max_length=16, description="of the request, by name")


class Exclusion(_Part):
    """A stretch of a group: experiments whose stretches of the same group lie apart have no unit in common."""

    group: Name
    begin: Share = 0.0
    end: Share = 1.0

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if self.begin >= self.end:
            raise ValueError("a stretch ends behind its begin")
        return self


class Holdout(_Part):
    """A share of all units that no experiment of the group is tried on."""

    group: Name
    share: float = Field(gt=0, le=0.5)


class Guardrail(_Part):
    """A metric that must not become worse by more than `margin`, as a share of the control's mean."""

    metric: MetricName
    margin: float = Field(0.0, ge=0, le=10)


class Rules(_Part):
    """When it ends by itself."""

    max_days: float = Field(28, gt=0, le=366)
    min_units: int = Field(
        100, ge=2, le=10_000_000, description="of each variant, before harm ends it, and measured ones before a verdict does"
    )
    enough_units: int | None = Field(None, ge=2, le=100_000_000, description="of each variant, that it ends with")
    on_verdict: bool = Field(True, description="end once the primary metric is better or worse beyond doubt")
    on_harm: bool = Field(True, description="stop once a guardrail is harmed beyond doubt")
    on_sample_ratio: bool = Field(True, description="stop once the shares are not what was asked for")
    promote: bool = Field(False, description="deploy the version that has won")


class Definition(_Part):
    """An experiment on an alias. The first variant is the control."""

    unit: Unit = Field("user", description="who gets the same variant each time: user, session, tenant, or tag:NAME")
    variants: Annotated[tuple[Variant, ...], Field(min_length=2, max_length=8)]
    coverage: float = Field(1.0, gt=0, le=1, description="the share of units that are in it")
    targeting: Targeting = Targeting()
    exclusion: Exclusion | None = None
    holdout: Holdout | None = None
    seed: str | None = Field(None, min_length=1, max_length=128, description="of the assignment; null: the experiment's name")
    primary: MetricName = Field("feedback", description="decides: feedback, cost_usd, latency_ms, …, or score:NAME")
    metrics: Annotated[tuple[MetricName, ...], Field(max_length=12)] = ("cost_usd", "latency_ms", "error")
    guardrails: Annotated[tuple[Guardrail, ...], Field(max_length=8)] = (Guardrail(metric="error"),)
    alpha: float = Field(0.05, gt=0, le=0.2, description="false alarms that are put up with")
    rules: Rules = Rules()

    @field_validator("variants")
    @classmethod
    def _differ(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        if len({one.name for one in variants}) < len(variants):
            raise ValueError("two variants have the same name")
        if any(one.version is None for one in variants[1:]):
            raise ValueError("every variant but the first names its version")
        return variants

    @property
    def weights(self) -> list[float]:
        """Shares of the variants, which add up to 1."""
        whole = sum(one.weight for one in self.variants)
        return [one.weight / whole for one in self.variants]

    @property
    def measured(self) -> list[str]:
        """Every metric once, the primary first."""
        return list(dict.fromkeys((self.primary, *self.metrics, *(one.metric for one in self.guardrails))))

    def pinned(self, live: int) -> "Definition":
        """The same, with the control's version known."""
        control, *others = self.variants
        version = live if control.version is None else control.version
        return self.model_copy(update={"variants": (control.model_copy(update={"version": version}), *others)})

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        return self.model_dump(mode="json")


def higher_is_better(metric: str) -> bool:
    """Scores are better the higher."""
    return MEASURES.get(metric, True)


EndReason = Literal["stopped", "concluded", "verdict", "harm", "sample_ratio", "max_days", "enough_units", "rolled_back"]
