"""The pages of keys and of tenants."""

import html
import re
from datetime import timedelta

import httpx
import pytest

from core.database import Database, utc_now
from core.principals import SYSTEM, Scope
from core.settings import Settings
from server.access.directory import Directory
from server.access.keys import KeyRights
from server.auth import COOKIE
from tests.server.administration import api, get, key_of, problem, send, sign_in, value, with_pages
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import person


@pytest.fixture
async def here(guarded: Guarded, settings: Settings) -> Guarded:
    ready = with_pages(guarded, settings)
    await sign_in(ready)
    return ready


def secret(page: httpx.Response) -> str:
    """The key that the page shows this once."""
    [shown] = re.findall(r'<code id="secret"[^>]*>([^<]+)</code>', page.text)
    return html.unescape(shown)


async def me(here: Guarded, key: str) -> httpx.Response:
    answer: httpx.Response = await api(here, "GET", "/auth/me", key=key)
    return answer


async def test_a_limit_that_the_form_does_not_have_makes_no_key(here: Guarded) -> None:
    for field in ("days", "model", "key_id"):
        refused = await send(here, "/admin/keys", act="make", name="n", role="user", **{field: "-1"})
        assert (refused.status_code, field in problem(refused)) == (422, True)
    assert [row["name"] for row in (await api(here, "GET", "/keys")).json()["results"]] == ["administrator"]


async def test_a_key_is_made_with_all_its_limits_and_shown_once(here: Guarded, database: Database) -> None:
    ada = await person(database, role="developer", email="ada@example.test")
    day = (utc_now() + timedelta(days=2)).date()
    made = await send(
        here,
        "/admin/keys",
        act="make",
        name="<reporting>",
        role="developer",
        scopes=["chat:invoke", "models:read"],
        models="default, fast",
        collections="manuals",
        networks="127.0.0.0/8\r\n10.1.0.0/16",
        expires_at=day.isoformat(),
        user_id="ada@example.test",
    )
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = secret(made)
    assert (await me(here, key)).status_code in (200, 403)  # the test client has no address
    [row] = [row for row in (await api(here, "GET", "/keys")).json()["results"] if row["user_id"] == ada.id]
    assert (row["scopes"], row["models"], row["collections"]) == (
        ["chat:invoke", "models:read"],
        ["default", "fast"],
        ["manuals"],
    )
    assert row["networks"] == ["127.0.0.0/8", "10.1.0.0/16"]
    assert row["expires_at"].startswith(f"{day}T23:59:59")
    for path in ("/admin/keys", f"/admin/keys/{row['id']}", f"/admin/users/{ada.id}"):
        page = await get(here, path)
        assert ("&lt;reporting&gt;" in page.text, key in page.text) == (True, False), path
    assert ">Ada<" in (await get(here, "/admin/keys")).text


@ON_SQLITE
async def test_what_is_wrong_with_a_key_is_said_beside_what_was_typed(here: Guarded) -> None:
    form = {"act": "make", "name": "x", "role": "user", "models": "default", "scopes": ["chat:invoke"]}
    for wrong, status, said in (
        ({"networks": "10.1.0.0/99"}, 422, "networks: value is not"),
        ({"expires_at": "yesterday"}, 422, "2030-12-31"),
        ({"expires_at": "2001-01-01"}, 422, "expired already"),
        ({"user_id": "usr_gone"}, 422, "no such user"),
        ({"role": "nobody"}, 422, "no such role"),
        ({"name": ""}, 422, "name is empty"),
    ):
        refused = await send(here, "/admin/keys", **form | wrong)
        assert (refused.status_code, said in problem(refused)) == (status, True), wrong
        [(field, typed)] = wrong.items()
        assert field == "role" or value(refused, field) == typed
        assert (value(refused, "models"), 'value="chat:invoke" checked' in refused.text) == ("default", True)
        assert 'id="secret"' not in refused.text
    assert len((await api(here, "GET", "/keys")).json()["results"]) == 1


async def test_a_key_is_rotated_with_an_overlap_and_revoked(here: Guarded) -> None:
    row, old = await here.access.keys.create(SYSTEM, "reporting", KeyRights())
    path = f"/admin/keys/{row.id}"
    assert (await send(here, path, act="rotate", overlap_s="9999999999")).status_code == 422
    rotated = await send(here, path, act="rotate", overlap_s="3600")
    new = secret(rotated)
    assert [(await me(here, key)).status_code for key in (old, new)] == [200, 200]
    page = await get(here, path)
    assert ("being replaced" in page.text, new in page.text) == (True, False)
    again = await send(here, path, act="rotate", overlap_s="0")
    assert (again.status_code, problem(again)) == (409, "Only a key that is in use can be rotated.")
    assert (await send(here, path, act="revoke")).headers["location"] == f"{path}?done=revoke"
    assert [(await me(here, key)).status_code for key in (old, new)] == [401, 200]
    assert "revoked" in (await get(here, f"{path}?done=revoke")).text
    listed = [(await get(here, path)).text for path in ("/admin/keys", "/admin/keys?ended=true")]
    assert (row.id in listed[0], row.id in listed[1]) == (False, True)


