"""A backup is put back whole on an empty machine, refused where anything is wrong, and nothing that was there is lost."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from core.backup.manifest import BackupError
from core.encryption.local_keys import KEY_FILE
from core.keys import SECRET_FILE
from core.settings import Settings
from core.storages import Directory
from tests.core.backup.filled import LARGE, TEXT, Place, stored


def test_on_an_empty_machine_all_is_there_again(place: Place, elsewhere: Callable[..., Settings]) -> None:
    place.settings.path("ledger", "1-a.jsonl").write_bytes(b"{}\n")
    place.take()
    settings = elsewhere()
    work = place.restore(settings)
    work.check()
    assert work.run(replace=False) is None
    assert stored(settings) == (True, TEXT, LARGE)
    assert settings.path("ledger", "1-a.jsonl").read_bytes() == b"{}\n"
    assert settings.path(KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_from_one_object_store_into_another(place: Place, elsewhere: Callable[..., Settings]) -> None:
    name = place.root.name
    data, keys = f"memory://{name}/data", f"memory://{name}/keys"
    from core.backup.restoring import Restore
    from core.backup.taking import take

    take(place.settings, data, keys_to=keys, with_files=True, told=place.told.append)
    settings = elsewhere(files_url=f"memory://{name}/files")
    work = Restore(settings, data, keys, place.told.append)
    work.check()
    work.run(replace=False)
    assert stored(settings) == (True, TEXT, LARGE)


def test_what_was_there_is_replaced_when_asked_and_set_aside(place: Place) -> None:
    place.take()
    files = Directory(place.settings.path("files"))
    files.write("col_1/doc_9/text", b"later")
    place.settings.path("lexical", "v1", "x").parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(place.settings.path("genai.db"))) as database:
        database.execute("DELETE FROM tenants WHERE id = 'acme'")
        database.commit()
    with pytest.raises(BackupError, match="--replace"):
        place.restore().run(replace=False)
    aside = place.restore().run(replace=True)
    assert aside is not None
    assert {path.name for path in aside.iterdir()} >= {"genai.db", "files", "lexical"}
    assert stored(place.settings) == (True, TEXT, LARGE)
    assert not files.exists("col_1/doc_9/text")


def test_an_object_store_holds_no_more_than_the_backup_afterwards(place: Place, elsewhere: Callable[..., Settings]) -> None:
    place.take()
    settings = elsewhere(files_url=f"memory://{place.root.name}/all")
    from core.storages import open_storage

    open_storage(settings).write("col_1/doc_9/text", b"later")
    place.restore(settings).run(replace=False)
    assert not open_storage(settings).exists("col_1/doc_9/text")


@pytest.mark.parametrize("part", ["files/col_1/doc_1/text", "files/col_1/doc_1/original", "database.sqlite3", "parts.jsonl"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_one_that_is_not_whole_is_refused_before_anything_is_changed(
    place: Place, elsewhere: Callable[..., Settings], part: str, how: str
) -> None:
    place.take()
    path = Path(place.data, part)
    content = path.read_bytes()
    path.unlink()
    if how == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    settings = elsewhere()
    with pytest.raises(BackupError, match=r"damaged|missing|not what was written"):
        place.restore(settings).check()
    assert not settings.path("genai.db").exists()
    assert not settings.path(KEY_FILE).exists()


def test_one_that_was_cut_short_is_none(place: Place) -> None:
    place.take()
    Path(place.data, "manifest.json").unlink()
    with pytest.raises(BackupError, match="There is no backup"):
        place.restore()


def test_without_its_keys_it_is_refused(place: Place, elsewhere: Callable[..., Settings]) -> None:
    place.take()
    settings = elsewhere()
    with pytest.raises(BackupError, match="keys of the backup are not here"):
        place.restore(settings, keys=False).check()
    assert not settings.path(KEY_FILE).exists()


def test_with_the_secret_of_another_installation_it_is_refused(place: Place, elsewhere: Callable[..., Settings]) -> None:
    place.take()
    settings = elsewhere(secret_key="another" * 8)
    with pytest.raises(BackupError, match="secret key is not the one"):
        place.restore(settings).check()


def test_a_damaged_copy_of_the_keys_is_refused(place: Place) -> None:
    place.take()
    Path(place.keys, SECRET_FILE).write_bytes(b"x" * 32)
    with pytest.raises(BackupError, match=r"secret\.key is damaged"):
        place.restore()


def test_keys_that_are_there_already_stay_below_those_of_the_backup(place: Place, elsewhere: Callable[..., Settings]) -> None:
    from core.encryption.local_keys import make_key_file, read_key_file

    place.take()
    settings = elsewhere()
    (own,) = make_key_file(settings.path(KEY_FILE))
    place.restore(settings).run(replace=False)
    keys = read_key_file(settings.path(KEY_FILE))
    assert keys[-1] == own
    assert len(keys) == 2


def test_one_of_a_newer_platform_is_refused(place: Place) -> None:
    place.take()
    path = Path(place.data, "manifest.json")
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"schema": "9999"}))
    with pytest.raises(BackupError, match="newer platform"):
        place.restore().check()


def test_one_of_another_kind_of_database_is_refused(place: Place) -> None:
    place.take()
    path = Path(place.data, "manifest.json")
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"database": "postgresql"}))
    with pytest.raises(BackupError, match="is of postgresql"):
        place.restore().check()


def test_beside_a_platform_that_runs_it_is_refused(place: Place) -> None:
    place.take()
    with closing(sqlite3.connect(place.settings.path("genai.db"))) as opened:
        opened.execute("PRAGMA journal_mode=WAL").fetchone()
        opened.execute("SELECT count(*) FROM tenants").fetchone()
        with pytest.raises(BackupError, match="stop it first"):
            place.restore().run(replace=True)
    assert stored(place.settings) == (True, TEXT, LARGE)
