"""Tenants: made, listed and closed by the operator."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from core import audit
from core.data_requests import open_about, open_request
from core.database import Database, utc_now
from core.errors import Conflict, NotFound
from core.principals import DEFAULT_TENANT, Principal, Role, held_in
from core.tables import APIKey, AuditHead, DataRequest, DataRequestKind, Job, Tenant
from server.access.epoch import raise_epoch
from server.access.keys import KeyRights, Keys
from server.access.limits import refuse_limited


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
        """A new tenant, and its first administrator's key, which is shown this once: both, or neither.

        Raises:
            Conflict: `already_exists`.
            Forbidden: `more_than_own`: the caller lacks a right that the key has, or has it with limits or for a time alone;
                `sign_in_needed`: a token makes no keys.
        """
        tenant = Tenant(id=tenant_id, name=name)
        try:
            async with self._database.transaction(all_tenants=True) as session:
                await refuse_limited(session, principal)
                if await session.get(AuditHead, tenant_id) is not None:
                    raise _taken()  # by one that was erased: its record stays, and is nobody else's
                session.add(tenant)
                await audit.record(session, audit.Action.TENANT_CREATED, on=("tenant", tenant.id), principal=principal)
                there = replace(principal, tenant=tenant.id, scopes=held_in(tenant.id, principal.scopes))
                row, key = await self._keys.create_in(session, there, "administrator", KeyRights(Role.ADMIN))
        except IntegrityError:
            raise _taken() from None
        return tenant, row, key

    async def close(self, principal: Principal, tenant_id: str, *, closed: bool) -> Tenant:
        """Refuse all of a tenant's principals within a second, or let them in again. Its data stays.

        Raises:
            NotFound: `tenant_not_found`.
            Conflict: `own_tenant`: the default tenant is the operator's; `being_erased`.
        """
        if tenant_id == DEFAULT_TENANT:
            raise Conflict("The default tenant cannot be closed.", code="own_tenant")
        async with self._database.transaction(all_tenants=True) as session:
            tenant = await session.get(Tenant, tenant_id, with_for_update=True)
            if tenant is None:
                raise NotFound("There is no such tenant.", code="tenant_not_found")
            if await open_about(session, DataRequestKind.ERASE_TENANT, tenant.id) is not None:
                raise Conflict("This tenant is being erased.", code="being_erased")
            tenant.disabled_at = utc_now() if closed else None
            session.add(tenant)
            await raise_epoch(session)
            details: dict[str, audit.Detail] = {"disabled": closed}
            await audit.record(
                session, audit.Action.TENANT_CHANGED, on=("tenant", tenant.id), details=details, principal=principal
            )
        return tenant

    async def erase(self, principal: Principal, tenant_id: str) -> tuple[DataRequest, Job]:
        """Refuse all of a tenant's principals within a second, and have everything of it erased by a job, its keys at last.
        Asked again, the same job.

        Raises:
            NotFound: `tenant_not_found`.
            Conflict: `own_tenant`.
        """
        if tenant_id == DEFAULT_TENANT:
            raise Conflict("The default tenant cannot be deleted.", code="own_tenant")
        async with self._database.transaction(all_tenants=True) as session:
            tenant = await session.get(Tenant, tenant_id, with_for_update=True)
            if tenant is None:
                raise NotFound("There is no such tenant.", code="tenant_not_found")
            if (known := await open_about(session, DataRequestKind.ERASE_TENANT, tenant.id)) is not None:
                return known, await session.get_one(Job, known.job_id)
            tenant.disabled_at = tenant.disabled_at or utc_now()
            session.add(tenant)
            await raise_epoch(session)
            request, job = await open_request(
                session, principal, DataRequestKind.ERASE_TENANT, subject=tenant.id, subject_tenant=tenant.id
            )
            details: dict[str, audit.Detail] = {"job": job.id}
            on = ("tenant", tenant.id)
            await audit.record(session, audit.Action.TENANT_DELETED, on=on, details=details, principal=principal)
        return request, job


def _taken() -> Conflict:
    return Conflict("There is a tenant of this identifier already, or there was.", code="already_exists", param="id")
