"""Budgets and rate limits: reserve before a call, settle after it. How it is meant: `docs/ledger.md`."""

from core.budgets.budgets import Budgets, Hold, Spending, Standing
from core.budgets.refusals import Degraded
from core.budgets.windows import Window

__all__ = ["Budgets", "Degraded", "Hold", "Spending", "Standing", "Window"]
