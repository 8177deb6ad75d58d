"""What the server puts on record, and how it is searched, exported and verified."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select, update

from core import audit
from core.audit.witness import FILE
from core.context import RequestContext, serving
from core.database import Database, utc_now
from core.errors import PlatformError
from core.keys import new_key
from core.policies.events import report
from core.policies.policy import Policy
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope
from core.settings import Settings
from core.tables import AuditEvent, Tenant, User
from retrievers.fetching import fetch
from server.access.keys import ADMINISTRATOR_ID, KeyRights
from server.access.tokens import TokenRefused
from server.routes import audit as audit_routes
from server.routes import policies as policy_routes
from server.routes import user_data, users
from tests.core.audit.conftest import tampered, write
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, PASSWORD, person, person_with_password

AUDIT = "/api/v1/audit"
MINE, ANOTHER = "req_0123456789abcdef01234567", "0b9a3f6e-5d1c-4e2b-9f3a-6c7d8e9f0a1b"
FOREIGNER = Principal("key_x", "acme", "x", Role.ADMIN, ROLE_SCOPES[Role.ADMIN])


@pytest.fixture
async def watched(guarded: Guarded, database: Database, settings: Settings) -> AsyncIterator[Guarded]:
    """The same server, with a recorder and the routes of the audit log."""
    guarded.app.include_router(audit_routes.router)
    url = None if database.is_sqlite else database.engine.url.render_as_string(hide_password=False)
    named = Settings.load(data_dir=Path(settings.data_dir), database_url=url)
    guarded.app.state.platform = replace(guarded.app.state.platform, settings=named)
    recorder = audit.Recorder(named)
    audit.connect(recorder)
    yield guarded
    audit.connect(None)
    await asyncio.to_thread(recorder.close)


async def _found(guarded: Guarded, action: str, events: int = 1) -> list[dict[str, Any]]:
    """The events of an action, the newest first, once there are as many."""
    deadline = time.monotonic() + 30
    while True:
        answer = await guarded.client.get(AUDIT, params={"action": action}, headers=guarded.headers)
        found: list[dict[str, Any]] = answer.json()["results"]
        if len(found) >= events:
            return found
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def _witnessed(guarded: Guarded) -> None:
    """Once the data directory knows with which event the log began."""
    deadline = time.monotonic() + 30
    while not (guarded.app.state.platform.settings.path(FILE)).exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_making_rotating_and_revoking_a_key_is_on_record(watched: Guarded) -> None:
    client, headers = watched.client, watched.headers
    body = {"name": "Maria Schmidt", "role": "user", "scopes": ["chat:invoke"]}
    made = (await client.post("/api/v1/keys", json=body, headers=headers | {"x-request-id": MINE})).json()
    new = (await client.post(f"/api/v1/keys/{made['id']}/rotate", headers=headers)).json()
    await client.delete(f"/api/v1/keys/{new['id']}", headers=headers)
    created = (await _found(watched, "key.created"))[0]
    assert (created["actor"], created["object_id"], created["outcome"]) == (ADMINISTRATOR_ID, made["id"], "success")
    assert (created["request_id"], created["address"]) == (MINE, "127.0.0.1")
    assert created["details"] == {"role": "user", "scopes": ["chat:invoke"]}
    (rotated,) = await _found(watched, "key.rotated")
    assert (rotated["object_id"], rotated["details"]["replaced_by"]) == (made["id"], new["id"])
    revoked = await _found(watched, "key.revoked", 2)  # the one that was replaced ends with it
    assert [(event["object_id"], event["actor"]) for event in revoked] == [(of["id"], ADMINISTRATOR_ID) for of in (made, new)]


@ON_SQLITE
async def test_signing_in_and_out_is_on_record(watched: Guarded) -> None:
    client = watched.client
    assert (await client.post("/signin", data={"key": watched.key})).status_code == 303
    await client.post("/signout")
    link = (await client.post("/api/v1/auth/sign-in-links", headers=watched.headers)).json()["url"]
    await client.get(link)
    await client.get(link)
    await client.post("/signin", data={"key": "wrong"})
    by_link, by_key = await _found(watched, "signin.succeeded", 2)
    assert [event["details"]["method"] for event in (by_key, by_link)] == ["key", "link"]
    assert {event["actor"] for event in (by_key, by_link)} == {ADMINISTRATOR_ID}
    assert (await _found(watched, "session.ended"))[0]["actor"] == ADMINISTRATOR_ID
    assert (await _found(watched, "signin_link.created"))[0]["object_id"] == ADMINISTRATOR_ID
    await client.post("/signin", data={"key": "another"})  # the same again
    failed = await _found(watched, "signin.failed", 2)
    assert [event["details"] for event in failed] == [{"method": "key"}, {"method": "link"}]
    assert {(event["actor"], event["outcome"], event["address"]) for event in failed} == {("anonymous", "failure", "127.0.0.1")}


async def _of_tenant(database: Database, tenant: str, action: str, events: int) -> list[AuditEvent]:
    """The events of an action in a tenant's chain, once there are as many."""
    chosen = select(AuditEvent).where(AuditEvent.tenant == tenant, AuditEvent.action == action)
    deadline = time.monotonic() + 30
    while True:
        async with database.session(all_tenants=True) as session:
            found = list((await session.exec(chosen.order_by(col(AuditEvent.number)))).all())
        if len(found) >= events:
            return found
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@ON_SQLITE
async def test_who_guesses_somebodys_password_is_on_record_in_that_persons_tenant(watched: Guarded, database: Database) -> None:
    user = await person_with_password(watched, database, tenant="acme")
    closed = await person_with_password(watched, database, email="closed@example.test", tenant="acme")
    async with database.transaction(all_tenants=True) as session:
        await session.exec(update(User).where(col(User.id) == closed.id).values(disabled_at=utc_now()))
    answers = [
        await watched.client.post("/signin", data={"email": email, "password": "a wrong password"})
        for email in (*[ADDRESS] * 7, "closed@example.test")
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2 + [401]
    failed = await _of_tenant(database, "acme", "signin.failed", 2)
    assert [(row.actor, row.object_type, row.object_id) for row in failed] == [
        ("anonymous", "user", user.id),
        ("anonymous", "user", closed.id),
    ]
    assert [(row.address, row.details["method"]) for row in failed] == [("127.0.0.1", "password")] * 2
    (locked,) = await _of_tenant(database, "acme", "signin.locked", 1)
    assert (locked.object_id, locked.outcome) == (user.id, "denied")
    await watched.client.post("/signin", data={"email": "nobody@example.test", "password": "a wrong password"})
    (unknown,) = await _of_tenant(database, "default", "signin.failed", 1)
    assert (unknown.object_id, unknown.details["method"]) == (None, "password")


@ON_SQLITE
async def test_an_export_in_a_format_that_there_is_not_is_refused(watched: Guarded) -> None:
    for form, status in (("ndjson", 200), ("csv", 422)):
        answer = await watched.client.get(f"{AUDIT}/export", params={"format": form}, headers=watched.headers)
        assert answer.status_code == status


@ON_SQLITE
async def test_a_link_of_a_key_that_was_revoked_signs_nobody_in(watched: Guarded, database: Database) -> None:
    row, _ = await watched.access.keys.create(SYSTEM, "reader", KeyRights(Role.USER))
    token = await watched.access.sessions.make_link_token(row.id)
    await watched.client.delete(f"/api/v1/keys/{row.id}", headers=watched.headers)
    opened = await watched.client.get("/signin", params={"token": token})
    assert (opened.status_code, "set-cookie" in opened.headers) == (401, False)
    unknown = await watched.client.get("/signin", params={"token": "unknown"})
    assert opened.text == unknown.text
    (failed, _) = await _of_tenant(database, "default", "signin.failed", 2)
    assert (failed.object_type, failed.object_id, failed.outcome) == ("key", row.id, "failure")
    async with database.session(all_tenants=True) as session:
        assert (await session.exec(select(AuditEvent).where(AuditEvent.action == "signin.succeeded"))).all() == []


@ON_SQLITE
async def test_a_scope_that_is_lacked_is_on_record_once_a_minute(watched: Guarded) -> None:
    row, key = await watched.access.keys.create(SYSTEM, "reader", KeyRights(Role.USER))
    for _ in range(3):
        assert (await watched.client.get("/api/v1/keys", headers={"x-api-key": key})).status_code == 403
    (denied,) = await _found(watched, "scope.denied")
    assert (denied["actor"], denied["key_id"], denied["object_id"]) == (row.id, row.id, "keys:manage")
    assert denied["outcome"] == "denied"


@ON_SQLITE
async def test_a_key_that_would_do_more_than_its_maker_is_on_record(watched: Guarded) -> None:
    rights = KeyRights(Role.ADMIN, scopes=frozenset({Scope.KEYS_MANAGE}))
    row, key = await watched.access.keys.create(SYSTEM, "maker", rights)
    refused = await watched.client.post("/api/v1/keys", json={"name": "more", "role": "user"}, headers={"x-api-key": key})
    assert refused.json()["error"]["code"] == "more_than_own"
    (denied,) = await _found(watched, "scope.denied")
    assert (denied["actor"], denied["object_id"]) == (row.id, "more_than_own")
    assert "chat:invoke" in denied["details"]["wanted"]
    another = {"name": "other", "role": "user", "scopes": ["models:read"]}
    for _ in range(2):
        await watched.client.post("/api/v1/keys", json=another, headers={"x-api-key": key})
    (second, _) = await _found(watched, "scope.denied", 2)
    assert second["details"]["wanted"] == "models:read", "told apart by what is wanted"


@ON_SQLITE
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/users/usr_boss", {"disabled": True}),
        ("DELETE", "/users/usr_boss", None),
        ("PUT", "/users/usr_boss/password", {"password": PASSWORD}),
        ("DELETE", "/users/usr_boss/sessions", None),
        ("POST", "/users", {"name": "x", "role": "admin"}),
        ("PUT", "/roles/wide", {"scopes": ["models:deploy"]}),
        ("POST", "/users/usr_boss/export", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whoever_would_change_who_can_do_more_is_on_record(
    watched: Guarded, database: Database, method: str, path: str, body: Any
) -> None:
    for module in (users, user_data):
        watched.app.include_router(module.router)
    await person(database, id="usr_boss", role=Role.ADMIN.value)
    rights = KeyRights(Role.ADMIN, scopes=frozenset({Scope.USERS_MANAGE}))
    row, key = await watched.access.keys.create(SYSTEM, "hr", rights)
    refused = await watched.client.request(method, f"/api/v1{path}", json=body, headers={"x-api-key": key})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "more_than_own")
    (denied,) = await _found(watched, "scope.denied")
    assert (denied["actor"], denied["object_id"]) == (row.id, "more_than_own")
    assert "models:deploy" in denied["details"]["wanted"]


@ON_SQLITE
async def test_a_token_that_would_make_a_key_is_on_record(watched: Guarded) -> None:
    made = await watched.client.post("/api/v1/auth/tokens", headers=watched.headers)
    bearer = {"authorization": f"Bearer {made.json()['access_token']}"}
    assert (await watched.client.post("/api/v1/keys", json={"name": "x"}, headers=bearer)).status_code == 403
    assert (await _found(watched, "scope.denied"))[0]["object_id"] == "sign_in_needed"


@ON_SQLITE
async def test_a_client_from_another_network_and_one_that_wants_more_scope_are_on_record(watched: Guarded) -> None:
    made = await watched.client.post("/api/v1/keys", json={"name": "far", "networks": ["10.9.0.0/16"]}, headers=watched.headers)
    far = made.json()
    form = {"grant_type": "client_credentials", "client_id": far["id"], "client_secret": far["key"]}
    assert (await watched.client.post("/api/v1/auth/token", data=form)).status_code == 401
    assert (await _found(watched, "network.denied"))[0]["object_id"] == far["id"]
    row, key = await watched.access.keys.create(SYSTEM, "near", KeyRights(Role.USER))
    form = {"grant_type": "client_credentials", "client_id": row.id, "client_secret": key, "scope": "audit:read"}
    assert (await watched.client.post("/api/v1/auth/token", data=form)).json()["error"] == "invalid_scope"
    (denied,) = await _found(watched, "scope.denied")
    assert (denied["actor"], denied["details"]["wanted"]) == (row.id, "audit:read")


@ON_SQLITE
async def test_a_network_and_an_origin_that_are_refused_are_on_record(watched: Guarded) -> None:
    made = await watched.client.post("/api/v1/keys", json={"name": "far", "networks": ["10.9.0.0/16"]}, headers=watched.headers)
    far = made.json()
    assert (await watched.client.get("/api/v1/auth/me", headers={"x-api-key": far["key"]})).status_code == 403
    assert (await _found(watched, "network.denied"))[0]["object_id"] == far["id"]
    await watched.client.post("/signin", data={"key": watched.key})
    foreign = await watched.client.post("/api/v1/keys", json={"name": "x"}, headers={"origin": "https://evil.example"})
    assert foreign.json()["error"]["code"] == "foreign_origin"
    (denied,) = await _found(watched, "origin.denied")
    assert (denied["actor"], denied["details"]["origin"]) == (ADMINISTRATOR_ID, "https://evil.example")


async def test_a_revoked_key_is_told_from_an_unknown_one_on_record_and_not_to_its_caller(watched: Guarded) -> None:
    revoked, key = await watched.access.keys.create(SYSTEM, "gone", KeyRights(Role.USER))
    ends = utc_now() - timedelta(seconds=1)
    expired, old = await watched.access.keys.create(SYSTEM, "old", KeyRights(Role.USER, expires_at=ends))
    await watched.access.keys.revoke(SYSTEM, revoked.id)
    answers = [await watched.client.get("/api/v1/auth/me", headers={"x-api-key": shown}) for shown in (key, old, new_key())]
    bodies = {json.dumps(answer.json()["error"] | {"request_id": ""}) for answer in answers}
    assert {answer.status_code for answer in answers} == {401}
    assert len(bodies) == 1
    found = await _found(watched, "revoked_key.used", 2)
    assert {(event["object_id"], event["details"]["reason"]) for event in found} == {
        (revoked.id, "revoked"),
        (expired.id, "expired"),
    }


@ON_SQLITE
async def test_an_address_that_may_not_be_fetched_is_on_record_by_its_host_alone(watched: Guarded, settings: Settings) -> None:
    with pytest.raises(Exception, match="may not be fetched"):
        await fetch("http://user:password@127.0.0.1:1/private?token=t0ken", settings=settings)
    (refused,) = await _found(watched, "fetch.refused")
    assert (refused["object_type"], refused["object_id"], refused["details"]) == ("host", "127.0.0.1", {})


@ON_SQLITE
async def test_no_key_is_ever_in_an_event(watched: Guarded, database: Database) -> None:
    canary = new_key()
    for headers in ({"x-api-key": canary}, {"authorization": f"Bearer {canary}"}, watched.headers | {"x-request-id": canary}):
        await watched.client.get("/api/v1/auth/me", headers=headers)
        await watched.client.post("/api/v1/keys", json={"name": canary}, headers=headers)
        await watched.client.post("/signin", data={"key": canary, "next": canary}, headers={"origin": f"https://{canary}"})
        await watched.client.delete(f"/api/v1/keys/{canary}", headers=headers)
    await _found(watched, "origin.denied")
    async with database.session(all_tenants=True) as session:
        rows = (await session.exec(select(AuditEvent))).all()
    stored = repr([row.model_dump() for row in rows])
    assert canary not in stored
    assert watched.key not in stored


async def test_another_tenant_sees_nothing_of_it(watched: Guarded, database: Database) -> None:
    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
    _, key = await watched.access.keys.create(FOREIGNER, "theirs", KeyRights(Role.ADMIN))
    theirs = {"x-api-key": key}
    seen = (await watched.client.get(AUDIT, headers=theirs)).json()["results"]
    assert [event["action"] for event in seen] == ["key.created"]
    exported = (await watched.client.get(f"{AUDIT}/export", headers=theirs)).text.splitlines()
    assert {json.loads(line)["organization.id"] for line in exported} == {"acme"}
    ours = (await watched.client.get(AUDIT, params={"actor": "key_x"}, headers=watched.headers)).json()["results"]
    assert ours == []


async def test_only_who_may_read_it_reads_it(watched: Guarded) -> None:
    _, key = await watched.access.keys.create(SYSTEM, "dev", KeyRights(Role.DEVELOPER))
    for path in (AUDIT, f"{AUDIT}/export", f"{AUDIT}/verify"):
        assert (await watched.client.get(path, headers={"x-api-key": key})).status_code == 403


async def test_a_list_is_filtered_and_paged_the_newest_first(watched: Guarded, database: Database) -> None:
    await write(database, 5, tenant="default")
    query: dict[str, Any] = {"object_type": "key", "actor": "usr_3"}
    (found,) = (await watched.client.get(AUDIT, params=query, headers=watched.headers)).json()["results"]
    assert found["object_id"] == "key_3"
    numbers: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2, "outcome": "success", **({"cursor": cursor} if cursor else {})}
        body = (await watched.client.get(AUDIT, params=params, headers=watched.headers)).json()
        numbers += [event["number"] for event in body["results"]]
        if (cursor := body["next_cursor"]) is None:
            break
    assert numbers == [6, 5, 4, 3, 2, 1]
    at = found["at"]
    since = (await watched.client.get(AUDIT, params={"from": at}, headers=watched.headers)).json()["results"]
    until = (await watched.client.get(AUDIT, params={"to": at}, headers=watched.headers)).json()["results"]
    assert (min(event["number"] for event in since), max(event["number"] for event in until)) == (5, 4)
    assert (await watched.client.get(AUDIT, params={"object": "key_2"}, headers=watched.headers)).json()["results"][0][
        "actor"
    ] == "usr_2"


