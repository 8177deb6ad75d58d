"""Alerts, where they are told, and the notices that are on their way."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.principals import DEFAULT_TENANT
from core.tables.columns import created_now, identifier, json_list_or_none, json_object, moment, required_moment


class AlertState(StrEnum):
    """Whether it still goes wrong."""

    FIRING = "firing"
    RESOLVED = "resolved"


class AlertRouteKind(StrEnum):
    """A signed request to an address, or a service that Apprise knows."""

    WEBHOOK = "webhook"
    APPRISE = "apprise"


class DeliveryState(StrEnum):
    """What has become of a notice."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class AlertRow(SQLModel, table=True):
    """An alert as it stands: one row for each thing that goes wrong, however often. With `platform` it is the operator's, in
    the default tenant. `told_at` is when it was last told of, over all processes; `open_notice` whether that it is over is
    still to be told."""

    __tablename__ = "alerts"
    __table_args__ = (
        UniqueConstraint("tenant", "platform", "kind", "key"),
        Index("ix_alerts_tenant_first_seen", "tenant", "first_seen"),
    )

    id: str = identifier("alert")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64)
    platform: bool = Field(default=False)
    kind: str = Field(max_length=32)
    key: str = Field(max_length=320)
    severity: str = Field(max_length=16)
    state: str = Field(default=AlertState.FIRING.value, max_length=16)
    subject: dict[str, Any] = json_object()
    facts: dict[str, Any] = json_object()
    count: int = 1
    first_seen: datetime = required_moment()
    last_seen: datetime = required_moment()
    told_at: datetime = required_moment()
    open_notice: bool = True
    resolved_at: datetime | None = moment()


class AlertRoute(SQLModel, table=True):
    """Where alerts are told. `target` is sealed: `url`, and the `secret` that webhooks are signed with; `hint` shows where it
    goes without telling a secret. `kinds` are those that go there, None: all; `least` is the least severity.

    With `platform` it is for the platform's alerts rather than the tenant's. `withheld` counts notices that a storm had too
    many of, since the last one that was sent.
    """

    __tablename__ = "alert_routes"

    id: str = identifier("route")
    tenant: str = Field(default=DEFAULT_TENANT, max_length=64, index=True)
    platform: bool = Field(default=False)
    name: str = Field(max_length=200)
    kind: str = Field(max_length=16)
    target: dict[str, Any] = json_object()
    hint: str = Field(default="", max_length=200)
    kinds: list[str] | None = json_list_or_none()
    least: str = Field(max_length=16)
    enabled: bool = True
    withheld: int = 0
    created_by: str = Field(max_length=64, description="the principal's id")
    created_at: datetime = created_now()
    changed_at: datetime = created_now()


class AlertDelivery(SQLModel, table=True):
    """A notice for one route: on its way until it has arrived, or is given up. `leased_until`: a worker is at it."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (Index("ix_alert_deliveries_state_next_at", "state", "next_at"),)

    id: str = identifier("notice")
    tenant: str = Field(max_length=64, index=True)
    route_id: str = Field(max_length=64, index=True)
    alert_id: str | None = Field(default=None, max_length=64)
    body: dict[str, Any] = json_object()
    state: str = Field(default=DeliveryState.WAITING.value, max_length=16)
    attempts: int = 0
    error: str | None = Field(default=None, max_length=64)
    created_at: datetime = required_moment()
    next_at: datetime = required_moment()
    leased_until: datetime | None = moment()
    ended_at: datetime | None = moment()
