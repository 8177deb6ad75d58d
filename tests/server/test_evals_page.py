"""The pages of evaluations: datasets and suites by their forms, a run and its examples, two runs beside each other; who may."""

import json
from typing import Any

import pytest

from core.database import Database
from core.principals import SYSTEM, Role
from core.settings import Settings
from core.tables import EvalResult, EvalRun, Job, Registered
from providers.registry.seeding import seed
from providers.registry.store import Registry
from server.access.keys import KeyRights
from server.routes import evals_page, evaluation_runs, evaluations
from server.routes.evals_page import effects
from tests.server.administration import FOREIGN_SITE, api, get, key_of, problem, send, sign_in, with_pages
from tests.server.conftest import ON_SQLITE, Guarded

CONTENT = '{"input": {"text": "one"}, "expected": "1"}\n{"input": {"text": "two"}, "expected": "2"}'
SUITE = "name: numbers\ndataset: numbers\nmetrics: [exact_match]\n"


@pytest.fixture
async def here(guarded: Guarded, settings: Settings) -> Guarded:
    for module in (evaluations, evaluation_runs, evals_page):
        guarded.app.include_router(module.router)
    with_pages(guarded, settings)
    await sign_in(guarded)
    return guarded


async def run(database: Database, name: str, *values: float | None) -> None:
    """A run that has ended, with an example for each value."""
    signature = {"signature": "exact", "higher_is_better": True, "unmeasured": {}, "measured": len(values), "mean": 0.5}
    signature["together"] = {"kappa": 0.75, "kappa_low": None}
    definition = json.dumps({"name": "numbers", "dataset": "numbers", "metrics": [{"name": "exact_match"}]}).encode()
    of_run: dict[str, Any] = {"suite": "numbers", "dataset_id": "ds_1", "dataset_digest": "0" * 64, "capability": "chat"}
    of_run |= {"alias": "default", "definition": definition, "state": "succeeded", "total": len(values), "scored": len(values)}
    async with database.transaction("default") as session:
        job = Job(tenant="default", kind="evaluation", owner="x", state="succeeded", arguments={})
        session.add(job)
        await session.flush()
        kept = {"summary": {"metrics": {"exact_match": signature}}, "job_id": job.id}
        session.add(EvalRun(id=name, tenant="default", owner="x", principal={}, **of_run, **kept))
        await session.flush()
        for number, value in enumerate(values, start=1):
            example = {"id": str(number), "input": {}, "expected": None, "context": [], "labels": {}}
            outcome: dict[str, Any] = dict.fromkeys(("error", "cost_usd", "latency_s", "first_token_s", "input_tokens"))
            outcome |= {"output": f"<i>{name}-{number}</i>", "answer": {}, "output_tokens": None}
            score = {"value": value, "why": None if value is not None else "no_answer"}
            row = {"run_id": name, "number": number, "example_id": str(number), "state": "scored"}
            content = json.dumps({"example": example, "outcome": outcome}).encode()
            session.add(EvalResult(**row, scores={"exact_match": score}, outcome=content))


@ON_SQLITE
async def test_datasets_and_suites_are_kept_by_their_forms(here: Guarded) -> None:
    assert (await send(here, "/evals", act="dataset", name="numbers", format="jsonl", content=CONTENT)).status_code == 303
    assert (await send(here, "/evals", act="suite", definition=SUITE)).status_code == 303
    page = (await get(here, "/evals")).text
    assert "version 1, 2 examples" in page
    assert "Run a suite" in page
    broken = await send(here, "/evals", act="suite", definition="metrics: [")
    assert broken.status_code == 422
    assert problem(broken)
    assert (await send(here, "/evals", act="run", suite="nothing")).status_code == 404
    assert (await send(here, "/evals", act="delete-suite", of="numbers")).status_code == 303
    assert (await api(here, "GET", "/evals/suites")).json()["results"] == []
    await sign_in(here, await key_of(here, Role.ANALYST))
    assert "Keep a suite" not in (await get(here, "/evals")).text
    assert (await send(here, "/evals", act="suite", definition=SUITE)).status_code == 403
    await sign_in(here, await key_of(here, Role.USER))
    assert (await get(here, "/evals")).status_code == 403


