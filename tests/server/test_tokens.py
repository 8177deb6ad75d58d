"""Tokens for programs: got with a key or a refresh token, good for a while, and dead as soon as they are revoked."""

import asyncio
import base64
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlmodel import col, func, select, update

from core.database import Database, utc_now
from core.principals import SYSTEM, Role, Scope
from core.settings import Settings
from core.tables import AuditEvent, IdempotencyRecord, RefreshToken, SigningKey, TokenFamily, User
from server.access.access import Access
from server.access.keys import ADMINISTRATOR_ID, KeyRights
from server.access.tokens import TokenRefused
from server.auth import COOKIE
from server.routes import users
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, PASSWORD, person, person_with_password


async def _token(guarded: Guarded, **form: str) -> Any:
    return await guarded.client.post("/api/v1/auth/token", data=form)


async def _by_key(guarded: Guarded, **more: str) -> Any:
    form = {"grant_type": "client_credentials", "client_id": ADMINISTRATOR_ID, "client_secret": guarded.key}
    return await _token(guarded, **(form | more))


async def _refreshable(guarded: Guarded, *scopes: str) -> dict[str, Any]:
    body = {"scopes": list(scopes)} if scopes else {}
    made = await guarded.client.post("/api/v1/auth/tokens", json=body, headers=guarded.headers)
    assert made.status_code == 201
    answer: dict[str, Any] = made.json()
    return answer


async def _refresh(guarded: Guarded, token: str, **more: str) -> Any:
    return await _token(guarded, grant_type="refresh_token", refresh_token=token, **more)


async def _me(guarded: Guarded, token: str) -> Any:
    return await guarded.client.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("how", ["form", "basic"])
async def test_a_program_gets_a_token_with_its_key_and_comes_in_with_it(guarded: Guarded, how: str) -> None:
    if how == "form":
        given = await _by_key(guarded)
    else:
        pair = base64.b64encode(f"{ADMINISTRATOR_ID}:{guarded.key}".encode()).decode()
        form, headers = {"grant_type": "client_credentials"}, {"authorization": f"Basic {pair}"}
        given = await guarded.client.post("/api/v1/auth/token", data=form, headers=headers)
    body = given.json()
    assert (given.status_code, body["token_type"], body["expires_in"], body["refresh_token"]) == (200, "Bearer", 600, None)
    assert given.headers["cache-control"] == "no-store"
    me = (await _me(guarded, body["access_token"])).json()
    assert (me["id"], me["role"], me["key_id"]) == (ADMINISTRATOR_ID, "admin", ADMINISTRATOR_ID)
    assert me["scopes"] == body["scope"].split()


async def test_a_service_account_is_a_client_by_its_own_identifier(guarded: Guarded, database: Database) -> None:
    robot = await person(database, kind="service", email=None)
    _, key = await guarded.access.keys.create(SYSTEM, "robot's", KeyRights(user_id=robot.id))
    given = await _token(guarded, grant_type="client_credentials", client_id=robot.id, client_secret=key)
    assert (await _me(guarded, given.json()["access_token"])).json()["id"] == robot.id


async def test_a_token_does_no_more_than_its_scope(guarded: Guarded) -> None:
    given = (await _by_key(guarded, scope="chat:invoke models:read")).json()
    assert given["scope"] == "chat:invoke models:read"
    headers = {"authorization": f"Bearer {given['access_token']}"}
    refused = await guarded.client.get("/api/v1/keys", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


@ON_SQLITE
@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "key_another"}, 401, "invalid_client"),
        ({"client_id": ""}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"scope": "chat:everything"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "refresh_token"}, 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "gr_wrong"}, 400, "invalid_grant"),
    ],
    ids=str,
)
async def test_what_is_not_right_gets_oauths_error(guarded: Guarded, form: dict[str, str], status: int, error: str) -> None:
    refused = await _by_key(guarded, **form)
    assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert ("www-authenticate" in refused.headers) == (status == 401)
    assert set(refused.json()) == {"error", "error_description"}


@ON_SQLITE
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"grant_type": "client_credentials"}', "application/json"),
        (b"grant_type=client_credentials&grant_type=refresh_token", "application/x-www-form-urlencoded"),
        (b"%ff%fe=%01", "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
    ],
)
async def test_what_is_no_proper_form_is_an_invalid_request(guarded: Guarded, content: bytes, kind: str) -> None:
    refused = await guarded.client.post("/api/v1/auth/token", content=content, headers={"content-type": kind})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


