"""Bodies that are too large, too deep or too odd are refused before anything reads them."""

from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI, Request
from starlette.middleware import Middleware

from core.settings import RequestLimits
from server.body import BodyGuard

LIMITS = RequestLimits(body_bytes=1000, upload_bytes=5000, inline_bytes=2000)
Make = Callable[..., tuple[FastAPI, object]]


@pytest.fixture
def guarded(behind_edge: Make):  # type: ignore[no-untyped-def]
    app, client = behind_edge(Middleware(BodyGuard, limits=LIMITS))

    async def echo(request: Request) -> object:
        if request.headers.get("content-type", "").startswith("multipart"):
            form = await request.form()
            return {"files": len(form)}
        return await request.json()

    for path in ("/", "/api/v1/multimodal", "/api/v1/rag/collections/a/documents"):
        app.post(path)(echo)
    return client


async def test_a_body_is_handed_on_unchanged(guarded) -> None:  # type: ignore[no-untyped-def]
    assert (await guarded.post("/", json={"a": [1, "ü"]})).json() == {"a": [1, "ü"]}
    assert (await guarded.post("/", content=b'{"a": 1}')).json() == {"a": 1}


@pytest.mark.parametrize(
    ("path", "limit"), [("/", 1000), ("/api/v1/multimodal", 2000), ("/api/v1/rag/collections/a/documents", 2000)]
)
async def test_each_address_has_its_limit(guarded, path: str, limit: int) -> None:  # type: ignore[no-untyped-def]
    assert (await guarded.post(path, content=b'"' + b"a" * (limit - 2) + b'"', headers=JSON)).status_code == 200
    refused = await guarded.post(path, content=b'"' + b"a" * (limit - 1) + b'"', headers=JSON)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")


JSON = {"content-type": "application/json"}


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(guarded) -> None:  # type: ignore[no-untyped-def]
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield b"a" * 100

    refused = await guarded.post("/", content=endless(), headers=JSON)
    assert refused.status_code == 413
    assert taken < 20


async def test_multipart_is_counted_as_it_streams_by(guarded) -> None:  # type: ignore[no-untyped-def]
    path = "/api/v1/rag/collections/a/documents"
    assert (await guarded.post(path, files={"files": b"a" * 4000})).json() == {"files": 1}

    async def unknown_length() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield b"a" * 100

    refused = await guarded.post(path, content=unknown_length(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_form_is_taken_only_where_files_are(guarded) -> None:  # type: ignore[no-untyped-def]
    refused = await guarded.post("/", files={"files": b"a"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert (await guarded.post("/api/v1/multimodal", files={"images": b"a"})).json() == {"files": 1}
    held = await guarded.post("/api/v1/multimodal", files={"images": b"a" * 3000})  # in memory, as files in JSON are
    assert (held.status_code, held.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"])
async def test_what_is_neither_json_nor_multipart_is_refused(guarded, media_type: str) -> None:  # type: ignore[no-untyped-def]
    refused = await guarded.post("/", content=b"a=1", headers={"content-type": media_type})
    assert (refused.status_code, refused.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("address", ["/a%00b", "/a%ff", "/?q=%00"])
async def test_an_address_that_no_database_takes_is_refused(guarded, address: str) -> None:  # type: ignore[no-untyped-def]
    refused = await guarded.get(address)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_address")
