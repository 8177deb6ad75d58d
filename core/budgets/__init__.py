"""Budgets: reserve before a call, settle after it, release what was not used. How it is meant: `docs/ledger.md`."""

from core.budgets.budgets import Budgets, Degraded, Hold
from core.budgets.windows import Window

__all__ = ["Budgets", "Degraded", "Hold", "Window"]