@ON_SQLITE
@pytest.mark.parametrize("header", ["Basic !", "Basic YQ==", "Basic Og==", "Bearer x", "Basic /w=="])
async def test_a_bad_client_in_the_header_is_refused(guarded: Guarded, header: str) -> None:
    form, headers = {"grant_type": "client_credentials"}, {"authorization": header}
    refused = await guarded.client.post("/api/v1/auth/token", data=form, headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


async def test_a_key_that_is_narrow_gives_tokens_that_are(guarded: Guarded) -> None:
    rights = KeyRights(Role.USER, scopes=frozenset({Scope.CHAT_INVOKE}), models=frozenset({"small"}))
    row, key = await guarded.access.keys.create(SYSTEM, "narrow", rights)
    beyond = await _by_key(guarded, client_id=row.id, client_secret=key, scope="rag:read")
    assert (beyond.status_code, beyond.json()["error"]) == (400, "invalid_scope")
    given = (await _by_key(guarded, client_id=row.id, client_secret=key)).json()
    principal = await guarded.access.by_token(given["access_token"])
    assert principal is not None
    assert (principal.scopes, principal.models) == ({Scope.CHAT_INVOKE}, {"small"})


@ON_SQLITE
async def test_a_key_for_other_networks_gives_no_token_here(guarded: Guarded) -> None:
    row, key = await guarded.access.keys.create(SYSTEM, "there", KeyRights())
    made = {"name": "there", "networks": ["192.0.2.0/24"]}
    there = (await guarded.client.post("/api/v1/keys", json=made, headers=guarded.headers)).json()
    refused = await _by_key(guarded, client_id=there["id"], client_secret=there["key"])
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert (await _by_key(guarded, client_id=row.id, client_secret=key)).status_code == 200


@ON_SQLITE
async def test_a_refresh_token_from_another_network_is_refused_and_not_used_up(guarded: Guarded) -> None:
    made = {"name": "here", "networks": ["127.0.0.1/32"]}
    key = (await guarded.client.post("/api/v1/keys", json=made, headers=guarded.headers)).json()
    given = (await guarded.client.post("/api/v1/auth/tokens", json={}, headers={"x-api-key": key["key"]})).json()
    tokens = guarded.access.tokens
    for elsewhere in ("192.0.2.1", None):
        with pytest.raises(TokenRefused) as refused:
            await tokens.refresh(given["refresh_token"], None, address=elsewhere)
        assert refused.value.error == "invalid_grant"
    following = await _refresh(guarded, given["refresh_token"])
    assert following.status_code == 200
    with pytest.raises(TokenRefused):  # who shows a used one is a thief, wherever they are: the family ends
        await tokens.refresh(given["refresh_token"], None, address="192.0.2.1")
    assert (await _refresh(guarded, following.json()["refresh_token"])).status_code == 400


async def test_refresh_tokens_follow_each_other(guarded: Guarded) -> None:
    first = await _refreshable(guarded, "chat:invoke", "rag:read")
    second = (await _refresh(guarded, first["refresh_token"])).json()
    third = (await _refresh(guarded, second["refresh_token"], scope="rag:read")).json()
    assert len({each["refresh_token"] for each in (first, second, third)}) == 3
    assert (second["scope"], third["scope"]) == ("chat:invoke rag:read", "rag:read")
    for each in (first, second, third):
        assert (await _me(guarded, each["access_token"])).json()["scopes"] == each["scope"].split()


async def test_a_refresh_beyond_what_was_granted_is_refused_and_uses_nothing_up(guarded: Guarded) -> None:
    first = await _refreshable(guarded, "chat:invoke")
    beyond = await _refresh(guarded, first["refresh_token"], scope="chat:invoke keys:manage")
    assert (beyond.status_code, beyond.json()["error"]) == (400, "invalid_scope")
    assert (await _refresh(guarded, first["refresh_token"])).status_code == 200


async def test_a_refresh_while_its_user_is_locked_out_uses_nothing_up(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await guarded.client.post("/signin", data={"email": ADDRESS, "password": PASSWORD})
    made = (await guarded.client.post("/api/v1/auth/tokens", json={})).json()
    guarded.client.cookies.clear()

    async def disable(at: datetime | None) -> None:
        async with database.transaction(all_tenants=True) as session:
            await session.exec(update(User).where(col(User.email) == ADDRESS).values(disabled_at=at))

    await disable(utc_now())
    for _ in range(2):
        refused = await _refresh(guarded, made["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    await disable(None)
    assert (await _refresh(guarded, made["refresh_token"])).status_code == 200
    reused = select(func.count()).where(AuditEvent.action == "token.reused")
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(reused)).one() == 0
    assert (await _refresh(guarded, made["refresh_token"])).status_code == 400
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(reused)).one() == 1, "used twice it is told, as ever"


async def test_a_refresh_token_that_is_used_twice_ends_the_family_everywhere(
    guarded: Guarded, database: Database, settings: Settings
) -> None:
    elsewhere = await Access.open(settings, database)
    watching = asyncio.create_task(elsewhere.watch())
    try:
        first, apart = await _refreshable(guarded), await _refreshable(guarded)
        second = (await _refresh(guarded, first["refresh_token"])).json()
        assert await elsewhere.by_token(second["access_token"]) is not None
        stolen = await _refresh(guarded, first["refresh_token"])
        assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
        async with asyncio.timeout(60):
            while await elsewhere.by_token(second["access_token"]) is not None:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.02)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert (await _refresh(guarded, second["refresh_token"])).json()["error"] == "invalid_grant"
    assert [(await _me(guarded, each["access_token"])).status_code for each in (first, second, apart)] == [401, 401, 200]


async def test_of_two_uses_at_once_one_gets_tokens_and_the_family_ends(guarded: Guarded) -> None:
    first = await _refreshable(guarded)
    answers = await asyncio.gather(*(_refresh(guarded, first["refresh_token"]) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    winner = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await _me(guarded, winner["access_token"])).status_code == 401


async def test_a_family_ends_in_time(guarded: Guarded, database: Database) -> None:
    first = await _refreshable(guarded)
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(TokenFamily).values(expires_at=utc_now() - timedelta(seconds=1)))
    assert (await _refresh(guarded, first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await _me(guarded, first["access_token"])).status_code == 401
    await _refreshable(guarded)
    async with database.session(all_tenants=True) as session:
        counts = [(await session.exec(select(func.count()).select_from(table))).one() for table in (TokenFamily, RefreshToken)]
    assert counts == [1, 1]  # what is over is cleared away


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_either_token_revokes_the_family(guarded: Guarded, which: str) -> None:
    first = await _refreshable(guarded)
    assert (await guarded.client.post("/api/v1/auth/revoke", data={"token": first[which]})).status_code == 200
    assert (await _me(guarded, first["access_token"])).status_code == 401
    assert (await _refresh(guarded, first["refresh_token"])).status_code == 400


@ON_SQLITE
async def test_revoking_what_is_no_token_says_nothing(guarded: Guarded) -> None:
    for token in ("wrong", "ey.x.y", "gr_" + "x" * 43):
        assert (await guarded.client.post("/api/v1/auth/revoke", data={"token": token})).status_code == 200
    missing = await guarded.client.post("/api/v1/auth/revoke", data={"x": "y"})
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


async def test_a_token_ends_with_its_key(guarded: Guarded) -> None:
    row, key = await guarded.access.keys.create(SYSTEM, "short-lived", KeyRights())
    given = (await _by_key(guarded, client_id=row.id, client_secret=key)).json()
    assert (await _me(guarded, given["access_token"])).status_code == 200
    await guarded.client.delete(f"/api/v1/keys/{row.id}", headers=guarded.headers)
    assert (await _me(guarded, given["access_token"])).status_code == 401


async def test_claims_give_no_right_that_the_user_no_longer_has(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database, role="developer")
    await guarded.client.post("/signin", data={"email": ADDRESS, "password": PASSWORD})
    given = (await guarded.client.post("/api/v1/auth/tokens")).json()
    guarded.client.cookies.clear()
    assert "rag:write" in (await _me(guarded, given["access_token"])).json()["scopes"]
    await _change(guarded, database, user, role="analyst")
    assert "rag:write" not in (await _me(guarded, given["access_token"])).json()["scopes"]
    await _change(guarded, database, user, role="admin")  # nor one that was not in the token
    assert "keys:manage" not in (await _me(guarded, given["access_token"])).json()["scopes"]
    await _change(guarded, database, user, disabled_at=utc_now())
    assert (await _me(guarded, given["access_token"])).status_code == 401
    assert (await _refresh(guarded, given["refresh_token"])).json()["error"] == "invalid_grant"


async def _change(guarded: Guarded, database: Database, user: User, **fields: Any) -> None:
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).where(col(User.id) == user.id).values(fields))
    guarded.access.forget()


