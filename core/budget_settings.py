"""The settings of budgets."""

from typing import Literal

from pydantic import Field

from core.sections import Section


class BudgetSettings(Section):
    """Holding requests to budgets and rate limits."""

    without_store: Literal["refuse", "admit"] = Field(
        "refuse", description="refuse or admit what a budget may refuse while Redis or Valkey, which counts, is away"
    )
    rate_limits_without_store: Literal["process", "refuse", "admit"] = Field(
        "process",
        description="while Redis or Valkey is away: let each process count its own requests, refuse what a rate limit may "
        "refuse, or admit it",
    )