@ON_SQLITE
async def test_a_key_whose_owner_is_disabled_is_said_to_be_refused(here: Guarded, database: Database) -> None:
    ada = await person(database)
    row, _ = await here.access.keys.create(SYSTEM, "hers", KeyRights(user_id=ada.id))
    await api(here, "PATCH", f"/users/{ada.id}", {"disabled": True})
    assert value(await get(here, f"/admin/keys?for={ada.id}"), "user_id") == ada.id
    for path in ("/admin/keys", f"/admin/keys/{row.id}"):
        assert "owner disabled" in (await get(here, path)).text
    assert (await send(here, f"/admin/keys/{row.id}", act="revoke")).status_code == 303


@ON_SQLITE
async def test_the_last_administrators_key_stays(here: Guarded) -> None:
    [row] = (await api(here, "GET", "/keys")).json()["results"]
    assert "revoking it signs you out" in (await get(here, f"/admin/keys/{row['id']}")).text
    refused = await send(here, f"/admin/keys/{row['id']}", act="revoke")
    assert refused.status_code == 409
    assert "the last key that administers everything" in problem(refused)


@ON_SQLITE
async def test_who_looks_after_keys_alone_gives_no_more_and_is_told_of_no_user(here: Guarded, database: Database) -> None:
    ada = await person(database, email="ada@example.test", name="Ada Lovelace")
    await here.access.keys.create(SYSTEM, "hers", KeyRights(user_id=ada.id))
    await Directory(database).set_role(SYSTEM, "keeper", "", frozenset({Scope.KEYS_MANAGE, Scope.CHAT_INVOKE}))
    await sign_in(here, await key_of(here, "keeper"))
    page = await get(here, "/admin/keys")
    assert ("ada@example.test" in page.text, "Ada Lovelace" in page.text, ada.id in page.text) == (False, False, True)
    assert re.findall(r'name="scopes" value="([^"]+)"', page.text) == ["chat:invoke", "keys:manage"]
    refused = await send(here, "/admin/keys", act="make", name="x", role="admin")
    assert (refused.status_code, problem(refused).startswith("A key may not do more than its maker")) == (403, True)
    unknown = await send(here, "/admin/keys", act="make", name="x", role="keeper", user_id="ada@example.test")
    assert (unknown.status_code, problem(unknown)) == (422, "There is no such user.")


@ON_SQLITE
async def test_keys_are_found_by_name_and_hint(here: Guarded) -> None:
    row, _ = await here.access.keys.create(SYSTEM, "Nightly_reports", KeyRights())
    await here.access.keys.create(SYSTEM, "other", KeyRights())
    for search in ("nightly_", row.id, row.hint):
        page = await here.client.get("/admin/keys", params={"search": search}, headers=here.headers)
        assert re.findall(r'href="/admin/keys/(key_\w+)"', page.text) == [row.id], search
    assert "No key fits" in (await get(here, "/admin/keys?search=nothing")).text


async def test_a_tenant_is_made_closed_and_opened(here: Guarded) -> None:
    form = {"act": "make", "id": "acme", "name": "Acme & Sons"}
    made = await send(here, "/admin/tenants", **form)
    assert (made.status_code, "Acme &amp; Sons" in made.text) == (201, True)
    key = secret(made)
    assert (await me(here, key)).json()["tenant"] == "acme"
    assert key not in (await get(here, "/admin/tenants")).text
    for wrong, said in (
        ({"id": "acme"}, "already"),
        ({"id": "Not One"}, "The id has small"),
        ({"id": "x", "name": ""}, "empty"),
    ):
        refused = await send(here, "/admin/tenants", **form | wrong)
        assert said in problem(refused)
        assert value(refused, "id") == wrong["id"]
    for act, status in (("close", 401), ("open", 200)):
        assert (await send(here, "/admin/tenants", act=act, of="acme")).status_code == 303
        assert (await me(here, key)).status_code == status
    assert problem(await send(here, "/admin/tenants", act="close", of="default")) == "The default tenant cannot be closed."
    assert problem(await send(here, "/admin/tenants", act="close", of="gone")) == "There is no such tenant."


async def test_the_form_begins_with_whoever_is_signed_in(here: Guarded, database: Database) -> None:
    assert value(await get(here, "/admin/keys"), "user_id") == ""
    ada = await person(database, role="admin")
    here.client.cookies.clear()
    here.client.cookies.set(COOKIE, await here.access.sessions.open(user_id=ada.id))
    page = await get(here, "/admin/keys")
    assert value(page, "user_id") == ada.id
    await send(here, "/admin/keys", act="make", name="mine", role="user", user_id=ada.id)
    await send(here, "/admin/keys", act="make", name="program", role="user", user_id="")
    owners = {row["name"]: row["user_id"] for row in (await api(here, "GET", "/keys")).json()["results"]}
    assert (owners["mine"], owners["program"]) == (ada.id, None)
