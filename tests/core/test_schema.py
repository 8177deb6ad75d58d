"""The schema at a process's start: made anew, or found there."""

import pytest
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from core.database import is_made, migrate, sync_url
from core.pool_settings import DatabaseSettings
from core.schema import main, prepare
from core.settings import Settings, SettingsError

APART = DatabaseSettings(migrate=False)


def test_a_start_migrates_by_itself(settings: Settings) -> None:
    prepare(settings)
    assert is_made(settings)


def test_a_start_that_does_not_migrate_is_refused_before_somebody_else_has(settings: Settings) -> None:
    apart = settings.model_copy(update={"database": APART})
    with pytest.raises(SettingsError, match=r"GENAI_DATABASE__MIGRATE.*not there.*make migrate"):
        prepare(apart)
    assert not is_made(settings)
    migrate(settings)
    prepare(apart)


@pytest.mark.parametrize(("schema", "known"), [("0003", True), ("9999", False)])
def test_an_older_schema_is_refused_and_a_newer_one_is_taken(settings: Settings, schema: str, known: bool) -> None:
    migrate(settings)
    engine = create_engine(sync_url(settings))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :n"), {"n": schema})
    engine.dispose()
    apart = settings.model_copy(update={"database": APART})
    if known:
        with pytest.raises(SettingsError, match=f"the schema is {schema} and has to be"):
            prepare(apart)
    else:
        with capture_logs() as lines:
            prepare(apart)
        assert [(line["event"], line["schema"]) for line in lines] == [("database.schema_is_newer", schema)]


def test_the_command_migrates_whatever_servers_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("GENAI_DATABASE__MIGRATE", "false")
    assert main() == 0
    prepare(settings.model_copy(update={"database": APART}))


def test_the_command_tells_of_settings_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENAI_DATABASE_URL", "mysql://host/name")
    assert main() == 2
    assert "GENAI_DATABASE_URL" in capsys.readouterr().err
