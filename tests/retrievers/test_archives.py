"""Archives: what is taken out of them, and every bound that holds hostile ones."""

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from core.errors import UnreadableFile
from retrievers import archives
from retrievers.archives import Bounds, Member, clean_path, members, unpack_into
from retrievers.sniffing import sniff
from tests.retrievers import making

BOUNDS = Bounds(members=50, member_bytes=1_000_000)


def read(data: bytes, bounds: Bounds = BOUNDS, name: str = "a") -> list[Member]:
    return list(members(data, sniff(data, name), name, bounds))


def told(data: bytes, bounds: Bounds = BOUNDS) -> dict[str, bytes | str]:
    """Path → content, or the code of why there is none."""
    return {member.path: member.data if member.data is not None else member.code for member in read(data, bounds)}


FILES = {"notes.txt": b"Puffins.", "deep/er/list.csv": b"a,b\n1,2"}


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz"])
def test_a_tar_is_read_whatever_packs_it(packing: str) -> None:
    assert told(making.tarred(FILES, packing)) == FILES


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_read_whatever_packs_its_members(packing: int) -> None:
    assert told(making.zipped(FILES, packing=packing)) == FILES


def test_a_packed_file_alone_is_its_own_member() -> None:
    assert [member.path for member in read(gzip.compress(b"Puffins."), name="logs/notes.txt.gz")] == ["notes.txt"]


def test_folders_and_what_systems_leave_behind_are_no_members() -> None:
    data = making.zipped({"d/": b"", "__MACOSX/._a.txt": b"x", "d/.DS_Store": b"x", "d/a.txt": b"y"})
    assert told(data) == {"d/a.txt": b"y"}


def test_an_archive_in_an_archive_is_opened_under_its_own_name() -> None:
    inner = making.tarred({"b.txt": b"inside"})
    assert told(making.zipped({"a.txt": b"outside", "in/er.tar.gz": inner})) == {
        "a.txt": b"outside",
        "in/er.tar.gz/b.txt": b"inside",
    }


def test_an_archive_that_lies_too_deep_is_told_and_the_others_are_read() -> None:
    data = making.zipped({"last.txt": b"x"})
    for _ in range(archives.MAX_DEPTH):
        data = making.zipped({"in.zip": data, "beside.txt": b"y"})
    found = told(data)
    assert found["in.zip/in.zip/in.zip"] == "file_too_complex"
    assert found["in.zip/in.zip/beside.txt"] == b"y"
    assert "in.zip/in.zip/in.zip/last.txt" not in found


def test_a_damaged_archive_in_an_archive_is_told_by_its_name() -> None:
    inner = making.tarred({"b.txt": b"inside " * 1000}, "")
    data = making.zipped({"in.tar": inner[:2000], "a.txt": b"x"})
    assert told(data) == {"in.tar/b.txt": "corrupt_file", "in.tar": "corrupt_file", "a.txt": b"x"}


def test_a_member_whose_content_is_damaged_is_told_by_its_name() -> None:
    data = bytearray(making.zipped({"bad.txt": b"A" * 100, "good.txt": b"B"}, packing=zipfile.ZIP_STORED))
    data[data.find(b"A" * 100)] = ord("C")
    assert told(bytes(data)) == {"bad.txt": "corrupt_file", "good.txt": b"B"}


@pytest.mark.parametrize("cut", [700, 1100, 2000])
def test_a_tar_that_is_cut_off_is_damaged_as_a_whole(cut: int) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read(making.tarred({"a.txt": b"A" * 400, "b.txt": b"B" * 4000}, "")[:cut])
    assert caught.value.code == "corrupt_file"


def test_a_tar_whose_second_header_is_damaged_does_not_end_there_in_silence() -> None:
    data = bytearray(making.tarred({"a.txt": b"A" * 400, "b.txt": b"B" * 4000, "c.txt": b"C"}, ""))
    data[1024 + 148] ^= 1  # in the checksum of the second
    with pytest.raises(UnreadableFile) as caught:
        read(bytes(data))
    assert caught.value.code == "corrupt_file"


HOSTILE_NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\windows\\x.ini",
    "..\\..\\up.txt",
    "nul\0byte.txt",
    "bell\x07.txt",
    "a/../../b",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_a_name_that_plays_tricks_is_refused_under_a_harmless_one(name: str) -> None:
    (found, good) = read(making.zipped({name: b"x", "good.txt": b"y"}))
    assert (found.code, found.data) == ("invalid_name", None)
    assert not found.path.startswith("/")
    assert ".." not in found.path.split("/")
    assert "\0" not in found.path
    assert (good.path, good.data) == ("good.txt", b"y")


def test_names_of_a_tar_are_looked_at_as_those_of_a_zip() -> None:
    assert told(making.tarred({"../up.txt": b"x", "/abs.txt": b"x", "fine.txt": b"y"})) == {
        "up.txt": "invalid_name",
        "abs.txt": "invalid_name",
        "fine.txt": b"y",
    }


def test_backslashes_divide_folders() -> None:
    assert told(making.zipped({"dir\\file.txt": b"x", "dir\\": b""})) == {"dir/file.txt": b"x"}


def test_two_members_of_one_name_are_both_read() -> None:
    assert told(making.zipped({"a/b.txt": b"1", "a//b.txt": b"2"})) == {"a/b.txt": b"1", "a/b.txt (2)": b"2"}


