"""Accounts that go over to somebody from an identity provider, or get more by a group: others keep nothing of them."""

from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from core.database import Database
from core.errors import Forbidden, Unauthenticated
from core.principals import NO_ROLE
from core.settings import OIDCProvider
from core.tables import AuditEvent, Collection, CollectionShare
from server.access.federation import admit_person
from server.auth import COOKIE
from server.routes import users
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, PASSWORD

pytestmark = ON_SQLITE

GROUPS = {"bosses": "admin", "staff": "keyed", "readers": "reader", "askers": "asker", "seekers": "seeker"}
ROLES = {
    "keyed": ["chat:invoke", "keys:manage", "models:read"],
    "reader": ["models:read"],
    "asker": ["rag:read"],
    "seeker": ["rag:search"],
}
PROVIDER = OIDCProvider(name="corp", issuer="https://id.example", client_id="c", roles=GROUPS, link_by_email=True)
CLAIMS = {"iss": "https://id.example", "sub": "ada", "email": ADDRESS, "email_verified": True}


@pytest.fixture
async def here(guarded: Guarded) -> Guarded:
    guarded.app.include_router(users.router)
    for name, scopes in ROLES.items():
        assert (await ask(guarded, "PUT", f"/roles/{name}", {"scopes": scopes})).is_success
    return guarded


