"""Keys: made, listed, revoked, and found again by what a caller shows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core.database import Database, utc_now
from core.errors import Conflict, NotFound
from core.keys import Hasher, key_hint, new_key
from core.principals import DEFAULT_TENANT, Principal, Role
from core.tables import APIKey

#: The key of the first start, or the one that `GENAI_ADMIN_KEY` sets.
ADMINISTRATOR_ID = "key_administrator"
_PURPOSE = "key"
#: A key's last use is written down at most this often.
_USE_RESOLUTION = timedelta(minutes=5)


class Keys:
    """Keys are shown once, when they are made; only their digests are stored."""

    def __init__(self, database: Database, hasher: Hasher) -> None:
        self._database = database
        self._hasher = hasher

    async def create(
        self, principal: Principal, name: str, role: Role, *, expires_at: datetime | None = None
    ) -> tuple[APIKey, str]:
        """A new key of the principal's tenant: its row, and the key itself, which cannot be had again."""
        key = new_key()
        row = APIKey(
            tenant=principal.tenant,
            name=name,
            role=role.value,
            digest=self._hasher.digest(_PURPOSE, key),
            hint=key_hint(key),
            expires_at=expires_at,
        )
        async with self._database.transaction() as session:
            session.add(row)
        return row, key

    async def find(self, key: str) -> APIKey | None:
        """The row of a key that is valid now; None otherwise. Notes the use."""
        async with self._database.session() as session:
            statement = select(APIKey).where(APIKey.digest == self._hasher.digest(_PURPOSE, key), *valid_now())
            row = (await session.exec(statement)).first()
        if row is not None:
            await self.note_use(row)
        return row

    async def note_use(self, row: APIKey) -> None:
        """Write down that the key is in use, unless that was done just before."""
        now = utc_now()
        if row.last_used_at is None or now - row.last_used_at > _USE_RESOLUTION:
            async with self._database.transaction() as session:
                await session.exec(update(APIKey).where(col(APIKey.id) == row.id).values(last_used_at=now))

    async def list(self, tenant: str, limit: int, after: str | None) -> tuple[Sequence[APIKey], str | None]:
        """Keys of a tenant by identifier, revoked ones included, and the position of the next page."""
        statement = select(APIKey).where(APIKey.tenant == tenant).order_by(APIKey.id).limit(limit + 1)
        if after is not None:
            statement = statement.where(APIKey.id > after)
        async with self._database.session() as session:
            rows = (await session.exec(statement)).all()
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None

    async def get(self, tenant: str, key_id: str) -> APIKey:
        """Raises NotFound (`key_not_found`), for another tenant's key as well."""
        async with self._database.session() as session:
            return await _get(session, tenant, key_id)

    async def revoke(self, tenant: str, key_id: str) -> None:
        """End a key and every browser session made from it. Revoking twice changes nothing.

        Raises:
            NotFound: `key_not_found`.
            Conflict: `last_administrator`, it is the last key that may manage keys.
        """
        async with self._database.transaction() as session:
            row = await _get(session, tenant, key_id)
            if row.revoked_at is not None:
                return
            if row.role == Role.ADMIN:
                others = select(func.count()).where(
                    APIKey.tenant == tenant, APIKey.role == Role.ADMIN.value, APIKey.id != key_id, *valid_now()
                )
                if (await session.exec(others)).one() == 0:
                    raise Conflict("This is the last administrator's key. Make another one first.", code="last_administrator")
            row.revoked_at = utc_now()
            session.add(row)

    async def ensure_administrator(self, configured: str | None) -> str | None:
        """Make sure that the administrator's key is there, and is the configured one where one is configured.

        Returns:
            The key that was made now, or the configured one if it was stored for the first time; None when it was there
            already. Several processes may call this at once: one of them gets the key.
        """
        key = configured or new_key()
        digest = self._hasher.digest(_PURPOSE, key)
        try:
            async with self._database.transaction() as session:
                row = await session.get(APIKey, ADMINISTRATOR_ID)
                if row is not None:
                    if configured and row.digest != digest:
                        row.digest, row.hint, row.revoked_at = digest, key_hint(key), None
                        session.add(row)
                    return None
                session.add(
                    APIKey(
                        id=ADMINISTRATOR_ID,
                        tenant=DEFAULT_TENANT,
                        name="administrator",
                        role=Role.ADMIN.value,
                        digest=digest,
                        hint=key_hint(key),
                    )
                )
        except IntegrityError:  # another process was quicker
            return None
        return key


def valid_now() -> tuple[ColumnElement[bool], ...]:
    """The conditions of a key that is neither revoked nor expired."""
    return (
        col(APIKey.revoked_at).is_(None),
        or_(col(APIKey.expires_at).is_(None), col(APIKey.expires_at) > utc_now()),
    )


async def _get(session: AsyncSession, tenant: str, key_id: str) -> APIKey:
    row = await session.get(APIKey, key_id)
    if row is None or row.tenant != tenant:
        raise NotFound("There is no key of that identifier.", code="key_not_found")
    return row
