"""What nobody gets by giving it to others: acting for a colleague, a role with which more is shared, an export of more."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from chains.conversations import Conversations
from chains.messages import Assistant
from chains.messages import User as Said
from core.database import Database, utc_now
from core.principals import DEFAULT_TENANT, ROLE_SCOPES, Principal, Role
from core.tables import AuditEvent, LedgerRow
from retrievers.collections import Collections
from server.routes import analytics, collections, sessions, usage, user_data, users
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import person
from tests.server.test_cors import OURS, allow

pytestmark = ON_SQLITE

KEYER = ["keys:manage", "browser_tokens:make", "rag:read", "chat:invoke"]
ORIGIN, TENANT = OURS, DEFAULT_TENANT
ADAS = "/rag/collections/adas"
PASSWORD = "a long enough passphrase"
DEVELOPER = sorted(ROLE_SCOPES[Role.DEVELOPER])


@dataclass
class Place:
    """The routes of access, collections, conversations and usage; `owner` is an administrator's key, `ada` hers."""

    client: httpx.AsyncClient
    database: Database
    owner: str
    ada: str = ""


async def no_generation(*_: object) -> None:
    """There is no store."""


async def no_fusions(*_: object) -> dict[str, Any]:
    """Nothing was checked."""
    return {}


@pytest.fixture
async def place(guarded: Guarded, database: Database) -> Place:
    """In it, Ada has a private collection and a conversation, as a developer; `keyer` is a role that looks after keys."""
    missing: Any = None
    indexer: Any = SimpleNamespace(generations=SimpleNamespace(open=no_generation))
    generations = SimpleNamespace(fusions=no_fusions)
    kept: Any = SimpleNamespace(collections=Collections(database, indexer, missing), generations=generations)
    conversations = Conversations(database)
    state = guarded.app.state.platform
    models: Any = SimpleNamespace(
        policies=guarded.policies,
        facts=lambda _: SimpleNamespace(context_tokens=None),
        kinds=dict,
    )
    guarded.app.state.platform = replace(state, library=kept, conversations=conversations, models=models)
    for module in (users, user_data, collections, sessions, usage, analytics):
        guarded.app.include_router(module.router)
    await allow(guarded, database, TENANT, ORIGIN)
    await person(database, id="usr_ada", role=Role.DEVELOPER.value)
    ada = Principal("usr_ada", TENANT, "Ada", Role.DEVELOPER, ROLE_SCOPES[Role.DEVELOPER])
    await kept.collections.create(ada, "adas")
    await conversations.append(ada, "diary", [Said(content="my diary"), Assistant(content="Yes")])
    place = Place(guarded.client, database, guarded.key)
    place.ada = (await good(place, "POST", "/keys", key_for("usr_ada", "developer")))["key"]
    await a_role(place, "keyer", KEYER)
    return place


def key_for(user_id: str | None, role: str, **more: Any) -> dict[str, Any]:
    return {"name": "x", "role": role, "user_id": user_id, **more}


async def ask(place: Place, method: str, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key or place.owner}", "origin": ORIGIN}
    return await place.client.request(method, f"/api/v1{path}", json=body, headers=headers)


