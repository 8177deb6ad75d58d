"""The frame of the administrators' pages: who sees which sections, and how they are refused."""

import httpx
import pytest

from core.principals import SYSTEM, Role, Scope
from server.access.keys import KeyRights
from server.pages.administration import SECTIONS
from server.pages.scopes import grouped
from server.routes import ROUTERS
from server.routes.admin import overview
from tests.server.conftest import ON_SQLITE, Guarded

PAGE = {"accept": "text/html"}


@pytest.fixture
def here(guarded: Guarded) -> Guarded:
    guarded.app.include_router(overview.router)
    return guarded


async def signed_in(here: Guarded, key: str | None = None, **form: str) -> httpx.Response:
    return await here.client.post("/signin", data={"key": key or here.key, **form})


@ON_SQLITE
async def test_an_administrator_is_led_to_every_section_that_there_is(here: Guarded) -> None:
    await signed_in(here)
    page = await here.client.get("/admin", headers=PAGE)
    assert page.status_code == 200
    for section in SECTIONS:
        assert (f'href="{section.path}"' in page.text) == (f"admin.{section.name}" in ROUTERS), section.name


@ON_SQLITE
async def test_who_has_no_right_reads_which_one_is_missing_and_a_program_gets_the_error_shape(here: Guarded) -> None:
    _, key = await here.access.keys.create(SYSTEM, "<b>reader</b>", KeyRights(Role.USER))
    await signed_in(here, key)
    page = await here.client.get("/admin", headers=PAGE)
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert f"lacks the scope {Scope.USERS_MANAGE.value}" in page.text
    assert "&lt;b&gt;reader" in page.text
    told = await here.client.get("/admin")
    assert (told.status_code, told.json()["error"]["code"]) == (403, "forbidden")


@ON_SQLITE
async def test_who_is_not_signed_in_signs_in_and_comes_back(here: Guarded) -> None:
    sent = await here.client.get("/admin?outcome=denied", headers=PAGE)
    assert (sent.status_code, sent.headers["location"]) == (303, "/signin?next=/admin%3Foutcome%3Ddenied")
    assert (await signed_in(here, next="/admin?outcome=denied")).headers["location"] == "/admin?outcome=denied"
    here.client.cookies.clear()
    ended = await here.client.post("/admin/users", headers=PAGE, data={"act": "make"})
    assert (ended.status_code, ended.headers["location"]) == (303, "/signin?next=/admin/users")
    assert (await here.client.post("/admin/users", data={"act": "make"})).status_code == 401


def test_every_scope_can_be_ticked_once() -> None:
    shown = [scope for _, scopes in grouped(frozenset(Scope)) for scope, _ in scopes]
    assert sorted(shown) == sorted(Scope)
    assert grouped({Scope.AUDIT_READ}) == [("Watch", [(Scope.AUDIT_READ, "read the audit log")])]


@ON_SQLITE
async def test_a_page_loads_nothing_from_elsewhere_and_is_kept_nowhere(here: Guarded) -> None:
    page = await here.client.get("/admin", headers=PAGE | here.headers)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
