"""Tenants: made, listed and closed by the operator."""

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from core import audit
from core.database import Database, utc_now
from core.errors import Conflict, NotFound
from core.principals import DEFAULT_TENANT, Principal, Role, held_in
from core.tables import APIKey, Tenant
from server.access.epoch import raise_epoch
from server.access.keys import KeyRights, Keys


class Tenants:
    """Of the whole installation: for holders of `tenants:manage`, who are of the default tenant."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def page(self, limit: int, after: str | None) -> tuple[Sequence[Tenant], str | None]:
        """Tenants by identifier, and the position of the next page."""
        query = select(Tenant).order_by(Tenant.id).limit(limit + 1)
        if after is not None:
            query = query.where(Tenant.id > after)
        async with self._database.session(all_tenants=True) as session:
            rows = (await session.exec(query)).all()
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None

    async def create(self, principal: Principal, tenant_id: str, name: str) -> tuple[Tenant, APIKey, str]:
        """A new tenant, and its first administrator's key, which is shown this once.

        Raises:
            Conflict: `already_exists`.
        """
        tenant = Tenant(id=tenant_id, name=name)
        try:
            async with self._database.transaction(all_tenants=True) as session:
                session.add(tenant)
                await audit.record(session, audit.Action.TENANT_CREATED, on=("tenant", tenant.id), principal=principal)
        except IntegrityError:
            raise Conflict("There is a tenant of this identifier already.", code="already_exists", param="id") from None
        first = Principal(principal.id, tenant.id, principal.name, principal.role, held_in(tenant.id, principal.scopes))
        row, key = await self._keys.create(first, "administrator", KeyRights(Role.ADMIN))
        return tenant, row, key

    async def close(self, principal: Principal, tenant_id: str, *, closed: bool) -> Tenant:
        """Refuse all of a tenant's principals within a second, or let them in again. Its data stays.

        Raises:
            NotFound: `tenant_not_found`.
            Conflict: `own_tenant`: the default tenant is the operator's.
        """
        if tenant_id == DEFAULT_TENANT:
            raise Conflict("The default tenant cannot be closed.", code="own_tenant")
        async with self._database.transaction(all_tenants=True) as session:
            tenant = await session.get(Tenant, tenant_id, with_for_update=True)
            if tenant is None:
                raise NotFound("There is no such tenant.", code="tenant_not_found")
            tenant.disabled_at = utc_now() if closed else None
            session.add(tenant)
            await raise_epoch(session)
            details: dict[str, audit.Detail] = {"disabled": closed}
            await audit.record(
                session, audit.Action.TENANT_CHANGED, on=("tenant", tenant.id), details=details, principal=principal
            )
        return tenant
