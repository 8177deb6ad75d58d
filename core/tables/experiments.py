"""Experiments on versions of an alias, and who was exposed to which of them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_object, json_object_or_none, moment, required_moment


class ExperimentState(StrEnum):
    """`stopped` by somebody or by a rule that found harm; `concluded` with what it found. Neither begins again."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    CONCLUDED = "concluded"


class Experiment(SQLModel, table=True):
    """Versions of an alias, each given to a share of who asks for it. `definition` is `providers.experiment_definition`'s and
    does not change once it runs. With `everywhere` the requests of all tenants are in it.

    `looked_at` is when a process last claimed to look at it; `verdict` is what it was ended with.
    """

    __tablename__ = "experiments"
    __table_args__ = (UniqueConstraint("tenant", "name"),)

    id: str = identifier("exp")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    name: str = Field(max_length=64)
    everywhere: bool = Field(default=False)
    alias: str = Field(max_length=128)
    state: str = Field(default=ExperimentState.DRAFT.value, max_length=16, index=True)
    definition: dict[str, Any] = json_object()
    created_by: str = Field(max_length=64, description="the principal's id")
    created_at: datetime = created_now()
    started_at: datetime | None = moment()
    ended_at: datetime | None = moment()
    end_reason: str | None = Field(default=None, max_length=32)
    verdict: dict[str, Any] | None = json_object_or_none()
    promoted: int | None = Field(default=None, description="the version that was deployed for it")
    looked_at: datetime | None = moment()


class Exposure(SQLModel, table=True):
    """That a unit was given a variant, once, with when that was first. The identifier is what the ledger's `exposure` holds:
    experiment, variant and unit with `/` between; the unit is a keyed hash."""

    __tablename__ = "experiment_exposures"

    id: str = Field(primary_key=True, max_length=128)
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True, description="whose request it was")
    experiment_id: str = Field(max_length=64, index=True)
    variant: int
    unit: str = Field(max_length=64)
    first_at: datetime = required_moment()
