"""Runs as what approves the version that they have evaluated."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from core import denials
from core.errors import Conflict, InvalidRequest
from core.principals import Principal, Scope
from core.tables import EvalRun, RunState
from evals.runs import Runs
from providers.registry.pins import Pins
from providers.registry.store import Registry
from server.auth import requires
from server.routes.evaluation_runs import RunID
from server.state import CurrentState

router = APIRouter(prefix="/api/v1/evals", tags=["Evaluations"])

Deployer = Annotated[Principal, requires(Scope.MODELS_DEPLOY)]


class RunApproval(BaseModel):
    """What of a run the registry is told."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"metric": "exact_match"}]})

    metric: str | None = Field(
        None,
        max_length=64,
        description="the label of the metric whose value a canary's `min_score` is held against; none: no score",
    )
    reason: str = Field("", max_length=500)


class ApprovedVersion(BaseModel):
    """A version, and the run that has approved it."""

    alias: str
    version: int
    state: str
    evaluation: str
    score: float | None


@router.post("/runs/{run_id}/approve")
async def approve_by_run(run_id: RunID, given: RunApproval, state: CurrentState, principal: Deployer) -> ApprovedVersion:
    """Note that a run has approved the version that it has evaluated: a draft becomes a candidate. Of a run that came to its
    end and whose thresholds all hold. Who may see the run alone does so."""
    if not principal.may(Scope.EVALS_READ):
        raise denials.lacks(principal, Scope.EVALS_READ)
    run = await Runs(state.database).get(principal, run_id)
    if run.state != RunState.SUCCEEDED or not run.passed:
        raise Conflict("A run approves whose thresholds all hold; this one has none that do.", code="run_not_passed")
    row = await Registry(state.database).approve(
        principal,
        run.alias,
        Pins.of(run.pins).aliases.get(run.alias, 0),
        evaluation=run.id,
        score=None if given.metric is None else _score(run, given.metric),
        reason=given.reason,
    )
    return ApprovedVersion(alias=row.name, version=row.number, state=row.state, evaluation=run.id, score=row.score)


def _score(run: EvalRun, metric: str) -> float:
    """Raises InvalidRequest (`no_score`)."""
    figures = run.summary.get("metrics", {}).get(metric, {})
    value = figures.get("corpus", figures.get("mean"))
    if value is None or not figures["higher_is_better"]:
        text = f"The run has no value of {metric!r} of which more is better."
        raise InvalidRequest(text, code="no_score", param="metric")
    return float(value)
