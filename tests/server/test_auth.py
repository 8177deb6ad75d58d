"""Who comes in: keys in headers, cookies in browsers, links that work once."""

import asyncio
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

import pytest
from sqlmodel import col, select, update
from structlog.testing import capture_logs

from core.database import Database, utc_now
from core.principals import SYSTEM, Principal, Role, Scope
from core.tables import APIKey, BrowserSession, SignInToken
from server.access.keys import KeyRights
from server.auth import COOKIE, local_path, requires
from server.routes import budgets, kill_switches, policies
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import person

PAGE = {"accept": "text/html,application/xhtml+xml"}


async def test_nothing_is_answered_without_a_key(guarded: Guarded) -> None:
    for path in ("/api/v1/keys", "/api/v1/auth/me", "/nowhere", "/docs"):
        refused = await guarded.client.get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthenticated"), path


@ON_SQLITE
async def test_what_fails_on_a_public_path_is_logged_and_keeps_nobody_out(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(_key: str) -> Principal:
        raise RuntimeError("odd")

    monkeypatch.setattr(guarded.access, "by_key", odd)
    with capture_logs() as logged:
        assert (await guarded.client.get("/signin", headers=guarded.headers)).status_code == 200
    assert [line["error"] for line in logged if line["event"] == "request.failed"] == ["RuntimeError"]


@pytest.mark.parametrize("kind", ["bearer", "header"])
async def test_a_key_comes_in_by_either_header(guarded: Guarded, kind: str) -> None:
    headers = guarded.headers if kind == "bearer" else {"x-api-key": guarded.key}
    me = (await guarded.client.get("/api/v1/auth/me", headers=headers)).json()
    assert (me["id"], me["role"]) == ("key_administrator", "admin")


@ON_SQLITE
@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Basic YTpi"},
        {"authorization": ""},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"x-api-key": b"\xff\xfe"},
        {"cookie": f"{COOKIE}=wrong"},
    ],
    ids=str,
)
async def test_a_bad_credential_is_401(guarded: Guarded, headers: dict[str, str]) -> None:
    refused = await guarded.client.get("/api/v1/auth/me", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_without_the_scope_is_403(guarded: Guarded) -> None:
    _, key = await guarded.access.keys.create(SYSTEM, "reader", KeyRights(Role.USER))
    refused = await guarded.client.get("/api/v1/keys", headers={"x-api-key": key})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


async def test_a_dependency_gives_the_principal(guarded: Guarded) -> None:
    @guarded.app.get("/who")
    async def who(principal: Annotated[Principal, requires(Scope.RAG_READ)]) -> str:
        return principal.name

    assert (await guarded.client.get("/who", headers=guarded.headers)).json() == "administrator"


async def test_an_expired_key_is_401(guarded: Guarded) -> None:
    _, key = await guarded.access.keys.create(SYSTEM, "old", KeyRights(Role.USER, expires_at=utc_now() - timedelta(seconds=1)))
    assert (await guarded.client.get("/api/v1/auth/me", headers={"x-api-key": key})).status_code == 401


async def test_neither_keys_nor_cookies_nor_links_are_stored_as_they_are(guarded: Guarded, database: Database) -> None:
    link = await _link(guarded)
    signed_in = await guarded.client.get(link)
    secrets = {guarded.key, link.rpartition("=")[2], signed_in.cookies[COOKIE]}
    async with database.session(all_tenants=True) as session:
        rows = [
            *await session.exec(select(APIKey)),
            *await session.exec(select(BrowserSession)),
            *await session.exec(select(SignInToken)),
        ]
    stored = repr([row.model_dump() for row in rows])
    assert len(rows) == 3
    assert not any(secret in stored for secret in secrets)


async def _link(guarded: Guarded) -> str:
    made = await guarded.client.post("/api/v1/auth/sign-in-links", headers=guarded.headers)
    assert made.status_code == 201
    parts = urlsplit(made.json()["url"])
    return f"{parts.path}?{parts.query}"


async def test_a_link_signs_a_browser_in_once(guarded: Guarded) -> None:
    link = await _link(guarded)
    first = await guarded.client.get(link)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == "key_administrator"
    guarded.client.cookies.clear()
    again = await guarded.client.get(link)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


@ON_SQLITE
async def test_a_link_does_not_make_somebody_else_of_who_is_signed_in(guarded: Guarded, database: Database) -> None:
    """Anybody may send a link. Whoever is signed in says first that they want to be another; their own links work as before."""
    user = await person(database)
    cookie = await guarded.access.sessions.open(user_id=user.id, method="password")
    guarded.client.cookies.set(COOKIE, cookie)
    link = await _link(guarded)
    asked = await guarded.client.get(link)
    assert (asked.status_code, "set-cookie" in asked.headers) == (200, False)
    assert "Ada" in asked.text
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == user.id
    form = {"token": link.rpartition("=")[2]}
    foreign = await guarded.client.post("/signin", data=form, headers={"sec-fetch-site": "cross-site"})
    assert (foreign.status_code, "set-cookie" in foreign.headers) == (403, False)
    assert (await guarded.client.post("/signin", data=form)).status_code == 303
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == "key_administrator"
    assert (await guarded.client.get(await _link(guarded))).status_code == 303, "no question: they are the same"
    assert (await guarded.client.post("/signin", data=form)).status_code == 401, "it was used"


async def test_of_two_browsers_with_one_link_one_gets_in(guarded: Guarded) -> None:
    link = await _link(guarded)
    answers = await asyncio.gather(*(guarded.client.get(link) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [303, 401, 401, 401, 401]


async def test_an_expired_link_opens_nothing(guarded: Guarded, database: Database) -> None:
    link = await _link(guarded)
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(SignInToken).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert (await guarded.client.get(link)).status_code == 401


async def test_the_form_takes_a_key_and_leads_back(guarded: Guarded) -> None:
    form = {"key": f" {guarded.key} ", "next": "/api/v1/chat/playground/"}
    signed_in = await guarded.client.post("/signin", data=form)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/api/v1/chat/playground/")
    wrong = await guarded.client.post("/signin", data={"key": "wrong", "next": '"><script>'})
    assert wrong.status_code == 401
    assert "not valid" in wrong.text
    assert "<script>" not in wrong.text


async def test_a_browser_is_sent_to_the_form_and_a_program_is_not(guarded: Guarded) -> None:
    page = await guarded.client.get("/api/v1/chat/playground/", headers=PAGE)
    assert (page.status_code, page.headers["location"]) == (303, "/signin?next=/api/v1/chat/playground/")
    assert (await guarded.client.post("/api/v1/chat", headers=PAGE, json={})).status_code == 401


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "\n/x", "", None, "/a\r\nb"])
def test_the_way_back_never_leads_elsewhere(target: str | None) -> None:
    assert local_path(target) == "/"


@ON_SQLITE
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({"origin": "http://test"}, 201),
        ({}, 201),
    ],
    ids=str,
)
async def test_another_site_cannot_act_with_the_cookie(guarded: Guarded, headers: dict[str, str], status: int) -> None:
    await guarded.client.post("/signin", data={"key": guarded.key})
    made = await guarded.client.post("/api/v1/keys", json={"name": "n"}, headers=headers)
    assert made.status_code == status


