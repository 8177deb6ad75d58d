"""Tenants of the installation, for its operator."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from core.data_requests import QUEUE, RUN_DATA_REQUEST
from core.jobs import job_view
from core.principals import Principal, Scope
from core.tables import Tenant
from server.access.tenants import Tenants
from server.auth import requires
from server.pagination import Paging, page
from server.routes.jobs import JobInfo
from server.shown_once import ShownOnce
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/tenants", tags=["Access"])

Operator = Annotated[Principal, requires(Scope.TENANTS_MANAGE)]


class NewTenant(BaseModel):
    """An organisation whose data nobody else sees."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"id": "acme", "name": "Acme"}]})

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="a-z, 0-9, _ and -; stays as it is")
    name: str = Field(min_length=1, max_length=200)


class ChangedTenant(BaseModel):
    """Whether a tenant is open."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"disabled": True}]})

    disabled: bool = Field(description="true: all its keys, users and jobs are refused within a second; its data stays")


class TenantInfo(BaseModel):
    """A tenant."""

    id: str
    name: str
    created_at: datetime
    disabled_at: datetime | None

    @classmethod
    def of(cls, row: Tenant) -> "TenantInfo":
        return cls.model_validate(row, from_attributes=True)


class MadeTenant(TenantInfo):
    """A new tenant, with its first administrator's key at the one moment when it is shown."""

    key_id: str
    key: ShownOnce


class TenantPage(BaseModel):
    """Some of the tenants."""

    results: list[TenantInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_tenant(new: NewTenant, state: CurrentState, principal: Operator) -> MadeTenant:
    """Make a tenant. The answer shows its first administrator's key this once."""
    tenant, row, key = await _tenants(state).create(principal, new.id, new.name)
    return MadeTenant(**TenantInfo.of(tenant).model_dump(), key_id=row.id, key=key)


@router.get("", response_model=TenantPage)
async def list_tenants(state: CurrentState, _principal: Operator, paging: Paging) -> dict[str, Any]:
    """List the tenants."""
    rows, following = await _tenants(state).page(paging.limit, paging.after)
    return page([TenantInfo.of(row) for row in rows], following)


@router.patch("/{tenant_id}")
async def change_tenant(tenant_id: str, change: ChangedTenant, state: CurrentState, principal: Operator) -> TenantInfo:
    """Close a tenant, or open it again."""
    tenant = await _tenants(state).close(principal, tenant_id, closed=change.disabled)
    state.access.forget()
    return TenantInfo.of(tenant)


@router.delete("/{tenant_id}", status_code=202, response_model=JobInfo)
async def delete_tenant(tenant_id: str, state: CurrentState, principal: Operator) -> dict[str, Any]:
    """Erase a tenant: everybody in it is refused within a second, and a job erases all of it. Its result lists what."""
    request, job = await _tenants(state).erase(principal, tenant_id)
    state.access.forget()
    await state.queue.send(RUN_DATA_REQUEST, request.id, queue=QUEUE)
    return job_view(job)


def _tenants(state: State) -> Tenants:
    return Tenants(state.database, state.access.keys)
