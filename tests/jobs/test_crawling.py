"""Sources crawled by a real worker: what is new, changed, the same and gone; by request and by schedule."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlmodel import col, update

from core.database import Database, utc_now
from core.errors import Conflict
from core.principals import SYSTEM
from core.settings import FetchSettings, Settings
from core.source_settings import SourceSettings
from core.tables import Job, Source, User
from jobs.crawling import crawl_source
from jobs.ingestion import ingest_document
from jobs.sweeper import Sweeper
from providers.models import Models
from retrievers.holds import of_collection, of_job, of_source
from retrievers.sources.base import Content, Entry
from retrievers.sources.catalogue import NewSource, Sources
from retrievers.sources.folder import Folder
from retrievers.sources.handover import CrawlStopped
from tests.desks import Desk, eventually, note, opened

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder on the server with two files."""
    root = tmp_path / "shared" / "docs"
    (root / "guide").mkdir(parents=True)
    (root / "a.md").write_text("Puffins nest on the cliff.")
    (root / "guide" / "b.md").write_text("Seals rest on the beach.")
    return root


@pytest.fixture
async def desk(database: Database, settings: Settings, models: Models, folder: Path) -> AsyncIterator[Desk]:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    allowed = SourceSettings(folders=({"path": str(folder.parent)},), files=50)  # type: ignore[arg-type]  # parsed
    fetch = FetchSettings(private_networks=("127.0.0.1/32",), timeout_s=5)  # type: ignore[arg-type]
    configured = Settings.load(data_dir=Path(settings.data_dir), database_url=url, sources=allowed, fetch=fetch)
    async with opened(configured, database, models) as ready:
        yield ready


async def made(desk: Desk, folder: Path, **fields: Any) -> Source:
    new = NewSource("shared", "folder", {"path": str(folder)}, **fields)
    return await desk.library.sources.create(SYSTEM, await desk.collection(), new)


async def crawled(desk: Desk, source: Source) -> Job:
    """The job of a crawl, once it has ended."""
    job = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    await crawl_source(desk.context, source.id)
    await worked_off(desk)
    return await desk.job(job.id)


async def worked_off(desk: Desk) -> None:
    """Bring in what waits and may begin."""
    while await desk.library.documents.leases.queued(1):
        await ingest_document(desk.context, "", 1)


async def now(desk: Desk, source: Source) -> Source:
    return await desk.library.sources.get(await desk.collection(), source.id)


def counted(job: Job, *names: str) -> dict[str, int]:
    return {name: (job.result or {})[name] for name in names}


@ON_SQLITE
async def test_a_folder_s_files_become_documents_and_are_found(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder, attributes={"team": "birds"})
    job = await crawled(desk, source)
    assert (job.state, job.done, job.total, job.errors) == ("succeeded", 2, 2, [])
    assert counted(job, "found", "new", "changed", "same", "gone") == {"found": 2, "new": 2, "changed": 0, "same": 0, "gone": 0}
    rows = await desk.documents()
    assert set(rows) == {"shared/a.md", "shared/guide/b.md"}
    assert rows["shared/a.md"].attributes == {"team": "birds", "source": "shared"}
    assert (await desk.found("Where do puffins nest?"))[0] == "shared/a.md"
    source = await now(desk, source)
    assert (source.job_id, source.last_state, source.last_job_id, source.crawls) == (None, "succeeded", job.id, 1)


