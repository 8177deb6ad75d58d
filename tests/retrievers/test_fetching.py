import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core import audit
from core.database import utc_now
from core.errors import InvalidRequest, TooLarge
from core.settings import FetchSettings, RequestLimits, Settings
from retrievers.fetching import check, fetch, post
from retrievers.public_addresses import IPAddress

LOOPBACK = FetchSettings(private_networks=("127.0.0.1/32",), timeout_s=5)  # type: ignore[arg-type]  # parsed


@pytest.fixture
def inside(tmp_path: Path) -> Settings:
    """An operator who allows one address of the own machine."""
    return Settings.load(data_dir=tmp_path, fetch=LOOPBACK, limits=RequestLimits(upload_bytes=100_000))


async def plain(request: web.Request) -> web.Response:
    """An answer that comes at once and whole."""
    match request.match_info["kind"]:
        case "named":
            return web.Response(body=b"x", headers={"Content-Disposition": 'attachment; filename="../we ird/report.pdf"'})
        case "large":
            return web.Response(body=b"x" * 200_000)
        case "bomb":
            return web.Response(body=gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})
        case "packed":
            return web.Response(body=gzip.compress(b"unpacked " * 1000), headers={"Content-Encoding": "gzip"})
        case "status":
            return web.Response(status=int(request.query["is"]))
        case "seen":
            return web.json_response({name.lower(): value for name, value in request.headers.items()})
        case kind:
            return web.Response(text=f"page {kind}")


async def answer_in_every_way(request: web.Request) -> web.StreamResponse:
    match request.match_info["kind"]:
        case "redirect":
            raise web.HTTPFound(request.query["to"])
        case "circle":
            raise web.HTTPFound("/circle")
        case "cookie":
            raise web.HTTPFound("/seen", headers={"Set-Cookie": "session=secret"})
        case "slow":
            await asyncio.sleep(60)
        case "endless" | "drip" as kind:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * (10_000 if kind == "endless" else 1))
                await asyncio.sleep(0 if kind == "endless" else 0.02)
    return await plain(request)


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web server on the loopback interface."""
    async with serving(answer_in_every_way) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def serving(answer: Any, **listening: Any) -> AsyncIterator[int]:
    """The port of a server on the loopback interface that answers every GET."""
    app = web.Application()
    app.router.add_get("/{kind:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, **listening).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def self_signed(directory: Path, name: str) -> Path:
    """A certificate for a name, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(utc_now() - timedelta(days=1))
        .not_valid_after(utc_now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


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
    assert await code_of(f"{site}/status?is=404", inside) == "fetch_failed"
    hurried = Settings.load(data_dir=tmp_path, fetch=LOOPBACK.model_copy(update={"timeout_s": 0.3}))
    for kind in ("slow", "drip"):
        assert await code_of(f"{site}/{kind}", hurried) == "fetch_failed"
    for status in (204, 300, 304, 307, 401, 500):
        assert await code_of(f"{site}/status?is={status}", inside) == "fetch_failed"


async def test_by_default_the_own_machine_is_refused(site: str, settings: Settings) -> None:
    assert await code_of(site, settings) == "url_refused"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://localhost:1/", "http://2130706433/", "http://0x7f.1/", "http://0/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://10.0.0.1/",
        "http://169.254.169.254/", "http://224.0.0.1/", "http://100.64.0.1/", "file:///etc/passwd", "ftp://192.0.2.1/",
        "http://user:password@192.0.2.1/", "http://", "nonsense", "", "//192.0.2.1/", "http://127.0.0.1\\@example.com/",
        "javascript:alert(1)", "http://192.0.2.1/" + "x" * 3000, "http://[2001:0:53aa:64c::]/", "http://[fe80::1%25eth0]/",
        "http://[::127.0.0.1]/", "http://[fec0::1]/", "http://[fd00:ec2::254]/", "http://168.63.129.16/", "http://0177.0.0.1/",
        "http://127.1/", "http://134744072/", "http://0x8.8.8.8/", "http://8.8.8/", "http://localhost./", "http://8.8.8.8./",
        "http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/", "http://ⓛocalhost/", "http://example%2ecom/", "http://127.0.0.1%00.example/",
        "http://8.8.8.8:99999/", "http://8.8.8.8:0/", "gopher://8.8.8.8/", "http://8.8.8.8@10.0.0.1/", "http:8.8.8.8",
        "data:text/plain,x", "http://[::ffff:8.8.8.8]/", "http://[64:ff9b:1::808:808]/", "http://[2a00:1450::5efe:7f00:1]/",
    ],
)  # fmt: skip
async def test_addresses_that_are_not_public_web_addresses_are_refused(url: str, settings: Settings) -> None:
    assert await code_of(url, settings) == "url_refused"