async def good(place: Place, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
    answer = await ask(place, method, path, body, key=key)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def a_role(place: Place, name: str, scopes: list[str]) -> str:
    """A key of a new role, which stands for itself."""
    await good(place, "PUT", f"/roles/{name}", {"scopes": scopes})
    made: str = (await good(place, "POST", "/keys", key_for(None, name)))["key"]
    return made


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def sees(place: Place, key: str) -> tuple[int, int]:
    return tuple([(await ask(place, "GET", path, key=key)).status_code for path in (ADAS, "/sessions/diary")])  # type: ignore[return-value]


async def act_for_ada(place: Place, how: str, key: str) -> httpx.Response:
    """Get a credential that acts for Ada; `program`: for a key of its own that owns a collection."""
    if how == "make":
        role = (await good(place, "GET", "/auth/me", key=key))["role"]
        wanted = key_for("usr_ada", role, scopes=["rag:read", "chat:invoke"])
        return await ask(place, "POST", "/keys", wanted, key=key)
    if how == "token":
        return await ask(place, "POST", "/auth/browser-tokens", {"origin": ORIGIN, "user_id": "usr_ada"}, key=key)
    holder = "usr_ada" if how == "rotate" else None
    old = await good(place, "POST", "/keys", key_for(holder, "keyer", scopes=["rag:read", "chat:invoke"]))
    return await ask(place, "POST", f"/keys/{old['id']}/rotate", key=key)


@pytest.mark.parametrize(
    ("scopes", "ways"),
    [
        (KEYER, ("make", "rotate", "token", "program")),
        ([*DEVELOPER, "keys:manage"], ("make", "rotate", "token", "program")),
        ([*KEYER, "users:manage"], ("make", "rotate", "token")),  # a program that may do no more is theirs to look after
    ],
    ids=["keys alone", "keys with all of hers", "users with less"],
)
async def test_who_looks_after_keys_does_not_act_for_a_colleague(
    place: Place, scopes: list[str], ways: tuple[str, ...]
) -> None:
    key = await a_role(place, "desk", scopes)
    assert await sees(place, key) == (404, 404)
    for way in ways:
        assert code(await act_for_ada(place, way, key)) == (403, "more_than_own"), way


@pytest.mark.parametrize("who", ["administrator", "desk"])
async def test_who_looks_after_users_and_may_do_all_of_theirs_acts_for_them_on_record(place: Place, who: str) -> None:
    desk = await a_role(place, "desk", [*DEVELOPER, "keys:manage", "users:manage"])
    actions = {"make": "key.created", "rotate": "key.rotated", "token": "token.issued"}
    for way, action in actions.items():
        made = await act_for_ada(place, way, place.owner if who == "administrator" else desk)
        assert made.status_code == 201, made.text
        given = made.json().get("key") or made.json()["access_token"]
        assert await sees(place, given) == (200, 200)
        async with place.database.session(TENANT) as session:
            latest = (await session.exec(select(AuditEvent).order_by(col(AuditEvent.number).desc()).limit(1))).one()
        assert (latest.action, latest.details["on_behalf_of"]) == (action, "usr_ada")


async def test_ones_own_keys_are_made_and_rotated_without_looking_after_users(place: Place) -> None:
    bob = (await good(place, "POST", "/users", {"name": "Bob", "role": "keyer"}))["id"]
    key = (await good(place, "POST", "/keys", key_for(bob, "keyer")))["key"]
    second = await good(place, "POST", "/keys", {"name": "y", "role": "keyer", "scopes": ["rag:read"]}, key=key)
    assert second["user_id"] == bob
    assert (await good(place, "POST", f"/keys/{second['id']}/rotate", key=key))["user_id"] == bob
    program = await good(place, "POST", "/keys", key_for(None, "keyer"), key=key)
    assert (await good(place, "POST", f"/keys/{program['id']}/rotate", key=program["key"]))["user_id"] is None


async def share_with_analysts(place: Place) -> None:
    shares = {"shares": [{"with": "role", "id": "analyst", "access": "read"}]}
    await good(place, "PUT", f"{ADAS}/shares", shares, key=place.ada)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_role_that_is_not_ones_own_is_given_to_no_key(place: Place, shared: bool) -> None:
    """Nor before anything is shared with it: the key would wait for that."""
    if shared:
        await share_with_analysts(place)
    key = await a_role(place, "desk", KEYER)
    wanted = key_for(None, "analyst", scopes=["rag:read"])
    assert code(await ask(place, "POST", "/keys", wanted, key=key)) == (403, "more_than_own")
    own = (await good(place, "POST", "/keys", wanted | {"role": "desk"}, key=key))["key"]
    assert (await sees(place, own))[0] == 404
    given = (await good(place, "POST", "/keys", wanted))["key"]
    assert (await sees(place, given))[0] == (200 if shared else 404)


@pytest.mark.parametrize("shared", [True, False])
async def test_nobody_gives_a_user_or_a_key_a_role_with_which_more_is_shared(place: Place, shared: bool) -> None:
    desk = await a_role(place, "desk", [*ROLE_SCOPES[Role.ANALYST], "keys:manage", "users:manage"])
    puppet = (await good(place, "POST", "/users", {"name": "x", "role": "desk"}, key=desk))["id"]
    if shared:
        await share_with_analysts(place)
    for method, path, body in (
        ("POST", "/users", {"name": "y", "email": "y@example.com", "role": "analyst", "password": PASSWORD}),
        ("PATCH", f"/users/{puppet}", {"role": "analyst"}),
        ("POST", "/keys", key_for(None, "analyst")),
    ):
        answer = await ask(place, method, path, body, key=desk)
        assert answer.is_success is not shared, path
        if shared:
            assert code(answer) == (403, "more_than_own")
            assert (await ask(place, method, path, body)).is_success, "an administrator may use all of them"


async def test_of_a_role_a_key_for_collections_gets_what_its_maker_may_use(place: Place) -> None:
    """What the key does not reach is nothing that it would get."""
    desk = await a_role(place, "desk", [*ROLE_SCOPES[Role.ANALYST], "keys:manage", "users:manage"])
    await share_with_analysts(place)
    wanted = key_for(None, "analyst", collections=["manuals"])
    given = (await good(place, "POST", "/keys", wanted, key=desk))["key"]
    assert (await sees(place, given))[0] == 404
    answer = await ask(place, "POST", "/keys", wanted | {"collections": ["adas"]}, key=desk)
    assert code(answer) == (403, "more_than_own")


@pytest.mark.parametrize("more", [[], ["keys:manage"], ["rag:manage"]], ids=["users alone", "and keys", "and collections"])
async def test_collections_are_handed_over_by_who_may_have_them(place: Place, more: list[str]) -> None:
    """What a program holds is not opened by looking after users: a program has no password that could be given."""
    desk = await a_role(place, "desk", [*DEVELOPER, "users:manage", *more])
    heir = (await good(place, "POST", "/users", {"name": "heir", "role": "desk"}, key=desk))["id"]
    program = (await good(place, "POST", "/users", {"kind": "service", "name": "payroll", "role": "developer"}))["id"]
    own = (await good(place, "POST", "/keys", key_for(program, "developer")))["key"]
    await good(place, "POST", "/rag/collections", {"name": "wages"}, key=own)
    await good(place, "PUT", "/rag/collections/wages/shares", {"shares": [{"with": "user", "id": "usr_ada"}]}, key=own)
    answer = await ask(place, "DELETE", f"/users/{program}?hand_over_to={heir}", key=desk)
    if not more:
        assert code(answer) == (403, "more_than_own")
        assert (await good(place, "GET", "/rag/collections/wages", key=own))["name"] == "wages", "nothing was done"
        return
    assert answer.status_code == 202, answer.text
    async with place.database.session(TENANT) as session:
        query = select(AuditEvent).where(col(AuditEvent.action).in_(["collection.changed", "user.deleted"]))
        given, deleted = (await session.exec(query.order_by(col(AuditEvent.number)))).all()
    assert (given.details["owner"], given.details["owner_before"]) == (heir, program)
    assert deleted.details["handed_over_to"] == heir


@pytest.mark.parametrize(("role", "status"), [("keyer", 403), ("user", 403), ("developer", 202), ("admin", 202)])
async def test_a_key_of_a_lesser_role_exports_nothing_of_whom_it_acts_for(place: Place, role: str, status: int) -> None:
    key = (await good(place, "POST", "/keys", key_for("usr_ada", role)))["key"]
    asked = await ask(place, "POST", "/users/me/export", key=key)
    assert asked.status_code == status
    if status == 403:
        assert code(asked) == (403, "more_than_own")
        export = (await good(place, "POST", "/users/usr_ada/export"))["id"]
        for path in ("/users/me/exports", f"/users/me/exports/{export}"):
            assert code(await ask(place, "GET", path, key=key)) == (403, "more_than_own")


async def test_a_user_whose_role_was_deleted_is_looked_after_as_before(place: Place) -> None:
    await good(place, "PUT", "/roles/hr", {"scopes": ["rag:read"]})
    one, other = [(await good(place, "POST", "/users", {"name": name, "role": "hr"}))["id"] for name in ("one", "other")]
    await good(place, "DELETE", "/roles/hr")
    assert (await good(place, "PATCH", f"/users/{one}", {"disabled": True}))["disabled_at"]
    await good(place, "DELETE", f"/users/{one}/sessions")
    await good(place, "POST", f"/users/{one}/export")
    assert code(await ask(place, "PATCH", f"/users/{one}", {"role": "nobody"})) == (422, "unknown_role")
    assert code(await ask(place, "POST", "/users", {"name": "z", "role": "hr"})) == (422, "unknown_role")
    assert (await good(place, "PATCH", f"/users/{one}", {"role": "user", "disabled": False}))["role"] == "user"
    assert (await ask(place, "DELETE", f"/users/{other}")).status_code == 202


async def test_names_of_sessions_are_told_to_their_owners_and_who_looks_after_users(place: Place) -> None:
    told: dict[str, Any] = {name: 0 for name in LedgerRow.model_fields if name.endswith("_tokens")}
    told |= dict.fromkeys(("alias", "provider", "model", "capability", "status", "price_basis", "price_source"), "x")
    told |= {"tenant": TENANT, "at": utc_now(), "estimated": False, "latency_ms": 1.0}
    async with place.database.transaction(TENANT) as session:
        for number, (holder, name) in enumerate((("usr_ada", "hers"), ("usr_bob", "jane.roe"), ("usr_eve", "other"))):
            session.add(LedgerRow(**told, id=f"led_{number}", request_id=f"r{number}", principal=holder, session_id=name))
    for report in ("/usage", "/usage/analytics"):
        by_session = f"{report}?group_by=session_id"
        own = (await good(place, "GET", by_session, key=place.ada))["results"]
        assert {(line["session_id"], line["requests"]) for line in own} == {("hers", 1), (None, 2)}, report
        every = (await good(place, "GET", by_session))["results"]
        assert {line["session_id"] for line in every} == {"hers", "jane.roe", "other"}
    guessed = "/usage/analytics?only=session_id=jane.roe"
    found = [(await good(place, "GET", guessed, key=key))["results"] for key in (place.ada, place.owner)]
    assert [sum(line["requests"] for line in lines) for lines in found] == [0, 1]
