"""Every page of the administration: who is let in, whose forms are taken, and whose things they reach."""

from typing import Any

import pytest

from core.database import Database
from core.principals import SYSTEM, Role, Scope
from core.settings import Settings
from server.access.directory import Directory
from tests.server.administration import FOREIGN_SITE, PAGE, api, get, key_of, problem, send, sign_in, with_pages
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import person

NEEDED = {
    "/admin/users": Scope.USERS_MANAGE,
    "/admin/teams": Scope.USERS_MANAGE,
    "/admin/roles": Scope.USERS_MANAGE,
    "/admin/keys": Scope.KEYS_MANAGE,
    "/admin/tenants": Scope.TENANTS_MANAGE,
    "/admin/audit": Scope.AUDIT_READ,
}


@pytest.fixture
def here(guarded: Guarded, settings: Settings) -> Guarded:
    return with_pages(guarded, settings)


@ON_SQLITE
@pytest.mark.parametrize("path", sorted(NEEDED))
async def test_a_page_needs_the_right_of_its_api_and_that_alone(here: Guarded, database: Database, path: str) -> None:
    await Directory(database).set_role(SYSTEM, "only", "", frozenset({NEEDED[path]}))
    await Directory(database).set_role(SYSTEM, "others", "", frozenset(Scope) - {NEEDED[path]})
    await sign_in(here, await key_of(here, "only"))
    page = await get(here, path)
    assert (page.status_code, f'href="{path}" aria-current="page"' in page.text) == (200, True)
    await sign_in(here, await key_of(here, "others"))
    for refused in (await get(here, path), await send(here, path, act="make", name="x")):
        assert (refused.status_code, problem(refused)) == (
            403,
            f"This key may not do that: it lacks the scope {NEEDED[path].value}.",
        )
    assert f'href="{path}"' not in refused.text


@ON_SQLITE
@pytest.mark.parametrize("path", sorted(NEEDED))
async def test_another_sites_page_and_whoever_is_not_signed_in_send_no_form(here: Guarded, path: str) -> None:
    form = {"act": "make", "name": "x", "id": "x", "role": "user", "kind": "person"}
    await sign_in(here)
    before = await _everything(here)
    assert (await here.client.post(path, data=form, headers=FOREIGN_SITE)).status_code == 403
    here.client.cookies.clear()
    for answer in (await here.client.post(path, data=form, headers=PAGE), await here.client.get(path, headers=PAGE)):
        assert (answer.status_code, answer.headers["location"]) == (303, f"/signin?next={path}")
    assert await _everything(here) == before


async def test_another_tenants_things_are_not_there(here: Guarded, database: Database) -> None:
    theirs = await key_of(here, tenant="acme")
    user = (await api(here, "POST", "/users", {"name": "Zoe", "email": "zoe@acme.test"}, key=theirs)).json()["id"]
    team = (await api(here, "POST", "/teams", {"name": "Zebra"}, key=theirs)).json()["id"]
    await api(here, "PUT", "/roles/zookeeper", {"scopes": ["rag:read"]}, key=theirs)
    key = (await api(here, "POST", "/keys", {"name": "zither"}, key=theirs)).json()["id"]
    ours = (await api(here, "POST", "/teams", {"name": "Ours"})).json()["id"]
    before = await _everything(here, theirs)
    await sign_in(here)
    for path, acts in (
        (f"/admin/users/{user}", ("change", "disable", "password", "sessions")),
        (f"/admin/teams/{team}", ("add", "remove", "delete")),
        ("/admin/roles/zookeeper", ("change", "delete")),
        (f"/admin/keys/{key}", ("rotate", "revoke")),
    ):
        assert (await get(here, path)).status_code == 404, path
        for act in acts:
            more = {"name": "x", "role": "user", "user_id": user, "of": user, "scopes": "rag:read", "overlap_s": "0"}
            more |= {"password": "a long enough passphrase", "again": "a long enough passphrase"}
            answer = await send(here, path, act=act, **more)
            assert (answer.status_code, "Z" in problem(answer)) == (404, False), (path, act)
    assert problem(await send(here, f"/admin/teams/{ours}", act="add", user_id=user)) == "There is no such user."
    assert problem(await send(here, f"/admin/teams/{ours}", act="add", user_id="zoe@acme.test")) == "There is no such user."
    assert problem(await send(here, "/admin/keys", act="make", name="x", role="user", user_id=user)) == "There is no such user."
    assert await _everything(here, theirs) == before
    for path in NEEDED:
        for thing in ("Zoe", "Zebra", "zookeeper", "zither"):
            assert thing not in (await get(here, path)).text
    assert "zoe" not in (await get(here, "/admin/users?search=zoe")).text.replace('value="zoe"', "").replace("“zoe”", "")


@ON_SQLITE
async def test_only_the_operator_has_tenants(here: Guarded) -> None:
    await sign_in(here, await key_of(here, tenant="acme"))
    page = await get(here, "/admin")
    assert ("/admin/tenants" in page.text, "/admin/users" in page.text) == (False, True)
    assert (await get(here, "/admin/tenants")).status_code == 403


@ON_SQLITE
@pytest.mark.parametrize("path", [*sorted(NEEDED), "/admin/users/{user}"])
async def test_a_form_that_says_nothing_is_refused_on_the_page(here: Guarded, database: Database, path: str) -> None:
    user = await person(database)
    await sign_in(here)
    for form in ({}, {"act": "x\r\ny"}, {"act": "make", "of": ["1", "2"]}):
        answer = await send(here, path.format(user=user.id), **form)
        assert (answer.status_code, problem(answer) != "") == (422, True), form


@ON_SQLITE
async def test_a_bad_address_is_told_as_a_page(here: Guarded) -> None:
    await sign_in(here)
    for path, status in (("/admin/users?cursor=!", 422), ("/admin/audit?cursor=eA", 422), ("/admin/keys?limit=x", 422)):
        page = await get(here, path)
        assert (page.status_code, problem(page) != "") == (status, True), path
    assert (await get(here, "/admin/roles/Not%20A%20Role")).status_code == 422


async def _everything(here: Guarded, key: str | None = None) -> list[Any]:
    """What there is, as an administrator of the tenant sees it."""
    paths = ("/users", "/teams", "/roles", "/keys", *(() if key else ("/tenants",)))
    found = [(await api(here, "GET", path, key=key)).json()["results"] for path in paths]
    for row in found[3]:
        row.pop("last_used_at")
    return found


@ON_SQLITE
async def test_the_role_of_an_administrator_reaches_every_section(here: Guarded) -> None:
    await sign_in(here, await key_of(here, Role.ADMIN))
    for path in NEEDED:
        assert (await get(here, path)).status_code == 200
