"""Two tenants side by side, asked at random: whatever is asked, in whichever way, no chunk of the other comes out.

The seed of each run is new, and told by a failure.
"""

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from core.database import Database
from core.jobs import Jobs
from core.principals import SYSTEM, Principal
from core.settings import Settings
from core.tables import JobState, Tenant, User
from retrievers.base import Shelf
from tests.desks import Desk, desk, eventually, job_settings, models, note
from tests.server.test_documents_api import serving

__all__ = ["desk", "job_settings", "models"]

TENANTS = ("acme", "globex")
WORDS = ("apple", "bridge", "copper", "delta", "engine", "forest", "garden", "harbour")
ROUNDS = 60


def of(tenant: str) -> Principal:
    return Principal(f"p-{tenant}", tenant, tenant, SYSTEM.role, SYSTEM.scopes)


@pytest.fixture
async def database(prepared: Settings) -> AsyncIterator[Database]:
    opened = Database(prepared)
    async with opened.transaction(all_tenants=True) as session:
        session.add_all([Tenant(id=tenant, name=tenant) for tenant in TENANTS])
        await session.flush()
        session.add_all([User(id=of(tenant).id, tenant=tenant, name=tenant, role=SYSTEM.role) for tenant in TENANTS])
    yield opened
    await opened.close()


async def filled(desk: Desk, chance: random.Random) -> dict[str, list[Shelf]]:
    """The same names and the same words in both, and the tenant's own mark in each text; each says that it is the other's."""
    shelves: dict[str, list[Shelf]] = {}
    with desk.worker():
        for tenant in TENANTS:
            other = next(one for one in TENANTS if one != tenant)
            for name in ("one", "two"):
                collection = await desk.library.collections.create(of(tenant), name)
                texts = [" ".join(chance.choices(WORDS, k=6)) for _ in range(4)]
                items = [
                    note(f"{number}.md", f"{text} mark{tenant}.", tenant=other, document_tenant=tenant)
                    for number, text in enumerate(texts)
                ]
                job, _ = await desk.library.documents.add(of(tenant), collection, items)
                await finished(desk, of(tenant), job.id)
                shelves.setdefault(tenant, []).append(Shelf.of(collection))
    return shelves


async def finished(desk: Desk, principal: Principal, job_id: str) -> None:
    async def ended() -> bool:
        return JobState((await Jobs(desk.database).get(principal, job_id)).state).finished

    await eventually(ended)


def a_filter(chance: random.Random, ids: list[str]) -> dict[str, Any] | None:
    return chance.choice(
        [
            None,
            {"tenant": chance.choice(TENANTS)},
            {"document_tenant": chance.choice(TENANTS)},
            {"document_id": chance.choice(ids)},
            {"document": f"{chance.randrange(4)}.md"},
            {"tenant": chance.choice(TENANTS), "document_id": chance.choice(ids)},
            {"attr.tenant": "globex"},
            {"$or": "globex"},
            {"or": [{"tenant": {"ne": "acme"}}, {"tenant": {"ne": "globex"}}]},
            {"not": {"tenant": chance.choice(TENANTS)}},
            {"tenant": {"in": list(TENANTS)}, "document": {"contains": ".md"}},
            {"document_tenant": {"gte": "a"}},
        ]
    )


@asynccontextmanager
async def clients(desk: Desk) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    async with serving(desk, of(TENANTS[0])) as first, serving(desk, of(TENANTS[1])) as second:
        yield dict(zip(TENANTS, (first, second), strict=True))


async def test_no_search_gives_a_chunk_of_the_other(desk: Desk) -> None:
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    shelves = await filled(desk, chance)
    documents: list[str] = []
    found = 0
    async with clients(desk) as asking:
        for tenant in TENANTS:
            for name in ("one", "two"):
                listed = (await asking[tenant].get(f"/api/v1/rag/collections/{name}/documents")).json()["results"]
                documents += [one["id"] for one in listed]
        for _ in range(ROUNDS):
            tenant = chance.choice(TENANTS)
            other = next(one for one in TENANTS if one != tenant)
            body = {
                "query": " ".join(chance.choices([*WORDS, f"mark{other}"], k=chance.randint(1, 4))),
                "mode": chance.choice(("hybrid", "dense", "lexical")),
                "limit": chance.choice((1, 5, 100)),
                "filter": a_filter(chance, documents),
            }
            answer = await asking[tenant].post(f"/api/v1/rag/collections/{chance.choice(('one', 'two'))}/search", json=body)
            assert answer.status_code == 200, answer.text
            texts = [one["text"] for one in answer.json()["results"]]
            assert all(f"mark{tenant}" in text and f"mark{other}" not in text for text in texts), (seed, tenant, body, texts)
            found += len(texts)
            # and past the routes, with the other's own collection
            stolen = Shelf(tenant, chance.choice(shelves[other]).collection_id)
            mode = chance.choice(("hybrid", "dense", "lexical"))
            assert await desk.library.searcher.search(stolen, body["query"], limit=50, mode=mode, filter=body["filter"]) == []
    assert found > ROUNDS / 6, seed  # most filters find little, and the searches must not have been about nothing
