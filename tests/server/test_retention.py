"""Where nothing is kept: no place holds a word of a request or its answer, and what would have to keep it is refused."""

import json
import secrets
from typing import Any

import httpx
import pytest

from core.database import Database
from core.settings import Settings
from tests.server.conftest import ON_SQLITE
from tests.server.erasing import World, world

NONE = {"x-genai-retention": "none"}


def said(canary: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"What is {canary}?"}], "temperature": 0} | more


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def refused(place: World, key: str, canary: str, headers: dict[str, str]) -> None:
    """What lives by being kept."""
    for more in ({}, {"stream": True}):
        answer = await place.ask(key, "POST", "/api/v1/chat", json=said(canary, session_id=canary, **more), headers=headers)
        assert code(answer) == (422, "nothing_kept")
    answer = await place.ask(key, "POST", "/v1/chat/completions", json=said(canary, session_id=canary), headers=headers)
    assert code(answer) == (400, "nothing_kept")
    question = {"question": f"What is {canary}?", "collection": "papers", "session_id": canary}
    assert code(await place.ask(key, "POST", "/api/v1/rag", json=question, headers=headers)) == (422, "nothing_kept")
    line = json.dumps({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": said(canary)}).encode()
    form: dict[str, Any] = {"files": {"file": ("x.jsonl", line)}, "data": {"purpose": "batch"}}
    assert code(await place.ask(key, "POST", "/v1/files", headers=headers, **form)) == (400, "nothing_kept")
    batch = {"endpoint": "/api/v1/chat", "requests": [{"custom_id": "1", "body": said(canary)}]}
    assert code(await place.ask(key, "POST", "/api/v1/batches", json=batch, headers=headers)) == (422, "nothing_kept")


async def answered(place: World, key: str, canary: str, headers: dict[str, str]) -> None:
    """What does not. The same request comes twice, so that a cache would have its chance."""
    headers = headers | {"x-genai-tags": f"of={canary}"}
    for _ in range(2):
        answer = await place.ask(key, "POST", "/api/v1/chat", json=said(canary), headers=headers)
        assert (answer.status_code, answer.headers["x-genai-cache"]) == (200, "bypass")
    once = headers | {"idempotency-key": secrets.token_hex(8)}
    first = await place.ask(key, "POST", "/api/v1/chat", json=said(canary), headers=once)
    assert first.status_code == 200
    again = await place.ask(key, "POST", "/api/v1/chat", json=said(canary), headers=once)
    assert code(again) == (409, "answer_not_kept")
    question = {"question": f"What is {canary}?", "collection": "papers"}
    assert (await place.ask(key, "POST", "/api/v1/rag", json=question, headers=headers)).status_code == 200
    events = await place.ask(key, "POST", "/api/v1/chat/stream", json={"input": said(canary)}, headers=headers)
    assert events.status_code == 200


async def test_by_a_tenants_policy_or_a_requests_header_no_place_holds_a_word(
    settings: Settings, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(settings, database) as place:
        keys = {"acme": await place.tenant("acme"), "globex": await place.tenant("globex")}
        with place.desk.worker():
            for key in keys.values():
                await place.good(key, "POST", "/api/v1/rag/collections", json={"name": "papers"})
                path, text = "/api/v1/rag/collections/papers/documents", {"documents": [{"name": "a.md", "text": "A leaf."}]}
                job = await place.good(key, "POST", path, json=text)
                await place.finished(key, job["job_id"])
            changed = await place.good(keys["acme"], "PUT", "/api/v1/policies", json={"retention": {"none": True}})
            assert changed["retention"]["none"] is True
            canaries = []
            for tenant, headers in (("acme", {}), ("globex", NONE)):
                canaries.append(f"zqsecret{secrets.token_hex(6)}")
                await refused(place, keys[tenant], canaries[-1], headers)
                await answered(place, keys[tenant], canaries[-1], headers)
            kept = f"zqkept{secrets.token_hex(6)}"
            await place.good(keys["globex"], "POST", "/api/v1/chat", json=said(kept, session_id=kept))
        places = await place.places() | {"logs": "".join(capfd.readouterr()).encode()}
        held = {where: [each for each in (*canaries, kept) if each.encode() in dump] for where, dump in places.items()}
        found = {where: each for where, each in held.items() if each and where != "database files"}
        assert found == {"database": [kept], "cache": [kept]}
        assert set(held["database files"]) <= {kept}


@ON_SQLITE
async def test_a_wish_that_is_not_understood_is_refused(settings: Settings, database: Database) -> None:
    async with world(settings, database) as place:
        for value, status in (("none", 200), (" NONE ", 200), ("nothing", 422), ("", 422)):
            answer = await place.ask(
                place.operator, "POST", "/api/v1/chat", json=said("x"), headers={"x-genai-retention": value}
            )
            assert answer.status_code == status, (value, answer.text)
        assert code(answer) == (422, "invalid_retention")


@ON_SQLITE
async def test_a_tenant_keeps_data_for_less_time_than_the_deployment_never_for_more(
    settings: Settings, database: Database
) -> None:
    async with world(settings, database, retention={"conversations_days": 30, "none": False}) as place:
        admin = await place.tenant("acme")
        longer = await place.ask(admin, "PUT", "/api/v1/policies", json={"retention": {"conversations_days": 31}})
        assert code(longer) == (422, "retention_too_long")
        own = await place.good(admin, "PUT", "/api/v1/policies", json={"retention": {"conversations_days": 3, "cache_days": 1}})
        assert own["own"] == ["retention"]
        told = own["retention"]
        assert (told["conversations_days"], told["cache_days"], told["batches_days"], told["none"]) == (3, 1, 30, False)


@ON_SQLITE
async def test_answers_that_are_kept_for_longer_than_a_new_policy_allows_go(settings: Settings, database: Database) -> None:
    async with world(settings, database) as place:
        admin = await place.tenant("acme")
        answers, policies = place.desk.resources.models.answers, place.desk.resources.models.policies
        for n in range(2):
            await place.good(admin, "POST", "/api/v1/chat", json=said(f"number {n}"))
        await place.good(admin, "PUT", "/api/v1/policies", json={"retention": {"cache_days": 1}})
        assert await answers.trim("acme", policies.of("acme").retention) == 0  # an hour is less
        await place.good(admin, "PUT", "/api/v1/policies", json={"retention": {"cache_days": 0.0001}})
        assert await answers.trim("acme", policies.of("acme").retention) > 0
        again = await place.ask(admin, "POST", "/api/v1/chat", json=said("number 0"))
        assert again.headers["x-genai-cache"] == "miss"
        await place.good(admin, "PUT", "/api/v1/policies", json={"retention": {"none": True}})
        assert await answers.trim("acme", policies.of("acme").retention) > 0
