"""Keys of the API."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.database import utc_now
from core.errors import InvalidRequest
from core.principals import Principal, Role, Scope
from core.tables import APIKey
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/keys", tags=["Access"])

Manager = Annotated[Principal, requires(Scope.KEYS_MANAGE)]


class NewKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "reporting", "role": "user"}]})

    name: str = Field(min_length=1, max_length=200)
    role: Role = Role.USER
    expires_at: AwareDatetime | None = Field(None, description="null: never")


class KeyInfo(BaseModel):
    """What is known of a key; never the key."""

    id: str
    name: str
    role: Role
    hint: str = Field(description="the first characters of the key")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, row: APIKey) -> "KeyInfo":
        return cls.model_validate(row, from_attributes=True)


class MadeKey(KeyInfo):
    """A key at the one moment when it is shown."""

    key: str


class KeyPage(BaseModel):
    """Some of the keys."""

    results: list[KeyInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_key(new: NewKey, state: CurrentState, principal: Manager) -> MadeKey:
    """Make a key. The answer shows it this once."""
    if new.expires_at is not None and new.expires_at <= utc_now():
        raise InvalidRequest("The key would have expired already.", param="expires_at")
    row, key = await state.access.keys.create(principal, new.name, new.role, expires_at=new.expires_at)
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


@router.delete("/{key_id}", status_code=204)
async def revoke_key(key_id: str, state: CurrentState, principal: Manager) -> Response:
    """Revoke a key, and with it the browser sessions made from it."""
    await state.access.keys.revoke(principal.tenant, key_id)
    state.access.forget()
    return Response(status_code=204)
