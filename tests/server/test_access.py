"""What is remembered of a credential: it is not asked for again, and it is gone when the right that it stands for is."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError

from core.database import Database, utc_now
from core.epoch import Watcher
from core.principals import SYSTEM, Principal, Role
from core.settings import Settings
from core.tables import BrowserSession
from server.access.access import CACHE_S, Access
from server.access.keys import KeyRights
from tests.server.people import person


@dataclass
class Warm:
    """Two processes that both know the three credentials of one key, and of a user's."""

    here: Access
    elsewhere: Access
    database: Database
    key_id: str
    user_id: str
    shown: dict[str, str]

    async def asked(self, access: Access, kind: str) -> Principal | None:
        find = {"key": access.by_key, "token": access.by_token, "cookie": access.by_cookie}
        return await find[kind](self.shown[kind])

    async def known(self, access: Access) -> set[str]:
        return {kind for kind in self.shown if await self.asked(access, kind) is not None}


@asynccontextmanager
async def statements(database: Database) -> AsyncIterator[list[str]]:
    """What is sent to the database meanwhile, but for the epoch that is watched."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "access_epoch" not in statement and not statement.startswith(("BEGIN", "SELECT set_config")):
            seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


@pytest.fixture
async def warm(database: Database, settings: Settings) -> AsyncIterator[Warm]:
    here, elsewhere = [await Access.open(settings, database) for _ in range(2)]
    user = await person(database, role="developer")
    row, key = await here.keys.create(SYSTEM, "x", KeyRights(Role.DEVELOPER, user_id=user.id))
    principal = await here.by_key(key)
    assert principal is not None
    token = (await here.tokens.issue(principal, None, refreshable=True)).access_token
    cookie = await here.sessions.open(key_id=row.id)
    found = Warm(here, elsewhere, database, row.id, user.id, {"key": key, "token": token, "cookie": cookie})
    watching = [asyncio.create_task(access.watch()) for access in (here, elsewhere)]
    while not (here._forgotten and elsewhere._forgotten):  # noqa: ASYNC110 - their first look, before which nothing is known to hold
        await asyncio.sleep(0.01)
    for access in (here, elsewhere):
        assert await found.known(access) == {"key", "token", "cookie"}
    yield found
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def test_what_is_known_is_not_asked_for_again(warm: Warm) -> None:
    async with statements(warm.database) as seen:
        for access in (warm.here, warm.elsewhere):
            assert await warm.known(access) == {"key", "token", "cookie"}
        assert seen == []
        warm.here.forget()
        assert await warm.known(warm.here) == {"key", "token", "cookie"}
        assert seen != [], "the count can fail"


async def _revoke(warm: Warm) -> None:
    await warm.here.keys.revoke(SYSTEM, warm.key_id)


async def _replace(warm: Warm) -> None:
    await warm.here.keys.rotate(SYSTEM, warm.key_id, overlap=timedelta(0))


async def _sign_out(warm: Warm) -> None:
    await warm.here.sessions.close(warm.shown["cookie"])


async def _end_family(warm: Warm) -> None:
    await warm.here.tokens.revoke(warm.shown["token"])


async def _leak(warm: Warm) -> None:
    await warm.here.tokens.keys.rotate(at_once=True)


@pytest.mark.parametrize(
    ("take_away", "left"),
    [
        (_revoke, set[str]()),
        (_replace, set[str]()),
        (_sign_out, {"key", "token"}),
        (_end_family, {"key", "cookie"}),
        (_leak, {"key", "cookie"}),
    ],
    ids=["key revoked", "key replaced", "signed out", "token revoked", "signing key leaked"],
)
async def test_what_is_known_dies_with_what_it_stands_for_in_every_process(
    warm: Warm, take_away: Callable[[Warm], Awaitable[None]], left: set[str]
) -> None:
    await take_away(warm)
    for access in (warm.here, warm.elsewhere):
        async with asyncio.timeout(30):
            while await warm.known(access) != left:  # noqa: ASYNC110 - the watcher's doing
                await asyncio.sleep(0.02)


@asynccontextmanager
async def unreadable(database: Database) -> AsyncIterator[None]:
    """The database answers no question about keys; it is watched as before."""
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO keys_away"))
    try:
        yield
    finally:
        async with database.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE keys_away RENAME TO api_keys"))


async def test_who_is_known_goes_on_while_the_database_does_not_answer(warm: Warm) -> None:
    access = warm.here
    access._known = {slot: known._replace(until=0) for slot, known in access._known.items()}
    async with unreadable(warm.database):
        assert await access.by_key(warm.shown["key"]) is not None
        with pytest.raises(SQLAlchemyError):
            await access.by_key("sk-genai-somebody-else")
    async with asyncio.timeout(20):
        while access._known["key", warm.shown["key"]].until == 0:  # asked again once it answers
            assert await access.by_key(warm.shown["key"]) is not None
            await asyncio.sleep(0.01)


async def test_nobody_is_believed_for_longer_than_a_minute_after_the_database_was_heard(warm: Warm) -> None:
    access = warm.here
    access._known = {slot: known._replace(until=0) for slot, known in access._known.items()}
    assert access._watcher is not None
    async with unreadable(warm.database):
        access._watcher = Watcher()
        access._watcher.heard_at = time.monotonic() - CACHE_S
        with pytest.raises(SQLAlchemyError):
            await access.by_key(warm.shown["key"])


async def test_a_credential_ends_when_it_does_whether_the_database_answers_or_not(warm: Warm) -> None:
    access = warm.here
    access._known = {slot: known._replace(until=0, expires=0) for slot, known in access._known.items()}
    async with unreadable(warm.database):
        with pytest.raises(SQLAlchemyError):
            await access.by_key(warm.shown["key"])


async def test_a_session_is_not_known_for_longer_than_it_lasts(database: Database, settings: Settings) -> None:
    access = await Access.open(settings, database)
    row, _ = await access.keys.create(SYSTEM, "x", KeyRights())
    cookie = await access.sessions.open(key_id=row.id)
    async with database.transaction(all_tenants=True) as session:
        kept = await session.get_one(BrowserSession, access.sessions.digest(cookie))
        kept.expires_at = utc_now() + timedelta(seconds=0.3)
    assert await access.by_cookie(cookie) is not None
    async with asyncio.timeout(30):
        while await access.by_cookie(cookie) is not None:  # noqa: ASYNC110 - time's doing
            await asyncio.sleep(0.05)
