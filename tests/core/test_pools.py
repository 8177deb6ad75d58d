"""Connection pools: as large as the settings say, and told as they are used."""

import gc

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.database import Database, blocking_engine
from core.pools import SESSIONS, PoolUse, driver_options, pools
from core.settings import DatabaseSettings, Settings


def narrow(database: Database, **changes: object) -> Settings:
    small = DatabaseSettings(connections=1, extra_connections=1, wait_s=0.01)
    return database._settings.model_copy(update={"database": small.model_copy(update=changes)})


def use() -> PoolUse:
    return next(each for each in pools() if each.name == SESSIONS)


async def test_a_pool_holds_as_many_connections_as_the_settings_say(database: Database) -> None:
    gc.collect()  # engines of earlier tests
    before = use()
    opened = Database(narrow(database))
    assert use().limit == before.limit + 2
    async with opened.engine.connect() as first, opened.engine.connect():
        assert use().in_use == before.in_use + 2
        with pytest.raises(PoolTimeout):
            await opened.engine.connect()
        assert (await first.execute(text("SELECT 1"))).scalar() == 1
    assert use().in_use == before.in_use
    await opened.close()


async def test_statements_are_not_given_names_where_the_settings_say_so(database: Database) -> None:
    settings = narrow(database, prepared_statements=False)
    opened = Database(settings)
    async with opened.engine.connect() as connection:
        for _ in range(8):  # psycopg names a statement at its fifth use
            await connection.execute(text("SELECT 1"))
        if not opened.is_sqlite:
            named = await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))
            assert named.scalar() == 0
    await opened.close()
    assert "prepare_threshold" not in driver_options(database._settings)


async def test_a_thread_s_transaction_leaves_nothing_on_its_connection(database: Database) -> None:
    """Behind a pooler the connection is another's afterwards, who must not see the rows of all tenants."""
    if database.is_sqlite:
        return
    engine = blocking_engine(database._settings)
    shown = text("SELECT current_setting('genai.tenant', true)")
    with engine.connect() as connection:
        assert connection.execute(shown).scalar() == "*"
        connection.commit()
        raw = connection.connection.driver_connection
        assert raw is not None
        assert raw.execute("SELECT current_setting('genai.tenant', true)").fetchone()[0] in (None, "")
        raw.rollback()
    engine.dispose()


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(database: Database) -> None:
    if database.is_sqlite:
        return
    opened = Database(narrow(database, answer_s=0.2, wait_s=20))
    with pytest.raises(OperationalError, match="does not answer"):
        async with opened.engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(600)"))
    async with opened.engine.connect() as connection:  # another one: that one is closed
        assert (await connection.execute(text("SELECT 1"))).scalar() == 1
    await opened.close()
