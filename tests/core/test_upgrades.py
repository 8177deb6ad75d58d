"""An upgrade from the previous migration with data in place and back, while others write; and a database that is newer."""

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, create_engine, event, inspect, select, text
from structlog.testing import capture_logs

from core.database import HEAD, PREVIOUS, migrate, sync_url
from core.settings import Settings, SettingsError
from core.tenancy import ALL, SETTING
from infra.postgresql import database_of_platform
from tests.core.backup.filled import fill

#: Written at both ends of an upgrade.
_WRITTEN = text("INSERT INTO unclaimed_files (key, created_at) VALUES (:key, '2026-01-01 00:00:00')")


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest,
    settings: Settings,
    tmp_path: Path,
    migrated: Callable[[str, Any], Settings],
    with_schema: Callable[[Settings], Settings],
) -> Settings:
    """Settings of a database with rows in it."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        migrated("postgresql", server)
        url = database_of_platform(server, f"upgrade_{uuid.uuid4().hex}", template="migrated")
        settings = Settings.load(data_dir=tmp_path / "data", database_url=url)
    else:
        with_schema(settings)
    fill(settings)
    return settings


class Rows:
    """What is in the database, whatever its schema."""

    def __init__(self, settings: Settings) -> None:
        self.engine = create_engine(sync_url(settings))
        if self.engine.dialect.name == "postgresql":
            event.listen(self.engine, "connect", self._see_all)

    @staticmethod
    def _see_all(connection: Any, _record: Any) -> None:
        connection.execute(f"SET {SETTING} = '{ALL}'")
        connection.commit()

    def columns(self) -> dict[str, set[str]]:
        found = inspect(self.engine)
        return {name: {column["name"] for column in found.get_columns(name)} for name in found.get_table_names()}

    def of(self, columns: dict[str, set[str]]) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of those tables by those columns, but what was written meanwhile."""
        rows = {}
        with self.engine.connect() as connection:
            for name, names in columns.items():
                table = Table(name, MetaData(), autoload_with=self.engine)
                query = select(*(table.c[each] for each in sorted(names)))
                if name == "unclaimed_files":
                    query = query.where(table.c.key.not_like("meanwhile-%"))
                rows[name] = sorted(map(tuple, connection.execute(query)), key=repr)
        return rows

    def write(self, number: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(_WRITTEN, {"key": f"meanwhile-{number}"})

    def written(self) -> int:
        with self.engine.connect() as connection:
            return int(
                connection.execute(text("SELECT count(*) FROM unclaimed_files WHERE key LIKE 'meanwhile-%'")).scalar() or 0
            )


def test_there_and_back_with_data_in_place_while_others_write(filled: Settings) -> None:
    rows = Rows(filled)
    newest = rows.columns()
    migrate(filled, PREVIOUS)
    before = {name: columns & newest[name] for name, columns in rows.columns().items() if name != "alembic_version"}
    kept = rows.of(before)
    assert any(kept.values())
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            rows.write(len(written))
            written.append(True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for to in (HEAD, PREVIOUS, HEAD):
            migrate(filled, to)
            assert rows.of(before) == kept
    finally:
        stop.set()
        writer.join()
    assert rows.columns() == newest
    assert rows.written() == len(written) > 0
    rows.engine.dispose()


def test_a_database_of_a_newer_version_is_left_as_it_is(filled: Settings) -> None:
    rows = Rows(filled)
    with rows.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with capture_logs() as told:
        migrate(filled)
    assert [(line["event"], line["at"]) for line in told if line["event"] == "database.schema_newer"] == [
        ("database.schema_newer", "9999")
    ]
    with pytest.raises(SettingsError, match="newer version"):
        migrate(filled, PREVIOUS)
    rows.engine.dispose()


def test_a_migration_that_there_is_not_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="no migration 4711"):
        migrate(settings, "4711")
