"""What is known of the log outside the database: an emptied one that begins anew is another one."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core import audit
from core.audit.__main__ import main
from core.audit.witness import FILE, Witness
from core.database import Database
from core.keys import Hasher, load_secret
from core.principals import SYSTEM
from core.settings import Settings
from tests.core.audit.conftest import Tamper, Verify, write


@pytest.fixture
def named(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The environment that an operator sets, and the settings that it makes."""
    monkeypatch.setenv("GENAI_DATA_DIR", str(settings.data_dir))
    if not database.is_sqlite:
        monkeypatch.setenv("GENAI_DATABASE_URL", database.engine.url.render_as_string(hide_password=False))
    return Settings.load()


def _start(settings: Settings) -> None:
    """What a start of the platform puts on record."""
    recorder = audit.Recorder(settings)
    audit.connect(recorder)
    audit.note(audit.Action.SETTINGS_STARTED, outcome=audit.Outcome.SUCCESS, principal=SYSTEM)
    audit.connect(None)
    recorder.close()


async def test_a_log_that_was_emptied_and_begun_anew_is_found(named: Settings, tamper: Tamper, verified: Verify) -> None:
    _start(named)
    assert main([]) == 0
    await tamper("DELETE FROM audit_events", "DELETE FROM audit_heads")
    assert main([]) == 1
    with capture_logs() as logged:
        _start(named)
    assert "audit.begun_anew" in [line["event"] for line in logged]
    assert main([]) == 1
    anchors = Witness(named, Hasher(load_secret(named))).anchors()
    broken = (await verified(*anchors))["default"].broken
    assert (broken and broken.number) == 1


async def test_another_tenants_log_is_found_emptied_by_the_operators_which_tells_when_it_began(
    named: Settings, database: Database, tamper: Tamper
) -> None:
    _start(named)
    await write(database, 2)
    assert main([]) == 0
    await tamper("DELETE FROM audit_events WHERE tenant = 'acme'", "DELETE FROM audit_heads WHERE tenant = 'acme'")
    assert main([]) == 1
    await write(database, 2)
    assert main([]) == 1


async def test_that_the_operators_log_was_emptied_alone_is_no_break_of_another_tenants(
    named: Settings, database: Database, tamper: Tamper, verified: Verify
) -> None:
    _start(named)
    await write(database, 2)
    await tamper("DELETE FROM audit_events WHERE tenant = 'default'", "DELETE FROM audit_heads WHERE tenant = 'default'")
    _start(named)
    found = await verified(*Witness(named, Hasher(load_secret(named))).anchors())
    assert found["default"].broken
    assert found["acme"].broken is None


async def test_a_log_that_was_there_before_is_known_from_the_next_start_on(named: Settings, database: Database) -> None:
    await write(database, 2, tenant="default")
    assert Witness(named, Hasher(load_secret(named))).anchors() == []
    assert main([]) == 0
    _start(named)
    assert [anchor.number for anchor in Witness(named, Hasher(load_secret(named))).anchors()] == [1]
    assert main([]) == 0


async def test_another_database_in_the_same_directory_is_no_break(named: Settings, tmp_path: Path) -> None:
    _start(named)
    hasher = Hasher(load_secret(named))
    other = Settings.load(data_dir=named.data_dir, database_url="postgresql://ada:secret@127.0.0.1:1/other")
    assert Witness(other, hasher).anchors() == []
    assert "127.0.0.1" not in (Path(named.data_dir) / FILE).read_text()


async def test_a_directory_that_cannot_be_written_to_keeps_no_event_from_the_record(named: Settings, verified: Verify) -> None:
    (Path(named.data_dir) / "audit.lock").mkdir(parents=True)
    with capture_logs() as logged:
        _start(named)
    assert "audit.not_witnessed" in [line["event"] for line in logged]
    assert (await verified())["default"].broken is None
