"""PostgreSQL in a backup: dumped and put back as the ordinary role that the platform has."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.backup.manifest import BackupError
from core.backup.postgresql import PostgreSQL, find_tools
from core.settings import Settings
from infra.postgresql import database_of_platform
from tests.core.backup.filled import LARGE, TEXT, Place, fill, stored


@pytest.fixture
def grown(postgresql: Any, migrated: Callable[[str, Any], Settings], tmp_path: Path) -> Place:
    """A filled platform whose database is on PostgreSQL."""
    migrated("postgresql", postgresql)
    name = f"backup_{uuid.uuid4().hex}"
    settings = Settings.load(
        data_dir=tmp_path / "data", database_url=database_of_platform(postgresql, name, template="migrated")
    )
    fill(settings)
    return Place(settings, tmp_path, [])


def ask(settings: Settings, statement: str) -> list[Any]:
    with psycopg.connect(str(settings.database_url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_what_was_changed_since_is_as_it_was_and_tenants_are_kept_apart(grown: Place) -> None:
    grown.take()
    held = ask(grown.settings, "SELECT tablename, policyname FROM pg_policies ORDER BY 1")
    ask(
        grown.settings,
        "SET genai.tenant = '*'; DELETE FROM tenants WHERE id = 'acme'; CREATE TABLE of_a_newer_version (id INT)",
    )
    with pytest.raises(BackupError, match="--replace"):
        grown.restore().run(replace=False)
    work = grown.restore()
    work.check()
    work.run(replace=True)
    assert stored(grown.settings) == (True, TEXT, LARGE)
    assert ask(grown.settings, "SELECT tablename, policyname FROM pg_policies ORDER BY 1") == held
    assert ask(grown.settings, "SELECT to_regclass('of_a_newer_version')") == [(None,)]
    assert ask(grown.settings, "SELECT count(*) FROM tenants") == [(0,)], "who says no tenant sees none"


def test_into_a_new_database_of_another_name(grown: Place, postgresql: Any, elsewhere: Callable[..., Settings]) -> None:
    grown.take()
    settings = elsewhere(database_url=database_of_platform(postgresql, f"other_{uuid.uuid4().hex}"))
    work = grown.restore(settings)
    work.check()
    work.run(replace=False)
    assert stored(settings) == (True, TEXT, LARGE)


def test_while_others_are_connected_nothing_is_replaced(grown: Place) -> None:
    grown.take()
    with psycopg.connect(str(grown.settings.database_url)), pytest.raises(BackupError, match="stop every server"):
        grown.restore().run(replace=True)


def test_a_restore_that_fails_in_its_middle_leaves_all_as_it_was(grown: Place) -> None:
    server = PostgreSQL(grown.settings)
    dump = grown.root / "dump"
    server.dump(dump)
    ask(grown.settings, "CREATE TABLE mine (id INT)")

    class Cut(PostgreSQL):
        def _run(self, tool: str, *arguments: str) -> None:
            if tool == "psql":
                script = grown.root / "restore.sql"
                text = script.read_text()
                script.write_text(text[: text.rindex("COPY ")] + "\nSELECT 1/0;\n")
            super()._run(tool, *arguments)

    with pytest.raises(BackupError, match="division by zero"):
        Cut(grown.settings).restore(dump, grown.root)
    assert ask(grown.settings, "SELECT to_regclass('mine')::text") == [("mine",)]
    assert stored(grown.settings) == (True, TEXT, LARGE)


def test_programs_that_are_older_than_the_server_are_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.4'\n")
    old.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_tools(13) == tmp_path
    assert find_tools(18) != tmp_path
    with pytest.raises(BackupError, match="99 or newer are not on PATH"):
        find_tools(99)
