"""Cost centres: which part of an organisation pays for what."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, identifier, moment


class CostCentreRule(SQLModel, table=True):
    """What fits is the cost centre's. `kind`: `key` and `user` name the `value` of an entry's key or principal, `tag` that of
    the tag `name`, `team` a team that the principal belongs to. One that was removed still holds for the months that were
    closed while it held."""

    __tablename__ = "cost_centre_rules"

    id: str = identifier("ccr")
    tenant: str = Field(max_length=64, index=True)
    centre: str = Field(max_length=64)
    kind: str = Field(max_length=8)
    name: str = Field(default="", max_length=64)
    value: str = Field(max_length=128)
    created_at: datetime = created_now()
    removed_at: datetime | None = moment()
