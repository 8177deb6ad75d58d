"""A pipeline run for a gate: in this process against what the settings configure, or at a platform that serves."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import httpx
import orjson

from chains.conversations import Conversations
from chains.spec import ChainDeps
from core.contained import contained
from core.context import RequestContext, serving
from core.database import Database
from core.errors import Internal, InvalidRequest, PlatformError
from core.principals import SYSTEM
from core.settings import Settings
from core.tables import EvalRun
from evals.asking import BOOKED_AS, Asker, spent
from evals.base import Example, Outcome
from evals.caps import COST_CAP, Cap, Part, Stopped
from evals.comparisons import Side, compared
from evals.dataset_files import as_jsonl, digest_of
from evals.ending import judged
from evals.gate_report import ExampleReport, Report
from evals.pipelines import Pipeline
from evals.scoring import Scored, Scorer, kept
from evals.suites import Suite
from providers.models import Models

if TYPE_CHECKING:
    from retrievers.library import Library

#: Seconds between two looks at a run of another process.
_LOOK_S = 1.0
_TIMEOUT_S = 60.0


async def run_here(pipeline: Pipeline, settings: Settings, *, baseline: Mapping[str, Any] | None = None) -> Report:
    """Run it in this process. Nothing is kept: no database, no ledger, no budgets of tenants; the suite's cap holds.

    Raises:
        InvalidRequest: `dataset_needed`; `server_needed`: what it asks is in a running platform alone.
    """
    suite = pipeline.suite
    if pipeline.examples is None:
        raise InvalidRequest(f"The dataset {suite.dataset!r} is no file here.", code="dataset_needed", param="dataset")
    if suite.target.capability == "rag" and pipeline.ask is None:
        raise InvalidRequest("Collections are asked of a running platform: give --url.", code="server_needed")
    if suite.target.version is not None and pipeline.ask is None:
        raise InvalidRequest("Versions are in the registry of a running platform: give --url.", code="server_needed")
    if suite.needs_baseline and baseline is None:
        raise InvalidRequest("A threshold asks for a baseline: give --baseline.", code="baseline_needed")
    async with _opened(settings) as (models, deps):
        scorer = await asyncio.to_thread(Scorer.build, suite, models)
        scorer = Scorer({**scorer.plain, **pipeline.metrics}, scorer.asking)
        asker = None if pipeline.ask else await asyncio.to_thread(Asker.build, suite, deps)
        run = _Here(pipeline, scorer, asker, suite.run.concurrency or settings.evaluations.concurrency)
        await run.work()
        line = None if pipeline.ask else models.versions.line(suite.target.alias)
    report = await asyncio.to_thread(run.report, baseline)
    return report if line is None else replace(report, version=line.live.label)


class _Here:
    """One run in this process."""

    def __init__(self, pipeline: Pipeline, scorer: Scorer, asker: Asker | None, at_once: int) -> None:
        self._pipeline, self._scorer, self._asker, self._at_once = pipeline, scorer, asker, at_once
        self._spent = Decimal(0)
        self._priced = True
        self._cap = Cap(pipeline.suite.run.max_cost_usd, lambda: self._spent)
        self._outcomes: dict[str, Outcome] = {}
        self._scores: dict[str, dict[str, dict[str, Any]]] = {}
        self._answered: list[Scored] = []
        self._stopped: str | None = None

    async def work(self) -> None:
        left = iter(self._pipeline.examples or ())

        async def answer_some() -> None:
            for example in left:
                if self._stopped is not None:
                    return
                try:
                    await self._one(example)
                except Stopped as stopped:  # the others end what they have begun
                    self._stopped = str(stopped)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(answer_some())

    async def _one(self, example: Example) -> None:
        parts = [Part.ANSWER, *([Part.GRADING] if self._scorer.asking else [])]
        await self._cap.take(*parts)
        asking, grading = self._request(), self._request()
        grading.before_call = self._checked(grading)
        try:
            outcome = await self._outcome(example, asking)
            self._spend(spent(asking))
            with serving(grading):
                scores = await self._scorer.score(outcome, asking=False) | await self._scorer.score(outcome, asking=True)
            self._spend(spent(grading))
            self._outcomes[example.id] = outcome
            self._answered += [(outcome, scores)] if outcome.error is None else []
            self._scores[example.id] = {label: kept(score) for label, score in scores.items()}
        except BaseException:
            for part in parts:
                await self._cap.leave(part)
            raise
        if outcome.error is not None and spent(asking) == 0:
            for part in parts:
                await self._cap.leave(part)
            return
        costs = {Part.ANSWER: spent(asking), Part.GRADING: spent(grading)}
        for part in parts:
            await self._cap.settle(part, costs[part])
        if any(score.why == COST_CAP for score in scores.values()):
            raise Stopped(COST_CAP)

    def _request(self) -> RequestContext:
        return RequestContext(secrets.token_hex(8), SYSTEM, cache_control="no-store", booked_as=BOOKED_AS)

    def _checked(self, request: RequestContext) -> Callable[[], Awaitable[None]]:
        async def before_call() -> None:
            self._cap.check(spent(request))

        return before_call

    def _spend(self, cost_usd: Decimal | None) -> None:
        self._priced &= cost_usd is not None
        self._spent += cost_usd or Decimal(0)

    async def _outcome(self, example: Example, request: RequestContext) -> Outcome:
        began = time.perf_counter()
        try:
            if self._asker is not None:
                with contained():
                    return await self._asker.ask(example, request)
            assert self._pipeline.ask is not None  # noqa: S101 - there is one of the two
            with serving(request), contained():
                made = await self._pipeline.ask(example)
        except PlatformError as refusal:
            return Outcome(example, "", error=refusal.code)
        except Exception as error:  # noqa: BLE001 - the boundary of somebody's own target: the other examples go on
            return Outcome(example, "", error=f"{Internal.code}: {type(error).__name__}")
        return made if isinstance(made, Outcome) else Outcome(example, made, latency_s=time.perf_counter() - began)

    def report(self, baseline: Mapping[str, Any] | None) -> Report:
        suite, examples = self._pipeline.suite, self._pipeline.examples or ()
        scores = [self._scores.get(example.id, {}) for example in examples]
        figures = self._scorer.summary(scores, self._answered)
        dataset = digest_of(examples)
        verdicts: dict[str, dict[str, Any]] = {}
        if baseline:
            every = {example.id: self._scores.get(example.id, {}) for example in examples}
            verdicts = _against(baseline, suite, figures, every, dataset)
        summary, _ = judged(suite, figures, verdicts, total=len(examples))
        return Report(
            suite=suite.name,
            target=_target(self._pipeline),
            metrics=summary["metrics"],
            thresholds=summary["thresholds"],
            baseline=verdicts,
            dataset=dataset,
            examples=[self._told(example) for example in examples],
            spent_usd=self._spent if self._priced else None,
            stopped=self._stopped,
        )

    def _told(self, example: Example) -> ExampleReport:
        outcome = self._outcomes.get(example.id)
        if outcome is None:
            return ExampleReport(example.id, {}, error="not_reached")
        return ExampleReport(example.id, self._scores[example.id], outcome.error, outcome.latency_s or 0.0)


async def run_there(
    pipeline: Pipeline, url: str, key: str | None, *, baseline: str | None = None, client: httpx.AsyncClient | None = None
) -> Report:
    """Run it at a platform, over its REST API: the dataset is brought there where it is a file, the run is kept there.
    `baseline` is the id of a run.

    Raises:
        InvalidRequest: the platform refused it; the message is the platform's.
        httpx.HTTPError: the platform cannot be reached.
    """
    if pipeline.ask is not None or pipeline.metrics:
        raise InvalidRequest("A target or metrics of one's own are run here, without --url.", code="invalid_suite")
    suite = pipeline.suite
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with client or httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT_S) as platform:
        body: dict[str, Any] = {"definition": suite.model_dump_json()}
        if pipeline.examples is not None:
            content = b"".join(map(as_jsonl, pipeline.examples)).decode()
            made = {"name": suite.name, "format": "jsonl", "content": content}
            body["dataset"] = (await _call(platform, "POST", "/api/v1/evals/datasets", json=made))["id"]
        if baseline is not None:
            body["baseline"] = baseline
        run = await _call(platform, "POST", "/api/v1/evals/runs", json=body)
        path = f"/api/v1/evals/runs/{run['id']}"
        while run["state"] not in ("succeeded", "failed", "cancelled"):
            await asyncio.sleep(_LOOK_S)
            run = await _call(platform, "GET", path)
        results = [one async for one in _listed(platform, f"{path}/results")]
    stopped = None if run["state"] == "succeeded" else run["error"] or run["state"]
    return Report(
        suite=suite.name,
        target=_target(pipeline),
        metrics=run["metrics"],
        thresholds=run["thresholds"],
        baseline=run["baseline"],
        dataset=run["dataset_digest"],
        examples=[_result(one) for one in results],
        spent_usd=None if run.get("unpriced") else Decimal(str(run["spent_usd"])),
        stopped=stopped,
        version=run["version"],
        prompts=run.get("prompts", {}),
    )


def _result(one: Mapping[str, Any]) -> ExampleReport:
    scores = {label: {"value": score["value"], "why": score["why"]} for label, score in one["scores"].items()}
    ended = one["state"] in ("scored", "failed", "interrupted", "ungraded")
    error = None if one["state"] == "ungraded" else one["error"] if ended else "not_reached"
    return ExampleReport(one["example"] or f"#{one['number']}", scores, error, one["latency_s"] or 0.0)


async def _listed(platform: httpx.AsyncClient, path: str) -> AsyncIterator[dict[str, Any]]:
    params = {"limit": "100"}
    while True:
        found = await _call(platform, "GET", path, params=params)
        for one in found["results"]:
            yield one
        if found["next_cursor"] is None:
            return
        params["cursor"] = found["next_cursor"]


async def _call(platform: httpx.AsyncClient, method: str, path: str, **options: Any) -> dict[str, Any]:
    answer = await platform.request(method, path, **options)
    try:
        told: dict[str, Any] = answer.json()
    except ValueError:
        told = {}
    if answer.is_success:
        return told
    error = told.get("error", {})
    message = error.get("message", f"{method} {path} was answered with {answer.status_code}.")
    raise InvalidRequest(message, code=error.get("code", "refused"), param=error.get("param"))


def _against(
    baseline: Mapping[str, Any], suite: Suite, figures: Mapping[str, Any], scores: Mapping[str, Any], dataset: str
) -> dict[str, dict[str, Any]]:
    """As `evals.ending` does for runs that are kept: of the metrics that a threshold holds against it, or of all."""
    asked = [one for one in suite.thresholds if one.not_worse_than_baseline]
    before = Side(_side("baseline", baseline["metrics"], baseline.get("dataset") or ""), baseline["scores"])
    now = Side(_side("now", figures, dataset), scores)
    effects = {one.metric: one.effect for one in asked if one.effect is not None}
    return compared(before, [now], alpha=suite.alpha, effects=effects, labels=[one.metric for one in asked])["now"]


def _side(name: str, figures: Mapping[str, Any], dataset: str) -> EvalRun:
    return EvalRun(id=name, dataset_digest=dataset, summary={"metrics": dict(figures)})  # type: ignore[call-arg]  # what a comparison reads of one


def _target(pipeline: Pipeline) -> str:
    target = pipeline.suite.target
    return f"{target.capability} by {target.alias}" if pipeline.ask is None else "the pipeline's own"


def read_baseline(content: bytes) -> dict[str, Any]:
    """What an earlier gate wrote. Raises InvalidRequest (`invalid_baseline`)."""
    try:
        told: dict[str, Any] = orjson.loads(content)
        if not isinstance(told["metrics"], dict) or not isinstance(told["scores"], dict):
            raise TypeError  # noqa: TRY301
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest("The baseline is none that a gate wrote.", code="invalid_baseline") from None
    return told


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Models, ChainDeps]]:
    models = Models(settings)
    database = Database(settings)
    # of the capabilities that are run here none looks into collections
    library = cast("Library", None)
    deps = ChainDeps(settings=settings, models=models, library=library, conversations=Conversations(database))
    try:
        yield models, deps
    finally:
        await models.close()
        await database.engine.dispose()