@pytest.mark.parametrize("path", ["/api/v1/auth/sign-in-links", "/api/v1/auth/tokens"])
async def test_a_narrow_token_cannot_be_made_into_a_wide_credential(guarded: Guarded, path: str) -> None:
    given = (await _by_key(guarded, scope="chat:invoke")).json()
    refused = await guarded.client.post(path, headers={"authorization": f"Bearer {given['access_token']}"})
    assert (refused.status_code, refused.json()["error"]["code"]) in {(403, "key_needed"), (403, "sign_in_needed")}


@ON_SQLITE
async def test_a_token_makes_no_key_that_would_outlive_its_family(guarded: Guarded) -> None:
    scopes = ["keys:manage", "chat:invoke"]
    given = (await guarded.client.post("/api/v1/auth/tokens", json={"scopes": scopes}, headers=guarded.headers)).json()
    own = await guarded.client.post("/api/v1/keys", json={"name": "x", "scopes": ["chat:invoke"]}, headers=guarded.headers)
    assert own.status_code == 201
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    for path, body in (
        ("/api/v1/keys", {"name": "y", "role": "admin", "scopes": scopes}),
        (f"/api/v1/keys/{own.json()['id']}/rotate", {}),
        (f"/api/v1/keys/{ADMINISTRATOR_ID}/rotate", {}),
    ):
        refused = await guarded.client.post(path, json=body, headers=bearer)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "sign_in_needed"), path
    assert (await guarded.client.get("/api/v1/keys", headers=bearer)).status_code == 200
    assert (await guarded.client.delete(f"/api/v1/keys/{own.json()['id']}", headers=bearer)).status_code == 204


