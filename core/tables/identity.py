"""Tenants, and who belongs to them: people, service accounts, teams, roles of their own."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import Role
from core.tables.columns import created_now, identifier, json_list, json_object, moment


class UserKind(StrEnum):
    """A person signs in; a program holds keys alone."""

    PERSON = "person"
    SERVICE = "service"


class Tenant(SQLModel, table=True):
    """An organisation whose data nobody else sees. One that is disabled is refused everywhere. `policies` holds what it has
    decided for itself, by the name of the policy."""

    __tablename__ = "tenants"

    id: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=200)
    policies: dict[str, Any] = json_object()
    created_at: datetime = created_now()
    disabled_at: datetime | None = moment()


class User(SQLModel, table=True):
    """A person or a service account. `issuer` and `subject` say who they are to an identity provider."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant", "email"), UniqueConstraint("issuer", "subject"))

    id: str = identifier("usr")
    tenant: str = Field(foreign_key="tenants.id", max_length=64, index=True)
    kind: str = Field(default=UserKind.PERSON.value, max_length=16)
    name: str = Field(max_length=200)
    email: str | None = Field(default=None, max_length=320, description="in lower case")
    role: str = Field(default=Role.USER.value, max_length=64)
    password_digest: str | None = Field(default=None, max_length=512, description="Argon2id; None: no password signs in")
    issuer: str | None = Field(default=None, max_length=512)
    subject: str | None = Field(default=None, max_length=255)
    created_at: datetime = created_now()
    disabled_at: datetime | None = moment()


class Team(SQLModel, table=True):
    """Some users of a tenant, who share collections and budgets."""

    __tablename__ = "teams"
    __table_args__ = (UniqueConstraint("tenant", "name"),)

    id: str = identifier("team")
    tenant: str = Field(foreign_key="tenants.id", max_length=64, index=True)
    name: str = Field(max_length=200)
    created_at: datetime = created_now()


class TeamMember(SQLModel, table=True):
    """That a user belongs to a team."""

    __tablename__ = "team_members"

    team_id: str = Field(primary_key=True, foreign_key="teams.id", ondelete="CASCADE", max_length=64)
    user_id: str = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE", max_length=64, index=True)


class CustomRole(SQLModel, table=True):
    """A role of a tenant's own: a name and the scopes that it holds."""

    __tablename__ = "roles"

    tenant: str = Field(primary_key=True, foreign_key="tenants.id", max_length=64)
    name: str = Field(primary_key=True, max_length=64)
    description: str = Field(default="", max_length=2000)
    scopes: list[Any] = json_list()
    created_at: datetime = created_now()


class AccessEpoch(SQLModel, table=True):
    """One row. `value` is raised by whatever takes a right away, in its transaction, so that every process learns of it."""

    __tablename__ = "access_epoch"

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    value: int = 0