@ON_SQLITE
async def test_a_run_shows_its_examples_and_stands_beside_another(here: Guarded, database: Database) -> None:
    await run(database, "run_a", 0.0, 1.0, None)
    await run(database, "run_b", 1.0, 1.0, 1.0)
    page = (await get(here, "/evals/runs/run_a")).text
    assert "&lt;i&gt;run_a-1&lt;/i&gt;" in page
    assert "unmeasured, no answer" in page
    assert "kappa 0.75, kappa low not known" in page
    beside = (await get(here, "/evals/compare?a=run_a&b=run_b")).text
    assert "inconclusive" in beside
    changes = beside.partition('id="examples"')[2]
    assert changes.index("run_b-1") < changes.index("run_b-2") < changes.index("run_b-3")
    assert (await get(here, "/evals/compare?a=run_a&b=nothing")).status_code == 404
    assert (await send(here, "/evals/runs/run_a", act="delete")).headers["location"] == "/evals?done=deleted"
    assert (await get(here, "/evals/runs/run_a")).status_code == 404
    await sign_in(here, await key_of(here, tenant="acme"))
    assert (await get(here, "/evals/runs/run_b")).status_code == 404


@ON_SQLITE
async def test_a_run_that_has_passed_approves_its_version_by_its_page(
    here: Guarded, settings: Settings, database: Database
) -> None:
    await seed(database, settings.aliases)
    for name, passed in (("run_a", True), ("run_b", False), ("run_c", True)):
        await run(database, name, 1.0)
        async with database.transaction("default") as session:
            kept = await session.get_one(EvalRun, name)
            kept.passed, kept.pins = passed, {"aliases": {} if name == "run_c" else {"default": 1}, "prompts": {}}
    form = {"act": "approve", "metric": "exact_match", "reason": "<b>It holds.</b>"}
    assert "Approve the version" in (await get(here, "/evals/runs/run_a")).text
    assert "Approve the version" not in (await get(here, "/evals/runs/run_b")).text
    refused = await send(here, "/evals/runs/run_b", **form)
    assert (refused.status_code, "thresholds all hold" in problem(refused)) == (409, True)
    unmeasured = await send(here, "/evals/runs/run_a", act="approve", metric="f1")
    assert (unmeasured.status_code, "'f1'" in problem(unmeasured)) == (422, True)
    assert (await send(here, "/evals/runs/run_c", **form)).status_code == 404  # a version that is not in the registry
    forged = await here.client.post("/evals/runs/run_a", data=form, headers=FOREIGN_SITE)
    assert forged.status_code == 403
    assert (await send(here, "/evals/runs/run_a", **form)).headers["location"] == "/evals/runs/run_a?done=approve"
    version = await Registry(database).version(Registered.MODEL, "default", 1)
    assert (version.evaluation, version.score) == ("run_a", 0.5)
    page = (await get(here, "/evals/runs/run_a?done=approve")).text
    assert "The run has approved the version." in page
    assert "Approve the version" not in page
    analyst, key = await here.access.keys.create(SYSTEM, "analyst", KeyRights(Role.ANALYST))
    await run(database, "run_d", 1.0)
    async with database.transaction("default") as session:
        kept = await session.get_one(EvalRun, "run_d")
        kept.owner, kept.passed, kept.pins = analyst.id, True, {"aliases": {"default": 1}, "prompts": {}}
    await sign_in(here, key)
    assert "Approve the version" not in (await get(here, "/evals/runs/run_d")).text
    refused = await send(here, "/evals/runs/run_d", **form)
    assert (refused.status_code, "models:deploy" in problem(refused)) == (403, True)


def test_effects_are_shares_of_the_first_run_where_that_has_any() -> None:
    told = {"low": -1.0, "difference": 1.0, "high": 3.0, "mean_a": 2.0}
    known, of_nothing, unknown = effects({"a": told, "b": told | {"mean_a": 0.0}, "c": told | {"low": None}}).intervals
    assert (known.low, known.point, known.high) == (-0.5, 0.5, 1.5)
    assert of_nothing.point is None
    assert unknown.point is None