@ON_SQLITE
async def test_a_token_gives_nobody_a_password_that_would_outlive_its_family(guarded: Guarded, database: Database) -> None:
    guarded.app.include_router(users.router)
    user = await person(database)
    given = (await guarded.client.post("/api/v1/auth/tokens", headers=guarded.headers)).json()
    bearer, password = {"authorization": f"Bearer {given['access_token']}"}, {"password": "a long enough passphrase"}
    for method, path, body in (
        ("POST", "/api/v1/users", {"name": "x", "email": "x@example.com", "role": "admin", **password}),
        ("PUT", f"/api/v1/users/{user.id}/password", password),
    ):
        refused = await guarded.client.request(method, path, json=body, headers=bearer)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "sign_in_needed"), path
        assert (await guarded.client.request(method, path, json=body, headers=guarded.headers)).is_success
    assert (await guarded.client.post("/api/v1/users", json={"name": "y"}, headers=bearer)).status_code == 201


@ON_SQLITE
async def test_tokens_of_ones_own_hold_no_scope_that_one_has_not(guarded: Guarded) -> None:
    _, key = await guarded.access.keys.create(SYSTEM, "u", KeyRights(Role.USER))
    wanted = {"scopes": ["keys:manage"]}
    refused = await guarded.client.post("/api/v1/auth/tokens", json=wanted, headers={"x-api-key": key})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown_scope")


async def test_no_token_is_stored_as_it_is_not_even_for_a_repetition(guarded: Guarded, database: Database) -> None:
    headers = guarded.headers | {"idempotency-key": "once"}
    made = [(await guarded.client.post("/api/v1/auth/tokens", headers=headers)).json() for _ in range(2)]
    form = {"grant_type": "client_credentials", "client_id": ADMINISTRATOR_ID, "client_secret": guarded.key}
    await guarded.client.post("/api/v1/auth/token", data=form, headers={"idempotency-key": "once"})
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(IdempotencyRecord))).all() == []
        stored = repr([row.model_dump() for row in (await session.exec(select(RefreshToken))).all()])
    assert made[0]["refresh_token"] != made[1]["refresh_token"]
    assert not any(each["refresh_token"] in stored for each in made)