async def ask(here: Guarded, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    headers = headers or {"x-api-key": here.key}
    answer = await here.client.request(method, f"/api/v1{path}", json=body, headers=headers)
    here.client.cookies.clear()
    return answer


async def made(here: Guarded, path: str, body: Any = None, **headers: str) -> Any:
    answer = await ask(here, "POST", path, body, **headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def admitted(database: Database, *groups: str) -> str:
    return await admit_person(database, PROVIDER, CLAIMS | {"groups": list(groups)})


async def role_of(here: Guarded, **headers: str) -> str | int:
    """The role that a credential has now, or the status that it is refused with."""
    me = await ask(here, "GET", "/auth/me", **headers)
    return me.json()["role"] if me.is_success else me.status_code


async def signed_in(here: Guarded, user_id: str) -> dict[str, str]:
    """A browser in which the user is signed in."""
    return {"cookie": f"{COOKIE}={await here.access.sessions.open(user_id=user_id)}", "origin": "http://test"}


async def key_by(here: Guarded, user_id: str, *, role: str = "keyed", **headers: str) -> dict[str, str]:
    """A key that acts for the user, made by the administrator or with `headers`."""
    key = await made(here, "/keys", {"name": "x", "role": role, "user_id": user_id}, **headers)
    return {"x-api-key": key["key"]}


async def password_opens(here: Guarded) -> bool:
    """Whether the password that was planted opens the account."""
    try:
        await here.access.passwords.sign_in(ADDRESS, PASSWORD, None)
    except Unauthenticated:
        return False
    return True


async def changes(database: Database, user_id: str) -> list[dict[str, Any]]:
    query = select(AuditEvent.details).where(AuditEvent.action == "user.changed", AuditEvent.object_id == user_id)
    async with database.session(all_tenants=True) as session:
        return list((await session.exec(query.order_by(col(AuditEvent.number)))).all())


async def test_an_account_that_was_planted_is_of_no_use_once_its_person_has_it(here: Guarded, database: Database) -> None:
    body = {"name": "Ada", "email": ADDRESS, "role": "keyed", "password": PASSWORD}
    planted = (await made(here, "/users", body))["id"]
    browser, key = await signed_in(here, planted), await key_by(here, planted)
    own = await key_by(here, planted, **key)  # by which the planter acts as if it were the person
    token = (await made(here, "/auth/tokens", {}, **browser))["access_token"]
    assert await password_opens(here)
    assert await admitted(database, "bosses") == planted
    here.access.forget()
    shown = (browser, key, own, {"authorization": f"Bearer {token}"})
    assert [await role_of(here, **each) for each in shown] == [401] * 4
    assert not await password_opens(here)
    assert await role_of(here, **await signed_in(here, planted)) == "admin"
    [told] = await changes(database, planted)
    assert (told["password_ended"], told["keys_ended"], told["role"]) == (True, 2, "admin")


async def test_what_others_had_ends_when_a_group_lifts_a_role_and_ones_own_keys_stay(here: Guarded, database: Database) -> None:
    ada = await admitted(database, "staff")
    browser = await signed_in(here, ada)
    own, others = await key_by(here, ada, **browser), await key_by(here, ada)
    later, by_others = await key_by(here, ada, **own), await key_by(here, ada, **others)
    await admitted(database, "bosses")
    here.access.forget()
    assert [await role_of(here, **each) for each in (browser, others, by_others)] == [401] * 3
    assert [await role_of(here, **each) for each in (own, later)] == ["keyed"] * 2
    [told] = await changes(database, ada)
    assert (told["password_ended"], told["keys_ended"], told["role_before"]) == (False, 2, "keyed")


async def test_where_there_was_a_password_no_key_is_surely_ones_own(here: Guarded, database: Database) -> None:
    ada = await admitted(database, "staff")
    await here.access.passwords.set("default", ada, PASSWORD)
    key = await key_by(here, ada, **await signed_in(here, ada))
    await admitted(database, "bosses")
    here.access.forget()
    assert (await role_of(here, **key), await password_opens(here)) == (401, False)


async def test_a_rotated_key_is_ones_own_where_its_user_alone_was_shown_it(here: Guarded, database: Database) -> None:
    ada = await admitted(database, "staff")
    browser = await signed_in(here, ada)
    one, other = [(await made(here, "/keys", {"name": "x", "role": "keyed", "user_id": ada}, **browser))["id"] for _ in "12"]
    own = {"x-api-key": (await made(here, f"/keys/{one}/rotate", **browser))["key"]}
    seen = {"x-api-key": (await made(here, f"/keys/{other}/rotate"))["key"]}
    await admitted(database, "bosses")
    here.access.forget()
    assert [await role_of(here, **each) for each in (own, seen)] == ["keyed", 401]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_lesser_role_ends_nothing_unless_more_is_shared_with_it(
    here: Guarded, database: Database, shared: bool
) -> None:
    ada = await admitted(database, "staff")
    browser = await signed_in(here, ada)
    if shared:
        async with database.transaction("default") as session:
            session.add(Collection(id="col_1", tenant="default", name="plans", owner="x", embedding_alias="e"))
            await session.flush()
            session.add(CollectionShare(collection_id="col_1", kind="role", subject="reader", access="read"))
    await admitted(database, "readers")
    here.access.forget()
    assert await role_of(here, **browser) == (401 if shared else "reader")


async def test_to_search_is_no_more_than_to_ask(here: Guarded, database: Database) -> None:
    ada = await admitted(database, "askers")
    browser = await signed_in(here, ada)
    await admitted(database, "seekers")
    here.access.forget()
    assert await role_of(here, **browser) == "seeker"


async def test_the_role_of_a_group_goes_with_the_last_group_also_for_keys_and_a_password(
    here: Guarded, database: Database
) -> None:
    ada = await admitted(database, "bosses")
    await here.access.passwords.set("default", ada, PASSWORD)
    key = await key_by(here, ada, role="admin")
    assert (await ask(here, "GET", "/users", **key)).status_code == 200
    with pytest.raises(Forbidden, match="groups"):
        await admitted(database, "guests")
    here.access.forget()
    assert (await ask(here, "GET", "/users", **key)).status_code == 403
    assert await role_of(here, **await signed_in(here, ada)) == NO_ROLE
    with pytest.raises(Forbidden, match="groups"):
        await admitted(database)
    [told] = await changes(database, ada)
    assert (told["role_before"], told["role"], told["provider"]) == ("admin", NO_ROLE, "corp")
    await admitted(database, "staff")
    assert await role_of(here, **await signed_in(here, ada)) == "keyed"


async def test_a_role_that_was_set_here_stays_where_groups_give_none(here: Guarded, database: Database) -> None:
    plain = PROVIDER.model_copy(update={"roles": {}, "default_role": "reader"})
    ada = await admit_person(database, plain, CLAIMS)
    assert (await ask(here, "PATCH", f"/users/{ada}", {"role": "keyed"})).is_success
    assert (await ask(here, "DELETE", "/roles/reader")).is_success
    with pytest.raises(Forbidden):
        await admit_person(database, plain, CLAIMS)
    assert await role_of(here, **await signed_in(here, ada)) == "keyed"
