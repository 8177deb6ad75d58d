"""Usage by the hour: sums over the ledger, kept by a job (`core.ledger.rollups`), so that a report need not read every row."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field, SQLModel

from core.money import Money
from core.tables.columns import json_object, required_moment


def _sum() -> Any:
    return Field(default=0, sa_type=BigInteger, nullable=False)


def _later_sum(kind: Any = BigInteger, nothing: Any = 0) -> Any:
    """Of a column that came when there were rows."""
    return Field(default=nothing, sa_type=kind, nullable=False, sa_column_kwargs={"server_default": text("0")})


class UsageHour(SQLModel, table=True):
    """The sums of all entries that have an hour and everything that they can be told apart by in common, but for the session.
    `id` is a digest of these. `requests` are those of which every entry is in here; others are in `usage_spans`."""

    __tablename__ = "usage_hours"
    __table_args__ = (Index("ix_usage_hours_tenant_hour", "tenant", "hour"), Index("ix_usage_hours_hour", "hour"))

    id: str = Field(primary_key=True, max_length=40)
    tenant: str = Field(max_length=64)
    hour: datetime = required_moment()
    principal: str = Field(max_length=64)
    key_id: str | None = Field(default=None, max_length=64)
    teams: str | None = Field(default=None, sa_type=Text)
    alias: str = Field(max_length=128)
    version: str | None = Field(default=None, max_length=16)
    provider: str = Field(max_length=128)
    model: str = Field(max_length=256)
    capability: str = Field(max_length=64)
    status: str = Field(max_length=32)
    cache: str | None = Field(default=None, max_length=16)
    price_basis: str = Field(max_length=16)
    tags: dict[str, Any] = json_object()
    requests: int = _sum()
    entries: int = _sum()
    estimated: int = _sum()
    unpriced: int = _sum()
    input_tokens: int = _sum()
    cached_tokens: int = _sum()
    cache_write_tokens: int = _sum()
    cache_write_1h_tokens: int = _sum()
    output_tokens: int = _sum()
    reasoning_tokens: int = _sum()
    input_audio_tokens: int = _sum()
    output_audio_tokens: int = _sum()
    input_image_tokens: int = _later_sum()
    output_image_tokens: int = _later_sum()
    cost_usd: Decimal = Field(default=Decimal(0), sa_type=Money, nullable=False)
    saved_tokens: int = _later_sum()
    saved_usd: Decimal = _later_sum(Money, Decimal(0))
    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    first_tokens: int = _sum()


class UsageLatency(SQLModel, table=True):
    """How many of an hour's entries took how long: by `measure` (`latency_ms`, `first_token_ms`) and bucket of
    `core.ledger.latencies`."""

    __tablename__ = "usage_latencies"

    hour_id: str = Field(primary_key=True, max_length=40)
    measure: str = Field(primary_key=True, max_length=16)
    bucket: int = Field(primary_key=True)
    tenant: str = Field(max_length=64, index=True)
    number: int = _sum()


class UsageSpan(SQLModel, table=True):
    """A request whose entries are in several rows of `usage_hours`: one of them each. It counts once wherever it is seen."""

    __tablename__ = "usage_spans"
    __table_args__ = (Index("ix_usage_spans_request", "tenant", "request_id"),)

    hour_id: str = Field(primary_key=True, max_length=40)
    request_id: str = Field(primary_key=True, max_length=64)
    tenant: str = Field(max_length=64)


class UsageTurn(SQLModel, table=True):
    """Whose turn it is to roll the ledger up: a pass holds when `passes` is still what it found at its beginning. One row."""

    __tablename__ = "usage_turns"

    id: int = Field(primary_key=True)
    passes: int = _sum()
