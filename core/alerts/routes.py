"""Where a tenant's alerts, or the platform's, are told: routes are added, shown, changed, tried and removed here.

Addresses and secrets are sealed in the database and leave it by `target_of` alone. Lists show a hint.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlmodel import col, delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.alerts.notices import trial_notice
from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.encryption.plain_forms import is_secrets
from core.errors import Conflict, NotFound
from core.principals import Principal, Scope
from core.tables import AlertDelivery, AlertRoute, AlertRouteKind

#: Routes that a tenant may have: each alert is looked at for all of them.
MOST_ROUTES: Final = 50
_CHANGEABLE: Final = frozenset({"name", "kinds", "least", "enabled"})


class AlertRoutes:
    """The routes of a tenant. Another's is not found, nor the platform's by who is no operator. Every act is put on record."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, principal: Principal, row: AlertRoute, url: str, hint: str) -> tuple[AlertRoute, str | None]:
        """Keep a route with its address, and the secret that its webhooks are signed with; None for other kinds.

        Raises:
            Forbidden: the platform's alerts, by who is no operator.
            Conflict: `too_many_alert_routes`.
        """
        if row.platform and not may_see_platform(principal):
            raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="do that for the platform")
        secret = _new_secret() if row.kind == AlertRouteKind.WEBHOOK else None
        await self._put(row, url, hint, secret)
        async with self._database.transaction(principal.tenant) as session:
            if (await session.exec(select(func.count()).select_from(AlertRoute))).one() >= MOST_ROUTES:
                raise Conflict(f"A tenant has {MOST_ROUTES} routes at most.", code="too_many_alert_routes")
            session.add(row)
            await _record(session, row, "created")
        return row, secret

    async def get(self, principal: Principal, route_id: str) -> AlertRoute:
        """Raises NotFound (`alert_route_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            return await _found(session, principal, route_id)

    async def all(self, principal: Principal) -> Sequence[AlertRoute]:
        """In the order in which they were made."""
        query = select(AlertRoute).order_by(col(AlertRoute.created_at), col(AlertRoute.id))
        async with self._database.session(principal.tenant) as session:
            rows = (await session.exec(query)).all()
        return [row for row in rows if not row.platform or may_see_platform(principal)]

    async def target_of(self, row: AlertRoute) -> dict[str, str]:
        """`url`, and for a webhook `secret`: to send to, never to be shown, logged or sent elsewhere.

        Raises:
            DecryptionFailed: they are not what was kept in this row.
        """
        found: dict[str, str] = await self._database.keyring.open_json(_place(row), row.target, fits=is_secrets)
        return found

    async def change(
        self,
        principal: Principal,
        route_id: str,
        changes: Mapping[str, Any],
        *,
        address: tuple[str, str] | None = None,
        new_secret: bool = False,
    ) -> tuple[AlertRoute, str | None]:
        """Change the named columns, the address (with its hint) where one is given, the secret where a new one is asked for;
        that secret.

        Raises:
            NotFound: `alert_route_not_found`.
            Conflict: `no_secret`: the route signs nothing.
        """
        kept = await self.get(principal, route_id)
        secret = _new_secret() if new_secret else None
        if secret is not None and kept.kind != AlertRouteKind.WEBHOOK:
            raise Conflict("Only webhooks are signed.", code="no_secret", param="new_secret")
        if address is not None or secret is not None:
            target = await self.target_of(kept)
            url, hint = address or (target["url"], kept.hint)
            await self._put(kept, url, hint, secret or target.get("secret"))
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, route_id, to_change=True)
            for name in _CHANGEABLE & changes.keys():
                setattr(row, name, changes[name])
            if address is not None or secret is not None:
                row.target, row.hint = kept.target, kept.hint
            row.changed_at = utc_now()
            session.add(row)
            await _record(session, row, "changed")
        return row, secret

    async def remove(self, principal: Principal, route_id: str) -> None:
        """Forget it, with the notices on their way there. Raises NotFound (`alert_route_not_found`)."""
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, route_id, to_change=True)
            await session.exec(delete(AlertDelivery).where(col(AlertDelivery.route_id) == row.id))
            await session.delete(row)
            await _record(session, row, "removed")

    async def try_out(self, principal: Principal, route_id: str) -> AlertDelivery:
        """Put a test notice on its way. Raises NotFound (`alert_route_not_found`)."""
        now = utc_now()
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, route_id)
            sent = AlertDelivery(tenant=row.tenant, route_id=row.id, created_at=now, next_at=now)
            sent.body = {"id": sent.id, **trial_notice(row.tenant, now, platform=row.platform)}
            session.add(sent)
            await _record(session, row, "tested")
        return sent

    async def notices(self, principal: Principal, route_id: str, *, limit: int, before: str | None) -> Sequence[AlertDelivery]:
        """What was sent there and what is on its way, the newest first; `before` is the identifier of one, None: from the
        newest on. Raises NotFound (`alert_route_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            await _found(session, principal, route_id)
            query = select(AlertDelivery).where(AlertDelivery.route_id == route_id)
            if before is not None:
                last = await session.get(AlertDelivery, before)
                if last is None or last.route_id != route_id:
                    return []
                at = col(AlertDelivery.created_at)
                query = query.where((at < last.created_at) | ((at == last.created_at) & (col(AlertDelivery.id) < last.id)))
            newest = col(AlertDelivery.created_at).desc(), col(AlertDelivery.id).desc()
            return (await session.exec(query.order_by(*newest).limit(limit))).all()

    async def _put(self, row: AlertRoute, url: str, hint: str, secret: str | None) -> None:
        target = {"url": url} if secret is None else {"url": url, "secret": secret}
        row.target = await self._database.keyring.seal_json(_place(row), target)
        row.hint = hint


def may_see_platform(principal: Principal) -> bool:
    """Whether the platform's own alerts are theirs to see: the operator's."""
    return principal.may(Scope.PROVIDERS_MANAGE)


async def _found(session: AsyncSession, principal: Principal, route_id: str, *, to_change: bool = False) -> AlertRoute:
    row = await session.get(AlertRoute, route_id, with_for_update=to_change or None)
    if row is None or row.tenant != principal.tenant or (row.platform and not may_see_platform(principal)):
        raise NotFound("There is no such route.", code="alert_route_not_found")
    return row


async def _record(session: AsyncSession, row: AlertRoute, change: str) -> None:
    details: dict[str, audit.Detail] = {"change": change, "kind": row.kind, "platform": row.platform}
    await audit.record(session, audit.Action.ALERT_ROUTE_CHANGED, on=("alert_route", row.id), details=details)


def _new_secret() -> str:
    return f"whsec_{secrets.token_urlsafe(32)}"


def _place(row: AlertRoute) -> Place:
    return Place(row.tenant, AlertRoute.__tablename__, "target", row.id)
