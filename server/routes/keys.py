"""Keys of the API."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork
from starlette.responses import Response

from core.database import utc_now
from core.errors import InvalidRequest
from core.moments import Moment
from core.principals import Principal, Role, Scope
from core.tables import APIKey
from server.access.keys import KeyRights
from server.auth import requires
from server.pagination import Paging, page
from server.shown_once import ShownOnce
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/keys", tags=["Access"])

Manager = Annotated[Principal, requires(Scope.KEYS_MANAGE)]


Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=200)]


class NewKey(BaseModel):
    """A key to make. It can do no more than its maker, and where it has a user, than that user."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "reporting", "role": "user", "scopes": ["chat:invoke"], "models": ["default"]}],
        },
    )

    name: str = Field(min_length=1, max_length=200)
    role: str = Field(Role.USER.value, description="your own, or another one of the tenant's where you hold users:manage")
    expires_at: Moment | None = Field(None, description="null: never")
    user_id: str | None = Field(
        None,
        max_length=64,
        description="the user or service account that it acts for and ends with; left out: you, if you are one; null: itself. "
        "For somebody else it takes users:manage, and all that they may do",
    )
    scopes: list[Scope] | None = Field(None, min_length=1, description="these of the role's scopes alone; null: all of them")
    models: Names | None = Field(None, description="the aliases of models that it is for; null: all")
    collections: Names | None = Field(None, description="the collections that it is for; null: all that its owner may see")
    networks: list[IPvAnyNetwork] | None = Field(
        None, min_length=1, max_length=100, description="the networks that it may be used from, as 10.1.0.0/16; null: all"
    )


class KeyInfo(BaseModel):
    """What is known of a key; never the key."""

    id: str
    name: str
    role: str
    hint: str = Field(description="the first characters of the key")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    user_id: str | None
    scopes: list[str] | None
    models: list[str] | None
    collections: list[str] | None
    networks: list[str] | None
    replaced_by: str | None = Field(description="the key that a rotation put in its place")

    @classmethod
    def of(cls, row: APIKey) -> "KeyInfo":
        return cls.model_validate(row, from_attributes=True)


class MadeKey(KeyInfo):
    """A key at the one moment when it is shown."""

    key: ShownOnce


class Rotation(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: int = Field(86_400, ge=0, le=30 * 86_400, description="seconds that the old key goes on working")


class KeyPage(BaseModel):
    """Some of the keys."""

    results: list[KeyInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_key(new: NewKey, state: CurrentState, principal: Manager) -> MadeKey:
    """Make a key. The answer shows it this once. What a user makes acts for that user, unless `user_id` says otherwise.

    Raises:
        Forbidden: `more_than_own`: it would do more than you, have a role that you may not give, or act for whom you may
            not act for; `sign_in_needed`: a token makes no keys.
    """
    if new.expires_at is not None and new.expires_at <= utc_now():
        raise InvalidRequest("The key would have expired already.", param="expires_at")
    rights = KeyRights(
        role=new.role,
        scopes=None if new.scopes is None else frozenset(new.scopes),
        models=None if new.models is None else frozenset(new.models),
        collections=None if new.collections is None else frozenset(new.collections),
        networks=None if new.networks is None else tuple(new.networks),
        user_id=new.user_id if "user_id" in new.model_fields_set else await state.access.keys.user_of(principal),
        expires_at=new.expires_at,
    )
    row, key = await state.access.keys.create(principal, new.name, rights)
    return MadeKey(**KeyInfo.of(row).model_dump(), key=key)


@router.get("", response_model=KeyPage)
async def list_keys(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List keys, revoked ones included."""
    rows, following = await state.access.keys.list(principal.tenant, paging.limit, paging.after)
    return page([KeyInfo.of(row) for row in rows], following)


@router.get("/{key_id}")
async def get_key(key_id: str, state: CurrentState, principal: Manager) -> KeyInfo:
    """Show a key."""
    return KeyInfo.of(await state.access.keys.get(principal.tenant, key_id))


@router.post("/{key_id}/rotate", status_code=201)
async def rotate_key(key_id: str, state: CurrentState, principal: Manager, how: Rotation | None = None) -> MadeKey:
    """Put a new key in the place of one: the same rights, shown this once. The old one goes on for a while. A key of
    somebody else takes users:manage, as to make one for them does."""
    overlap = timedelta(seconds=(how or Rotation()).overlap_s)
    row, key = await state.access.keys.rotate(principal, key_id, overlap=overlap)
    state.access.forget()
    return MadeKey(**KeyInfo.of(row).model_dump(), key=key)


@router.delete("/{key_id}", status_code=204)
async def revoke_key(key_id: str, state: CurrentState, principal: Manager) -> Response:
    """Revoke a key, and with it the browser sessions made from it. One that may do more than you is refused, unless it acts
    for you."""
    await state.access.keys.revoke(principal, key_id)
    state.access.forget()
    return Response(status_code=204)
