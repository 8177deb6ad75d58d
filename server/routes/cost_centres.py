"""Cost centres of the caller's tenant: rules that say which part of an organisation pays for what. They hold for what was used
before as well, but for closed months, and a report groups by `cost_centre`."""

from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel import col, func, select
from starlette.responses import Response

from core import audit
from core.database import utc_now
from core.errors import Conflict, NotFound
from core.ledger.centres import MOST_RULES
from core.principals import Principal, Scope
from core.tables import CostCentreRule
from server.auth import requires
from server.pagination import Paging, page_of_table
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/usage/cost-centres", tags=["Usage"])

_IN_FORCE = col(CostCentreRule.removed_at).is_(None)

Manager = Annotated[Principal, requires(Scope.USAGE_MANAGE)]


class NewRule(BaseModel):
    """A rule to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"centre": "4711", "kind": "tag", "name": "team", "value": "search"}]},
    )

    centre: str = Field(min_length=1, max_length=64, description="the cost centre's name")
    kind: Literal["key", "user", "tag", "team"] = Field(description="what an entry is known by; of several, in this order")
    name: str = Field("", max_length=64, description="the tag's, for the kind `tag`")
    value: str = Field(min_length=1, max_length=128, description="the tag's value, or the identifier of the key, user or team")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.kind == "tag") != bool(self.name):
            raise ValueError("name goes with the kind tag")
        return self


class RuleInfo(BaseModel):
    """A rule."""

    id: str
    centre: str
    kind: Literal["key", "user", "tag", "team"]
    name: str
    value: str
    created_at: datetime


class RulePage(BaseModel):
    """Some of the rules."""

    results: list[RuleInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_rule(new: NewRule, state: CurrentState, principal: Manager) -> RuleInfo:
    """Say whose cost centre something is."""
    row = CostCentreRule(tenant=principal.tenant, **new.model_dump())
    same = (_IN_FORCE, CostCentreRule.kind == new.kind, CostCentreRule.name == new.name, CostCentreRule.value == new.value)
    async with state.database.transaction(principal.tenant) as session:
        if (await session.exec(select(CostCentreRule.id).where(*same))).first() is not None:
            raise Conflict("There is a rule for this: remove it first.", code="already_exists", param="value")
        if (await session.exec(select(func.count()).select_from(CostCentreRule).where(_IN_FORCE))).one() >= MOST_RULES:
            raise Conflict(f"There are {MOST_RULES} rules, which is as many as there may be.", code="too_many_rules")
        session.add(row)
        details = {"change": "created", "kind": row.kind}
        await audit.record(session, audit.Action.COST_CENTRE_CHANGED, on=("cost_centre", row.id), details=details)
    return RuleInfo.model_validate(row, from_attributes=True)


@router.get("", response_model=RulePage)
async def list_rules(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List the rules."""
    return await page_of_table(
        state.database,
        principal.tenant,
        CostCentreRule,
        paging,
        lambda row: RuleInfo.model_validate(row, from_attributes=True),
        only=(_IN_FORCE,),
    )


@router.delete("/{rule_id}", status_code=204)
async def delete_rule(rule_id: str, state: CurrentState, principal: Manager) -> Response:
    """Remove a rule. For months that were closed while it held it goes on to hold."""
    async with state.database.transaction(principal.tenant) as session:
        row = await session.get(CostCentreRule, rule_id)
        if row is None or row.removed_at is not None:
            raise NotFound("There is no such rule.", code="rule_not_found")
        row.removed_at = utc_now()
        session.add(row)
        details = {"change": "removed", "kind": row.kind}
        await audit.record(session, audit.Action.COST_CENTRE_CHANGED, on=("cost_centre", row.id), details=details)
    return Response(status_code=204)
