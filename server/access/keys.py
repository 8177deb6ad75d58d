"""Keys: made, listed, rotated, revoked, and found again by what a caller shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_network

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.database import Database, utc_now
from core.errors import Conflict, InvalidRequest, NotFound, Unauthenticated
from core.keys import Hasher, is_well_formed, key_hint, new_key
from core.networks import Network
from core.principals import ANONYMOUS, DEFAULT_TENANT, SYSTEM, Principal, Role, Scope, allowed_by_both, beyond
from core.rights import scopes_of
from core.tables import APIKey, User
from server.access.administrators import hold, refuse_last
from server.access.credentials import principal_of_key, valid_now
from server.access.endings import hold_user
from server.access.epoch import raise_epoch
from server.access.giving import refuse_role, refuse_stead, refuse_stead_of
from server.access.limits import end_of_key

#: The key of the first start, or the one that `GENAI_ADMIN_KEY` sets.
ADMINISTRATOR_ID = "key_administrator"
_PURPOSE = "key"
#: A key's last use is written down at most this often.
_USE_RESOLUTION = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What a key may do. `scopes` narrows the role; None in any of the limits is no limit. `user_id`: whom it acts for."""

    role: str = Role.USER
    scopes: frozenset[Scope] | None = None
    models: frozenset[str] | None = None
    collections: frozenset[str] | None = None
    networks: tuple[Network, ...] | None = None
    user_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeySearch:
    """Which keys: those whose name holds `like`, or whose identifier or hint it is; those that act for a user; those alone that
    are neither revoked nor expired."""

    like: str | None = None
    user_id: str | None = None
    valid: bool = False


