import asyncio
import gzip
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web

from core.errors import InvalidRequest, TooLarge
from core.settings import FetchSettings, RequestLimits, Settings
from retrievers.fetching import fetch, is_allowed

LOOPBACK = FetchSettings(private_networks=("127.0.0.1/32",), timeout_s=5)  # type: ignore[arg-type]  # parsed


@pytest.fixture
def inside(tmp_path: Path) -> Settings:
    """An operator who allows one address of the own machine."""
    return Settings.load(data_dir=tmp_path, fetch=LOOPBACK, limits=RequestLimits(upload_bytes=100_000))


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web server on the loopback interface that answers in every way."""

    async def answer(request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind == "named":
            return web.Response(body=b"x", headers={"Content-Disposition": 'attachment; filename="../we ird/report.pdf"'})
        if kind == "large":
            return web.Response(body=b"x" * 200_000)
        if kind == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 10_000)
        if kind == "bomb":
            return web.Response(body=gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})
        if kind == "packed":
            return web.Response(body=gzip.compress(b"unpacked " * 1000), headers={"Content-Encoding": "gzip"})
        if kind == "slow":
            await asyncio.sleep(60)
        if kind == "redirect":
            raise web.HTTPFound(request.query["to"])
        if kind == "circle":
            raise web.HTTPFound("/circle")
        if kind == "missing":
            raise web.HTTPNotFound
        return web.Response(text=f"page {kind}")

    app = web.Application()
    app.router.add_get("/{kind:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def code_of(url: str, settings: Settings) -> str:
    with pytest.raises((InvalidRequest, TooLarge)) as caught:
        await fetch(url, settings=settings)
    return caught.value.code


async def test_a_document_comes_with_a_name(site: str, inside: Settings) -> None:
    assert await fetch(f"{site}/docs/a%20b.txt?x=1", settings=inside) == (b"page docs/a b.txt", "a b.txt")
    assert await fetch(f"{site}/named", settings=inside) == (b"x", "report.pdf")
    assert (await fetch(f"{site}/", settings=inside))[1] == "127.0.0.1"


async def test_a_packed_document_is_unpacked(site: str, inside: Settings) -> None:
    assert (await fetch(f"{site}/packed", settings=inside))[0] == b"unpacked " * 1000


async def test_redirects_are_followed_where_they_lead_to_what_is_allowed(site: str, inside: Settings) -> None:
    assert (await fetch(f"{site}/redirect?to=/there.md", settings=inside)) == (b"page there.md", "there.md")


@pytest.mark.parametrize(
    "to", ["http://127.0.0.2/", "http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "http://[::1]/"]
)
async def test_redirects_to_anything_else_are_refused(site: str, inside: Settings, to: str) -> None:
    assert await code_of(f"{site}/redirect?to={to}", inside) == "url_refused"


async def test_redirects_in_a_circle_end(site: str, inside: Settings) -> None:
    assert await code_of(f"{site}/circle", inside) == "fetch_failed"


@pytest.mark.parametrize("kind", ["large", "endless", "bomb"])
async def test_more_than_is_allowed_is_given_up(site: str, inside: Settings, kind: str) -> None:
    assert await code_of(f"{site}/{kind}", inside) == "file_too_large"


async def test_what_does_not_answer_as_it_should_has_failed(site: str, inside: Settings, tmp_path: Path) -> None:
    assert await code_of(f"{site}/missing", inside) == "fetch_failed"
    hurried = Settings.load(data_dir=tmp_path, fetch=LOOPBACK.model_copy(update={"timeout_s": 0.3}))
    assert await code_of(f"{site}/slow", hurried) == "fetch_failed"


async def test_by_default_the_own_machine_is_refused(site: str, settings: Settings) -> None:
    assert await code_of(site, settings) == "url_refused"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:1/", "http://2130706433/", "http://0x7f.1/", "http://0/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://10.0.0.1/",
        "http://169.254.169.254/", "http://224.0.0.1/", "http://100.64.0.1/", "file:///etc/passwd", "ftp://192.0.2.1/",
        "http://user:password@192.0.2.1/", "http://", "nonsense", "", "//192.0.2.1/", "http://127.0.0.1\\@example.com/",
        "javascript:alert(1)", "http://192.0.2.1/" + "x" * 3000,
    ],
)  # fmt: skip
async def test_addresses_that_are_not_public_web_addresses_are_refused(url: str, settings: Settings) -> None:
    assert await code_of(url, settings) == "url_refused"


def test_public_addresses_are_allowed() -> None:
    for address in ("8.8.8.8", "2001:4860:4860::8888"):
        assert is_allowed(ip_address(address), FetchSettings())
