"""Kill switches: a model, a provider or a tenant's use of models, off in every process within a second."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.errors import NotFound
from core.kill_switches.store import KillSwitchStore
from core.principals import Principal, Scope
from core.tables import KillKind, KillSwitch
from server.auth import requires
from server.pagination import Paging, page_of
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/kill-switches", tags=["Operations"])

Manager = Annotated[Principal, requires(Scope.MODELS_DEPLOY, Scope.PROVIDERS_MANAGE)]
Name = Annotated[
    str, Path(min_length=1, max_length=256, description="an alias, a provider's model, a provider, or a tenant's id")
]
Everywhere = Annotated[
    bool | None, Query(description="for all tenants, or for the caller's alone; empty: for all where the caller may say so")
]


class Reason(BaseModel):
    """Why something is switched off."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "It leaks its instructions."}]})

    reason: str = Field(min_length=1, max_length=500, description="for other administrators; callers do not see it")


class SwitchInfo(BaseModel):
    """Something that is switched off."""

    kind: KillKind
    name: str
    reason: str
    everywhere: bool = Field(description="for all tenants; false: for the caller's alone")
    created_by: str | None = Field(description="who has set it; null: somebody of another tenant")
    created_at: datetime

    @classmethod
    def of(cls, row: KillSwitch, principal: Principal) -> "SwitchInfo":
        told = row.model_dump(exclude={"id", "tenant"})
        return cls(**told | ({} if row.tenant == principal.tenant else {"created_by": None}))


class SwitchList(BaseModel):
    """Some of those that hold for the caller's tenant, the newest first."""

    results: list[SwitchInfo]
    next_cursor: str | None


@router.get("", response_model=SwitchList)
async def list_switches(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, Any]:
    """List what is switched off for the caller's tenant."""
    found = [SwitchInfo.of(row, principal) for row in await KillSwitchStore(state.database).all(principal)]
    return page_of(found, paging, lambda switch: f"{switch.kind}/{switch.name}/{switch.everywhere}")


@router.put("/{kind}/{name:path}")
async def set_switch(
    kind: KillKind, name: Name, given: Reason, state: CurrentState, principal: Manager, everywhere: Everywhere = None
) -> SwitchInfo:
    """Switch a model, a provider or a tenant's use of models off. New calls are refused with `killed`, running ones are cut, in
    every process within a second."""
    return SwitchInfo.of(await put(state, principal, kind, name, given.reason, everywhere=everywhere), principal)


@router.delete("/{kind}/{name:path}", status_code=204)
async def lift_switch(
    kind: KillKind, name: Name, state: CurrentState, principal: Manager, everywhere: Everywhere = None
) -> Response:
    """Switch it on again."""
    await lift(state, principal, kind, name, everywhere=everywhere)
    return Response(status_code=204)


async def put(
    state: State, principal: Principal, kind: KillKind, name: str, reason: str, *, everywhere: bool | None = None
) -> KillSwitch:
    """Switch it off, in this process at once.

    Raises:
        NotFound: `model_not_found`, `provider_not_found`, `tenant_not_found`: a mistake in a name would switch nothing off.
        Forbidden
    """
    if kind is not KillKind.TENANT and not state.models.knows(kind, name):
        raise NotFound(f"There is no {kind.value} of that name.", code=f"{kind.value}_not_found", param="name")
    row = await KillSwitchStore(state.database).put(principal, kind, name, reason=reason, everywhere=everywhere)
    await state.models.kills.load(state.database)
    return row


async def lift(state: State, principal: Principal, kind: KillKind, name: str, *, everywhere: bool | None = None) -> None:
    """Switch it on again, in this process at once. Raises NotFound, Forbidden."""
    await KillSwitchStore(state.database).lift(principal, kind, name, everywhere=everywhere)
    await state.models.kills.load(state.database)
