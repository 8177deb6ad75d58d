"""How a canary goes on: shares of the requests, step by step, and the rules that let it, or have it taken back."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What a candidate is held to that is given no `max_error_rate`: whatever else its rules look at is not seen of what fails.
IMPLIED_ERROR_RATE: Final = 0.05


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Part):
    """A share of the requests, for a time."""

    weight: float = Field(gt=0, lt=100, allow_inf_nan=False, description="percent of the requests that go by the candidate")
    minutes: float = Field(10, ge=0, le=60 * 24 * 30, allow_inf_nan=False, description="at least, before the next step")


class Rules(_Part):
    """What a candidate is held to, by the requests that went by it since the step began, beside those of the live one in the
    same time. Empty: only failures take it back, and time lets it go on."""

    min_calls: int = Field(50, ge=1, le=1_000_000, description="requests of the candidate in a step, before it goes on")
    max_error_rate: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of its requests whose caller was told an error, as a share; more where the live one has more; none: it is "
        f"taken back beyond {IMPLIED_ERROR_RATE}, and needs no requests to go on; 1: as many as may be",
    )
    max_latency_ratio: float | None = Field(
        None, gt=0, le=1000, description="its mean seconds for an answer, by those of the live one"
    )
    max_cost_ratio: float | None = Field(None, gt=0, le=1000, description="its mean cost of an answer, by that of the live one")
    min_score: float | None = Field(None, description="that the evaluation has to have given it which approved it")


class Plan(_Part):
    """A rollout. After the last step the candidate is live. Without rules, time alone lets it go on."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=20)]
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _grows(self) -> Self:
        weights = [step.weight for step in self.steps]
        if weights != sorted(set(weights)):
            raise ValueError("steps: each weight has to be larger than the one before")
        return self

    def share(self, step: int) -> float:
        """Of the requests, 0 to 1, in a step."""
        return self.steps[step].weight / 100
