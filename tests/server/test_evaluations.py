"""Evaluations over REST: datasets, suites, runs and comparisons; the model's provider is a fake at the wire."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from chains.conversations import Conversations
from chains.messages import Assistant, User
from core.database import Database
from core.policies.retention import HEADER
from core.principals import ROLE_SCOPES, SYSTEM, Principal, Role, Scope
from core.settings import ModelAlias, Settings
from core.tables import Registered
from evals.metrics import METRICS
from jobs.evaluation import run_evaluation
from providers.models import Models
from providers.registry.store import Registry
from server.routes.evaluation_approvals import router as approvals
from server.routes.evaluation_comparisons import router as comparisons
from server.routes.evaluation_runs import router as runs
from server.routes.evaluations import router as evaluations
from tests.desks import Desk, opened
from tests.fakes.openai import MODEL, OpenAIFake
from tests.fakes.wire import Reply
from tests.server.serving import platform

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SUITE = "name: hello\ndataset: questions\nmetrics: [exact_match]\nthresholds: [{metric: exact_match, min: 1}]\n"
DEVELOPER = replace(SYSTEM, id="dev", role=Role.DEVELOPER, scopes=ROLE_SCOPES[Role.DEVELOPER])


@dataclass
class Place:
    desk: Desk
    provider: OpenAIFake
    models: Models

    @asynccontextmanager
    async def caller(self, principal: Principal = SYSTEM) -> AsyncIterator[httpx.AsyncClient]:
        desk = self.desk
        state = {"database": desk.database, "queue": desk.queue, "models": self.models, "library": desk.library}
        app = platform(desk.settings, principal=principal, analyser=self.models.privacy.analyser, **state)
        app.include_router(evaluations)
        app.include_router(runs)
        app.include_router(comparisons)
        app.include_router(approvals)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1/evals") as client:
            yield client

    async def ran(self, client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
        made = await client.post("/runs", json=body)
        assert made.status_code == 202, made.text
        await run_evaluation(self.desk.context, made.json()["id"])
        shown: dict[str, Any] = (await client.get(f"/runs/{made.json()['id']}")).json()
        return shown


@pytest.fixture
async def place(database: Database, settings: Settings) -> AsyncIterator[Place]:
    with OpenAIFake() as provider:
        of = {"default": MODEL, "judge": MODEL, "unpriced": "of-no-list-of-prices"}
        configured = Settings.load(
            data_dir=Path(settings.data_dir),
            database_url=database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite"),
            models=[{"alias": name, "deployments": [{"provider": "openai", "model": model}]} for name, model in of.items()],
            providers={"openai": {"base_url": provider.base_url, "api_key": "sk-secret"}},
        )
        models = Models(configured)
        async with opened(configured, database, models) as desk:
            yield Place(desk, provider, models)
        await models.close()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def questions(count: int = 3) -> dict[str, Any]:
    rows = [{"id": f"q{number}", "input": {"text": f"question {number}"}, "expected": Reply().text} for number in range(count)]
    return {"name": "questions", "examples": rows}


@ON_SQLITE
@pytest.mark.parametrize("target", ["Missing", "Unmade"])
async def test_a_metric_that_cannot_be_had_is_told_before_a_run(
    place: Place, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setitem(METRICS._targets, "ours", f"tests.fakes.metrics:{target}")
    text = "name: ours\ndataset: questions\nmetrics: [exact_match, ours]\n"
    async with place.caller() as client:
        await client.post("/datasets", json=questions())
        refused = await client.post("/runs", json={"definition": text})
        assert code(refused) == (422, "metric_unavailable")
        assert str(refused.json()["error"]["param"]).startswith("metrics.1")
        kept = await client.post("/suites", json={"definition": text})
        assert kept.status_code == (422 if target == "Missing" else 201)


@ON_SQLITE
async def test_a_dataset_is_versioned_by_its_content(place: Place) -> None:
    async with place.caller() as client:
        first = (await client.post("/datasets", json=questions())).json()
        same = (await client.post("/datasets", json=questions())).json()
        content = (await client.get(f"/datasets/{first['id']}/export")).text
        given = {"name": "questions", "format": "jsonl", "content": content.replace("question 0", "another")}
        other = (await client.post("/datasets", json=given)).json()
        assert (first["version"], same["id"], other["version"]) == (1, first["id"], 2)
        page = (await client.get(f"/datasets/{other['id']}/examples", params={"limit": 2})).json()
        rest = (await client.get(f"/datasets/{other['id']}/examples", params={"cursor": page["next_cursor"]})).json()
        assert [row["id"] for row in page["results"] + rest["results"]] == ["q0", "q1", "q2"]
        assert page["results"][0]["input"] == {"text": "another"}
        bad = await client.post("/datasets", json=given | {"content": content + "{"})
        assert (code(bad), bad.json()["error"]["param"]) == ((422, "invalid_example"), "row 4")
        assert (await client.delete(f"/datasets/{first['id']}")).status_code == 204
        assert code(await client.get(f"/datasets/{first['id']}")) == (404, "dataset_not_found")


@ON_SQLITE
async def test_answers_without_a_known_price_are_counted_beside_what_is_spent(place: Place) -> None:
    async with place.caller() as client:
        await client.post("/datasets", json=questions())
        priced = await place.ran(client, definition=SUITE)
        other = await place.ran(client, definition=SUITE + "target: {alias: unpriced}\n")
        assert (priced["unpriced"], priced["spent_usd"] > 0) == (0, True)
        assert (other["unpriced"], other["spent_usd"]) == (3, 0)


@ON_SQLITE
async def test_a_suite_is_kept_run_and_its_runs_are_compared(place: Place) -> None:
    async with place.caller() as client:
        await client.post("/datasets", json=questions(8))
        assert (await client.post("/suites", json={"definition": SUITE})).status_code == 201
        assert (await client.get("/suites/hello")).json()["definition"] == SUITE
        assert code(await client.post("/suites", json={"definition": SUITE + "x: 1"})) == (422, "invalid_suite")
        first = await place.ran(client, suite="hello")
        assert (first["state"], first["passed"], first["progress"]) == ("succeeded", True, {"done": 8, "total": 8})
        assert first["metrics"]["exact_match"]["mean"] == 1
        place.provider.always(Reply(text="no"))
        second = await place.ran(client, definition=SUITE, reuse=False, baseline=first["id"])
        assert (second["passed"], second["thresholds"][0]["reasons"]) == (False, ["below_min"])
        assert second["baseline"]["exact_match"]["verdict"] == "worse", "shown, though no threshold asks for it"
        results = (await client.get(f"/runs/{second['id']}/results", params={"limit": 5})).json()
        assert [row["output"] for row in results["results"]] == ["no"] * 5
        assert results["results"][0]["scores"]["exact_match"]["value"] == 0
        pair = {"a": first["id"], "b": second["id"]}
        found = (await client.get("/comparisons", params=pair)).json()["comparisons"][second["id"]]["exact_match"]
        assert (found["verdict"], found["difference"], found["n"]) == ("worse", -1, 8)
        rows = (await client.get("/comparisons/examples", params=pair | {"metric": "exact_match", "limit": 3})).json()
        assert rows["results"][0]["outputs"] == {first["id"]: Reply().text, second["id"]: "no"}
        assert rows["next_cursor"] is not None
        listed = (await client.get("/runs", params={"suite": "hello", "limit": 1})).json()
        assert [row["id"] for row in listed["results"]] == [second["id"]]
        await client.post("/datasets", json=questions(9))
        again = await client.post("/runs", json={"definition": SUITE, "baseline": first["id"]})
        assert (code(again), again.json()["error"]["param"]) == ((422, "other_dataset"), "baseline")
        other = await place.ran(client, definition=SUITE)
        assert code(await client.get("/comparisons", params={"a": first["id"], "b": other["id"]})) == (422, "other_dataset")
        await client.delete(f"/runs/{other['id']}")
        assert (await client.delete(f"/runs/{first['id']}")).status_code == 204
        assert code(await client.get("/comparisons", params=pair)) == (404, "run_not_found")


@ON_SQLITE
async def test_what_cannot_be_run_is_refused_before_anything_is_asked(place: Place) -> None:
    async with place.caller() as client:
        assert code(await client.post("/runs", json={"definition": SUITE})) == (404, "dataset_not_found")
        await client.post("/datasets", json=questions())
        refused = {
            "suite_not_found": {"suite": "nothing"},
            "model_not_found": {"definition": SUITE, "alias": "nothing"},
            "unknown_metric": {"definition": SUITE.replace("exact_match", "vibes")},
            "invalid_metric": {"definition": SUITE.replace("[exact_match]", "[{name: exact_match, options: {x: 1}}]")},
            "baseline_needed": {"definition": SUITE.replace("min: 1", "not_worse_than_baseline: true")},
            "run_not_found": {"definition": SUITE, "baseline": "run_x"},
            "invalid_request": {},
        }
        found = {name: (await client.post("/runs", json=body)).json()["error"]["code"] for name, body in refused.items()}
        assert found == {name: name for name in refused}
        running = (await client.post("/runs", json={"definition": SUITE})).json()
        assert code(await client.delete(f"/datasets/{running['dataset_id']}")) == (409, "dataset_in_use")
        assert code(await client.delete(f"/runs/{running['id']}")) == (409, "run_not_ended")
        assert code(await client.post(f"/runs/{running['id']}/resume", json={})) == (409, "run_not_ended")
        cancelled = (await client.post(f"/runs/{running['id']}/cancel")).json()
        assert cancelled["state"] == "cancelled"
        assert (await client.post(f"/runs/{running['id']}/resume", json={})).status_code == 202
        await run_evaluation(place.desk.context, running["id"])
        assert (await client.get(f"/runs/{running['id']}")).json()["scored"] == 3
        assert code(await client.post(f"/runs/{running['id']}/resume", json={})) == (409, "run_complete")
    without = replace(SYSTEM, scopes=frozenset({Scope.EVALS_RUN, Scope.EVALS_READ, Scope.EVALS_MANAGE}))
    async with place.caller(without) as client:
        assert code(await client.post("/runs", json={"definition": SUITE})) == (403, "forbidden")


@ON_SQLITE
@pytest.mark.parametrize(
    "metric",
    [
        "{name: rubric, options: {judge: judge, rubric: Be kind.}}",
        "{name: preference, options: {judge: judge}}",
        "{name: faithfulness, options: {judge: judge}}",
        "embedding_similarity",
        "relevance",
    ],
    ids=["rubric", "preference", "faithfulness", "similarity", "relevance"],
)
async def test_a_key_for_one_model_has_no_other_asked_by_a_metric(place: Place, metric: str) -> None:
    body = {"definition": f"name: hello\ndataset: questions\nmetrics: [{metric}]\n"}
    narrow = replace(DEVELOPER, models=frozenset({"default"}))
    no_chat = frozenset({Scope.CHAT_INVOKE, Scope.EMBEDDINGS_INVOKE})
    unable = replace(DEVELOPER, scopes=DEVELOPER.scopes - no_chat)
    async with place.caller(narrow) as client:
        await client.post("/datasets", json=questions())
        refused = await client.post("/runs", json=body)
        assert (code(refused), refused.json()["error"]["param"]) == ((403, "model_not_allowed"), "metrics")
    async with place.caller(unable) as client:
        assert code(await client.post("/runs", json=body | {"alias": "judge"})) == (403, "forbidden")
    async with place.caller(DEVELOPER) as client:
        made = await client.post("/runs", json=body)
        assert made.status_code == 202
        await client.post(f"/runs/{made.json()['id']}/cancel")
        await run_evaluation(place.desk.context, made.json()["id"])
    async with place.caller(narrow) as client:
        assert code(await client.post(f"/runs/{made.json()['id']}/resume", json={})) == (403, "model_not_allowed")
    assert place.provider.sent == []


@ON_SQLITE
async def test_a_dataset_of_sessions_has_no_personal_data_and_only_ones_own(place: Place) -> None:
    kept = Conversations(place.desk.database)
    said = [User(content="I am reached at jane.doe@example.com"), Assistant(content="Noted."), User(content="Thanks")]
    await kept.append(SYSTEM, "mine", said)
    await kept.append(replace(SYSTEM, id="other"), "theirs", [User(content="Hello"), Assistant(content="Hi")])
    async with place.caller() as client:
        made = (await client.post("/datasets/from-sessions", json={"name": "prod"})).json()
        (row,) = (await client.get(f"/datasets/{made['id']}/examples")).json()["results"]
        assert (made["source"], row["expected"]) == ("sessions", "Noted.")
        assert row["input"]["messages"] == [{"role": "user", "content": "I am reached at <EMAIL_ADDRESS>"}]
        every = (await client.post("/datasets/from-sessions", json={"name": "all", "everybodys": True})).json()
        assert every["examples"] == 2
    async with place.caller(DEVELOPER) as client:
        asked = {"name": "all", "everybodys": True}
        assert code(await client.post("/datasets/from-sessions", json=asked)) == (403, "forbidden")
        assert code(await client.post("/datasets/from-sessions", json={"name": "none"})) == (422, "dataset_empty")
        assert (await client.get("/datasets")).json()["results"] == []
    async with place.caller() as client:
        client.headers[HEADER] = "none"
        assert code(await client.post("/datasets/from-sessions", json={"name": "prod"})) == (422, "nothing_kept")
        assert code(await client.post("/runs", json={"definition": SUITE})) == (422, "nothing_kept")


@ON_SQLITE
async def test_datasets_and_runs_tell_what_collections_said_to_no_key_that_is_not_for_them(
    place: Place,
) -> None:
    kept = Conversations(place.desk.database)
    said = [User(content="What is it called?"), Assistant(content="Canary.")]
    await kept.append(DEVELOPER, "asked", said, capability="rag", collection="secrets")
    await kept.append(DEVELOPER, "chatted", said)
    async with place.caller(DEVELOPER) as client:
        given = {"name": "asked", "capability": "rag"}
        asked = (await client.post("/datasets/from-sessions", json=given)).json()["id"]
        chatted = (await client.post("/datasets/from-sessions", json={"name": "chatted"})).json()["id"]
        run = (await place.ran(client, definition=SUITE.replace("questions", "asked")))["id"]
    narrow = replace(DEVELOPER, collections=frozenset({"others"}))
    unread = replace(DEVELOPER, scopes=frozenset({Scope.EVALS_READ, Scope.EVALS_RUN}))
    for principal in (narrow, unread):
        async with place.caller(principal) as client:
            assert [row["id"] for row in (await client.get("/datasets")).json()["results"]] == [chatted]
            assert (await client.get("/runs")).json()["results"] == []
            for path in (f"/datasets/{asked}", f"/datasets/{asked}/examples", f"/datasets/{asked}/export"):
                assert code(await client.get(path)) == (404, "dataset_not_found")
            assert code(await client.get(f"/runs/{run}/results")) == (404, "run_not_found")
    async with place.caller(narrow) as client:
        given = {"definition": SUITE.replace("questions", "asked")}
        assert code(await client.post("/runs", json=given)) == (404, "dataset_not_found")
        target = "{capability: rag, parameters: {collection: others}}"
        asks = f"name: asks\ndataset: chatted\ntarget: {target}\nmetrics: [exact_match]\n"
        assert code(await client.post("/runs", json={"definition": asks})) == (403, "collection_not_allowed")


@ON_SQLITE
async def test_a_candidate_is_evaluated_and_approved_before_it_is_deployed(place: Place) -> None:
    registry = Registry(place.desk.database)
    for tokens in (5, 6):
        deployments = [{"provider": "openai", "model": MODEL}]
        made = ModelAlias.model_validate({"alias": "default", "deployments": deployments, "parameters": {"max_tokens": tokens}})
        await registry.add_model(SYSTEM, made, reason="")
    await registry.deploy(SYSTEM, Registered.MODEL, "default", 1, reason="")
    async with place.caller() as client:
        await client.post("/datasets", json=questions())
        run = await place.ran(client, definition=SUITE, alias="default@2")
        assert (run["registry_version"], run["version"][:2], run["alias"]) == (2, "2-", "default")
        assert {sent.body.get("max_completion_tokens", sent.body.get("max_tokens")) for sent in place.provider.sent} == {6}
        assert code(await client.post(f"/runs/{run['id']}/approve", json={"metric": "f1"})) == (422, "no_score")
        told = (await client.post(f"/runs/{run['id']}/approve", json={"metric": "exact_match"})).json()
        assert told == {"alias": "default", "version": 2, "state": "candidate", "evaluation": run["id"], "score": 1}
        live = await place.ran(client, definition=SUITE.replace("min: 1", "max: 0"), version=1)
        assert (live["registry_version"], live["reused"], live["passed"]) == (1, 0, False)
        assert code(await client.post(f"/runs/{live['id']}/approve", json={})) == (409, "run_not_passed")
        asked = {"definition": SUITE, "alias": "default@x"}
        assert code(await client.post("/runs", json=asked)) == (422, "invalid_suite")
        assert code(await client.post("/runs", json={"definition": SUITE, "version": 7})) == (404, "version_not_found")
    await registry.add_model(SYSTEM, made.model_copy(update={"strategy": "cost"}), reason="")
    async with place.caller(replace(SYSTEM, tenant="others")) as client:
        await client.post("/datasets", json=questions())
        assert code(await client.post("/runs", json={"definition": SUITE, "version": 3})) == (403, "operators_only")
        assert (await client.post("/runs", json={"definition": SUITE, "version": 2})).status_code == 202
    async with place.caller(DEVELOPER) as client:
        assert (await client.post(f"/runs/{run['id']}/approve", json={})).status_code == 403