async def test_events_are_found_by_their_request_and_where_it_came_from(watched: Guarded) -> None:
    for name in (MINE, ANOTHER):
        headers = watched.headers | {"x-request-id": name}
        assert (await watched.client.post("/api/v1/keys", json={"name": "x"}, headers=headers)).status_code == 201

    async def numbers(**params: str) -> list[int]:
        exported = await watched.client.get(f"{AUDIT}/export", params=params, headers=watched.headers)
        lines = [json.loads(line)["event.sequence"] for line in exported.text.splitlines()]
        answer = await watched.client.get(AUDIT, params=params, headers=watched.headers)
        found = [event["number"] for event in answer.json()["results"]]
        assert set(lines) <= set(found)
        return found

    (second,) = await numbers(request_id=ANOTHER)
    assert await numbers(request_id=MINE) == [second - 1]
    assert second in await numbers(address="127.0.0.1", action="key.created")
    assert await numbers(address="192.0.2.1") == []


@ON_SQLITE
@pytest.mark.parametrize(
    "params",
    [
        {"action": "key.eaten"},
        {"actr": "usr_3"},
        {"request_id": "\0"},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},
        {"from": "0001-01-01T00:00:00+23:59"},
        {"to": "9999-12-31T23:59:59-23:59"},
        {"cursor": "eA"},
        {"actor": "\0"},
    ],
)
async def test_a_filter_that_is_none_is_refused(watched: Guarded, params: dict[str, str]) -> None:
    assert (await watched.client.get(AUDIT, params=params, headers=watched.headers)).status_code == 422
    if "cursor" not in params:
        assert (await watched.client.get(f"{AUDIT}/export", params=params, headers=watched.headers)).status_code == 422