async def test_anybody_can_check_a_token_with_the_published_keys(guarded: Guarded) -> None:
    metadata = (await guarded.client.get("/.well-known/oauth-authorization-server")).json()
    given = (await _by_key(guarded)).json()
    published = (await guarded.client.get("/.well-known/jwks.json")).json()
    assert all("d" not in key for key in published["keys"])
    token = jwt.decode(given["access_token"], KeySet.import_key_set(published), algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    claims = {name: token.claims[name] for name in ("iss", "aud", "sub", "tenant")}
    expected = {"iss": metadata["issuer"], "aud": "genai", "sub": ADMINISTRATOR_ID, "tenant": "default"}
    assert claims == expected
    assert token.claims["exp"] - token.claims["iat"] == 600


async def _rotate(guarded: Guarded, **how: bool) -> list[dict[str, Any]]:
    rotated = await guarded.client.post("/api/v1/auth/signing-keys/rotate", json=how, headers=guarded.headers)
    assert rotated.status_code == 200
    keys: list[dict[str, Any]] = rotated.json()["results"]
    return keys


async def test_a_rotation_has_the_published_next_key_sign_and_old_tokens_stay_good(guarded: Guarded) -> None:
    old = (await _by_key(guarded)).json()
    before = {key["state"]: key["kid"] for key in await _signing_keys(guarded)}
    after = {key["state"]: key["kid"] for key in await _rotate(guarded)}
    assert (after["current"], after["retired"]) == (before["next"], before["current"])
    assert (await _me(guarded, old["access_token"])).status_code == 200
    new = (await _by_key(guarded)).json()["access_token"]
    kids = {key["kid"] for key in (await guarded.client.get("/.well-known/jwks.json")).json()["keys"]}
    assert kids == set(after.values())
    assert (await _me(guarded, new)).status_code == 200


@ON_SQLITE
@pytest.mark.parametrize("longer", ["access_s", "browser_s"])
async def test_a_retired_key_verifies_as_long_as_its_longest_token_lives(
    database: Database, settings: Settings, longer: str
) -> None:
    tokens = settings.tokens.model_copy(update={"access_s": 60, "browser_s": 60, longer: 3600})
    access = await Access.open(settings.model_copy(update={"tokens": tokens}), database)
    await access.tokens.keys.current()
    await access.tokens.keys.rotate()
    [retired] = [key for key in await access.tokens.keys.list() if key.state == "retired"]
    assert retired.expires_at is not None
    assert retired.expires_at - utc_now() > timedelta(seconds=3600)


async def _signing_keys(guarded: Guarded) -> list[dict[str, Any]]:
    found = await guarded.client.get("/api/v1/auth/signing-keys", headers=guarded.headers)
    keys: list[dict[str, Any]] = found.json()["results"]
    return keys


async def test_a_key_that_leaked_verifies_nothing_any_more(guarded: Guarded, database: Database, settings: Settings) -> None:
    old = (await _by_key(guarded)).json()["access_token"]
    elsewhere = await Access.open(settings, database)
    assert await elsewhere.by_token(old) is not None
    watching = asyncio.create_task(elsewhere.watch())
    try:
        keys = await _rotate(guarded, at_once=True)
        assert (await _me(guarded, old)).status_code == 401
        async with asyncio.timeout(60):
            while await elsewhere.by_token(old) is not None:  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.02)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    published = (await guarded.client.get("/.well-known/jwks.json")).json()["keys"]
    assert {key["kid"] for key in published} == {key["kid"] for key in keys if key["state"] != "retired"}


async def test_processes_that_start_at_once_agree_on_one_key(database: Database, settings: Settings) -> None:
    several = [await Access.open(settings, database) for _ in range(4)]
    current = await asyncio.gather(*(access.tokens.keys.current() for access in several))
    assert len({kid for kid, _ in current}) == 1


async def test_another_process_takes_a_token_that_is_signed_by_a_key_it_has_not_seen(
    guarded: Guarded, database: Database, settings: Settings
) -> None:
    elsewhere = await Access.open(settings, database)
    await elsewhere.tokens.keys.current()
    for _ in range(2):
        await _rotate(guarded)
    elsewhere.tokens.keys._held.read_at = time.monotonic() - 2  # as if it had read them a while ago
    assert await elsewhere.by_token((await _by_key(guarded)).json()["access_token"]) is not None


async def test_a_key_that_has_grown_old_is_replaced_by_itself(guarded: Guarded, database: Database) -> None:
    await _by_key(guarded)
    before = {key["state"]: key["kid"] for key in await _signing_keys(guarded)}
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(SigningKey).values(activated_at=utc_now() - timedelta(days=91)))
    guarded.access.forget()
    given = (await _by_key(guarded)).json()["access_token"]
    after = {key["state"]: key["kid"] for key in await _signing_keys(guarded)}
    assert after["current"] == before["next"]
    assert (await _me(guarded, given)).status_code == 200


