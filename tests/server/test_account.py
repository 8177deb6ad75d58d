"""The account page: password and sessions, by forms that work without a script."""

from typing import Any

from core.database import Database
from server.auth import COOKIE
from tests.server.conftest import ON_SQLITE, Guarded
from tests.server.people import ADDRESS, PASSWORD, person_with_password

NEW = "quite another passphrase"


async def _signed_in(guarded: Guarded, password: str = PASSWORD) -> Any:
    return await guarded.client.post("/signin", data={"email": ADDRESS, "password": password})


async def _change(guarded: Guarded, **form: str) -> Any:
    return await guarded.client.post("/account/password", data={"old": PASSWORD, "new": NEW, "again": NEW} | form)


async def test_the_page_changes_the_password(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database, name="<Ada>")
    await _signed_in(guarded)
    page = await guarded.client.get("/account")
    assert "&lt;Ada&gt;" in page.text
    assert 'name="old"' in page.text
    changed = await _change(guarded)
    assert (changed.status_code, "is changed" in changed.text) == (200, True)
    guarded.client.cookies.clear()
    assert (await _signed_in(guarded)).status_code == 401
    assert (await _signed_in(guarded, NEW)).status_code == 303


@ON_SQLITE
async def test_what_is_wrong_with_a_new_password_is_said_on_the_page(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await _signed_in(guarded)
    for form, status, said in (
        ({"again": "different"}, 422, "the same way twice"),
        ({"old": "wrong"}, 403, "not right"),
        ({"new": "short", "again": "short"}, 422, "12 to 1024"),
    ):
        refused = await _change(guarded, **form)
        assert (refused.status_code, said in refused.text) == (status, True), form


async def test_a_button_ends_another_browsers_session(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await _signed_in(guarded)
    other = guarded.client.cookies[COOKIE]
    await _signed_in(guarded)
    [ended] = [
        each["id"] for each in (await guarded.client.get("/api/v1/auth/sessions")).json()["results"] if not each["current"]
    ]
    assert ended in (await guarded.client.get("/account")).text
    assert (await guarded.client.post("/account/sessions", data={"id": ended})).status_code == 303
    for gone, status in ((ended, 404), ("", 404), ("fam_\x00", 422)):
        assert (await guarded.client.post("/account/sessions", data={"id": gone})).status_code == status
    guarded.client.cookies.clear()
    assert (await guarded.client.get("/api/v1/auth/me", headers={"cookie": f"{COOKIE}={other}"})).status_code == 401


@ON_SQLITE
async def test_another_sites_page_changes_nothing(guarded: Guarded, database: Database) -> None:
    await person_with_password(guarded, database)
    await _signed_in(guarded)
    foreign = {"sec-fetch-site": "cross-site"}
    form = {"old": PASSWORD, "new": NEW, "again": NEW}
    assert (await guarded.client.post("/account/password", data=form, headers=foreign)).status_code == 403
    assert (await guarded.client.post("/account/sessions", data={"id": "x"}, headers=foreign)).status_code == 403


@ON_SQLITE
async def test_who_holds_a_key_has_no_password_form(guarded: Guarded) -> None:
    page = await guarded.client.get("/account", headers=guarded.headers)
    assert (page.status_code, 'name="old"' in page.text) == (200, False)
    anonymous = await guarded.client.get("/account", headers={"accept": "text/html"})
    assert (anonymous.status_code, anonymous.headers["location"]) == (303, "/signin?next=/account")