@ON_SQLITE
async def test_what_has_not_changed_is_not_read_again(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    await crawled(desk, source)
    before = await desk.documents()
    (folder / "a.md").chmod(0)  # reading it would fail, were it not for root
    (folder / "guide" / "b.md").write_text("Otters swim in the river.")
    job = await crawled(desk, source)
    assert counted(job, "found", "new", "changed", "same") == {"found": 2, "new": 0, "changed": 1, "same": 1}
    assert (job.total, job.skipped) == (2, 1)
    after = await desk.documents()
    assert after["shared/a.md"] == before["shared/a.md"]
    assert after["shared/guide/b.md"].revision == 2
    assert "shared/guide/b.md" in await desk.found("otters")
    os.utime(folder / "guide" / "b.md", (1, 1))
    touched = await crawled(desk, source)
    assert counted(touched, "changed", "same") == {"changed": 0, "same": 2}
    assert (await desk.documents())["shared/guide/b.md"].revision == 2


@ON_SQLITE
async def test_metadata_that_a_source_is_given_comes_to_documents_whose_file_is_as_it_was(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder, attributes={"team": "birds"})
    await crawled(desk, source)
    await desk.library.sources.update(SYSTEM, await desk.collection(), source.id, {"attributes": {"team": "seals"}})
    job = await crawled(desk, source)
    assert counted(job, "changed", "same") == {"changed": 2, "same": 0}
    rows = await desk.documents()
    assert {(row.attributes["team"], row.state) for row in rows.values()} == {("seals", "ready")}
    assert counted(await crawled(desk, source), "changed", "same") == {"changed": 0, "same": 2}


@pytest.mark.parametrize("prune", [True, False])
@ON_SQLITE
async def test_what_is_gone_is_deleted_where_the_source_says_so(desk: Desk, folder: Path, prune: bool) -> None:
    source = await made(desk, folder, prune=prune)
    await crawled(desk, source)
    await desk.add(note("shared/of-somebody.md"))
    (folder / "a.md").unlink()
    job = await crawled(desk, source)
    assert counted(job, "gone", "deleted") == {"gone": 1, "deleted": int(prune)}
    kept = {"shared/guide/b.md", "shared/of-somebody.md"} | (set() if prune else {"shared/a.md"})
    assert set(await desk.documents()) == kept


@ON_SQLITE
async def test_a_place_with_nothing_left_takes_no_document_with_it(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder, prune=True)
    await crawled(desk, source)
    (folder / "a.md").unlink()
    (folder / "guide" / "b.md").unlink()
    assert counted(await crawled(desk, source), "gone", "deleted") == {"gone": 2, "deleted": 0}
    os.rename(folder, f"{folder}-elsewhere")
    job = await crawled(desk, source)
    assert (job.state, [error["code"] for error in job.errors]) == ("failed", ["source_unreachable"])
    assert len(await desk.documents()) == 2
    assert (await now(desk, source)).last_state == "failed"


@ON_SQLITE
async def test_patterns_choose_the_files_and_what_is_cut_prunes_nothing(desk: Desk, folder: Path) -> None:
    (folder / "guide" / "draft.md").write_text("A draft.")
    (folder / "picture.txt").write_text("No picture.")
    source = await made(desk, folder, include=["*.md"], exclude=["*draft*"], prune=True)
    job = await crawled(desk, source)
    assert counted(job, "found", "left_out") == {"found": 2, "left_out": 2}
    assert set(await desk.documents()) == {"shared/a.md", "shared/guide/b.md"}
    for number in range(60):
        (folder / f"{number:02}.txt").write_text(f"Number {number}.")
    (folder / "a.md").unlink()
    job = await crawled(desk, source)
    assert ((job.result or {})["complete"], counted(job, "gone", "deleted")) == (False, {"gone": 0, "deleted": 0})
    assert [error["code"] for error in job.errors] == ["too_many_files"]


async def test_a_crawl_that_was_cut_short_is_taken_up_and_brings_each_file_once(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    lease = await desk.library.crawls.take(source.id)
    assert lease is not None
    assert await desk.library.crawls.take(source.id) is None, "one worker at a time"
    await desk.library.crawling.crawl(lease, "")  # and the worker is killed before it says so
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Source).values(leased_until=utc_now() - timedelta(seconds=1)))
    assert await desk.library.crawls.due(10) == [source.id]
    job = await crawled(desk, source)
    assert (job.id, job.state, job.total) == (lease.job.id, "succeeded", 2)
    assert not await desk.library.crawls.renew(lease)
    assert {row.revision for row in (await desk.documents()).values()} == {1}


