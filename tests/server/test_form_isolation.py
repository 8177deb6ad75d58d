"""The forms of the administrators' pages, as the matrix of `test_isolation` has the API: each form with another tenant's
identifiers in its address and in each of its fields shows nothing of theirs and changes nothing.

The forms are read off the pages, so that a new one joins by itself.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from core.database import Database
from core.settings import Settings
from server.declared import declared_routes
from tests.server.administration import OWN_SITE
from tests.server.conftest import ON_SQLITE
from tests.server.tenants import LEADS, Tenants, two_tenants
from tests.server.test_isolation import paths, shown, told

#: Identifiers of theirs that stand in a field in turn.
SWAPPED = (*LEADS, "role", "tenant", "credential_id", "budget_id", "export_id")
#: What takes away what other forms are sent for: last.
TAKING = ("delete", "remove", "revoke", "erase", "close", "disable", "end", "rotate")
#: Pages with forms whose things are a tenant's.
PAGES = ("/admin", "/evals", "/experiments")
#: Words for people: what stands in them names nothing.
FREE = {"name", "description", "reason"}
TYPED = {"email": "a@example.test", "number": "1", "date": "2030-01-01", "password": "a long enough passphrase"}


@dataclass
class Form:
    """A form as a browser would send it: `act` is what its button says."""

    fields: dict[str, str] = field(default_factory=dict)
    acts: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """The forms of a page. Empty fields are filled in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form())
        if not self.found:
            return
        form, name, value = self.found[-1], given.get("name", ""), given.get("value", "")
        if name == "act":
            form.acts.append(value)
        elif tag in ("input", "textarea") and name:
            kind = given.get("type", "text")
            if kind not in ("checkbox", "radio") or "checked" in given:
                form.fields[name] = value or TYPED.get(kind, "thing")
        elif tag == "select":
            self._select = name
            form.fields.setdefault(name, "")
        elif tag == "option" and self._select and ("selected" in given or not form.fields[self._select]):
            form.fields[self._select] = value


@pytest.fixture
async def tenants(settings: Settings, database: Database) -> AsyncIterator[Tenants]:
    async with two_tenants(settings, database) as ready:
        yield ready


async def signed_in(tenants: Tenants, who: str) -> dict[str, str]:
    answer = await tenants.client.post("/signin", data={"key": tenants.keys[who]})
    tenants.client.cookies.clear()
    return OWN_SITE | {"cookie": f"genai_session={answer.cookies['genai_session']}"}


async def forms_of(tenants: Tenants, browser: dict[str, str], ids: dict[str, str]) -> list[tuple[str, str, dict[str, str]]]:
    """(route, act, fields) of every form of the pages of these identifiers, those that take something away last."""
    found = []
    posted = {route.path for route in declared_routes(tenants.app) if route.method == "POST"}
    for route in declared_routes(tenants.app):
        if route.method == "GET" and route.path.startswith(PAGES) and route.path in posted:
            for path in paths(route.path, ids):
                page = await tenants.client.get(path, headers=browser)
                for form in Forms(page.text).found:
                    found += [(route.path, act, form.fields) for act in form.acts or [""]]
    return sorted(found, key=lambda one: one[1].startswith(TAKING))


def swapped(act: str, fields: dict[str, str], ids: dict[str, str]) -> Iterator[dict[str, str]]:
    """The form as it stands, and with each identifier of theirs in each of its fields."""
    yield fields | {"act": act}
    theirs = dict.fromkeys(ids[name] for name in SWAPPED if name in ids)
    for name in sorted(fields.keys() - FREE):
        for each in theirs:
            yield fields | {"act": act, name: each}


async def sent(tenants: Tenants, browser: dict[str, str], path: str, fields: dict[str, str]) -> httpx.Response:
    return await tenants.client.post(path, data=fields, headers=browser)


@ON_SQLITE
async def test_no_form_shows_or_changes_what_is_another_tenants(tenants: Tenants) -> None:
    browser = await signed_in(tenants, "other tenant")
    before, stored = await tenants.rows_of_theirs(), await tenants.stored_of_theirs()
    done: set[str] = set()
    forms = await forms_of(tenants, browser, tenants.own)
    for route, act, fields in forms:
        for path in paths(route, tenants.own, tenants.ids):
            theirs = path not in set(paths(route, tenants.own))
            for body in [fields | {"act": act}] if theirs else swapped(act, fields, tenants.ids):
                answer = await sent(tenants, browser, path, body)
                where = f"{path} {body}: {answer.status_code} {answer.text[:300]}"
                assert not shown(answer), where
                assert not told(tenants, answer), where
                assert answer.status_code < 500, where
                if answer.is_success or answer.is_redirect:
                    done.add(f"{route} {act}")
        assert await tenants.rows_of_theirs() == before, (route, act)
        assert await tenants.rows_that_lead_to_theirs() == [], (route, act)
    assert await tenants.stored_of_theirs() == stored
    assert len(done) >= 8, f"the forms were not looked at: {sorted(done)} of {sorted({(one[0], one[1]) for one in forms})}"


@ON_SQLITE
async def test_a_form_without_the_right_to_it_changes_nothing(tenants: Tenants) -> None:
    """Of a colleague's, and of somebody who is not signed in; the owner's own change something."""
    owner = await signed_in(tenants, "owner")
    forms = [one for one in await forms_of(tenants, owner, tenants.ids) if one[0].startswith("/admin")]
    assert {route for route, _, _ in forms} >= {f"/admin/{name}" for name in ("users", "teams", "roles", "keys")}
    before = await tenants.rows_of_theirs()
    colleague: dict[str, Any] = await signed_in(tenants, "peer")
    changed = await tenants.rows_of_theirs()  # with the session that has begun
    for browser in (colleague, dict(OWN_SITE)):
        for route, act, fields in forms:
            for path in paths(route, tenants.ids):
                answer = await sent(tenants, browser, path, fields | {"act": act})
                assert not shown(answer), (path, act)
                assert answer.status_code in (303, 401, 403, 404), (path, act, answer.status_code)
    after = await tenants.rows_of_theirs()
    assert after == changed
    route, act, fields = next(one for one in forms if one[0] == "/admin/teams/{team_id}" and not one[1].startswith(TAKING))
    path = next(iter(paths(route, tenants.ids)))
    await sent(tenants, owner, path, dict.fromkeys(fields, "") | {"act": act})
    assert await tenants.rows_of_theirs() != before