async def test_events_are_found_between_the_first_and_the_last_moment_there_are(watched: Guarded, database: Database) -> None:
    await write(database, 2, tenant="default")
    params = {"object": "key_1", "from": "0001-01-01T00:00:00-23:59", "to": "9999-12-31T23:59:59+23:59"}
    found = (await watched.client.get(AUDIT, params=params, headers=watched.headers)).json()["results"]
    assert [event["object_id"] for event in found] == ["key_1"]


async def test_an_export_is_lines_with_common_names_and_is_itself_on_record(watched: Guarded, database: Database) -> None:
    await write(database, 3, tenant="default")
    answer = await watched.client.get(f"{AUDIT}/export", headers=watched.headers)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["event.sequence"] for line in lines] == [1, 2, 3, 4, 5]
    assert (lines[-1]["event.action"], lines[-1]["user.id"], lines[-1]["source.ip"]) == (
        "audit.exported",
        ADMINISTRATOR_ID,
        "127.0.0.1",
    )
    assert lines[2]["genai.previous_hash"] == lines[1]["genai.hash"]


@pytest.mark.parametrize("emptied", ["their own", "all of it"])
async def test_a_tenant_finds_that_its_log_was_emptied_and_begun_anew(
    watched: Guarded, database: Database, emptied: str
) -> None:
    async def verified() -> tuple[bool, int, int | None]:
        found = (await watched.client.get(f"{AUDIT}/verify", headers=theirs)).json()
        return found["valid"], found["events"], found["broken_at"]

    async with database.transaction(all_tenants=True) as session:
        session.add(Tenant(id="acme", name="Acme"))
    _, key = await watched.access.keys.create(FOREIGNER, "theirs", KeyRights(Role.ADMIN))
    theirs = {"x-api-key": key}
    audit.note(audit.Action.SETTINGS_STARTED, outcome=audit.Outcome.SUCCESS, principal=SYSTEM)
    await _witnessed(watched)
    await write(database, 2)
    assert await verified() == (True, 3, None)
    whose = " WHERE tenant = 'acme'" if emptied == "their own" else ""
    await tampered(database, *(f"DELETE FROM {table}{whose}" for table in ("audit_events", "audit_heads")))
    assert await verified() == (False, 0, 1)
    await write(database, 2)
    assert await verified() == (False, 0, 1)
    await write(database, 2, tenant="default")
    assert await verified() == (False, 0, 1)


