"""Hostile and mistaken input on every route: a 4xx of the contract's shape, soon, and the server goes on as before."""

import base64
import io
import json
import os
import re
import secrets
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from infra import samples
from infra.running import Running, wait_until
from tests.e2e.test_capabilities import BODIES

pytestmark = pytest.mark.one_database

MEGABYTE = 2**20
#: Within what a refusal is there. The second that is promised is held where nothing else runs, by `make prove`.
SOON_S = 1.0 if os.environ.get("PROVE") else 20.0


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


BROKEN: dict[str, bytes] = {
    "no JSON": b"{messages: hello",
    "empty": b"",
    "not UTF-8": b'{"prompt": "\xff\xfe"}',
    "nested 60,000 deep": deep(60_000),
    "nested in a field": b'{"messages": ' + deep(60_000) + b', "input": ' + deep(60_000) + b"}",
    "a lone surrogate": b'{"input": {"messages": [{"role": "user", "content": "\\ud800"}]}, "prompt": "\\ud800"}',
    "a huge integer": b'{"max_tokens": ' + b"9" * 5000 + b', "input": ' + b"9" * 5000 + b"}",
    "NaN": b'{"temperature": NaN, "input": {"temperature": NaN}}',
    "a list": b"[]",
    "a string": b'"hello"',
    "null": b"null",
    "a number": b"1e999",
}
WRONG: dict[str, Any] = {
    "nothing": {},
    "wrong types": {
        "messages": 7,
        "prompt": [],
        "question": {},
        "code": 1,
        "text": None,
        "images": "x",
        "name": [],
        "query": 0,
    },
    "no messages": {"messages": []},
    "messages that are none": {"messages": [["human", "hi"]]},
    "a message of no role": {"messages": [{"role": "wizard", "content": "hi"}]},
    "an unknown field": {"base_url": "http://example.test", "api_key": "x"},
}


def resident(platform: Running) -> int:
    """Bytes of the server process itself; on Linux without what is read from files (its libraries), of which a kernel that is
    short of memory drops and reads again what it likes."""
    assert platform.process is not None
    try:
        status = Path(f"/proc/{platform.process.pid}/status").read_text()
    except FileNotFoundError:  # not Linux
        return int(psutil.Process(platform.process.pid).memory_info().rss)
    return sum(int(kilobytes) * 1024 for kilobytes in re.findall(r"^(?:RssAnon|VmSwap):\s+(\d+) kB", status, re.MULTILINE))


#: Addresses whose body may be left out.
OPTIONAL = (
    "/api/v1/auth/signing-keys/rotate",
    "/api/v1/auth/tokens",
    "/api/v1/rag/collections/handbook/dead-letters/retry",
)


def posts(client: httpx.Client) -> list[str]:
    """Every address that takes a JSON body, with names put in where the path has parameters; LangServe's routes included."""
    paths = client.get("/openapi.json").json()["paths"]
    taking = [path for path, item in paths.items() if "application/json" in str(item.get("post", {}).get("requestBody"))]
    served = [f"/api/v1/{name}/{way}" for name in BODIES for way in ("invoke", "batch", "stream", "stream_events")]
    return sorted({re.sub(r"\{[^}]*\}", "handbook", path) for path in taking} | set(served))


@pytest.fixture
def steady(platform: Running) -> Iterator[None]:
    """The server must not have grown by 100 MB, nor have printed a stack trace, when the test ends. What a job has taken is
    given back meanwhile."""
    before, told = resident(platform), len(platform.output())
    yield
    wait_until(lambda: resident(platform) - before < 100 * MEGABYTE, within_s=60, what="100 MB less")
    assert "Traceback" not in platform.output()[told:]


