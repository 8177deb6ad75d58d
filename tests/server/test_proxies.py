"""Whose word counts for where a caller is, through one proxy, through several, and against those who make it up."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlmodel import select

from core import audit
from core.database import Database
from core.settings import ProxySettings, Settings
from core.tables import AuditEvent, SignInAttempts
from server.proxies import TrustedProxies, address_of
from tests.server.conftest import ON_SQLITE, Guarded

EDGE, INNER, CALLER, LIAR = "10.1.0.1", "10.2.0.1", "203.0.113.9", "198.51.100.66"
TRUSTED = ["10.1.0.0/16", "10.2.0.0/16", "fd00::/8"]


async def _seen(peer: str | None, headers: list[tuple[str, str]], **proxies: Any) -> dict[str, Any]:
    """What the application sees of a request from `peer`."""
    found: list[dict[str, Any]] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        found.append(scope)

    given = ProxySettings.model_validate({"trusted": TRUSTED} | proxies)
    scope = {
        "type": "http",
        "scheme": "http",
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"host", b"inside:8000"), *((name.lower().encode(), value.encode()) for name, value in headers)],
    }
    await TrustedProxies(app, given)(scope, None, None)  # type: ignore[arg-type]
    (seen,) = found
    return {
        "address": seen["client"] and seen["client"][0],
        "scheme": seen["scheme"],
        "host": dict(seen["headers"])[b"host"].decode(),
    }


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        (EDGE, [CALLER], CALLER),
        (INNER, [f"{CALLER}, {EDGE}"], CALLER),
        (INNER, [CALLER, EDGE], CALLER),  # a line from each
        (EDGE, [f"{LIAR}, {CALLER}"], CALLER),  # the caller wrote the first one
        (EDGE, [f"10.1.0.7, {CALLER}"], CALLER),  # and may name a trusted one
        (INNER, [f"{LIAR}, {CALLER}, {EDGE}"], CALLER),
        (EDGE, ["10.1.0.7"], "10.1.0.7"),  # from within
        (EDGE, [f"{CALLER}:4711"], CALLER),
        (EDGE, ["[2001:db8::7]:443"], "2001:db8::7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        (f"::ffff:{EDGE}", [f"::ffff:{CALLER}"], CALLER),
        (EDGE, ["unknown"], None),
        (EDGE, [f"{CALLER}, _hidden"], None),
        (EDGE, [f"not an address, {CALLER}"], CALLER),
        (EDGE, [], EDGE),
        (EDGE, [", ,"], EDGE),
        (LIAR, [CALLER], LIAR),
        ("127.0.0.1", [CALLER], "127.0.0.1"),
        (None, [CALLER], None),
    ],
    ids=str,
)
async def test_the_caller_is_the_first_address_that_no_trusted_proxy_stands_for(
    peer: str | None, told: list[str], address: str | None
) -> None:
    assert (await _seen(peer, [("X-Forwarded-For", value) for value in told]))["address"] == address


async def test_nobody_is_believed_by_default() -> None:
    lies = [("X-Forwarded-For", LIAR), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")]
    lies.append(("Forwarded", f"for={LIAR}"))
    for peer in ("127.0.0.1", "::1", EDGE):
        seen = await _seen(peer, lies, trusted=[])
        assert seen == {"address": peer, "scheme": "http", "host": "inside:8000"}


async def test_scheme_and_host_are_those_of_the_same_proxy_as_the_address() -> None:
    one = [("X-Forwarded-For", CALLER), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "genai.example")]
    assert await _seen(EDGE, one) == {"address": CALLER, "scheme": "https", "host": "genai.example"}
    two = [("X-Forwarded-For", f"{LIAR}, {CALLER}, {EDGE}"), ("X-Forwarded-Proto", "http, https, http")]
    assert await _seen(INNER, two) == {"address": CALLER, "scheme": "https", "host": "inside:8000"}
    fewer = [("X-Forwarded-For", f"{CALLER}, {EDGE}"), ("X-Forwarded-Proto", "https")]
    assert (await _seen(INNER, fewer))["scheme"] == "https"


@pytest.mark.parametrize("host", ["evil.example/path", "a b", "", "evil\\example", "x" * 300, "[::1", "a:b:c"], ids=repr)
async def test_what_is_no_host_or_scheme_changes_nothing(host: str) -> None:
    seen = await _seen(EDGE, [("X-Forwarded-For", CALLER), ("X-Forwarded-Host", host), ("X-Forwarded-Proto", "gopher")])
    assert seen == {"address": CALLER, "scheme": "http", "host": "inside:8000"}


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ([f"for={CALLER};proto=https;host=genai.example"], (CALLER, "https", "genai.example")),
        ([f'For="[2001:db8::7]:4711";Proto=HTTPS, for={EDGE}'], ("2001:db8::7", "https", "inside:8000")),
        ([f"for={LIAR};proto=https", f"for={CALLER};proto=http", f"for={EDGE};proto=https"], (CALLER, "http", "inside:8000")),
        (['for="unknown, for=1.2.3.4"'], (None, "http", "inside:8000")),
        (["for=_obscured"], (None, "http", "inside:8000")),
        (["by=10.9.9.9"], (None, "http", "inside:8000")),
        ([], (INNER, "http", "inside:8000")),
    ],
    ids=str,
)
async def test_the_one_header_of_rfc_7239_where_proxies_write_that(lines: list[str], seen: tuple[str | None, str, str]) -> None:
    headers = [("Forwarded", line) for line in lines] + [("X-Forwarded-For", LIAR)]
    found = await _seen(INNER, headers, header="forwarded")
    assert (found["address"], found["scheme"], found["host"]) == seen


async def test_only_the_configured_kind_of_header_is_read() -> None:
    """A proxy that writes one passes the other on as the caller sent it."""
    headers = [("Forwarded", f"for={LIAR}"), ("X-Forwarded-For", CALLER)]
    assert (await _seen(EDGE, headers))["address"] == CALLER


@pytest.mark.parametrize(
    ("text", "address"),
    [("fe80::1%eth0", "fe80::1"), ('"203.0.113.9"', CALLER), ("203.0.113.999", None), ("", None), ("[", None)],
)
def test_an_address_is_read_with_what_stands_around_it(text: str, address: str | None) -> None:
    found = address_of(text)
    assert (found and str(found)) == address


def _behind(guarded: Guarded, peer: str) -> httpx.AsyncClient:
    """The application behind trusted proxies, called from `peer`."""
    app = TrustedProxies(guarded.app, ProxySettings.model_validate({"trusted": TRUSTED}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 4711)), base_url="http://test")


@ON_SQLITE
async def test_a_keys_network_and_the_audit_log_go_by_the_caller_and_not_by_what_they_claim(
    guarded: Guarded, database: Database, settings: Settings
) -> None:
    recorder = audit.Recorder(settings)
    audit.connect(recorder)
    body = {"name": "office", "networks": ["203.0.113.0/24"]}
    made = (await guarded.client.post("/api/v1/keys", json=body, headers=guarded.headers)).json()
    key = {"x-api-key": made["key"]}

    async def status(peer: str, told: str) -> int:
        async with _behind(guarded, peer) as client:
            return (await client.get("/api/v1/auth/me", headers=key | {"x-forwarded-for": told})).status_code

    assert await status(EDGE, CALLER) == 200
    assert await status(EDGE, f"{CALLER}, {LIAR}") == 403
    assert await status(LIAR, CALLER) == 403
    assert await status(EDGE, "unknown") == 403
    assert await status(EDGE, EDGE) == 403
    audit.connect(None)
    await asyncio.to_thread(recorder.close)
    async with database.session(all_tenants=True) as session:
        events = (await session.exec(select(AuditEvent).where(AuditEvent.action == "network.denied"))).all()
    assert {event.address for event in events} == {LIAR, EDGE}  # what repeats is one event, with the last one's address


@ON_SQLITE
async def test_guesses_are_counted_by_the_caller_whatever_they_write_before_it(guarded: Guarded, database: Database) -> None:
    async with _behind(guarded, EDGE) as client:
        for number in range(3):
            headers = {"x-forwarded-for": f"192.0.2.{number}, {CALLER}"}
            form = {"email": f"{number}@example.test", "password": "a wrong guess"}
            assert (await client.post("/signin", data=form, headers=headers)).status_code == 401
    async with database.session(all_tenants=True) as session:
        counted = sorted(row.failures for row in (await session.exec(select(SignInAttempts))).all())
    assert counted == [1, 1, 1, 3]  # three accounts, one address


@ON_SQLITE
async def test_a_browser_that_comes_to_a_proxy_by_https_gets_a_cookie_for_https_alone(guarded: Guarded) -> None:
    for told, secure in (("https", True), ("http", False)):
        async with _behind(guarded, EDGE) as client:
            headers = {"x-forwarded-for": CALLER, "x-forwarded-proto": told}
            signed_in = await client.post("/signin", data={"key": guarded.key}, headers=headers)
        assert signed_in.status_code == 303
        assert ("Secure" in signed_in.headers["set-cookie"]) is secure
