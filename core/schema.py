"""The schema of the database at a process's start: made anew, or found there, where something else migrates before.

`python -m core.schema` migrates and ends: what `make migrate` does, and a job in front of servers that do not migrate.
"""

import sys

import structlog
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from core.database import MIGRATIONS, WITHOUT_VALUES, migrate, sync_url
from core.logs import close_logging, configure_logging
from core.settings import Settings, SettingsError, setting_name

log = structlog.get_logger()


def prepare(settings: Settings) -> None:
    """Bring the database to the newest schema or, where `database.migrate` is off, see that something has.

    A schema that this version does not know is a newer one, which a migration of the next version has made while this one still
    serves: it goes on with it, and the log tells.

    Raises:
        SettingsError: the schema is older than this version needs, and `database.migrate` is off.
        sqlalchemy.exc.OperationalError: the database does not answer.
    """
    if settings.database.migrate:
        migrate(settings)
        return
    scripts, found = _scripts(), _revision(settings)
    newest = scripts.get_current_head()
    if found == newest:
        return
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        log.warning("database.schema_is_newer", schema=found, known=newest)
        return
    raise SettingsError(
        f"These settings cannot be used:\n  {setting_name(('database', 'migrate'))}: the schema is {found or 'not there'} and "
        f"has to be {newest}; `make migrate` brings it there"
    )


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def _revision(settings: Settings) -> str | None:
    engine = create_engine(sync_url(settings, direct=True), poolclass=NullPool, **WITHOUT_VALUES)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def main() -> int:
    """Migrate to the newest schema, or to the migration that the argument names, whatever `database.migrate` says of servers.
    2 where settings cannot be used, 1 where the database cannot."""
    try:
        settings = Settings.load()
        configure_logging(settings.log, settings.tls)
        migrate(settings, *sys.argv[1:2])
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OperationalError as error:
        sys.stderr.write(f"The database does not answer: {str(error.orig).strip().splitlines()[0]}\n")
        return 1
    finally:
        close_logging()
    return 0


if __name__ == "__main__":
    sys.exit(main())