def test_a_name_that_is_too_long_is_refused_under_its_beginning() -> None:
    (found,) = read(making.zipped({"ü" * 200: b"x"}), Bounds(members=5, member_bytes=100, path_bytes=101))
    assert (found.path, found.code) == ("ü" * 50, "invalid_name")


def test_a_name_in_utf8_is_read_though_the_archive_does_not_say_so() -> None:
    data = making.zipped({"Prüfung.txt": b"x"})
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        data = data[: at + flags + 1] + b"\0" + data[at + flags + 2 :]
    assert told(data) == {"Prüfung.txt": b"x"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-secret")
    assert told(making.tarred({"a.txt": b"x"}, links={"link.txt": str(secret), "inner.txt": "a.txt"})) == {
        "a.txt": b"x",
        "link.txt": "unsupported_file_type",
        "inner.txt": "unsupported_file_type",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(secret))
    assert told(out.getvalue()) == {"link.txt": "unsupported_file_type"}


def test_a_device_in_a_tar_is_not_read() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("zero")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    assert told(out.getvalue()) == {"zero": "unsupported_file_type"}


def test_a_member_that_is_protected_is_told_and_an_archive_that_is_wholly_so_is_refused() -> None:
    data = making.zipped({"a.txt": b"x", "b.txt": b"y"})
    assert told(making.encrypted(data, ["a.txt"])) == {"a.txt": "encrypted_file", "b.txt": b"y"}
    with pytest.raises(UnreadableFile) as caught:
        read(making.encrypted(data, ["a.txt", "b.txt"]))
    assert caught.value.code == "encrypted_file"


def test_a_member_that_is_packed_too_tightly_is_refused_without_being_unpacked() -> None:
    zeros = bytes(12 * 2**20)  # a thousandth of its size when packed
    found = read(making.zipped({"zeros.txt": zeros, "a.txt": b"x"}), Bounds(members=5, member_bytes=2**30))
    assert [(member.path, member.code) for member in found] == [("zeros.txt", "file_too_complex"), ("a.txt", "")]


def test_a_member_that_is_too_large_is_refused_and_the_others_are_read() -> None:
    data = making.zipped({"big.txt": b"x" * 1001, "a.txt": b"x" * 1000})
    assert told(data, Bounds(members=5, member_bytes=1000)) == {"big.txt": "file_too_complex", "a.txt": b"x" * 1000}


NINE = {str(number): b"x" * 1000 for number in range(9)}


@pytest.mark.parametrize("data", [making.zipped(NINE), making.tarred(NINE)], ids=["zip", "tar.gz"])
def test_an_archive_that_unpacks_to_too_much_is_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read(data, Bounds(members=50, member_bytes=10_000, total_bytes=8_000))
    assert caught.value.code == "file_too_complex"


def test_what_archives_in_it_unpack_to_counts_as_well() -> None:
    data = making.zipped({f"{n}.zip": making.zipped({"a.txt": b"x" * 4000}) for n in range(3)})
    assert len(read(data, Bounds(members=50, member_bytes=10_000, total_bytes=20_000))) == 3
    with pytest.raises(UnreadableFile) as caught:
        read(data, Bounds(members=50, member_bytes=10_000, total_bytes=10_000))
    assert caught.value.code == "file_too_complex"


@pytest.mark.parametrize("kind", ["one", "tar"])
def test_a_stream_that_is_packed_too_tightly_is_refused(kind: str) -> None:
    zeros = bytes(12 * 2**20)
    with pytest.raises(UnreadableFile) as caught:
        read(
            gzip.compress(zeros if kind == "one" else making.tarred({"zeros": zeros}, "")),
            Bounds(members=5, member_bytes=2**30),
        )
    assert caught.value.code == "file_too_complex"


def test_more_members_than_are_read_are_refused_on_all_levels_together() -> None:
    data = making.zipped({"a.txt": b"x", "in.zip": making.zipped({"b.txt": b"x", "c.txt": b"x"})})
    assert len(read(data, Bounds(members=3, member_bytes=1000))) == 3
    with pytest.raises(UnreadableFile) as caught:
        read(data, Bounds(members=2, member_bytes=1000))
    assert caught.value.code == "too_many_documents"


def test_entries_are_counted_though_they_are_no_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_LOOKED_AT", 10)
    with pytest.raises(UnreadableFile) as caught:
        read(making.zipped({f"{n}/": b"" for n in range(11)}))
    assert caught.value.code == "file_too_complex"


def test_members_are_written_under_numbers_alone(tmp_path: Path) -> None:
    archive, target = tmp_path / "a.zip", tmp_path / "target"
    target.mkdir()
    archive.write_bytes(making.zipped({"../../evil.txt": b"x", "d/a.txt": b"y", "b.txt": b"z"}))
    media_type, found = unpack_into(archive, "a.zip", target, BOUNDS)
    assert media_type == "application/zip"
    assert [(one.path, one.number, one.code) for one in found] == [
        ("evil.txt", None, "invalid_name"),
        ("d/a.txt", 1, ""),
        ("b.txt", 2, ""),
    ]
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"1": b"y", "2": b"z"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "target"]


@pytest.mark.parametrize(
    ("name", "path", "harmless"),
    [
        ("a/b.txt", "a/b.txt", True),
        ("./a//b.txt", "a/b.txt", True),
        ("..", "unnamed", False),
        ("", "unnamed", False),
        ("\udcff.txt", "\ufffd.txt", False),
        ("…/größe.txt", "…/größe.txt", True),
    ],
)
def test_paths_are_cleaned(name: str, path: str, harmless: bool) -> None:
    assert clean_path(name) == (path, harmless)
