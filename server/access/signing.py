"""The keys that sign access tokens: one that signs, one that is published ahead of its turn, and those that still verify."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from joserfc.jwk import ECKey
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, utc_now
from core.principals import SYSTEM
from core.settings import TokenSettings
from core.tables import AccessEpoch, SigningKey, SigningKeyState
from server.access.epoch import raise_epoch
from server.access.sealing import Sealer

log = structlog.get_logger()

ALGORITHM = "ES256"
#: Seconds that the keys are held without asking the database again.
_HELD_S = 60.0
#: A token that names an unknown key has the database asked at most this often.
_ASK_AGAIN_S = 1.0
#: A retired key verifies for as long as its last token lives, and this longer.
_OVERLAP = timedelta(seconds=60)


@dataclass(slots=True)
class _Held:
    """What this process knows of the keys."""

    read_at: float = float("-inf")
    verifying: dict[str, ECKey] = field(default_factory=dict)
    current: tuple[str, ECKey, datetime] | None = None


class SigningKeys:
    """Keys are made at first use, and anew where the installation's secret was changed and they cannot be opened."""

    def __init__(self, database: Database, sealer: Sealer, settings: TokenSettings) -> None:
        self._database = database
        self._sealer = sealer
        self._settings = settings
        self._longest = timedelta(seconds=max(settings.access_s, settings.browser_s))
        self._held = _Held()

    async def current(self) -> tuple[str, ECKey]:
        """The identifier and the private key to sign with. One that has grown old is replaced."""
        held = await self._known()
        if held.current is None or utc_now() - held.current[2] > timedelta(days=self._settings.key_days):
            await self._make_sure()
            held = await self._known(again=True)
        if held.current is None:
            raise RuntimeError("There is no key that signs access tokens.")
        return held.current[0], held.current[1]

    async def find(self, kid: str) -> ECKey | None:
        """The public key of that identifier; None where no token of it is good (any more)."""
        held = await self._known()
        if kid not in held.verifying and time.monotonic() - held.read_at > _ASK_AGAIN_S:
            held = await self._known(again=True)
        return held.verifying.get(kid)

    async def published(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517) of every key that verifies or will."""
        if (await self._known()).current is None:
            await self.current()
        held = await self._known()
        common = {"use": "sig", "alg": ALGORITHM}
        return {"keys": [key.as_dict(private=False) | common | {"kid": kid} for kid, key in held.verifying.items()]}

    async def list(self) -> list[SigningKey]:
        """All keys, newest first."""
        await self.current()
        async with self._database.session(all_tenants=True) as session:
            return list((await session.exec(select(SigningKey).order_by(col(SigningKey.created_at).desc()))).all())

    async def rotate(self, *, at_once: bool = False) -> None:
        """Let the next key sign. The current one goes on verifying until its last token has expired; with `at_once`, for when
        it has leaked, it and all its tokens end within a second."""
        async with self._database.transaction(all_tenants=True) as session:
            kid = await self._rotate(session, at_once=at_once)
            on, details = ("signing_key", kid), {"at_once": at_once}
            await audit.record(session, audit.Action.SIGNING_KEY_ROTATED, on=on, details=details)
        self.forget()
        log.info("signing_keys.rotated", at_once=at_once)

    def forget(self) -> None:
        """Ask the database anew."""
        self._held = _Held()

    async def _known(self, *, again: bool = False) -> _Held:
        before = self._held
        if again or time.monotonic() - before.read_at > _HELD_S:
            async with self._database.session(all_tenants=True) as session:
                rows = (await session.exec(_that_verify())).all()
            held = _Held(time.monotonic(), {row.kid: ECKey.import_key(row.public_key) for row in rows})
            for row in rows:
                if row.state == SigningKeyState.CURRENT and (private := self._opened(row)):
                    held.current = (row.kid, private, row.activated_at or row.created_at)
            if self._held is before:  # what was read may be out of date by now
                self._held = held
            return held
        return before

    def _opened(self, row: SigningKey) -> ECKey | None:
        opened = self._sealer.open(row.private_key or "", row.kid)
        return None if opened is None else ECKey.import_key(json.loads(opened))

    async def _make_sure(self) -> None:
        """A current and a next key, whatever was there; several processes may ask for it at once."""
        async with self._database.transaction(all_tenants=True) as session:
            await _alone(session)
            rows = {row.state: row for row in (await session.exec(_that_verify())).all()}
            current, upcoming = rows.get(SigningKeyState.CURRENT), rows.get(SigningKeyState.NEXT)
            if upcoming is None or self._opened(upcoming) is None:
                if upcoming is not None:
                    await session.delete(upcoming)
                session.add(self._new())
                await session.flush()
            fresh = current is not None and self._opened(current) is not None
            old_from = utc_now() - timedelta(days=self._settings.key_days)
            if not fresh or (current is not None and (current.activated_at or current.created_at) < old_from):
                on = ("signing_key", await self._rotate(session, at_once=False))
                if current is not None:  # the very first is no rotation
                    details: dict[str, audit.Detail] = {"at_once": False, "by": "age"}
                    await audit.record(session, audit.Action.SIGNING_KEY_ROTATED, on=on, details=details, principal=SYSTEM)

    async def _rotate(self, session: AsyncSession, *, at_once: bool) -> str:
        """The identifier of the key that signs from now on."""
        await _alone(session)
        now = utc_now()
        await session.exec(delete(SigningKey).where(col(SigningKey.expires_at) < now))
        rows = (await session.exec(_that_verify())).all()
        upcoming = next((row for row in rows if row.state == SigningKeyState.NEXT), None) or self._new()
        for row in rows:
            if row.state == SigningKeyState.CURRENT or (at_once and row.state == SigningKeyState.RETIRED):
                row.state, row.private_key = SigningKeyState.RETIRED, None
                row.expires_at = now if at_once else now + self._longest + _OVERLAP
                session.add(row)
        upcoming.state, upcoming.activated_at = SigningKeyState.CURRENT, now
        session.add(upcoming)
        session.add(self._new())
        if at_once:
            await raise_epoch(session)
        return upcoming.kid

    def _new(self) -> SigningKey:
        kid = f"sig_{secrets.token_hex(8)}"
        key = ECKey.generate_key("P-256")
        private = json.dumps(key.as_dict(private=True))
        return SigningKey(kid=kid, public_key=_plain(key.as_dict(private=False)), private_key=self._sealer.seal(private, kid))


def _that_verify() -> Any:
    expires = col(SigningKey.expires_at)
    return select(SigningKey).where(expires.is_(None) | (expires > utc_now())).order_by(col(SigningKey.created_at))


async def _alone(session: AsyncSession) -> None:
    """Until the transaction ends no other process changes the keys. SQLite's transactions are alone already."""
    await session.exec(select(AccessEpoch).where(AccessEpoch.id == 1).with_for_update())


def _plain(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: key[name] for name in ("kty", "crv", "x", "y")}
