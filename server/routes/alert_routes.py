"""Where alerts are told: webhooks, and services that Apprise knows. Their addresses and secrets are never shown again."""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from core.alerts import AlertKind, Severity
from core.alerts.routes import AlertRoutes
from core.alerts.services import check_service
from core.errors import InvalidRequest
from core.principals import Principal, Scope
from core.settings import FetchSettings, Settings
from core.tables import AlertDelivery, AlertRoute, AlertRouteKind, DeliveryState
from core.transport.plaintext import problem_of
from retrievers import fetching
from server.auth import requires
from server.pagination import Paging, page, page_of
from server.shown_once import ShownOnce
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/alert-routes", tags=["Operations"])

Manager = Annotated[Principal, requires(Scope.ALERTS_MANAGE)]
Address = Annotated[
    SecretStr,
    Field(
        min_length=8,
        max_length=2000,
        description="https://… of a webhook; of a service as Apprise writes it: slack://…, workflows://… (Teams), mailtos://…",
    ),
]
Name = Annotated[str, Field(min_length=1, max_length=200, description="what it is called in lists")]
Kinds = Annotated[list[AlertKind], Field(min_length=1, max_length=len(AlertKind))]


class NewRoute(BaseModel):
    """A route to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "on call", "kind": "webhook", "url": "https://hooks.example.com/genai"}]},
    )

    name: Name
    kind: AlertRouteKind
    url: Address
    kinds: Kinds | None = Field(None, description="what is told there; null: every kind")
    severity: Severity = Field(Severity.INFO, description="the least that is told there")
    enabled: bool = True
    platform: bool = Field(False, description="true: for the platform's own alerts; the operator's to say")


class RouteChange(BaseModel):
    """What is to be otherwise. What is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"severity": "critical"}]})

    name: Name | None = None
    url: Address | None = None
    kinds: Kinds | None = Field(None, description="null: every kind")
    severity: Severity | None = None
    enabled: bool | None = None
    new_secret: bool = Field(False, description="true: sign with a new secret from now on, which the answer has")


class RouteInfo(BaseModel):
    """A route; never its address or secret."""

    id: str
    name: str
    kind: AlertRouteKind
    target: str = Field(description="where it goes, as far as that is no secret")
    kinds: list[AlertKind] | None
    severity: Severity
    enabled: bool
    platform: bool
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of(cls, row: AlertRoute, **more: Any) -> "RouteInfo":
        told = row.model_dump(include={"id", "name", "kind", "kinds", "enabled", "platform", "created_at", "changed_at"})
        return cls.model_validate(told | {"target": row.hint, "severity": row.least} | more)


class RouteWithSecret(RouteInfo):
    """A route, and the secret that its webhooks are signed with, which is shown only now."""

    secret: ShownOnce | None = Field(description="null: there is none, or it is the one that was shown before")


class RoutePage(BaseModel):
    """Some of the routes."""

    results: list[RouteInfo]
    next_cursor: str | None


class NoticeInfo(BaseModel):
    """A notice that was sent, or is on its way."""

    id: str
    type: str = Field(description="`alert.raised`, `alert.recovered` or `alert.test`")
    alert_id: str | None
    state: DeliveryState
    attempts: int
    error: str | None = Field(description="why the last attempt came to nothing")
    created_at: datetime
    next_at: datetime | None = Field(description="when it is tried again; null: it is not")
    ended_at: datetime | None

    @classmethod
    def of(cls, row: AlertDelivery) -> "NoticeInfo":
        told = row.model_dump(include={"id", "alert_id", "state", "attempts", "error", "created_at", "ended_at"})
        next_at = row.next_at if row.state == DeliveryState.WAITING else None
        return cls.model_validate(told | {"type": row.body["type"], "next_at": next_at})


class NoticePage(BaseModel):
    """Some of the notices, the newest first."""

    results: list[NoticeInfo]
    next_cursor: str | None


