"""Fixtures that every package's tests share: settings in a temporary data directory, and real databases."""

import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import infra.postgresql
from core.database import Database, migrate
from core.memory import hurry, settle
from core.settings import Settings
from core.valkey import EmbeddedValkey
from tests import vector_servers
from tests.databases import LentDatabases
from tests.loopback import GUARD

GUARD.install()
# what a busy machine takes for an example says nothing of what is tested
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
hurry()
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # else AWS's SDK looks for a region and a credential at 169.254.169.254


@pytest.fixture(autouse=True)
def stays_on_loopback() -> Iterator[None]:
    """A test fails that has bound, called or looked up anything beyond the loopback interface, also where that was refused."""
    yield
    assert GUARD.taken() == []


@pytest.fixture(autouse=True)
def leaves_the_umask() -> Iterator[None]:
    """Commands write for their user alone, by the mask of the whole process: a test that runs one leaves none to the next."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end-to-end tests come first: their files are the longest, and whoever had one of them last would work alone."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/e2e/"))


def pytest_collection_finish() -> None:
    """What is loaded by now, a million objects, is left out of the searches for garbage, as the server does it."""
    settle()


@pytest.hookimpl(optionalhook=True)  # where the tests run in several processes
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Which tests stay together: a file's, whose fixtures then start once, and the end-to-end tests of a database, whose
    server does. xdist's own groups do not reach its scheduler with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, test = nodeid.partition("::")
            database = re.search(r"\[(sqlite|postgresql)\b", test)
            return f"tests/e2e on {database[1]}" if database and file.startswith("tests/e2e/") else file

    return Scheduling(config, log)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Embedded defaults in a directory of the test's own."""
    return Settings.load(data_dir=tmp_path / "data")


@pytest.fixture(scope="module")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Valkey, one for each file of tests."""
    valkey = EmbeddedValkey(Settings.load(data_dir=tmp_path_factory.mktemp("valkey")))
    yield valkey.start()
    valkey.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A real PostgreSQL server, shared by the session; each test makes a database of its own."""
    with infra.postgresql.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Chroma server, shared by the session; each test has collections of its own."""
    with vector_servers.chroma(tmp_path_factory.mktemp("chroma-server")) as url:
        yield url


@pytest.fixture(scope="session")
def qdrant_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Qdrant server (`tests.fakes.qdrant_server`), shared likewise."""
    from tests.fakes import qdrant_server

    with qdrant_server.serving(tmp_path_factory.mktemp("qdrant-server")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], Settings]:
    """Settings whose database has the newest schema and no rows, made once a session for each kind and copied from then on."""
    made: dict[str, Settings] = {}

    def settings_for(kind: str, server: Any) -> Settings:
        if kind not in made:
            url = {}
            if kind == "postgresql":
                url = {"database_url": infra.postgresql.database_of_platform(server, "migrated")}
            made[kind] = Settings.load(data_dir=tmp_path_factory.mktemp(f"migrated-{kind}"), **url)
            migrate(made[kind])
        return made[kind]

    return settings_for


@pytest.fixture(scope="session")
def lent_databases(postgresql: Any, migrated: Callable[[str, Any], Settings]) -> LentDatabases:
    """Lends databases on PostgreSQL, migrated and empty; after a test each is emptied for the next."""
    migrated("postgresql", postgresql)
    return LentDatabases(postgresql)


@pytest.fixture(scope="session")
def with_schema(migrated: Callable[[str, Any], Settings]) -> Callable[[Settings], Settings]:
    """Puts an empty SQLite database of the newest schema where the settings have theirs, as `migrate` would in a second."""

    def prepare(settings: Settings) -> Settings:
        shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
        return settings

    return prepare


@pytest.fixture
def prepared(settings: Settings, with_schema: Callable[[Settings], Settings]) -> Settings:
    """The settings, with such a database."""
    return with_schema(settings)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(
    request: pytest.FixtureRequest,
    settings: Settings,
    with_schema: Callable[[Settings], Settings],
) -> AsyncIterator[Database]:
    """A migrated, empty database, once on SQLite and once on PostgreSQL."""
    lent: LentDatabases | None = None
    if request.param == "postgresql":
        lent = request.getfixturevalue("lent_databases")
        settings = Settings.load(data_dir=settings.data_dir, database_url=lent.lend())
    else:
        with_schema(settings)
    opened = Database(settings)
    yield opened
    await opened.close()
    if lent is not None:
        lent.take_back(settings.database_url)
