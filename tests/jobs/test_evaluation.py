"""Runs of suites on a real worker, database and broker; the model's provider is a fake at the wire."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select, update

from core import ledger
from core.database import Database
from core.errors import InvalidRequest
from core.jobs import Jobs
from core.principals import SYSTEM
from core.settings import Deployment, ModelAlias, ProviderSettings, Settings
from core.tables import EvalResult, EvalRun, JobState, LedgerRow, Registered, ResultState, RunState
from evals.base import Example, Outcome
from evals.datasets import Datasets
from evals.metrics import METRICS
from evals.run_steps import Answered, RunLease
from evals.run_work import RunWork
from evals.runs import QUEUE, RUN_EVALUATION, Runs, definition_place
from evals.suites import suite_of
from jobs.evaluation import run_evaluation
from jobs.patience import MOST_IN_VAIN
from providers.models import Models
from providers.registry.store import Registry
from tests.core.ledger.test_writer import entry
from tests.desks import Desk, eventually, opened
from tests.fakes.openai import OpenAIFake
from tests.fakes.wire import Fault, Reply

DEPLOYMENT = Deployment.model_validate(
    {
        "provider": "openai_compatible:fake",
        "model": "gpt-4o-mini",
        "price": {"input_usd_per_million": 1, "output_usd_per_million": 1},
    }
)
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def provider() -> Iterator[OpenAIFake]:
    with OpenAIFake() as fake:
        yield fake


@pytest.fixture
async def place(database: Database, settings: Settings, provider: OpenAIFake) -> AsyncIterator[Desk]:
    url = database.engine.url.render_as_string(hide_password=False).replace("sqlite+aiosqlite", "sqlite")
    configured = Settings.load(
        data_dir=Path(settings.data_dir),
        database_url=url,
        providers={"openai_compatible:fake": ProviderSettings(base_url=provider.base_url, api_key="sk-test")},
        models=tuple(ModelAlias(alias=name, deployments=(DEPLOYMENT,)) for name in ("default", "judge")),
        jobs={"lease_s": 2},
        evaluations={"concurrency": 2},
    )
    models = Models(configured)
    async with opened(configured, database, models) as ready:
        yield ready
    await models.close()


def examples(count: int) -> list[Example]:
    return [Example(f"ex-{number}", {"text": f"question {number}"}, Reply().text) for number in range(1, count + 1)]


async def begin(desk: Desk, count: int = 5, **changes: Any) -> EvalRun:
    dataset = await Datasets(desk.database).add(SYSTEM, "questions", examples(count))
    made = {"name": "answers", "dataset": "questions", "metrics": ["exact_match"]} | changes
    return await Runs(desk.database).create(SYSTEM, suite_of(made), dataset)


async def shown(desk: Desk, run: EvalRun) -> EvalRun:
    return await Runs(desk.database).get(SYSTEM, run.id)


async def over(desk: Desk, run: EvalRun) -> EvalRun | None:
    """The run once it has ended."""
    row = await shown(desk, run)
    return row if RunState(row.state).finished else None


async def rows(desk: Desk, run: EvalRun) -> list[EvalResult]:
    async with desk.database.session(SYSTEM.tenant) as session:
        query = select(EvalResult).where(EvalResult.run_id == run.id).order_by(col(EvalResult.number))
        return list((await session.exec(query)).all())


def asked(provider: OpenAIFake) -> list[str]:
    return sorted(sent.body["messages"][-1]["content"] for sent in provider.sent if sent.body.get("messages"))


async def test_every_example_is_asked_once_scored_and_paid_for(place: Desk, provider: OpenAIFake) -> None:
    run = await begin(place, thresholds=[{"metric": "exact_match", "min": 1}])
    with place.worker():
        await place.queue.send(RUN_EVALUATION, run.id, queue=QUEUE)
        run = await eventually(lambda: over(place, run))
    assert (run.state, run.scored, run.failed, run.interrupted, run.passed) == (RunState.SUCCEEDED, 5, 0, 0, True)
    assert asked(provider) == [f"question {number}" for number in range(1, 6)]
    assert run.summary["metrics"]["exact_match"]["mean"] == 1
    job = await Jobs(place.database).get(SYSTEM, run.job_id)
    assert (job.state, job.done, job.result) == (JobState.SUCCEEDED, 5, {"run": run.id, "passed": True})
    found = await rows(place, run)
    assert run.spent_usd == sum(row.cost_usd for row in found if row.cost_usd is not None) > 0
    assert b"question" not in (found[0].outcome or b"")


@ON_SQLITE
async def test_a_metric_that_exits_ends_neither_the_run_nor_the_worker(place: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, target in {"exits": "Exits", "exits_in_a_task": "ExitsInATask"}.items():
        monkeypatch.setitem(METRICS._targets, name, f"tests.fakes.metrics:{target}")
    run = await begin(place, metrics=["exact_match", "exits", "exits_in_a_task"])
    with place.worker() as worker:
        await place.queue.send(RUN_EVALUATION, run.id, queue=QUEUE)
        run = await eventually(lambda: over(place, run))
        assert worker.works
        assert [task for task in worker._background if task.done() and task.exception()] == []
    assert (run.state, run.scored) == (RunState.SUCCEEDED, 5)
    told = run.summary["metrics"]
    assert told["exact_match"]["mean"] == 1
    for name in ("exits", "exits_in_a_task"):
        assert (told[name]["unmeasured"], told[name]["corpus"], told[name]["together"]) == ({"metric_failed": 5}, None, {})


async def test_what_a_killed_worker_had_asked_is_not_asked_again(place: Desk, provider: OpenAIFake) -> None:
    run = await begin(place, 4)
    work = RunWork(place.database, lease_s=30)
    lease = await work.take(run.id)
    assert lease is not None
    some = await work.next_ones(lease, after=0, limit=4)
    await work.begin(lease, [one.row for one in some[:3]])
    await work.sending(lease, [1, 2])
    outcome = Answered(2, (await answered_by_hand(some[1].example)), Decimal("0.5"))
    await work.answered(lease, [outcome])
    await work.waiting(all_of_them=True)  # its worker is gone, with example 1 asked, 2 answered and 3 about to be asked
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert asked(provider) == ["question 3", "question 4"]
    assert [row.state for row in await rows(place, run)] == [ResultState.INTERRUPTED, *[ResultState.SCORED] * 3]
    assert (run.state, run.scored, run.interrupted) == (RunState.SUCCEEDED, 3, 1)
    assert run.summary["metrics"]["exact_match"]["unmeasured"] == {"interrupted": 1}
    assert run.spent_usd == sum((row.cost_usd for row in await rows(place, run) if row.cost_usd), Decimal(0))


async def answered_by_hand(example: Example) -> Outcome:
    return Outcome(example, Reply().text, cost_usd=Decimal("0.5"))


@ON_SQLITE
async def test_an_answer_is_counted_once_however_often_it_is_written(place: Desk) -> None:
    run = await begin(place, 1)
    work = RunWork(place.database, lease_s=30)
    lease = await work.take(run.id)
    assert lease is not None
    answered = Answered(1, await answered_by_hand(examples(1)[0]), Decimal("0.5"))
    assert await work.answered(lease, [answered])
    assert await work.answered(lease, [answered])
    assert (await shown(place, run)).spent_usd == Decimal("0.5")
    await work.waiting(all_of_them=True)
    assert not await work.answered(lease, [answered])  # another has the run


@ON_SQLITE
async def test_a_run_ends_at_its_cap_and_goes_on_with_a_greater_one(place: Desk, provider: OpenAIFake) -> None:
    first = await begin(place, 1)
    await run_evaluation(place.context, first.id)
    dearest = (await shown(place, first)).spent_usd
    cap = dearest * 2 + dearest / 2
    run = await begin(place, 4, run={"max_cost_usd": str(cap.quantize(Decimal("0.000001"))), "reuse": False})
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.error_code, run.scored) == (RunState.FAILED, "cost_cap_reached", 2)
    assert run.spent_usd <= run.max_cost_usd
    assert run.summary["metrics"]["exact_match"]["measured"] == 2
    assert (await Jobs(place.database).get(SYSTEM, run.job_id)).state == JobState.FAILED
    before = len(provider.sent)
    await Runs(place.database).resume(SYSTEM, run.id, max_cost_usd=None, repeat=())
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.error_code, run.scored) == (RunState.FAILED, "cost_cap_reached", 2)
    assert len(provider.sent) == before, "the dearest answer so far has no room, and is on record"
    with pytest.raises(InvalidRequest) as refused:
        await Runs(place.database).resume(SYSTEM, run.id, max_cost_usd=run.spent_usd, repeat=())
    assert refused.value.message.removeprefix("The run has spent $").partition(":")[0] == f"{run.spent_usd:f}".rstrip("0")
    await Runs(place.database).resume(SYSTEM, run.id, max_cost_usd=cap * 10, repeat=())
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.error_code, run.scored) == (RunState.SUCCEEDED, None, 4)
    assert len(provider.sent) == before + 2


@ON_SQLITE
async def test_an_earlier_runs_answers_count_unless_the_suite_wants_new_ones(place: Desk, provider: OpenAIFake) -> None:
    first = await begin(place, 3)
    await run_evaluation(place.context, first.id)
    again = await begin(place, 3)
    await run_evaluation(place.context, again.id)
    again = await shown(place, again)
    assert (again.cached, again.spent_usd, again.scored, len(provider.sent)) == (3, 0, 3, 3)
    assert {row.reused_from for row in await rows(place, again)} == {first.id}
    other = await begin(place, 3, target={"parameters": {"max_tokens": 7}})
    await run_evaluation(place.context, other.id)
    fresh = await begin(place, 3, run={"reuse": False})
    await run_evaluation(place.context, fresh.id)
    assert ((await shown(place, other)).cached, (await shown(place, fresh)).cached, len(provider.sent)) == (0, 0, 9)
    work = RunWork(place.database, lease_s=30)
    (key,) = {row.reuse_key for row in (await rows(place, first))[:1]}
    lease = RunLease("x", fresh, replace(SYSTEM, id="other", scopes=frozenset()))
    assert key is not None
    assert await work.reusable(lease, key, examples(1)[0]) is None  # another's runs are not theirs


@ON_SQLITE
async def test_an_example_without_an_answer_is_unmeasured_and_fails_its_threshold(place: Desk, provider: OpenAIFake) -> None:
    provider.then(Fault.INVALID, Reply())
    run = await begin(place, 2, run={"concurrency": 1}, thresholds=[{"metric": "exact_match", "min": 0}])
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    figures = run.summary["metrics"]["exact_match"]
    assert (run.failed, run.scored, figures["mean"], figures["measured"]) == (1, 1, 1, 1)
    assert sum(figures["unmeasured"].values()) == 1
    assert (run.passed, run.summary["thresholds"][0]["reasons"]) == (False, ["unmeasured"])


@ON_SQLITE
async def test_a_run_tells_how_far_its_judge_can_be_trusted(place: Desk, provider: OpenAIFake) -> None:
    rows = [Example(f"ex-{grade}", {"text": f"question {grade}"}, "other", labels={"human": str(grade)}) for grade in (1, 5)]
    dataset = await Datasets(place.database).add(SYSTEM, "graded", rows)
    rubric = {"judge": "judge", "rubric": "Be kind.", "repeats": 2, "label": "human"}
    metrics = [{"name": "rubric", "options": rubric}, {"name": "preference", "options": {"judge": "judge"}}]
    suite = suite_of({"name": "graded", "dataset": "graded", "metrics": metrics, "run": {"concurrency": 1}})
    run = await Runs(place.database).create(SYSTEM, suite, dataset, version="1")
    first = [Reply(text='{"reason": "", "better": "first"}')] * 2
    for grades in ((1, 1), (5, 3)):
        provider.then(Reply(text="Hi"), *(Reply(text=f'{{"reason": "", "grade": {grade}}}') for grade in grades), *first)
    await run_evaluation(place.context, run.id)
    figures = (await shown(place, run)).summary["metrics"]
    assert figures["preference"]["together"] == {"flipped": 1}
    told = figures["rubric"]["together"]
    assert (told["variance"], told["agreement_n"], set(told)) == (
        1,
        2,
        {"variance", "kappa", "kappa_low", "kappa_high", "agreement_n"},
    )
    assert 0 < told["kappa"] < 1


@ON_SQLITE
async def test_a_run_for_whom_may_not_ask_its_judge_asks_nothing(place: Desk, provider: OpenAIFake) -> None:
    dataset = await Datasets(place.database).add(SYSTEM, "questions", examples(1))
    judged = {"name": "rubric", "options": {"judge": "judge", "rubric": "Be kind."}}
    suite = suite_of({"name": "answers", "dataset": "questions", "metrics": [judged]})
    unable = replace(SYSTEM, models=frozenset({"default"}))
    run = await Runs(place.database).create(unable, suite, dataset, version="1")
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.error_code, provider.sent) == (RunState.CANCELLED, "access_revoked", [])


@ON_SQLITE
async def test_a_run_of_a_suite_that_may_not_be_so_any_more_ends_and_can_be_read(place: Desk) -> None:
    run = await begin(place, 1)
    kept = b'{"name": "answers", "dataset": "questions", "metrics": [], "thresholds": [{"metric": "x", "min": null}]}'
    sealed = await place.database.keyring.seal(definition_place(run.tenant, run.id), kept)
    async with place.database.transaction(run.tenant) as session:
        await session.exec(update(EvalRun).where(col(EvalRun.id) == run.id).values(definition=sealed))
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.error_code) == (RunState.FAILED, "invalid_suite")
    assert (await Jobs(place.database).get(SYSTEM, run.job_id)).state == JobState.FAILED
    assert (await Runs(place.database).definition(run))["thresholds"] == [{"metric": "x", "min": None}]


@ON_SQLITE
async def test_its_calls_are_in_the_ledger_as_evaluation_one_an_example(place: Desk) -> None:
    run = await begin(place, 3)
    book = ledger.Ledger(place.settings)
    ledger.connect(book)
    try:
        await run_evaluation(place.context, run.id)
    finally:
        ledger.connect(None)
        await asyncio.to_thread(book.close)
    async with place.database.session(SYSTEM.tenant) as session:
        found = list((await session.exec(select(LedgerRow))).all())
    assert {row.capability for row in found} == {"evaluation"}
    assert sorted(row.request_id for row in found) == [f"{run.id}-{number}" for number in (1, 2, 3)]
    assert sum(row.cost_usd or 0 for row in found) == (await shown(place, run)).spent_usd


@ON_SQLITE
async def test_a_cancelled_run_keeps_what_it_has(place: Desk, provider: OpenAIFake) -> None:
    run = await begin(place, 3)
    await Runs(place.database).cancel(SYSTEM, run.id)
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.passed, len(provider.sent)) == (RunState.CANCELLED, None, 0)
    assert (await Jobs(place.database).get(SYSTEM, run.job_id)).state == JobState.CANCELLED


async def test_a_run_that_nobody_has_begun_is_cancelled_at_once(place: Desk, provider: OpenAIFake) -> None:
    run = await begin(place)
    cancelled = await Runs(place.database).cancel(SYSTEM, run.id)
    assert (cancelled.state, cancelled.ended_at is None, cancelled.summary) == (RunState.CANCELLED, False, {})
    assert (await Jobs(place.database).get(SYSTEM, run.job_id)).state == JobState.CANCELLED
    await run_evaluation(place.context, run.id)  # the message that is still in the queue
    assert provider.sent == []
    await Runs(place.database).resume(SYSTEM, run.id, max_cost_usd=None, repeat=())
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.scored) == (RunState.SUCCEEDED, 5)


@ON_SQLITE
async def test_a_run_of_a_dead_provider_ends_soon_and_goes_on_later(
    place: Desk, provider: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.patience.PATIENCE_S", 0.0)
    monkeypatch.setattr("jobs.patience.FIRST_PAUSE_S", 0.0)
    provider.always(Fault.SERVER)
    run = await begin(place, 60, thresholds=[{"metric": "exact_match", "min": 0}])
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.error_code, run.passed, run.scored) == (RunState.FAILED, "provider_failed", False, 0)
    assert MOST_IN_VAIN <= run.failed <= MOST_IN_VAIN + 2, "two are asked at once"
    told = run.summary["metrics"]["exact_match"]["unmeasured"]
    assert told == {"provider_failed": run.failed, "not_reached": 60 - run.failed}
    provider.always(Reply())
    monkeypatch.setattr("jobs.patience.PATIENCE_S", 120.0)
    await Runs(place.database).resume(SYSTEM, run.id, max_cost_usd=None, repeat=[ResultState.FAILED])
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.state, run.scored, run.failed) == (RunState.SUCCEEDED, 60, 0)


@ON_SQLITE
async def test_a_run_is_not_worse_than_its_baseline(place: Desk, provider: OpenAIFake) -> None:
    first = await begin(place, 20)
    await run_evaluation(place.context, first.id)
    async with place.database.transaction(SYSTEM.tenant) as session:
        await session.exec(update(EvalResult).values(reuse_key=None))
    provider.always(Reply(text="something else"))
    thresholds = [{"metric": "exact_match", "not_worse_than_baseline": True}]
    run = await begin(place, 20, thresholds=thresholds)
    async with place.database.transaction(SYSTEM.tenant) as session:
        await session.exec(update(EvalRun).where(col(EvalRun.id) == run.id).values(baseline_id=first.id))
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert run.summary["baseline"]["exact_match"]["verdict"] == "worse"
    assert (run.passed, run.summary["thresholds"][0]["reasons"]) == (False, ["worse_than_baseline"])


@ON_SQLITE
async def test_a_worker_that_is_stopped_takes_the_answers_that_it_has_asked_for(place: Desk, provider: OpenAIFake) -> None:
    provider.always(Reply(first_token_s=0.5))
    run = await begin(place, 6)
    working = asyncio.create_task(run_evaluation(place.context, run.id))
    await provider.until(lambda: len(provider.sent) >= 2)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    found = await rows(place, run)
    assert ResultState.SENT not in {row.state for row in found}
    provider.always(Reply())
    await run_evaluation(place.context, run.id)
    assert (await shown(place, run)).scored == 6
    assert asked(provider) == [f"question {number}" for number in range(1, 7)]


def served_by(model: str, *, max_tokens: int = 9) -> ModelAlias:
    deployment = DEPLOYMENT.model_copy(update={"model": model})
    return ModelAlias(alias="default", deployments=(deployment,), parameters={"max_tokens": max_tokens})


async def deployed(desk: Desk, *models: str) -> Registry:
    """A registry with a version for each model, of which the first is live."""
    registry = Registry(desk.database)
    for model in models:
        await registry.add_model(SYSTEM, served_by(model), reason="")
    await registry.deploy(SYSTEM, Registered.MODEL, "default", 1, reason="")
    await desk.library.resources.models.versions.load(desk.database)
    return registry


async def test_a_run_asks_one_version_to_its_end_whatever_is_deployed(place: Desk, provider: OpenAIFake) -> None:
    registry, models = await deployed(place, "old", "new"), place.library.resources.models
    await registry.add_prompt(
        SYSTEM, "evals/rubric.txt", "Grade $rubric $lowest $highest $mark\n---\n$parts, of old", reason=""
    )
    await registry.deploy(SYSTEM, Registered.PROMPT, "evals/rubric.txt", 1, reason="")
    provider.always(Reply(text='{"reason": "", "grade": 3}', first_token_s=0.3))
    judged = {"name": "rubric", "options": {"judge": "judge", "rubric": "Be kind."}}
    run = await begin(place, 4, metrics=[judged], run={"concurrency": 1, "repeat_interrupted": True})
    working = asyncio.create_task(run_evaluation(place.context, run.id))
    await provider.until(lambda: len(provider.sent) >= 2)
    working.cancel()  # its worker ends, and before another begins there is another version, and another prompt
    await asyncio.gather(working, return_exceptions=True)
    await registry.add_prompt(
        SYSTEM, "evals/rubric.txt", "Grade $rubric $lowest $highest $mark\n---\n$parts, of new", reason=""
    )
    await registry.deploy(SYSTEM, Registered.PROMPT, "evals/rubric.txt", 2, reason="")
    await registry.deploy(SYSTEM, Registered.MODEL, "default", 2, reason="")
    await models.versions.load(place.database)
    provider.always(Reply(text='{"reason": "", "grade": 3}'))
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    answers = {sent.body["model"] for sent in provider.sent if sent.body["messages"][-1]["content"].startswith("question")}
    graded = [sent.body["messages"][-1]["content"] for sent in provider.sent if "of new" in str(sent.body["messages"])]
    assert (run.scored, answers, graded) == (4, {"old"}, [])
    assert run.pins["aliases"]["default"] == 1
    assert run.pins["prompts"] == {"evals/rubric.txt": 1}
    assert run.version.startswith("1-")
    again = await begin(place, 4)  # what the old version has answered is no answer of the new one
    await run_evaluation(place.context, again.id)
    again = await shown(place, again)
    assert (again.cached, again.scored, provider.sent[-1].body["model"]) == (0, 4, "new")


@ON_SQLITE
async def test_a_version_that_is_not_deployed_can_be_evaluated(place: Desk, provider: OpenAIFake) -> None:
    await deployed(place, "old", "new")
    run = await begin(place, 2, target={"alias": "default@2"})
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.scored, run.version[:2], {sent.body["model"] for sent in provider.sent}) == (2, "2-", {"new"})
    nothing = await begin(place, 2, target={"alias": "default", "version": 9})
    await run_evaluation(place.context, nothing.id)
    nothing = await shown(place, nothing)
    assert (nothing.state, nothing.error_code) == (RunState.FAILED, "version_not_found")


@ON_SQLITE
async def test_gradings_are_within_the_cap(place: Desk, provider: OpenAIFake) -> None:
    judged = {"name": "rubric", "options": {"judge": "judge", "rubric": "Be kind.", "repeats": 5}}
    provider.always(Reply(text='{"reason": "", "grade": 3}'))
    first = await begin(place, 1, metrics=[judged], run={"reuse": False})
    await run_evaluation(place.context, first.id)
    (row,) = await rows(place, first)
    answer, grading = row.cost_usd or 0, row.grading_usd or 0
    assert 0 < answer < grading
    cap = (answer + grading) * 2 + answer + grading / 5  # for two, and a third's answer with one grade of five
    options = {"max_cost_usd": str(cap.quantize(Decimal("0.000001"))), "reuse": False, "concurrency": 4}
    run = await begin(place, 6, metrics=[judged], run=options)
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.error_code, run.scored) == ("cost_cap_reached", 2)
    assert run.spent_usd <= run.max_cost_usd
    small = options | {"max_cost_usd": str((answer + grading / 5 * 2).quantize(Decimal("0.000001")))}
    tight = await begin(place, 2, metrics=["exact_match", judged], run=small)
    await run_evaluation(place.context, tight.id)
    tight = await shown(place, tight)
    figures = tight.summary["metrics"]
    assert (tight.error_code, tight.scored, figures["exact_match"]["measured"]) == ("cost_cap_reached", 0, 1)
    assert figures["rubric"]["unmeasured"] == {"cost_cap_reached": 1, "not_reached": 1}
    assert tight.spent_usd < answer + grading
    await Runs(place.database).resume(SYSTEM, tight.id, max_cost_usd=Decimal(1), repeat=())
    await run_evaluation(place.context, tight.id)
    tight = await shown(place, tight)
    assert (tight.state, tight.scored) == (RunState.SUCCEEDED, 2)
    assert tight.spent_usd == sum((row.cost_usd or 0) + (row.grading_usd or 0) for row in await rows(place, tight))


@ON_SQLITE
async def test_what_a_judge_costs_is_spent_also_beside_one_without_a_price(place: Desk, provider: OpenAIFake) -> None:
    unpriced = DEPLOYMENT.model_copy(update={"model": "nobody-knows", "price": None})
    registry = Registry(place.database)
    await registry.add_model(SYSTEM, ModelAlias(alias="free", deployments=(unpriced,)), reason="")
    await registry.deploy(SYSTEM, Registered.MODEL, "free", 1, reason="")
    await place.resources.models.versions.load(place.database)
    provider.always(Reply(text='{"reason": "", "grade": 3}'))
    judged = [{"name": "rubric", "label": name, "options": {"judge": name, "rubric": "Be kind."}} for name in ("judge", "free")]
    run = await begin(place, 1, metrics=judged)
    book = ledger.Ledger(place.settings)
    ledger.connect(book)
    try:
        await run_evaluation(place.context, run.id)
    finally:
        ledger.connect(None)
        await asyncio.to_thread(book.close)
    (row,) = await rows(place, run)
    alone = await begin(place, 1, metrics=judged[:1], run={"reuse": False})
    await run_evaluation(place.context, alone.id)
    (priced,) = await rows(place, alone)
    assert 0 < (priced.grading_usd or 0) == row.grading_usd
    assert (await shown(place, run)).spent_usd == (await shown(place, alone)).spent_usd


@ON_SQLITE
async def test_a_grading_that_a_kill_cuts_off_is_told_and_asked_again_on_demand(place: Desk, provider: OpenAIFake) -> None:
    provider.always(Reply(text='{"reason": "", "grade": 3}'))
    judged = {"name": "rubric", "options": {"judge": "judge", "rubric": "Be kind."}}
    run = await begin(place, 2, metrics=["exact_match", judged])
    work = RunWork(place.database, lease_s=30)
    lease = await work.take(run.id)
    assert lease is not None
    some = await work.next_ones(lease, after=0, limit=1)
    await work.begin(lease, [some[0].row])
    await work.answered(lease, [Answered(1, await answered_by_hand(some[0].example), Decimal("0.5"))])
    await work.grading(lease, [1])
    await work.waiting(all_of_them=True)  # its worker is gone, with a judge being asked about example 1
    async with place.database.transaction(SYSTEM.tenant) as session:
        session.add(LedgerRow(**entry(f"{run.id}-1-grading", tenant=SYSTEM.tenant, cost_usd=Decimal("0.25")).row()))
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert [row.state for row in await rows(place, run)] == [ResultState.UNGRADED, ResultState.SCORED]
    assert (run.scored, run.ungraded, run.state) == (1, 1, RunState.SUCCEEDED)
    figures = run.summary["metrics"]
    assert (figures["rubric"]["unmeasured"], figures["exact_match"]["measured"]) == ({"interrupted": 1}, 2)
    assert (await rows(place, run))[0].grading_usd == Decimal("0.25")
    before = len(provider.sent)
    await Runs(place.database).resume(SYSTEM, run.id, max_cost_usd=None, repeat=[ResultState.UNGRADED])
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    assert (run.scored, run.ungraded, len(provider.sent)) == (2, 0, before + 1)
    assert run.summary["metrics"]["rubric"]["measured"] == 2
    assert run.spent_usd == sum((row.cost_usd or 0) + (row.grading_usd or 0) for row in await rows(place, run))


@ON_SQLITE
async def test_the_first_token_is_measured_by_streaming_where_a_suite_asks_for_it(place: Desk, provider: OpenAIFake) -> None:
    await deployed(place, "old")
    run = await begin(place, 2, metrics=["exact_match", "latency"])
    await run_evaluation(place.context, run.id)
    provider.always(Reply(first_token_s=0.2))
    run = await begin(place, 2, metrics=["exact_match", "first_token", "latency"])
    await run_evaluation(place.context, run.id)
    run = await shown(place, run)
    figures = run.summary["metrics"]
    assert (run.cached, figures["first_token"]["unmeasured"], figures["exact_match"]["mean"]) == (0, {}, 1)
    assert 0.2 <= figures["first_token"]["mean"] <= figures["latency"]["mean"]