@ON_SQLITE
async def test_a_crawl_that_ends_its_worker_each_time_fails_after_its_tries(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    job = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    for _ in range(desk.settings.jobs.max_attempts):
        assert await desk.library.crawls.take(source.id) is not None
        async with desk.database.transaction(all_tenants=True) as session:
            await session.exec(update(Source).values(leased_until=utc_now() - timedelta(seconds=1)))
    await crawl_source(desk.context, source.id)
    ended = await desk.job(job.id)
    assert (ended.state, [error["code"] for error in ended.errors]) == ("failed", ["interrupted"])
    assert (await now(desk, source)).attempts == 0


@ON_SQLITE
async def test_a_time_of_the_schedule_that_was_missed_is_made_up_for_once(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder, schedule={"every_minutes": 60})
    assert source.next_at is not None
    assert source.next_at > utc_now() + timedelta(minutes=59)
    assert await desk.library.crawls.due(10) == []
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Source).values(next_at=utc_now() - timedelta(hours=30)))
    assert await desk.library.crawls.due(10) == [source.id]
    with desk.worker():  # the sweeper sends it

        async def crawled_once() -> Source | None:
            row = await now(desk, source)
            return row if row.crawls else None

        after = await eventually(crawled_once)
    assert (after.crawls, after.last_state) == (1, "succeeded")
    assert after.next_at > utc_now() + timedelta(minutes=59)
    assert await desk.library.crawls.due(10) == []
    job = await desk.job(after.last_job_id)
    assert job.arguments == {"collection": "papers", "source": "shared", "source_id": source.id}


@ON_SQLITE
async def test_who_may_not_fill_the_collection_any_more_has_it_crawled_no_more(desk: Desk, folder: Path) -> None:
    ada = replace(SYSTEM, id="usr_ada", name="Ada")
    async with desk.database.transaction(all_tenants=True) as session:
        session.add(User(id=ada.id, tenant="default", name="Ada", role="developer", disabled_at=utc_now()))
    new = NewSource("shared", "folder", {"path": str(folder)}, schedule={"every_minutes": 60})
    source = await desk.library.sources.create(ada, await desk.collection(), new)
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Source).values(next_at=utc_now()))
    await crawl_source(desk.context, source.id)
    row = await now(desk, source)
    assert (row.last_state, (row.last_result or {})["code"]) == ("failed", "access_revoked")
    assert await desk.documents() == {}