class Keys:
    """Keys are shown once, when they are made; only their digests are stored."""

    def __init__(self, database: Database, hasher: Hasher) -> None:
        self._database = database
        self._hasher = hasher

    async def create(self, principal: Principal, name: str, rights: KeyRights) -> tuple[APIKey, str]:
        """A new key of the principal's tenant: its row, and the key itself, which cannot be had again.

        Raises:
            Forbidden: `more_than_own`: the key would have a right that its maker has not, a role that is not theirs to give, or
                act for somebody whom they may not act for; `sign_in_needed`: a token makes none.
            InvalidRequest: `unknown_role`; `user_not_found`.
        """
        async with self._database.transaction(principal.tenant) as session:
            return await self.create_in(session, principal, name, rights)

    async def create_in(self, session: AsyncSession, principal: Principal, name: str, rights: KeyRights) -> tuple[APIKey, str]:
        """The same within a transaction, which comes to nothing where the key is refused. Raises as `create` does."""
        _refuse_token(principal)
        key = new_key()
        row = APIKey(
            tenant=principal.tenant,
            name=name,
            role=str(rights.role),
            digest=self._hasher.digest(_PURPOSE, key),
            hint=key_hint(key),
            expires_at=rights.expires_at,
            user_id=rights.user_id,
            scopes=_listed(rights.scopes),
            models=_listed(rights.models),
            collections=_listed(rights.collections),
            networks=None if rights.networks is None else [str(network) for network in rights.networks],
            own=await _own(session, principal, rights.user_id),
        )
        await _check(session, principal, rights)
        await refuse_role(session, principal, rights.role, collections=rights.collections)
        session.add(row)
        told = _told(row) | _stead(principal, row.user_id)
        await audit.record(session, audit.Action.KEY_CREATED, on=("key", row.id), details=told, principal=principal)
        return row, key

    async def user_of(self, principal: Principal) -> str | None:
        """The user who a principal is, however they came in; None where it is a key that stands for itself."""
        async with self._database.session(principal.tenant) as session:
            user = await session.get(User, principal.id)
        return None if user is None or user.tenant != principal.tenant else user.id

    async def rotate(self, principal: Principal, key_id: str, *, overlap: timedelta) -> tuple[APIKey, str]:
        """A new key in place of one, with the same rights and its end in time: the old one lives on for `overlap`, and no
        longer than it would have.

        Raises:
            NotFound: `key_not_found`.
            Conflict: `key_not_active`: it is revoked, expired or replaced already.
            Forbidden: `more_than_own`, for a key of somebody else as where one is made for them; `sign_in_needed`.
        """
        _refuse_token(principal)
        key = new_key()
        async with self._database.transaction(principal.tenant) as session:
            await hold_user(session, (await _get(session, principal.tenant, key_id)).user_id)
            old = await _get(session, principal.tenant, key_id, lock=True)
            now = utc_now()
            if old.revoked_at is not None or old.replaced_by is not None or (old.expires_at and old.expires_at <= now):
                raise Conflict("Only a key that is in use can be rotated.", code="key_not_active")
            await _check(session, principal, _rights_of(old))
            stead = _stead(principal, old.user_id or old.stands_for or old.id)
            if stead:  # the new key is shown to who rotates it
                refuse_stead_of(principal, frozenset())
                await refuse_role(session, principal, old.role, collections=_rights_of(old).collections)
            row = APIKey(
                **old.model_dump(include={"tenant", "name", "role", "user_id", "scopes", "models", "collections", "networks"}),
                digest=self._hasher.digest(_PURPOSE, key),
                hint=key_hint(key),
                expires_at=old.expires_at,
                stands_for=old.stands_for or old.id,
                own=await _own(session, principal, old.user_id),
            )
            session.add(row)
            old.replaced_by = row.id
            ends = now + overlap
            old.expires_at = ends if old.expires_at is None else min(ends, old.expires_at)
            await raise_epoch(session)
            left_s = int((old.expires_at - now).total_seconds())
            told: dict[str, audit.Detail] = {**stead, "replaced_by": row.id, "old_ends_in_s": left_s}
            await audit.record(session, audit.Action.KEY_ROTATED, on=("key", key_id), details=told, principal=principal)
        return row, key

    async def find(self, key: str) -> tuple[Principal, datetime | None] | None:
        """Whom a key stands for and until when; None where it is not valid now. Notes the use."""
        if not is_well_formed(key):
            return None
        async with self._database.session(all_tenants=True) as session:
            found = await principal_of_key(session, col(APIKey.digest) == self._hasher.digest(_PURPOSE, key))
            if found is None:
                await _note_ended(session, self._hasher.digest(_PURPOSE, key))
        if found is None:
            return None
        principal, row = found
        await self.note_use(row)
        return principal, row.expires_at

    async def note_use(self, row: APIKey) -> None:
        """Write down that the key is in use, unless that was done just before."""
        now = utc_now()
        if row.last_used_at is None or now - row.last_used_at > _USE_RESOLUTION:
            async with self._database.transaction(row.tenant) as session:
                await session.exec(update(APIKey).where(col(APIKey.id) == row.id).values(last_used_at=now))

    async def list(
        self, tenant: str, limit: int, after: str | None, wanted: KeySearch | None = None
    ) -> tuple[Sequence[APIKey], str | None]:
        """Keys of a tenant by identifier, revoked ones included unless `wanted` says otherwise, and the position of the next
        page."""
        wanted = wanted or KeySearch()
        statement = select(APIKey).where(APIKey.tenant == tenant).order_by(APIKey.id).limit(limit + 1)
        if wanted.valid:
            statement = statement.where(*valid_now())
        if wanted.like:
            named = col(APIKey.name).icontains(wanted.like, autoescape=True)
            statement = statement.where(or_(named, col(APIKey.id) == wanted.like, col(APIKey.hint) == wanted.like))
        if wanted.user_id is not None:
            statement = statement.where(APIKey.user_id == wanted.user_id)
        if after is not None:
            statement = statement.where(APIKey.id > after)
        async with self._database.session(tenant) as session:
            rows = (await session.exec(statement)).all()
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None

    async def get(self, tenant: str, key_id: str) -> APIKey:
        """Raises NotFound (`key_not_found`), for another tenant's key as well."""
        async with self._database.session(tenant) as session:
            return await _get(session, tenant, key_id)

    async def revoke(self, principal: Principal, key_id: str) -> None:
        """End a key and every browser session made from it. Revoking twice changes nothing.

        Keys that it took the place of, and that still go on for their overlap, end with it.

        Raises:
            NotFound: `key_not_found`.
            Forbidden: `more_than_own`, it may do more than the principal, or is for more, and is not their own.
            Conflict: `last_administrator`, it is the last key that administers everything, without a limit.
        """
        tenant = principal.tenant
        async with self._database.transaction(tenant) as session:
            await hold(session, tenant)
            row = await _get(session, tenant, key_id, lock=True)
            if row.revoked_at is not None:
                return
            await _refuse_wider(session, principal, row)
            ending = [row, *await _replaced(session, row)]
            await refuse_last(session, tenant, without_keys={each.id for each in ending})
            for each in ending:
                each.revoked_at = utc_now()
                session.add(each)
                await audit.record(session, audit.Action.KEY_REVOKED, on=("key", each.id), principal=principal)
            await raise_epoch(session)

    async def ensure_administrator(self, configured: str | None) -> str | None:
        """Make sure that the administrator's key is there, and is the configured one where one is configured.

        Returns:
            The key that was made now, or the configured one if it was stored for the first time; None when it was there
            already. Several processes may call this at once: one of them gets the key.
        """
        key = configured or new_key()
        digest = self._hasher.digest(_PURPOSE, key)
        try:
            async with self._database.transaction(DEFAULT_TENANT) as session:
                row = await session.get(APIKey, ADMINISTRATOR_ID)
                if row is not None:
                    if configured and row.digest != digest:
                        row.digest, row.hint, row.revoked_at = digest, key_hint(key), None
                        row.expires_at, row.replaced_by = None, None  # it may have been rotated before it was lost
                        session.add(row)
                        await raise_epoch(session)
                        await audit.record(
                            session, audit.Action.KEY_ROTATED, on=("key", row.id), details={"by": "settings"}, principal=SYSTEM
                        )
                    return None
                row = APIKey(
                    id=ADMINISTRATOR_ID,
                    tenant=DEFAULT_TENANT,
                    name="administrator",
                    role=Role.ADMIN.value,
                    digest=digest,
                    hint=key_hint(key),
                )
                session.add(row)
                await audit.record(session, audit.Action.KEY_CREATED, on=("key", row.id), details=_told(row), principal=SYSTEM)
        except IntegrityError:  # another process was quicker
            return None
        return key


