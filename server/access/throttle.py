"""Throttling of sign-ins: who guesses has to wait, longer each time, whichever process they ask.

An account and an address are counted in the database, under digests, whether the account exists or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address, ip_network
from math import ceil

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from core import audit
from core.database import Database, utc_now
from core.errors import RateLimited
from core.keys import Hasher
from core.principals import ANONYMOUS
from core.settings import SignInSettings
from core.tables import SignInAttempts

#: Failures are forgotten after this time without another one.
_FORGOTTEN_AFTER = timedelta(days=1)
_LONGEST_DOUBLING = 30


@dataclass(frozen=True, slots=True)
class Owner:
    """A user to whom an account belongs."""

    id: str
    tenant: str


class Throttle:
    """Counts an attempt before it is made, so that many at once get no more tries than one after the other."""

    def __init__(self, database: Database, hasher: Hasher, settings: SignInSettings) -> None:
        self._database = database
        self._hasher = hasher
        self._settings = settings

    async def begin(self, account: str, address: str | None, users: Sequence[Owner] = ()) -> None:
        """Count an attempt as failed until `succeeded` says otherwise. `users` are those whose account it is, for the record.

        Raises:
            RateLimited: `too_many_attempts`, the account or the address has to wait first. That attempt is not counted.
        """
        now = utc_now()
        limits = {self._account(account): self._settings.attempts}
        if address:
            limits[self._address(address)] = self._settings.address_attempts
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(delete(SignInAttempts).where(col(SignInAttempts.last_at) < now - _FORGOTTEN_AFTER))
            for subject in sorted(limits):  # in one order, so that no two wait for each other
                await self._know(session, subject)
            chosen = select(SignInAttempts).where(col(SignInAttempts.subject).in_(limits)).order_by(SignInAttempts.subject)
            rows = (await session.exec(chosen.with_for_update())).all()
            waits = [(row.blocked_until - now).total_seconds() for row in rows if row.blocked_until]
            longest = max(waits, default=0.0)
            if longest <= 0:
                for row in rows:
                    row.failures += 1
                    row.last_at = now
                    beyond = row.failures - limits[row.subject]
                    if beyond >= 0:
                        row.blocked_until = now + self._wait(beyond)
                    session.add(row)
        if longest > 0:
            note_attempt(audit.Action.SIGNIN_LOCKED, audit.Outcome.DENIED, users)
            message = f"There were too many attempts to sign in. Try again in {ceil(longest)} seconds."
            raise RateLimited(message, code="too_many_attempts", retry_after_s=longest)

    async def succeeded(self, account: str, address: str | None) -> None:
        """Forget an account's failures; take the attempt back from its address, which others may be guessing from."""
        async with self._database.transaction(all_tenants=True) as session:
            await session.exec(delete(SignInAttempts).where(col(SignInAttempts.subject) == self._account(account)))
            if address:
                row = col(SignInAttempts.subject) == self._address(address)
                back = {"failures": SignInAttempts.failures - 1, "blocked_until": None}
                await session.exec(update(SignInAttempts).where(row, col(SignInAttempts.failures) > 0).values(back))

    def _wait(self, beyond: int) -> timedelta:
        seconds = self._settings.first_wait_s * 2.0 ** min(beyond, _LONGEST_DOUBLING)
        return timedelta(seconds=min(seconds, self._settings.longest_wait_s))

    def _account(self, account: str) -> str:
        return self._hasher.digest("attempts of account", account)

    def _address(self, address: str) -> str:
        return self._hasher.digest("attempts from address", _place(address))

    async def _know(self, session: AsyncSession, subject: str) -> None:
        """Make sure of a row, also where another process makes it at the same time."""
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        values = {"subject": subject, "failures": 0, "last_at": utc_now()}
        await session.exec(insert(SignInAttempts).values(values).on_conflict_do_nothing())


def note_attempt(
    action: audit.Action, outcome: audit.Outcome, users: Sequence[Owner], details: Mapping[str, audit.Detail] | None = None
) -> None:
    """Put an attempt to sign in on record: on each user whose account it was, in their tenant's chain, else in the operator's.
    Its caller does not learn which."""
    for owner in users:
        audit.note(action, outcome=outcome, on=("user", owner.id), details=details, principal=ANONYMOUS, tenant=owner.tenant)
    if not users:
        audit.note(action, outcome=outcome, details=details, principal=ANONYMOUS)


def _place(address: str) -> str:
    """What one caller has: of an IPv6 address the first 64 bits, whose rest everybody chooses for themselves."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if found.version == 6 else address
