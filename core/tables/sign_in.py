"""Signing in: attempts that failed, the keys that sign access tokens, and families of tokens."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Field, SQLModel

from core.tables.columns import created_now, identifier, json_list_or_none, json_object, moment, required_moment


class SignInAttempts(SQLModel, table=True):
    """How often signing in failed lately, of one account or from one address; `subject` is a digest of which."""

    __tablename__ = "sign_in_attempts"

    subject: str = Field(primary_key=True, max_length=64, description="HMAC-SHA256 of an e-mail or an address, hexadecimal")
    failures: int = 0
    last_at: datetime = required_moment(index=True)
    blocked_until: datetime | None = moment()


class SigningKeyState(StrEnum):
    """A key is published before it signs, and goes on verifying for a while after."""

    NEXT = "next"
    CURRENT = "current"
    RETIRED = "retired"


class SigningKey(SQLModel, table=True):
    """A pair of keys for access tokens. `private_key` is encrypted; a retired one is gone from it."""

    __tablename__ = "signing_keys"

    kid: str = identifier("sig")
    state: str = Field(default=SigningKeyState.NEXT.value, max_length=16)
    public_key: dict[str, Any] = json_object()
    private_key: str | None = Field(default=None, max_length=2000, description="AES-256-GCM, base64")
    created_at: datetime = created_now()
    activated_at: datetime | None = moment()
    expires_at: datetime | None = moment()


class TokenFamily(SQLModel, table=True):
    """The tokens that came from one sign-in or one key. They act for its user or key, and end with it or when it is revoked.

    With both, they act for the user with no more than the key may do. `origin`, `models` and `collections` narrow a browser
    token, which is a family of its own; None is no limit, and for `origin`: it is none.
    """

    __tablename__ = "token_families"

    id: str = identifier("fam")
    tenant: str = Field(foreign_key="tenants.id", max_length=64, index=True)
    user_id: str | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", max_length=64, index=True)
    key_id: str | None = Field(default=None, foreign_key="api_keys.id", ondelete="CASCADE", max_length=64, index=True)
    scopes: list[Any] | None = json_list_or_none()
    origin: str | None = Field(default=None, max_length=300)
    models: list[Any] | None = json_list_or_none()
    collections: list[Any] | None = json_list_or_none()
    created_at: datetime = created_now()
    expires_at: datetime = required_moment(index=True)
    revoked_at: datetime | None = moment()


class RefreshToken(SQLModel, table=True):
    """A refresh token, good for one use. One that has been used stays, so that a second use is noticed."""

    __tablename__ = "refresh_tokens"

    digest: str = Field(primary_key=True, max_length=64, description="HMAC-SHA256 of the token, hexadecimal")
    family_id: str = Field(foreign_key="token_families.id", ondelete="CASCADE", max_length=64, index=True)
    created_at: datetime = created_now()
    used_at: datetime | None = moment()
