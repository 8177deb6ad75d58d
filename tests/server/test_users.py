"""Users, teams, roles and tenants over the API."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, select, update

from core.database import Database, utc_now
from core.principals import NO_ROLE, ROLE_SCOPES, SYSTEM, Role
from core.tables import AuditEvent, Collection, CollectionShare, CustomRole
from server.access.keys import ADMINISTRATOR_ID, KeyRights
from server.auth import COOKIE
from server.routes import tenants, users
from tests.server.conftest import ON_SQLITE, Guarded

PASSWORD = "a long enough passphrase"


@pytest.fixture
def here(guarded: Guarded) -> Guarded:
    guarded.app.include_router(users.router)
    guarded.app.include_router(tenants.router)
    return guarded


async def ask(here: Guarded, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
    return await here.client.request(method, f"/api/v1{path}", json=body, headers={"x-api-key": key or here.key})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_person_is_made_signs_in_and_is_shut_out_everywhere_at_once(here: Guarded) -> None:
    body = {"name": "Ada", "email": "Ada@Example.com", "role": "user", "password": PASSWORD}
    made = (await ask(here, "POST", "/users", body)).json()
    assert (made["email"], made["has_password"], made["role"]) == ("ada@example.com", True, "user")
    assert PASSWORD not in str(made)
    assert (await here.access.passwords.sign_in("ada@example.com", PASSWORD, "127.0.0.1")).user_id == made["id"]
    own = (await ask(here, "POST", "/keys", {"name": "x", "role": "developer", "user_id": made["id"]})).json()["key"]
    me = (await ask(here, "GET", "/auth/me", key=own)).json()
    assert (me["id"], me["scopes"]) == (made["id"], sorted(ROLE_SCOPES[Role.USER]))
    await ask(here, "PATCH", f"/users/{made['id']}", {"role": "analyst"})
    assert "chat:invoke" not in (await ask(here, "GET", "/auth/me", key=own)).json()["scopes"]
    await ask(here, "PATCH", f"/users/{made['id']}", {"disabled": True})
    assert (await ask(here, "GET", "/auth/me", key=own)).status_code == 401
    await ask(here, "PATCH", f"/users/{made['id']}", {"disabled": False})
    assert (await ask(here, "GET", "/auth/me", key=own)).status_code == 200


async def test_an_address_is_kept_in_lower_case_and_no_further(here: Guarded) -> None:
    made = await ask(here, "POST", "/users", {"name": "x", "email": "Straße@Example.com", "password": PASSWORD})
    assert made.json()["email"] == "straße@example.com"
    assert (await here.access.passwords.sign_in("Straße@Example.com", PASSWORD, None)).user_id == made.json()["id"]
    assert (await ask(here, "POST", "/users", {"name": "y", "email": "strasse@example.com"})).status_code == 201


async def test_who_is_let_in_again_signs_in_again(here: Guarded) -> None:
    made = (await ask(here, "POST", "/users", {"name": "Ada", "email": "ada@example.com", "password": PASSWORD})).json()["id"]
    cookie = await here.access.sessions.open(user_id=made, method="password")
    there = {"cookie": f"{COOKIE}={cookie}"}
    tokens = (await here.client.post("/api/v1/auth/tokens", headers=there)).json()
    ways = (there, {"authorization": f"Bearer {tokens['access_token']}"})
    assert [(await here.client.get("/api/v1/auth/me", headers=way)).status_code for way in ways] == [200, 200]
    for disabled in (True, False):
        assert (await ask(here, "PATCH", f"/users/{made}", {"disabled": disabled})).status_code == 200
        assert [(await here.client.get("/api/v1/auth/me", headers=way)).status_code for way in ways] == [401, 401]
    assert (await here.access.passwords.sign_in("ada@example.com", PASSWORD, "127.0.0.1")).user_id == made


async def test_giving_somebody_a_password_is_one_event(here: Guarded, database: Database) -> None:
    person = (await ask(here, "POST", "/users", {"name": "Ada", "email": "ada@example.com"})).json()["id"]
    assert (await ask(here, "PUT", f"/users/{person}/password", {"password": PASSWORD})).status_code == 204
    assert (await here.access.passwords.sign_in("ada@example.com", PASSWORD, "127.0.0.1")).user_id == person
    async with database.session(all_tenants=True) as session:
        query = select(AuditEvent.action, AuditEvent.actor).where(AuditEvent.object_id == person).order_by(AuditEvent.number)
        events = [event for event in (await session.exec(query)).all() if not event[0].startswith("sign_in")]
    assert events == [("user.created", ADMINISTRATOR_ID), ("user.password_set", ADMINISTRATOR_ID)]


async def test_nobody_is_there_twice(here: Guarded) -> None:
    body = {"name": "Ada", "email": "ada@example.com"}
    assert (await ask(here, "POST", "/users", body)).status_code == 201
    assert code(await ask(here, "POST", "/users", body | {"email": "ADA@example.com"})) == (409, "already_exists")


@ON_SQLITE
@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"name": "x", "role": "nobody"}, "unknown_role"),
        ({"name": "x", "role": "Not A Role"}, "invalid_request"),
        ({"name": "x", "email": "no address"}, "invalid_request"),
        ({"name": "x", "password": "short"}, "weak_password"),
        ({"name": "", "kind": "person"}, "invalid_request"),
        ({"name": "x", "kind": "robot"}, "invalid_request"),
    ],
    ids=str,
)
async def test_a_user_that_cannot_be_is_refused_and_not_half_made(here: Guarded, body: dict[str, Any], refused: str) -> None:
    assert code(await ask(here, "POST", "/users", body)) == (422, refused)
    assert (await ask(here, "GET", "/users")).json()["results"] == []


async def test_nobody_gives_changes_or_takes_more_than_they_have(here: Guarded) -> None:
    boss = (await ask(here, "POST", "/users", {"name": "Boss", "role": "admin"})).json()["id"]
    assert (await ask(here, "PUT", "/roles/desk", {"scopes": ["users:manage", "chat:invoke"]})).status_code == 200
    _, key = await here.access.keys.create(SYSTEM, "desk", KeyRights("desk"))
    assert (await ask(here, "POST", "/users", {"name": "x", "role": "desk"}, key=key)).status_code == 201
    for method, path, body in (
        ("POST", "/users", {"name": "x", "role": "developer"}),
        ("PATCH", f"/users/{boss}", {"disabled": True}),
        ("PUT", f"/users/{boss}/password", {"password": PASSWORD}),
        ("PUT", "/roles/mine", {"scopes": ["keys:manage"]}),
    ):
        assert code(await ask(here, method, path, body, key=key)) == (403, "more_than_own"), path
    assert code(await ask(here, "PUT", "/roles/admin", {"scopes": ["chat:invoke"]})) == (409, "built_in_role")


@pytest.mark.parametrize(
    "limit",
    [
        {"models": ["default"]},
        {"collections": ["manuals"]},
        {"networks": ["127.0.0.1/32"]},
        {"expires_at": "2101-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_a_limited_key_gives_nobody_what_has_no_limits(here: Guarded, limit: dict[str, Any]) -> None:
    boss = (await ask(here, "POST", "/users", {"name": "Boss", "email": "boss@example.com", "role": "admin"})).json()["id"]
    team = (await ask(here, "POST", "/teams", {"name": "Research"})).json()["id"]
    await ask(here, "PUT", "/roles/desk", {"scopes": ["chat:invoke"]})
    key = (await ask(here, "POST", "/keys", {"name": "limited", "role": "admin"} | limit)).json()["key"]
    for method, path, body in (
        ("PUT", f"/users/{boss}/password", {"password": PASSWORD}),
        ("PATCH", f"/users/{boss}", {"name": "Other"}),
        ("POST", "/users", {"name": "x", "email": "x@example.com", "password": PASSWORD}),
        ("PUT", "/roles/desk", {"scopes": ["chat:invoke", "rag:read"]}),
        ("PUT", "/roles/mine", {"scopes": ["chat:invoke"]}),
        ("DELETE", "/roles/desk", None),
        ("PUT", f"/teams/{team}/members", {"members": [boss]}),
        ("POST", "/tenants", {"id": "acme", "name": "Acme"}),
        ("POST", "/keys", {"name": "child", "role": "user"}),
    ):
        assert code(await ask(here, method, path, body, key=key)) == (403, "more_than_own"), path
    assert [user["name"] for user in (await ask(here, "GET", "/users", key=key)).json()["results"]] == ["Boss"]
    assert [tenant["id"] for tenant in (await ask(here, "GET", "/tenants")).json()["results"]] == ["default"]


@pytest.mark.parametrize(
    ("scopes", "access", "member", "status"),
    [
        (["users:manage", "rag:read"], "read", False, 403),
        (["users:manage", "rag:read"], "read", True, 200),
        (["users:manage", "rag:read"], "write", True, 403),
        (["users:manage"], "read", True, 403),
        (["users:manage", "rag:manage"], "write", False, 200),
    ],
    ids=str,
)
async def test_nobody_puts_people_where_they_would_see_more_than_oneself(
    here: Guarded, database: Database, scopes: list[str], access: str, member: bool, status: int
) -> None:
    desk = (await ask(here, "PUT", "/roles/desk", {"scopes": scopes})).json()["name"]
    one, other = [(await ask(here, "POST", "/users", {"name": name, "role": desk})).json()["id"] for name in ("One", "Other")]
    team = (await ask(here, "POST", "/teams", {"name": "Research"})).json()["id"]
    key = (await ask(here, "POST", "/keys", {"name": "x", "role": desk, "user_id": one})).json()["key"]
    path, members = f"/teams/{team}/members", [one] if member else []
    await ask(here, "PUT", path, {"members": members})
    async with database.transaction("default") as session:
        session.add(Collection(id="col_1", tenant="default", name="secret", owner="usr_owner"))
        await session.flush()
        session.add(CollectionShare(collection_id="col_1", kind="team", subject=team, access=access))
    for wanted in ({"members": [*members, other]}, {"members": [one, other]}):
        answer = await ask(here, "PUT", path, wanted, key=key)
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["error"]["code"] == "more_than_own"
            assert (await ask(here, "GET", "/teams")).json()["results"][0]["members"] == members
    assert (await ask(here, "PUT", path, {"members": []}, key=key)).status_code == 200


async def test_an_account_manages_users_with_keys_that_end(here: Guarded) -> None:
    desk = (await ask(here, "POST", "/users", {"name": "hr", "kind": "service", "role": "admin"})).json()["id"]
    body = {"name": "of this year", "role": "admin", "user_id": desk, "expires_at": "2101-01-01T00:00:00Z"}
    key = (await ask(here, "POST", "/keys", body)).json()["key"]
    assert (await ask(here, "POST", "/users", {"name": "Ada"}, key=key)).status_code == 201


async def test_who_is_signed_in_changes_their_own_password_with_the_old_one(here: Guarded) -> None:
    body = {"name": "Ada", "email": "ada@example.com", "role": "admin"}
    ada = (await ask(here, "POST", "/users", body)).json()["id"]
    key = (await ask(here, "POST", "/keys", {"name": "x", "role": "admin", "user_id": ada})).json()["key"]
    for refused in (None, "old_password_needed"):
        browser = {"cookie": f"{COOKIE}={await here.access.sessions.open(user_id=ada)}"}
        there, new = f"/api/v1/users/{ada}/password", {"password": PASSWORD}
        answer = await here.client.put(there, json=new, headers=browser)
        assert (None if answer.is_success else code(answer)) == (refused and (403, refused))
        here.client.cookies.clear()
    assert (await ask(here, "PUT", f"/users/{ada}/password", {"password": PASSWORD}, key=key)).status_code == 204


async def test_a_role_holds_a_scope_and_who_has_an_empty_one_is_for_who_may_do_everything(
    here: Guarded, database: Database
) -> None:
    assert code(await ask(here, "PUT", "/roles/hollow", {"scopes": []})) == (422, "invalid_request")
    await ask(here, "PUT", "/roles/hollow", {"scopes": ["chat:invoke"]})
    await ask(here, "PUT", "/roles/desk", {"scopes": ["users:manage", "chat:invoke"]})
    ada = (await ask(here, "POST", "/users", {"name": "Ada", "role": "hollow"})).json()["id"]
    _, key = await here.access.keys.create(SYSTEM, "desk", KeyRights("desk"))
    async with database.transaction("default") as session:  # as versions before could store it
        await session.exec(update(CustomRole).where(col(CustomRole.name) == "hollow").values(scopes=[]))
    given = ("PUT", f"/users/{ada}/password", {"password": PASSWORD})
    assert code(await ask(here, *given, key=key)) == (403, "more_than_own")
    assert (await ask(here, *given)).status_code == 204


async def test_a_service_account_has_no_password(here: Guarded) -> None:
    made = (await ask(here, "POST", "/users", {"name": "robot", "kind": "service"})).json()["id"]
    assert code(await ask(here, "PUT", f"/users/{made}/password", {"password": PASSWORD})) == (409, "not_a_person")
    body = {"kind": "service", "name": "bot", "email": "bot@example.com"}
    assert code(await ask(here, "POST", "/users", body | {"password": PASSWORD})) == (409, "not_a_person")
    assert (await ask(here, "POST", "/users", body)).status_code == 201, "what was refused has left nobody"


async def test_a_team_is_what_its_members_bring_with_them(here: Guarded) -> None:
    ada = (await ask(here, "POST", "/users", {"name": "Ada"})).json()["id"]
    team = (await ask(here, "POST", "/teams", {"name": "Research"})).json()["id"]
    assert code(await ask(here, "POST", "/teams", {"name": "Research"})) == (409, "already_exists")
    assert code(await ask(here, "PUT", f"/teams/{team}/members", {"members": ["usr_gone"]})) == (404, "user_not_found")
    assert (await ask(here, "PUT", f"/teams/{team}/members", {"members": [ada, ada]})).json() == {"members": [ada]}
    key = (await ask(here, "POST", "/keys", {"name": "x", "user_id": ada})).json()["key"]
    assert (await ask(here, "GET", "/auth/me", key=key)).json()["teams"] == [team]
    assert (await ask(here, "GET", "/teams")).json()["results"] == [{"id": team, "name": "Research", "members": [ada]}]
    assert (await ask(here, "DELETE", f"/teams/{team}")).status_code == 204
    assert (await ask(here, "GET", "/auth/me", key=key)).json()["teams"] == []


async def test_a_role_of_ones_own_changes_for_who_has_it(here: Guarded) -> None:
    await ask(here, "PUT", "/roles/reader", {"scopes": ["rag:read"], "description": "reads"})
    key = (await ask(here, "POST", "/keys", {"name": "x", "role": "reader"})).json()["key"]
    assert (await ask(here, "GET", "/auth/me", key=key)).json()["scopes"] == ["rag:read"]
    await ask(here, "PUT", "/roles/reader", {"scopes": ["rag:read", "jobs:read"]})
    assert (await ask(here, "GET", "/auth/me", key=key)).json()["scopes"] == ["jobs:read", "rag:read"]
    names = [role["name"] for role in (await ask(here, "GET", "/roles")).json()["results"]]
    assert names == ["admin", "developer", "analyst", "user", "reader"]
    assert (await ask(here, "DELETE", "/roles/reader")).status_code == 204
    assert (await ask(here, "GET", "/auth/me", key=key)).json()["scopes"] == []


async def test_a_tenant_comes_with_a_key_that_administers_it_and_nothing_else(here: Guarded) -> None:
    made = (await ask(here, "POST", "/tenants", {"id": "acme", "name": "Acme"})).json()
    key = made["key"]
    assert code(await ask(here, "POST", "/tenants", {"id": "acme", "name": "Acme"})) == (409, "already_exists")
    me = (await ask(here, "GET", "/auth/me", key=key)).json()
    assert (me["tenant"], "tenants:manage" in me["scopes"], "users:manage" in me["scopes"]) == ("acme", False, True)
    assert (await ask(here, "GET", "/tenants", key=key)).status_code == 403
    theirs = (await ask(here, "POST", "/users", {"name": "Ada"}, key=key)).json()["id"]
    assert code(await ask(here, "GET", f"/users/{theirs}")) == (404, "user_not_found")
    assert (await ask(here, "GET", "/users")).json()["results"] == []
    assert [row["id"] for row in (await ask(here, "GET", "/tenants")).json()["results"]] == ["acme", "default"]
    await ask(here, "PATCH", "/tenants/acme", {"disabled": True})
    assert (await ask(here, "GET", "/auth/me", key=key)).status_code == 401
    await ask(here, "PATCH", "/tenants/acme", {"disabled": False})
    assert (await ask(here, "GET", "/auth/me", key=key)).status_code == 200
    assert code(await ask(here, "PATCH", "/tenants/default", {"disabled": True})) == (409, "own_tenant")
    assert code(await ask(here, "PATCH", "/tenants/gone", {"disabled": True})) == (404, "tenant_not_found")


@pytest.mark.parametrize("deleted", ["now", "before roles were taken"])
async def test_a_role_that_is_made_again_is_nobodys_who_had_one_of_its_name(
    here: Guarded, database: Database, deleted: str
) -> None:
    await ask(here, "PUT", "/roles/helper", {"scopes": ["models:read"]})
    user = (await ask(here, "POST", "/users", {"name": "Ada", "role": "helper"})).json()["id"]
    alone, hers = [
        (await ask(here, "POST", "/keys", {"name": "x", "role": "helper", "user_id": each})).json()["key"]
        for each in (None, user)
    ]
    if deleted == "now":
        await ask(here, "DELETE", "/roles/helper")
        assert (await ask(here, "GET", f"/users/{user}")).json()["role"] == NO_ROLE
    else:
        async with database.transaction(all_tenants=True) as session:
            await session.delete(await session.get_one(CustomRole, ("default", "helper")))
        here.access.forget()
    await ask(here, "PUT", "/roles/helper", {"scopes": ["models:read", "keys:manage"]})
    found = [(await ask(here, "GET", "/auth/me", key=key)).json() for key in (alone, hers)]
    assert [(me["role"], me["scopes"]) for me in found] == [(NO_ROLE, [])] * 2
    assert (await ask(here, "PATCH", f"/users/{user}", {"role": "helper"})).json()["role"] == "helper"
    assert (await ask(here, "GET", "/auth/me", key=hers)).json()["scopes"] == []


async def test_who_lost_a_role_is_changed_by_who_may_do_everything_alone(here: Guarded) -> None:
    for name, scopes in (("boss", ["users:manage", "keys:manage", "audit:read"]), ("desk", ["users:manage", "keys:manage"])):
        await ask(here, "PUT", f"/roles/{name}", {"scopes": scopes})
    user = (await ask(here, "POST", "/users", {"name": "V", "email": "v@example.com", "role": "boss"})).json()["id"]
    desk = (await ask(here, "POST", "/keys", {"name": "m", "role": "desk", "user_id": None})).json()["key"]
    await ask(here, "DELETE", "/roles/boss")
    tries: list[tuple[str, str, Any]] = [
        ("PUT", f"/users/{user}/password", {"password": PASSWORD}),
        ("PATCH", f"/users/{user}", {"role": "desk"}),
        ("POST", "/keys", {"name": "x", "role": "desk", "user_id": user}),
    ]
    assert [code(await ask(here, *each, key=desk)) for each in tries] == [(403, "more_than_own")] * 3
    assert (await ask(here, *tries[1])).json()["role"] == "desk"


@pytest.mark.parametrize("how", ["token", "narrow token", "custom role", "key that ends"])
async def test_a_tenant_is_not_half_made_by_who_may_not_have_its_key(here: Guarded, how: str) -> None:
    """A token makes no key, here neither; and what is refused leaves the identifier free and nothing on record."""
    if how == "custom role":
        await ask(here, "PUT", "/roles/opener", {"scopes": ["tenants:manage"]})
        made = await ask(here, "POST", "/keys", {"name": "x", "role": "opener", "user_id": None})
        shown = made.json()["key"]
    elif how == "key that ends":
        account = (await ask(here, "POST", "/users", {"kind": "service", "name": "bot", "role": "admin"})).json()["id"]
        ends = (utc_now() + timedelta(days=1)).isoformat()
        wanted = {"name": "x", "role": "admin", "user_id": account, "expires_at": ends}
        shown = (await ask(here, "POST", "/keys", wanted)).json()["key"]
    else:
        scopes = ["tenants:manage"] if how == "narrow token" else None
        shown = (await ask(here, "POST", "/auth/tokens", {"scopes": scopes})).json()["access_token"]
    headers = {"authorization": f"Bearer {shown}"}
    answer = await here.client.post("/api/v1/tenants", json={"id": "acme", "name": "Acme"}, headers=headers)
    assert code(answer) == (403, "sign_in_needed" if "token" in how else "more_than_own")
    assert "acme" not in (await ask(here, "GET", "/tenants")).text
    assert (await ask(here, "POST", "/tenants", {"id": "acme", "name": "Acme"})).status_code == 201


async def test_who_is_given_and_taken_what_is_on_record(here: Guarded, database: Database) -> None:
    people = [(await ask(here, "POST", "/users", {"name": f"Person {n}"})).json()["id"] for n in range(32)]
    team = (await ask(here, "POST", "/teams", {"name": "Research"})).json()["id"]
    await ask(here, "PUT", f"/teams/{team}/members", {"members": people})
    await ask(here, "PUT", f"/teams/{team}/members", {"members": people[:-1]})
    await ask(here, "PUT", "/roles/reader", {"scopes": ["rag:read", "jobs:read"]})
    await ask(here, "PUT", "/roles/reader", {"scopes": ["rag:read", "rag:write"]})
    await ask(here, "DELETE", "/roles/reader")
    async with database.session(all_tenants=True) as session:
        query = select(AuditEvent.details).order_by(AuditEvent.number)
        teams = (await session.exec(query.where(AuditEvent.object_id == team))).all()
        roles = (await session.exec(query.where(AuditEvent.object_id == "reader"))).all()
    made, some, rest, less = teams
    assert made == {"members": 0}
    assert (some["given"] + rest["given"], some["members"]) == (sorted(people), 32)
    assert less == {"members": 31, "taken": [people[-1]]}
    assert roles == [
        {"given": ["jobs:read", "rag:read"]},
        {"given": ["rag:write"], "taken": ["jobs:read"]},
        {"deleted": True, "shares_ended": 0, "holders": 0, "taken": ["rag:read", "rag:write"]},
    ]


async def test_a_key_says_whether_its_role_is_still_its_users(here: Guarded) -> None:
    ada = (await ask(here, "POST", "/users", {"name": "Ada", "role": "analyst"})).json()["id"]
    key = (await ask(here, "POST", "/keys", {"name": "x", "role": "analyst", "user_id": ada})).json()["key"]
    assert (await ask(here, "GET", "/auth/me", key=key)).json()["role_held"] is True
    await ask(here, "PATCH", f"/users/{ada}", {"role": "user"})
    me = (await ask(here, "GET", "/auth/me", key=key)).json()
    assert (me["role"], me["role_held"]) == ("analyst", False)
