"""People and tenants for tests of signing in."""

from dataclasses import replace
from typing import Any

from core.database import Database
from core.principals import SYSTEM, Principal
from core.tables import Tenant, User
from tests.server.conftest import Guarded

PASSWORD = "correct horse battery staple"
ADDRESS = "ada@example.test"


async def person(database: Database, **fields: Any) -> User:
    """A user, in a tenant that is made where it is missing."""
    user = User(**({"tenant": "default", "name": "Ada", "email": ADDRESS} | fields))
    async with database.transaction(all_tenants=True) as session:
        if await session.get(Tenant, user.tenant) is None:
            session.add(Tenant(id=user.tenant, name=user.tenant))
            await session.flush()
        session.add(user)
    return user


async def person_with_password(guarded: Guarded, database: Database, **fields: Any) -> User:
    """The same, with `PASSWORD`."""
    user = await person(database, **fields)
    await guarded.access.passwords.set(user.tenant, user.id, PASSWORD)
    return user


def principal_in(tenant: str) -> Principal:
    """Somebody of the tenant who may do everything there."""
    return replace(SYSTEM, id="maker", tenant=tenant)
