"""Moving collections and their snapshots by REST: what is answered, and to whom."""

from collections.abc import AsyncIterator

import httpx
import pytest

from core.database import Database
from core.settings import Settings
from tests.server.conftest import ON_SQLITE
from tests.server.tenants import COLLECTION, Tenants, two_tenants

pytestmark = ON_SQLITE
RAG = "/api/v1/rag"


@pytest.fixture
async def tenants(settings: Settings, database: Database) -> AsyncIterator[Tenants]:
    async with two_tenants(settings, database) as ready:
        yield ready


async def asked(tenants: Tenants, method: str, path: str, who: str = "owner", **options: object) -> httpx.Response:
    return await tenants.client.request(method, RAG + path, headers=tenants.headers(who), **options)  # type: ignore[arg-type]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_where_a_collection_is_and_what_cannot_be_done_with_it_is_told(tenants: Tenants) -> None:
    place = f"/collections/{COLLECTION}"
    listed = (await asked(tenants, "GET", f"{place}/generations")).json()["results"]
    assert [(one["store"], one["embeddings"], one["state"]) for one in listed] == [("chroma", "embeddings", "active")]
    nothing = await asked(tenants, "POST", "/reindex", json={"from": "chroma", "to": "chroma"})
    assert (nothing.status_code, nothing.json()["collections"]) == (202, 0)
    job = await tenants.client.get(nothing.headers["location"], headers=tenants.headers("owner"))
    assert (job.json()["kind"], job.json()["state"]) == ("reindexing", "succeeded")
    for body, refused in (
        ({"to": "nowhere", "collections": [COLLECTION]}, (422, "store_not_opened")),
        ({"to": ":default", "collections": [COLLECTION]}, (422, "unknown_model")),
        ({"to": "chroma"}, (422, "invalid_request")),
        ({"to": "chroma", "collections": ["nowhere"]}, (404, "collection_not_found")),
        ({"from": "chroma", "to": "chroma", "everywhere": True}, (403, "forbidden")),
    ):
        assert code(await asked(tenants, "POST", "/reindex", json=body)) == refused
    assert code(await asked(tenants, "POST", f"{place}/rollback")) == (404, "generation_not_found")
    active = f"{place}/generations/{listed[0]['id']}"
    assert code(await asked(tenants, "DELETE", active)) == (409, "generation_in_use")
    assert code(await asked(tenants, "DELETE", f"{place}/generations/gen_x")) == (404, "generation_not_found")
    assert code(await asked(tenants, "POST", "/reindex", "peer", json={"from": "chroma", "to": "chroma"}))[0] == 403


async def test_a_snapshot_is_asked_for_listed_fetched_restored_and_deleted(tenants: Tenants) -> None:
    there = tenants.ids["snapshot_id"]
    taken = await asked(tenants, "POST", f"/collections/{COLLECTION}/snapshots")
    again = await asked(tenants, "POST", f"/collections/{COLLECTION}/snapshots")
    assert taken.status_code == 202
    assert taken.json() == again.json()  # while it has not ended, the same
    listed = (await asked(tenants, "GET", "/snapshots")).json()["results"]
    assert {(one["id"], one["collection"]) for one in listed} == {
        (there, COLLECTION),
        (taken.json()["snapshot_id"], COLLECTION),
    }
    fetched = await asked(tenants, "GET", f"/snapshots/{there}")
    assert (fetched.status_code, fetched.headers["content-type"]) == (200, "application/zip")
    assert code(await asked(tenants, "GET", f"/snapshots/{taken.json()['snapshot_id']}")) == (404, "snapshot_not_found")
    assert (await asked(tenants, "POST", f"/snapshots/{there}/restore", json={"name": "again"})).status_code == 202
    assert (await asked(tenants, "GET", "/collections/again")).json()["access"] == "manage"
    assert code(await asked(tenants, "POST", f"/snapshots/{there}/restore", json={"name": "again"})) == (409, "already_exists")
    assert (await asked(tenants, "GET", "/snapshots", "peer")).json()["results"] == []
    assert (await asked(tenants, "DELETE", f"/snapshots/{there}")).status_code == 204
    assert code(await asked(tenants, "GET", f"/snapshots/{there}")) == (404, "snapshot_not_found")
