"""Keys over the API: made, listed, shown once, revoked."""

import asyncio
from datetime import timedelta

import pytest

from core.database import utc_now
from core.principals import Principal, Role
from server.access.keys import ADMINISTRATOR_ID
from tests.server.conftest import ON_SQLITE, Guarded

FOREIGNER = Principal("key_x", "another-tenant", "x", Role.ADMIN, frozenset())


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(guarded: Guarded) -> None:
    client, headers = guarded.client, guarded.headers
    made = (await client.post("/api/v1/keys", json={"name": "ci", "role": "developer"}, headers=headers)).json()
    own = {"x-api-key": made["key"]}
    assert (await client.get("/api/v1/auth/me", headers=own)).json()["role"] == "developer"
    shown = (await client.get(f"/api/v1/keys/{made['id']}", headers=headers)).text
    assert made["key"] not in shown
    assert (await client.delete(f"/api/v1/keys/{made['id']}", headers=headers)).status_code == 204
    assert (await client.get("/api/v1/auth/me", headers=own)).status_code == 401
    assert (await client.delete(f"/api/v1/keys/{made['id']}", headers=headers)).status_code == 204


async def test_a_list_is_paged_without_gaps_or_repetitions(guarded: Guarded) -> None:
    for number in range(5):
        await guarded.client.post("/api/v1/keys", json={"name": f"n{number}"}, headers=guarded.headers)
    names, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        body = (await guarded.client.get("/api/v1/keys", params=params, headers=guarded.headers)).json()
        names += [row["name"] for row in body["results"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert sorted(names) == ["administrator", "n0", "n1", "n2", "n3", "n4"]


@ON_SQLITE
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 201},
        {"name": "x", "role": "root"},
        {"name": "x", "scopes": ["all"]},
        {"name": "x", "expires_at": "2001-01-01T00:00:00Z"},
        {"name": "x", "expires_at": "2101-01-01T00:00:00"},
        {"name": 1},
        [],
        None,
        "x",
    ],
    ids=str,
)
async def test_a_bad_key_is_refused(guarded: Guarded, body: object) -> None:
    refused = await guarded.client.post("/api/v1/keys", json=body, headers=guarded.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")


async def test_the_last_administrator_cannot_be_revoked(guarded: Guarded) -> None:
    refused = await guarded.client.delete(f"/api/v1/keys/{ADMINISTRATOR_ID}", headers=guarded.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "last_administrator")
    await guarded.client.post("/api/v1/keys", json={"name": "second", "role": "admin"}, headers=guarded.headers)
    assert (await guarded.client.delete(f"/api/v1/keys/{ADMINISTRATOR_ID}", headers=guarded.headers)).status_code == 204


async def test_another_tenant_s_key_is_not_there(guarded: Guarded) -> None:
    row, _ = await guarded.access.keys.create(FOREIGNER, "theirs", Role.ADMIN)
    for method in ("GET", "DELETE"):
        answer = await guarded.client.request(method, f"/api/v1/keys/{row.id}", headers=guarded.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "key_not_found")
    listed = (await guarded.client.get("/api/v1/keys", headers=guarded.headers)).json()["results"]
    assert row.id not in [item["id"] for item in listed]


async def test_the_first_start_makes_one_administrator_however_many_processes_start(guarded: Guarded) -> None:
    assert await guarded.access.keys.ensure_administrator(None) is None
    answers = await asyncio.gather(*(guarded.access.keys.ensure_administrator(None) for _ in range(4)))
    assert answers == [None] * 4


async def test_a_configured_key_takes_the_place_of_the_one_before(guarded: Guarded) -> None:
    configured = "configured-key-of-more-than-32-characters"
    assert await guarded.access.keys.ensure_administrator(configured) is None
    assert await guarded.access.by_key(guarded.key) is None
    assert await guarded.access.by_key(configured) is not None


async def test_the_use_of_a_key_is_noted(guarded: Guarded) -> None:
    before = utc_now()
    await guarded.client.get("/api/v1/auth/me", headers=guarded.headers)
    (row,) = (await guarded.client.get("/api/v1/keys", headers=guarded.headers)).json()["results"]
    assert row["last_used_at"] >= (before - timedelta(seconds=1)).isoformat()[:19]
