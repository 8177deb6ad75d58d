"""`genai backup` and `genai restore` as they are typed, with the settings of a platform that does not run."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.settings import Settings
from server.cli.app import app
from tests.core.backup.filled import LARGE, TEXT, Place, fill, stored


@pytest.fixture
def place(prepared: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    fill(prepared)
    monkeypatch.setenv("GENAI_DATA_DIR", str(prepared.data_dir))
    return Place(prepared, tmp_path, [])


def genai(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.output


def test_there_and_back(place: Place) -> None:
    source = ("--from", place.data, "--keys", place.keys)
    code, told = genai("backup", "--to", place.data, "--keys", place.keys)
    assert (code, f"{place.data}: 3 parts" in told) == (0, True), told
    code, told = genai("restore", *source, "--check")
    assert (code, "whole, as of" in told) == (0, True), told
    code, told = genai("restore", *source)
    assert (code, "--replace" in told) == (1, True), told
    with closing(sqlite3.connect(place.settings.path("genai.db"))) as database:
        database.execute("DELETE FROM tenants WHERE id = 'acme'")
        database.commit()
    code, told = genai("restore", *source, "--replace")
    assert (code, "put back as of" in told) == (0, True), told
    assert stored(place.settings) == (True, TEXT, LARGE)
    with closing(sqlite3.connect(place.settings.path("genai.db"))) as database:
        acts = database.execute("SELECT action FROM audit_events ORDER BY number").fetchall()
    assert acts == [("backup.taken",), ("backup.restored",)]


def test_what_is_wrong_is_told_in_a_line(place: Place) -> None:
    code, told = genai("restore", "--from", place.data)
    assert (code, told) == (1, "There is no backup: manifest.json is missing. One that was cut short has none.\n")
    genai("backup", "--to", place.data, "--keys", place.keys)
    code, told = genai("backup", "--to", place.data, "--keys", place.keys)
    assert (code, "is not empty" in told) == (1, True), told
