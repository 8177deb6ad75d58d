"""The database: engine, sessions, column types and migrations, on SQLite (WAL) and PostgreSQL alike.

Engines belong to one event loop: the server builds a `Database` in its lifespan, a worker its own at boot.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import DateTime, Dialect, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator
from sqlmodel.ext.asyncio.session import AsyncSession

from core import context, pools, row_security
from core.database_connection import connection_class
from core.keys import load_secret
from core.settings import Settings, SettingsError
from core.tenancy import ALL, TenantMissing, TenantSession
from core.traces import statements
from core.transport.plaintext import encrypted_database

if TYPE_CHECKING:
    from core.encryption.keyring import Keyring

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parent / "migrations"
#: The newest migration of this version, and the one before it.
HEAD, PREVIOUS = "head", "previous"
_MIGRATION_LOCK = 0x67656E61  # pg_advisory_lock's number: "gena"
#: In the `info` of every session: a function that gives the installation's secret.
#: Of every engine: its errors, which are logged, tell the statement and not the values in it.
WITHOUT_VALUES: dict[str, Any] = {"hide_parameters": True}
SECRET = "installation_secret"  # noqa: S105 - a name


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. SQLite keeps naive ones, so the zone is put back when reading.

    Raises:
        ValueError: a naive datetime is written.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def sync_url(settings: Settings, *, direct: bool = False) -> str:
    """The SQLAlchemy URL for a synchronous engine: SQLite's own driver, psycopg 3. `direct` is without a pooler between, where
    the settings have such an address: for what a connection has to keep beyond a transaction."""
    address = (settings.database.direct_url if direct else None) or settings.database_url
    if address is None:
        return f"sqlite:///{settings.path('genai.db')}"
    url = make_url(address)
    if url.get_backend_name() in ("postgresql", "postgres"):
        url = encrypted_database(url.set(drivername="postgresql+psycopg"), settings.tls)
    return url.render_as_string(hide_password=False)


def is_made(settings: Settings) -> bool:
    """Whether there is a database with a platform's tables in it. Makes nothing, neither file nor directory.

    Raises:
        sqlalchemy.exc.OperationalError: a server does not answer.
    """
    if settings.database_url is None:
        url = make_url(f"sqlite:///{settings.data_dir.expanduser() / 'genai.db'}")
    else:
        url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return False
    engine = create_engine(sync_url(settings), poolclass=NullPool, **WITHOUT_VALUES)
    try:
        return inspect(engine).has_table("alembic_version")
    finally:
        engine.dispose()


def async_url(settings: Settings, *, direct: bool = False) -> str:
    """The SQLAlchemy URL for an asynchronous engine: aiosqlite, psycopg 3."""
    return sync_url(settings, direct=direct).replace("sqlite://", "sqlite+aiosqlite://", 1)


def _set_pragmas(connection: Any, _record: Any) -> None:
    with closing(connection.cursor()) as cursor:
        # what is deleted is overwritten, so that it is nowhere in the file
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=15000", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")


def _suspend_foreign_keys(connection: Any, _record: Any) -> None:
    """For migrations: SQLite changes a table by making it anew; dropping the old one would delete what refers to its rows."""
    connection.execute("PRAGMA foreign_keys=OFF")


class Database:
    """An engine and its sessions. Build one per event loop and close it on that loop.

    A session sees and writes the rows of one tenant (`core.tenancy`): of `tenant` where it is given, else of the current
    request's principal. What works for all of them says `all_tenants`: access lookups, workers' sweeps.

    `keyring` opens the columns that are sealed; the databases of a process share one.

    Raises (where a session is opened):
        TenantMissing: none is given, and no authenticated principal's request is being served.
    """

    def __init__(self, settings: Settings, keyring: "Keyring | None" = None) -> None:
        self._settings = settings
        self._keyring = keyring
        url = async_url(settings)
        self.is_sqlite = url.startswith("sqlite")
        options = pools.session_pool(settings)
        if not self.is_sqlite:
            driver = pools.driver_options(settings) | {"async_creator_fn": connection_class(settings.database.answer_s).connect}
            options |= {"pool_pre_ping": True, "connect_args": driver}
        self.engine: AsyncEngine = create_async_engine(url, **WITHOUT_VALUES, **options)
        pools.watch(self.engine.sync_engine, pools.SESSIONS, options["pool_size"] + options["max_overflow"])
        statements.watch(self.engine.sync_engine)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _set_pragmas)
        secret = cache(partial(load_secret, settings))
        self._sessions = async_sessionmaker(self.engine, class_=TenantSession, expire_on_commit=False, info={SECRET: secret})

    @asynccontextmanager
    async def session(self, tenant: str | None = None, *, all_tenants: bool = False) -> AsyncIterator[AsyncSession]:
        """A session that is rolled back at the end unless the block commits. For reading."""
        async with self._sessions(info={"tenant": _whose(tenant, all_tenants)}) as session:
            yield session

    @asynccontextmanager
    async def transaction(self, tenant: str | None = None, *, all_tenants: bool = False) -> AsyncIterator[AsyncSession]:
        """A session in a transaction: committed at the end of the block, rolled back when it raises.

        On SQLite the write lock is taken at the start (`BEGIN IMMEDIATE`), so that two writers wait for each other
        rather than fail half-way. Keep calls to models and stores out of the block.
        """
        async with self._sessions(info={"tenant": _whose(tenant, all_tenants)}) as session:
            if self.is_sqlite:
                # the driver begins lazily, before the first write: begin now, as a writer
                await (await session.connection()).exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield session
                await session.commit()
            except BaseException:
                await session.rollback()
                raise

    @cached_property
    def keyring(self) -> "Keyring":
        """The one that was given, else one of its own."""
        return self._keyring or keyring_of(self._settings)

    async def scrub(self) -> bool:
        """Leave nothing of what was deleted in SQLite's log of changes. False while somebody reads what it still has; on
        PostgreSQL, whose VACUUM does its part, there is nothing to do."""
        if not self.is_sqlite:
            return True
        async with self.engine.connect() as connection:
            busy = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).scalar()
        return busy == 0

    def ping(self) -> None:
        """Raises whatever the driver raises when the database does not answer. Blocks, on a connection of its own."""
        with self._unpooled.connect() as connection:
            connection.execute(text("SELECT 1"))

    @cached_property
    def _unpooled(self) -> Engine:
        options = {} if self.is_sqlite else {"connect_args": pools.driver_options(self._settings)}
        return create_engine(sync_url(self._settings), poolclass=NullPool, **WITHOUT_VALUES, **options)

    async def close(self) -> None:
        await self.engine.dispose()


def _whose(tenant: str | None, all_tenants: bool) -> str:
    if all_tenants:
        return ALL
    tenant = tenant or context.tenant()
    if not tenant or tenant == ALL:
        raise TenantMissing("whose rows? Give the session a tenant, or say all_tenants")
    return tenant


def keyring_of(settings: Settings) -> "Keyring":
    """A keyring on the database of the settings. Cheap: nothing is read before it is needed."""
    from core.encryption.keyring import Keyring  # it stands on tables, which stand on this module's column types

    return Keyring(settings, sync_url(settings))


def blocking_engine(settings: Settings) -> Engine:
    """An engine for one thread of its own, which may wait."""
    url = sync_url(settings)
    if url.startswith("sqlite"):
        size, more = 5, 10
        engine = create_engine(url, pool_size=size, max_overflow=more, **WITHOUT_VALUES)
        event.listen(engine, "connect", _set_pragmas)
    else:
        size, more = 1, 1
        driver = pools.driver_options(settings)
        engine = create_engine(
            url, pool_size=size, max_overflow=more, pool_pre_ping=True, connect_args=driver, **WITHOUT_VALUES
        )
        event.listen(engine, "begin", row_security.see_all_now)
    pools.watch(engine, pools.THREADS, size + more)
    statements.watch(engine)
    return engine


def direct_engine(settings: Settings) -> AsyncEngine:
    """An engine whose connections are the database's own, each opened for its block: for what is kept beyond a transaction."""
    return create_async_engine(async_url(settings, direct=True), poolclass=NullPool, **WITHOUT_VALUES)