@ON_SQLITE
async def test_a_paused_source_is_not_crawled_and_its_documents_wait(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    job = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    await crawl_source(desk.context, source.id)
    await desk.library.holds.pause(SYSTEM, of_source(source))
    assert await desk.library.documents.leases.take_next() is None
    with pytest.raises(Conflict):
        await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    given, _ = await desk.add(note("given.md"))
    await worked_off(desk)
    assert (await desk.job(given.id)).state == "succeeded", "what somebody gave goes on"
    assert (await desk.job(job.id)).state == "running"
    await desk.library.holds.resume(SYSTEM, of_source(source))
    await worked_off(desk)
    assert (await desk.job(job.id)).done == 2


@ON_SQLITE
async def test_a_crawl_stops_while_its_job_is_paused_and_goes_on_when_it_is_resumed(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    job = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    lease = await desk.library.crawls.take(source.id)
    assert lease is not None
    await desk.library.holds.pause(SYSTEM, of_job(job))
    assert not await desk.library.crawls.renew(lease)
    await desk.library.crawls.release(lease)
    assert await desk.library.crawls.due(10) == []
    await crawl_source(desk.context, source.id)
    assert await desk.documents() == {}
    await Sweeper(desk.context).sweep()
    assert (await desk.job(job.id)).state == "running", "nobody closes a job whose crawl waits"
    await desk.library.holds.resume(SYSTEM, of_job(job))
    await crawl_source(desk.context, source.id)
    await worked_off(desk)
    assert (await desk.job(job.id)).done == 2


async def test_cancelling_a_source_ends_its_crawl_and_the_next_one_takes_up_what_was_left(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    job = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    await crawl_source(desk.context, source.id)
    assert await desk.library.holds.cancel(SYSTEM, of_source(source)) == 2
    assert (await desk.job(job.id)).state == "cancelled"
    assert {row.error_code for row in (await desk.documents()).values()} == {"cancelled"}
    asked = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    assert await desk.library.holds.cancel(SYSTEM, of_source(source)) == 0
    assert (await desk.job(asked.id)).state == "cancelled"
    assert (await now(desk, source)).last_state == "cancelled"
    assert (await crawled(desk, source)).done == 2
    assert {row.state for row in (await desk.documents()).values()} == {"ready"}


async def test_deleting_the_collection_ends_its_crawls(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    job = await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    lease = await desk.library.crawls.take(source.id)
    assert lease is not None
    await desk.library.collections.delete(SYSTEM, "papers")
    assert (await desk.job(job.id)).state == "cancelled"
    assert not await desk.library.crawls.renew(lease)
    async with desk.database.session(all_tenants=True) as session:
        assert await session.get(Source, source.id) is None


@pytest.mark.parametrize("documents", [True, False])
@ON_SQLITE
async def test_a_deleted_source_leaves_its_documents_or_takes_them(
    desk: Desk, folder: Path, documents: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrievers.sources.catalogue._AT_ONCE", 1)
    source = await made(desk, folder)
    await crawled(desk, source)
    for row in await desk.library.sources.delete(SYSTEM, await desk.collection(), source.id, documents=documents):
        await desk.library.documents.purge(row)
    assert {row.source_id for row in (await desk.documents()).values()} == (set() if documents else {None})


@ON_SQLITE
async def test_a_paused_collection_takes_uploads_which_wait(desk: Desk) -> None:
    collection = await desk.collection()
    await desk.library.holds.pause(SYSTEM, of_collection(collection))
    waits, _ = await desk.add(note("a.md"))
    other, _ = await desk.add(note("b.md"), collection="others")
    await worked_off(desk)
    assert ((await desk.job(other.id)).state, (await desk.job(waits.id)).state) == ("succeeded", "queued")
    await desk.library.holds.resume(SYSTEM, of_collection(collection))
    await worked_off(desk)
    assert (await desk.job(waits.id)).state == "succeeded"


@asynccontextmanager
async def site(pages: dict[str, Any]) -> AsyncIterator[tuple[str, list[str]]]:
    """A web server of pages by path; and the paths that were asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        found = pages.get(request.path)
        if found is None:
            raise web.HTTPNotFound
        text, etag = found if isinstance(found, tuple) else (found, None)
        if etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(text=text.replace("HOST", request.host), headers={"ETag": etag} if etag else {})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    await runner.cleanup()


SITEMAP = (
    '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    "<url><loc>http://HOST/one.md</loc><lastmod>2026-01-01</lastmod></url><url><loc>http://HOST/two.md</loc></url>"
    "<url><loc>http://HOST/private/three.md</loc></url><url><loc>http://elsewhere.example/x</loc></url></urlset>"
)


@ON_SQLITE
async def test_a_site_s_pages_come_by_its_sitemap_as_far_as_its_robots_let_them(desk: Desk) -> None:
    pages: dict[str, Any] = {
        "/robots.txt": "User-agent: *\nDisallow: /private/\nSitemap: http://HOST/map.xml\n",
        "/map.xml": SITEMAP,
        "/one.md": "Puffins nest on the cliff.",
        "/two.md": ("Seals rest on the beach.", '"v1"'),
        "/private/three.md": "A secret.",
    }
    async with site(pages) as (address, asked):
        new = NewSource("wiki", "sitemap", {"url": address}, prune=True)
        source = await desk.library.sources.create(SYSTEM, await desk.collection(), new)
        job = await crawled(desk, source)
        host = address.removeprefix("http://")
        assert set(await desk.documents()) == {f"wiki/{host}/one.md", f"wiki/{host}/two.md"}
        assert counted(job, "found", "new", "left_out", "failed") == {"found": 3, "new": 2, "left_out": 2, "failed": 0}
        assert job.errors == []
        assert "/private/three.md" not in asked
        assert (await desk.documents())[f"wiki/{host}/one.md"].attributes["url"] == f"{address}/one.md"
        asked.clear()
        again = await crawled(desk, source)
        assert counted(again, "same", "changed") == {"same": 2, "changed": 0}
        assert (again.state, again.done, again.total, again.skipped) == ("succeeded", 2, 2, 2)
        assert "/one.md" not in asked, "its last change is told by the sitemap"
        assert "/two.md" in asked
        pages["/two.md"] = ("Otters swim in the river.", '"v2"')
        del pages["/one.md"]
        pages["/map.xml"] = SITEMAP.replace("<url><loc>http://HOST/one.md</loc><lastmod>2026-01-01</lastmod></url>", "")
        last = await crawled(desk, source)
    assert counted(last, "changed", "gone", "deleted") == {"changed": 1, "gone": 1, "deleted": 1}
    assert await desk.found("otters") == [f"wiki/{host}/two.md"]


@ON_SQLITE
async def test_a_list_of_addresses_tells_what_could_not_be_fetched(desk: Desk) -> None:
    async with site({"/a.md": "Puffins nest.", "/robots.txt": "User-agent: *\nDisallow: /"}) as (address, _):
        urls = [f"{address}/a.md", f"{address}/missing.md", "http://127.0.0.2:1/inside"]
        new = NewSource("list", "urls", {"urls": urls})
        source = await desk.library.sources.create(SYSTEM, await desk.collection(), new)
        job = await crawled(desk, source)
    assert counted(job, "found", "new", "failed", "gone") == {"found": 2, "new": 1, "failed": 1, "gone": 1}
    assert {error["code"]: error["document"].rpartition("/")[2] for error in job.errors} == {
        "url_refused": "inside",
        "fetch_gone": "missing.md",
    }
    rows = {row.name.rpartition("/")[2]: row for row in (await desk.documents()).values()}
    assert (rows["a.md"].state, rows["inside"].state, rows["inside"].error_code) == ("ready", "failed", "url_refused")


@ON_SQLITE
async def test_a_dead_link_fails_no_crawl_of_what_is_as_it_was_and_nothing_read_does(desk: Desk) -> None:
    async with site({"/a.md": ("Puffins nest.", '"v1"')}) as (address, _):
        new = NewSource("list", "urls", {"urls": [f"{address}/a.md", f"{address}/missing.md"]})
        source = await desk.library.sources.create(SYSTEM, await desk.collection(), new)
        for _ in range(2):
            job = await crawled(desk, source)
            assert (job.state, job.done, job.total, job.failed) == ("succeeded", 2, 2, 1)
        inside = NewSource("inside", "urls", {"urls": ["http://127.0.0.2:1/a", "http://127.0.0.2:1/b"]})
        refused = await desk.library.sources.create(SYSTEM, await desk.collection(), inside)
        job = await crawled(desk, refused)
    assert (job.state, job.failed) == ("failed", 2)
    async with desk.database.session(all_tenants=True) as session:
        row = await session.get_one(Source, refused.id)
    assert row.last_state == "failed"


async def test_an_address_too_long_for_a_name_fails_alone(desk: Desk) -> None:
    async with site({"/a.md": "Puffins nest.", f"/{'n' * 930}": "Seals rest."}) as (address, _):
        new = NewSource("s" * 60, "urls", {"urls": [f"{address}/a.md", f"{address}/{'n' * 930}"]})
        source = await desk.library.sources.create(SYSTEM, await desk.collection(), new)
        job = await crawled(desk, source)
    assert (job.state, [error["code"] for error in job.errors]) == ("succeeded", ["invalid_name"])
    assert counted(job, "new", "failed") == {"new": 1, "failed": 1}


@ON_SQLITE
async def test_a_crawl_of_ours_brings_nothing_in_once_its_lease_is_lost(desk: Desk, folder: Path) -> None:
    source = await made(desk, folder)
    await desk.library.sources.crawl(SYSTEM, await desk.collection(), source.id)
    lease = await desk.library.crawls.take(source.id)
    assert lease is not None
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Source).where(col(Source.id) == source.id).values(lease="of another"))
    with pytest.raises(CrawlStopped):
        await desk.library.crawling.crawl(lease, "")
    assert await desk.documents() == {}


@ON_SQLITE
async def test_addresses_of_one_name_become_one_document_and_a_page_that_is_gone_is_pruned(desk: Desk) -> None:
    pages: dict[str, Any] = {"/a.md": ("Puffins nest.", '"\u00e9"'), "/b.md": "Seals rest."}
    async with site(pages) as (address, _):
        new = NewSource("list", "urls", {"urls": [f"{address}/a.md", f"{address}/a.md/", f"{address}/b.md"]}, prune=True)
        source = await desk.library.sources.create(SYSTEM, await desk.collection(), new)
        first = await crawled(desk, source)
        assert counted(first, "found", "new", "failed") == {"found": 2, "new": 2, "failed": 1}
        assert [error["code"] for error in first.errors] == ["duplicate_name"]
        del pages["/b.md"]
        again = await crawled(desk, source)
    assert counted(again, "found", "same", "gone", "deleted") == {"found": 1, "same": 1, "gone": 1, "deleted": 1}
    assert [name.rpartition("/")[2] for name in await desk.documents()] == ["a.md"]


@ON_SQLITE
async def test_a_file_that_cannot_be_read_fails_alone_and_takes_no_document_of_somebody_with_it(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.add(note("shared/a.md"))
    await worked_off(desk)
    given = (await desk.documents())["shared/a.md"]
    (folder / "c.md").write_text("Otters swim in the river.")
    read = Folder.read

    async def odd(self: Folder, entry: Entry, known: str, scratch: Path) -> Content | None:
        if entry.name == "a.md":
            sys.exit(3)
        if entry.name != "c.md":
            raise UnicodeEncodeError("ascii", "\u00e9", 0, 1, "of a library")
        return await read(self, entry, known, scratch)

    monkeypatch.setattr(Folder, "read", odd)
    job = await crawled(desk, await made(desk, folder))
    assert (job.state, counted(job, "new", "failed")) == ("succeeded", {"new": 1, "failed": 2})
    assert [error["code"] for error in job.errors] == ["cannot_be_read"] * 2
    rows = await desk.documents()
    assert {name: row.state for name, row in rows.items()} == {
        "shared/a.md": "ready",
        "shared/c.md": "ready",
        "shared/guide/b.md": "failed",
    }
    assert rows["shared/a.md"] == given


async def test_slow_sources_of_one_tenant_leave_a_worker_to_another(desk: Desk, folder: Path) -> None:
    collection, crawls = await desk.collection(), desk.library.crawls
    ours = [
        await desk.library.sources.create(SYSTEM, collection, NewSource(name, "folder", {"path": str(folder)}))
        for name in ("one", "two", "theirs")
    ]
    for source in ours:
        await desk.library.sources.crawl(SYSTEM, collection, source.id)
    first, second, theirs = (source.id for source in ours)
    assert await crawls.take(first) is not None
    async with desk.database.transaction(all_tenants=True) as session:
        await session.exec(update(Source).where(col(Source.id) == theirs).values(tenant="stranger"))
    assert await crawls.take(second) is None
    assert await crawls.due(10) == [theirs, second]
    assert await crawls.take(theirs) is not None
    assert await crawls.take(second) is not None, "nobody else waits"


@ON_SQLITE
async def test_a_change_of_a_source_leaves_what_it_does_not_name(
    desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await made(desk, folder, schedule={"every_minutes": 60})
    later = utc_now() + timedelta(days=3)
    get = Sources.get

    async def overtaken(self: Sources, *asked: Any) -> Source:
        row = await get(self, *asked)
        if not row.prune:  # as it is read before the change
            async with desk.database.transaction(all_tenants=True) as session:
                await session.exec(update(Source).values(next_at=later))
        return row

    with monkeypatch.context() as patched:
        patched.setattr(Sources, "get", overtaken)
        await desk.library.sources.update(SYSTEM, await desk.collection(), source.id, {"prune": True})
    row = await now(desk, source)
    assert (row.prune, row.next_at) == (True, later)
