"""Tokens: short-lived access tokens (JWT, RFC 9068) and the refresh tokens that follow each other in a family (RFC 9700)."""

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit, denials
from core.database import Database, utc_now
from core.errors import InvalidRequest, Unauthenticated
from core.keys import Hasher, new_token
from core.principals import ANONYMOUS, Principal, Scope, allowed_by_both, beyond
from core.settings import TokenSettings
from core.tables import APIKey, RefreshToken, TokenFamily, User
from server.access.credentials import principal_of_key, principal_of_user
from server.access.endings import hold_user
from server.access.epoch import raise_epoch
from server.access.giving import refuse_stead
from server.access.signing import ALGORITHM, SigningKeys

TYPE = "at+jwt"
REFRESH_PREFIX = "gr_"
_PURPOSE = "refresh token"
#: Behind the audience, of a token for browsers: other services that check our tokens do not take it.
_BROWSER_AUDIENCE = "/browser"
#: The longest that we issue has some 1,300 characters; what is longer is not ours.
_MAX_CHARACTERS = 4096
_HEADER = {"alg", "typ", "kid"}
#: Seconds that the clocks of two machines may differ by.
_LEEWAY_S = 10
_REGISTRY = jws.JWSRegistry(algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class BrowserUse:
    """What a browser token is for: pages of `origin`, for `lifetime_s` seconds. None in any of the others is no limit;
    `user_id`: whom it acts for, other than its maker."""

    origin: str
    lifetime_s: int
    user_id: str | None = None
    models: frozenset[str] | None = None
    collections: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """What a caller is given. `refresh_token` is None where the family cannot be refreshed."""

    access_token: str
    expires_in: int
    scopes: frozenset[Scope]
    refresh_token: str | None = None


class TokenRefused(Exception):
    """A refusal as OAuth has them (RFC 6749, 5.2): `error` is one of its codes."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


def is_access_token(credential: str) -> bool:
    """Whether a credential has the form of a signed token, so that it is no key."""
    return credential.startswith("ey") and credential.count(".") == 2


class Tokens:
    """Access tokens say who and at most what; what they may do is looked up, and dies with the family, key or user."""

    def __init__(self, database: Database, hasher: Hasher, keys: SigningKeys, settings: TokenSettings, issuer: str) -> None:
        self._database = database
        self._hasher = hasher
        self.keys = keys
        self._settings = settings
        self.issuer = issuer

    async def issue(self, principal: Principal, scopes: frozenset[Scope] | None, *, refreshable: bool) -> Issued:
        """Open a family for a principal, with no more than `scopes`; None is whatever the principal may at any time.

        A family that can be refreshed is on record with it. Of those that cannot, which programs may open for each of their
        requests, and of refreshing, what repeats within a minute is counted.

        Raises:
            Unauthenticated: `invalid_key`: the key, or whom it acts for, has ended meanwhile.
        """
        now = utc_now()
        lifetime = self._settings.refresh_s if refreshable else self._settings.access_s + _LEEWAY_S
        family = TokenFamily(
            tenant=principal.tenant,
            user_id=principal.id if principal.key_id is None else None,
            key_id=principal.key_id,
            scopes=None if scopes is None else sorted(scopes),
            expires_at=now + timedelta(seconds=lifetime),
        )
        refresh = _new_refresh_token() if refreshable else None
        async with self._database.transaction(all_tenants=True) as session:
            await hold_user(session, principal.id)
            if await _principal_of(session, family) is None:
                raise Unauthenticated("What you have shown has ended meanwhile.", code="invalid_key")
            await session.exec(delete(TokenFamily).where(col(TokenFamily.expires_at) < now))
            session.add(family)
            await session.flush()
            if refresh is not None:
                session.add(RefreshToken(digest=self._digest(refresh), family_id=family.id))
                on, details = ("token_family", family.id), _told("refreshable", family)
                await audit.record(session, audit.Action.TOKEN_ISSUED, on=on, details=details, principal=principal)
        if refresh is None:
            key = None if principal.key_id is None else ("key", principal.key_id)
            _note_issued(key, _told("client_credentials", family), principal)
        held = principal.scopes if scopes is None else allowed_by_both(principal.scopes, scopes)
        access, expires_in = await self._sign(replace(principal, scopes=held), family)
        return Issued(access, expires_in, held, refresh)

    async def issue_for_browser(self, principal: Principal, scopes: frozenset[Scope], use: BrowserUse) -> Issued:
        """An access token that the pages of one origin alone may show, and that cannot be refreshed.

        Raises:
            InvalidRequest: `user_not_found`: nobody of the tenant whom it could act for.
            Forbidden: `more_than_own`: somebody whom the principal may not act for.
        """
        family = TokenFamily(
            tenant=principal.tenant,
            user_id=use.user_id if principal.key_id is not None else principal.id,
            key_id=principal.key_id,
            scopes=sorted(scopes),
            origin=use.origin,
            models=None if use.models is None else sorted(use.models),
            collections=None if use.collections is None else sorted(use.collections),
            expires_at=utc_now() + timedelta(seconds=use.lifetime_s),
        )
        async with self._database.transaction(all_tenants=True) as session:
            await hold_user(session, use.user_id or principal.id)
            await session.exec(delete(TokenFamily).where(col(TokenFamily.expires_at) < utc_now()))
            found = await _principal_of(session, family)
            if found is None:
                raise InvalidRequest("There is no such user.", code="user_not_found", param="user_id")
            if use.user_id is not None:
                await refuse_stead(session, principal, await session.get_one(User, use.user_id))
            session.add(family)
            told: dict[str, audit.Detail] = {"origin": use.origin, "scopes": family.scopes, "expires_in_s": use.lifetime_s}
            narrowed = {
                "user_id": use.user_id,
                "on_behalf_of": use.user_id,
                "models": family.models,
                "collections": family.collections,
            }
            told |= {name: value for name, value in narrowed.items() if value is not None}
            on = ("token_family", family.id)
            await audit.record(session, audit.Action.TOKEN_ISSUED, on=on, details=told, principal=principal)
        access, expires_in = await self._sign(found[0], family)
        return Issued(access, expires_in, found[0].scopes)

    async def refresh(self, token: str, scopes: frozenset[Scope] | None, *, address: str | None = None) -> Issued:
        """New tokens for a refresh token that comes from `address`, which is used up by it; `scopes` narrows the new access
        token alone.

        Raises:
            TokenRefused: `invalid_grant`, it is unknown, expired or revoked, comes from where its key may not be used, or was
                used before: then somebody else has it too, and the whole family ends; `invalid_scope`, `scopes` goes beyond
                the family. A token that is refused while whom it stands for is locked out, for its scope or for where it
                comes from, can still be used.
        """
        following, digest = _new_refresh_token(), self._digest(token)
        async with self._database.transaction(all_tenants=True) as session:
            row = await session.get(RefreshToken, digest)
            family = await session.get(TokenFamily, row.family_id) if row else None
            if family is None:
                raise TokenRefused("invalid_grant", "The refresh token is not valid.")
            found = await _principal_of(session, family)
            principal = found[0] if found else None
            unused = row is not None and row.used_at is None
            if principal is not None and unused and denials.comes_from_elsewhere(principal, address):
                raise TokenRefused("invalid_grant", "The refresh token may not be used from this address.")
            if principal is not None and (more := beyond(scopes or frozenset(), principal.scopes)):
                denials.note_beyond(principal, sorted(more))
                raise TokenRefused("invalid_scope", "The scope goes beyond what was granted.")
            if principal is None and unused:
                raise TokenRefused("invalid_grant", "The refresh token is not valid.")
            still = (col(RefreshToken.digest) == digest, col(RefreshToken.used_at).is_(None))
            use = update(RefreshToken).where(*still).values(used_at=utc_now()).returning(col(RefreshToken.digest))
            reused = (await session.exec(use)).first() is None
            if reused:
                await end_families(session, col(TokenFamily.id) == family.id)
                on, who = ("token_family", family.id), _holder(family)
                await audit.record(session, audit.Action.TOKEN_REUSED, outcome=audit.Outcome.DENIED, on=on, principal=who)
            elif principal is not None:
                session.add(RefreshToken(digest=self._digest(following), family_id=family.id))
        if reused or principal is None:
            raise TokenRefused("invalid_grant", "The refresh token is not valid.")
        _note_issued(("token_family", family.id), {"method": "refresh_token"}, principal)
        held = principal.scopes if scopes is None else scopes
        access, expires_in = await self._sign(replace(principal, scopes=held), family)
        return Issued(access, expires_in, held, following)

    async def revoke(self, token: str) -> None:
        """End the family of a refresh or access token; no error for what is not one, or has ended."""
        claims = await self._claims(token)
        async with self._database.transaction(all_tenants=True) as session:
            row = await session.get(RefreshToken, self._digest(token)) if claims is None else None
            family_id = claims["sid"] if claims else row.family_id if row else None
            if family_id is None or not await end_families(session, col(TokenFamily.id) == family_id):
                return
            family = await session.get(TokenFamily, family_id)
            if family is not None:
                on, who = ("token_family", family.id), _holder(family)
                await audit.record(session, audit.Action.TOKEN_REVOKED, on=on, principal=who)

    async def find(self, token: str) -> tuple[Principal, datetime] | None:
        """Whom an access token stands for and until when; None for one that is not good now, whatever the reason."""
        claims = await self._claims(token)
        if claims is None:
            return None
        async with self._database.session(all_tenants=True) as session:
            family = await session.get(TokenFamily, claims["sid"])
            found = await _principal_of(session, family) if family is not None else None
        if found is None:
            if family is not None:
                _note_ended(family)
            return None
        principal, ends = found
        said = (claims["sub"], claims["tenant"], claims["aud"])
        if said != (principal.id, principal.tenant, self._audience(principal)):
            return None
        narrowed = frozenset(Scope(scope) for scope in claims["scope"].split() if scope in set(Scope))
        until = min(ends, datetime.fromtimestamp(claims["exp"], UTC))
        return replace(principal, scopes=allowed_by_both(principal.scopes, narrowed)), until

    async def family_of(self, token: str) -> str | None:
        """The family of an access token that is good by the clock; None for another credential."""
        claims = await self._claims(token)
        return None if claims is None else str(claims["sid"])

    def _audience(self, principal: Principal) -> str:
        """Whom a token is for: one for browsers is for this platform alone, which looks at the origin that it comes from."""
        return self._settings.audience + (_BROWSER_AUDIENCE if principal.origin is not None else "")

    async def _sign(self, principal: Principal, family: TokenFamily) -> tuple[str, int]:
        kid, key = await self.keys.current()
        now = int(time.time())
        longest = self._settings.access_s if family.origin is None else self._settings.browser_s
        expires_at = min(now + longest, int(family.expires_at.timestamp()))
        claims = {
            "iss": self.issuer,
            "aud": self._audience(principal),
            "sub": principal.id,
            "client_id": principal.key_id or principal.id,
            "tenant": principal.tenant,
            "scope": " ".join(sorted(principal.scopes)),
            "sid": family.id,
            "jti": secrets.token_urlsafe(12),
            "iat": now,
            "nbf": now,
            "exp": expires_at,
        }
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": kid}
        return jwt.encode(header, claims, key, registry=_REGISTRY), expires_at - now

    async def _claims(self, token: str) -> dict[str, Any] | None:
        """The claims of an access token that we signed for ourselves and that is good by the clock; else None."""
        if len(token) > _MAX_CHARACTERS or not is_access_token(token):
            return None
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            if header.keys() != _HEADER or header["alg"] != ALGORITHM or header["typ"] != TYPE:
                return None
            kid = header["kid"]
            key = await self.keys.find(kid) if isinstance(kid, str) else None
            if key is None:
                return None
            claims = jwt.decode(token, key, registry=_REGISTRY).claims
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return claims if self._fit(claims, int(time.time())) else None

    def _fit(self, claims: dict[str, Any], now: int) -> bool:
        texts = ("sub", "tenant", "scope", "sid", "jti")
        times = ("exp", "iat", "nbf")
        if not all(isinstance(claims.get(name), str) for name in texts):
            return False
        if not all(type(claims.get(name)) is int for name in times):
            return False
        longest = {
            self._settings.audience: self._settings.access_s,
            self._settings.audience + _BROWSER_AUDIENCE: self._settings.browser_s,
        }
        audience = claims.get("aud")
        if not isinstance(audience, str) or audience not in longest or claims.get("iss") != self.issuer:
            return False
        begun = max(claims["iat"], claims["nbf"]) <= now + _LEEWAY_S
        return bool(begun and now < claims["exp"] <= now + longest[audience] + _LEEWAY_S)

    def _digest(self, token: str) -> str:
        return self._hasher.digest(_PURPOSE, token)


async def end_families(session: AsyncSession, *conditions: Any) -> int:
    """Revoke the families that fit, for every process; how many."""
    chosen = update(TokenFamily).where(*conditions, col(TokenFamily.revoked_at).is_(None)).values(revoked_at=utc_now())
    ended: Sequence[str] = (await session.exec(chosen.returning(col(TokenFamily.id)))).scalars().all()
    if ended:
        await raise_epoch(session)
    return len(ended)


async def open_families(session: AsyncSession, conditions: Iterable[Any]) -> Sequence[TokenFamily]:
    """Those that are neither revoked nor over, newest first."""
    chosen = select(TokenFamily).where(
        *conditions, col(TokenFamily.revoked_at).is_(None), col(TokenFamily.expires_at) > utc_now()
    )
    return (await session.exec(chosen.order_by(col(TokenFamily.created_at).desc()).limit(200))).all()


async def _principal_of(session: AsyncSession, family: TokenFamily) -> tuple[Principal, datetime] | None:
    """Whom a family acts for, with what both it and they may do now, and until when; None where either has ended."""
    if family.revoked_at is not None or family.expires_at <= utc_now():
        return None
    principal, ends = None, family.expires_at
    if family.key_id is not None:
        found = await principal_of_key(session, col(APIKey.id) == family.key_id)
        if found is None:
            return None
        principal, ends = found[0], min(ends, found[1].expires_at or ends)
    if family.user_id is not None:
        principal = _as_user(principal, await principal_of_user(session, family.user_id))
    if principal is None or principal.tenant != family.tenant:
        return None
    scopes = principal.scopes
    if family.scopes is not None:
        scopes = allowed_by_both(scopes, {Scope(scope) for scope in family.scopes if scope in set(Scope)})
    models, collections = _both(principal.models, family.models), _both(principal.collections, family.collections)
    narrowed = replace(principal, scopes=scopes, models=models, collections=collections)
    return replace(narrowed, from_token=True, origin=family.origin), ends


def _holder(family: TokenFamily) -> Principal:
    """Who is put on record for a family that ends, or has ended: whom its tokens stood for. Without rights."""
    return replace(ANONYMOUS, id=family.user_id or family.key_id or "", tenant=family.tenant, key_id=family.key_id)


def _told(method: str, family: TokenFamily) -> dict[str, audit.Detail]:
    return {"method": method} | ({} if family.scopes is None else {"scopes": family.scopes})


def _note_issued(on: tuple[str, str] | None, details: dict[str, audit.Detail], principal: Principal) -> None:
    audit.note(audit.Action.TOKEN_ISSUED, outcome=audit.Outcome.SUCCESS, on=on, details=details, principal=principal)


def _note_ended(family: TokenFamily) -> None:
    """Put on record that an access token was shown, signed by us and good by the clock, whose rights have ended."""
    reason = "revoked" if family.revoked_at else "expired" if family.expires_at <= utc_now() else "owner_disabled"
    on, details = ("token_family", family.id), {"reason": reason}
    audit.note(audit.Action.REVOKED_TOKEN_USED, on=on, details=details, principal=_holder(family))


def _as_user(key: Principal | None, user: Principal | None) -> Principal | None:
    """A user, with no more than the key may do that a token for them was made with."""
    if key is None or user is None:
        return user
    if user.tenant != key.tenant:
        return None
    return replace(
        key, id=user.id, name=user.name, role=user.role, teams=user.teams, scopes=allowed_by_both(key.scopes, user.scopes)
    )


def _both(one: frozenset[str] | None, other: Sequence[str] | None) -> frozenset[str] | None:
    """What two limits leave; None where there is none."""
    if other is None:
        return one
    return frozenset(other) if one is None else one & frozenset(other)


def _new_refresh_token() -> str:
    return REFRESH_PREFIX + new_token()
