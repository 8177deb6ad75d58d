"""Alerts of the caller's tenant, and of the platform for its operator: what goes wrong, and what went wrong."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlmodel import col, false, select

from core.alerts import AlertKind, Severity
from core.alerts.routes import may_see_platform
from core.errors import NotFound
from core.principals import Principal, Scope
from core.tables import AlertRow, AlertState
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/alerts", tags=["Operations"])

Manager = Annotated[Principal, requires(Scope.ALERTS_MANAGE)]


class AlertInfo(BaseModel):
    """Something that goes wrong, or went wrong."""

    id: str
    kind: AlertKind
    severity: Severity
    state: AlertState = Field(description="`firing`, or `resolved` once it is over")
    platform: bool = Field(description="true: the platform's; false: the tenant's")
    key: str = Field(description="what it is about: the same again is the same alert")
    subject: dict[str, Any] = Field(description="`budget`, `provider`, `model`, `credential` or `alias`")
    facts: dict[str, Any]
    count: int = Field(description="how often it was seen since it began")
    first_seen: datetime
    last_seen: datetime
    told_at: datetime = Field(description="when it was last told to the routes")
    resolved_at: datetime | None

    @classmethod
    def of(cls, row: AlertRow) -> "AlertInfo":
        return cls.model_validate(row.model_dump(exclude={"tenant", "open_notice"}))


class AlertPage(BaseModel):
    """Some of the alerts, those that began last first."""

    results: list[AlertInfo]
    next_cursor: str | None


@router.get("", response_model=AlertPage)
async def list_alerts(
    state: CurrentState,
    principal: Manager,
    paging: Paging,
    is_state: Annotated[AlertState | None, Query(alias="state", description="those that fire, or that are over")] = None,
    kind: Annotated[AlertKind | None, Query(description="of this kind")] = None,
    severity: Annotated[Severity | None, Query(description="of this severity")] = None,
) -> dict[str, object]:
    """List the alerts."""
    query = select(AlertRow)
    for column, value in ((AlertRow.state, is_state), (AlertRow.kind, kind), (AlertRow.severity, severity)):
        if value is not None:
            query = query.where(column == value.value)
    if not may_see_platform(principal):
        query = query.where(AlertRow.platform == false())
    begun, identifier = col(AlertRow.first_seen), col(AlertRow.id)
    async with state.database.session(principal.tenant) as session:
        if paging.after is not None:
            last = await session.get(AlertRow, paging.after)
            if last is None or last.tenant != principal.tenant:
                return page([], None)
            query = query.where((begun < last.first_seen) | ((begun == last.first_seen) & (identifier < last.id)))
        query = query.order_by(begun.desc(), identifier.desc()).limit(paging.limit + 1)
        rows = (await session.exec(query)).all()
    shown = rows[: paging.limit]
    return page([AlertInfo.of(row) for row in shown], shown[-1].id if len(rows) > paging.limit else None)


@router.get("/{alert_id}")
async def get_alert(alert_id: str, state: CurrentState, principal: Manager) -> AlertInfo:
    """Show an alert."""
    async with state.database.session(principal.tenant) as session:
        row = await session.get(AlertRow, alert_id)
    if row is None or row.tenant != principal.tenant or (row.platform and not may_see_platform(principal)):
        raise NotFound("There is no such alert.", code="alert_not_found")
    return AlertInfo.of(row)
