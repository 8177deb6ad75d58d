"""Rate limits: how much a tenant, or some of its callers, may ask for within a short window of time, and at once."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, identifier


class Each(StrEnum):
    """Whose requests are counted apart."""

    KEY = "key"
    USER = "user"


class RateLimit(SQLModel, table=True):
    """At most so many `requests` and `tokens` in each `window`, and `concurrent` requests at any time: those of them that are
    given. `team`, `user`, `key` and `alias` say whose requests count, as with a budget; `each` counts everybody's apart."""

    __tablename__ = "rate_limits"

    id: str = identifier("lim")
    tenant: str = Field(max_length=64, index=True)
    name: str = Field(default="", max_length=200)
    team: str | None = Field(default=None, max_length=64)
    user: str | None = Field(default=None, max_length=64, description="the identifier of a user, service account or key")
    key: str | None = Field(default=None, max_length=64)
    alias: str | None = Field(default=None, max_length=128)
    each: str | None = Field(default=None, max_length=16)
    requests: int | None = Field(default=None, sa_type=BigInteger)
    tokens: int | None = Field(default=None, sa_type=BigInteger)
    concurrent: int | None = Field(default=None, sa_type=BigInteger)
    window: str = Field(default="1m", max_length=16, description="seconds, minutes or hours that roll: 10s, 1m, 24h")
    created_by: str = Field(max_length=64)
    created_at: datetime = created_now()
    changed_at: datetime = created_now()
