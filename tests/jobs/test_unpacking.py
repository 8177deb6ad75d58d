"""Archives brought in by a real worker: each member is a document with its own state, found, cited and deleted by itself."""

import pytest

from core.errors import NotFound
from core.principals import SYSTEM
from core.tables import Document, DocumentState
from retrievers.base import Shelf
from retrievers.dead_letters import Which
from retrievers.documents import NewDocument
from retrievers.holds import of_job
from tests.desks import Desk, eventually, note
from tests.retrievers import making

FILES = {
    "birds/puffin.md": "# Puffins\n\nPuffins nest on the cliff.",
    "fees.xlsx": making.xlsx({"Fees": [["Ship", "Euros"], ["Yawl", 12]]}),
    "in.tar.gz": making.tarred({"seal.txt": b"Seals rest on the beach."}),
}


async def brought_in(desk: Desk, data: bytes, name: str = "all.zip", **attributes: str) -> dict[str, str]:
    """Document → state, or the code of why it failed, when the job has ended."""
    job, (archive,) = await desk.add(NewDocument(name, data, attributes=attributes))
    job = await desk.finished(job.id)
    assert (archive.name, job.done) == (name, job.total)
    return {name: row.error_code or row.state for name, row in (await desk.documents()).items()}


async def at_rest(desk: Desk) -> dict[str, Document]:
    """The documents once nobody holds any: a lease stays until what was replaced has been cleaned up."""

    async def rested() -> dict[str, Document] | None:
        rows = await desk.documents()
        return None if any(row.lease for row in rows.values()) else rows

    return dict(await eventually(rested))


async def test_each_member_is_a_document_that_is_found_by_its_path(desk: Desk) -> None:
    with desk.worker():
        states = await brought_in(desk, making.zipped(FILES), kind="manual")
    assert states == dict.fromkeys(
        ("all.zip", "all.zip/birds/puffin.md", "all.zip/fees.xlsx", "all.zip/in.tar.gz/seal.txt"), "ready"
    )
    assert (await desk.found("Where do puffins nest?"))[0] == "all.zip/birds/puffin.md"
    assert (await desk.found("Where do seals rest?"))[0] == "all.zip/in.tar.gz/seal.txt"
    rows = await desk.documents()
    archive = rows["all.zip"]
    assert (archive.media_type, archive.chunks, archive.characters, archive.indexed_revision) == ("application/zip", 0, 0, 0)
    assert await desk.stored_chunks(archive) == 0
    shelf = Shelf.of(archive)
    (passage,) = await desk.library.searcher.search(shelf, "fee of a yawl", limit=1, filter={"kind": "manual"})
    assert (passage.chunk.document, passage.chunk.page) == ("all.zip/fees.xlsx", 1)
    text = await desk.library.documents.text(SYSTEM, await desk.collection(), passage.chunk.document_id)
    assert text[passage.chunk.start : passage.chunk.end] == passage.chunk.text


async def test_members_that_cannot_be_read_fail_by_name_and_the_others_go_on(desk: Desk) -> None:
    files = FILES | {
        "noise.bin": bytes(range(256)) * 8,
        "empty.txt": "",
        "../up.txt": "x",
        "old.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "secret.txt": "x",
    }
    with desk.worker():
        job, _ = await desk.add(NewDocument("all.zip", making.encrypted(making.zipped(files), ["secret.txt"])))
        job = await desk.finished(job.id)
    failures = {error["document"]: error["code"] for error in job.errors}
    assert failures == {
        "all.zip/noise.bin": "unsupported_file_type",
        "all.zip/empty.txt": "empty_file",
        "all.zip/up.txt": "invalid_name",
        "all.zip/old.doc": "legacy_format",
        "all.zip/secret.txt": "encrypted_file",
    }
    assert (job.state, job.total, job.done, job.failed) == ("succeeded", 9, 9, 5)
    rows = await desk.documents()
    assert {name for name, row in rows.items() if row.state == DocumentState.FAILED} == set(failures)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (making.zipped({"a.txt": "x"})[:40], "corrupt_file"),
        (making.encrypted(making.zipped({"a.txt": "x"}), ["a.txt"]), "encrypted_file"),
        (making.tarred({"a.txt": b"x" * 9000}, "")[:3000], "corrupt_file"),
    ],
    ids=["cut", "encrypted", "tar cut"],
)
async def test_an_archive_that_cannot_be_read_fails_as_a_whole(desk: Desk, data: bytes, code: str) -> None:
    with desk.worker():
        assert await brought_in(desk, data) == {"all.zip": code}


