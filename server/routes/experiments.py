"""Experiments: versions of an alias compared on real requests, with intervals that may be looked at at any time."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from core.errors import Conflict, InvalidRequest
from core.principals import Principal, Scope
from core.tables import Experiment, ExperimentState
from evals.experiments.analysis import analyse
from evals.experiments.book import ExperimentBook, NewExperiment
from evals.experiments.ending import Ending
from evals.experiments.outcomes import Outcomes
from evals.experiments.registered import ModelVersions
from evals.experiments.shown import told_results
from providers.experiment_definition import NAME, Definition
from server.auth import requires
from server.pagination import Paging, page_of_table
from server.state import CurrentState, State

router = APIRouter(prefix="/api/v1/experiments", tags=["Experiments"])

Reader = Annotated[Principal, requires(Scope.EXPERIMENTS_READ, Scope.EXPERIMENTS_MANAGE)]
Manager = Annotated[Principal, requires(Scope.EXPERIMENTS_MANAGE)]
Name = Annotated[str, Path(max_length=64, description="the experiment's name", examples=["shorter-prompt"])]
_EXAMPLE: dict[str, Any] = {
    "name": "shorter-prompt",
    "alias": "default",
    "variants": [{"name": "control"}, {"name": "shorter", "version": 2}],
    "primary": "feedback",
    "rules": {"max_days": 14, "promote": True},
}


class ExperimentRequest(Definition):
    """An experiment to make: a draft, until it is started."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: Annotated[str, StringConstraints(pattern=NAME)]
    alias: str = Field(min_length=1, max_length=128)
    everywhere: bool = Field(False, description="of the requests of all tenants; takes providers:manage")

    def new(self) -> NewExperiment:
        given = self.model_dump(exclude={"name", "alias", "everywhere"})
        return NewExperiment(self.name, self.alias, Definition.model_validate(given), self.everywhere)


