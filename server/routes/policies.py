"""A tenant's policies: shown, and changed section by section. A change holds within a second in every process."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import audit
from core.errors import InvalidRequest, NotFound
from core.policies.changes import told
from core.policies.policy import SECTIONS, BrowserPolicy, DataPolicy, GuardRule, PIIRules, Policy
from core.policies.retention import RetentionPolicy
from core.principals import Principal, Scope
from core.shown_names import shown
from core.tables import Tenant
from providers.places import NO_PROVIDER, unknown_provider
from server.access.epoch import raise_epoch
from server.auth import requires
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/policies", tags=["Policies"])

Manager = Annotated[Principal, requires(Scope.POLICIES_MANAGE)]
Guards = Annotated[tuple[GuardRule, ...], Field(max_length=50)]


class Sections(BaseModel):
    """The sections of a policy. One that is left out stays as it is, null gives it back to the deployment's default."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "pii": {"*": [{"mode": "block", "types": ["SECRET"]}, {"mode": "pseudonymise"}]},
                    "guards": [{"guard": "prompt_injection", "mode": "block"}],
                    "data": {"regions": ["eu-*"]},
                    "browsers": {"origins": ["https://app.example.com"]},
                    "retention": {"conversations_days": 30},
                }
            ]
        },
    )

    pii: dict[str, PIIRules] | None = Field(None, description="by capability, what is done with personal data; * is every one")
    guards: Guards | None = Field(None, description="guards in the order in which they are asked")
    data: DataPolicy | None = Field(None, description="who may see the tenant's data")
    browsers: BrowserPolicy | None = Field(None, description="which other sites' pages may call the API from a browser")
    retention: RetentionPolicy | None = Field(None, description="how long what is kept; no longer than the deployment keeps it")


class PoliciesInfo(BaseModel):
    """What holds for the tenant, and which sections it has decided itself."""

    pii: dict[str, PIIRules]
    guards: Guards
    data: DataPolicy
    browsers: BrowserPolicy
    retention: RetentionPolicy
    own: list[str] = Field(description="sections that are the tenant's own; the others are the deployment's")


@router.get("")
async def show_policies(state: CurrentState, principal: Manager) -> PoliciesInfo:
    """Show the policies of the caller's tenant."""
    async with state.database.session(principal.tenant) as session:
        tenant = await session.get(Tenant, principal.tenant)
    return _info(state, {} if tenant is None else tenant.policies)


@router.put("")
async def change_policies(asked: Sections, state: CurrentState, principal: Manager) -> PoliciesInfo:
    """Change sections of the policies of the caller's tenant."""
    given = asked.model_dump(mode="json", include=asked.model_fields_set)
    await asyncio.to_thread(_check, asked)
    _check_providers(state, asked.data)
    _check_retention(state, asked.retention)
    async with state.database.transaction(principal.tenant) as session:
        tenant = await session.get(Tenant, principal.tenant, with_for_update=True)
        if tenant is None:
            raise NotFound("There is no such tenant.", code="tenant_not_found")
        kept = tenant.policies | given
        tenant.policies = {name: value for name, value in kept.items() if value is not None}
        info = _info(state, tenant.policies)
        await raise_epoch(session)
        details = told(given, tenant.policies)
        await audit.record(session, audit.Action.POLICY_CHANGED, details=details, principal=principal)
    await state.models.policies.load(state.database)
    return info


def _check(asked: Sections) -> None:
    """Refuse what would never hold: unknown capabilities, guards that are not there or cannot be set so."""
    from chains.protection.guarding import checked, unknown_capability

    for rule in asked.guards or ():
        checked(rule)
    if (unknown := unknown_capability(asked.pii or {}, asked.guards or ())) is not None:
        raise InvalidRequest(f"There is no capability {shown(unknown)!r}.", code="unknown_capability", param="pii")


def _check_providers(state: State, asked: DataPolicy | None) -> None:
    if asked is not None and (unknown := unknown_provider(asked, state.models)) is not None:
        field, name = unknown
        raise InvalidRequest(NO_PROVIDER.format(name), code="unknown_provider", param=f"data.{field}")


def _check_retention(state: State, asked: RetentionPolicy | None) -> None:
    """Refuse a period that would not be kept to."""
    if asked is not None and (longer := asked.longer_than(state.models.policies.defaults.retention)):
        text = f"The deployment keeps nothing for so long: {', '.join(longer)}."
        raise InvalidRequest(text, code="retention_too_long", param=f"retention.{longer[0]}")


def _info(state: State, kept: dict[str, Any]) -> PoliciesInfo:
    try:
        policy: Policy = state.models.policies.merged(kept)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequest(problem["msg"].removeprefix("Value error, "), param="pii") from None
    return PoliciesInfo(
        pii=policy.pii,
        guards=policy.guards,
        data=policy.data,
        browsers=policy.browsers,
        retention=policy.retention,
        own=[name for name in SECTIONS if name in kept],
    )
