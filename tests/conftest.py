"""Fixtures that every package's tests share: settings in a temporary data directory, and real databases."""

import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import infra.postgresql
from core.database import Database, migrate
from core.settings import Settings


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks next
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests stay together where several processes run them: a file's, whose fixtures then start once, and the end-to-end
    tests of a database, whose server does."""
    for item in items:
        parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        group = f"platform-{parameters['platform']}" if "platform" in parameters else item.location[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Embedded defaults in a directory of the test's own."""
    return Settings.load(data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A real PostgreSQL server, shared by the session; each test makes a database of its own."""
    with infra.postgresql.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], Settings]:
    """Settings whose database has the newest schema and no rows, made once a session for each kind and copied from then on."""
    made: dict[str, Settings] = {}

    def settings_for(kind: str, server: Any) -> Settings:
        if kind not in made:
            url = {}
            if kind == "postgresql":
                server.psql("CREATE DATABASE migrated;")
                url = {"database_url": server.get_uri(database="migrated")}
            made[kind] = Settings.load(data_dir=tmp_path_factory.mktemp(f"migrated-{kind}"), **url)
            migrate(made[kind])
        return made[kind]

    return settings_for


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(
    request: pytest.FixtureRequest, settings: Settings, migrated: Callable[[str, Any], Settings]
) -> AsyncIterator[Database]:
    """A migrated, empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        migrated("postgresql", server)
        name = f"test_{uuid.uuid4().hex}"
        server.psql(f"CREATE DATABASE {name} TEMPLATE migrated;")
        settings = Settings.load(data_dir=settings.data_dir, database_url=server.get_uri(database=name))
    else:
        shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    opened = Database(settings)
    yield opened
    await opened.close()
