"""The settings of budgets."""

from typing import Literal

from pydantic import Field

from core.sections import Section


class BudgetSettings(Section):
    """Holding requests to budgets."""

    without_store: Literal["refuse", "admit"] = Field(
        "refuse", description="refuse or admit what a budget may refuse while Redis or Valkey, which counts, is away"
    )
