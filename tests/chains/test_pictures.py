"""Images that a message names by address."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import TypeAdapter

from chains.messages import Messages
from chains.pictures import MAX_FETCHED, with_images_inside
from core.errors import InvalidRequest
from core.settings import FetchSettings, RequestLimits, Settings

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
INSIDE = "data:image/png;base64," + base64.b64encode(PNG).decode()
LOOPBACK = FetchSettings(private_networks=("127.0.0.1/32",))  # parsed


@pytest.fixture
async def site() -> AsyncIterator[Any]:
    """A web server of one image; `asked` are the paths that were fetched."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        body = {"/pixel.png": PNG, "/large.png": PNG + bytes(5000)}.get(request.path, b"<html>")
        return web.Response(body=body, content_type="image/png")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}", asked
    await runner.cleanup()


def messages(*urls: str) -> Any:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    given = [{"role": "system", "content": "Look."}, {"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]
    return TypeAdapter(Messages).validate_python(given)


def allowing(path: Path, **more: Any) -> Settings:
    return Settings.load(data_dir=path, fetch=LOOPBACK, **more)


async def test_an_image_at_an_address_is_fetched_once_and_sent_on_within_the_message(site: Any, tmp_path: Path) -> None:
    url, asked = site
    found = await with_images_inside(messages(f"{url}/pixel.png", INSIDE, f"{url}/pixel.png"), allowing(tmp_path))
    assert [part.image_url.url for part in found[1].content[1:]] == [INSIDE] * 3
    assert found[1].content[1].image_url.detail == "low"
    assert asked == ["/pixel.png"]


async def test_an_address_on_a_private_network_is_refused_unasked(site: Any, settings: Settings) -> None:
    url, asked = site
    with pytest.raises(InvalidRequest) as refused:
        await with_images_inside(messages(f"{url}/pixel.png"), settings)
    assert (refused.value.code, refused.value.param) == ("url_refused", "image_url")
    assert not asked


async def test_what_is_no_image_or_too_large_is_refused(site: Any, tmp_path: Path) -> None:
    url, _ = site
    with pytest.raises(InvalidRequest) as page:
        await with_images_inside(messages(f"{url}/page.html"), allowing(tmp_path))
    assert page.value.code == "unsupported_file_type"
    with pytest.raises(InvalidRequest) as large:
        await with_images_inside(messages(f"{url}/large.png"), allowing(tmp_path, limits=RequestLimits(inline_bytes=1000)))
    assert large.value.code == "file_too_large"


async def test_a_request_cannot_have_the_platform_fetch_without_end(settings: Settings) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await with_images_inside(messages(*(f"http://127.0.0.1/{number}.png" for number in range(MAX_FETCHED + 1))), settings)
    assert refused.value.param == "messages"


async def test_messages_without_addresses_are_left_as_they_are(settings: Settings) -> None:
    given = messages(INSIDE)
    assert await with_images_inside(given, settings) is given
