"""Sitemaps read, and sites looked at on the loopback interface."""

import gzip
from pathlib import Path

import pytest
from aiohttp import web

from core.errors import InvalidRequest, PlatformError
from core.settings import FetchSettings, Settings
from core.source_settings import SourceSettings
from retrievers.sources.base import Entry, Place
from retrievers.sources.sitemap import Sitemap
from retrievers.sources.sitemap_files import parse
from tests.retrievers.test_fetching import serving

SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
PAGES = (
    f"<urlset {SPACE}><url><loc> http://a/1 </loc><lastmod>2026-01-01</lastmod></url><url><loc>http://a/2</loc></url></urlset>"
)


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    fetch = FetchSettings(private_networks=("127.0.0.1/32",), timeout_s=5)  # type: ignore[arg-type]  # parsed
    return Settings.load(data_dir=tmp_path, fetch=fetch, sources=SourceSettings(files=3, sitemaps=3))


def test_a_sitemap_is_xml_packed_or_not_a_list_of_others_or_lines() -> None:
    listed = ([], [("http://a/1", "2026-01-01"), ("http://a/2", "")])
    assert parse(PAGES.encode()) == listed
    assert parse(gzip.compress(PAGES.encode())) == listed
    index = f"<sitemapindex {SPACE}><sitemap><loc>http://a/more.xml</loc></sitemap></sitemapindex>"
    assert parse(index.encode()) == (["http://a/more.xml"], [])
    assert parse(b"http://a/1\nhttps://a/2\n\n") == ([], [("http://a/1", ""), ("https://a/2", "")])


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body/></html>",
        b"<urlset>",
        b"no sitemap",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>&a;</loc></url></urlset>',
        gzip.compress(bytes(60 * 2**20)),
    ],
    ids=["a page", "cut", "text", "entities", "a file", "a bomb"],
)
def test_what_is_no_sitemap_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        parse(content)


async def answer(request: web.Request) -> web.Response:
    """A site whose robots.txt names a list of sitemaps."""
    host = request.host
    match request.path:
        case "/robots.txt":
            return web.Response(text=f"User-agent: *\nDisallow: /*.pdf$\nCrawl-delay: 0\nSitemap: http://{host}/index.xml\n")
        case "/index.xml":
            names = "".join(
                f"<sitemap><loc>{name}.xml</loc></sitemap>" for name in ("/one", "/broken", "http://evil.example/two")
            )
            return web.Response(text=f"<sitemapindex {SPACE}>{names}</sitemapindex>")
        case "/one.xml":
            pages = "".join(f"<url><loc>http://{host}/{name}</loc></url>" for name in ("a#top", "b.pdf", "a"))
            return web.Response(text=f"<urlset {SPACE}>{pages}</urlset>")
        case "/many.xml":
            return web.Response(text="\n".join(f"http://{host}/{number}" for number in range(9)))
        case "/odd.xml":
            return web.Response(text=f"<urlset {SPACE}><url><loc>http://[x/</loc></url><url><loc>/fine</loc></url></urlset>")
        case "/hostile.xml":
            names = "".join(f"<sitemap><loc>/empty-{number}.xml</loc></sitemap>" for number in range(9))
            return web.Response(text=f"<sitemapindex {SPACE}>{names}{names}</sitemapindex>")
        case path if path.startswith("/empty-"):
            return web.Response(text=f"<urlset {SPACE}></urlset>")
        case "/away/robots.txt" | "/broken.xml":
            return web.Response(status=500)
        case "/moved":
            raise web.HTTPFound("/b.pdf")
        case _:
            return web.Response(text="A page.")


async def test_a_site_is_looked_at_by_the_sitemaps_of_its_robots(configured: Settings, tmp_path: Path) -> None:
    async with serving(answer) as port:
        host = f"127.0.0.1:{port}"
        site = Sitemap.open(Place("default", {"url": f"http://{host}"}), configured)
        listing = await site.look()
        assert [entry.name for entry in listing.entries] == [f"{host}/a#top", f"{host}/b.pdf", f"{host}/a"]
        assert listing.complete is False
        assert [(what, code) for what, code, _ in listing.problems] == [(f"{host}/broken.xml", "fetch_failed")]
        assert await site.read(Entry("a", url=f"http://{host}/a"), "", tmp_path) is not None
        for path in ("b.pdf", "moved"):
            with pytest.raises(InvalidRequest) as refused:
                await site.read(Entry(path, url=f"http://{host}/{path}"), "", tmp_path)
            assert refused.value.code == "robots_disallowed", path
        many = await Sitemap.open(Place("default", {"url": f"http://{host}/many.xml"}), configured).look()
        assert (len(many.entries), many.complete, many.problems[-1][1]) == (3, False, "too_many_files")


async def test_a_site_whose_robots_cannot_be_read_is_left_alone(configured: Settings) -> None:
    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with serving(broken) as port:
        with pytest.raises(PlatformError) as refused:
            await Sitemap.open(Place("default", {"url": f"http://127.0.0.1:{port}/map.xml"}), configured).look()
    assert refused.value.code == "robots_unreachable"


@pytest.mark.parametrize("url", ["http://127.0.0.2/map.xml", "http://169.254.169.254/"])
async def test_a_site_of_the_operator_s_network_is_refused(configured: Settings, url: str) -> None:
    with pytest.raises(PlatformError) as refused:
        await Sitemap.open(Place("default", {"url": url}), configured).look()
    assert refused.value.code == "url_refused"


@pytest.mark.parametrize("url", ["ftp://a/x", "http://user:pw@a/x", "http://", "a", "http://a/" + "x" * 1000, 7])
def test_what_is_no_address_is_no_sitemap(configured: Settings, url: object) -> None:
    with pytest.raises(InvalidRequest):
        Sitemap.check(Place("default", {"url": url}), configured)


async def test_a_line_that_is_no_address_leaves_the_others(configured: Settings) -> None:
    async with serving(answer) as port:
        listing = await Sitemap.open(Place("default", {"url": f"http://127.0.0.1:{port}/odd.xml"}), configured).look()
    assert [entry.name for entry in listing.entries] == [f"127.0.0.1:{port}/fine"]
    assert (listing.problems, listing.left_out) == ([], 1)


async def test_no_more_sitemaps_are_kept_in_mind_than_may_be_read(configured: Settings) -> None:
    asked: list[str] = []

    async def told(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await answer(request)

    async with serving(told) as port:
        listing = await Sitemap.open(Place("default", {"url": f"http://127.0.0.1:{port}/hostile.xml"}), configured).look()
    assert [path for path in asked if path.endswith(".xml")] == ["/hostile.xml", "/empty-0.xml", "/empty-1.xml"]
    assert (listing.complete, [code for _, code, _ in listing.problems]) == (False, ["too_many_files"])