def refusal(response: httpx.Response, seconds: float) -> None:
    """It is a refusal as the contract has it."""
    assert 400 <= response.status_code < 500, (response.status_code, response.text[:300])
    error = response.json()["error"]
    assert re.fullmatch(r"[a-z_]+", error["code"])
    assert error["message"]
    if response.request.url.path.startswith("/v1/"):  # OpenAI's shape, whose clients read the identifier from the header
        assert set(error) == {"message", "type", "param", "code"}
        assert response.headers["x-request-id"]
    else:
        assert error["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert seconds < SOON_S


def timed(client: httpx.Client, method: str, path: str, **options: Any) -> tuple[httpx.Response, float]:
    started = time.perf_counter()
    return client.request(method, path, **options), time.perf_counter() - started


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_body_is_refused_on_every_route(client: httpx.Client, kind: str) -> None:
    headers = {"Content-Type": "application/json"}
    for path in posts(client):
        if kind in ("empty", "null") and path in OPTIONAL:
            continue
        response, seconds = timed(client, "POST", path, content=BROKEN[kind], headers=headers)
        refusal(response, seconds)


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("capability", BODIES)
def test_a_wrong_input_is_refused_by_every_capability_in_every_way_of_calling(
    client: httpx.Client, capability: str, kind: str
) -> None:
    body = {**BODIES[capability], **WRONG[kind]} if kind != "nothing" else {}
    if kind == "no messages" and capability != "chat":
        body = {}
    if kind.startswith(("messages", "a message")) and capability != "chat":
        body = {**BODIES[capability], "messages": 1}
    refusal(*timed(client, "POST", f"/api/v1/{capability}", json=body))
    refusal(*timed(client, "POST", f"/api/v1/{capability}", json={**body, "stream": True}))
    for way in ("invoke", "stream", "stream_events"):
        refusal(*timed(client, "POST", f"/api/v1/{capability}/{way}", json={"input": body}))
    refusal(*timed(client, "POST", f"/api/v1/{capability}/batch", json={"inputs": [body, body]}))


def test_a_secret_in_the_place_of_a_name_is_not_told(client: httpx.Client, platform: Running) -> None:
    """Of a field, in a body, within it, of a query's parameter, of a header, of a part of a form."""
    secret, told = f"canary{secrets.token_hex(20)}", len(platform.output())
    within = {"role": "user", "content": "hi", secret: 1}
    body = {secret: 1, "messages": [within], "input": {"messages": [within], secret: 1}, "inputs": [{secret: 1}]}
    body |= {name: {secret: {secret: 1}} for name in ("config", "secrets", "options", "pii", "metadata", "tags", "filter")}
    paths = client.get("/openapi.json").json()["paths"]
    methods = {(method, path) for path, item in paths.items() for method in item if method in ("get", "post", "put", "patch")}
    for method, path in sorted(methods | {("post", path) for path in posts(client)}):
        for sent in (body, {"type": secret, "response_format": {"type": secret}, secret: 1}):
            response = client.request(
                method,
                re.sub(r"\{[^}]*\}", "handbook", path),
                params={secret: 1},
                headers={f"x-{secret}": "1"},
                **({} if method == "get" else {"json": sent}),  # type: ignore[arg-type]
            )
            assert response.status_code < 500, (method, path)
            assert secret not in f"{response.headers} {response.text}", (method, path)
    parts = {secret: (None, "1"), "file": ("a", b"{}"), "purpose": (None, "batch")}
    for path in ("/v1/files", "/api/v1/multimodal", "/api/v1/rag/collections/handbook/documents"):
        assert secret not in client.post(path, files=parts).text, path
    for path in ("/signin", "/api/v1/auth/token", "/admin/users", "/account/password"):
        response = client.post(path, data={secret: secret}, headers={"accept": "text/html"})
        assert secret not in f"{response.headers} {response.text}", path
    assert secret not in platform.output()[told:]


@pytest.mark.usefixtures("steady")
def test_a_body_of_200_megabytes_is_refused_before_it_is_read(client: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"prompt": "'
        for _ in range(200):
            yield b"x" * MEGABYTE
        yield b'"}'

    for path in ("/api/v1/completion", "/api/v1/chat/invoke", "/api/v1/rag/collections"):
        started = time.perf_counter()
        try:
            response = client.post(path, content=body(), headers={"Content-Type": "application/json"})
            assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
        except httpx.WriteError:  # the server has closed the connection while we were still sending, as it may
            pass
        assert time.perf_counter() - started < SOON_S


def test_a_batch_over_the_cap_is_413(client: httpx.Client) -> None:
    inputs = [BODIES["completion"]] * 51
    response = client.post("/api/v1/completion/batch", json={"inputs": inputs})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "batch_too_large")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/jobs/job_missing", "/api/v1/rag/collections/missing/documents"])
def test_what_is_not_there_is_404(client: httpx.Client, path: str) -> None:
    refusal(*timed(client, "GET", path))


def test_a_wrong_method_is_405(client: httpx.Client) -> None:
    response, seconds = timed(client, "DELETE", "/api/v1/chat")
    refusal(response, seconds)
    assert response.status_code == 405


@pytest.mark.parametrize("path", ["/api/v1/chat/c/N4XyA/invoke", "/api/v1/chat/c/N4XyA/input_schema", "/api/v1/chat/feedback"])
def test_the_routes_of_langserve_that_are_not_served_are_404(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        assert client.request(method, path, json={} if method == "POST" else None).status_code in {404, 405}


def huge_png(side: int = 30_000) -> bytes:
    """A valid PNG of side by side black pixels in a hundred kilobytes, as long as nobody decodes it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8 + 1)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize(
    ("image", "codes"),
    [
        (b"this is no image", {"unsupported_file_type", "unreadable_file", "corrupt_file"}),
        (b"", {"empty_file", "invalid_request"}),
        (samples.picture("cut")[:200], {"corrupt_file", "unreadable_file"}),
        (huge_png(), {"image_too_large"}),
    ],
    ids=["text", "empty", "truncated", "30000x30000"],
)
def test_a_picture_that_cannot_be_used_is_refused(client: httpx.Client, image: bytes, codes: set[str]) -> None:
    body = {"text": "What is this?", "images": [base64.b64encode(image).decode()]}
    for path, payload in (("", body), ("/invoke", {"input": body})):
        response, seconds = timed(client, "POST", f"/api/v1/multimodal{path}", json=payload)
        refusal(response, seconds)
        assert response.json()["error"]["code"] in codes


def bomb_docx() -> bytes:
    """A Word file of some megabytes that unpacks to one gigabyte."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(samples.docx("Bomb", ["boom"]))) as good,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bad,
    ):
        for item in good.infolist():
            if item.filename != "word/document.xml":
                bad.writestr(item, good.read(item))
        with bad.open("word/document.xml", "w", force_zip64=True) as document:
            block = b" " * (16 * MEGABYTE)
            for _ in range(64):
                document.write(block)
    return out.getvalue()


@pytest.mark.usefixtures("steady")
def test_hostile_files_fail_one_by_one_with_their_reason(platform: Running, client: httpx.Client) -> None:
    files = {
        "empty.pdf": b"",
        "cut.pdf": samples.pdf(["page"])[:400],
        "bomb.docx": bomb_docx(),
        "huge.png": huge_png(),
        "deep.json": deep(60_000),
        "good.txt": b"The cook is called Aslaug.",
    }
    job = platform.ingest(client, "hostile", files, within_s=300)
    codes = {error["document"]: error["code"] for error in job["errors"]}
    assert codes.pop("deep.json") in {"file_too_complex", "corrupt_file"}
    assert codes.pop("bomb.docx") in {"file_too_complex", "corrupt_file"}
    assert codes == {"empty.pdf": "empty_file", "cut.pdf": "corrupt_file", "huge.png": "image_too_large"}
    assert job["progress"] == {"done": 6, "total": 6}


def test_after_all_that_it_still_answers(client: httpx.Client) -> None:
    assert client.post("/api/v1/chat", content=json.dumps(BODIES["chat"])).status_code in {200, 415}
    assert client.post("/api/v1/chat", json=BODIES["chat"]).status_code == 200
