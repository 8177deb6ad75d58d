"""The pages of users, teams and roles."""

import re

import pytest

from core.database import Database
from core.principals import SYSTEM, Scope
from core.settings import Settings
from server.access.directory import Directory
from server.auth import COOKIE
from tests.server.administration import api, get, key_of, problem, send, sign_in, value, with_pages
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import PASSWORD, person, person_with_password

NEW = "another long passphrase"


@pytest.fixture
async def here(guarded: Guarded, settings: Settings) -> Guarded:
    ready = with_pages(guarded, settings)
    await sign_in(ready)
    return ready


async def test_a_user_is_made_changed_and_shut_out(here: Guarded) -> None:
    assert "There are no users yet" in (await get(here, "/admin/users")).text
    form = {"name": "<Ada>", "email": "ada@example.test", "kind": "person", "role": "user"}
    made = await send(here, "/admin/users", act="make", **form)
    path = made.headers["location"].partition("?")[0]
    page = await get(here, made.headers["location"])
    assert ("&lt;Ada&gt;" in page.text, "<Ada>" in page.text, "The user is made" in page.text) == (True, False, True)
    assert (await send(here, path, act="change", name="Ada", role="analyst")).status_code == 303
    user = (await api(here, "GET", f"/users/{path.rpartition('/')[2]}")).json()
    assert (user["name"], user["role"]) == ("Ada", "analyst")
    for act, disabled in (("disable", True), ("enable", False)):
        done = await send(here, path, act=act)
        assert "The user is" in (await get(here, done.headers["location"])).text
        assert ((await api(here, "GET", f"/users/{user['id']}")).json()["disabled_at"] is not None) is disabled
    assert "ada@example.test" in (await get(here, "/admin/users")).text


async def test_a_password_is_set_and_shown_nowhere(here: Guarded, database: Database) -> None:
    user = await person(database)
    path = f"/admin/users/{user.id}"
    for password, again, said in ((NEW, "different", "the same way twice"), ("short", "short", "12 to 1024")):
        refused = await send(here, path, act="password", password=password, again=again)
        assert (refused.status_code, said in problem(refused), password in refused.text) == (422, True, False)
    done = await send(here, path, act="password", password=f" {NEW} ", again=f" {NEW} ")
    assert NEW not in done.headers["location"]
    assert (await here.access.passwords.sign_in(user.email or "", f" {NEW} ", None)).user_id == user.id


async def test_ending_somebodys_sessions_signs_them_out(here: Guarded, database: Database) -> None:
    user = await person_with_password(here, database)
    cookie = await here.access.sessions.open(user_id=user.id, method="password")
    theirs = {"cookie": f"{COOKIE}={cookie}"}
    mine = here.client.cookies[COOKIE]
    here.client.cookies.clear()
    assert (await here.client.get("/api/v1/auth/me", headers=theirs)).status_code == 200
    here.client.cookies.set(COOKIE, mine)
    assert (await send(here, f"/admin/users/{user.id}", act="sessions")).status_code == 303
    here.client.cookies.clear()
    assert (await here.client.get("/api/v1/auth/me", headers=theirs)).status_code == 401
    events = (await api(here, "GET", f"/audit?action=session.ended&object={user.id}")).json()["results"]
    assert len(events) == 1
    assert (await api(here, "DELETE", f"/users/{user.id}/sessions")).status_code == 204


@ON_SQLITE
async def test_what_is_wrong_is_said_beside_what_was_typed(here: Guarded, database: Database) -> None:
    await person(database, email="ada@example.test")
    form = {"act": "make", "name": 'Ada "L"', "email": "ADA@example.test", "kind": "person", "role": "analyst"}
    taken = await send(here, "/admin/users", **form)
    assert (taken.status_code, problem(taken)) == (409, "Somebody has this e-mail address already.")
    assert (value(taken, "name"), value(taken, "email")) == ('Ada "L"', "ADA@example.test")
    assert '<option value="analyst" selected>' in taken.text
    assert re.search(r'<input id="email"[^>]*aria-invalid="true" aria-describedby="problem"', taken.text)
    empty = await send(here, "/admin/users", **form | {"name": " "})
    assert (empty.status_code, problem(empty)) == (422, "The name is empty.")


