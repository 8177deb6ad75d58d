"""Pages of other origins: whom a browser is told to let in, and that nothing but a credential in a header opens the door."""

from typing import Any

import pytest
from sqlmodel import col, update

from core.database import Database
from core.principals import Role
from core.tables import Tenant
from server.access.keys import KeyRights
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import person, principal_in

pytestmark = ON_SQLITE
OURS, THEIRS, EVIL = "https://app.example.com", "http://localhost:3000", "https://evil.example"
ME = "/api/v1/auth/me"


async def allow(guarded: Guarded, database: Database, tenant: str, *origins: str) -> None:
    async with database.transaction(all_tenants=True) as session:
        kept = {"browsers": {"origins": list(origins)}}
        await session.exec(update(Tenant).where(col(Tenant.id) == tenant).values(policies=kept))
    await guarded.policies.load(database)


@pytest.fixture
async def open_door(guarded: Guarded, database: Database) -> Guarded:
    """`default` lets OURS in, `acme` THEIRS."""
    await person(database, tenant="acme")
    await allow(guarded, database, "default", OURS)
    await allow(guarded, database, "acme", THEIRS)
    return guarded


async def preflight(guarded: Guarded, origin: str, path: str = ME, **headers: str) -> Any:
    asked = {"origin": origin, "access-control-request-method": "POST", **headers}
    return await guarded.client.options(path, headers=asked)


def allowed(answer: Any) -> str | None:
    """Whom a browser lets read the answer. Credentials of its own it never adds: nothing allows them."""
    assert "access-control-allow-credentials" not in answer.headers
    found: str | None = answer.headers.get("access-control-allow-origin")
    return found


async def test_a_preflight_is_answered_without_a_credential(open_door: Guarded) -> None:
    asked = "authorization,content-type,x-request-id"
    answer = await preflight(open_door, OURS, **{"access-control-request-headers": asked})
    assert (answer.status_code, allowed(answer), answer.content) == (204, OURS, b"")
    assert answer.headers["access-control-allow-headers"] == asked
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        (EVIL, ME),
        ("null", ME),
        (f"{OURS}.evil.example", ME),
        (f"{OURS}:8443", ME),
        (OURS.replace("https", "http"), ME),
        ("*", ME),
        (OURS, "/signin"),
        (OURS, "/account/sessions"),
        (OURS, "/"),
    ],
)
async def test_a_preflight_of_anything_else_is_refused(open_door: Guarded, origin: str, path: str) -> None:
    answer = await preflight(open_door, origin, path)
    assert (answer.status_code, allowed(answer)) == (403, None)
    assert answer.json()["error"]["code"] == "origin_not_allowed"


async def test_headers_that_are_none_are_not_allowed(open_door: Guarded) -> None:
    answer = await preflight(open_door, OURS, **{"access-control-request-headers": "authorization, <script>"})
    assert "access-control-allow-headers" not in answer.headers


async def test_nobody_is_let_in_where_nothing_is_configured(guarded: Guarded) -> None:
    assert (await preflight(guarded, OURS)).status_code == 403
    answer = await guarded.client.get(ME, headers={"origin": OURS, **guarded.headers})
    assert (answer.status_code, allowed(answer), answer.headers.get("vary")) == (200, None, None)


async def test_an_answer_is_read_by_the_pages_of_its_own_tenant_alone(open_door: Guarded, database: Database) -> None:
    _, theirs = await open_door.access.keys.create(principal_in("acme"), "n", KeyRights(role=Role.USER))
    for key, own, other in ((open_door.key, OURS, THEIRS), (theirs, THEIRS, OURS)):
        bearer = {"authorization": f"Bearer {key}"}
        told = [await open_door.client.get(ME, headers={"origin": origin, **bearer}) for origin in (own, other, EVIL)]
        assert [allowed(each) for each in told] == [own, None, None]
        assert {each.headers["vary"] for each in told} == {"Origin"}
    assert (await open_door.client.get(ME, headers=open_door.headers)).headers["vary"] == "Origin"


async def test_an_error_can_be_read_too(open_door: Guarded) -> None:
    wrong = await open_door.client.get(ME, headers={"origin": OURS, "authorization": "Bearer gk_wrong"})
    missing = await open_door.client.get("/api/v1/nothing", headers={"origin": OURS, **open_door.headers})
    assert [(each.status_code, allowed(each)) for each in (wrong, missing)] == [(401, OURS), (404, OURS)]


async def test_the_headers_of_the_platform_can_be_read(open_door: Guarded) -> None:
    @open_door.app.get("/api/v1/told")
    async def told() -> Any:
        from starlette.responses import Response

        return Response(headers={"x-genai-model": "m", "retry-after": "1", "RateLimit-Remaining": "3", "x-inner": "n"})

    answer = await open_door.client.get("/api/v1/told", headers={"origin": OURS, **open_door.headers})
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert exposed == {"x-genai-model", "retry-after", "ratelimit-remaining", "x-request-id"}


async def test_the_cookie_opens_nothing_for_another_origin(open_door: Guarded) -> None:
    await open_door.client.post("/signin", data={"key": open_door.key})
    assert (await open_door.client.get(ME)).status_code == 200
    for site in ({}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        for method in ("GET", "HEAD", "POST"):
            answer = await open_door.client.request(method, ME, headers={"origin": OURS, **site})
            assert answer.status_code == 403
    own = {"origin": "http://test", "sec-fetch-site": "same-origin"}
    assert (await open_door.client.get(ME, headers=own)).status_code == 200