@contextmanager
def blocking_transaction(engine: Engine) -> Iterator[Connection]:
    """`Database.transaction` for such an engine."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()


def migrate(settings: Settings, to: str = HEAD) -> None:
    """Bring the database to the newest schema, or to the migration `to`, also an earlier one; `previous` is the one before the
    newest. May be called by several processes at once: one migrates, the others wait.

    A database that a newer version has migrated is left as it is: what a version's migrations take away, the one before does
    not use.

    Raises:
        SettingsError: `to` is no migration of this version, or the database is at none.
    """
    url = sync_url(settings, direct=True)
    engine = create_engine(url, poolclass=NullPool, **WITHOUT_VALUES)
    try:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_pragmas)
            event.listen(engine, "connect", _suspend_foreign_keys)
            with FileLock(settings.path("migrate.lock")), engine.connect() as connection:
                _bring(connection, to)
        else:
            with engine.connect() as connection:
                connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _MIGRATION_LOCK})
                row_security.see_all(connection)
                connection.commit()
                try:
                    _bring(connection, to)
                    row_security.hold(connection)
                    connection.commit()
                finally:
                    connection.rollback()
                    connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _MIGRATION_LOCK})
                    connection.commit()
    finally:
        engine.dispose()


def _bring(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision: script.down_revision for script in scripts.walk_revisions()}
    head = str(scripts.get_current_head())
    to = {HEAD: head, PREVIOUS: str(known[head])}.get(to, to)
    now = MigrationContext.configure(connection).get_current_revision()
    if to not in known:
        raise SettingsError(f"There is no migration {to} in this version, whose newest is {head}.")
    if now is not None and now not in known:
        if to != head:
            raise SettingsError(f"The database is at migration {now} of a newer version: go back with that one.")
        log.warning("database.schema_newer", at=now, newest_here=head)
        return
    if now is not None and to in {script.revision for script in scripts.iterate_revisions(now, "base")} - {now}:
        command.downgrade(config, to)
    else:
        command.upgrade(config, to)
    connection.commit()
