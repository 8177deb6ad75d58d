"""How requests ended that went by versions of an alias which are compared: by a canary, or by an experiment."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from core.money import Money
from core.tables.columns import identifier, required_moment


class RequestOutcome(SQLModel, table=True):
    """One request, by the version of one alias that it was assigned to, whether it came to a call or not. Nothing of it is in
    any sum of usage or cost."""

    __tablename__ = "request_outcomes"
    __table_args__ = (
        Index("ix_request_outcomes_alias_at", "alias", "at"),
        Index(
            "ix_request_outcomes_exposure",
            "exposure",
            sqlite_where=text("exposure IS NOT NULL"),
            postgresql_where=text("exposure IS NOT NULL"),
        ),
    )

    id: str = identifier("out")
    at: datetime = required_moment()
    request_id: str = Field(max_length=64)
    tenant: str = Field(max_length=64, index=True)
    alias: str = Field(max_length=128)
    version: str = Field(max_length=16, description="as the ledger has it")
    unit: str = Field(
        max_length=32, description="who is given the same version: a digest of the session, the person or the request"
    )
    status: str = Field(max_length=64, description="`ok`, `cancelled`, or the code of the error that its caller was told")
    http_status: int = Field(description="that the status stands for")
    latency_ms: float | None = Field(default=None, description="of its calls for the alias; NULL: there was none")
    cost_usd: Decimal | None = Field(default=None, sa_type=Money, description="the same; NULL also where no price is known")
    exposure: str | None = Field(default=None, max_length=128, description="of an experiment, as in the ledger")
