"""Collections between the people of one tenant: the owner's alone until they are shared, and what a share lets do."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlmodel import col

from core.database import Database
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope
from core.settings import Settings
from core.tables import APIKey, CustomRole, Team, Tenant, User
from server.access.credentials import principal_of_key
from server.access.directory import Directory
from tests.desks import Desk, desk, job_settings, models, note
from tests.server.test_documents_api import refused, serving

__all__ = ["desk", "job_settings", "models"]

COLLECTIONS = "/api/v1/rag/collections"
PLANS = f"{COLLECTIONS}/plans"
DEVELOPER = ROLE_SCOPES[Role.DEVELOPER]
ADA = Principal("usr_ada", SYSTEM.tenant, "Ada", "developer", DEVELOPER)
BEN = Principal("usr_ben", SYSTEM.tenant, "Ben", "developer", DEVELOPER, teams=frozenset({"team_1"}))
BOSS = replace(SYSTEM, id="usr_boss")


@pytest.fixture
async def database(prepared: Settings) -> AsyncIterator[Database]:
    opened = Database(prepared)
    async with opened.transaction(SYSTEM.tenant) as session:
        session.add_all([User(id=f"usr_{name}", tenant=SYSTEM.tenant, name=name) for name in ("ada", "ben")])
        session.add(Team(id="team_1", tenant=SYSTEM.tenant, name="Analysts"))
        session.add(CustomRole(tenant=SYSTEM.tenant, name="auditor", scopes=["rag:read"]))
    async with opened.transaction(all_tenants=True) as session:
        session.add(Tenant(id="next-door", name="x"))
        await session.flush()
        session.add(User(id="usr_foreign", tenant="next-door", name="x"))
    yield opened
    await opened.close()


@pytest.fixture
async def ada(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """The owner of `plans`, in which there is a document."""
    async with serving(desk, ADA) as client:
        made = await client.post(COLLECTIONS, json={"name": "plans"})
        assert (made.status_code, made.json()["owner"], made.json()["access"]) == (201, "usr_ada", "manage")
        await desk.library.documents.add(ADA, await desk.library.collections.get(ADA, "plans"), [note("a.md")])
        yield client


async def share(ada: httpx.AsyncClient, *shares: dict[str, str]) -> None:
    answer = await ada.put(f"{PLANS}/shares", json={"shares": shares})
    assert answer.status_code == 200, answer.text
    assert (await ada.get(f"{PLANS}/shares")).json() == answer.json()


async def access_of(desk: Desk, principal: Principal) -> str | None:
    """What the collection says that they may do; None where it is not there for them, in no way."""
    async with serving(desk, principal) as client:
        answer = await client.get(PLANS)
        listed = [one["name"] for one in (await client.get(COLLECTIONS)).json()["results"]]
        found = await client.post(f"{PLANS}/search", json={"query": "zebra", "mode": "lexical"})
        documents = await client.get(f"{PLANS}/documents")
    if answer.status_code == 404:
        assert "plans" not in listed
        assert found.status_code == documents.status_code == 404
        return None
    assert "plans" in listed
    assert found.status_code == documents.status_code == 200
    access: str = answer.json()["access"]
    return access


async def test_a_new_collection_is_its_owners_and_who_manages_sees_it(desk: Desk, ada: httpx.AsyncClient) -> None:
    assert await access_of(desk, ADA) == "manage"
    assert await access_of(desk, BEN) is None
    assert await access_of(desk, BOSS) == "manage"
    assert await access_of(desk, replace(BOSS, tenant="next-door")) is None


SHARES: list[tuple[dict[str, str], str | None]] = [
    ({"with": "tenant"}, "read"),
    ({"with": "tenant", "access": "write"}, "write"),
    ({"with": "user", "id": "usr_ben"}, "read"),
    ({"with": "user", "id": "usr_ada"}, None),
    ({"with": "team", "id": "team_1", "access": "write"}, "write"),
    ({"with": "role", "id": "developer"}, "read"),
    ({"with": "role", "id": "auditor"}, None),
]


@pytest.mark.parametrize(("given", "access"), SHARES, ids=str)
async def test_a_share_reaches_whom_it_names(
    desk: Desk, ada: httpx.AsyncClient, given: dict[str, str], access: str | None
) -> None:
    await share(ada, given)
    assert await access_of(desk, BEN) == access
    await share(ada)
    assert await access_of(desk, BEN) is None


async def test_of_several_shares_the_widest_counts(desk: Desk, ada: httpx.AsyncClient) -> None:
    await share(ada, {"with": "tenant"}, {"with": "user", "id": "usr_ben", "access": "write"})
    assert await access_of(desk, BEN) == "write"


async def test_a_share_to_write_lets_nobody_write_who_lacks_the_right_to(desk: Desk, ada: httpx.AsyncClient) -> None:
    await share(ada, {"with": "tenant", "access": "write"})
    assert await access_of(desk, replace(BEN, scopes=BEN.scopes - {Scope.RAG_WRITE})) == "read"
    managing = (BEN.scopes - {Scope.RAG_WRITE}) | {Scope.RAG_MANAGE}
    assert await access_of(desk, replace(BEN, scopes=managing)) == "manage"


async def test_who_may_read_does_not_write_and_who_may_write_does_not_manage(desk: Desk, ada: httpx.AsyncClient) -> None:
    rows, _ = await desk.library.documents.page(await desk.library.collections.get(ADA, "plans"), limit=1)
    document = f"{PLANS}/documents/{rows[0].id}"
    new = {"documents": [{"name": "b.md", "text": "b"}]}
    await share(ada, {"with": "user", "id": "usr_ben"})
    async with serving(desk, BEN) as ben:
        for method, path, body in (
            ("POST", f"{PLANS}/documents", new),
            ("PATCH", PLANS, {"description": "x"}),
            ("DELETE", document, None),
        ):
            assert refused(await ben.request(method, path, json=body)) == (403, "collection_read_only")
        await share(ada, {"with": "user", "id": "usr_ben", "access": "write"})
        assert (await ben.post(f"{PLANS}/documents", json=new)).status_code == 202
        assert (await ben.patch(PLANS, json={"description": "x"})).status_code == 200
        assert (await ben.delete(document)).status_code == 204
        for method, path, body in (
            ("DELETE", PLANS, None),
            ("GET", f"{PLANS}/shares", None),
            ("PUT", f"{PLANS}/shares", {"shares": []}),
        ):
            assert refused(await ben.request(method, path, json=body)) == (403, "collection_not_yours")
    assert (await ada.delete(PLANS)).status_code == 204


async def test_who_manages_needs_no_right_to_write(desk: Desk, ada: httpx.AsyncClient) -> None:
    manager = replace(BEN, scopes=frozenset({Scope.RAG_READ, Scope.RAG_MANAGE}))
    async with serving(desk, manager) as client:
        assert (await client.put(f"{PLANS}/shares", json={"shares": [{"with": "tenant"}]})).status_code == 200
        assert (await client.delete(PLANS)).status_code == 204


async def test_a_key_for_some_collections_reaches_no_other(desk: Desk, ada: httpx.AsyncClient) -> None:
    """Whoever it stands for: the owner, and who manages all of them."""
    (job,) = (await ada.get("/api/v1/jobs")).json()["results"]
    for principal in (ADA, BOSS):
        limited = replace(principal, collections=frozenset({"other"}))
        assert await access_of(desk, limited) is None
        async with serving(desk, limited) as client:
            assert (await client.get(f"/api/v1/jobs/{job['id']}")).status_code == 404
            assert (await client.get("/api/v1/jobs")).json()["results"] == []
            assert refused(await client.post(COLLECTIONS, json={"name": "third"})) == (403, "collection_not_allowed")
            assert (await client.post(COLLECTIONS, json={"name": "other"})).status_code in (201, 409)
        assert await access_of(desk, replace(principal, collections=frozenset({"plans"}))) == "manage"


async def test_a_job_is_its_owners_and_who_manages_sees_it(desk: Desk, ada: httpx.AsyncClient) -> None:
    """A share of the collection does not tell what others bring into it."""
    (job,) = (await ada.get("/api/v1/jobs")).json()["results"]
    await share(ada, {"with": "tenant", "access": "write"})
    async with serving(desk, BEN) as ben, serving(desk, BOSS) as boss:
        for path in (f"/api/v1/jobs/{job['id']}", f"/api/v1/jobs/{job['id']}/events"):
            assert refused(await ben.get(path)) == (404, "job_not_found")
        assert refused(await ben.post(f"/api/v1/jobs/{job['id']}/cancel")) == (404, "job_not_found")
        assert (await ben.get("/api/v1/jobs")).json()["results"] == []
        assert (await boss.get(f"/api/v1/jobs/{job['id']}")).status_code == 200


BAD: list[tuple[Any, int, str]] = [
    ({"shares": [{"with": "user", "id": "usr_nobody"}]}, 422, "unknown_subject"),
    ({"shares": [{"with": "user", "id": "usr_foreign"}]}, 422, "unknown_subject"),
    ({"shares": [{"with": "team", "id": "team_none"}]}, 422, "unknown_subject"),
    ({"shares": [{"with": "role", "id": "wizard"}]}, 422, "unknown_subject"),
    ({"shares": [{"with": "tenant", "id": "next-door"}]}, 422, "unknown_subject"),
    ({"shares": [{"with": "everybody"}]}, 422, "invalid_request"),
    ({"shares": [{"with": "tenant", "access": "own"}]}, 422, "invalid_request"),
    ({}, 422, "invalid_request"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD, ids=str)
async def test_a_share_with_nobody_is_refused_and_changes_nothing(
    ada: httpx.AsyncClient, body: Any, status: int, code: str
) -> None:
    await share(ada, {"with": "tenant"})
    assert refused(await ada.put(f"{PLANS}/shares", json=body)) == (status, code)
    assert (await ada.get(f"{PLANS}/shares")).json() == {"shares": [{"with": "tenant", "id": "", "access": "read"}]}


async def test_shares_are_given_with_the_collection_as_well(desk: Desk, ada: httpx.AsyncClient) -> None:
    new = {"name": "open", "shares": [{"with": "tenant", "access": "write"}]}
    assert (await ada.post(COLLECTIONS, json=new)).status_code == 201
    async with serving(desk, BEN) as ben:
        assert (await ben.get(f"{COLLECTIONS}/open")).json()["access"] == "write"
    assert refused(await ada.post(COLLECTIONS, json={"name": "bad", "shares": [{"with": "user", "id": "x"}]}))[0] == 422
    assert (await ada.get(f"{COLLECTIONS}/bad")).status_code == 404


async def test_what_is_shared_with_a_role_is_open_to_no_key_of_somebody_who_has_lost_it(
    desk: Desk, ada: httpx.AsyncClient
) -> None:
    await share(ada, {"with": "role", "id": "developer"})
    assert await access_of(desk, replace(BEN, role_held=False)) is None


async def test_a_share_with_a_role_ends_with_the_role_and_another_of_its_name_has_none(
    desk: Desk, ada: httpx.AsyncClient
) -> None:
    given = [{"with": "role", "id": "auditor"}, {"with": "user", "id": "usr_ben"}]
    await share(ada, *given)
    auditor = replace(BEN, id="usr_zoe", role="auditor")
    assert await access_of(desk, auditor) == "read"
    directory = Directory(desk.database)
    await directory.delete_role(BOSS, "auditor")
    left = (await ada.get(f"{PLANS}/shares")).json()
    assert [one["with"] for one in left["shares"]] == ["user"]
    await directory.set_role(BOSS, "auditor", "", frozenset({Scope.RAG_READ}))
    assert await access_of(desk, auditor) is None
    assert await access_of(desk, BEN) == "read"


async def test_a_share_that_outlived_its_role_is_no_new_ones(desk: Desk, ada: httpx.AsyncClient) -> None:
    """As those are that were deleted before shares ended with them."""
    await share(ada, {"with": "role", "id": "auditor"})
    async with desk.database.transaction(SYSTEM.tenant) as session:
        await session.delete(await session.get_one(CustomRole, (SYSTEM.tenant, "auditor")))
    await Directory(desk.database).set_role(BOSS, "auditor", "", frozenset({Scope.RAG_READ}))
    assert await access_of(desk, replace(BEN, id="usr_zoe", role="auditor")) is None


@pytest.mark.parametrize("holder", [None, "usr_ben"])
async def test_a_share_with_a_key_is_with_whom_the_key_stands_for(
    desk: Desk, ada: httpx.AsyncClient, holder: str | None
) -> None:
    first, later = [
        APIKey(id=f"key_{name}", tenant=SYSTEM.tenant, name="x", digest=name, user_id=holder) for name in ("first", "later")
    ]
    later.stands_for, first.replaced_by = first.id, later.id
    async with desk.database.transaction(SYSTEM.tenant) as session:
        session.add_all([first, later])
    await share(ada, {"with": "user", "id": "key_first"}, {"with": "user", "id": "key_later", "access": "write"})
    stands = holder or "key_first"
    assert (await ada.get(f"{PLANS}/shares")).json()["shares"] == [{"with": "user", "id": stands, "access": "write"}]
    found = await principal_of(desk, "key_later")
    assert (found.id, await access_of(desk, found)) == (stands, "write")


async def principal_of(desk: Desk, key_id: str) -> Principal:
    async with desk.database.session(all_tenants=True) as session:
        found = await principal_of_key(session, col(APIKey.id) == key_id)
    assert found is not None
    return replace(found[0], scopes=DEVELOPER)