async def test_the_chain_is_verified_over_the_api(watched: Guarded, database: Database) -> None:
    await write(database, 3, tenant="default")
    found = (await watched.client.get(f"{AUDIT}/verify", headers=watched.headers)).json()
    assert (found["valid"], found["events"], found["broken_at"]) == (True, 4, None)


@ON_SQLITE
async def test_what_policies_refuse_is_on_record_without_what_was_refused(watched: Guarded) -> None:
    request = RequestContext(request_id="req_policy", principal=SYSTEM)
    with serving(request):
        report("pii.blocked", capability="chat", place="prompts", types=["SECRET"])
        report("pii.found", capability="chat", place="prompts", types={"PERSON": 1})
    (event,) = await _found(watched, "pii.blocked")
    assert (event["outcome"], event["request_id"]) == ("denied", "req_policy")
    assert event["details"] == {"capability": "chat", "place": "prompts", "types": ["SECRET"]}


async def test_a_refresh_token_that_comes_twice_is_on_record(watched: Guarded) -> None:
    _, key = await watched.access.keys.create(SYSTEM, "program", KeyRights())
    principal = await watched.access.by_key(key)
    assert principal is not None
    issued = await watched.access.tokens.issue(principal, None, refreshable=True)
    assert issued.refresh_token is not None
    await watched.access.tokens.refresh(issued.refresh_token, None)
    with pytest.raises(TokenRefused):
        await watched.access.tokens.refresh(issued.refresh_token, None)
    (event,) = await _found(watched, "token.reused")
    assert (event["outcome"], event["actor"], event["object_type"]) == ("denied", principal.id, "token_family")


