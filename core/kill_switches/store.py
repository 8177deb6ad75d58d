"""Kill switches in the database: listed, set and lifted by administrators."""

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.database import Database
from core.epoch import raise_epoch
from core.errors import InvalidRequest, NotFound
from core.principals import Principal, Scope
from core.tables import KillKind, KillSwitch, Tenant

_OBJECT_CHARACTERS = 200


class KillSwitchStore:
    """Those of a tenant and, for who holds `providers:manage`, those that hold for all tenants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, principal: Principal) -> Sequence[KillSwitch]:
        """Those that concern the principal's tenant, the newest first; what is set for other tenants by name only for who may
        set it."""
        newest = (col(KillSwitch.created_at).desc(), col(KillSwitch.id).desc())
        query = select(KillSwitch).where(or_(KillSwitch.tenant == principal.tenant, col(KillSwitch.everywhere).is_(True)))
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(query.order_by(*newest))).all()
        mine = principal.may(Scope.PROVIDERS_MANAGE)
        return [row for row in rows if mine or row.kind != KillKind.TENANT.value or row.name == principal.tenant]

    async def put(
        self, principal: Principal, kind: KillKind, name: str, *, reason: str, everywhere: bool | None = None
    ) -> KillSwitch:
        """Switch it off; where it is off already, for another reason. It holds for all tenants if the principal may say so.

        Raises:
            Forbidden: for all tenants, without the right to.
            NotFound: `tenant_not_found`.
        """
        everywhere = _reach(principal, kind, everywhere)
        if kind is KillKind.TENANT:
            await self._check_tenant(name)
        try:
            return await self._put(principal, kind, name, reason=reason, everywhere=everywhere)
        except IntegrityError:  # another has set it at the same time
            return await self._put(principal, kind, name, reason=reason, everywhere=everywhere)

    async def lift(self, principal: Principal, kind: KillKind, name: str, *, everywhere: bool | None = None) -> None:
        """Switch it on again.

        Raises:
            Forbidden: for all tenants, without the right to.
            NotFound: `kill_switch_not_found`.
        """
        everywhere = _reach(principal, kind, everywhere)
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, kind, name, everywhere)
            if row is None:
                raise NotFound("Nothing of that name is switched off.", code="kill_switch_not_found")
            await session.delete(row)
            await raise_epoch(session)
            await _record(session, audit.Action.KILL_SWITCH_LIFTED, row)

    async def _put(self, principal: Principal, kind: KillKind, name: str, *, reason: str, everywhere: bool) -> KillSwitch:
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, kind, name, everywhere)
            if row is None:
                row = KillSwitch(
                    tenant=principal.tenant, everywhere=everywhere, kind=kind.value, name=name, created_by=principal.id
                )
            row.reason = reason
            session.add(row)
            await raise_epoch(session)
            await _record(session, audit.Action.KILL_SWITCH_SET, row)
        return row

    async def _check_tenant(self, tenant: str) -> None:
        async with self._database.session(all_tenants=True) as session:
            if await session.get(Tenant, tenant) is None:
                raise NotFound("There is no such tenant.", code="tenant_not_found")


def _reach(principal: Principal, kind: KillKind, everywhere: bool | None) -> bool:
    """Whether a switch holds for all tenants."""
    may = principal.may(Scope.PROVIDERS_MANAGE)
    if kind is KillKind.TENANT:
        if everywhere is False:
            raise InvalidRequest("A tenant is switched off as a whole.", param="everywhere")
        everywhere = True
    if everywhere and not may:
        raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="do that for all tenants")
    return may if everywhere is None else everywhere


async def _found(session: AsyncSession, principal: Principal, kind: KillKind, name: str, everywhere: bool) -> KillSwitch | None:
    query = select(KillSwitch).where(
        KillSwitch.tenant == principal.tenant,
        KillSwitch.kind == kind.value,
        KillSwitch.name == name,
        col(KillSwitch.everywhere).is_(everywhere),
    )
    return (await session.exec(query.with_for_update())).first()


async def _record(session: AsyncSession, action: audit.Action, row: KillSwitch) -> None:
    on = "kill_switch", f"{row.kind}/{row.name}"[:_OBJECT_CHARACTERS]
    await audit.record(session, action, on=on, details={"everywhere": row.everywhere})