async def _get(session: AsyncSession, tenant: str, key_id: str, *, lock: bool = False) -> APIKey:
    row = await session.get(APIKey, key_id, with_for_update=lock, populate_existing=lock)
    if row is None or row.tenant != tenant:
        raise NotFound("There is no key of that identifier.", code="key_not_found")
    return row


async def _replaced(session: AsyncSession, row: APIKey) -> list[APIKey]:
    """The keys whose place this one took, one after the other, that are still valid."""
    found: list[APIKey] = []
    replaced = [row.id]
    while replaced:
        chosen = select(APIKey).where(APIKey.tenant == row.tenant, col(APIKey.replaced_by).in_(replaced))
        former = (await session.exec(chosen.order_by(APIKey.id).with_for_update())).all()
        found += former
        replaced = [each.id for each in former]
    now = utc_now()
    return [each for each in found if each.revoked_at is None and (each.expires_at is None or each.expires_at > now)]


def _told(row: APIKey) -> dict[str, audit.Detail]:
    """What is put on record of a new key: what it may do, not its name."""
    kept = row.model_dump(include={"role", "user_id", "scopes", "models", "collections", "networks", "expires_at"}, mode="json")
    return {name: value for name, value in kept.items() if value is not None}


def _stead(principal: Principal, holder: str | None) -> dict[str, audit.Detail]:
    """What is put on record where a key that acts for another holder is shown to the principal."""
    return {} if holder in (None, principal.id) else {"on_behalf_of": holder}


async def _own(session: AsyncSession, principal: Principal, holder: str | None) -> bool:
    """Whether a key that is shown to the principal is its holder's alone: they ask for it themselves, signed in or with such a
    key."""
    shown = await session.get(APIKey, principal.key_id) if principal.key_id is not None else None
    return holder == principal.id and (principal.key_id is None or (shown is not None and shown.own))


def _refuse_token(principal: Principal) -> None:
    """A key would go on when the token's family has ended."""
    if principal.from_token:
        raise denials.shown_a_token(principal, "makes no keys")