@ON_SQLITE
async def test_nobody_gives_more_than_they_have_by_a_form_either(here: Guarded, database: Database) -> None:
    boss = await person(database, role="admin")
    own = frozenset({Scope.USERS_MANAGE, Scope.CHAT_INVOKE})
    await Directory(database).set_role(SYSTEM, "desk", "", own)
    await sign_in(here, await key_of(here, "desk"))
    assert '<option value="admin"' not in (await get(here, "/admin/users")).text
    for path, form in (
        ("/admin/users", {"act": "make", "name": "x", "kind": "person", "role": "admin"}),
        (f"/admin/users/{boss.id}", {"act": "disable"}),
        (f"/admin/users/{boss.id}", {"act": "sessions"}),
        (f"/admin/users/{boss.id}", {"act": "password", "password": NEW, "again": NEW}),
        ("/admin/roles", {"act": "make", "name": "mine", "scopes": "keys:manage"}),
    ):
        refused = await send(here, path, **form)
        assert refused.status_code == 403
        assert "Nobody gives more than they have" in problem(refused), path


async def test_users_are_found_by_a_part_of_name_or_address_and_turned_over_by_pages(here: Guarded, database: Database) -> None:
    for number in range(30):
        await person(database, name=f"Person {number:02}", email=f"p{number:02}@example.test")
    first = await get(here, "/admin/users?search=person")
    [on] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = await get(here, on.replace("&amp;", "&"))
    shown = [set(re.findall(r"Person \d\d", page.text)) for page in (first, second)]
    assert [len(names) for names in shown] == [25, 5]
    assert shown[0].isdisjoint(shown[1])
    found = await get(here, "/admin/users?search=P07@EXAMPLE")
    assert set(re.findall(r"Person \d\d", found.text)) == {"Person 07"}
    assert "Nobody is called “%”" in (await get(here, "/admin/users?search=%25")).text


async def test_a_team_gets_members_by_address_and_loses_them(here: Guarded, database: Database) -> None:
    ada = await person(database, email="ada@example.test")
    made = await send(here, "/admin/teams", act="make", name="Research")
    path = made.headers["location"].partition("?")[0]
    assert problem(await send(here, "/admin/teams", act="make", name="Research")) == "There is a team of this name already."
    wrong = await send(here, path, act="add", user_id="nobody@example.test")
    assert (wrong.status_code, problem(wrong), value(wrong, "user_id")) == (
        422,
        "There is no such user.",
        "nobody@example.test",
    )
    for who in ("ADA@example.test", ada.id):
        assert (await send(here, path, act="add", user_id=who)).status_code == 303
    [team] = (await api(here, "GET", "/teams")).json()["results"]
    assert team["members"] == [ada.id]
    assert (await send(here, path, act="remove", of=ada.id)).status_code == 303
    assert (await api(here, "GET", "/teams")).json()["results"][0]["members"] == []
    gone = await send(here, path, act="delete")
    assert gone.headers["location"] == "/admin/teams?done=delete"
    assert (await get(here, path)).status_code == 404


async def test_a_role_is_made_of_boxes_changed_and_deleted(here: Guarded) -> None:
    form = {"act": "make", "name": "desk", "description": "helps", "scopes": ["chat:invoke", "rag:read"]}
    assert (await send(here, "/admin/roles", **form)).status_code == 303
    twice = await send(here, "/admin/roles", **form | {"scopes": ["keys:manage"]})
    assert (twice.status_code, problem(twice)) == (409, "There is a role of this name already.")
    assert 'value="keys:manage" checked' in twice.text
    page = await get(here, "/admin/roles/desk")
    assert re.findall(r'value="([a-z:]+)" checked', page.text) == ["chat:invoke", "rag:read"]
    await send(here, "/admin/roles/desk", act="change", scopes=["jobs:read"])
    [own] = [role for role in (await api(here, "GET", "/roles")).json()["results"] if not role["built_in"]]
    assert (own["scopes"], own["description"]) == (["jobs:read"], "")
    assert problem(await send(here, "/admin/roles/admin", act="change", scopes=["chat:invoke"])).startswith("The built-in")
    assert (await send(here, "/admin/roles/desk", act="delete")).status_code == 303
    assert (await send(here, "/admin/roles/desk", act="change", scopes=["jobs:read"])).status_code == 404
    assert "built-in" in (await get(here, "/admin/roles/user")).text


@ON_SQLITE
async def test_nobody_takes_their_own_account_away(here: Guarded, database: Database) -> None:
    user = await person_with_password(here, database, role="admin", email="boss@example.test")
    here.client.cookies.clear()
    await here.client.post("/signin", data={"email": "boss@example.test", "password": PASSWORD})
    refused = await send(here, f"/admin/users/{user.id}", act="disable")
    assert (refused.status_code, problem(refused)) == (409, "Somebody else has to do this to your account.")
