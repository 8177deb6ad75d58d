"""Whom a limit can be for: teams, users and keys that the tenant has."""

from collections.abc import Mapping
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from core.errors import InvalidRequest
from core.tables import APIKey, Team, User

_TABLES: Mapping[str, tuple[Any, ...]] = {"team": (Team,), "user": (User, APIKey), "key": (APIKey,)}


async def refuse_unknown(session: AsyncSession, tenant: str, scope: Mapping[str, str | None]) -> None:
    """Refuse a scope (`team`, `user`, `key`) that names nobody of the tenant: its limit would never hold. A key that stands for
    itself is a user, too.

    Raises:
        InvalidRequest: `unknown_subject`; `param` names which.
    """
    for name, tables in _TABLES.items():
        identifier = scope[name]
        if identifier is None:
            continue
        found = [await session.get(table, identifier) for table in tables]
        if not any(row is not None and row.tenant == tenant for row in found):
            raise InvalidRequest(f"There is no such {name}.", code="unknown_subject", param=f"scope.{name}")
