"""A backup of what is stored: what is in it, what is refused, and what is told of keys."""

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from core.backup import taking
from core.backup.manifest import BackupError, open_place, read_manifest
from core.encryption.local_keys import KEY_FILE
from core.keys import SECRET_FILE
from core.settings import Settings
from core.storages import Directory
from tests.core.backup.filled import LARGE, TEXT, Place


def below(directory: str) -> dict[str, bytes]:
    root = Path(directory)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_database_and_sealed_files_are_in_it_and_no_key_is(place: Place) -> None:
    manifest = place.take()
    found = below(place.data)
    assert found.keys() == {
        "manifest.json",
        "parts.jsonl",
        "database.sqlite3",
        "files/col_1/doc_1/text",
        "files/col_1/doc_1/original",
    }
    assert manifest.parts == 3
    everything = b"".join(found.values())
    assert TEXT not in everything
    assert LARGE[:4096] not in everything
    keys = below(place.keys)
    assert keys.keys() == {"keys.json", KEY_FILE, SECRET_FILE}
    for name in (KEY_FILE, SECRET_FILE):
        assert keys[name] == place.settings.path(name).read_bytes()
        assert keys[name].strip() not in everything


def test_its_directories_are_the_owners_and_nothing_else_is_left(place: Place) -> None:
    place.take()
    read_manifest(open_place(place.data))
    for root in (Path(place.data), Path(place.keys)):
        directories = [root, *(path for path in root.rglob("*") if path.is_dir())]
        assert {oct(path.stat().st_mode)[-3:] for path in directories} == {"700"}
        assert not (root / ".unfinished").exists()


def test_without_a_place_for_keys_it_says_that_they_are_missing(place: Place) -> None:
    place.take(keys=False)
    assert any("WITHOUT the keys" in line and KEY_FILE in line for line in place.told)


@pytest.mark.parametrize("below_it", ["", "/keys"])
def test_keys_beside_the_data_are_told(place: Place, below_it: str) -> None:
    taking.take(place.settings, place.data, keys_to=place.data + below_it, with_files=False, told=place.told.append)
    assert any("WITH the data" in line for line in place.told)


def test_keys_apart_are_not_told_of(place: Place) -> None:
    place.take()
    assert not any("WITH the data" in line for line in place.told)


def test_a_place_that_holds_something_is_refused(place: Place) -> None:
    place.take()
    with pytest.raises(BackupError, match="not empty"):
        place.take()


def test_a_directory_without_a_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="no platform"):
        taking.take(Settings.load(data_dir=tmp_path / "none"), str(tmp_path / "to"), keys_to=None, with_files=True, told=print)


def test_what_comes_between_the_files_and_the_database_is_in_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Directory(place.settings.path("files"))
    copy = taking.copy_database

    def copied_late(source: Path, target: Path) -> None:
        files.write("col_1/doc_2/text", b"new")
        files.write("col_1/doc_1/text", b"written anew")
        copy(source, target)
        files.write("col_1/doc_1/original", b"later than the database")

    monkeypatch.setattr(taking, "copy_database", copied_late)
    monkeypatch.setattr(taking.time, "time", lambda: place.settings.path("files/col_1/doc_1/original").stat().st_mtime + 0.0)
    original = place.settings.path("files/col_1/doc_1/original").read_bytes()
    place.take()
    found = below(place.data)
    assert found["files/col_1/doc_2/text"] == b"new"
    assert found["files/col_1/doc_1/original"] == original


def test_the_ledgers_file_and_the_begin_of_the_audit_log_are_in_it(place: Place) -> None:
    spool = place.settings.path("ledger", "1-a.jsonl")
    spool.write_bytes(b"{}\n")
    place.settings.path("audit.begun").write_bytes(b"begun")
    place.take()
    found = below(place.data)
    assert (found["data/ledger/1-a.jsonl"], found["data/audit.begun"]) == (b"{}\n", b"begun")


def test_taking_one_is_on_record_in_it(place: Place) -> None:
    manifest = place.take()
    with closing(sqlite3.connect(Path(place.data, "database.sqlite3"))) as copy:
        rows = copy.execute("SELECT object_id FROM audit_events WHERE action = 'backup.taken'").fetchall()
    assert rows == [(manifest.id,)]


def test_the_manifest_names_what_is_needed_to_read_it(place: Place) -> None:
    place.take()
    said = orjson.loads(Path(place.data, "manifest.json").read_bytes())
    assert said["database"] == "sqlite"
    assert [name.partition(":")[0] for name in said["wrapped_by"]] == ["local"]
    assert said["schema"]
    assert said["files"] is True
