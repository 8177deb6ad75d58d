"""Two tenants side by side with the same names and words, asked at random by every route that gives something of documents:
nothing of the other comes out, in whichever store it is."""

import asyncio
import io
import random
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from infra.bench.gateway import mock_provider
from infra.bench.store_servers import store_server
from infra.bench.volume import CONFIGURATION
from infra.running import Running, running

TENANTS = ("acme", "globex")
COLLECTIONS = ("plain", "stepped")
WORDS = ("apple", "bridge", "copper", "delta", "engine", "forest", "garden", "harbour", "island", "jacket")
_AT_ONCE = 6
_DOCUMENTS = 12
#: What the searches of the second collection do besides.
_STEPS = {
    "multi_query": {"queries": 2},
    "feedback": {},
    "time_decay": {},
    "mmr": {"relevance": 0.7},
    "expansion": {"before": 1, "after": 1},
    "compression": {"tokens": 200},
}
_CHAT = """
[[models]]
alias = "default"
[[models.deployments]]
provider = "openai_compatible:mock"
model = "mock"
"""
_COLLECTION = "/api/v1/rag/collections/{}"


def mark(tenant: str) -> str:
    """The word that is in each text of the tenant's, and in no other."""
    return f"zqmark{tenant}"


@dataclass
class Tenant:
    """A tenant as it is asked, and what it has, which the other is to ask for in vain."""

    name: str
    client: httpx.AsyncClient
    documents: dict[str, list[str]] = field(default_factory=dict)
    snapshots: list[str] = field(default_factory=list)


async def kept_apart(place: Path, store: str, *, queries: int, seed: int) -> Counter[str]:
    """Ask so many times; how many of each kind found something of their own.

    Raises:
        AssertionError: something of the other tenant came out, or a kind of question has found nothing at all.
    """
    with mock_provider() as provider, store_server(store, place / "store") as there:
        configuration = place / "genai.toml"
        configuration.write_text(CONFIGURATION.format(provider=provider) + _CHAT)
        more = {"GENAI_CONFIG": str(configuration), "GENAI_HANDBOOK": "false", "GENAI_LOCAL__WARM": "false"}
        with running(place / "platform", **there.settings, **more) as platform:
            chance = random.Random(seed)  # noqa: S311 - questions, no secrets
            tenants = [await _filled(platform, name, chance) for name in TENANTS]
            asking, found = iter(range(queries)), Counter[str]()

            async def caller() -> None:
                for _ in asking:
                    me, other = chance.sample(tenants, 2)
                    kind, answer = await _ask(me, other, chance)
                    _check(store, seed, kind, me, other, answer)
                    found[kind] += mark(me.name) in _text(answer)

            try:
                await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
            finally:
                for tenant in tenants:
                    await tenant.client.aclose()
    # of small counts a kind may have had no turn
    silent = {kind for kind in _OWN if not found[kind]}
    assert queries < 500 or not silent, f"{store}: {sorted(silent)} found nothing at all ({seed=})"
    return found


async def _filled(platform: Running, name: str, chance: random.Random) -> Tenant:
    with platform.client() as operator:
        made = operator.post("/api/v1/tenants", json={"id": name, "name": name}).raise_for_status().json()
    headers = {"authorization": f"Bearer {made['key']}"}
    tenant = Tenant(name, httpx.AsyncClient(base_url=platform.url, headers=headers, timeout=120, trust_env=False))
    other = next(one for one in TENANTS if one != name)
    for collection in COLLECTIONS:
        body = {"name": collection} | ({"retrieval": _STEPS} if collection == "stepped" else {})
        (await tenant.client.post("/api/v1/rag/collections", json=body)).raise_for_status()
        items = [
            {
                "name": f"{number}.md",
                "text": "\n\n".join(
                    f"# {chance.choice(WORDS)}\n\n{' '.join(chance.choices(WORDS, k=90))} {mark(name)}." for _ in range(3)
                ),
                # each says of itself that it is the other's
                "metadata": {"tenant": other, "owner": name, "number": number},
            }
            for number in range(_DOCUMENTS)
        ]
        path = _COLLECTION.format(collection)
        job = (await tenant.client.post(f"{path}/documents", json={"documents": items})).raise_for_status().json()
        await _finished(tenant.client, job["job_id"])
        listed = (await tenant.client.get(f"{path}/documents", params={"limit": 100})).json()["results"]
        tenant.documents[collection] = [one["id"] for one in listed]
        taken = (await tenant.client.post(f"{path}/snapshots")).raise_for_status().json()
        await _finished(tenant.client, taken["job_id"])
    kept = (await tenant.client.get("/api/v1/rag/snapshots")).raise_for_status().json()["results"]
    tenant.snapshots = [one["id"] for one in kept]
    return tenant


async def _finished(client: httpx.AsyncClient, job_id: str) -> None:
    async with asyncio.timeout(300):
        while True:
            job = (await client.get(f"/api/v1/jobs/{job_id}")).raise_for_status().json()
            if job["state"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.1)
    assert job["state"] == "succeeded", job


