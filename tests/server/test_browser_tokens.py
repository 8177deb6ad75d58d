"""Browser tokens: good for the pages of one origin, for no more than their maker may do, and dead with whom they come from."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi import Request
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlmodel import col, select, update

from core.database import Database, utc_now
from core.principals import BROWSER_SCOPES, SYSTEM, Role, Scope
from core.settings import Settings
from core.tables import APIKey, AuditEvent, TokenFamily, User
from server.access.access import Access
from server.access.keys import KeyRights
from server.auth import principal_still
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, PASSWORD, person, person_with_password
from tests.server.test_cors import EVIL, OURS, THEIRS, allow

URL, ME = "/api/v1/auth/browser-tokens", "/api/v1/auth/me"


@pytest.fixture
async def door(guarded: Guarded, database: Database) -> Guarded:
    """The tenant lets pages of OURS in."""
    await person(database, kind="service", email=None)
    await allow(guarded, database, "default", OURS, THEIRS)
    return guarded


async def made(door: Guarded, key: str | None = None, **wanted: Any) -> Any:
    headers = {"authorization": f"Bearer {key or door.key}"}
    return await door.client.post(URL, json={"origin": OURS, **wanted}, headers=headers)


async def me(door: Guarded, token: str, **headers: str) -> Any:
    return await door.client.get(ME, headers={"authorization": f"Bearer {token}", **headers})


async def a_key(door: Guarded, **rights: Any) -> tuple[str, str]:
    row, key = await door.access.keys.create(SYSTEM, "backend", KeyRights(**({"role": Role.DEVELOPER} | rights)))
    return row.id, key


async def test_a_token_works_from_its_origin_and_from_nowhere_else(door: Guarded) -> None:
    answer = await made(door, scopes=["chat:invoke", "models:read"], expires_in=120)
    body = answer.json()
    assert (answer.status_code, body["token_type"], body["origin"]) == (201, "Bearer", OURS)
    assert 110 < body["expires_in"] <= 120
    assert body["scope"] == "chat:invoke models:read"
    token = body["access_token"]
    good = await me(door, token, origin=OURS)
    assert (good.status_code, good.json()["scopes"]) == (200, ["chat:invoke", "models:read"])
    assert good.headers["access-control-allow-origin"] == OURS
    for elsewhere in ({}, {"origin": EVIL}, {"origin": THEIRS}, {"origin": "null"}, {"origin": f"{OURS}:8443"}):
        stolen = await me(door, token, **elsewhere)
        assert (stolen.status_code, stolen.json()["error"]["code"]) == (403, "origin_not_allowed")


async def test_what_goes_on_for_long_ends_once_the_tenant_lets_the_pages_in_no_more(door: Guarded, database: Database) -> None:
    reached: list[str] = []

    @door.app.get("/long")
    async def long(request: Request) -> None:
        for origins in ((THEIRS,), ()):
            await principal_still(request, SYSTEM)
            reached.append("still")
            await allow(door, database, "default", *origins)

    token = (await made(door)).json()["access_token"]
    ended = await door.client.get("/long", headers={"authorization": f"Bearer {token}", "origin": OURS})
    assert (ended.status_code, ended.json()["error"]["code"], reached) == (403, "origin_not_allowed", ["still"])


async def test_it_is_an_access_token_that_other_services_do_not_take_for_one_of_theirs(door: Guarded) -> None:
    token = (await made(door)).json()["access_token"]
    keys = KeySet.import_key_set((await door.client.get("/.well-known/jwks.json")).json())
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    assert (decoded.header["alg"], decoded.header["typ"]) == ("ES256", "at+jwt")
    assert decoded.claims["aud"] == "genai/browser"


async def test_without_scopes_it_has_those_of_its_maker_that_a_page_can_be_given(door: Guarded) -> None:
    assert set((await made(door)).json()["scope"].split()) == BROWSER_SCOPES
    _, key = await a_key(door, scopes=frozenset({Scope.BROWSER_TOKENS_MAKE, Scope.CHAT_INVOKE, Scope.USAGE_READ}))
    assert (await made(door, key)).json()["scope"] == "chat:invoke"


@ON_SQLITE
@pytest.mark.parametrize("scope", sorted(set(Scope) - BROWSER_SCOPES))
async def test_what_manages_the_platform_is_given_to_no_page(door: Guarded, scope: str) -> None:
    refused = await made(door, scopes=[scope])
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "scope_not_for_browsers")


@ON_SQLITE
@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ({"origin": EVIL}, 403, "origin_not_allowed"),
        ({"origin": "*"}, 422, "invalid_request"),
        ({"origin": f"{OURS}/"}, 422, "invalid_request"),
        ({"expires_in": 901}, 422, "invalid_request"),
        ({"expires_in": 0}, 422, "invalid_request"),
        ({"user_id": "usr_nobody"}, 422, "user_not_found"),
        ({"scopes": []}, 422, "invalid_request"),
        ({"lifetime": 5}, 422, "invalid_request"),
    ],
    ids=str,
)
async def test_what_cannot_be_made_is_refused(door: Guarded, wanted: dict[str, Any], status: int, code: str) -> None:
    refused = await made(door, **wanted)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


@ON_SQLITE
async def test_it_can_do_no_more_than_its_maker(door: Guarded) -> None:
    _, key = await a_key(
        door,
        scopes=frozenset({Scope.BROWSER_TOKENS_MAKE, Scope.CHAT_INVOKE}),
        models=frozenset({"small", "large"}),
        collections=frozenset({"manuals"}),
    )
    for more in ({"scopes": ["rag:read"]}, {"models": ["other"]}, {"collections": ["secrets"]}):
        refused = await made(door, key, **more)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "more_than_own")
    narrowed = (await made(door, key, models=["small"])).json()["access_token"]
    principal = await door.access.by_token(narrowed)
    assert principal is not None
    assert (principal.models, principal.collections, principal.origin) == ({"small"}, {"manuals"}, OURS)


@ON_SQLITE
async def test_who_has_not_the_right_makes_none_and_a_token_makes_no_further_ones(door: Guarded) -> None:
    _, plain = await a_key(door, role=Role.USER)
    assert (await made(door, plain)).status_code == 403
    token = (await made(door)).json()["access_token"]
    for path, body in ((URL, {"origin": OURS}), ("/api/v1/auth/tokens", {}), ("/api/v1/auth/sign-in-links", {})):
        headers = {"authorization": f"Bearer {token}", "origin": OURS}
        assert (await door.client.post(path, json=body, headers=headers)).status_code == 403
    sessions = await door.client.get("/api/v1/auth/sessions", headers={"authorization": f"Bearer {token}", "origin": OURS})
    assert (sessions.status_code, sessions.json()["error"]["code"]) == (403, "sign_in_needed")


async def test_a_key_that_manages_keys_makes_one_for_a_user_with_no_more_than_both_may(
    door: Guarded, database: Database
) -> None:
    ada = await person(database, role=Role.USER)
    token = (await made(door, user_id=ada.id, scopes=["chat:invoke", "rag:write"])).json()["access_token"]
    told = (await me(door, token, origin=OURS)).json()
    assert (told["id"], told["scopes"]) == (ada.id, ["chat:invoke"])
    _, developer = await a_key(door)
    assert (await made(door, developer, user_id=ada.id)).status_code == 403
    elsewhere = await person(database, tenant="acme", email="eve@example.test")
    assert (await made(door, user_id=elsewhere.id)).json()["error"]["code"] == "user_not_found"
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).where(col(User.id) == ada.id).values(disabled_at=utc_now()))
    door.access.forget()
    assert (await me(door, token, origin=OURS)).status_code == 401


async def test_a_session_makes_one_for_whom_it_stands_for_alone(door: Guarded, database: Database) -> None:
    ada = await person_with_password(door, database, role=Role.ADMIN)
    bob = await person(database, email="bob@example.test")
    await door.client.post("/signin", data={"email": ADDRESS, "password": PASSWORD})
    answer = await door.client.post(URL, json={"origin": OURS})
    door_of_bob = await door.client.post(URL, json={"origin": OURS, "user_id": bob.id})
    door.client.cookies.clear()
    assert (await me(door, answer.json()["access_token"], origin=OURS)).json()["id"] == ada.id
    assert (door_of_bob.status_code, door_of_bob.json()["error"]["code"]) == (403, "key_needed")


@pytest.mark.parametrize("end", ["revoke", "role", "origin"])
async def test_it_ends_with_its_key_its_role_and_its_origin(door: Guarded, database: Database, end: str) -> None:
    """In this process at once; another learns of it by the access epoch, which each of these raises."""
    key_id, key = await a_key(door)
    token = (await made(door, key)).json()["access_token"]
    assert (await me(door, token, origin=OURS)).status_code == 200
    if end == "revoke":
        await door.client.delete(f"/api/v1/keys/{key_id}", headers=door.headers)
        assert (await me(door, token, origin=OURS)).status_code == 401
    elif end == "role":
        async with database.transaction(all_tenants=True) as session:
            await session.exec(update(APIKey).where(col(APIKey.id) == key_id).values(role=Role.ANALYST.value))
        door.access.forget()
        assert "chat:invoke" not in (await me(door, token, origin=OURS)).json()["scopes"]
    else:
        await allow(door, database, "default", THEIRS)
        assert (await me(door, token, origin=OURS)).status_code == 403


async def test_it_is_over_with_its_key_s_time_also_where_it_is_remembered(door: Guarded, database: Database) -> None:
    _, key = await a_key(door, expires_at=utc_now() + timedelta(seconds=60))
    token = (await made(door, key, expires_in=300)).json()["access_token"]
    found = await door.access.tokens.find(token)
    assert found is not None
    assert found[1] < utc_now() + timedelta(seconds=61)
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(TokenFamily).where(col(TokenFamily.origin) == OURS).values(expires_at=utc_now()))
    door.access.forget()
    assert (await me(door, token, origin=OURS)).status_code == 401


@ON_SQLITE
async def test_a_token_whose_kind_was_changed_is_none(door: Guarded, database: Database) -> None:
    """The row says that it is for a browser, the token that it is not: neither is believed."""
    token = (await made(door)).json()["access_token"]
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(TokenFamily).where(col(TokenFamily.origin) == OURS).values(origin=None))
    door.access.forget()
    assert (await me(door, token, origin=OURS)).status_code == 401
    assert (await me(door, token)).status_code == 401


async def test_another_process_takes_it_until_its_key_is_revoked_here(
    door: Guarded, database: Database, settings: Settings
) -> None:
    key_id, key = await a_key(door)
    token = (await made(door, key)).json()["access_token"]
    elsewhere = await Access.open(settings, database)
    watching = asyncio.create_task(elsewhere.watch())
    try:
        principal = await elsewhere.by_token(token)
        assert principal is not None
        assert principal.origin == OURS
        assert replace(principal, origin=None).rights == principal.rights
        await door.access.keys.revoke(SYSTEM, key_id)
        async with asyncio.timeout(60):
            while await elsewhere.by_token(token) is not None:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.02)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_making_one_is_on_record_and_not_the_token(door: Guarded, database: Database) -> None:
    answer = (await made(door, scopes=["chat:invoke"])).json()
    async with database.session("default") as session:
        found = (await session.exec(select(AuditEvent).where(col(AuditEvent.action) == "token.issued"))).all()
    assert len(found) == 1
    assert found[0].details == {"origin": OURS, "scopes": ["chat:invoke"], "expires_in_s": 300}
    assert answer["access_token"] not in found[0].model_dump_json()
