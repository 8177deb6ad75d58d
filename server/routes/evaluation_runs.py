"""Runs of suites, and what came of their examples."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from starlette.concurrency import run_in_threadpool

from chains.endpoints import scope_of
from core import denials
from core.context import current
from core.errors import InvalidRequest
from core.policies.retention import refuse_keeping
from core.principals import Principal, Scope
from core.tables import EvalRun, ResultState, RunState
from evals.datasets import Datasets
from evals.metrics.granted import admit
from evals.run_versions import check_named, pins_of
from evals.runs import QUEUE, RUN_EVALUATION, Runs, Shown, ended_of
from evals.scoring import Scorer
from evals.stored_suites import StoredSuites
from evals.suites import RunOptions, Suite, parse, target_of
from providers.registry.pins import Pins
from server.auth import requires
from server.pagination import Paging, page
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/evals", tags=["Evaluations"])

Reader = Annotated[Principal, requires(Scope.EVALS_READ)]
Runner = Annotated[Principal, requires(Scope.EVALS_RUN)]
#: What was asked, or graded, as a worker was killed, or the run was cancelled.
_INTERRUPTED = (ResultState.INTERRUPTED, ResultState.SENT, ResultState.UNGRADED, ResultState.GRADING)
RunID = Annotated[str, Path(description="the run's id", examples=["run_9fKx2LmQ"])]


class NewRun(BaseModel):
    """A run to make: of a suite that is kept, or of one that is given here."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"suite": "capitals", "max_cost_usd": "0.50"}]})

    suite: str | None = Field(None, max_length=128, description="the name of one that is kept")
    definition: str | None = Field(None, min_length=1, description="a suite in YAML or JSON")
    dataset: str | None = Field(None, max_length=200, description="instead of the suite's: a name, `name@version` or an id")
    alias: str | None = Field(
        None, min_length=1, max_length=128, description="instead of the suite's; `alias@3` names a version"
    )
    version: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="of the alias, as the registry numbers it, live or not; none: the suite's, or the live one",
    )
    baseline: str | None = Field(None, max_length=64, description="the run that it is not to be worse than")
    max_cost_usd: Decimal | None = Field(None, gt=0, max_digits=12, decimal_places=6, description="what it may spend")
    reuse: bool | None = Field(None, description="false: ask the model, also where an earlier run has the answer")

    @model_validator(mode="after")
    def _one_suite(self) -> "NewRun":
        if (self.suite is None) == (self.definition is None):
            raise ValueError("give either suite or definition")
        return self


class Resumption(BaseModel):
    """How to go on with a run that ended before all was done."""

    model_config = ConfigDict(extra="forbid")

    max_cost_usd: Decimal | None = Field(None, gt=0, max_digits=12, decimal_places=6, description="what it may spend in all")
    repeat_interrupted: bool = Field(
        False,
        description="ask, or grade, once more what was asked or graded when a worker was killed: it may be paid for twice",
    )
    repeat_failed: bool = Field(False, description="ask once more what failed")


class RunProgress(BaseModel):
    """How many examples have ended, those without a score included."""

    done: int
    total: int


class MetricFigures(BaseModel):
    """A metric over all examples of a run."""

    mean: float | None = Field(description="over those that were measured")
    corpus: float | None = Field(None, description="of a metric whose value for many is no mean of theirs")
    together: dict[str, float | None] = Field(
        {}, description="what else a metric says of all its scores, such as a judge's `kappa`, `variance` or `flipped`"
    )
    measured: int
    unmeasured: dict[str, int] = Field(description="how many are not, by reason")
    higher_is_better: bool
    signature: str


class ThresholdResult(BaseModel):
    """Whether a threshold holds."""

    metric: str
    value: float | None
    min: float | None
    max: float | None
    verdict: str | None = Field(description="against the baseline")
    unmeasured: int
    why_unmeasured: dict[str, int] = Field({}, description="by reason")
    max_unmeasured: float = Field(0.0, description="the share of the examples that may be unmeasured")
    total: int = Field(0, description="examples")
    passed: bool
    reasons: list[str]


