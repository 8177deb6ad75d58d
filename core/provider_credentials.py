"""Credentials of providers that administrators keep at run time: added, read by whoever calls the provider, replaced, removed.

The secrets are sealed in the database and leave it by `secrets_of` and `pending_of` alone. Lists tell two apart by a hint.
"""

from collections.abc import Mapping, Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.credential_forms import OPTION_NAMES, SECRET_NAMES, checked_options, checked_secrets, hint_of, project_of
from core.database import Database, utc_now
from core.encryption.envelope import Place
from core.encryption.plain_forms import is_secrets
from core.epoch import raise_epoch
from core.errors import Conflict, NotFound
from core.principals import Principal, Scope
from core.settings import ProviderSettings
from core.tables import ProviderCredential


class ProviderCredentials:
    """The credentials of a tenant. Another's is not found. Every act is put on record, and every process learns of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        principal: Principal,
        *,
        provider: str,
        name: str,
        secrets: Mapping[str, str],
        options: Mapping[str, str] | None = None,
        everywhere: bool = False,
    ) -> ProviderCredential:
        """Keep a credential. From now on it is what the tenant's calls are made with; with `everywhere` also those of tenants
        that have none of their own.

        Raises:
            InvalidRequest: `invalid_credential`: these make no credential of this provider.
            Forbidden: an address, or `everywhere`, that only an operator may give.
        """
        _check_reach(principal, everywhere=everywhere)
        row = ProviderCredential(tenant=principal.tenant, provider=provider, name=name, created_by=principal.id)
        row.everywhere = everywhere
        row.options = checked_options(provider, options or {}, principal)
        await self._put(row, checked_secrets(provider, secrets))
        async with self._database.transaction(principal.tenant) as session:
            session.add(row)
            await _changed(session, audit.Action.PROVIDER_CREDENTIAL_ADDED, row)
        return row

    async def get(self, principal: Principal, credential_id: str) -> ProviderCredential:
        """Raises NotFound (`credential_not_found`)."""
        async with self._database.session(principal.tenant) as session:
            return await _found(session, principal, credential_id)

    async def all(self, principal: Principal, *, provider: str | None = None) -> Sequence[ProviderCredential]:
        """The newest first."""
        query = select(ProviderCredential).where(ProviderCredential.tenant == principal.tenant)
        if provider is not None:
            query = query.where(ProviderCredential.provider == provider)
        async with self._database.session(principal.tenant) as session:
            return (await session.exec(query.order_by(*NEWEST))).all()

    async def secrets_of(self, row: ProviderCredential) -> dict[str, str]:
        """The secrets, to call the provider with: never to be shown, logged or sent elsewhere.

        Raises:
            DecryptionFailed: they are not what was kept in this row.
        """
        found: dict[str, str] = await self._database.keyring.open_json(_place(row, "secrets"), row.secrets, fits=is_secrets)
        return found

    async def pending_of(self, row: ProviderCredential) -> dict[str, str] | None:
        """The secrets that are to take their place, None where there are none. Raises as `secrets_of` does."""
        if row.pending is None:
            return None
        found: dict[str, str] = await self._database.keyring.open_json(_place(row, "pending"), row.pending, fits=is_secrets)
        return found

    async def settings_of(self, row: ProviderCredential, configured: ProviderSettings) -> ProviderSettings:
        """What is configured for the provider, with these secrets in place of those. Raises as `secrets_of` does."""
        return settings_with(configured, await self.secrets_of(row), row.options)

    async def replace(
        self, principal: Principal, credential_id: str, secrets: Mapping[str, str], *, overlap: bool = False
    ) -> ProviderCredential:
        """Other secrets in the same place: what is called from now on is called with them. With `overlap` they wait until they
        have passed a test (`tested`), and what was there goes on.

        Raises:
            NotFound: `credential_not_found`.
            InvalidRequest: `invalid_credential`.
            Forbidden: a credential for all tenants, without the right to those.
        """
        given = await self.get(principal, credential_id)
        checked = checked_secrets(given.provider, secrets)
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, credential_id, to_change=True)
            if overlap:
                await self._put(row, checked, pending=True)
            else:
                await self._put(row, checked)
                _took_place(row)
            session.add(row)
            await _changed(session, audit.Action.PROVIDER_CREDENTIAL_ROTATED, row, {"overlap": overlap})
        return row

    async def tested(
        self, principal: Principal, credential_id: str, code: str, *, pending: bool = False, version: int | None = None
    ) -> ProviderCredential:
        """Note how a try went: the code of its error, empty for a success. Pending secrets that passed take the others' place.

        Raises:
            NotFound: `credential_not_found`.
            Conflict: `credential_changed`: it is no longer what was tested (`version`, where given).
            Forbidden: a credential for all tenants, without the right to those.
        """
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, credential_id, to_change=True)
            if version not in (None, row.version) or (pending and row.pending is None):
                raise Conflict("The credential was changed while it was tested.", code="credential_changed")
            promoted = pending and not code
            if promoted:
                await self._put(row, await self.pending_of(row) or {})
                _took_place(row)
            row.tested_at, row.test_code = utc_now(), code[:64]
            session.add(row)
            details: dict[str, audit.Detail] = {"provider": row.provider, "code": code[:64], "took_place": promoted}
            if promoted:
                await raise_epoch(session)
            outcome = audit.Outcome.FAILURE if code else audit.Outcome.SUCCESS
            on = "provider_credential", row.id
            await audit.record(session, audit.Action.PROVIDER_CREDENTIAL_TESTED, on=on, details=details, outcome=outcome)
        return row

    async def remove(self, principal: Principal, credential_id: str) -> None:
        """Forget it. Raises NotFound (`credential_not_found`), Forbidden."""
        async with self._database.transaction(principal.tenant) as session:
            row = await _found(session, principal, credential_id, to_change=True)
            await session.delete(row)
            await _changed(session, audit.Action.PROVIDER_CREDENTIAL_REMOVED, row)

    async def _put(self, row: ProviderCredential, secrets: Mapping[str, str], *, pending: bool = False) -> None:
        """Seal the secrets into the row, `version` counting each."""
        row.version += 1
        if pending:
            row.pending = await self._database.keyring.seal_json(_place(row, "pending"), dict(secrets))
            row.pending_hint = hint_of(secrets)
        else:
            row.secrets = await self._database.keyring.seal_json(_place(row, "secrets"), dict(secrets))
            row.hint = hint_of(secrets)


#: Of several for one provider the first of these counts.
NEWEST = (col(ProviderCredential.created_at).desc(), col(ProviderCredential.id).desc())


def settings_with(configured: ProviderSettings, secrets: Mapping[str, str], options: Mapping[str, str]) -> ProviderSettings:
    """What is configured for a provider, for another account: nothing of what opens the configured one is left, nor, where the
    account has an address of its own, of the headers that were meant for the other."""
    left_out = {*SECRET_NAMES, "profile", "role", *options, *({"extra_headers"} if "base_url" in options else ())}
    others = configured.model_dump(exclude=left_out, exclude_unset=True)
    own = {name: value for name, value in options.items() if name in OPTION_NAMES}
    if project := project_of(secrets):
        others["project"] = project
    return ProviderSettings.model_validate(others | own | dict(secrets))


def _took_place(row: ProviderCredential) -> None:
    row.rotated_at, row.tested_at, row.test_code = utc_now(), None, None
    row.pending = row.pending_hint = None


async def _found(
    session: AsyncSession, principal: Principal, credential_id: str, *, to_change: bool = False
) -> ProviderCredential:
    row = await session.get(ProviderCredential, credential_id, with_for_update=to_change or None)
    if row is None or row.tenant != principal.tenant:
        raise NotFound("There is no such credential.", code="credential_not_found")
    if to_change:
        _check_reach(principal, everywhere=row.everywhere)
    return row


async def _changed(
    session: AsyncSession, action: audit.Action, row: ProviderCredential, details: Mapping[str, audit.Detail] | None = None
) -> None:
    """Have every process take it up, and put it on record."""
    await raise_epoch(session)
    told = {"provider": row.provider, "everywhere": row.everywhere, **(details or {})}
    await audit.record(session, action, on=("provider_credential", row.id), details=told)


def _is_operator(principal: Principal) -> bool:
    return principal.may(Scope.PROVIDERS_MANAGE)


def _check_reach(principal: Principal, *, everywhere: bool) -> None:
    if everywhere and not _is_operator(principal):
        raise denials.lacks(principal, Scope.PROVIDERS_MANAGE, act="do that for all tenants")


def _place(row: ProviderCredential, column: str) -> Place:
    return Place(row.tenant, ProviderCredential.__tablename__, column, row.id)
