"""The page of the audit log."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from core.database import Database, utc_now
from core.settings import Settings
from tests.server.administration import api, get, key_of, problem, send, sign_in, value, with_pages
from tests.server.conftest import ON_SQLITE, Guarded


@pytest.fixture
async def here(guarded: Guarded, settings: Settings) -> Guarded:
    ready = with_pages(guarded, settings)
    await sign_in(ready)
    return ready


def actions(page: str) -> list[str]:
    """What is listed, from top to bottom."""
    return re.findall(r"<b><code>([a-z_.]+)</code></b>", page)


async def test_events_are_found_by_who_what_on_which_how_and_when(here: Guarded) -> None:
    user = (await api(here, "POST", "/users", {"name": "Ada <L>", "email": "ada@example.test"})).json()["id"]
    await api(here, "PATCH", f"/users/{user}", {"disabled": True})
    await api(here, "POST", "/teams", {"name": "Research"})
    hour = timedelta(hours=1)
    before, after = ((utc_now() + shift).strftime("%Y-%m-%dT%H:%M") for shift in (-hour, hour))
    for query, found in (
        (f"?object={user}", ["user.changed", "user.created"]),
        ("?action=team.changed&outcome=success", ["team.changed"]),
        ("?action=team.changed&outcome=denied", []),
        ("?object_type=user&actor=key_administrator", ["user.changed", "user.created"]),
        ("?actor=ada@example.test", []),
        (f"?object={user}&from={before}&to={after}", ["user.changed", "user.created"]),
        (f"?object={user}&to={before}", []),
        (f"?object={user}&from={after}", []),
        ("?actor=&action=&outcome=&object_type=team&object=&from=&to=", ["team.changed"]),
    ):
        page = await get(here, f"/admin/audit{query}")
        assert (page.status_code, actions(page.text)) == (200, found), query
        assert found or "No event fits" in page.text
    shown = (await get(here, f"/admin/audit?object={user}")).text
    assert f'<a href="/admin/users/{user}">Ada &lt;L&gt;</a>' in shown
    assert "disabled" in shown


MINE = "req_0123456789abcdef01234567"


async def test_the_list_tells_from_where_under_which_request_and_what_else(here: Guarded) -> None:
    await here.client.post("/api/v1/keys", json={"name": "x", "role": "user"}, headers=here.headers | {"x-request-id": MINE})
    page = (await get(here, "/admin/audit?action=key.created")).text
    [listed] = [line for line in re.findall(r"<summary.*?</summary>", page, re.DOTALL) if MINE in line]
    assert "from 127.0.0.1" in listed
    assert "role: user" in listed


async def test_what_is_found_is_exported(here: Guarded) -> None:
    await api(here, "POST", "/teams", {"name": "Research"})
    page = await get(here, "/admin/audit?action=team.changed&from=2020-01-01T00:00")
    [link] = re.findall(r'href="(/api/v1/audit/export[^"]*)"', page.text)
    exported = await get(here, link.replace("&amp;", "&"))
    assert (exported.status_code, len(exported.text.splitlines())) == (200, 1)
    assert "team.changed" in exported.text


@ON_SQLITE
async def test_a_search_that_cannot_be_keeps_what_was_typed(here: Guarded) -> None:
    for query, field, typed in (
        ("from=soon&object=key_1", "object", "key_1"),
        ("from=0001-01-01T00:00:00%2B23:59&object=key_1", "object", "key_1"),
        ("action=nothing&object=key_1", "object", "key_1"),
        (f"object={'x' * 300}", "object", "x" * 300),
        ("actor=nobody@example.test", "actor", "nobody@example.test"),
    ):
        page = await get(here, f"/admin/audit?{query}")
        assert (page.status_code, problem(page) != "", actions(page.text)) == (422, True, []), query
        assert value(page, field) == typed


async def test_a_long_log_is_turned_over_by_pages(here: Guarded) -> None:
    for number in range(52):
        await api(here, "PUT", f"/roles/role-{number}", {"scopes": ["rag:read"]})
    first = await get(here, "/admin/audit?action=role.changed")
    assert len(actions(first.text)) == 50
    [on] = re.findall(r'rel="next" href="([^"]+)"', first.text)
    assert actions((await get(here, on.replace("&amp;", "&"))).text) == ["role.changed"] * 2


async def test_the_log_is_verified_and_a_broken_one_is_said_to_be(here: Guarded, database: Database) -> None:
    whole = await send(here, "/admin/audit", act="verify")
    assert (whole.status_code, "The log is whole" in whole.text) == (200, True)
    async with database.transaction(all_tenants=True) as session:
        connection = await session.connection()
        if database.is_sqlite:
            for [trigger] in (await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))).all():
                await connection.execute(text(f"DROP TRIGGER {trigger}"))
        else:
            await connection.execute(text("ALTER TABLE audit_events DISABLE TRIGGER USER"))
        await connection.execute(text("UPDATE audit_events SET actor = 'somebody' WHERE number = 1"))
    broken = await send(here, "/admin/audit", act="verify")
    assert "The log is broken at event 1" in problem(broken)


@ON_SQLITE
async def test_who_reads_the_log_alone_is_told_identifiers_and_no_names(here: Guarded) -> None:
    user = (await api(here, "POST", "/users", {"name": "Ada Lovelace"})).json()["id"]
    await api(here, "PUT", "/roles/auditor", {"scopes": ["audit:read"]})
    await sign_in(here, await key_of(here, "auditor"))
    page = (await get(here, f"/admin/audit?object={user}")).text
    assert ("Ada Lovelace" in page, user in page, f'href="/admin/users/{user}"' in page) == (False, True, False)