@ON_SQLITE
async def test_too_many_attempts_to_sign_in_are_on_record(watched: Guarded) -> None:
    for _ in range(7):
        with pytest.raises(PlatformError):
            await watched.access.passwords.sign_in("nobody@example.com", "a wrong password", "127.0.0.1")
    assert (await _found(watched, "signin.locked"))[0]["outcome"] == "denied"


async def _recorded(database: Database, action: str) -> list[AuditEvent]:
    """What is on record as soon as the act is answered: in its own transaction."""
    async with database.session(all_tenants=True) as session:
        return list((await session.exec(select(AuditEvent).where(AuditEvent.action == action))).all())


@ON_SQLITE
async def test_each_change_of_policies_is_on_record_with_it(guarded: Guarded, database: Database) -> None:
    # without a recorder: what is not in the act's own transaction is lost
    guarded.app.include_router(policy_routes.router)
    guarded.policies.defaults = Policy()
    changes: list[dict[str, Any]] = [
        {"pii": {"*": "block"}},
        {"pii": {"*": "off"}},
        {"browsers": {"origins": ["https://evil.example"]}},
        {"pii": {"*": "block"}},
    ]
    for change in changes:
        changed = await guarded.client.put("/api/v1/policies", json=change, headers=guarded.headers)
        assert changed.status_code == 200, changed.text
    found = await _recorded(database, "policy.changed")
    assert [event.details["sections"] for event in found] == [["pii"], ["pii"], ["browsers"], ["pii"]]
    assert found[1].details["pii"] == ["*: off all on prompts retrieved"]
    assert found[2].details["browsers"] == ["origins: https://evil.example"]
    assert found[2].details["own"] == ["browsers", "pii"]
    assert {event.actor for event in found} == {ADMINISTRATOR_ID}


