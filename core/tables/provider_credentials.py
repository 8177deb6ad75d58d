"""What providers are called with, where an administrator keeps it at run time rather than in the settings."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_object, moment


class ProviderCredential(SQLModel, table=True):
    """`secrets` is sealed: the values by the names that the provider's settings have (`api_key`, …). `hint` tells two apart.

    `tested_at` and `test_code` say how it did when it was last tried: an empty code is a success.
    """

    __tablename__ = "provider_credentials"

    id: str = identifier("cred")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    provider: str = Field(max_length=128, index=True, description="as the settings name it")
    name: str = Field(max_length=200)
    secrets: dict[str, Any] = json_object()
    hint: str = Field(default="", max_length=16)
    created_by: str = Field(max_length=64, description="the principal's id")
    created_at: datetime = created_now()
    rotated_at: datetime | None = moment()
    disabled_at: datetime | None = moment()
    tested_at: datetime | None = moment()
    test_code: str | None = Field(default=None, max_length=64)
