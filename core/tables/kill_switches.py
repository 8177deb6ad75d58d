"""What administrators have switched off: a model, a provider, or a tenant's use of models."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier


class KillKind(StrEnum):
    """A model is an alias, or a provider's model."""

    MODEL = "model"
    PROVIDER = "provider"
    TENANT = "tenant"


class KillSwitch(SQLModel, table=True):
    """That something is switched off: for the tenant that has set it or, with `everywhere`, for all."""

    __tablename__ = "kill_switches"
    __table_args__ = (UniqueConstraint("tenant", "everywhere", "kind", "name"),)

    id: str = identifier("kill")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    everywhere: bool = Field(default=False)
    kind: str = Field(max_length=16)
    name: str = Field(max_length=256)
    reason: str = Field(default="", max_length=500)
    created_by: str = Field(max_length=64, description="the principal's id")
    created_at: datetime = created_now()