async def test_passwords_are_on_record_as_set_by_others_and_as_changed_by_oneself(guarded: Guarded, database: Database) -> None:
    user = await person_with_password(guarded, database)
    (given,) = await _recorded(database, "user.password_set")
    assert (given.object_type, given.object_id) == ("user", user.id)
    await guarded.client.post("/signin", data={"email": ADDRESS, "password": PASSWORD})
    asked = {"old_password": PASSWORD, "new_password": "quite another passphrase"}
    assert (await guarded.client.post("/api/v1/auth/password", json=asked)).status_code == 204
    (changed,) = await _recorded(database, "user.password_changed")
    assert (changed.actor, changed.object_id, changed.outcome) == (user.id, user.id, "success")


async def test_ending_another_session_of_ones_own_is_on_record(guarded: Guarded, database: Database) -> None:
    await guarded.client.post("/signin", data={"key": guarded.key})
    await guarded.client.post("/api/v1/auth/tokens", headers=guarded.headers)
    listed = (await guarded.client.get("/api/v1/auth/sessions", headers=guarded.headers)).json()["results"]
    for each in listed:
        ended = await guarded.client.delete(f"/api/v1/auth/sessions/{each['id']}", headers=guarded.headers)
        assert ended.status_code == 204
    found = await _recorded(database, "session.ended")
    assert {(event.object_type, event.object_id) for event in found} == {
        ("session" if each["kind"] == "browser" else "token_family", each["id"]) for each in listed
    }
    assert {event.actor for event in found} == {ADMINISTRATOR_ID}
    assert len(listed) == 2