def _filter(me: Tenant, other: Tenant, collection: str, chance: random.Random) -> dict[str, Any] | None:
    """One that does nothing, narrows, or would widen what is found if it could."""
    foreign, own = other.documents[collection], me.documents[collection]
    return chance.choice(
        [
            None,
            {"tenant": chance.choice(TENANTS)},
            {"owner": chance.choice(TENANTS)},
            {"document_id": chance.choice([*foreign, *own])},
            {"document_id": {"in": [*foreign, *own]}},
            {"tenant": {"in": list(TENANTS)}},
            {"or": [{"tenant": me.name}, {"tenant": other.name}, {"owner": other.name}]},
            {"or": [{"tenant": {"exists": True}}, {"tenant": {"exists": False}}]},
            {"not": {"tenant": chance.choice(TENANTS)}},
            {"not": {"document_id": chance.choice(own)}},
            {"and": [{"number": {"gte": 0}}, {"not": {"owner": me.name}}]},
            {"document": {"contains": ".md"}, "number": {"lt": chance.randrange(_DOCUMENTS)}},
            {"collection": chance.choice(COLLECTIONS)},
        ]
    )


async def _ask(me: Tenant, other: Tenant, chance: random.Random) -> tuple[str, httpx.Response]:
    collection = chance.choice(COLLECTIONS)
    path, query = _COLLECTION.format(collection), " ".join(chance.choices([*WORDS, mark(other.name)], k=chance.randint(1, 5)))
    kind = chance.choices(("search", "rag", "invoke", "document", "list", "snapshot", "rest"), (60, 8, 4, 14, 6, 3, 5))[0]
    filter = _filter(me, other, collection, chance)
    if kind == "search":
        mode = chance.choice(("hybrid", "dense", "lexical"))
        body = {"query": query, "mode": mode, "limit": chance.choice((1, 5, 100)), "filter": filter, "highlight": True}
        return f"search {mode} {collection}", await me.client.post(f"{path}/search", json=body)
    if kind in ("rag", "invoke"):
        asked = {"question": f"What of {query}?", "collection": collection, "filter": filter, "limit": 20}
        if kind == "rag":
            return kind, await me.client.post("/api/v1/rag", json=asked)
        return kind, await me.client.post("/api/v1/rag/invoke", json={"input": asked})
    if kind == "document":
        mine = chance.random() < 0.3
        document = chance.choice((me if mine else other).documents[collection])
        what = chance.choice(("", "/text", "/original", "/place?start=0&end=200"))
        answer = await me.client.get(f"{path}/documents/{document}{what}")
        assert mine or answer.status_code == 404, f"{what or 'document'} of {other.name}'s: {answer.status_code}"
        return f"document{what.partition('?')[0]}", answer
    if kind == "list":
        params = {"limit": "100"} | chance.choice([{}, {"name_contains": "1"}, {"state": "ready"}])
        return kind, await me.client.get(f"{path}/documents", params=params)
    if kind == "snapshot":
        mine = chance.random() < 0.3
        snapshot = chance.choice((me if mine else other).snapshots)
        answer = await me.client.get(f"/api/v1/rag/snapshots/{snapshot}")
        assert mine or answer.status_code == 404, f"snapshot of {other.name}'s: {answer.status_code}"
        return kind, answer
    lists = ("/api/v1/rag/collections", "/api/v1/rag/snapshots", "/api/v1/rag/dead-letters")
    return kind, await me.client.get(chance.choice((*lists, f"{path}/sources", f"{path}/generations")))


#: Kinds of questions that give something of the asker's own.
_OWN = (
    *(f"search {mode} {name}" for mode in ("hybrid", "dense", "lexical") for name in COLLECTIONS),
    "document/text",
    "document/original",
    "document/place",
    "snapshot",
)


def _check(store: str, seed: int, kind: str, me: Tenant, other: Tenant, answer: httpx.Response) -> None:
    told = f"{store}, {kind}, asked by {me.name} ({seed=})"
    assert answer.status_code in (200, 404), f"{told}: {answer.status_code} {answer.text[:300]}"
    text = _text(answer)
    assert mark(other.name) not in text, f"{told}: {text[:300]}"
    foreign = [one for documents in other.documents.values() for one in documents if one in text]
    assert not foreign or answer.status_code == 404, f"{told}: {foreign}"


def _text(answer: httpx.Response) -> str:
    """What an answer says; of a snapshot what its parts say."""
    if not zipfile.is_zipfile(io.BytesIO(answer.content)):
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return "\n".join(archive.read(name).decode(errors="replace") for name in archive.namelist())


def kept_apart_in(place: Path, stores: Sequence[str], *, queries: int, seed: int | None) -> dict[str, float]:
    """The same in each of the stores, `queries` in all."""
    seed = seed if seed is not None else random.SystemRandom().randrange(10**6)
    figures: dict[str, float] = {"queries": 0, "seed": seed}
    for store in stores:
        each = queries // len(stores)
        found = asyncio.run(kept_apart(place / store, store, queries=each, seed=seed))
        figures["queries"] += each
        figures[f"{store}_with_findings"] = sum(found.values())
    return figures
