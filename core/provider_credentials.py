"""Credentials of providers that administrators keep at run time: added, read by whoever calls the provider, replaced, removed.

The secrets are sealed in the database and leave it by `secrets_of` alone. Lists tell two apart by a hint.
"""

from collections.abc import Mapping, Sequence

from sqlmodel import col, delete, select

from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.errors import InvalidRequest, NotFound
from core.keys import key_hint
from core.principals import Principal
from core.settings import ProviderSettings
from core.tables import ProviderCredential

#: What of a provider's settings is a secret that may be kept here.
SECRET_NAMES = ("api_key", "access_key_id", "secret_access_key", "session_token")
_LONGEST_SECRET = 16 * 2**10


class ProviderCredentials:
    """The credentials of a tenant. Another's is not found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, principal: Principal, *, provider: str, name: str, secrets: Mapping[str, str]) -> ProviderCredential:
        """Keep a credential.

        Raises:
            InvalidRequest: `invalid_credential`: no secret, or one that a provider's settings do not have.
        """
        row = ProviderCredential(tenant=principal.tenant, provider=provider, name=name, created_by=principal.id)
        await self._put(row, secrets)
        async with self._database.transaction(principal.tenant) as session:
            session.add(row)
        return row

    async def get(self, principal: Principal, credential_id: str) -> ProviderCredential:
        """Raises NotFound (`credential_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            row = await session.get(ProviderCredential, credential_id)
        if row is None or row.tenant != principal.tenant:
            raise NotFound("There is no such credential.", code="credential_not_found")
        return row

    async def all(self, principal: Principal, *, provider: str | None = None) -> Sequence[ProviderCredential]:
        """The newest first."""
        query = select(ProviderCredential).where(ProviderCredential.tenant == principal.tenant)
        if provider is not None:
            query = query.where(ProviderCredential.provider == provider)
        async with self._database.session(principal.tenant) as session:
            newest = (col(ProviderCredential.created_at).desc(), col(ProviderCredential.id).desc())
            return (await session.exec(query.order_by(*newest))).all()

    async def secrets_of(self, row: ProviderCredential) -> dict[str, str]:
        """The secrets, to call the provider with: never to be shown, logged or sent elsewhere.

        Raises:
            DecryptionFailed: they are not what was kept in this row.
        """
        found: dict[str, str] = await self._database.keyring.open_json(_place(row), row.secrets)
        return found

    async def settings_of(self, row: ProviderCredential, configured: ProviderSettings) -> ProviderSettings:
        """What is configured for the provider, with these secrets in place of those. Raises as `secrets_of` does."""
        others = configured.model_dump(exclude=set(SECRET_NAMES), exclude_unset=True)
        return ProviderSettings.model_validate(others | await self.secrets_of(row))

    async def replace(self, principal: Principal, credential_id: str, secrets: Mapping[str, str]) -> ProviderCredential:
        """Other secrets in the same place: what is called from now on is called with them.

        Raises:
            NotFound: `credential_not_found`.
            InvalidRequest: `invalid_credential`.
        """
        row = await self.get(principal, credential_id)
        await self._put(row, secrets)
        row.rotated_at, row.tested_at, row.test_code = utc_now(), None, None
        async with self._database.transaction(principal.tenant) as session:
            await session.merge(row)
        return row

    async def tested(self, principal: Principal, credential_id: str, code: str) -> ProviderCredential:
        """Note how a try went: the code of its error, empty for a success. Raises NotFound."""
        row = await self.get(principal, credential_id)
        row.tested_at, row.test_code = utc_now(), code[:64]
        async with self._database.transaction(principal.tenant) as session:
            await session.merge(row)
        return row

    async def remove(self, principal: Principal, credential_id: str) -> None:
        """Forget it. Raises NotFound (`credential_not_found`)."""
        row = await self.get(principal, credential_id)
        async with self._database.transaction(principal.tenant) as session:
            await session.exec(delete(ProviderCredential).where(col(ProviderCredential.id) == row.id))

    async def _put(self, row: ProviderCredential, secrets: Mapping[str, str]) -> None:
        """Seal the secrets into the row."""
        unknown = [name for name in secrets if name not in SECRET_NAMES]
        if not secrets or unknown or not all(0 < len(value) <= _LONGEST_SECRET for value in secrets.values()):
            raise InvalidRequest(f"A credential has one or more of {', '.join(SECRET_NAMES)}.", code="invalid_credential")
        row.secrets = await self._database.keyring.seal_json(_place(row), dict(secrets))
        row.hint = key_hint(next(secrets[name] for name in SECRET_NAMES if name in secrets))


def _place(row: ProviderCredential) -> Place:
    return Place(row.tenant, ProviderCredential.__tablename__, "secrets", row.id)