class RunInfo(BaseModel):
    """A run."""

    id: str
    suite: str
    state: RunState
    error: str | None = Field(description="why it ended before its end, a code")
    passed: bool | None = Field(description="whether all thresholds hold; null: it has none, or has not ended")
    progress: RunProgress
    scored: int
    failed: int = Field(description="no answer: their scores are unmeasured")
    interrupted: int = Field(description="asked by a worker that was killed, the answer lost: unmeasured, and not asked again")
    ungraded: int = Field(
        description="answered, but what models were to say of it was lost with a worker: unmeasured by these metrics, and not "
        "graded again unless it is asked for"
    )
    reused: int = Field(description="answers that an earlier run had")
    capability: str
    alias: str
    version: str = Field(description="of the alias, that all of its examples are asked of, as the ledger names it")
    registry_version: int | None = Field(description="the same, as the registry numbers it; null: a worker is yet to say so")
    prompts: dict[str, int] = Field(
        description="the versions of prompts that it goes by where the alias pins no other; all others are the built-in ones"
    )
    dataset_id: str
    dataset_digest: str
    baseline_id: str | None
    max_cost_usd: float | None
    spent_usd: float
    job_id: str
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, run: EvalRun) -> "RunInfo":
        pins = Pins.of(run.pins)
        return cls(
            id=run.id,
            suite=run.suite,
            state=RunState(run.state),
            error=run.error_code,
            passed=run.passed,
            progress=RunProgress(done=ended_of(run), total=run.total),
            scored=run.scored,
            failed=run.failed,
            interrupted=run.interrupted,
            ungraded=run.ungraded,
            reused=run.cached,
            capability=run.capability,
            alias=run.alias,
            version=run.version,
            registry_version=pins.aliases.get(run.alias),
            prompts=dict(pins.prompts),
            dataset_id=run.dataset_id,
            dataset_digest=run.dataset_digest,
            baseline_id=run.baseline_id,
            max_cost_usd=None if run.max_cost_usd is None else float(run.max_cost_usd),
            spent_usd=float(run.spent_usd),
            job_id=run.job_id,
            created_by=run.owner,
            created_at=run.created_at,
            started_at=run.started_at,
            ended_at=run.ended_at,
        )


class WholeRun(RunInfo):
    """A run with its figures; they are there once it has ended."""

    metrics: dict[str, MetricFigures]
    thresholds: list[ThresholdResult]
    baseline: dict[str, dict[str, JsonValue]] = Field(description="the comparison with the baseline, by a metric's label")
    definition: dict[str, JsonValue] = Field(description="the suite")
    unpriced: int = Field(description="answers of which no price is known: `spent_usd` is without them")

    @classmethod
    def whole(cls, run: EvalRun, definition: dict[str, JsonValue], unpriced: int) -> "WholeRun":
        summary = run.summary
        return cls(
            **RunInfo.of(run).model_dump(),
            metrics=summary.get("metrics", {}),
            thresholds=summary.get("thresholds", []),
            baseline=summary.get("baseline", {}),
            definition=definition,
            unpriced=unpriced,
        )


class RunPage(BaseModel):
    """Some of the runs."""

    results: list[RunInfo]
    next_cursor: str | None


class KeptScore(BaseModel):
    """A metric's word on an example."""

    value: float | None
    why: str | None = Field(description="why it is unmeasured")
    details: dict[str, JsonValue] = {}


class ResultInfo(BaseModel):
    """What became of an example."""

    number: int
    example: str
    state: ResultState
    error: str | None
    output: str | None
    answer: dict[str, JsonValue]
    scores: dict[str, KeptScore]
    latency_s: float | None
    first_token_s: float | None = Field(description="of an answer that was streamed; null: it was not")
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None = Field(description="what the answer has cost this run")
    grading_usd: float | None = Field(description="what models that metrics asked have cost")
    reused_from: str | None = Field(description="the run that the answer was taken from")

    @classmethod
    def of(cls, shown: Shown) -> "ResultInfo":
        row, outcome = shown.row, shown.outcome
        return cls(
            number=row.number,
            example=row.example_id,
            state=ResultState(row.state),
            error=row.error_code,
            output=None if outcome is None else outcome.output,
            answer={} if outcome is None else dict(outcome.answer),
            scores={label: KeptScore(**score, details=shown.details.get(label, {})) for label, score in row.scores.items()},
            latency_s=None if outcome is None else outcome.latency_s,
            first_token_s=None if outcome is None else outcome.first_token_s,
            input_tokens=None if outcome is None else outcome.input_tokens,
            output_tokens=None if outcome is None else outcome.output_tokens,
            cost_usd=None if row.cost_usd is None else float(row.cost_usd),
            grading_usd=None if row.grading_usd is None else float(row.grading_usd),
            reused_from=row.reused_from,
        )


class ResultPage(BaseModel):
    """Some of a run's examples."""

    results: list[ResultInfo]
    next_cursor: str | None


@router.post("/runs", response_model=RunInfo, status_code=202)
async def create_run(body: NewRun, state: CurrentState, principal: Runner) -> RunInfo:
    """Run a suite over its dataset, by a job. It needs the right of the capability that the suite asks as well, and those of
    the models that its metrics ask. All of it is asked of the versions that are live now, or of the one that is named."""
    refuse_keeping(state.models.policies, current(), "it cannot be a run")
    suite = parse(body.definition) if body.definition is not None else await _kept(state, principal, body.suite or "")
    suite = _with(suite, body)
    await _check(suite, state, principal)
    runs, baseline = Runs(state.database), None
    if body.baseline is not None:
        baseline = await runs.get(principal, body.baseline)
    elif suite.needs_baseline:
        text = "A threshold of the suite asks for a baseline: name a run."
        raise InvalidRequest(text, code="baseline_needed", param="baseline")
    dataset = await Datasets(state.database).named(principal, suite.dataset)
    if baseline is not None and baseline.dataset_digest != dataset.digest:
        text = "The baseline is a run of other examples: run it again over this version of the dataset."
        raise InvalidRequest(text, code="other_dataset", param="baseline")
    pins = await pins_of(state.database, state.models.versions, suite)
    pinned = await state.models.versions.pinned(state.database, pins)
    pinned.require(suite.target.alias)
    version = pinned.label(suite.target.alias)
    run = await runs.create(principal, suite, dataset, version=version, pins=pins, baseline_id=body.baseline)
    await state.queue.send(RUN_EVALUATION, run.id, queue=QUEUE)
    return RunInfo.of(run)