async def test_with_another_secret_of_the_installation_another_key_signs(
    guarded: Guarded, database: Database, settings: Settings
) -> None:
    old = (await _by_key(guarded)).json()["access_token"]
    changed = Access(settings, database, b"another secret of the installation")
    principal = replace(SYSTEM, key_id=ADMINISTRATOR_ID, id=ADMINISTRATOR_ID)
    issued = await changed.tokens.issue(principal, None, refreshable=False)
    assert await changed.by_token(issued.access_token) is not None
    assert await changed.by_token(old) is not None  # until it expires


async def test_private_keys_are_sealed_and_are_not_kept_once_retired(guarded: Guarded, database: Database) -> None:
    await _by_key(guarded)
    await _rotate(guarded)
    async with database.session(all_tenants=True) as session:
        rows = (await session.exec(select(SigningKey))).all()
    assert {row.state: row.private_key is None for row in rows} == {"current": False, "next": False, "retired": True}
    assert '"d"' not in repr(rows)


@ON_SQLITE
async def test_signing_keys_are_the_platforms_and_no_users_to_rotate(guarded: Guarded) -> None:
    _, key = await guarded.access.keys.create(SYSTEM, "d", KeyRights(Role.DEVELOPER))
    for method, path in (("GET", "/api/v1/auth/signing-keys"), ("POST", "/api/v1/auth/signing-keys/rotate")):
        assert (await guarded.client.request(method, path, headers={"x-api-key": key})).status_code == 403


async def test_everybody_sees_and_ends_their_own_sessions_alone(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    sign_in = {"email": ADDRESS, "password": PASSWORD}
    await guarded.client.post("/signin", data=sign_in)
    other = guarded.client.cookies[COOKIE]
    token = (await guarded.client.post("/api/v1/auth/tokens")).json()["access_token"]
    await guarded.client.post("/signin", data=sign_in)
    await _refreshable(guarded)  # the administrator's, which is not to be seen
    found = (await guarded.client.get("/api/v1/auth/sessions")).json()["results"]
    assert sorted((each["kind"], each["current"]) for each in found) == [
        ("browser", False),
        ("browser", True),
        ("token", False),
    ]
    by_token = await guarded.client.get("/api/v1/auth/sessions", headers={"authorization": f"Bearer {token}"})
    assert len(by_token.json()["results"]) == 3, "it may do all that its user may"
    assert [each["current"] for each in by_token.json()["results"] if each["kind"] == "token"] == [True]
    for each in found:
        if not each["current"]:
            stranger = await guarded.client.delete(f"/api/v1/auth/sessions/{each['id']}", headers=guarded.headers)
            assert (stranger.status_code, stranger.json()["error"]["code"]) == (404, "session_not_found")
            assert (await guarded.client.delete(f"/api/v1/auth/sessions/{each['id']}")).status_code == 204
    assert (await guarded.client.get("/api/v1/auth/me")).status_code == 200
    guarded.client.cookies.clear()
    for ended in ({"cookie": f"{COOKIE}={other}"}, {"authorization": f"Bearer {token}"}):
        assert (await guarded.client.get("/api/v1/auth/me", headers=ended)).status_code == 401


@pytest.mark.parametrize("by", ["key", "user"])
async def test_a_narrowed_token_sees_and_ends_itself_alone(guarded: Guarded, database: Database, by: str) -> None:
    if by == "user":
        await person_with_password(guarded, database)
        await guarded.client.post("/signin", data={"email": ADDRESS, "password": PASSWORD})
    own = {} if by == "user" else guarded.headers
    whole, narrow = [
        (await guarded.client.post("/api/v1/auth/tokens", json=body, headers=own)).json()["access_token"]
        for body in ({}, {"scopes": ["chat:invoke"]})
    ]
    everything = (await guarded.client.get("/api/v1/auth/sessions", headers=own)).json()["results"]
    guarded.client.cookies.clear()
    as_narrow = {"authorization": f"Bearer {narrow}"}
    (shown,) = (await guarded.client.get("/api/v1/auth/sessions", headers=as_narrow)).json()["results"]
    assert (shown["kind"], shown["current"]) == ("token", True)
    for each in everything:
        if each["id"] != shown["id"]:
            refused = await guarded.client.delete(f"/api/v1/auth/sessions/{each['id']}", headers=as_narrow)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "session_not_found")
    assert len(everything) == (3 if by == "user" else 2)
    assert (await _me(guarded, whole)).status_code == 200
    assert (await guarded.client.delete(f"/api/v1/auth/sessions/{shown['id']}", headers=as_narrow)).status_code == 204
    assert (await _me(guarded, narrow)).status_code == 401