async def test_the_members_of_an_archive_go_with_it_when_it_is_a_dead_letter(desk: Desk) -> None:
    with desk.worker():
        await brought_in(desk, making.zipped({"a.txt": "Alpha."}))
        states = await brought_in(desk, making.zipped({"a.txt": "Alpha."})[:40])
    assert states == {"all.zip": "corrupt_file", "all.zip/a.txt": "ready"}
    assert await desk.library.dead_letters.delete(SYSTEM, await desk.collection(), Which()) == 2
    assert await desk.documents() == {}


async def test_more_members_than_an_upload_may_have_are_refused(desk: Desk) -> None:
    files = {f"{number}.txt": "x" for number in range(desk.settings.limits.files_per_upload + 1)}
    with desk.worker():
        assert await brought_in(desk, making.zipped(files)) == {"all.zip": "too_many_documents"}


async def test_an_archive_that_is_brought_in_again_skips_what_is_unchanged_and_deletes_what_is_gone(desk: Desk) -> None:
    with desk.worker():
        await brought_in(desk, making.zipped({"a.txt": "Alpha.", "b.txt": "Beta.", "c.txt": "Gamma."}))
        before = await at_rest(desk)
        again, _ = await desk.add(NewDocument("all.zip", making.zipped({"a.txt": "Alpha.", "b.txt": "Changed."})))
        again = await desk.finished(again.id)
        now = await at_rest(desk)
    assert (again.state, again.total, again.skipped) == ("succeeded", 3, 1)
    assert sorted(now) == ["all.zip", "all.zip/a.txt", "all.zip/b.txt"]
    assert now["all.zip/a.txt"] == before["all.zip/a.txt"]
    assert (now["all.zip/b.txt"].id, now["all.zip/b.txt"].revision) == (before["all.zip/b.txt"].id, 2)
    assert await desk.stored_chunks(before["all.zip/c.txt"]) == 0
    assert not await desk.resources.files.exists(before["all.zip/c.txt"].file_key)
    assert not await desk.resources.files.exists(before["all.zip/b.txt"].file_key)


async def test_the_same_archive_again_tries_what_had_failed(desk: Desk) -> None:
    data = making.zipped({"a.txt": "Alpha.", "noise.bin": bytes(range(256)) * 8})
    with desk.worker():
        await brought_in(desk, data)
        again, _ = await desk.add(NewDocument("all.zip", data))
        again = await desk.finished(again.id)
    assert (again.total, again.skipped, again.failed) == (3, 1, 1)


async def test_a_member_that_can_no_longer_be_read_stays_found_as_it_was(desk: Desk) -> None:
    with desk.worker():
        await brought_in(desk, making.zipped({"a.txt": "Puffins nest on the cliff."}))
        data = making.encrypted(making.zipped({"a.txt": "Other words.", "b.txt": "x"}), ["a.txt"])
        states = await brought_in(desk, data)
    assert states == {"all.zip": "ready", "all.zip/a.txt": "encrypted_file", "all.zip/b.txt": "ready"}
    assert (await desk.found("Where do puffins nest?"))[0] == "all.zip/a.txt"


async def test_a_member_is_deleted_by_itself_and_all_of_them_with_the_archive(desk: Desk) -> None:
    with desk.worker():
        await brought_in(desk, making.zipped(FILES))
        await desk.finished((await desk.add(note("ALL.zip/other.md"), note("all.zipped.md")))[0].id)
    rows, collection = await desk.documents(), await desk.collection()
    await desk.library.documents.delete(SYSTEM, collection, rows["all.zip/birds/puffin.md"].id)
    assert "all.zip/birds/puffin.md" not in await desk.documents()
    assert "all.zip/fees.xlsx" in await desk.documents()
    await desk.library.documents.delete(SYSTEM, collection, rows["all.zip"].id)
    assert sorted(await desk.documents()) == ["ALL.zip/other.md", "all.zipped.md"]
    assert await desk.stored_chunks() == 2
    for name, row in rows.items():
        if name.startswith("all.zip/") or name == "all.zip":
            assert not await desk.resources.files.exists(row.file_key)
            with pytest.raises(NotFound):
                await desk.library.documents.get(SYSTEM, collection, row.id)
    assert "all.zip/birds/puffin.md" not in await desk.found("Where do puffins nest?")


async def test_an_archive_that_is_cancelled_before_its_turn_leaves_nothing(desk: Desk) -> None:
    job, (archive,) = await desk.add(NewDocument("all.zip", making.zipped(FILES)))
    lease = await desk.library.documents.leases.take_next()
    assert lease is not None
    assert lease.document.id == archive.id
    await desk.library.holds.cancel(SYSTEM, of_job(await desk.job(job.id)))
    assert await desk.library.unpacker.bring_in(lease, "") is False
    assert list(await desk.documents()) == ["all.zip"]
    stored = [path for path in desk.settings.path("files").rglob("*") if path.is_file()]
    assert len(stored) == 1
