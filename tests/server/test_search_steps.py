"""A collection's optional steps, over HTTP."""

import httpx
import pytest

from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role
from tests.desks import Desk, desk, job_settings, models, note
from tests.server.test_documents_api import client, database, refused, serving

__all__ = ["client", "database", "desk", "job_settings", "models"]

PAPERS = "/api/v1/rag/collections/papers"
DEFAULTS = {
    "multi_query": None,
    "decomposition": None,
    "hyde": None,
    "feedback": None,
    "time_decay": None,
    "rerank": None,
    "mmr": None,
    "expansion": None,
    "compression": None,
}


async def test_steps_are_set_shown_and_taken_away(client: httpx.AsyncClient):
    assert (await client.get(PAPERS)).json()["retrieval"] == DEFAULTS
    made = await client.post("/api/v1/rag/collections", json={"name": "b", "retrieval": {"mmr": {"relevance": 0.6}}})
    assert (made.status_code, made.json()["retrieval"]["mmr"]["relevance"]) == (201, 0.6)
    changed = await client.patch(PAPERS, json={"retrieval": {"expansion": {"before": 2}}})
    assert changed.json()["retrieval"]["expansion"] == {"unit": "neighbours", "before": 2, "after": 1, "most_chunks": 6}
    assert (await client.patch(PAPERS, json={"description": "d"})).json()["retrieval"] == changed.json()["retrieval"]
    gone = await client.patch(PAPERS, json={"retrieval": {}})
    assert (gone.json()["retrieval"], gone.json()["description"]) == (DEFAULTS, "d")
    assert (await client.get(PAPERS)).json()["retrieval"] == DEFAULTS


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({}, "invalid_request"),
        ({"retrieval": {"telepathy": {}}}, "invalid_request"),
        ({"retrieval": {"mmr": {"relevance": 2}}}, "invalid_request"),
        ({"retrieval": {"hyde": {"model": "nobody"}}}, "unknown_model"),
        ({"retrieval": {"rerank": {"by": "provider", "model": "default"}}}, "unknown_model"),
        ({"retrieval": {"rerank": {"by": "cross_encoder"}}}, "no_cross_encoder"),
    ],
    ids=["nothing", "step", "value", "model", "kind", "encoder"],
)
async def test_what_no_search_could_take_is_refused(client: httpx.AsyncClient, wrong: dict, code: str):
    assert refused(await client.patch(PAPERS, json=wrong)) == (422, code)
    if wrong:
        assert refused(await client.post("/api/v1/rag/collections", json={"name": "c"} | wrong)) == (422, code)


async def test_a_search_tells_its_steps_and_which_was_skipped(desk: Desk):
    async with serving(desk) as client:
        await client.post("/api/v1/rag/collections", json={"name": "papers"})
        _, documents = await desk.add(note("a.md", "The zebra stands."), note("b.md", "The zebra runs."))
        with desk.worker():
            await desk.finished(documents[0].job_id or "")
        found = (await client.post(f"{PAPERS}/search", json={"query": "zebra"})).json()
        assert (len(found["results"]), found["steps"], found["degraded"]) == (2, [], False)
        await client.patch(PAPERS, json={"retrieval": {"mmr": {}, "rerank": {}, "feedback": {}}})
        found = (await client.post(f"{PAPERS}/search", json={"query": "zebra"})).json()
        assert len(found["results"]) == 2
        assert found["steps"] == [
            {"step": "feedback", "skipped": None},
            {"step": "rerank", "skipped": "model_too_small"},
            {"step": "mmr", "skipped": None},
        ]
        assert found["degraded"] is True


async def test_an_analyst_searches_where_no_step_asks_a_model(desk: Desk):
    analyst = Principal("ann", SYSTEM.tenant, "ann", Role.ANALYST, ROLE_SCOPES[Role.ANALYST])
    async with serving(desk) as client, serving(desk, analyst) as theirs:
        await client.post("/api/v1/rag/collections", json={"name": "papers", "shares": [{"with": "tenant"}]})
        await client.patch(PAPERS, json={"retrieval": {"mmr": {}}})
        assert (await theirs.get(f"{PAPERS}/documents")).status_code == 200
        assert (await theirs.post(f"{PAPERS}/search", json={"query": "zebra"})).status_code == 200
        for step in ({"multi_query": {}}, {"decomposition": {}}, {"hyde": {}}, {"rerank": {}}):
            await client.patch(PAPERS, json={"retrieval": step})
            assert refused(await theirs.post(f"{PAPERS}/search", json={"query": "zebra"})) == (403, "forbidden")
