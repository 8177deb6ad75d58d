"""What a month's close needs: entries that adjust the ledger, months that are closed, and what providers have invoiced."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Date, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.money import Money
from core.tables.columns import created_now, identifier, json_object, moment, required_moment


class LedgerAdjustment(SQLModel, table=True):
    """An amount that the ledger was wrong by, more or less. Entries are never edited: this is added. `at` is where it counts,
    never in a closed month; `corrects` says which month was wrong where that is another, `entry` which entry of the ledger, and
    `entry_at` of what time that is. Whatever an entry can be told apart by is that entry's."""

    __tablename__ = "ledger_adjustments"
    __table_args__ = (Index("ix_ledger_adjustments_tenant_at", "tenant", "at"),)

    id: str = identifier("adj")
    tenant: str = Field(max_length=64)
    at: datetime = required_moment()
    cost_usd: Decimal = Field(sa_type=Money, nullable=False)
    reason: str = Field(max_length=500)
    corrects: str | None = Field(default=None, max_length=7)
    entry: str | None = Field(default=None, max_length=64)
    entry_at: datetime | None = moment()
    principal: str = Field(default="", max_length=64)
    key_id: str | None = Field(default=None, max_length=64)
    teams: str | None = Field(default=None, sa_type=Text, description="the entry's; without one, the principal's at the time")
    alias: str = Field(default="", max_length=128)
    version: str | None = Field(default=None, max_length=16)
    provider: str = Field(default="", max_length=128)
    model: str = Field(default="", max_length=256)
    capability: str = Field(default="", max_length=64)
    session_id: str | None = Field(default=None, max_length=128)
    cache: str | None = Field(default=None, max_length=16)
    tags: dict[str, Any] = json_object()
    created_by: str = Field(max_length=64)
    created_at: datetime = created_now()


class ClosedMonth(SQLModel, table=True):
    """A month that takes no adjusting entry any more, and what it came to when it was closed."""

    __tablename__ = "closed_months"

    tenant: str = Field(primary_key=True, max_length=64)
    month: str = Field(primary_key=True, max_length=7)
    cost_usd: Decimal = Field(sa_type=Money, nullable=False)
    attempts: int = Field(sa_type=BigInteger)
    unpriced: int = Field(sa_type=BigInteger)
    created_by: str = Field(max_length=64)
    created_at: datetime = created_now()


class Invoice(SQLModel, table=True):
    """What a provider has invoiced. `everywhere`: for all tenants of the platform together."""

    __tablename__ = "invoices"
    __table_args__ = (UniqueConstraint("tenant", "provider", "number"),)

    id: str = identifier("inv")
    tenant: str = Field(max_length=64, index=True)
    provider: str = Field(max_length=128)
    number: str = Field(max_length=128)
    everywhere: bool = False
    begins: date = Field(sa_type=Date)
    ends: date = Field(sa_type=Date)
    cost_usd: Decimal = Field(sa_type=Money, nullable=False)
    created_by: str = Field(max_length=64)
    created_at: datetime = created_now()


class InvoiceLine(SQLModel, table=True):
    """What an invoice says of a day and model."""

    __tablename__ = "invoice_lines"

    invoice_id: str = Field(primary_key=True, max_length=64, foreign_key="invoices.id", ondelete="CASCADE")
    day: date = Field(primary_key=True, sa_type=Date)
    model: str = Field(primary_key=True, max_length=256)
    cost_usd: Decimal = Field(sa_type=Money, nullable=False)