async def _note_ended(session: AsyncSession, digest: str) -> None:
    """Put on record that a key was shown which is no longer valid. The caller is told what anybody with no key is told."""
    row = (await session.exec(select(APIKey).where(APIKey.digest == digest))).first()
    if row is None:
        return
    now = utc_now()
    who = replace(ANONYMOUS, id=row.user_id or row.id, tenant=row.tenant, key_id=row.id)
    reason = "revoked" if row.revoked_at else "expired" if row.expires_at and row.expires_at <= now else "owner_disabled"
    audit.note(audit.Action.REVOKED_KEY_USED, on=("key", row.id), details={"reason": reason}, principal=who)


async def _check(session: AsyncSession, maker: Principal, rights: KeyRights) -> None:
    """Refuse a key that could do more than its maker."""
    held = await scopes_of(session, maker.tenant, rights.role)
    if not held:
        raise InvalidRequest("There is no such role.", code="unknown_role", param="role")
    if rights.user_id is not None:
        user = await hold_user(session, rights.user_id)
        if maker.key_id is not None and await principal_of_key(session, col(APIKey.id) == maker.key_id) is None:
            raise Unauthenticated("The key has ended meanwhile.", code="invalid_key")
        if user is None or user.tenant != maker.tenant:
            raise InvalidRequest("There is no such user.", code="user_not_found", param="user_id")
        await refuse_stead(session, maker, user)
        held = allowed_by_both(held, await scopes_of(session, user.tenant, user.role))
    more, wider = _beyond(maker, rights, held)
    end = await end_of_key(session, maker.key_id)
    if end is not None and (rights.expires_at is None or rights.expires_at > end):
        wider.append("expires_at")
    if more or wider:
        what = [*sorted(more), *wider]
        raise denials.more_than_own(maker, what, f"A key may not do more than its maker: {', '.join(what)}.")


async def _refuse_wider(session: AsyncSession, principal: Principal, row: APIKey) -> None:
    """Refuse to end a key that may do more than who ends it, as nobody locks out a user who may; one's own ends by anything
    that acts for one. When either ends by itself is nothing to go by: a key that will end may end one that will not."""
    if principal.id in {row.user_id, row.stands_for, row.id}:
        return
    rights = _rights_of(row)
    held = await scopes_of(session, row.tenant, row.role)
    user = None if row.user_id is None else await session.get(User, row.user_id)
    if user is not None:
        held = allowed_by_both(held, await scopes_of(session, user.tenant, user.role))
    more, wider = _beyond(principal, rights, held)
    if what := [*sorted(more), *wider]:
        text = f"Nobody revokes a key that may do more than they: {', '.join(what)}."
        raise denials.more_than_own(principal, what, text)


def _beyond(principal: Principal, rights: KeyRights, held: frozenset[Scope]) -> tuple[frozenset[Scope], list[str]]:
    """What a key may do that the principal may not: scopes of those that its holder has (`held`), and limits that it lacks."""
    more = beyond(held if rights.scopes is None else allowed_by_both(held, rights.scopes), principal.scopes)
    limits = ((rights.models, principal.models, "models"), (rights.collections, principal.collections, "collections"))
    wider = [name for given, own, name in limits if own is not None and (given is None or not given <= own)]
    if not _within(rights.networks, principal.networks):
        wider.append("networks")
    return more, wider


def _within(given: tuple[Network, ...] | None, own: tuple[Network, ...] | None) -> bool:
    if own is None:
        return True
    return given is not None and all(any(_is_part(one, other) for other in own) for one in given)


def _is_part(one: Network, other: Network) -> bool:
    return one.version == other.version and one.subnet_of(other)  # type: ignore[arg-type] # of one version


def _rights_of(row: APIKey) -> KeyRights:
    return KeyRights(
        role=row.role,
        scopes=None if row.scopes is None else frozenset(Scope(scope) for scope in row.scopes if scope in set(Scope)),
        models=None if row.models is None else frozenset(row.models),
        collections=None if row.collections is None else frozenset(row.collections),
        networks=None if row.networks is None else tuple(ip_network(network) for network in row.networks),
        user_id=row.user_id,
        expires_at=row.expires_at,
    )


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