@router.post("", status_code=201)
async def create_route(new: NewRoute, state: CurrentState, principal: Manager) -> RouteWithSecret:
    """Make a route. The answer has the secret that webhooks are signed with, shown only now."""
    url = new.url.get_secret_value()
    hint = await _checked(new.kind, url, state.settings)
    row = AlertRoute(
        tenant=principal.tenant,
        platform=new.platform,
        name=new.name,
        kind=new.kind.value,
        kinds=_named(new.kinds),
        least=new.severity.value,
        enabled=new.enabled,
        created_by=principal.id,
    )
    row, secret = await _routes(state).add(principal, row, url, hint)
    return RouteWithSecret.model_validate(RouteInfo.of(row).model_dump() | {"secret": secret})


@router.get("", response_model=RoutePage)
async def list_routes(state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List the routes."""
    rows = await _routes(state).all(principal)
    shown = page_of(rows, paging, lambda row: row.id)
    return shown | {"results": [RouteInfo.of(row) for row in shown["results"]]}


@router.get("/{alert_route_id}")
async def get_route(alert_route_id: str, state: CurrentState, principal: Manager) -> RouteInfo:
    """Show a route."""
    return RouteInfo.of(await _routes(state).get(principal, alert_route_id))


@router.patch("/{alert_route_id}")
async def change_route(alert_route_id: str, change: RouteChange, state: CurrentState, principal: Manager) -> RouteWithSecret:
    """Change a route. What is on its way goes to the new address."""
    routes = _routes(state)
    address = None
    if change.url is not None:
        kept = await routes.get(principal, alert_route_id)
        url = change.url.get_secret_value()
        address = url, await _checked(AlertRouteKind(kept.kind), url, state.settings)
    given: dict[str, Any] = {"name": change.name, "enabled": change.enabled}
    given["least"] = None if change.severity is None else change.severity.value
    changes = {name: value for name, value in given.items() if value is not None}
    if "kinds" in change.model_fields_set:
        changes["kinds"] = _named(change.kinds)
    row, secret = await routes.change(principal, alert_route_id, changes, address=address, new_secret=change.new_secret)
    return RouteWithSecret.model_validate(RouteInfo.of(row).model_dump() | {"secret": secret})


@router.delete("/{alert_route_id}", status_code=204)
async def delete_route(alert_route_id: str, state: CurrentState, principal: Manager) -> Response:
    """Remove a route, with what is on its way there."""
    await _routes(state).remove(principal, alert_route_id)
    return Response(status_code=204)


@router.post("/{alert_route_id}/test", status_code=202)
async def test_route(alert_route_id: str, state: CurrentState, principal: Manager) -> NoticeInfo:
    """Send a test notice. How it went is among the route's notices."""
    return NoticeInfo.of(await _routes(state).try_out(principal, alert_route_id))


@router.get("/{alert_route_id}/notices", response_model=NoticePage)
async def list_notices(alert_route_id: str, state: CurrentState, principal: Manager, paging: Paging) -> dict[str, object]:
    """List what was sent there, and what is on its way."""
    rows = await _routes(state).notices(principal, alert_route_id, limit=paging.limit + 1, before=paging.after)
    shown = rows[: paging.limit]
    return page([NoticeInfo.of(row) for row in shown], shown[-1].id if len(rows) > paging.limit else None)


def _routes(state: State) -> AlertRoutes:
    return AlertRoutes(state.database)


def _named(kinds: list[AlertKind] | None) -> list[str] | None:
    return None if kinds is None else sorted({kind.value for kind in kinds})


async def _checked(kind: AlertRouteKind, url: str, settings: Settings) -> str:
    """What may be shown of an address, once it is found good."""
    if kind is AlertRouteKind.APPRISE:
        return await asyncio.to_thread(check_service, url, settings)
    if (problem := problem_of(url, settings.tls)) is not None:
        raise InvalidRequest(f"The address cannot be used: {problem}.", code="invalid_alert_route", param="url")
    allowed = FetchSettings(timeout_s=settings.alerts.timeout_s, private_networks=settings.alerts.private_networks)
    fetching.check(url, allowed=allowed)
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.hostname}/…"
