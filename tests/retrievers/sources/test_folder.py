import errno
import os
from pathlib import Path

import pytest

from core.errors import InvalidRequest, NotFound, PlatformError, TooLarge
from core.settings import RequestLimits, Settings
from core.source_settings import SourceSettings
from retrievers.sources.base import Entry, Place
from retrievers.sources.folder import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that the settings allow, in a directory with others."""
    folder = tmp_path / "allowed" / "docs"
    folder.mkdir(parents=True)
    (tmp_path / "secret.md").write_text("Outside.")
    return folder


@pytest.fixture
def configured(tmp_path: Path, root: Path) -> Settings:
    folders = (str(root.parent), {"path": str(tmp_path / "of-acme"), "tenants": ["acme"]})
    return Settings.load(
        data_dir=tmp_path / "data",
        sources=SourceSettings(folders=folders, files=5),  # type: ignore[arg-type]  # parsed
        limits=RequestLimits(upload_bytes=1000),
    )


def at(path: object, tenant: str = "default") -> Place:
    return Place(tenant, {"path": str(path)})


def test_only_folders_that_the_settings_allow_are_sources(root: Path, configured: Settings, tmp_path: Path) -> None:
    assert Folder.check(at(root), configured) == {"path": os.path.realpath(root)}
    (root / "out").symlink_to(tmp_path)
    for path in (tmp_path, "/etc", f"{root}/../..", root / "out", tmp_path / "of-acme", f"{root.parent}-else"):
        with pytest.raises(InvalidRequest) as refused:
            Folder.check(at(path), configured)
        assert refused.value.code == "source_not_allowed"
    assert Folder.check(at(tmp_path / "of-acme", "acme"), configured)


@pytest.mark.parametrize("location", [{}, {"path": "docs"}, {"path": 7}, {"path": "/a\0b"}, {"path": "/a", "url": "x"}])
def test_what_is_no_path_is_no_folder(configured: Settings, location: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Folder.check(Place("default", location), configured)
    assert refused.value.code == "invalid_source"


async def test_hidden_files_and_links_are_left_out(root: Path, configured: Settings, tmp_path: Path) -> None:
    (root / "sub" / ".git").mkdir(parents=True)
    for name in ("b.md", "sub/a.md", ".hidden", "sub/.git/config"):
        (root / name).write_text(name)
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    listing = await Folder.open(at(root), configured).look()
    assert [entry.name for entry in listing.entries] == ["b.md", "sub/a.md"]
    assert (listing.complete, listing.problems) == (True, [])


async def test_a_file_that_has_become_a_link_since_it_was_listed_is_gone(
    root: Path, configured: Settings, tmp_path: Path
) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "a.md").write_text("Ours.")
    folder, scratch = Folder.open(at(root), configured), tmp_path / "scratch"
    scratch.mkdir()
    content = await folder.read(Entry("sub/a.md"), "", scratch)
    assert content is not None
    assert (content.data.read_text(), content.mark) == ("Ours.", (await folder.look()).entries[0].mark)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.md").write_text("Theirs.")
    (root / "sub").rename(root / "was")
    (root / "sub").symlink_to(tmp_path / "elsewhere")
    (root / "leaf.md").symlink_to(tmp_path / "secret.md")
    for name in ("sub/a.md", "leaf.md", "nothing.md"):
        with pytest.raises(NotFound):
            await folder.read(Entry(name), "", scratch)


async def test_bounds_of_number_and_size_hold(root: Path, configured: Settings, tmp_path: Path) -> None:
    for number in range(6):
        (root / f"{number}.md").write_text("x" * 2000)
    folder = Folder.open(at(root), configured)
    listing = await folder.look()
    assert (len(listing.entries), listing.complete, listing.problems[0][1]) == (5, False, "too_many_files")
    with pytest.raises(TooLarge):
        await folder.read(listing.entries[0], "", tmp_path)


async def test_a_folder_that_is_not_there_cannot_be_looked_at(root: Path, configured: Settings) -> None:
    with pytest.raises(PlatformError) as refused:
        await Folder.open(at(root / "missing"), configured).look()
    assert refused.value.code == "source_unreachable"


async def test_a_file_that_cannot_be_looked_at_is_told_and_nothing_is_known_to_be_gone(
    root: Path, configured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.md", "b.md", "gone.md"):
        (root / name).write_text(name)
    looked = os.lstat

    def answers(path: str) -> os.stat_result:
        if path.endswith("a.md"):
            raise OSError(errno.EIO, "Input/output error", path)
        if path.endswith("gone.md"):
            raise FileNotFoundError(errno.ENOENT, "No such file", path)
        return looked(path)

    monkeypatch.setattr("retrievers.sources.folder.os.lstat", answers)
    listing = await Folder.open(at(root), configured).look()
    assert [entry.name for entry in listing.entries] == ["b.md"]
    assert (listing.complete, [problem[:2] for problem in listing.problems]) == (False, [("a.md", "cannot_be_read")])


async def test_a_disk_that_breaks_off_fails_that_file(
    root: Path, configured: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.md").write_text("Ours.")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("retrievers.sources.folder.shutil.copyfileobj", broken)
    with pytest.raises(PlatformError) as refused:
        await Folder.open(at(root), configured).read(Entry("a.md"), "", tmp_path)
    assert refused.value.code == "cannot_be_read"
