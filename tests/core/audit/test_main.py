"""`python -m core.audit`, which `make audit-verify` runs."""

import sqlite3
from pathlib import Path

import pytest

from core.audit.__main__ import main
from core.database import Database
from core.keys import load_secret
from core.settings import Settings
from core.tables import User
from tests.core.audit.conftest import Tamper, write


@pytest.fixture
def named(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that an operator sets."""
    monkeypatch.setenv("GENAI_DATA_DIR", str(settings.data_dir))
    if not database.is_sqlite:
        monkeypatch.setenv("GENAI_DATABASE_URL", database.engine.url.render_as_string(hide_password=False))


@pytest.mark.usefixtures("named")
async def test_whole_chains_are_printed_and_can_be_anchors(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    await write(database, 2)
    capsys.readouterr()
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(":")[0] for line in lines] == ["whole   acme:2", "whole   default:1"]
    await write(database, 1)
    assert main(["--anchor", lines[0].split()[1]]) == 0
    assert main(["--anchor", f"acme:2:{'0' * 64}"]) == 1


@pytest.mark.usefixtures("named")
async def test_the_first_broken_event_is_printed_and_the_exit_is_1(
    database: Database, tamper: Tamper, capsys: pytest.CaptureFixture[str]
) -> None:
    await write(database, 4)
    await tamper("UPDATE audit_events SET actor = 'usr_9' WHERE tenant = 'acme' AND number >= 3")
    assert main([]) == 1
    assert "BROKEN  acme: event 3: it was changed" in capsys.readouterr().out


@pytest.mark.usefixtures("named")
async def test_a_log_that_was_emptied_is_missed(database: Database, tamper: Tamper, capsys: pytest.CaptureFixture[str]) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(User(id="usr_1", tenant="default", kind="person", name="Ada", role="user"))
    await write(database, 2)
    await tamper("DELETE FROM audit_events", "DELETE FROM audit_heads")
    assert main([]) == 1
    assert "BROKEN  default: event 1: the chain is gone" in capsys.readouterr().out


@pytest.mark.usefixtures("named", "database")
def test_where_nothing_is_on_record_yet_it_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    load_secret(settings)
    assert main([]) == 2
    assert "no event on record" in capsys.readouterr().err


def test_where_there_is_no_platform_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENAI_DATA_DIR", str(tmp_path / "nowhere"))
    assert main([]) == 2
    assert "no platform" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_platform_of_an_earlier_version_has_nothing_to_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENAI_DATA_DIR", str(tmp_path))
    (tmp_path / "secret.key").write_bytes(b"x" * 32)
    with sqlite3.connect(tmp_path / "genai.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    assert main([]) == 2
    assert capsys.readouterr().err
