"""What providers are called with, where an administrator keeps it at run time rather than in the settings."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_object, moment


class ProviderCredential(SQLModel, table=True):
    """`secrets` is sealed: the values by the names that the provider's settings have (`api_key`, …). `hint` tells two apart.
    `options` are what of these settings belongs to the credential: the account's address, project, region.

    It is what the tenant's calls are made with; with `everywhere` also those of tenants that have none of their own.
    `pending` are secrets that take the place of `secrets` once they have passed a test. `tested_at` and `test_code` say how the
    secrets that were tested last did: an empty code is a success. `version` changes with what is called with.
    """

    __tablename__ = "provider_credentials"

    id: str = identifier("cred")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    provider: str = Field(max_length=128, index=True, description="as the settings name it")
    name: str = Field(max_length=200)
    everywhere: bool = Field(default=False)
    options: dict[str, Any] = json_object()
    secrets: dict[str, Any] = json_object()
    hint: str = Field(default="", max_length=16)
    pending: dict[str, Any] | None = Field(default=None, sa_type=JSON(none_as_null=True), nullable=True)
    pending_hint: str | None = Field(default=None, max_length=16)
    version: int = 1
    created_by: str = Field(max_length=64, description="the principal's id")
    created_at: datetime = created_now()
    rotated_at: datetime | None = moment()
    disabled_at: datetime | None = moment()
    tested_at: datetime | None = moment()
    test_code: str | None = Field(default=None, max_length=64)