async def test_tokens_are_on_record_when_they_are_issued_revoked_and_used_after_that(
    watched: Guarded, database: Database
) -> None:
    made = await watched.client.post("/api/v1/auth/tokens", json={"scopes": ["chat:invoke"]}, headers=watched.headers)
    (issued,) = await _recorded(database, "token.issued")
    assert (issued.object_type, issued.details) == ("token_family", {"method": "refreshable", "scopes": ["chat:invoke"]})
    assert (await watched.client.post("/api/v1/auth/revoke", data={"token": made.json()["access_token"]})).status_code == 200
    (revoked,) = await _recorded(database, "token.revoked")
    assert (revoked.object_id, revoked.actor) == (issued.object_id, ADMINISTRATOR_ID)
    shown = {"authorization": f"Bearer {made.json()['access_token']}"}
    assert (await watched.client.get("/api/v1/auth/me", headers=shown)).status_code == 401
    (used,) = await _found(watched, "revoked_token.used")
    assert (used["object_id"], used["details"], used["outcome"]) == (issued.object_id, {"reason": "revoked"}, "denied")


@ON_SQLITE
async def test_tokens_that_programs_fetch_are_on_record_once_and_then_counted(watched: Guarded) -> None:
    form = {"grant_type": "client_credentials", "client_id": ADMINISTRATOR_ID, "client_secret": watched.key}
    for _ in range(3):
        assert (await watched.client.post("/api/v1/auth/token", data=form)).status_code == 200
    (issued,) = await _found(watched, "token.issued")
    assert (issued["object_type"], issued["details"]["method"]) == ("key", "client_credentials")


async def test_another_signing_key_is_on_record(guarded: Guarded, database: Database) -> None:
    await guarded.client.get("/api/v1/auth/signing-keys", headers=guarded.headers)
    assert await _recorded(database, "signing_key.rotated") == []
    path = "/api/v1/auth/signing-keys/rotate"
    listed = (await guarded.client.post(path, json={"at_once": True}, headers=guarded.headers)).json()["results"]
    (rotated,) = await _recorded(database, "signing_key.rotated")
    (current,) = [each["kid"] for each in listed if each["state"] == "current"]
    assert (rotated.object_id, rotated.details, rotated.actor) == (current, {"at_once": True}, ADMINISTRATOR_ID)