class Conclusion(BaseModel):
    """How an experiment is ended by hand."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"winner": "shorter", "promote": True}]})

    winner: str | None = Field(None, max_length=64, description="the variant that is to stay; null: the control")
    promote: bool = Field(False, description="deploy the winner's version")


class ExperimentInfo(BaseModel):
    """An experiment."""

    id: str
    name: str
    tenant: str
    alias: str
    everywhere: bool
    state: ExperimentState
    definition: Definition
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None = Field(
        description="stopped, concluded, verdict, harm, sample_ratio, max_days, enough_units, or rolled_back (a version "
        "that it gave was taken back); null while it has not ended"
    )
    winner: str | None = Field(description="the variant that has won; null: none, or it goes on")
    promoted: int | None = Field(description="the version that was deployed for it")
    not_promoted: str | None = Field(description="the code of what kept the winner from being deployed")

    @classmethod
    def of(cls, row: Experiment) -> Self:
        definition, verdict = Definition.model_validate(row.definition), row.verdict or {}
        winner = verdict.get("winner")
        told = {
            **row.model_dump(include={"id", "name", "tenant", "alias", "everywhere", "state", "created_by", "created_at"}),
            **row.model_dump(include={"started_at", "ended_at", "end_reason", "promoted"}),
            "definition": definition,
            "winner": None if winner is None else definition.variants[winner].name,
            "not_promoted": verdict.get("not_promoted"),
        }
        return cls.model_validate(told)


class ExperimentPage(BaseModel):
    """Some of the experiments."""

    results: list[ExperimentInfo]
    next_cursor: str | None


class VariantUnits(BaseModel):
    """Who was given a variant."""

    name: str
    version: int | None
    units: int
    requests: int


class SampleRatioInfo(BaseModel):
    """Whether the variants have the shares of units that were asked for."""

    mismatch: bool
    p: float = Field(description="that holds at every look")
    fixed_p: float = Field(description="of the chi-square test, which holds where it is asked once: at the end")
    expected: list[float]


class DifferenceInfo(BaseModel):
    """A variant's mean less the control's, within `low` and `high`; null bounds are not known yet."""

    verdict: str = Field(description="better, worse, no difference or inconclusive")
    difference: float | None = Field(description="null: of one of them nothing was measured")
    low: float | None
    high: float | None
    p: float
    relative: float | None = Field(description="by the control's mean")
    needed: int | None = Field(description="units of each variant that would settle it")
    why: str | None = Field(description="too_few or sample_ratio: for what reason nothing can be told")


class FixedInfo(DifferenceInfo):
    """The same by a test that is asked once, at the size that was planned."""

    p_corrected: float | None = Field(description="among all metrics and variants (Holm)")


class ComparisonInfo(DifferenceInfo):
    """A variant against the control. It may be looked at at any time."""

    variant: str
    harmed: bool = Field(description="the metric is a guardrail, and worse by more than its margin beyond doubt")
    fixed: FixedInfo


class MetricInfo(BaseModel):
    """A metric, over units."""

    metric: str
    higher_is_better: bool
    means: dict[str, float | None]
    measured: dict[str, int] = Field(description="units of each variant that have a value")
    noise_explained: float = Field(description="the share of the variance that what was before has explained (CUPED)")
    comparisons: list[ComparisonInfo]


class ExperimentResults(BaseModel):
    """What an experiment says now; once it has ended, what it said then is kept in its verdict."""

    name: str
    state: ExperimentState
    variants: list[VariantUnits]
    sample_ratio: SampleRatioInfo
    metrics: list[MetricInfo]
    winner: str | None
    harmed: list[str]


@router.get("", response_model=ExperimentPage)
async def list_experiments(
    state: CurrentState,
    principal: Reader,
    paging: Paging,
    all_tenants: Annotated[bool, Query(description="those of every tenant, for operators; takes providers:manage")] = False,
) -> dict[str, Any]:
    """List the experiments of the tenant."""
    if all_tenants:
        ExperimentBook.may_see_all(principal)
    whose = None if all_tenants else principal.tenant
    return await page_of_table(state.database, whose, Experiment, paging, ExperimentInfo.of)


@router.post("", status_code=201)
async def create_experiment(given: ExperimentRequest, state: CurrentState, principal: Manager) -> ExperimentInfo:
    """Make an experiment. It is a draft: no request is in it before it is started."""
    return ExperimentInfo.of(await _book(state).create(principal, given.new()))


@router.get("/{experiment}")
async def get_experiment(experiment: Name, state: CurrentState, principal: Reader) -> ExperimentInfo:
    """Show an experiment."""
    return ExperimentInfo.of(await _book(state).get(principal, experiment))


@router.put("/{experiment}")
async def change_experiment(experiment: Name, given: Definition, state: CurrentState, principal: Manager) -> ExperimentInfo:
    """Give a draft another definition."""
    return ExperimentInfo.of(await _book(state).change(principal, experiment, given))


@router.delete("/{experiment}", status_code=204)
async def delete_experiment(experiment: Name, state: CurrentState, principal: Manager) -> Response:
    """Remove an experiment that does not run."""
    await _book(state).delete(principal, experiment)
    return Response(status_code=204)


@router.post("/{experiment}/start")
async def start_experiment(experiment: Name, state: CurrentState, principal: Manager) -> ExperimentInfo:
    """Let requests in, in every process within a second. What it is does not change any more; the control is the version that
    is live now."""
    row = await _book(state).start(principal, experiment)
    await state.models.take_experiments(state.database)
    return ExperimentInfo.of(row)


@router.post("/{experiment}/stop")
async def stop_experiment(
    experiment: Name,
    state: CurrentState,
    principal: Manager,
    tenant: Annotated[
        str | None, Query(max_length=64, description="whose it is, for operators; takes providers:manage; empty: one's own")
    ] = None,
) -> ExperimentInfo:
    """End it without a winner: all requests go by the live version again, within a second."""
    row = await _book(state).get(principal, experiment, tenant=tenant)
    return await _end(state, principal, row, Ending(ExperimentState.STOPPED, "stopped"), promote=False)


@router.post("/{experiment}/conclude")
async def conclude_experiment(experiment: Name, given: Conclusion, state: CurrentState, principal: Manager) -> ExperimentInfo:
    """End it with the variant that is to stay, and deploy its version where that is asked for."""
    row = await _book(state).get(principal, experiment)
    names = [variant["name"] for variant in row.definition["variants"]]
    if given.winner is not None and given.winner not in names:
        raise InvalidRequest("There is no variant of that name.", param="winner")
    if given.promote and given.winner is None:
        raise InvalidRequest("Say which variant is to be deployed.", param="winner")
    if given.promote:
        ExperimentBook.may_deploy(principal)
    winner = None if given.winner is None else names.index(given.winner)
    return await _end(state, principal, row, Ending(ExperimentState.CONCLUDED, "concluded", winner), promote=given.promote)


@router.get("/{experiment}/results", response_model=ExperimentResults)
async def experiment_results(experiment: Name, state: CurrentState, principal: Reader) -> dict[str, Any]:
    """Compare the variants, metric by metric, on the units that were in it so far. Look as often as you like: the intervals and
    verdicts hold at every look."""
    row = await _book(state).get(principal, experiment)
    return {"name": row.name, "state": row.state, **await _results(state, row)}


async def _results(state: State, row: Experiment) -> dict[str, Any]:
    definition = Definition.model_validate(row.definition)
    units = await Outcomes(state.database).units(row)
    return told_results(definition, await asyncio.to_thread(analyse, definition, units))


async def _end(state: State, principal: Principal, row: Experiment, ending: Ending, *, promote: bool) -> ExperimentInfo:
    book = _book(state)
    if row.state != ExperimentState.RUNNING.value:
        raise Conflict("It does not run.", code="experiment_not_running")
    ended = await book.end(principal, row, ending, verdict={"results": await _results(state, row)}, promote=promote)
    if ended is None:
        raise Conflict("It does not run any more.", code="experiment_not_running")
    await state.models.take_experiments(state.database)
    return ExperimentInfo.of(ended)


def _book(state: State) -> ExperimentBook:
    return ExperimentBook(state.database, ModelVersions(state.database))
