import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.database import keyring_of
from core.errors import NotFound, Unavailable
from core.files import Files
from core.settings import Settings, SettingsError
from core.storages import _UNFINISHED


@pytest.fixture(params=["directory", "object store"])
def files(request: pytest.FixtureRequest, settings: Settings, migrated: Callable[[str, Any], Settings]) -> Files:
    url = None if request.param == "directory" else f"memory://bucket-{settings.data_dir.parent.name}"
    shutil.copy(migrated("sqlite", None).path("genai.db"), settings.path("genai.db"))
    return opened(settings.model_copy(update={"files_url": url}))


def opened(settings: Settings) -> Files:
    return Files(settings, keyring_of(settings))


async def test_what_was_put_comes_back_and_a_second_put_replaces_it(files: Files) -> None:
    await files.put("col_a/doc_b/1/text", b"first", tenant="here")
    await files.put("col_a/doc_b/1/text", b"second", tenant="here")
    assert await files.get("col_a/doc_b/1/text", tenant="here") == b"second"


async def test_a_file_can_be_put_and_read_as_a_local_file(files: Files, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    await files.put_file("col_a/doc_b/1/original", source, tenant="here")
    async with files.local("col_a/doc_b/1/original", tenant="here") as path:
        assert path.read_bytes() == source.read_bytes()
    assert source.exists()
    assert await files.exists("col_a/doc_b/1/original")


async def test_what_is_opened_lies_below_the_platforms_own_directory_and_what_was_left_there_goes_at_the_start(
    files: Files, settings: Settings
) -> None:
    await files.put("col_a/doc_b/1/text", b"canary", tenant="here")
    left = settings.path("scratch", "0123456789abcdef", "file-1", "opened")
    left.write_bytes(b"canary")
    async with files.local("col_a/doc_b/1/text", tenant="here") as path:
        assert path.is_relative_to(settings.path("scratch"))
        Files(settings, keyring_of(settings))
        assert path.read_bytes() == b"canary"
    assert [found for found in settings.path("scratch").rglob("*") if found.is_file() and found.suffix != ".lock"] == []


async def test_what_was_opened_can_be_read_to_its_end_though_it_is_deleted(files: Files) -> None:
    await files.put("col_a/doc_b/1/text", b"first" * 100_000, tenant="here")
    with await files.open("col_a/doc_b/1/text", tenant="here") as opened:
        assert opened.read(5) == b"first"
        await files.delete("col_a/doc_b/1/text")
        assert opened.read() == b"first" * 99_999
    with pytest.raises(NotFound):
        await files.open("col_a/doc_b/1/text", tenant="here")


async def test_what_is_missing_is_not_found(files: Files) -> None:
    with pytest.raises(NotFound) as caught:
        await files.get("col_a/nothing", tenant="here")
    assert caught.value.code == "file_not_found"
    with pytest.raises(NotFound):
        async with files.local("col_a/nothing", tenant="here"):
            pass
    assert not await files.exists("col_a/nothing")


async def test_deleting_may_be_repeated(files: Files) -> None:
    await files.put("a/b", b"1", tenant="here")
    await files.delete("a/b")
    await files.delete("a/b")
    assert not await files.exists("a/b")


async def test_deleting_a_prefix_leaves_its_neighbours(files: Files) -> None:
    for key in ("col_1/doc_1/text", "col_1/doc_2/text", "col_10/doc_1/text"):
        await files.put(key, b"1", tenant="here")
    await files.delete_prefix("col_1")
    await files.delete_prefix("col_1")
    assert [await files.exists(key) for key in ("col_1/doc_1/text", "col_1/doc_2/text", "col_10/doc_1/text")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../secret", "a/../../b", "a//b", ".unfinished/x", "a/.b", "a\x00", "a b", "ü"]
)
async def test_a_key_that_is_not_one_of_ours_is_refused(files: Files, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await files.put(key, b"1", tenant="here")
    with pytest.raises(ValueError, match="not a key"):
        await files.delete_prefix(key)


async def test_readers_never_see_half_a_write(files: Files) -> None:
    contents = [bytes([number]) * 500_000 for number in range(8)]
    await files.put("a/b", contents[0], tenant="here")

    async def read() -> None:
        for _ in range(20):
            assert await files.get("a/b", tenant="here") in contents

    await asyncio.gather(read(), *(files.put("a/b", content, tenant="here") for content in contents))


async def test_writes_survive_the_deletion_of_their_directory(files: Files) -> None:
    await asyncio.gather(
        *(call for n in range(50) for call in (files.put(f"a/b/{n}", b"1", tenant="here"), files.delete_prefix("a/b")))
    )
    await files.put("a/b/last", b"2", tenant="here")
    assert await files.get("a/b/last", tenant="here") == b"2"
    await files.delete_prefix("a/b")
    assert [*files._storage.listed()] == []


def test_leftovers_of_killed_writers_are_swept_and_fresh_ones_stay(settings: Settings) -> None:
    opened(settings)
    directory = settings.path("files") / _UNFINISHED
    for name in ("old", "fresh"):
        (directory / name).write_bytes(b"")
    os.utime(directory / "old", (0, 0))
    opened(settings)
    assert [path.name for path in directory.iterdir()] == ["fresh"]


def test_a_store_that_cannot_be_used_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GENAI_FILES_URL"):
        opened(Settings.load(data_dir=tmp_path, files_url="nonsense://bucket"))


async def test_a_listing_tells_each_key_with_its_size_and_when_it_was_written(files: Files) -> None:
    started = time.time()
    await files.put("a/b", b"1", tenant="here")
    await files.put("a/c/d", b"22", tenant="here")
    await files.delete("a/b")
    (found,) = files._storage.listed()
    assert (found.key, found.size) == ("a/c/d", len(files._storage.read("a/c/d")))
    assert started - 2 <= found.modified <= time.time() + 2


async def test_a_driver_s_own_error_is_a_store_that_does_not_answer(
    prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = opened(prepared.model_copy(update={"files_url": "memory://refusing"}))
    refused = type("HttpResponseError", (Exception,), {"__module__": "azure.core.exceptions"})

    def fail(*_: Any, **__: Any) -> None:
        raise refused("https://account.blob.core.windows.net/files?sig=secret is not authorized")

    for name in ("cat_file", "find", "pipe_file"):
        monkeypatch.setattr(files._storage._fs, name, fail)  # type: ignore[attr-defined] # of the object store
    with pytest.raises(Unavailable) as told:
        await files.get("col_a/doc_b/1/text", tenant="here")
    assert told.value.code == "files_unavailable"
    for work in (lambda: list(files._storage.listed()), lambda: files._storage.write("a/b", b"1")):
        with pytest.raises(OSError, match=r"^the object store failed: HttpResponseError$"):
            work()