class Resolver:
    """Stands for the name service: each question is kept, and gets the next of its answers, the last one from then on."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[IPAddress]:
        self.asked.append((host, port))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not answer:
            raise OSError
        return [ip_address(one) for one in answer]


def port_of(site: str) -> int:
    return int(site.rpartition(":")[2])


async def test_a_host_is_resolved_once_and_what_was_checked_is_what_is_connected_to(site: str, inside: Settings) -> None:
    """The second answer of a name that turns round, to an address that nothing may be fetched from, is never asked for."""
    turning = Resolver(["127.0.0.1"], ["127.0.0.2"])
    content, _ = await fetch(f"http://docs.example.test:{port_of(site)}/seen", settings=inside, resolve=turning)
    assert json.loads(content)["host"] == f"docs.example.test:{port_of(site)}"
    assert turning.asked == [("docs.example.test", port_of(site))]


@pytest.mark.parametrize(
    "answer", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["8.8.8.8", "::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]], ids=str
)
async def test_a_name_that_leads_inside_is_refused_and_nothing_is_connected_to(
    site: str, inside: Settings, answer: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await fetch(f"http://docs.example.test:{port_of(site)}/", settings=inside, resolve=Resolver(answer))
    assert caught.value.code == "url_refused"


async def test_each_hop_is_resolved_and_checked_again(site: str, inside: Settings) -> None:
    back = f"{site}/redirect?to=http://other.example.test:{port_of(site)}/there"
    assert (await fetch(back, settings=inside, resolve=(there := Resolver(["127.0.0.1"]))))[0] == b"page there"
    assert [host for host, _ in there.asked] == ["other.example.test"]
    for answer in (["127.0.0.2"], ["192.168.1.1"]):
        with pytest.raises(InvalidRequest) as caught:
            await fetch(back, settings=inside, resolve=Resolver(answer))
        assert caught.value.code == "url_refused"


@pytest.fixture
def on_record() -> Iterator[list[Any]]:
    """The events that would be put on record."""
    events: list[Any] = []
    audit.connect(cast("Any", SimpleNamespace(add=events.append)))
    yield events
    audit.connect(None)


async def test_what_is_refused_is_on_record_by_its_host_and_where_it_was_redirected_from(
    site: str, inside: Settings, on_record: list[Any]
) -> None:
    await code_of("http://10.0.0.1/secret", inside)
    await code_of(f"{site}/redirect?to=http://10.0.0.2/secret", inside)
    await code_of(f"{site}/status?is=404", inside)
    told = [(event.action, event.on, event.details) for event in on_record]
    assert told == [
        ("fetch.refused", ("host", "10.0.0.1"), {}),
        ("fetch.refused", ("host", "10.0.0.2"), {"redirected_from": "127.0.0.1"}),
    ]


async def test_of_several_addresses_the_first_that_answers_is_taken(site: str, tmp_path: Path) -> None:
    wide = Settings.load(data_dir=tmp_path, fetch={"private_networks": ["127.0.0.0/8"]})
    url = f"http://docs.example.test:{port_of(site)}/there"
    assert (await fetch(url, settings=wide, resolve=Resolver(["127.0.0.9", "127.0.0.1"])))[0] == b"page there"
    with pytest.raises(InvalidRequest) as caught:
        await fetch(url, settings=wide, resolve=Resolver(["127.0.0.9"]))
    assert caught.value.code == "fetch_failed"
    with pytest.raises(InvalidRequest) as caught:
        await fetch(url, settings=wide, resolve=Resolver([]))
    assert caught.value.code == "fetch_failed"


async def test_no_cookie_no_credential_and_no_proxy_go_along(
    site: str, inside: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    content, _ = await fetch(f"{site}/cookie", settings=inside)
    assert set(json.loads(content)) == {"host", "user-agent", "accept", "accept-encoding", "connection"}


async def test_a_certificate_must_be_the_name_s_and_not_the_address_s(
    inside: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path, "docs.example.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked_for: list[str] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.host)

    async with serving(answer, ssl_context=context) as port:
        loopback = Resolver(["127.0.0.1"])
        url = f"https://docs.example.test:{port}/"
        assert (await fetch(url, settings=inside, resolve=loopback))[0] == f"docs.example.test:{port}".encode()
        with pytest.raises(InvalidRequest) as caught:
            await fetch(f"https://other.example.test:{port}/", settings=inside, resolve=loopback)
        assert caught.value.code == "fetch_failed"
    assert asked_for == ["docs.example.test", "other.example.test"]


@pytest.fixture
async def hook() -> AsyncIterator[tuple[str, list[Any]]]:
    """A server on the loopback interface that takes what is posted, and all that it was sent."""
    seen: list[Any] = []

    async def received(request: web.Request) -> web.Response:
        seen.append((request.path, dict(request.headers), await request.read()))
        moved = request.path == "/moved"
        return web.Response(status=307 if moved else 202, headers={"Location": "/elsewhere"} if moved else {})

    app = web.Application()
    app.router.add_post("/{path:.*}", received)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    await runner.cleanup()


async def test_what_is_posted_arrives_once_and_a_redirect_leads_nowhere(hook: tuple[str, list[Any]]) -> None:
    url, seen = hook
    assert await post(f"{url}/in?a=1", b'{"a": 1}', {"X-Own": "x"}, allowed=LOOPBACK) == 202
    assert await post(f"{url}/moved", b"{}", {}, allowed=LOOPBACK) == 307
    assert [(path, body) for path, _, body in seen] == [("/in", b'{"a": 1}'), ("/moved", b"{}")]
    assert (seen[0][1]["X-Own"], seen[0][1]["Content-Type"]) == ("x", "application/json")


async def test_nothing_is_posted_to_an_address_that_is_not_allowed(hook: tuple[str, list[Any]]) -> None:
    url, seen = hook
    for refused in (url, url.replace("127.0.0.1", "localhost"), "http://169.254.169.254/", "file:///etc/passwd"):
        with pytest.raises(InvalidRequest) as caught:
            await post(refused, b"{}", {}, allowed=FetchSettings())
        assert caught.value.code == "url_refused"
    assert seen == []


async def test_a_name_that_means_a_private_address_is_refused_when_it_is_posted_to() -> None:
    async def rebound(_host: str, _port: int) -> Sequence[IPAddress]:
        return [ip_address("10.0.0.1")]

    check("https://hooks.example.com/", allowed=FetchSettings())
    with pytest.raises(InvalidRequest, match="public"):
        await post("https://hooks.example.com/", b"{}", {}, allowed=FetchSettings(), resolve=rebound)
    for literally in ("https://10.0.0.1/", "https://0x7f.1/", "https://user:word@example.com/"):
        with pytest.raises(InvalidRequest):
            check(literally, allowed=FetchSettings())
