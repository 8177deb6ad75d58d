"""Keys, and the browser sessions and sign-in links made from them. Only keyed hashes are stored."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT, Role
from core.tables.columns import created_now, identifier, json_list_or_none, moment, required_moment


class APIKey(SQLModel, table=True):
    """A key and the role it carries. Revoked keys stay, for the record.

    It acts for its user (`user_id`), with no more than that user's rights; without one it stands for itself.
    `scopes`, `models`, `collections` and `networks` narrow it further; None is no limit. A key that was rotated names the one
    that took its place, and lives on until it expires. The one in its place stands for the first of them (`stands_for`), so
    that what that one made is still its own. `own`: it was shown to its user alone, who asked for it with nothing that others
    have had, so far as is known.
    """

    __tablename__ = "api_keys"

    id: str = identifier("key")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    name: str = Field(max_length=200)
    role: str = Field(default=Role.USER.value, max_length=64)
    digest: str = Field(max_length=64, unique=True, description="HMAC-SHA256 of the key, hexadecimal")
    hint: str = Field(default="", max_length=16, description="the first characters, to tell keys apart")
    created_at: datetime = created_now()
    expires_at: datetime | None = moment()
    revoked_at: datetime | None = moment()
    last_used_at: datetime | None = moment()
    user_id: str | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", max_length=64, index=True)
    scopes: list[Any] | None = json_list_or_none()
    models: list[Any] | None = json_list_or_none()
    collections: list[Any] | None = json_list_or_none()
    networks: list[Any] | None = json_list_or_none()
    replaced_by: str | None = Field(default=None, max_length=64)
    stands_for: str | None = Field(default=None, max_length=64)
    own: bool = False


class BrowserSession(SQLModel, table=True):
    """What the cookie `genai_session` stands for: a key, or the user who signed in. It ends with either."""

    __tablename__ = "browser_sessions"

    digest: str = Field(primary_key=True, max_length=64, description="HMAC-SHA256 of the cookie, hexadecimal")
    key_id: str | None = Field(default=None, foreign_key="api_keys.id", ondelete="CASCADE", max_length=64)
    user_id: str | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", max_length=64, index=True)
    created_at: datetime = created_now()
    expires_at: datetime = required_moment()


class SignInToken(SQLModel, table=True):
    """A one-time link that opens a browser session."""

    __tablename__ = "sign_in_tokens"

    digest: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(foreign_key="api_keys.id", ondelete="CASCADE", max_length=64)
    expires_at: datetime = required_moment()
    used_at: datetime | None = moment()
