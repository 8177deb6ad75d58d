"""Budgets: what a tenant, or some of its callers, may spend within a window of time."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from core.money import Money
from core.tables.columns import created_now, identifier


class BudgetMode(StrEnum):
    """What happens where a request would go over the limit: it is refused, told of, or given to a cheaper alias."""

    HARD = "hard"
    SOFT = "soft"
    DEGRADE = "degrade"


class Budget(SQLModel, table=True):
    """A limit in dollars or tokens. `team`, `user`, `key` and `alias` say whose requests count, all of those that are given;
    without any, the tenant's. Without a tenant's own row there is no limit."""

    __tablename__ = "budgets"

    id: str = identifier("bud")
    tenant: str = Field(max_length=64, index=True)
    name: str = Field(default="", max_length=200)
    team: str | None = Field(default=None, max_length=64)
    user: str | None = Field(default=None, max_length=64, description="the identifier of a user, service account or key")
    key: str | None = Field(default=None, max_length=64)
    alias: str | None = Field(default=None, max_length=128)
    limit_usd: Decimal | None = Field(default=None, sa_type=Money)
    limit_tokens: int | None = Field(default=None, sa_type=BigInteger)
    window: str = Field(max_length=16, description="day, week, month, or hours or days that roll: 24h, 30d")
    mode: str = Field(default=BudgetMode.HARD.value, max_length=16)
    degrade_to: str | None = Field(default=None, max_length=128, description="an alias")
    created_by: str = Field(max_length=64)
    created_at: datetime = created_now()
    changed_at: datetime = created_now()
