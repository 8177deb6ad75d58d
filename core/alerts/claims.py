"""What the database says of alerts: whether one is to be told of, so that of all processes exactly one does, and the notices
that go out for it. What is claimed and the notices of it are committed together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, case, false, select, true
from sqlalchemy.dialects import postgresql, sqlite

from core.alerts.alerts import Alert
from core.alerts.kinds import AlertKind, Severity, subject_of
from core.alerts.notices import RAISED, RECOVERED, notice
from core.budgets.windows import Window
from core.principals import DEFAULT_TENANT
from core.tables.alerts import AlertDelivery, AlertRoute, AlertRow, AlertState, DeliveryState
from core.tables.budgets import Budget
from core.tables.columns import new_id
from core.tables.provider_credentials import ProviderCredential

#: The time over which the notices of a route are counted.
STORM = timedelta(minutes=10)
#: What is told of once until it is over: it stays true until the window of a budget ends.
TOLD_ONCE = frozenset({AlertKind.BUDGET_USED, AlertKind.BUDGET_FORECAST})
_LONGEST_KEY = 320
_CREDENTIAL = "cred_"

_ALERTS: Table = AlertRow.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
_ROUTES: Table = AlertRoute.__table__  # type: ignore[attr-defined]
_NOTICES: Table = AlertDelivery.__table__  # type: ignore[attr-defined]
_BUDGETS: Table = Budget.__table__  # type: ignore[attr-defined]
_CREDENTIALS: Table = ProviderCredential.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Whose:
    """The row that an alert has: whose it is, and under which key."""

    tenant: str
    platform: bool
    kind: AlertKind
    key: str


@dataclass(frozen=True, slots=True)
class Claims:
    """`window` is the time in which the same is told once; `storm` how many notices a route gets within `STORM`."""

    window: timedelta
    storm: int

    def claim(self, connection: Connection, alert: Alert, now: datetime) -> bool:
        """Take note of an alert. Whether it is to be told of: True for one process alone. Its notices are in the table then.
        Must be called in a transaction that may write."""
        whose = _whose(connection, alert, now)
        if alert.recovered:
            claimed = self._resolved(connection, whose, alert, now)
        else:
            claimed = self._raised(connection, whose, alert, now)
        if claimed:
            self._notify(connection, whose, RECOVERED if alert.recovered else RAISED, now)
        return claimed

    def _raised(self, connection: Connection, whose: Whose, alert: Alert, now: datetime) -> bool:
        told: dict[str, Any] = {
            "severity": alert.severity.value,
            "subject": subject_of(alert.facts),
            "facts": _plain(alert.facts),
            "last_seen": now,
            "state": AlertState.FIRING.value,
        }
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        first = {"id": new_id("alert")(), "first_seen": now, "told_at": now, "open_notice": True, "count": alert.count}
        where = {"tenant": whose.tenant, "platform": whose.platform, "kind": whose.kind.value, "key": whose.key}
        new = insert(_ALERTS).values(**where, **told, **first).on_conflict_do_nothing().returning(_ALERTS.c.id)
        if connection.execute(new).first() is not None:
            return True
        over = _ALERTS.c.state == AlertState.RESOLVED.value
        again = {
            **told,
            "resolved_at": None,
            "first_seen": case((over, now), else_=_ALERTS.c.first_seen),
            "count": case((over, alert.count), else_=_ALERTS.c.count + alert.count),
        }
        due = _ALERTS.c.told_at <= now - self.window
        if whose.kind in TOLD_ONCE:
            due = and_(due, over)
        claim = _ALERTS.update().where(_is(whose), due).values(**again, told_at=now, open_notice=True)
        if connection.execute(claim).rowcount == 1:
            return True
        connection.execute(_ALERTS.update().where(_is(whose)).values(**again))
        return False

    def _resolved(self, connection: Connection, whose: Whose, alert: Alert, now: datetime) -> bool:
        resolved = {
            "state": AlertState.RESOLVED.value,
            "resolved_at": now,
            "open_notice": False,
            "count": _ALERTS.c.count + alert.count,
        }
        firing = and_(_is(whose), _ALERTS.c.state == AlertState.FIRING.value)
        if connection.execute(_ALERTS.update().where(firing, _ALERTS.c.open_notice == true()).values(**resolved)).rowcount == 1:
            return True
        connection.execute(_ALERTS.update().where(firing).values(**resolved))  # that it fires again was not told either
        return False

    def _notify(self, connection: Connection, whose: Whose, event: str, now: datetime) -> None:
        row = dict(connection.execute(select(_ALERTS).where(_is(whose))).mappings().one())
        query = select(_ROUTES).where(
            _ROUTES.c.tenant == whose.tenant, _ROUTES.c.platform == whose.platform, _ROUTES.c.enabled == true()
        )
        for route in connection.execute(query).all():
            if (route.kinds is not None and row["kind"] not in route.kinds) or _below(row["severity"], route.least):
                continue
            recent = select(_NOTICES.c.id).where(_NOTICES.c.route_id == route.id, _NOTICES.c.created_at > now - STORM)
            if len(connection.execute(recent.limit(self.storm)).all()) >= self.storm:
                more = {"withheld": _ROUTES.c.withheld + 1}
                connection.execute(_ROUTES.update().where(_ROUTES.c.id == route.id).values(**more))
                continue
            add_notice(connection, route.id, whose.tenant, notice(event, row, now, withheld=route.withheld), now, row["id"])
            if route.withheld:
                connection.execute(_ROUTES.update().where(_ROUTES.c.id == route.id).values(withheld=0))


def add_notice(
    connection: Connection, route_id: str, tenant: str, body: Mapping[str, Any], now: datetime, alert_id: str | None = None
) -> str:
    """Put a notice on its way; its identifier, which the receiver sees as well."""
    identifier = new_id("notice")()
    connection.execute(
        _NOTICES.insert().values(
            id=identifier,
            tenant=tenant,
            route_id=route_id,
            alert_id=alert_id,
            body={"id": identifier, **body},
            state=DeliveryState.WAITING.value,
            attempts=0,
            created_at=now,
            next_at=now,
        )
    )
    return identifier


def _whose(connection: Connection, alert: Alert, now: datetime) -> Whose:
    """A credential's trouble is the tenant's that has put it in; a calendar budget's is of its window."""
    key, tenant = alert.key, alert.tenant
    if alert.kind in TOLD_ONCE and not alert.recovered and "since" not in alert.facts:
        key += _window_of(connection, alert.facts.get("budget"), now)
    _, _, account = key.rpartition("@")
    if tenant is None and account.startswith(_CREDENTIAL):
        query = select(_CREDENTIALS.c.tenant).where(
            _CREDENTIALS.c.id == account.partition(".")[0], _CREDENTIALS.c.everywhere != true()
        )
        tenant = connection.execute(query).scalar()
    return Whose(tenant or DEFAULT_TENANT, tenant is None, alert.kind, key[:_LONGEST_KEY])


def _window_of(connection: Connection, budget: object, now: datetime) -> str:
    text = connection.execute(select(_BUDGETS.c.window).where(_BUDGETS.c.id == budget)).scalar()
    if text is None or (window := Window(text)).end(now) is None:
        return ""
    return f"@{window.begin(now):%Y-%m-%d}"


def _is(whose: Whose) -> Any:
    return and_(
        _ALERTS.c.tenant == whose.tenant,
        _ALERTS.c.platform == (true() if whose.platform else false()),
        _ALERTS.c.kind == whose.kind.value,
        _ALERTS.c.key == whose.key,
    )


def _below(severity: str, least: str) -> bool:
    return Severity(severity).rank < Severity(least).rank


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON takes them."""
    return {name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in facts.items()}