async def test_signing_out_ends_the_session(guarded: Guarded) -> None:
    await guarded.client.post("/signin", data={"key": guarded.key})
    cookie = guarded.client.cookies[COOKIE]
    assert (await guarded.client.post("/signout")).status_code == 303
    stolen = await guarded.client.get("/api/v1/auth/me", headers={"cookie": f"{COOKIE}={cookie}"})
    assert stolen.status_code == 401


async def test_a_session_ends_with_its_key(guarded: Guarded) -> None:
    made = (await guarded.client.post("/api/v1/keys", json={"name": "n"}, headers=guarded.headers)).json()
    await guarded.client.post("/signin", data={"key": made["key"]})
    assert (await guarded.client.get("/api/v1/auth/me")).json()["id"] == made["id"]
    cookie = guarded.client.cookies[COOKIE]
    guarded.client.cookies.clear()
    await guarded.client.delete(f"/api/v1/keys/{made['id']}", headers=guarded.headers)
    assert (await guarded.client.get("/api/v1/auth/me", headers={"cookie": f"{COOKIE}={cookie}"})).status_code == 401


async def test_a_session_ends_after_its_hours(guarded: Guarded, database: Database) -> None:
    await guarded.client.post("/signin", data={"key": guarded.key})
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(BrowserSession).where(col(BrowserSession.digest) != "").values(expires_at=utc_now()))
    assert (await guarded.client.get("/api/v1/auth/me")).status_code == 401


@ON_SQLITE
@pytest.mark.parametrize("limit", [{"models": ["default"]}, {"collections": ["manuals"]}], ids=str)
async def test_a_key_for_some_models_or_collections_changes_nothing_of_the_whole_tenant(
    guarded: Guarded, limit: dict[str, list[str]]
) -> None:
    for module in (policies, kill_switches, budgets):
        guarded.app.include_router(module.router)
    body = {"name": "x", "role": "admin"} | limit
    key = (await guarded.client.post("/api/v1/keys", json=body, headers=guarded.headers)).json()["key"]
    headers = {"x-api-key": key}
    for method, path, wanted in (
        ("PUT", "/api/v1/policies", {"guards": None}),
        ("PUT", "/api/v1/kill-switches/model/default", {"reason": "x"}),
        ("DELETE", "/api/v1/kill-switches/model/default", None),
        ("DELETE", "/api/v1/budgets/bud_1", None),
    ):
        refused = await guarded.client.request(method, path, json=wanted, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "more_than_own"), path
    assert (await guarded.client.get("/api/v1/policies", headers=headers)).status_code == 200
