"""Copies between storages: what is deleted meanwhile is left out, and what cannot be written is told."""

from pathlib import Path

import pytest

from core.backup.copying import all_copied, check_parts
from core.backup.manifest import BackupError, Part
from core.storages import Directory

LARGE = 3 * 1024 * 1024


class Forgetting(Directory):
    """Loses what was listed."""

    def read(self, key: str) -> bytes:
        raise FileNotFoundError(key)

    def fetch(self, key: str, scratch: Path) -> Path:
        raise FileNotFoundError(key)


class Closed(Directory):
    """Is gone when it is written to, as a bucket."""

    def write(self, key: str, source: bytes | Path) -> None:
        raise FileNotFoundError(key)


@pytest.mark.parametrize("size", [10, LARGE])
def test_what_is_deleted_meanwhile_is_left_out(tmp_path: Path, size: int) -> None:
    source, target = Forgetting(tmp_path / "source"), Directory(tmp_path / "target")
    assert list(all_copied(source, [("a", size)], target, "files/", tmp_path)) == []


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_place_that_is_gone_is_not_taken_for_a_deletion(tmp_path: Path, size: int) -> None:
    source, target = Directory(tmp_path / "source"), Closed(tmp_path / "target")
    source.write("a", bytes(size))
    with pytest.raises(FileNotFoundError):
        list(all_copied(source, [("a", size)], target, "files/", tmp_path))


def test_many_are_all_copied_and_one_that_is_wrong_is_named(tmp_path: Path) -> None:
    source, target = Directory(tmp_path / "source"), Directory(tmp_path / "target")
    for number in range(300):
        source.write(f"a/{number}", b"%d" % number)
    parts = list(all_copied(source, [(one.key, one.size) for one in source.listed()], target, "files/", tmp_path))
    assert len(parts) == 300
    check_parts(target, parts, tmp_path)
    wrong = [*parts, Part("files/a/7", 1, "0" * 64)]
    with pytest.raises(BackupError, match="files/a/7 is damaged"):
        check_parts(target, wrong, tmp_path)
