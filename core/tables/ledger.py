"""The ledger: what every call of a provider used and cost. Rows are added and never changed, but for the mark
`rolled`, and for sessions and tags of who is erased (`core.ledger.erasure`)."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, Index, Text, false, text
from sqlmodel import Field, SQLModel

from core.money import Money
from core.tables.columns import identifier, json_object, required_moment


def _none() -> Any:
    return Field(default=0, sa_column_kwargs={"server_default": text("0")})


class LedgerRow(SQLModel, table=True):
    """One attempt at one provider, or one answer that the response cache gave in its place (`cache`). Tokens are told by class:
    `input_tokens` are those that were neither read from the provider's cache nor written to it, `output_tokens` all that were
    made, reasoning among them."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index("ix_ledger_tenant_at", "tenant", "at"),
        Index(
            "ix_ledger_exposure",
            "exposure",
            sqlite_where=text("exposure IS NOT NULL"),
            postgresql_where=text("exposure IS NOT NULL"),
        ),
        Index("ix_ledger_tail", "tenant", "at", sqlite_where=text("rolled = 0"), postgresql_where=text("NOT rolled")),
    )

    id: str = identifier("led")
    at: datetime = required_moment(index=True)
    request_id: str = Field(max_length=64, index=True)
    tenant: str = Field(max_length=64)
    principal: str = Field(max_length=64)
    key_id: str | None = Field(default=None, max_length=64)
    teams: str | None = Field(
        default=None,
        sa_type=Text,
        description="the principal's when it was called, in order, between commas; NULL: it is of before they were kept",
    )
    alias: str = Field(max_length=128)
    version: str | None = Field(default=None, max_length=16, description="a digest of what was configured for the alias")
    provider: str = Field(max_length=128)
    model: str = Field(max_length=256)
    capability: str = Field(max_length=64)
    session_id: str | None = Field(default=None, max_length=128)
    tags: dict[str, Any] = json_object()
    status: str = Field(max_length=32, description="`ok`, or why there was no whole answer")
    cache: str | None = Field(default=None, max_length=16, description="`hit` or `semantic`: no provider was called")
    estimated: bool = Field(description="the provider reported no usage: the tokens were counted here")
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    input_image_tokens: int = _none()
    output_image_tokens: int = _none()
    tier: str | None = Field(default=None, max_length=16)
    cost_usd: Decimal | None = Field(default=None, sa_type=Money)
    list_usd: Decimal | None = Field(
        default=None,
        sa_type=Money,
        description="what the list asks for, where the price is the operator's own and the list knows one; else NULL",
    )
    price_basis: str = Field(max_length=16)
    price_source: str = Field(max_length=64)
    price_since: date | None = Field(default=None, sa_type=Date)
    saved_tokens: int = _none()
    saved_usd: Decimal | None = Field(
        default=None,
        sa_type=Money,
        description="what the kept answer had cost when a provider gave it; none where that is not known",
    )
    latency_ms: float
    first_token_ms: float | None = None
    exposure: str | None = Field(
        default=None, max_length=128, description="of an experiment: the row of `experiment_exposures` that it was called for"
    )
    rolled: bool = Field(
        default=False,
        sa_column_kwargs={"server_default": false()},
        description="it is counted in `usage_hours`; the others are the tail, which reports read row by row",
    )