@router.get("/runs", response_model=RunPage)
async def list_runs(
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    suite: Annotated[str | None, Query(max_length=128, description="runs of this suite alone")] = None,
) -> dict[str, Any]:
    """List your runs, the newest first; all, with `evals:manage`."""
    rows, more = await Runs(state.database).page(principal, limit=paging.limit, after=paging.after, suite=suite)
    return page([RunInfo.of(row) for row in rows], rows[-1].id if more else None)


@router.get("/runs/{run_id}", response_model=WholeRun)
async def show_run(run_id: RunID, state: CurrentState, principal: Reader) -> WholeRun:
    """Show a run with its figures."""
    runs = Runs(state.database)
    run = await runs.get(principal, run_id)
    return WholeRun.whole(run, await runs.definition(run), await runs.unpriced(run))


@router.get("/runs/{run_id}/results", response_model=ResultPage)
async def list_results(
    run_id: RunID,
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    only: Annotated[list[ResultState] | None, Query(description="examples in these states alone")] = None,
) -> dict[str, Any]:
    """List what became of the examples so far, in the dataset's order."""
    runs = Runs(state.database)
    run = await runs.get(principal, run_id)
    after = int(paging.after) if paging.after and paging.after.isdecimal() else 0
    found, more = await runs.results(run, after=after, limit=paging.limit, states=only or ())
    return page([ResultInfo.of(one) for one in found], str(found[-1].row.number) if more else None)


@router.post("/runs/{run_id}/cancel", response_model=RunInfo)
async def cancel_run(run_id: RunID, state: CurrentState, principal: Runner) -> RunInfo:
    """End a run. What has been answered stays to be read."""
    run = await Runs(state.database).cancel(principal, run_id)
    if not RunState(run.state).finished:
        await state.queue.send(RUN_EVALUATION, run.id, queue=QUEUE)
    return RunInfo.of(run)


@router.post("/runs/{run_id}/resume", response_model=RunInfo, status_code=202)
async def resume_run(run_id: RunID, body: Resumption, state: CurrentState, principal: Runner) -> RunInfo:
    """Go on with a run that was cancelled, or ended at its cap, by a new job. What has been answered is not asked again."""
    refuse_keeping(state.models.policies, current(), "it cannot be a run")
    runs = Runs(state.database)
    run = await runs.get(principal, run_id)
    await _check(await runs.suite(run), state, principal)
    repeat = list(_INTERRUPTED) if body.repeat_interrupted else []
    repeat += [ResultState.FAILED] if body.repeat_failed else []
    run = await runs.resume(principal, run_id, max_cost_usd=body.max_cost_usd, repeat=repeat)
    await state.queue.send(RUN_EVALUATION, run.id, queue=QUEUE)
    return RunInfo.of(run)


@router.delete("/runs/{run_id}", status_code=204)
async def delete_run(run_id: RunID, state: CurrentState, principal: Runner) -> None:
    """Delete a run that has ended, with all that came of it."""
    await Runs(state.database).delete(principal, run_id)


async def _kept(state: State, principal: Principal, name: str) -> Suite:
    return await StoredSuites(state.database).suite(principal, name)


def _with(suite: Suite, body: NewRun) -> Suite:
    options = suite.run.model_dump()
    options |= {"max_cost_usd": body.max_cost_usd} if body.max_cost_usd is not None else {}
    options |= {"reuse": body.reuse} if body.reuse is not None else {}
    changed: dict[str, Any] = {"run": RunOptions(**options)}
    if body.dataset is not None:
        changed["dataset"] = body.dataset
    target: dict[str, Any] = {"alias": body.alias, "version": body.version} if body.alias is not None else {}
    target |= {"version": body.version} if body.version is not None else {}
    if target:
        changed["target"] = target_of(suite.target.model_dump() | target)
    return suite.model_copy(update=changed)


async def _check(suite: Suite, state: State, principal: Principal) -> None:
    """Raises InvalidRequest where a metric cannot be made as the suite wants it, Forbidden where they may not ask a model that
    is asked."""
    needs = scope_of(f"/api/v1/{suite.target.capability}")
    if not principal.may(needs):
        raise denials.lacks(principal, needs)
    if not principal.may_use_model(suite.target.alias):
        text = "This key is not for this model."
        raise denials.barred(principal, text, code="model_not_allowed", param="alias")
    state.models.facts(suite.target.alias)  # raises NotFound where there is no such alias
    await check_named(state.database, principal, suite)
    scorer = await run_in_threadpool(Scorer.build, suite, state.models)
    admit(principal, scorer.asks, param="metrics")
